//! Names come from servers and archives: a path that is let through never leaves its root, and a temporary name belongs
//! to the name that it was made for.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sternline_proto::files::{
    Naming, PARTIAL_RANDOM, is_partial, is_partial_of, partial_name, safe_name, safe_relative,
};

fuzz_target!(|path: &[u8]| {
    for naming in [Naming::Posix, Naming::Windows] {
        if let Ok(components) = safe_relative(path, naming) {
            for name in components {
                assert!(safe_name(name, naming).is_ok());
                assert!(!name.is_empty() && name != b"." && name != b".." && !name.contains(&b'/'));
                let partial = partial_name(name, &[7; PARTIAL_RANDOM]);
                assert!(partial.len() <= 255 && is_partial(&partial) && is_partial_of(&partial, name));
            }
        }
    }
    let _ = (is_partial(path), is_partial_of(path, b"name"));
});
