//! Patterns come from command lines: reading and matching them must not panic and must stay quick, and messages must be
//! safe to show. The input is a pattern, a NUL byte and a path.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sternline_proto::files::Filter;

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(2, |byte| *byte == 0);
    let (pattern, path) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    match Filter::new().exclude(pattern) {
        Ok(filter) => {
            // What excludes a file excludes the directory of the same name.
            if !filter.decide(path, false) {
                assert!(!filter.decide(path, true));
            }
        }
        Err(error) => assert!(!error.to_string().chars().any(char::is_control), "{error:?}"),
    }
});
