//! Secrets in running text.

use std::borrow::Cow;

use super::line::{Line, Part, Step};
use super::name::is_secret;
use super::span::{Span, apply};
use super::token::{self, is_basic_credential, is_public_label, looks_random};
use super::value::Text;
use super::{REDACTED_KEY, block};

/// How far the two halves of `name: X`, `value: Y` may stand apart.
const PAIR: usize = 256;

/// How much of a line is looked at for the program that a secret is piped into, or for the end of a URL.
const PIPE: usize = 4096;

/// How much of a word is looked at to see what it is.
const LONGEST_WORD: usize = 128;

/// The text without its secrets; borrowed when there was nothing to take away.
///
/// Replaced are the values in `password=x`, `token: x`, `"api_key": "x"` and the like, whatever the name's case or
/// prefix; what follows `--password`, and the options of well-known tools that hold a secret, such as `mysql -px`; the
/// credentials of an `Authorization:` header and of cookies; the password in `scheme://user:password@host`; private
/// keys in PEM, OpenSSH or PuTTY form, to the end of the text where the last line is missing; tokens that are known by
/// their form; and long texts in base64, unless they are public keys or certificates. Linear in time.
#[must_use]
pub fn redact_string(text: &str) -> Cow<'_, str> {
    settled(text, |text| apply(text, spans(text)))
}

/// Replaces until nothing is left to replace: what stands in a secret's place may make clear that more belonged to it.
/// Most texts need one pass, those with a secret in them two.
pub(super) fn settled<'a>(text: &'a str, replace: impl for<'b> Fn(&'b str) -> Cow<'b, str>) -> Cow<'a, str> {
    const MOST: usize = 8;
    let Cow::Owned(mut settled) = replace(text) else {
        return Cow::Borrowed(text);
    };
    for _ in 1..MOST {
        match replace(&settled) {
            Cow::Owned(next) => settled = next,
            Cow::Borrowed(_) => break,
        }
    }
    Cow::Owned(settled)
}

/// What [`redact_string`] replaces.
pub(super) fn spans(text: &str) -> Vec<Span> {
    let mut scan = Scan {
        text: Text(text),
        position: 0,
        found: Vec::new(),
        line: Line::default(),
        quoted: 0,
        pair: 0,
    };
    scan.run();
    let mut found = scan.found;
    token::spans(text, &mut found);
    found
}

/// A place in the text, and what has been found up to there.
struct Scan<'a> {
    text: Text<'a>,
    /// Where to look next.
    position: usize,
    found: Vec<Span>,
    line: Line,
    /// How far the quotes of the command line have been counted.
    quoted: usize,
    /// Up to where a field called `value` belongs to a name that announces a secret.
    pair: usize,
}

impl Scan<'_> {
    fn run(&mut self) {
        while let Some(byte) = self.text.byte(self.position) {
            match byte {
                b'-' if self.text.from(self.position).starts_with("---") && self.block() => continue,
                b'<' if self.text.from(self.position).starts_with("<<<") && self.here_string() => continue,
                b'\n' => self.line_break(),
                b':' if self.text.from(self.position).starts_with("://") => {
                    self.url();
                    continue;
                }
                _ => {}
            }
            let begins_word = self
                .text
                .before(self.position)
                .is_none_or(|before| before.is_ascii_whitespace() || b"\"'`(|;&".contains(&before));
            if begins_word && self.word(byte) {
                continue;
            }
            match byte.is_ascii_alphanumeric() || byte == b'_' {
                true => self.name(),
                false => self.position += 1,
            }
        }
    }

    fn replace(&mut self, from: usize, to: usize) {
        self.found.push(Span::new(from, to));
        self.position = to;
    }

    /// A private key goes, what is public is passed over.
    fn block(&mut self) -> bool {
        let text = self.text.from(self.position);
        let Some(frame) = block::pem(text) else {
            return false;
        };
        let end = self.position + frame.length;
        if frame.is_private {
            self.found.push(Span {
                from: self.position,
                to: end,
                with: REDACTED_KEY,
            });
        } else if !is_public_label(frame.label) {
            return false;
        }
        self.position = end;
        true
    }

    /// `scheme://user:password@host`.
    fn url(&mut self) {
        let start = self.position + "://".len();
        let end = self
            .text
            .skip(start, |b| !b.is_ascii_whitespace() && !b"/?#\"'<>".contains(&b));
        self.position = start;
        let mut user_info = self.text.slice(start, end).rsplit_once('@').map(|(info, _)| info);
        // A password that should have been escaped and was not: nothing but a number can follow a host there.
        if user_info.is_none()
            && let Some((_, port)) = self.text.slice(start, end).split_once(':')
            && !port.bytes().all(|byte| byte.is_ascii_digit())
            && !self.text.from(start).starts_with('[')
        {
            let end = self
                .text
                .skip_up_to(end, PIPE, |b| !b.is_ascii_whitespace() && !b"\"<>".contains(&b));
            user_info = self.text.slice(start, end).rsplit_once('@').map(|(info, _)| info);
        }
        match user_info.and_then(|info| info.split_once(':')) {
            Some((user, password)) if !password.is_empty() => {
                let from = start + user.len() + 1;
                self.replace(from, from + password.len());
            }
            _ => {}
        }
    }

    /// A line ends, and with it a command, unless it goes on in the next one.
    fn line_break(&mut self) {
        if self.line.is_idle() {
            return;
        }
        let last = self
            .text
            .skip_back(self.position, |byte| b" \t\r".contains(&byte));
        let goes_on = self.text.before(last).is_some_and(|byte| b"\\,[".contains(&byte));
        self.count_quotes();
        if !goes_on {
            self.line.end();
        }
    }

    fn count_quotes(&mut self) {
        if !self.line.is_idle() {
            let read = self.text.slice(self.quoted, self.position);
            self.line.quotes(read);
        }
        self.quoted = self.position;
    }

    /// A word of a command line; whether it was a secret, or led to one.
    fn word(&mut self, first: u8) -> bool {
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

    fn take(&mut self, part: Part, from: usize, to: usize) -> bool {
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
        let end = self.text.line_end(at).min(at + PIPE);
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
        if !reads_secret(rest.get(bar..).unwrap_or_default()) {
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
    fn here_string(&mut self) -> bool {
        let start = self.position.saturating_sub(PIPE);
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

    /// A name, and the value behind it if the name announces a secret.
    fn name(&mut self) {
        let start = self.position;
        // A PEM frame may follow directly, as in `\n-----BEGIN` with an escaped line break: it is not part of the name.
        let mut before = 0;
        let mut end = self.text.skip(start, |byte| {
            let belongs =
                byte.is_ascii_alphanumeric() || b"_.".contains(&byte) || (byte == b'-' && before != b'-');
            before = byte;
            belongs
        });
        let name = self.text.slice(start, end);
        end -= usize::from(name.ends_with('-') && self.text.byte(end) == Some(b'-'));
        let name = self.text.slice(start, end);
        self.position = end;
        if self.special(name, start, end) {
            return;
        }
        if name.to_ascii_lowercase().ends_with("cookie") && self.cookies(start, end) {
            return;
        }
        let in_query = self.text.before(start).is_some_and(|byte| b"?&".contains(&byte));
        let is_short = is_short_name(name);
        if !(is_short || is_secret(name) || in_query && is_secret_in_query(name)) {
            return;
        }
        if self.element(start, end) {
            return;
        }
        let Some(mut value) = self.value_start(start, end) else {
            return;
        };
        let line_start = self.line_start(start);
        let rest = self.text.from(self.text.blanks(value));
        if rest.starts_with("-----BEGIN ") || rest.starts_with(REDACTED_KEY) {
            return;
        }
        if name.to_ascii_lowercase().ends_with("authorization") && self.credentials(value) {
            return;
        }
        let separator = self.text.slice(end, value);
        let has_colon = separator.contains(':') && !separator.contains('=');
        // "pin: " is everyday prose, unless a number or a quoted value follows.
        let is_pin = name.eq_ignore_ascii_case("pin");
        if is_pin && has_colon && !rest.starts_with(|c: char| c.is_ascii_digit() || "'\"\\".contains(c)) {
            return;
        }
        if line_start.is_some() && name.chars().any(char::is_lowercase) {
            // A shell would read an empty value; this is a file of settings.
            value = self.text.blanks(value);
        }
        let (from, mut to) = self.text.value(value);
        let word = self.text.slice(from, to);
        if has_colon && is_next_prompt(name, word, line_start.is_some()) {
            return;
        }
        if let Some(close) = self.enclosing_end(start, separator, value) {
            to = close;
        } else if in_query {
            to = from + word.find(['&', '#', '\'', '"']).unwrap_or(word.len());
        } else if from == value && !is_pin && !word.starts_with(['"', '\'']) {
            to = self.rest_of_line(name, start, separator, line_start, (from, to));
        }
        let value = self.text.slice(from, to);
        if is_no_secret(value) || is_short && !is_short_value(name, value, separator, line_start.is_some()) {
            return;
        }
        if from < to {
            self.replace(from, to);
        }
    }

    /// The end of a value where its name stands in the same quotes: `'password=two words'`.
    fn enclosing_end(&self, name: usize, separator: &str, value: usize) -> Option<usize> {
        let quote = self.text.before(name).filter(|byte| b"\"'".contains(byte))?;
        if separator.contains(['"', '\''])
            || self.text.byte(value).is_some_and(|byte| b"\"'\\".contains(&byte))
        {
            return None;
        }
        let backslashes = name - 1 - self.text.skip_back(name - 1, |byte| byte == b'\\');
        let close = self.text.closing(value, quote, backslashes)? - backslashes;
        // What is quoted differently in between ends nowhere for certain.
        let behind = self.text.byte(close + backslashes + 1);
        let is_end = behind.is_none_or(|byte| byte.is_ascii_whitespace() || b",;:)]}|&\"'\\".contains(&byte));
        (is_end && close > value).then_some(close)
    }

    /// Where the line's first word begins, if a name is that: behind blanks, a dash, a comment sign or `export`.
    fn line_start(&self, name: usize) -> Option<usize> {
        if self.text.before(name) == Some(b'-') {
            return None;
        }
        let mut at = self.text.skip_back(name, |byte| b" \t-#".contains(&byte));
        if self
            .text
            .0
            .as_bytes()
            .get(..at)
            .is_some_and(|before| before.ends_with(b"export"))
        {
            at -= "export".len();
        }
        match self.text.0.as_bytes().get(..at)? {
            [] | [.., b'\n' | b'\r'] | [.., b'\\', b'n'] => Some(at),
            _ => None,
        }
    }

    /// The end of a value without quotes that is a setting on a line of its own.
    fn rest_of_line(
        &self,
        name: &str,
        start: usize,
        separator: &str,
        line_start: Option<usize>,
        (from, to): (usize, usize),
    ) -> usize {
        let Some(line_start) = line_start else {
            return to;
        };
        let mut before = 0;
        let end = self.text.skip(to, |byte| {
            let ends = b"\r\n".contains(&byte) || (byte == b'n' && before == b'\\');
            before = byte;
            !ends
        });
        let rest = self.text.slice(to, end).trim_end_matches('\\');
        let is_block = matches!(self.text.slice(from, to), "|" | ">" | "|-" | ">-" | "|+" | ">+");
        if is_block && rest.trim().is_empty() {
            return self.indented(end, start - line_start);
        }
        // `PASSWORD=x command` and `password=x host=y` go on with something else.
        let is_setting = separator.contains([' ', '\t'])
            || separator.ends_with(':')
            || (name.chars().any(char::is_lowercase) && !rest.contains('='));
        match is_setting {
            true => to + rest.trim_end().len(),
            false => to,
        }
    }

    /// The end of the lines that are indented deeper than this.
    fn indented(&self, mut line_end: usize, depth: usize) -> usize {
        loop {
            let mut start = line_end;
            start += usize::from(self.text.byte(start) == Some(b'\r'));
            if self.text.byte(start) != Some(b'\n') {
                return line_end;
            }
            let content = self.text.blanks(start + 1);
            let end = self.text.line_end(content);
            if content < end && content - start - 1 <= depth {
                return line_end;
            }
            line_end = end;
        }
    }

    /// Names that lead to a secret in ways of their own.
    fn special(&mut self, name: &str, start: usize, end: usize) -> bool {
        match name {
            "Private-Lines" if self.text.byte(end) == Some(b':') => {
                let length = block::putty(self.text.from(start));
                self.found.push(Span {
                    from: start,
                    to: start + length,
                    with: REDACTED_KEY,
                });
                self.position = start + length;
                return true;
            }
            "by" | "BY" | "By" => {
                let before = self.text.0.as_bytes().get(start.saturating_sub(96)..start);
                let before = before.unwrap_or_default().to_ascii_lowercase();
                let is_clause = before.windows(10).any(|word| word == b"identified");
                let value = self.text.blanks(end);
                if is_clause && self.text.byte(value).is_some_and(|byte| b"\"'".contains(&byte)) {
                    let (from, to) = self.text.value(value);
                    self.replace(from, to);
                    return true;
                }
            }
            "machine" | "default" => return self.netrc(end, name == "machine"),
            "name" | "key" | "Name" | "Key" => {
                if let Some(value) = self.value_start(start, end) {
                    let (from, to) = self.text.value(value);
                    if is_secret(self.text.slice(from, to)) {
                        self.pair = to + PAIR;
                        self.position = from;
                        return true;
                    }
                }
            }
            "value" | "Value" if start < self.pair => {
                if let Some(value) = self.value_start(start, end) {
                    self.pair = 0;
                    let (from, mut to) = self.text.value(value);
                    if let Some(line_start) = self.line_start(start).filter(|_| from == value) {
                        to = self.rest_of_line(name, start, ": ", Some(line_start), (from, to));
                    }
                    if from < to {
                        self.replace(from, to);
                    }
                    return true;
                }
            }
            _ => {}
        }
        // `Bearer x` and `Basic x` without the header's name.
        let next = self.text.blanks(end);
        if next == end || !(name.eq_ignore_ascii_case("bearer") || name.eq_ignore_ascii_case("basic")) {
            return false;
        }
        let word_end = self
            .text
            .skip(next, |b| !b.is_ascii_whitespace() && !b"\"'\\,;)".contains(&b));
        let word = self.text.slice(next, word_end);
        let is_credential = match name.eq_ignore_ascii_case("bearer") {
            true => word.len() >= 16 || looks_random(word),
            false => is_basic_credential(word),
        };
        if is_credential {
            self.replace(next, word_end);
        }
        is_credential
    }

    /// `machine host login user password secret`, on one line or several (netrc(5)).
    fn netrc(&mut self, end: usize, has_host: bool) -> bool {
        let word = |at: usize| {
            let from = self.text.skip(at, |byte| byte.is_ascii_whitespace());
            (from, self.text.skip(from, |byte| !byte.is_ascii_whitespace()))
        };
        let mut at = if has_host { word(end).1 } else { end };
        let mut secrets = Vec::new();
        let mut has_login = false;
        loop {
            let (from, to) = word(at);
            let (value, value_end) = match self.text.byte(word(to).0) {
                Some(b'"' | b'\'') => self.text.value(word(to).0),
                _ => word(to),
            };
            match self.text.slice(from, to) {
                "login" | "user" => has_login = true,
                "password" | "passwd" | "account" => secrets.push((value, value_end)),
                _ => break,
            }
            at = value_end;
        }
        if !has_login || secrets.is_empty() {
            return false;
        }
        for (from, to) in secrets {
            self.found.push(Span::new(from, to));
        }
        self.position = at;
        true
    }

    /// `<password>secret</password>`.
    fn element(&mut self, start: usize, end: usize) -> bool {
        if self.text.before(start) != Some(b'<') || self.text.byte(end) != Some(b'>') {
            return false;
        }
        let close = self.text.skip_up_to(end + 1, PIPE, |byte| byte != b'<');
        let is_element = self.text.from(close).starts_with("</") && close > end + 1;
        if is_element {
            self.replace(end + 1, close);
        }
        is_element
    }

    /// Where the value begins: behind the name's closing quote, if any, and `=`, `:`, `:=` or `=>`; or in quotes behind
    /// blanks or a parenthesis.
    fn value_start(&self, name_start: usize, name_end: usize) -> Option<usize> {
        let quote_end = self.text.skip(name_end, |b| b"\\\"']".contains(&b));
        let separator = self.text.blanks(quote_end);
        let rest = self.text.from(separator);
        if rest.starts_with("::") || rest.starts_with("://") {
            return None;
        }
        let Some(mark) = [":=", "=>", "==", ":", "="]
            .iter()
            .find(|mark| rest.starts_with(**mark))
        else {
            return self.value_without_mark(name_start, name_end);
        };
        let end = separator + mark.len();
        // `password= next` is an empty value, as a shell reads it.
        if mark.len() == 1 && separator == quote_end && rest.starts_with('=') {
            return Some(end);
        }
        Some(self.text.blanks(end))
    }

    fn value_without_mark(&self, name_start: usize, name_end: usize) -> Option<usize> {
        let opened = match self.text.byte(name_end) == Some(b'(') {
            true => name_end + 1,
            false => self.text.blanks(name_end),
        };
        let is_quote = |at: usize| self.text.byte(at).is_some_and(|byte| b"\"'".contains(&byte));
        // "Unexpected token 'x'" is what parsers say.
        let is_parser = name_end < opened
            && self
                .text
                .slice(name_start, name_end)
                .eq_ignore_ascii_case("token");
        if opened > name_end && is_quote(opened) && (!is_parser || self.text.byte(name_end) == Some(b'(')) {
            return Some(opened);
        }
        // A line of its own: `password hunter2`.
        let end = self.text.skip(opened, |byte| !byte.is_ascii_whitespace());
        let behind = self.text.byte(self.text.blanks(end));
        let is_alone = behind.is_none_or(|byte| b"\r\n".contains(&byte));
        let is_setting = opened > name_end && is_alone && self.line_start(name_start).is_some();
        (is_setting && looks_random(self.text.slice(opened, end))).then_some(opened)
    }

    /// `Bearer x`, `Basic x` and other schemes: the scheme stays, the rest of the line goes.
    fn credentials(&mut self, start: usize) -> bool {
        let scheme_end = self
            .text
            .skip(start, |b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        let value = self.text.skip(scheme_end, |b| b == b' ');
        // These have fields in quotes.
        let scheme = self.text.slice(start, scheme_end).to_ascii_lowercase();
        let has_quotes = matches!(scheme.as_str(), "digest" | "oauth" | "hawk" | "signature");
        let end = self.text.skip(value, |b| {
            !b"\r\n".contains(&b) && (has_quotes || !b"\"'".contains(&b))
        });
        let is_scheme = scheme_end > start && value > scheme_end && end > value;
        if is_scheme {
            self.replace(value, end);
        }
        is_scheme
    }

    /// The whole of a cookie header: `Cookie: a=b; c=d`.
    fn cookies(&mut self, start: usize, end: usize) -> bool {
        if !self.text.from(end).starts_with(": ") {
            return false;
        }
        let quote = self.text.before(start).filter(|byte| b"\"'".contains(byte));
        let from = self.text.blanks(end + 1);
        let to = self
            .text
            .skip(from, |byte| !b"\r\n".contains(&byte) && Some(byte) != quote);
        let is_header = self.text.slice(from, to).contains('=');
        if is_header {
            self.replace(from, to);
        }
        is_header
    }
}

/// Names that mean a secret in settings and many other things elsewhere.
fn is_short_name(name: &str) -> bool {
    ["pass", "pwd", "pw", "auth", "_auth"]
        .iter()
        .any(|short| name.eq_ignore_ascii_case(short))
}

/// Whether the value of such a name is a secret.
fn is_short_value(name: &str, word: &str, separator: &str, at_line_start: bool) -> bool {
    let is_number = word.len() < 6
        && word
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b".,;/%".contains(&byte));
    let is_quoted = separator.ends_with(['"', '\'']) || separator.contains(['"', '\'']);
    match name.to_ascii_lowercase().as_str() {
        "auth" | "_auth" => is_basic_credential(word),
        // The directory.
        _ if name == "PWD" || word.starts_with(['/', '~', '.', '$']) || word.get(1..3) == Some(":\\") => {
            false
        }
        "pwd" | "pw" => separator.contains('=') || is_quoted,
        // "PASS: 5" and "pass: ok" are the outcomes of tests.
        _ if is_number || matches!(word, "ok" | "OK") => false,
        _ if separator.contains('=') || is_quoted => true,
        _ => at_line_start && name == "pass" && !word.starts_with(|c: char| c.is_ascii_digit()),
    }
}

/// What stands in the place of a value where there is none.
fn is_no_secret(word: &str) -> bool {
    let word = word.trim_end_matches([',', ';', ')', '}', ']', '"', '\'']);
    ["true", "false", "yes", "no", "none", "null", "nil", "undefined"]
        .iter()
        .any(|none| word.eq_ignore_ascii_case(none))
}

/// Programs without a line break behind their prompts: `New password: Retype new password: `.
fn is_next_prompt(name: &str, word: &str, at_line_start: bool) -> bool {
    const WORDS: &[&str] = &[
        "Retype",
        "Re-enter",
        "Reenter",
        "Repeat",
        "Confirm",
        "Verify",
        "Enter",
        "New",
        "Current",
        "Permission",
        "Sorry,",
        "Login",
        "Authentication",
        "su:",
        "sudo:",
        "passwd:",
        "mysql:",
        "psql:",
    ];
    // passwd(1) begins what it says with its own name.
    if name == "passwd" && matches!(word, "password" | "Password" | "all" | "Authentication") {
        return true;
    }
    let is_setting = at_line_start && name.starts_with(|c: char| c.is_lowercase());
    !is_setting && WORDS.contains(&word)
}

/// Parameters of URLs that are secrets there and ordinary names elsewhere.
fn is_secret_in_query(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(
        name.as_str(),
        "sig" | "key" | "code" | "auth" | "pw" | "pwd" | "pass"
    ) || name.ends_with("signature")
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Command;
    use proptest::prelude::*;

    #[test]
    fn values_of_secret_names_are_replaced() {
        for (text, expected) in [
            ("password=hunter2", "password=[REDACTED]"),
            ("PASSWORD: hunter2", "PASSWORD: [REDACTED]"),
            ("login password=a, host=b", "login password=[REDACTED], host=b"),
            ("{password=a}", "{password=[REDACTED]}"),
            ("passphrase = s3", "passphrase = [REDACTED]"),
            ("--auth-token=abc run", "--auth-token=[REDACTED] run"),
            ("DB_PASSWORD='two words' run", "DB_PASSWORD='[REDACTED]' run"),
            (
                "export A_SECRET='it'\\''s' || exit",
                "export A_SECRET=[REDACTED] || exit",
            ),
            ("api_key=\"k\"; next", "api_key=\"[REDACTED]\"; next"),
            (
                "{\"password\": \"a\\\"b\", \"x\": 1}",
                "{\"password\": \"[REDACTED]\", \"x\": 1}",
            ),
            ("{'token': 'abc'}", "{'token': '[REDACTED]'}"),
            (
                "{\\\"token\\\": \\\"abc\\\"} x",
                "{\\\"token\\\": \\\"[REDACTED]\\\"} x",
            ),
            ("token=\"never closed", "token=[REDACTED]"),
            ("clientSecret:x", "clientSecret:[REDACTED]"),
            ("pin: 1234 pin=ab", "pin: [REDACTED] pin=[REDACTED]"),
            ("a?token=b c", "a?token=[REDACTED] c"),
            ("пароль password=тайна конец", "пароль password=[REDACTED] конец"),
        ] {
            assert_eq!(redact_string(text), expected, "{text}");
        }
    }

    #[test]
    fn credentials_of_headers_and_urls_are_replaced() {
        for (text, expected) in [
            (
                "Authorization: Bearer abc.def",
                "Authorization: Bearer [REDACTED]",
            ),
            (
                "authorization: basic YTpi\r\nHost: x",
                "authorization: basic [REDACTED]\r\nHost: x",
            ),
            (
                "curl -H 'Authorization: Bearer abc' url",
                "curl -H 'Authorization: Bearer [REDACTED]' url",
            ),
            (
                "\"Authorization\": \"Bearer abc\"",
                "\"Authorization\": \"[REDACTED]\"",
            ),
            ("Proxy-Authorization: abc", "Proxy-Authorization: [REDACTED]"),
            (
                "git clone https://bob:s3@x.org/r",
                "git clone https://bob:[REDACTED]@x.org/r",
            ),
            ("postgres://u:p@q@h:5432/db", "postgres://u:[REDACTED]@h:5432/db"),
        ] {
            assert_eq!(redact_string(text), expected, "{text}");
        }
    }

    #[test]
    fn private_keys_are_replaced_with_and_without_their_end() {
        let key = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blbg==\n-----END OPENSSH PRIVATE KEY-----";
        assert_eq!(redact_string(&format!("a {key} b")), "a [REDACTED PRIVATE KEY] b");
        assert_eq!(
            redact_string(&format!("{key}\n{key}\n")),
            "[REDACTED PRIVATE KEY]\n[REDACTED PRIVATE KEY]\n"
        );
        assert_eq!(
            redact_string("-----BEGIN RSA PRIVATE KEY-----\nMIIE"),
            REDACTED_KEY
        );
        assert_eq!(
            redact_string("-----BEGIN PRIVATE KEY-----\\nMIIE\\n-----END"),
            REDACTED_KEY
        );
        assert_eq!(
            redact_string("x\\n-----BEGIN PRIVATE KEY-----\\nMIIE"),
            "x\\n[REDACTED PRIVATE KEY]"
        );
        assert_eq!(
            redact_string("private_key=-----BEGIN EC PRIVATE KEY-----\nMI"),
            "private_key=[REDACTED PRIVATE KEY]"
        );
    }

    #[test]
    fn ordinary_text_is_returned_as_it_was() {
        for text in [
            "",
            "spinner=dots mapping: x pinned=1",
            "alice@web's password: ",
            "method=password",
            "pin: the tail",
            "Permission denied (publickey,password).",
            "https://example.com/a:b@c",
            "ssh://alice@web:22",
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
            "secret::value",
            "PWD=/srv",
            "password=",
            "key_path=/home/a/.ssh/id",
            "-----BEGIN",
            "no secrets here",
            "max_tokens=5",
        ] {
            assert!(
                matches!(redact_string(text), Cow::Borrowed(same) if same == text),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_secret_variable_never_shows_in_a_described_command(
            before in "[ -~]{0,6}", after in "[ -~\n]{0,6}",
            (cwd, user, login) in any::<(bool, bool, bool)>(),
        ) {
            let mut command = Command::shell("a && b").env("X_TOKEN", format!("{before}hunter2{after}"));
            if cwd {
                command = command.cwd("/a b");
            }
            if user {
                command = command.as_user("bob");
            }
            if login {
                command = command.login_shell();
            }
            let line = command.describe();
            prop_assert!(!redact_string(&line).contains("hunter2"), "{}", line);
        }

        #[test]
        fn redacting_twice_changes_nothing_more(text in "((password|token|key)[=:' \"]{1,3}|[a-z'\"\\\\ ,}-]{0,4}|-----BEGIN PRIVATE KEY-----|://a:b@c){0,8}") {
            let once = redact_string(&text).into_owned();
            prop_assert_eq!(redact_string(&once), once.as_str());
        }

        #[test]
        fn any_text_is_survived(text in any::<String>()) {
            let _ = redact_string(&text);
        }
    }

    #[test]
    fn long_hostile_texts_take_linear_time() {
        for unit in [
            "password='",
            "password=\\'",
            "-----BEGIN PRIVATE KEY",
            "token ",
            "://",
            "a--",
            "token=\"'",
            "\\",
        ] {
            // Quadratic work on this much would take minutes.
            let _ = redact_string(&unit.repeat(100_000));
        }
    }
}
