//! The escape character of an interactive session: `~` at the beginning of a line, as in ssh(1).

/// What typed bytes ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Typed {
    /// Bytes for the other side.
    Send(Vec<u8>),
    /// `~.`: end the connection.
    Disconnect,
    /// `~?`: show what there is.
    Help,
}

/// What `~?` shows. A raw terminal needs both characters to end a line.
pub(super) const HELP: &str = "\r\nEscapes, at the beginning of a line:\r\n\
    ~.   disconnect\r\n\
    ~~   send one ~\r\n\
    ~?   this list\r\n";

/// Finds escapes byte by byte, wherever chunks begin and end.
#[derive(Debug)]
pub(super) struct Escapes {
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    LineStart,
    /// A `~` at the beginning of a line, held back until it is known what it means.
    Tilde,
    Inside,
}

impl Escapes {
    pub(super) fn new() -> Self {
        Self {
            state: State::LineStart,
        }
    }

    /// What the bytes ask for, in order. What was typed after a disconnect is dropped.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Vec<Typed> {
        let mut found = Vec::new();
        let mut send = Vec::new();
        for &byte in bytes {
            match (self.state, byte) {
                (State::LineStart, b'~') => {
                    self.state = State::Tilde;
                    continue;
                }
                (State::Tilde, b'.') => {
                    flush(&mut send, &mut found);
                    found.push(Typed::Disconnect);
                    return found;
                }
                (State::Tilde, b'?') => {
                    flush(&mut send, &mut found);
                    found.push(Typed::Help);
                    self.state = State::LineStart;
                    continue;
                }
                (State::Tilde, b'~') => {
                    send.push(b'~');
                    self.state = State::Inside;
                    continue;
                }
                (State::Tilde, _) => send.push(b'~'),
                (State::LineStart | State::Inside, _) => {}
            }
            send.push(byte);
            self.state = match byte {
                b'\r' | b'\n' => State::LineStart,
                _ => State::Inside,
            };
        }
        flush(&mut send, &mut found);
        found
    }
}

fn flush(send: &mut Vec<u8>, found: &mut Vec<Typed>) {
    if !send.is_empty() {
        found.push(Typed::Send(std::mem::take(send)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn typed(chunks: &[&str]) -> Vec<Typed> {
        let mut escapes = Escapes::new();
        chunks
            .iter()
            .flat_map(|chunk| escapes.read(chunk.as_bytes()))
            .collect()
    }

    fn send(text: &str) -> Typed {
        Typed::Send(text.as_bytes().to_vec())
    }

    #[test]
    fn a_tilde_and_a_dot_at_the_beginning_of_a_line_disconnect() {
        for chunks in [
            &["~."][..],
            &["~", "."],
            &["ls\r~."],
            &["ls\r", "~", ".rest"],
            &["ls\n~."],
        ] {
            assert_eq!(typed(chunks).last(), Some(&Typed::Disconnect), "{chunks:?}");
        }
    }

    #[test]
    fn elsewhere_a_tilde_is_only_a_tilde() {
        assert_eq!(typed(&["ls ~.\r"]), [send("ls ~.\r")]);
        assert_eq!(typed(&["~x.\r"]), [send("~x.\r")]);
        assert_eq!(typed(&["~~.\r"]), [send("~.\r")]);
        assert_eq!(typed(&["a\r~/bin\r"]), [send("a\r~/bin\r")]);
        // An arrow key after a tilde is three bytes, all of which arrive.
        assert_eq!(typed(&["~", "\x1b[A"]), [send("~\x1b[A")]);
        assert_eq!(typed(&["~\r", "~."]), [send("~\r"), Typed::Disconnect]);
    }

    #[test]
    fn help_sends_nothing_and_the_line_begins_anew() {
        assert_eq!(typed(&["~?", "~."]), [Typed::Help, Typed::Disconnect]);
    }

    proptest! {
        #[test]
        fn chunks_make_no_difference(text in "[~.?a\r]{0,12}", at in 0..12_usize) {
            let at = at.min(text.len());
            let joined = |chunks: &[&str]| {
                let mut sent = Vec::new();
                let mut other = Vec::new();
                for typed in typed(chunks) {
                    match typed {
                        Typed::Send(bytes) => sent.extend(bytes),
                        typed => other.push((sent.len(), typed)),
                    }
                    if matches!(other.last(), Some((_, Typed::Disconnect))) {
                        break;
                    }
                }
                (sent, other)
            };
            prop_assert_eq!(joined(&[&text]), joined(&[&text[..at], &text[at..]]));
        }
    }
}
