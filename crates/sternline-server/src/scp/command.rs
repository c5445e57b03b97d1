//! The command lines that scp programs send.

use bytes::Bytes;

use super::glob::WILD;

/// What a client asks the server's `scp` for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScpCommand {
    pub(super) direction: Direction,
    /// `-r`: directories as well.
    pub(super) recursive: bool,
    /// `-p`: times and modes as they are at the source.
    pub(super) preserve: bool,
    /// `-d`: the target has to be a directory.
    pub(super) directory: bool,
    /// As a shell would hand them on, but with a mark before each wildcard.
    pub(super) paths: Vec<Bytes>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// `-t`: the server receives.
    Sink,
    /// `-f`: the server sends.
    Source,
}

impl ScpCommand {
    /// Reads a command line; `None` when it is not exactly what a program that speaks the protocol sends, and somebody else
    /// may know what it is.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        let mut words = words(line)?.into_iter();
        let program = words.next()?;
        if program.rsplit(|&byte| byte == b'/').next() != Some(b"scp") {
            return None;
        }
        let mut direction = None;
        let (mut recursive, mut preserve, mut directory) = (false, false, false);
        let mut paths = Vec::new();
        while let Some(word) = words.next() {
            match word.strip_prefix(b"-") {
                Some(b"-") => paths.extend(words.by_ref()),
                Some(letters) if paths.is_empty() && !letters.is_empty() => {
                    for letter in letters {
                        match letter {
                            b't' if direction.is_none() => direction = Some(Direction::Sink),
                            b'f' if direction.is_none() => direction = Some(Direction::Source),
                            b'r' => recursive = true,
                            b'p' => preserve = true,
                            b'd' => directory = true,
                            b'v' | b'q' => {}
                            _ => return None,
                        }
                    }
                }
                _ => paths.push(word),
            }
        }
        let direction = direction?;
        let enough = match direction {
            Direction::Sink => paths.len() == 1,
            Direction::Source => !paths.is_empty(),
        };
        let or_here = |path: Vec<u8>| if path.is_empty() { b".".to_vec() } else { path };
        enough.then(|| Self {
            direction,
            recursive,
            preserve,
            directory,
            paths: paths.into_iter().map(or_here).map(Bytes::from).collect(),
        })
    }
}

/// Splits a line into words as a POSIX shell does. `None` when it asks for more of the shell than quotes, backslashes, wildcards
/// and one's own home directory: what is expanded elsewhere is not guessed here.
fn words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    // No command line that a shell could run holds one, and here it marks a wildcard.
    if line.contains(&WILD) {
        return None;
    }
    let mut words = Vec::new();
    // `None` between words.
    let mut word: Option<Vec<u8>> = None;
    let mut bytes = line.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b' ' | b'\t' => words.extend(word.take()),
            b'\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match bytes.next()? {
                        b'\'' => break,
                        byte => word.push(byte),
                    }
                }
            }
            b'"' => {
                let word = word.get_or_insert_default();
                loop {
                    match bytes.next()? {
                        b'"' => break,
                        b'$' | b'`' => return None,
                        b'\\' => match bytes.next()? {
                            b'\n' => {}
                            escaped @ (b'$' | b'`' | b'"' | b'\\') => word.push(escaped),
                            other => word.extend([b'\\', other]),
                        },
                        byte => word.push(byte),
                    }
                }
            }
            b'\\' => match bytes.next()? {
                b'\n' => {}
                byte => word.get_or_insert_default().push(byte),
            },
            b'~' if word.is_none() && matches!(bytes.peek(), None | Some(b'/' | b' ' | b'\t')) => {
                // Home is where every path begins.
                word = Some(b".".to_vec());
            }
            b'#' if word.is_none() => return None,
            b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')' | b'$' | b'`' | b'\n' => return None,
            wildcard @ (b'*' | b'?' | b'[') => word.get_or_insert_default().extend([WILD, wildcard]),
            byte => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sternline_proto::quoting::quote;

    #[test]
    fn the_command_lines_of_scp_programs_are_read() {
        use Direction::{Sink, Source};
        for (line, direction, options, path) in [
            (&b"scp -t /tmp/x"[..], Sink, "", &b"/tmp/x"[..]),
            (b"scp -f /tmp/x", Source, "", b"/tmp/x"),
            (b"scp -v -r -p -d -t -- -odd", Sink, "rpd", b"-odd"),
            (b"scp -rpf 'a b'", Source, "rp", b"a b"),
            (b"/usr/bin/scp -qt \"a\\\"b\\c\"", Sink, "", b"a\"b\\c"),
            (b"scp -t it\\'s\\ here", Sink, "", b"it's here"),
            (b"scp -t ~", Sink, "", b"."),
            (b"scp -f ~/x/y", Source, "", b"./x/y"),
            (b"scp -f '~'", Source, "", b"~"),
            (b"scp -f a~", Source, "", b"a~"),
            (b"scp -t ''", Sink, "", b"."),
            (b"scp -t '*;|'", Sink, "", b"*;|"),
            (b"scp -f a/*.[ch]", Source, "", b"a/\0*.\0[ch]"),
            (b"scp -f caf\xe9\t", Source, "", b"caf\xe9"),
        ] {
            let shown = line.escape_ascii();
            let parsed = ScpCommand::parse(line).unwrap_or_else(|| panic!("not read: {shown}"));
            assert_eq!(
                (parsed.direction, &parsed.paths[..]),
                (direction, &[Bytes::copy_from_slice(path)][..]),
                "{shown}"
            );
            let given = [
                (parsed.recursive, 'r'),
                (parsed.preserve, 'p'),
                (parsed.directory, 'd'),
            ];
            let given: String = given
                .iter()
                .filter(|(given, _)| *given)
                .map(|(_, letter)| *letter)
                .collect();
            assert_eq!(given, options, "{shown}");
        }
        let two = ScpCommand::parse(b"scp -f a b").unwrap();
        assert_eq!(two.paths, ["a", "b"]);
    }

    #[test]
    fn everything_else_is_left_to_others() {
        for line in [
            &b""[..],
            b"ls -t x",
            b"scp",
            b"scp x y",
            b"scp -t",
            b"scp -f",
            b"scp -t a b",
            b"scp -t -f x",
            b"scp -tf x",
            b"scp -S prog -t x",
            b"scp -t x; rm y",
            b"scp -t $HOME",
            b"scp -t \"$HOME\"",
            b"scp -f `id`",
            b"scp -t a\0b",
            b"scp -f 'a\0*'",
            b"scp -f x > y",
            b"scp -t 'open",
            b"scp -t \"open",
            b"scp -t x\\",
            b"xscp -t x",
            b"scp -t x # y",
        ] {
            assert_eq!(ScpCommand::parse(line), None, "{}", line.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn a_path_that_was_quoted_for_a_shell_is_read_as_it_was(path in proptest::collection::vec(1_u8.., 1..40)) {
            let line = [b"scp -r -t -- ".to_vec(), quote(&path).unwrap()].concat();
            prop_assert_eq!(ScpCommand::parse(&line).unwrap().paths, [Bytes::from(path)]);
        }

        #[test]
        fn any_line_is_read_or_left_without_panic(line in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = ScpCommand::parse(&line);
        }
    }
}
