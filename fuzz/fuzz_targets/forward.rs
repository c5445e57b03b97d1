//! Forwards come from command lines and files: reading them must not panic, messages must be safe to show, and a
//! forward must read back as itself from the form in which it is shown.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sternline_proto::forward::ForwardIntent;

fuzz_target!(|text: &str| {
    for read in [ForwardIntent::local, ForwardIntent::remote, ForwardIntent::dynamic] {
        match read(text) {
            Ok(spec) => assert_eq!(read(&spec.to_string()).as_ref(), Ok(&spec)),
            Err(error) => assert!(!error.to_string().chars().any(char::is_control), "{error:?}"),
        }
    }
});
