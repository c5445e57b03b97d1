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
    text.chars().for_each(|c| push(&mut out, c, false));
    out
}

/// [`escape`] for text that was escaped before it went into a file which may have been changed since: a backslash stays as
/// it is, so that what was escaped reads as it did. The result is as safe to show, but not unambiguous.
#[must_use]
pub fn escape_again(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|c| push(&mut out, c, true));
    out
}

fn push(out: &mut String, c: char, keep_backslash: bool) {
    match c {
        '\\' if keep_backslash => out.push('\\'),
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
    fn what_was_escaped_reads_the_same_when_it_is_escaped_again() {
        for raw in ["back\\slash", "\x1b[31mred", "\u{202e}evil\n"] {
            assert_eq!(escape_again(&escape(raw)), escape(raw));
        }
        assert_eq!(escape_again("a\x1b\u{202e}b"), "a\\x1b\\u{202e}b");
    }

    #[test]
    fn bytes_outside_utf8_are_shown_as_hex() {
        assert_eq!(escape_bytes(b"ok\xff\xfe\n"), "ok\\xff\\xfe\\n");
    }

    proptest! {
        #[test]
        fn escaped_text_holds_no_control_character(text in any::<String>()) {
            prop_assert!(!escape(&text).chars().any(char::is_control));
            prop_assert!(!escape_again(&text).chars().any(char::is_control));
        }
    }
}
