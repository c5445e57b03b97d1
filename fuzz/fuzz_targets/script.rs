//! A script's first line is read: whatever it is, what runs it is an error or a text without NUL and without the script.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sternline_proto::script::{interpreter, run_text};

fuzz_target!(|script: &[u8]| {
    if let Ok(found) = interpreter(script) {
        assert!(!found.program.is_empty());
        if let Ok(text) = run_text(&found, script.len(), [7; 16]) {
            assert!(!text.contains(&0));
        }
    }
});
