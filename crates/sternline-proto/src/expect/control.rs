//! Taking control sequences out of text that arrives in pieces.

/// Leaves of a terminal's output what a person would read.
///
/// Removed are the sequences that begin with escape or its 8-bit forms (ECMA-48: CSI, OSC, DCS and their kin, character
/// sets, all others), and control characters other than line feed and tab. Carriage returns stay only within a line, where
/// they begin it anew. Where a character was struck over with itself or with an underscore, as manual pages do for bold and
/// underlined text, it stands once. Any other backspace is only dropped: what it would overwrite stays, as output may have
/// been matched already.
///
/// A sequence that never ends hides no more than a bounded part of the output: CSI 256 characters, OSC a line, others 1 MiB.
#[derive(Debug, Clone, Default)]
pub struct ControlFilter {
    state: State,
    /// How much of a sequence has been passed over.
    length: usize,
    pen: Pen,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    Escape,
    /// Escape and intermediate characters, before the final one.
    Intermediate,
    Csi,
    Osc,
    /// DCS, SOS, PM and APC: everything to the string terminator.
    Text,
    /// An escape inside `Osc` or `Text`, which may begin the terminator.
    TextEscape,
}

const LONGEST_CSI: usize = 256;
const LONGEST_OSC: usize = 4096;
const LONGEST_TEXT: usize = 1024 * 1024;

impl ControlFilter {
    /// A filter at the beginning of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The text without its control sequences, all at once.
    #[must_use]
    pub fn strip(text: &str) -> String {
        let mut filter = Self::new();
        let mut out = String::with_capacity(text.len());
        filter.push(text, &mut out);
        filter.finish(&mut out);
        out
    }

    /// Appends what is left of the next text. A carriage return or an underscore at its end waits for what follows.
    pub fn push(&mut self, text: &str, out: &mut String) {
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            if self.state == State::Ground {
                let plain = rest.bytes().position(is_special).unwrap_or(rest.len());
                if plain > 0 {
                    let (run, after) = rest.split_at(plain);
                    self.pen.write(run, out);
                    rest = after;
                    continue;
                }
            }
            self.control(first, out);
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
        }
    }

    /// Whether [`ControlFilter::settle`] would give something.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.pen.held == Some(Held::Underscore)
    }

    /// Gives what waited, as nothing follows for a while: an underscore, but no carriage return.
    pub fn settle(&mut self, out: &mut String) {
        if self.pen.held == Some(Held::Underscore) {
            self.pen.release(out);
        }
    }

    /// The end of the stream: gives all that waited.
    pub fn finish(&mut self, out: &mut String) {
        self.pen.release(out);
        *self = Self::default();
    }

    /// One character that is special, or part of a sequence.
    fn control(&mut self, c: char, out: &mut String) {
        let next = match (self.state, c) {
            // Cancel and substitute end whatever was going on.
            (_, '\x18' | '\x1a') => State::Ground,
            (State::Osc | State::Text, '\x1b') => State::TextEscape,
            (_, '\x1b') => State::Escape,
            (State::TextEscape, '\\') => State::Ground,
            (State::Escape | State::TextEscape, _) => self.after_escape(c, out),
            (State::Intermediate, ' '..='/') => State::Intermediate,
            (State::Intermediate, '0'..='~') => State::Ground,
            (State::Csi, '\x20'..='\x3f') => self.unless_longer(LONGEST_CSI),
            (State::Csi, '@'..='~') => State::Ground,
            (State::Osc | State::Text, '\x07' | '\u{9c}') => State::Ground,
            (State::Osc, '\n') => {
                self.pen.write("\n", out);
                State::Ground
            }
            (State::Osc, _) => self.unless_longer(LONGEST_OSC),
            (State::Text, _) => self.unless_longer(LONGEST_TEXT),
            // A terminal obeys a control character in the middle of a sequence, and goes on with that.
            (state @ (State::Csi | State::Intermediate), '\0'..='\x1f') => {
                self.pen.control(c, out);
                state
            }
            (State::Ground | State::Csi | State::Intermediate, '\u{90}' | '\u{98}' | '\u{9e}' | '\u{9f}') => {
                State::Text
            }
            (State::Ground | State::Csi | State::Intermediate, '\u{9b}') => State::Csi,
            (State::Ground | State::Csi | State::Intermediate, '\u{9d}') => State::Osc,
            (State::Ground | State::Csi | State::Intermediate, _) => {
                self.pen.control(c, out);
                State::Ground
            }
        };
        if next != self.state {
            self.length = 0;
        }
        self.state = next;
    }

    fn after_escape(&mut self, c: char, out: &mut String) -> State {
        match c {
            '[' => State::Csi,
            ']' => State::Osc,
            'P' | 'X' | '^' | '_' => State::Text,
            ' '..='/' => State::Intermediate,
            '0'..='~' => State::Ground,
            _ => {
                self.pen.control(c, out);
                State::Ground
            }
        }
    }

    fn unless_longer(&mut self, longest: usize) -> State {
        self.length += 1;
        if self.length > longest {
            State::Ground
        } else {
            self.state
        }
    }
}

/// Whether something other than copying has to be done from this byte on. 0xc2 leads the 8-bit control characters, and some
/// others that are then copied one by one.
fn is_special(byte: u8) -> bool {
    (byte < b' ' && byte != b'\n' && byte != b'\t') || byte == 0x7f || byte == 0xc2
}

/// What is written, and what is not yet.
#[derive(Debug, Clone, Default)]
struct Pen {
    held: Option<Held>,
    /// The last character that was written or is held.
    last: Option<char>,
    /// A backspace went before; what it stepped back over.
    over: Option<char>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    /// Dropped when a line feed follows.
    Return,
    /// Dropped when it turns out to be an underline.
    Underscore,
}

impl Pen {
    /// A run of characters without control characters other than tabs.
    fn write(&mut self, run: &str, out: &mut String) {
        let mut run = run;
        while let (Some(over), Some(first)) = (self.over.take(), run.chars().next()) {
            let rest = run.get(first.len_utf8()..).unwrap_or_default();
            if over == '_' && self.held == Some(Held::Underscore) {
                self.held = None;
            } else if first == over || first == '_' || first == ' ' {
                run = rest;
            }
        }
        let Some(last) = run.chars().next_back() else {
            return;
        };
        if run.starts_with('\n') && self.held == Some(Held::Return) {
            self.held = None;
        }
        self.release(out);
        self.last = Some(last);
        match run.strip_suffix('_') {
            Some(run) => {
                self.held = Some(Held::Underscore);
                out.push_str(run);
            }
            None => out.push_str(run),
        }
    }

    /// A control character outside of a sequence, or a character that only looked like one.
    fn control(&mut self, c: char, out: &mut String) {
        match c {
            '\r' => {
                if self.held == Some(Held::Underscore) {
                    self.release(out);
                }
                self.over = None;
                self.held = Some(Held::Return);
            }
            '\x08' => self.over = self.last,
            '\n' | '\t' => self.write(c.encode_utf8(&mut [0; 4]), out),
            c if c.is_control() => {}
            c => self.write(c.encode_utf8(&mut [0; 4]), out),
        }
    }

    fn release(&mut self, out: &mut String) {
        match self.held.take() {
            // At the beginning of a line it changes nothing.
            Some(Held::Return) if matches!(self.last, None | Some('\n')) => {}
            Some(Held::Return) => out.push('\r'),
            Some(Held::Underscore) => out.push('_'),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_person_would_read_is_left() {
        for (raw, left) in [
            ("plain\ttext\n", "plain\ttext\n"),
            ("\x1b[1;31mred\x1b[0m!", "red!"),
            ("\x1b[?2004h$ \x1b[K", "$ "),
            ("\x1b]0;a title\x07$ ", "$ "),
            ("\x1b]0;a title\x1b\\$ ", "$ "),
            ("\x1b(B\x1b)0\x1b#8\x1b=ok\x0e\x0f", "ok"),
            ("\x1bP1$r0m\x1b\\x\x1b_apc\x1b\\y", "xy"),
            ("\u{9b}31mred\u{9d}t\u{9c}!\u{85}", "red!"),
            ("a\r\nb\r\r\nc\rd\r", "a\nb\nc\rd\r"),
            ("a\r\x1b[K\nb", "a\nb"),
            ("\ra\r\n\rb\n\r", "a\nb\n"),
            ("b\x08bo\x08ol\x08ld\x08d", "bold"),
            ("_\x08u_\x08n", "un"),
            ("u\x08_n\x08_", "un"),
            ("_\x08__\x08_", "__"),
            ("lsx\x08 \x08", "lsx"),
            ("snake_case _", "snake_case _"),
            ("\x07bell\0\x7f", "bell"),
            ("£ and é and \u{a0}", "£ and é and \u{a0}"),
            ("\x1b[31\nmred", "\nred"),
            ("\x1b]0;no end\nnext", "\nnext"),
            ("\x1b[31\x18m", "m"),
            ("\x1b\x1b[1mx", "x"),
            ("\x1b", ""),
        ] {
            assert_eq!(ControlFilter::strip(raw), left, "{raw:?}");
        }
    }

    #[test]
    fn a_sequence_without_an_end_hides_a_bounded_part() {
        let long = format!("\x1b[{}x", "1".repeat(LONGEST_CSI + 1));
        assert_eq!(ControlFilter::strip(&long), "x");
        let long = format!("\x1b]{}x", "1".repeat(LONGEST_OSC + 1));
        assert_eq!(ControlFilter::strip(&long), "x");
    }

    #[test]
    fn a_prompt_does_not_wait_for_what_follows_it() {
        let mut filter = ControlFilter::new();
        let mut out = String::new();
        filter.push("\x1b[1mPassword: \x1b[0m", &mut out);
        assert_eq!(out, "Password: ");
        filter.push("a_", &mut out);
        assert_eq!(out, "Password: a");
        filter.settle(&mut out);
        assert_eq!(out, "Password: a_");
        filter.push("\r", &mut out);
        filter.settle(&mut out);
        assert_eq!(out, "Password: a_");
    }

    fn piece() -> impl Strategy<Value = String> {
        let parts = [
            "\x1b", "[", "]", "3", "m", "\r", "\n", "\x08", "_", "a", "b", " ", "é", "\u{9b}", "\u{9c}",
            "\x07", "\\", "P", "(", "£", "\x18", "\t",
        ];
        prop::collection::vec(prop::sample::select(parts.to_vec()), 0..5).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_text(pieces in prop::collection::vec(piece(), 0..14)) {
            let mut filter = ControlFilter::new();
            let mut out = String::new();
            for piece in &pieces {
                filter.push(piece, &mut out);
            }
            filter.finish(&mut out);
            prop_assert_eq!(out, ControlFilter::strip(&pieces.concat()));
        }

        #[test]
        fn no_control_character_is_left_but_white_space(text in "\\PC*[\\x00-\\xa0]*\\PC*[\\x00-\\x1f]*") {
            let left = ControlFilter::strip(&text);
            prop_assert!(!left.chars().any(|c| c.is_control() && !"\n\t\r".contains(c)), "{:?}", left);
        }
    }
}
