//! Where a value in running text begins and ends.

/// How much of a line in front of a quote is looked at to see whether that is a closing one.
const NEAR: usize = 512;

/// A text that is looked at by byte positions.
#[derive(Clone, Copy)]
pub(super) struct Text<'a>(pub(super) &'a str);

impl<'a> Text<'a> {
    pub(super) fn len(self) -> usize {
        self.0.len()
    }

    pub(super) fn byte(self, at: usize) -> Option<u8> {
        self.0.as_bytes().get(at).copied()
    }

    pub(super) fn before(self, at: usize) -> Option<u8> {
        self.byte(at.checked_sub(1)?)
    }

    /// Empty when an end is out of range or inside a character; neither happens, as every end is beside an ASCII byte.
    pub(super) fn slice(self, from: usize, to: usize) -> &'a str {
        self.0.get(from..to).unwrap_or_default()
    }

    /// Inside a character of several bytes there is nothing to find.
    pub(super) fn from(self, at: usize) -> &'a str {
        self.0.get(at..).unwrap_or_default()
    }

    /// The first position from `at` on whose byte does not satisfy `wanted`.
    pub(super) fn skip(self, at: usize, mut wanted: impl FnMut(u8) -> bool) -> usize {
        let rest = self.0.as_bytes().get(at..).unwrap_or_default();
        at + rest.iter().position(|&byte| !wanted(byte)).unwrap_or(rest.len())
    }

    /// As [`Text::skip`], but not further than this.
    pub(super) fn skip_up_to(self, at: usize, most: usize, wanted: impl Fn(u8) -> bool) -> usize {
        let end = self.len().min(at + most);
        let rest = self.0.as_bytes().get(at..end).unwrap_or_default();
        at + rest.iter().position(|&byte| !wanted(byte)).unwrap_or(rest.len())
    }

    /// The last position up to `at` in front of which a byte does not satisfy `wanted`.
    pub(super) fn skip_back(self, at: usize, mut wanted: impl FnMut(u8) -> bool) -> usize {
        let before = self.0.as_bytes().get(..at).unwrap_or_default();
        before
            .iter()
            .rposition(|&byte| !wanted(byte))
            .map_or(0, |last| last + 1)
    }

    pub(super) fn blanks(self, at: usize) -> usize {
        self.skip(at, |byte| byte == b' ' || byte == b'\t')
    }

    /// The end of the line.
    pub(super) fn line_end(self, at: usize) -> usize {
        self.skip(at, |byte| !b"\r\n".contains(&byte))
    }

    /// Where the value at `start` begins and ends, without the quotes where they surround it simply.
    pub(super) fn value(self, start: usize) -> (usize, usize) {
        if self.closes(start) {
            return (start, start);
        }
        let everything = (start, self.len());
        let quote = self.skip(start, |b| b == b'\\');
        let backslashes = quote - start;
        let mark = match self.byte(quote) {
            Some(mark @ (b'\'' | b'"')) => mark,
            _ => return self.plain(start),
        };
        // JSON inside JSON has 1, 3, 7 backslashes before a double quote; anything else is a word of a shell.
        if backslashes > 0 && (mark == b'\'' || backslashes.is_multiple_of(2)) {
            return self.shell_word_end(start).map_or(everything, |end| (start, end));
        }
        if self.from(start).starts_with(r"'\") {
            return self.nested(start).unwrap_or(everything);
        }
        let Some(close) = self.closing(quote + 1, mark, backslashes) else {
            return everything;
        };
        match self.shell_word_end(close + 1) {
            Some(end) if end == close + 1 => (quote + 1, close - backslashes),
            Some(end) => (start, end),
            None => everything,
        }
    }

    /// Whether the quote here ends what began earlier in the line, as in `grep 'password:' file`, where no value follows. That
    /// is so when an odd number of its kind stands before it, and behind it something that does not begin a value.
    pub(super) fn closes(self, start: usize) -> bool {
        let quote = self.skip(start, |byte| byte == b'\\');
        let Some(mark) = self.byte(quote).filter(|byte| b"'\"".contains(byte)) else {
            return false;
        };
        let behind = self.byte(quote + 1);
        if behind.is_some_and(|byte| !byte.is_ascii_whitespace() && !b",;:.?!)]}|&<>\\\"'`".contains(&byte))
            || behind == Some(mark)
        {
            return false;
        }
        // A word in quotes goes on with a quote of its own, which may begin a value.
        let nested = self.quotes(start);
        if nested.starts_with(r"'\'") && nested.len() > 3 {
            let behind = self.byte(start + nested.len());
            if behind.is_some_and(|byte| !byte.is_ascii_whitespace() && !b",;)|&<>".contains(&byte)) {
                return false;
            }
        }
        let near = start.saturating_sub(NEAR);
        let before = self.0.as_bytes().get(near..start).unwrap_or_default();
        let line = match before.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => near + end + 1,
            None if near == 0 => 0,
            // Of a longer line it is not known what is open.
            None => return false,
        };
        let is_mark = |at: &usize| {
            let is_word = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
            let is_apostrophe = mark == b'\'' && is_word(self.before(*at)) && is_word(self.byte(*at + 1));
            self.byte(*at) == Some(mark)
                && !is_apostrophe
                && at - self.skip_back(*at, |byte| byte == b'\\') == quote - start
        };
        (line..start).filter(is_mark).count() % 2 == 1
    }

    /// Quoting inside quoting, as in `'\''`: where the value ends depends on all the levels around it, which the run of quotes and
    /// backslashes at its beginning tells of. The same run ends the value, or the first part of that, where a word of a level around it
    /// ends as well.
    fn nested(self, start: usize) -> Option<(usize, usize)> {
        let opening = self.quotes(start);
        let from = start + opening.len();
        let mut at = from;
        loop {
            let to = self.skip(at, |byte| !b"'\\".contains(&byte));
            let closing = self.quotes(to);
            if closing.is_empty() {
                return None;
            }
            at = to + closing.len();
            if opening.starts_with(closing) {
                let ends = |byte: u8| byte.is_ascii_whitespace() || b",;:&|<>(){}[]".contains(&byte);
                return self.byte(at).is_none_or(ends).then_some((from, to));
            }
        }
    }

    /// The run of single quotes and backslashes at a place.
    fn quotes(self, at: usize) -> &'a str {
        self.slice(at, self.skip(at, |byte| b"'\\".contains(&byte)))
    }

    /// A value without quotes round it: up to a blank, unless that stands in quotes that begin inside.
    fn plain(self, start: usize) -> (usize, usize) {
        let end = self.skip(start, |b| !b.is_ascii_whitespace());
        let word = self.slice(start, end);
        let is_open = |mark: u8| word.bytes().filter(|byte| *byte == mark).count() % 2 == 1;
        if (is_open(b'\'') || is_open(b'"') || word.ends_with('\\'))
            && let Some(end) = self.shell_word_end(start)
        {
            return (start, end);
        }
        (start, start + word.trim_end_matches([',', '}']).len())
    }

    /// The position of the next `mark` with exactly as many backslashes in front as the opening one had.
    pub(super) fn closing(self, from: usize, mark: u8, backslashes: usize) -> Option<usize> {
        let mut run = 0;
        let mut at = from;
        loop {
            match self.byte(at)? {
                b'\\' => run += 1,
                byte if byte == mark && run == backslashes => return Some(at),
                _ => run = 0,
            }
            at += 1;
        }
    }

    /// The end of a word that may go on behind a quoted part, as `'it'\''s'` does; nothing if a quote stays open.
    fn shell_word_end(self, from: usize) -> Option<usize> {
        if self
            .byte(from)
            .is_some_and(|byte| b",;:&|<>(){}[]".contains(&byte))
        {
            return Some(from);
        }
        let mut at = from;
        while let Some(byte) = self.byte(at) {
            match byte {
                b'\\' => at += 2,
                b'\'' | b'"' => at = self.closing(at + 1, byte, 0)? + 1,
                _ if byte.is_ascii_whitespace() => return Some(at),
                _ => at += 1,
            }
        }
        Some(self.len())
    }
}
