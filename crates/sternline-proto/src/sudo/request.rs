//! A command line that answers sudo, as a server sees it.

use super::line::{END, LOCALE};

/// What a command line says that was composed for sudo with a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SudoRequest {
    /// The command, as [`Command::describe`](crate::command::Command::describe) shows it: `sudo -S -- ...`.
    pub command: Vec<u8>,
    /// With this sudo asks for the password, on standard error.
    pub prompt: String,
    /// This is written on standard error when the command starts, and standard input is its own.
    pub ready: String,
}

impl SudoRequest {
    /// Takes a command line apart; `None` where it is another one.
    #[must_use]
    pub fn of(line: &[u8]) -> Option<Self> {
        let outer = unquote(line.strip_prefix(b"exec sh -c ")?)?;
        let rest = outer.strip_prefix(b"set +x; exec env LC_ALL=C sudo ")?;
        let (options, rest) = split(rest, b"-S -p ")?;
        let (prompt, rest) = split(rest, b" -- sh -c ")?;
        let inner = unquote(rest.strip_suffix(END)?)?;
        let rest = inner.strip_prefix(LOCALE)?.strip_prefix(b"printf %s ")?;
        let (ready, body) = split(rest, b" >&2; exec ")?;
        Some(Self {
            command: [b"sudo ", options, b"-S -- ", body].concat(),
            prompt: String::from_utf8(unquote(prompt)?).ok()?,
            ready: String::from_utf8(unquote(ready)?).ok()?,
        })
    }
}

/// What stands before and behind the first `separator`.
fn split<'a>(text: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = text
        .windows(separator.len())
        .position(|window| window == separator)?;
    Some((text.get(..at)?, text.get(at + separator.len()..)?))
}

/// The one word that this is for a POSIX shell; `None` where it is not one word, or nothing that our quoting makes.
fn unquote(text: &[u8]) -> Option<Vec<u8>> {
    let mut word = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        rest = match first {
            quote @ (b'\'' | b'"') => {
                let (inside, after) = split(after, &[*quote])?;
                word.extend_from_slice(inside);
                after
            }
            b'\\' => {
                let (escaped, after) = after.split_first()?;
                word.push(*escaped);
                after
            }
            byte if byte.is_ascii_whitespace() || b";&|<>()$`".contains(byte) => return None,
            byte => {
                word.push(*byte);
                after
            }
        };
    }
    Some(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Command, Sudo};
    use crate::quoting::quote;
    use crate::sudo::SudoMarkers;
    use proptest::prelude::*;

    #[test]
    fn a_line_is_taken_apart_into_what_is_shown_and_both_words() {
        let markers = SudoMarkers::new([7; 32]);
        for command in [
            Command::shell("echo 'it''s' \\ me -S -p x -- sh -c y"),
            Command::shell("id").as_user("bob"),
            Command::program("id").args(["-u", "a b"]),
            Command::program("ls").cwd("/srv/it's"),
        ] {
            let command = command.sudo(Sudo::Password);
            let line = command.to_line_with(&markers).unwrap();
            let request = SudoRequest::of(&line).unwrap();
            assert_eq!(String::from_utf8(request.command).unwrap(), command.describe());
            assert_eq!(request.prompt, markers.prompt().text());
            assert_eq!(request.ready, markers.ready().text());
        }
    }

    #[test]
    fn another_line_is_none() {
        for line in [
            "",
            "id",
            "exec sh -c",
            "exec sh -c 'id'",
            "exec sh -c 'set +x; exec env LC_ALL=C sudo -S -p x'",
            "exec sh -c '",
        ] {
            assert_eq!(SudoRequest::of(line.as_bytes()), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn every_quoted_word_comes_back(word in proptest::collection::vec(1u8.., 0..40)) {
            let quoted = quote(&word).unwrap();
            prop_assert_eq!(unquote(&quoted), Some(word));
        }

        #[test]
        fn no_line_makes_it_panic(line in proptest::collection::vec(any::<u8>(), 0..60), text in "exec sh -c [ '\"a\\\\;]{0,20}") {
            let _ = SudoRequest::of(&line);
            let _ = SudoRequest::of(text.as_bytes());
        }
    }
}
