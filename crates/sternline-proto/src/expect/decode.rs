//! Bytes that arrive in pieces, as text.

use std::borrow::Cow;

/// Makes text of bytes. What is not UTF-8 becomes U+FFFD, as `String::from_utf8_lossy` does it, however the bytes are cut
/// into pieces: the beginning of a character waits for its rest.
#[derive(Debug, Clone, Default)]
pub struct Decoder {
    /// The beginning of a character: at most three bytes.
    begun: Vec<u8>,
}

impl Decoder {
    /// A decoder at the beginning of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The text of the next bytes, but for a character that is not complete yet.
    pub fn push<'a>(&mut self, bytes: &'a [u8]) -> Cow<'a, str> {
        if self.begun.is_empty()
            && let Ok(text) = std::str::from_utf8(bytes)
        {
            return Cow::Borrowed(text);
        }
        let mut all = std::mem::take(&mut self.begun);
        all.extend_from_slice(bytes);
        let mut text = String::with_capacity(all.len());
        let mut chunks = all.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            text.push_str(chunk.valid());
            let invalid = chunk.invalid();
            if chunks.peek().is_none() && is_begun(invalid) {
                self.begun = invalid.to_vec();
            } else if !invalid.is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        Cow::Owned(text)
    }

    /// The end of the stream: what stands there for a character that was never completed.
    pub fn finish(&mut self) -> &'static str {
        if std::mem::take(&mut self.begun).is_empty() {
            ""
        } else {
            "\u{fffd}"
        }
    }
}

/// Whether more bytes could make a character of these.
fn is_begun(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_character_waits_for_its_rest() {
        let mut decoder = Decoder::new();
        assert_eq!(decoder.push(b"a\xe2\x82"), "a");
        assert_eq!(decoder.push(b"\xacb"), "€b");
        assert_eq!(decoder.push(b"\xc3"), "");
        assert_eq!(decoder.push(b"("), "\u{fffd}(");
        assert_eq!(decoder.push(b"\xf0\x9f"), "");
        assert_eq!(decoder.finish(), "\u{fffd}");
        assert_eq!(decoder.finish(), "");
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_text(
            pieces in prop::collection::vec(prop::collection::vec(prop_oneof![
                any::<u8>(), prop::sample::select("é€😀".as_bytes().to_vec()),
            ], 0..6), 0..12),
        ) {
            let mut decoder = Decoder::new();
            let mut text = String::new();
            for piece in &pieces {
                text.push_str(&decoder.push(piece));
            }
            text.push_str(decoder.finish());
            let whole = pieces.concat();
            prop_assert_eq!(text, String::from_utf8_lossy(&whole));
        }
    }
}
