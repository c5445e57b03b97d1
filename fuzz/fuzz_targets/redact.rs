//! Redaction reads whatever a peer or a command says: it must not panic, and redacting twice must change nothing more.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sternline_proto::redact::redact_string;

fuzz_target!(|text: &str| {
    let once = redact_string(text);
    assert_eq!(redact_string(&once), once);
});
