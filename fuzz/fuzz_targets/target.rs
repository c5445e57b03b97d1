//! Targets come from command lines and files: reading them must not panic, must stay within the limit, and a target
//! must read back as itself from the form in which it is shown.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sternline_proto::target::{MAX_TARGETS, Target, parse_targets};

fuzz_target!(|text: &str| {
    if let Ok(target) = text.parse::<Target>() {
        assert!(!target.host().starts_with('-'));
        assert_eq!(target.to_string().parse::<Target>().as_ref(), Ok(&target));
    }
    if let Ok(list) = parse_targets(text) {
        assert!(list.targets.len() + list.duplicates.len() <= MAX_TARGETS);
    }
});
