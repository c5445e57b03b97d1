//! What the shell is told: one line for each command.

use crate::quoting::{QuoteError, is_reserved, quote};

use super::marker::Marker;

/// The longest input that becomes a part of the line, in bytes. Each of them may take four there, and where printf is no
/// builtin (mksh, ksh) all of them are one argument of a program, for which Linux has room for 128 KiB.
pub const LONGEST_INPUT: usize = 32_000;

/// Where a command runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// In a subshell: whatever it does to directory, variables, options or traps ends with it.
    Subshell {
        /// What it reads, up to [`LONGEST_INPUT`]: it becomes a part of the line.
        input: &'a [u8],
    },
    /// In the shell itself, which keeps what it does. It reads nothing. An `exit` ends the shell.
    Shell,
}

/// The shell's first line: it puts the markers' descriptors aside and says who it is, see
/// [`parse_hello`](super::parse_hello).
#[must_use]
pub fn hello_line(marker: &Marker) -> Vec<u8> {
    let (first, second) = marker.halves();
    format!("exec 8>&1 9>&2; command printf '%s%s %s %s\\n' {first} {second} \"$$\" \"$PPID\" >&8\n")
        .into_bytes()
}

/// The line that runs shell text, and then says how it has ended.
///
/// No text can break out of its line: whatever is more than a few plain words is handed to `eval`, so that a quote or a
/// here-document that is never closed ends with the text. `command` in front keeps a mistake in it from ending the shell. The
/// exit status comes last on standard output, and no process is started for any of this but the subshell.
///
/// # Errors
/// When the text holds a NUL byte, which no shell takes.
pub fn run_line(text: &[u8], place: Place<'_>, marker: &Marker) -> Result<Vec<u8>, QuoteError> {
    const NO_INPUT: &[u8] = b" </dev/null";
    const NO_MARKERS: &[u8] = b" 8>&- 9>&-; ";
    let mut line = Vec::with_capacity(text.len() + 256);
    match place {
        Place::Subshell { input } => {
            if !input.is_empty() {
                line.extend_from_slice(b"command printf ");
                push_format(&mut line, input);
                // It is nobody's business that the command did not want all of it.
                line.extend_from_slice(b" 2>/dev/null | ");
            }
            line.extend_from_slice(b"( ");
            if is_simple(text) {
                line.extend_from_slice(text);
            } else {
                push_eval(&mut line, text)?;
            }
            line.extend_from_slice(b" )");
            if input.is_empty() {
                line.extend_from_slice(NO_INPUT);
            }
        }
        Place::Shell => {
            push_eval(&mut line, text)?;
            line.extend_from_slice(NO_INPUT);
        }
    }
    line.extend_from_slice(NO_MARKERS);
    let (first, second) = marker.halves();
    let end = format!(
        "command printf '%s%s %s\\n' {first} {second} \"$?\" >&8; command printf '%s%s\\n' {first} {second} >&9\n"
    );
    line.extend_from_slice(end.as_bytes());
    Ok(line)
}

fn push_eval(line: &mut Vec<u8>, text: &[u8]) -> Result<(), QuoteError> {
    line.extend_from_slice(b"command eval ");
    line.extend(quote(text)?);
    Ok(())
}

/// The bytes as printf's format, quoted. Everything but plain text is written as octal digits, because neither printf nor every
/// shell is sure to leave it alone; so is a `-` at the beginning, where options are looked for.
fn push_format(line: &mut Vec<u8>, bytes: &[u8]) {
    line.push(b'\'');
    for (index, &byte) in bytes.iter().enumerate() {
        match byte {
            b'-' if index == 0 => line.extend_from_slice(b"\\055"),
            b'\n' | b' '..=b'~' if !matches!(byte, b'\'' | b'\\' | b'%') => line.push(byte),
            _ => {
                let digit = |shift: u8| b'0' + (byte >> shift & 7);
                line.extend_from_slice(&[b'\\', digit(6), digit(3), digit(0)]);
            }
        }
    }
    line.push(b'\'');
}

/// Whether the text is one command of plain and quoted words, which no shell can misread: it then needs no `eval`, and a shell
/// becomes the program without starting another process for it.
fn is_simple(text: &[u8]) -> bool {
    let first = text.split(|byte| *byte == b' ').next().unwrap_or_default();
    if first.is_empty() || is_reserved(first) {
        return false;
    }
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        let fits = match byte {
            b'\'' => rest.any(|byte| *byte == b'\''),
            b'\\' => matches!(rest.next(), Some(b'\'' | b'\\')),
            b' ' => true,
            byte => byte.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(byte),
        };
        if !fits {
            return false;
        }
    }
    !text.contains(&0)
}

/// Whether the text is a builtin that changes nothing, with plain words: whether it runs in a subshell makes no difference then, as long
/// as nobody has made the name into something else.
#[must_use]
pub fn changes_nothing(text: &[u8]) -> bool {
    const BUILTINS: [&[u8]; 5] = [b":", b"true", b"false", b"echo", b"pwd"];
    let first = text.split(|byte| *byte == b' ').next().unwrap_or_default();
    BUILTINS.contains(&first) && is_simple(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::quoting::join;

    fn marker() -> Marker {
        Marker::new(*b"twelve bytes")
    }

    fn line(text: &str, place: Place<'_>) -> String {
        String::from_utf8(run_line(text.as_bytes(), place, &marker()).unwrap()).unwrap()
    }

    const END: &str = "command printf '%s%s %s\\n' dHdlbHZl IGJ5dGVz \"$?\" >&8; command printf '%s%s\\n' dHdlbHZl IGJ5dGVz >&9\n";

    #[test]
    fn the_shell_says_who_it_is() {
        assert_eq!(
            String::from_utf8(hello_line(&marker())).unwrap(),
            "exec 8>&1 9>&2; command printf '%s%s %s %s\\n' dHdlbHZl IGJ5dGVz \"$$\" \"$PPID\" >&8\n"
        );
    }

    #[test]
    fn plain_words_run_as_they_are_and_everything_else_is_evaluated() {
        let place = Place::Subshell { input: b"" };
        for (text, body) in [
            ("uname -a", "uname -a"),
            ("A=1 'two words' x\\'y", "A=1 'two words' x\\'y"),
            ("if", "command eval 'if'"),
            ("time ls", "command eval 'time ls'"),
            ("ls | wc", "command eval 'ls | wc'"),
            ("echo $HOME", "command eval 'echo $HOME'"),
            ("echo 'open", "command eval 'echo '\\''open'"),
            ("echo open\\", "command eval 'echo open'\\\\"),
            ("ls ~", "command eval 'ls ~'"),
            (" ls", "command eval ' ls'"),
            ("a\nb", "command eval 'a\nb'"),
            ("a # b", "command eval 'a # b'"),
        ] {
            let expected = format!("( {body} ) </dev/null 8>&- 9>&-; {END}");
            assert_eq!(line(text, place), expected);
        }
    }

    #[test]
    fn a_builtin_that_changes_nothing_is_told_from_what_might() {
        for text in [":", "true", "false x", "echo 'a b' c", "pwd -P"] {
            assert!(changes_nothing(text.as_bytes()), "{text}");
        }
        for text in [
            "cd /",
            "echo $X",
            "echo a > b",
            "echo a; cd /",
            ": ${X:=1}",
            "echo `id`",
            "/bin/true",
            "A=1",
            "echo 'open",
            " echo",
            "",
        ] {
            assert!(!changes_nothing(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn what_is_kept_is_evaluated_in_the_shell_itself() {
        assert_eq!(
            line("cd /", Place::Shell),
            format!("command eval 'cd /' </dev/null 8>&- 9>&-; {END}")
        );
    }

    #[test]
    fn input_is_written_so_that_every_byte_survives() {
        let place = Place::Subshell {
            input: b"a b\n%'\\\0\xff\t",
        };
        assert_eq!(
            line("cat", place),
            format!(
                "command printf 'a b\n\\045\\047\\134\\000\\377\\011' 2>/dev/null | ( cat ) 8>&- 9>&-; {END}"
            )
        );
    }

    #[test]
    fn input_that_begins_like_an_option_is_not_one() {
        let place = Place::Subshell { input: b"--a-" };
        let expected = format!("command printf '\\055-a-' 2>/dev/null | ( cat ) 8>&- 9>&-; {END}");
        assert_eq!(line("cat", place), expected);
    }

    #[test]
    fn a_nul_byte_is_refused_wherever_it_stands() {
        for text in ["a\0b", "'a\0b'", "$(\0)"] {
            assert!(run_line(text.as_bytes(), Place::Shell, &marker()).is_err());
            assert!(run_line(text.as_bytes(), Place::Subshell { input: b"" }, &marker()).is_err());
        }
    }

    proptest! {
        #[test]
        fn quoted_words_are_always_simple(words in prop::collection::vec("[^\\x00]{1,12}", 1..5)) {
            prop_assert!(is_simple(&join(&words).unwrap()));
        }

        #[test]
        fn the_whole_marker_never_stands_in_a_line(text in "[^\\x00]{0,40}", input in prop::collection::vec(any::<u8>(), 0..40)) {
            let whole = marker();
            for place in [Place::Subshell { input: &input }, Place::Shell] {
                let line = run_line(text.as_bytes(), place, &whole).unwrap();
                prop_assert!(!String::from_utf8_lossy(&line).contains(whole.text()));
            }
        }
    }
}
