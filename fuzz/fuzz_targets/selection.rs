//! A selection may be any text: it selects hosts or is refused, and never selects none.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sternline_proto::inventory::{Inventory, select, split_terms};

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
