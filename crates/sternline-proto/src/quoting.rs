//! Words for a POSIX shell, so that what arrives in a program's argv is what the caller had.
//!
//! The result means the same to sh, bash, dash, ksh and zsh, whatever bytes the word holds. fish reads it the same way
//! too, because no backslash ever stands between quotes. In csh and tcsh it is right except for words with `!` (history
//! expansion happens between single quotes as well) or a line break (which they want escaped); there is no quoting of
//! those two that they and a POSIX shell read alike. cmd.exe and PowerShell read something else entirely.

use thiserror::Error;

/// A word that no shell can pass on: argv strings end at the first NUL byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a word for the remote shell holds a NUL byte at position {position}: arguments cannot contain one")]
pub struct QuoteError {
    /// Where the first NUL stands, counted in bytes from 0.
    pub position: usize,
}

/// Words that some shell reads as syntax where a command is expected, unless they are quoted.
const RESERVED: &[&[u8]] = &[
    b"case",
    b"coproc",
    b"do",
    b"done",
    b"elif",
    b"else",
    b"end",
    b"esac",
    b"fi",
    b"for",
    b"foreach",
    b"function",
    b"if",
    b"in",
    b"nocorrect",
    b"repeat",
    b"select",
    b"then",
    b"time",
    b"until",
    b"while",
];

/// Quotes one word. A word that needs no quotes is returned as it is, the empty word is `''`.
///
/// # Errors
/// [`QuoteError`] when the word holds a NUL byte.
///
/// ```
/// use sternline_proto::quoting::quote;
///
/// assert_eq!(quote(b"plain-word.txt")?, b"plain-word.txt");
/// assert_eq!(quote(b"it's here")?, br"'it'\''s here'");
/// # Ok::<(), sternline_proto::quoting::QuoteError>(())
/// ```
pub fn quote(word: &[u8]) -> Result<Vec<u8>, QuoteError> {
    let mut line = Vec::with_capacity(word.len() + 2);
    push_quoted(&mut line, word)?;
    Ok(line)
}

/// [`quote`] for text.
///
/// # Errors
/// [`QuoteError`] when the word holds a NUL character.
pub fn quote_str(word: &str) -> Result<String, QuoteError> {
    let line = quote(word.as_bytes())?;
    // Quoting only adds ASCII between whole characters, so nothing is lost here.
    Ok(String::from_utf8_lossy(&line).into_owned())
}

/// Quotes each word and joins them with spaces: an argv as one command line.
///
/// # Errors
/// [`QuoteError`] when a word holds a NUL byte.
pub fn join<I>(words: I) -> Result<Vec<u8>, QuoteError>
where
    I: IntoIterator,
    I::Item: AsRef<[u8]>,
{
    let mut line = Vec::new();
    for (index, word) in words.into_iter().enumerate() {
        if index > 0 {
            line.push(b' ');
        }
        push_quoted(&mut line, word.as_ref())?;
    }
    Ok(line)
}

fn push_quoted(line: &mut Vec<u8>, word: &[u8]) -> Result<(), QuoteError> {
    if let Some(position) = word.iter().position(|&byte| byte == 0) {
        return Err(QuoteError { position });
    }
    if is_plain(word) {
        line.extend_from_slice(word);
        return Ok(());
    }
    if word.is_empty() {
        line.extend_from_slice(b"''");
        return Ok(());
    }
    // Between single quotes POSIX shells obey nothing, but fish obeys a backslash there: so single quotes and
    // backslashes both stand outside, each behind a backslash.
    let mut inside = false;
    for &byte in word {
        let escaped = matches!(byte, b'\'' | b'\\');
        if escaped == inside {
            line.push(b'\'');
            inside = !inside;
        }
        if escaped {
            line.push(b'\\');
        }
        line.push(byte);
    }
    if inside {
        line.push(b'\'');
    }
    Ok(())
}

/// Whether every shell takes the word as it stands, also in the place of a command.
fn is_plain(word: &[u8]) -> bool {
    // No `=`: `a=b` in front of a command is an assignment, and zsh expands `=command`.
    let is_safe = |byte: &u8| byte.is_ascii_alphanumeric() || b"_@%+:,./-".contains(byte);
    !word.is_empty() && word.iter().all(is_safe) && !is_reserved(word)
}

/// Whether some shell reads the unquoted word as syntax where a command is expected.
pub(crate) fn is_reserved(word: &[u8]) -> bool {
    RESERVED.contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quotes_appear_only_where_they_are_needed() {
        for (word, quoted) in [
            ("", "''"),
            ("ls", "ls"),
            ("/usr/bin/env", "/usr/bin/env"),
            ("user@host:22", "user@host:22"),
            ("--color", "--color"),
            ("a b", "'a b'"),
            ("a=b", "'a=b'"),
            ("~", "'~'"),
            ("$HOME", "'$HOME'"),
            ("*", "'*'"),
            ("!", "'!'"),
            ("line\nbreak", "'line\nbreak'"),
            ("it's", "'it'\\''s'"),
            ("'", "\\'"),
            ("a\\b", "'a'\\\\'b'"),
            ("\\'", "\\\\\\'"),
            ("naïve", "'naïve'"),
            ("time", "'time'"),
            ("if", "'if'"),
            ("timeout", "timeout"),
        ] {
            assert_eq!(quote_str(word).unwrap(), quoted, "{word}");
        }
    }

    #[test]
    fn a_nul_byte_is_refused_with_its_position() {
        assert_eq!(quote(b"ab\0c"), Err(QuoteError { position: 2 }));
        assert_eq!(join(["ls", "\0"]), Err(QuoteError { position: 0 }));
    }

    #[test]
    fn an_argv_is_joined_by_spaces() {
        assert_eq!(join(["grep", "-e", "a b", ""]).unwrap(), b"grep -e 'a b' ''");
        assert_eq!(join(Vec::<&str>::new()).unwrap(), b"");
    }

    /// What a POSIX shell makes of one quoted word.
    fn unquote(line: &[u8]) -> Vec<u8> {
        let mut word = Vec::new();
        let mut bytes = line.iter();
        while let Some(&byte) = bytes.next() {
            match byte {
                b'\'' => word.extend(bytes.by_ref().take_while(|&&b| b != b'\'')),
                b'\\' => word.extend(bytes.next()),
                other => word.push(other),
            }
        }
        word
    }

    proptest! {
        #[test]
        fn quoting_is_undone_by_the_rules_of_the_shell(word in proptest::collection::vec(1_u8.., 0..64)) {
            prop_assert_eq!(unquote(&quote(&word).unwrap()), word);
        }

        #[test]
        fn a_backslash_never_stands_between_quotes(word in "[a'\\\\ ]{0,16}") {
            let mut inside = false;
            let mut escaped = false;
            for c in quote_str(&word).unwrap().chars() {
                prop_assert!(!(inside && c == '\\'));
                match c {
                    _ if escaped => escaped = false,
                    '\'' => inside = !inside,
                    '\\' => escaped = true,
                    _ => {}
                }
            }
        }
    }
}
