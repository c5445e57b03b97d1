//! Secrets that are the values of names: `password=x`, `token: x`, `<secret>x</secret>`.

use super::base64::is_basic_credential;
use super::name::{ends_with, is_secret, is_secret_option};
use super::span::Span;
use super::text::{PIPE, Scan};
use super::token::looks_random;
use super::{REDACTED_KEY, block};

/// How far the two halves of `name: X`, `value: Y` may stand apart.
const PAIR: usize = 256;

impl Scan<'_> {
    /// A name, and the value behind it if the name announces a secret.
    pub(super) fn name(&mut self) {
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
        if ends_with(name, "cookie") && self.cookies(start, end) {
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
        if ends_with(name, "authorization") && self.credentials(value) {
            return;
        }
        let separator = self.text.slice(end, value);
        let has_colon = separator.contains(':') && !separator.contains('=');
        if has_colon && self.is_other_text(name, start, separator, rest) {
            return;
        }
        // "pin: " is everyday prose, unless a number or a quoted value follows.
        let is_pin = name.eq_ignore_ascii_case("pin");
        if is_pin && has_colon && !rest.starts_with(|c: char| c.is_ascii_digit() || "'\"\\".contains(c)) {
            return;
        }
        if line_start.is_some() && name.chars().any(char::is_lowercase) {
            // A shell would read an empty value; this is a file of settings.
            value = self.text.blanks(value);
        }
        if self.text.closes(value) {
            return;
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
            _ if name.eq_ignore_ascii_case("password") && self.told(start, end) => return true,
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
        self.bare_credential(name, end)
    }

    /// `password is generated for root@localhost: x`, as mysqld says, and `SET PASSWORD FOR bob = 'x'`.
    fn told(&mut self, start: usize, end: usize) -> bool {
        const SENTENCES: &[&str] = &[" is: ", " is now: ", " has been set to: ", " was set to: "];
        let mut line_end = self.text.skip_up_to(end, PIPE, |byte| !b"\r\n".contains(&byte));
        while !self.text.0.is_char_boundary(line_end) {
            line_end -= 1;
        }
        let line = self.text.slice(end, line_end);
        let begins = |words: &str| {
            let head = line.as_bytes().get(..words.len());
            head.is_some_and(|head| head.eq_ignore_ascii_case(words.as_bytes()))
        };
        let is_set = ends_with(self.text.slice(start.saturating_sub(4), start), "set ");
        let value = if let Some(sentence) = SENTENCES.iter().find(|sentence| begins(sentence)) {
            Some(sentence.len())
        } else if begins(" is generated for ") {
            line.find(": ").map(|at| at + 2)
        } else if is_set && begins(" for ") {
            line.find('=').map(|at| at + 1)
        } else {
            None
        };
        let Some(from) = value.map(|at| self.text.blanks(end + at)) else {
            return false;
        };
        let is_quoted = self.text.byte(from).is_some_and(|byte| b"\"'".contains(&byte));
        let (from, to) = self.text.value(from);
        if from >= to || (is_set && !is_quoted) {
            return false;
        }
        self.replace(from, to);
        true
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
        // `define('DB_PASSWORD', 'x')`, and other functions that are told a name and its value.
        if rest.starts_with(',') && quote_end > name_end && self.is_first_argument(name_start) {
            let value = self.text.blanks(separator + 1);
            let is_quoted = self.text.byte(value).is_some_and(|byte| b"\"'".contains(&byte));
            return is_quoted.then_some(value);
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

    /// Whether the name stands in quotes behind the parenthesis of a call.
    fn is_first_argument(&self, name: usize) -> bool {
        let opening = self.text.skip_back(name, |byte| b"\"'".contains(&byte));
        opening < name && self.text.before(opening) == Some(b'(')
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
        // `--ask-password 'host'`.
        let is_switch = self.text.before(name_start) == Some(b'-')
            && !is_secret_option(&self.text.slice(name_start, name_end).to_ascii_lowercase());
        if is_switch {
            return None;
        }
        if opened > name_end && is_quote(opened) && (!is_parser || self.text.byte(name_end) == Some(b'(')) {
            return Some(opened);
        }
        if opened == name_end {
            return None;
        }
        // A line of its own: `password hunter2`.
        let end = self.text.skip(opened, |byte| !byte.is_ascii_whitespace());
        let behind = self.text.byte(self.text.blanks(end));
        let is_alone = behind.is_none_or(|byte| b"\r\n".contains(&byte));
        let is_setting = is_alone && self.line_start(name_start).is_some();
        (is_setting && looks_random(self.text.slice(opened, end))).then_some(opened)
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
    pub(super) fn line_start(&self, name: usize) -> Option<usize> {
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
    pub(super) fn rest_of_line(
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
}

impl Scan<'_> {
    /// Whether a name with a colon behind it is something else: a package with its architecture, a program that says something, the
    /// account database in nsswitch.conf(5), a rule of sudoers(5), or what a parser met.
    fn is_other_text(&self, name: &str, start: usize, separator: &str, rest: &str) -> bool {
        const PROGRAMS: &[&str] = &["chpasswd", "gpasswd", "htpasswd", "kpasswd", "smbpasswd"];
        const ARCHITECTURES: &[&str] = &[
            "all", "amd64", "arm64", "armel", "armhf", "i386", "ppc64el", "riscv64", "s390x",
        ];
        const DATABASES: &[&str] = &[
            "compat", "db", "files", "ldap", "nis", "sss", "systemd", "winbind",
        ];
        let word = rest
            .split(|c: char| c.is_ascii_whitespace() || ",;)".contains(c))
            .next()
            .unwrap_or_default();
        match name {
            _ if separator == ":" && ARCHITECTURES.contains(&word) => true,
            _ if PROGRAMS.contains(&name) => separator == ": ",
            "passwd" => DATABASES.contains(&word),
            "PASSWD" => separator == ": " && (word == "ALL" || word.starts_with('/')),
            "token" => {
                let before = self.text.slice(start.saturating_sub(16), start);
                ["unexpected ", "Unexpected "]
                    .iter()
                    .any(|words| before.ends_with(words))
            }
            _ => false,
        }
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
        "pwd" | "pw" => separator.contains('=') || is_quoted || at_line_start && name == "pw",
        // "PASS: 5" and "pass: ok" are the outcomes of tests.
        _ if is_number || matches!(word, "ok" | "OK") => false,
        _ if separator.contains('=') || is_quoted => true,
        _ => at_line_start && name == "pass" && !word.starts_with(|c: char| c.is_ascii_digit()),
    }
}

/// What stands in the place of a value where there is none, and references to a value that stands elsewhere.
fn is_no_secret(word: &str) -> bool {
    let inside = |begin: &str, end: &str| {
        let inside = word.strip_prefix(begin).and_then(|rest| rest.strip_suffix(end));
        inside.is_some_and(|name| {
            name.chars()
                .all(|c| c.is_ascii_alphanumeric() || " _.".contains(c))
        })
    };
    if inside("${", "}") || inside("{{", "}}") || inside("${{", "}}") {
        return true;
    }
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
