//! Secrets among the words of command lines in running text.

use super::line::{Part, Step};
use super::text::{PIPE, Scan};

/// How much of a word is looked at to see what it is.
const LONGEST_WORD: usize = 128;

/// How much of a command is looked at to see whether it reads a secret.
const READER: usize = 256;

impl Scan<'_> {
    pub(super) fn count_quotes(&mut self) {
        if !self.line.is_idle() {
            let read = self.text.slice(self.quoted, self.position);
            self.line.quotes(read);
        }
        self.quoted = self.position;
    }

    /// A word of a command line; whether it was a secret, or led to one.
    pub(super) fn word(&mut self, first: u8) -> bool {
        if !(first.is_ascii_alphanumeric() || b"-_./~\\$|;&".contains(&first)) {
            return false;
        }
        let start = self.position;
        let mut end = self.text.skip_up_to(start, LONGEST_WORD, |byte| {
            !byte.is_ascii_whitespace() && byte != b'`'
        });
        while !self.text.0.is_char_boundary(end) {
            end -= 1;
        }
        let whole = self.text.slice(start, end);
        let word = whole.trim_end_matches(['\'', '"', ',', ';', ')', ']', '}', '\\']);
        self.count_quotes();
        let step = match word.is_empty() {
            true => Step::Nothing,
            false => self.line.word(word),
        };
        let taken = match step {
            Step::Nothing => matches!(word, "echo" | "printf") && self.piped(end),
            Step::Here(at, part) => self.value_in_word(start, at, part),
            Step::Next(part) => self.next_word(start + word.len(), part),
        };
        if matches!(whole, "|" | "||" | "&&" | "&" | ";") || whole.ends_with(';') {
            self.line.quotes(self.text.slice(self.quoted, end));
            self.quoted = end;
            self.line.end();
        }
        taken
    }

    /// A secret from some place in a word on.
    fn value_in_word(&mut self, start: usize, at: usize, part: Part) -> bool {
        let quote = self.text.before(start).filter(|byte| b"\"'".contains(byte));
        let (from, to) = match quote {
            // The word stands in quotes, and so does what follows the first blank in it.
            Some(_) => {
                let quote = start - 1;
                let opening = self.text.skip_back(quote, |byte| byte == b'\\');
                let (from, to) = self.text.value(opening);
                (from.max(start) + at, to)
            }
            None => {
                let (from, to) = self.text.value(start + at);
                match at {
                    0 => (from, to),
                    // The quotes are a part of the word.
                    _ => (start + at, to.max(start + at)),
                }
            }
        };
        self.take(part, from, to)
    }

    /// A secret in the word behind a place.
    fn next_word(&mut self, at: usize, part: Part) -> bool {
        let closed = self.text.skip(at, |byte| b"\\\"',".contains(&byte));
        let in_list = self.text.slice(at, closed).contains(',');
        let from = self.text.skip(closed, |byte| {
            byte == b' ' || byte == b'\t' || (in_list && byte.is_ascii_whitespace())
        });
        // A line that goes on in the next one.
        let from = match self.text.from(from).strip_prefix("\\\n") {
            Some(_) => self.text.blanks(from + 2),
            None => from,
        };
        if from == closed && !in_list {
            return false;
        }
        let is_value = self
            .text
            .byte(from)
            .is_some_and(|byte| !byte.is_ascii_whitespace() && !b"-|;&<>)".contains(&byte));
        if !is_value {
            return false;
        }
        let (value, end) = self.text.value(from);
        if part == Part::Typed
            && end - value == 1
            && self.text.byte(value).is_some_and(|b| b.is_ascii_digit())
        {
            let next = self.text.blanks(end);
            let (value, end) = self.text.value(next);
            return next > from + 1 && self.take(Part::Whole, value, end);
        }
        self.take(part, value, end)
    }

    pub(super) fn take(&mut self, part: Part, from: usize, to: usize) -> bool {
        match part.span(self.text.0, from, to) {
            Some(span) => {
                self.replace(span.from, span.to);
                true
            }
            None => false,
        }
    }

    /// `echo secret | sudo -S ...`.
    fn piped(&mut self, at: usize) -> bool {
        let end = self.text.skip_up_to(at, PIPE, |byte| !b"\r\n".contains(&byte));
        let rest = self.text.0.as_bytes().get(at..end).unwrap_or_default();
        let mut quote = None;
        let bar = rest.iter().position(|byte| match (quote, byte) {
            (None, b'\'' | b'"') => {
                quote = Some(*byte);
                false
            }
            (Some(open), _) => {
                quote = Some(open).filter(|open| open != byte);
                false
            }
            (None, byte) => *byte == b'|',
        });
        // With a quote that stays open any of them may be the one.
        let bar = bar.or_else(|| rest.iter().rposition(|byte| *byte == b'|'));
        let Some(bar) = bar else {
            return false;
        };
        if is_another_command(rest.get(..bar).unwrap_or_default()) {
            return false;
        }
        let reader = rest.get(bar..).unwrap_or_default();
        if !reads_secret(reader.get(..READER).unwrap_or(reader)) {
            return false;
        }
        let mut from = self.text.blanks(at);
        for option in ["-n ", "-e ", "-ne ", "-en ", "-- "] {
            if self.text.from(from).starts_with(option) {
                from = self.text.blanks(from + option.len());
            }
        }
        let to = self.text.skip_back(at + bar, |byte| byte == b' ');
        if from < to {
            self.replace(from, to);
        }
        from < to
    }

    /// `sudo -S ... <<< secret`.
    pub(super) fn here_string(&mut self) -> bool {
        let start = self.position.saturating_sub(READER);
        let before = self
            .text
            .0
            .as_bytes()
            .get(start..self.position)
            .unwrap_or_default();
        let line = before.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        let from = self.text.blanks(self.position + 3);
        if !reads_secret(line) {
            return false;
        }
        let (from, to) = self.text.value(from);
        if from < to {
            self.replace(from, to);
        }
        from < to
    }
}

/// Whether a command ends in this, so that what is behind belongs to another one. Within parentheses, braces or a loop, which end in it
/// without having begun there, all commands write to the same pipe.
fn is_another_command(words: &[u8]) -> bool {
    let mut quote = None;
    let mut depth = 0_usize;
    let mut has_ended = false;
    let mut word = 0;
    for (at, byte) in words.iter().enumerate() {
        match (quote, byte) {
            (None, b'\'' | b'"') => quote = Some(*byte),
            (Some(open), _) => quote = Some(open).filter(|open| open != byte),
            // Inside of a word they are a part of it.
            (None, b'(' | b'{') => {
                depth += usize::from(at == word || words.get(word..at).is_some_and(|w| w.ends_with(b"$")))
            }
            (None, b')' | b'}') => match depth.checked_sub(1) {
                Some(outer) => depth = outer,
                None => return false,
            },
            (None, b';') => has_ended |= !words.get(..at).is_some_and(|before| before.ends_with(b"\\")),
            // `2>&1` and `\&` end nothing.
            (None, b'&') => {
                let before = at.checked_sub(1).and_then(|before| words.get(before));
                has_ended |=
                    !before.is_some_and(|byte| b">\\".contains(byte)) && words.get(at + 1) != Some(&b'>');
            }
            _ => {}
        }
        if byte.is_ascii_whitespace() || b";&".contains(byte) {
            word = at + 1;
        } else if quote.is_none()
            && matches!(words.get(word..=at), Some(b"done" | b"fi" | b"esac"))
            && words.get(at + 1).is_none_or(u8::is_ascii_whitespace)
        {
            return false;
        }
    }
    // In an open quote nothing is certain.
    has_ended && quote.is_none()
}

/// Whether a command line has a program in it that reads a secret from its standard input.
fn reads_secret(line: &[u8]) -> bool {
    const READERS: &[&str] = &[
        "chpasswd",
        "smbpasswd",
        "--stdin",
        "-stdin",
        "--with-token",
        "passphrase-fd",
        "kinit",
        "cryptsetup",
        "secret set",
        "secret put",
        "secret create",
        "versions add",
        "pass insert",
        "passwd",
        "sudo -S",
        "sudo -kS",
        "sudo -SE",
        "su -",
        "su root",
        "vncpasswd",
    ];
    let line = String::from_utf8_lossy(line);
    READERS.iter().any(|reader| line.contains(reader)) || (line.contains("sudo ") && line.contains(" -S"))
}
