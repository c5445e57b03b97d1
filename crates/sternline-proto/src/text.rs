//! Making foreign text safe to show.

use std::fmt::Write as _;

/// Escapes text that came from a peer or a file, for use inside our own messages.
///
/// Control characters, including escape, newline and carriage return, and characters that change the direction or
/// visibility of the text around them come out as `\n`, `\t`, `\x1b` or `\u{202e}`, so that nothing a server says
/// can move the cursor, colour the terminal, or forge a second line. Everything else, other scripts included, is
/// kept as it is. A backslash is doubled, so that the result is unambiguous.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // C0, DEL and C1: a terminal may obey any of them.
            c if c.is_control() => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c if is_invisible_or_bidi(c) => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

/// [`escape`] for bytes: what is not UTF-8 comes out as `\xNN`.
#[must_use]
pub fn escape_bytes(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(&escape(chunk.valid()));
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// Characters without a glyph of their own that change how their neighbours are read.
fn is_invisible_or_bidi(c: char) -> bool {
    matches!(c,
        '\u{00ad}' | '\u{061c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn terminal_control_is_shown_not_obeyed() {
        for (raw, shown) in [
            ("plain", "plain"),
            ("naïve 日本", "naïve 日本"),
            ("\x1b[31mred", "\\x1b[31mred"),
            ("a\r\nb", "a\\r\\nb"),
            ("bell\x07", "bell\\x07"),
            ("c1\u{9b}31m", "c1\\x9b31m"),
            ("back\\slash", "back\\\\slash"),
            ("\u{202e}evil", "\\u{202e}evil"),
        ] {
            assert_eq!(escape(raw), shown);
        }
    }

    #[test]
    fn bytes_outside_utf8_are_shown_as_hex() {
        assert_eq!(escape_bytes(b"ok\xff\xfe\n"), "ok\\xff\\xfe\\n");
    }

    proptest! {
        #[test]
        fn escaped_text_holds_no_control_character(text in any::<String>()) {
            prop_assert!(!escape(&text).chars().any(char::is_control));
        }
    }
}
