//! Redacting what is not necessarily text.

/// The bytes with a filter for texts applied to them.
///
/// Text goes through the filter as it is. In other bytes each part that is text does, and then the whole once more with every byte
/// taken for one character, so that a byte that belongs to no text hides no secret. The filter must put nothing but ASCII in.
#[must_use]
pub fn redact_bytes(bytes: &[u8], filter: impl Fn(&str) -> String) -> Vec<u8> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return filter(text).into_bytes();
    }
    let mut parts = Vec::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        parts.extend_from_slice(filter(chunk.valid()).as_bytes());
        parts.extend_from_slice(chunk.invalid());
    }
    let as_characters: String = parts.iter().map(|byte| char::from(*byte)).collect();
    let hidden = filter(&as_characters);
    // What takes the place of a secret is ASCII, so every character is a byte again.
    hidden.chars().filter_map(|c| u8::try_from(c).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_that_is_no_text_hides_no_secret_and_stays() {
        let filter = |text: &str| {
            text.replace("hunter2", "[REDACTED]")
                .replace("\u{ff}tail", "[REDACTED]")
        };
        for (bytes, redacted) in [
            (&b"no hunter2"[..], &b"no [REDACTED]"[..]),
            ("\u{e9} hunter2".as_bytes(), "\u{e9} [REDACTED]".as_bytes()),
            (b"\xffhunter2\xfe", b"\xff[REDACTED]\xfe"),
            (b"a\xfftail", b"a[REDACTED]"),
            (b"", b""),
        ] {
            assert_eq!(redact_bytes(bytes, filter), redacted);
        }
    }
}
