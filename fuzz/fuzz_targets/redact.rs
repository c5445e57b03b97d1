//! Redaction reads whatever a peer or a command says: it must not panic, redacting twice must change nothing more, and a
//! marked value must be gone, in JSON as well.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::json;
use sternline_proto::redact::{Redactor, redact_secrets, redact_string};

fuzz_target!(|input: (&str, &str)| {
    let (text, secret) = input;
    let once = redact_string(text);
    assert_eq!(redact_string(&once), once);
    let data = json!({ text: [text, { "password": text }] });
    let once = redact_secrets(&data);
    assert_eq!(redact_secrets(&once), once);

    let redactor = Redactor::new();
    redactor.mark(secret);
    let secret = secret.trim_ascii();
    if secret.len() >= Redactor::SHORTEST_IN_WORDS && !redactor.is_empty() {
        let said = redactor.redact_string(&format!("{text}{secret}{text}")).into_owned();
        let gone = !said.contains(secret);
        assert!(gone || "[REDACTED][REDACTED BASE64][REDACTED PRIVATE KEY]".contains(secret), "{said}");
    }
});
