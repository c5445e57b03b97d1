//! A selection may be any text: it selects hosts or is refused, and never selects none.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sternline_proto::inventory::{Inventory, select, select_with_lists, split_terms};

const HOSTS: &str = "\
lonely
[web]
web-[1:9] zone=a list=['x','y']
[db]
db-1 zone='{{ x }}'
[prod:children]
web
db
";

fuzz_target!(|input: (&str, &str)| {
    let (text, limit) = input;
    let mut inventory = Inventory::new();
    inventory.add("hosts", HOSTS).expect("a good inventory");
    inventory.finish().expect("a good inventory");
    let _ = split_terms(text);
    // The other text is what any list holds.
    if let Err(error) = select_with_lists(&inventory, text, &|_| Ok(limit.to_owned())) {
        assert!(!error.to_string().chars().any(char::is_control), "{error:?}");
    }
    match select(&inventory, text) {
        Err(error) => assert!(!error.to_string().chars().any(char::is_control), "{error:?}"),
        Ok(mut selection) => {
            assert!(!selection.hosts.is_empty());
            let before = selection.hosts.len();
            if selection.limit(&inventory, limit).is_ok() {
                assert!((1..=before).contains(&selection.hosts.len()));
            }
        }
    }
});
