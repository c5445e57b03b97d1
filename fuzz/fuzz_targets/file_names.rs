//! Names come from servers and archives: a temporary name fits into a directory, belongs to the name that it was made for
//! and to no other, and what is no temporary name is not taken for one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sternline_proto::files::{PARTIAL_RANDOM, base_name, is_partial, is_partial_of, partial_name};

fuzz_target!(|path: &[u8]| {
    if let Some(name) = base_name(path) {
        assert!(!name.is_empty() && name != b"." && name != b".." && !name.contains(&b'/'));
        let partial = partial_name(name, &[7; PARTIAL_RANDOM]);
        assert!(partial.len() <= 255 && is_partial(&partial) && is_partial_of(&partial, name));
        assert!(!is_partial_of(&partial, &[name, b"x"].concat()));
    }
    assert!(!is_partial_of(path, b"name") || is_partial(path));
});
