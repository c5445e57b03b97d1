//! Secrets in running text.

use std::borrow::Cow;

use super::name::is_secret;
use super::{REDACTED, REDACTED_KEY};

/// The text without its secrets; borrowed when there was nothing to take away.
///
/// Replaced are the values in `password=x`, `token: x`, `"api_key": "x"` and the like, whatever the name's case or
/// prefix; the credentials of an `Authorization:` header; the password in `scheme://user:password@host`; and private
/// keys in PEM or OpenSSH form, to the end of the text where the last line is missing. One pass, linear in time.
#[must_use]
pub fn redact_string(text: &str) -> Cow<'_, str> {
    let mut scan = Scan {
        text,
        position: 0,
        copied: 0,
        out: String::new(),
    };
    scan.run();
    if scan.copied == 0 {
        return Cow::Borrowed(text);
    }
    scan.out.push_str(scan.slice(scan.copied, text.len()));
    Cow::Owned(scan.out)
}

/// A place in the text, and what has been written of it so far.
struct Scan<'a> {
    text: &'a str,
    /// Where to look next.
    position: usize,
    /// How much of the text stands in `out`, replaced or as it was.
    copied: usize,
    out: String,
}

impl<'a> Scan<'a> {
    fn run(&mut self) {
        while let Some(byte) = self.byte(self.position) {
            if byte == b'-' && self.rest().starts_with("-----BEGIN ") && self.private_key() {
                continue;
            }
            if byte.is_ascii_alphanumeric() || byte == b'_' {
                self.name();
            } else if self.rest().starts_with("://") {
                self.url();
            } else {
                self.position += 1;
            }
        }
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    /// Empty when an end is out of range or inside a character; neither happens, as every end is beside an ASCII byte.
    fn slice(&self, from: usize, to: usize) -> &'a str {
        self.text.get(from..to).unwrap_or_default()
    }

    fn rest(&self) -> &'a str {
        // Inside a character of several bytes there is nothing to find.
        self.text.get(self.position..).unwrap_or_default()
    }

    /// The first position from `at` on whose byte does not satisfy `wanted`.
    fn skip(&self, at: usize, mut wanted: impl FnMut(u8) -> bool) -> usize {
        let rest = self.text.as_bytes().get(at..).unwrap_or_default();
        at + rest.iter().position(|&byte| !wanted(byte)).unwrap_or(rest.len())
    }

    fn replace(&mut self, from: usize, to: usize, with: &str) {
        self.out.push_str(self.slice(self.copied, from));
        self.out.push_str(with);
        self.copied = to;
        self.position = to;
    }

    /// `-----BEGIN ... PRIVATE KEY-----` to the matching end, or to the end of the text.
    fn private_key(&mut self) -> bool {
        let label_start = self.position + "-----BEGIN ".len();
        let label_end = self.skip(label_start, |b| {
            b.is_ascii_uppercase() || b.is_ascii_digit() || b == b' '
        });
        if !self.slice(label_start, label_end).ends_with("PRIVATE KEY") {
            return false;
        }
        let body = self.slice(label_end, self.text.len());
        let end = body
            .find("PRIVATE KEY-----")
            .map_or(self.text.len(), |at| label_end + at + "PRIVATE KEY-----".len());
        self.replace(self.position, end, REDACTED_KEY);
        true
    }

    /// `scheme://user:password@host`.
    fn url(&mut self) {
        let start = self.position + "://".len();
        let end = self.skip(start, |b| !b.is_ascii_whitespace() && !b"/?#\"'<>".contains(&b));
        self.position = start;
        let Some((user_info, _)) = self.slice(start, end).rsplit_once('@') else {
            return;
        };
        match user_info.split_once(':') {
            Some((user, password)) if !password.is_empty() => {
                self.replace(start + user.len() + 1, start + user_info.len(), REDACTED);
            }
            _ => {}
        }
    }

    /// A name, and the value behind it if the name announces a secret.
    fn name(&mut self) {
        let start = self.position;
        // A PEM frame may follow directly, as in `\n-----BEGIN` with an escaped line break: it is not part of the name.
        let mut before = 0;
        let mut end = self.skip(start, |byte| {
            let belongs =
                byte.is_ascii_alphanumeric() || b"_.".contains(&byte) || (byte == b'-' && before != b'-');
            before = byte;
            belongs
        });
        end -= usize::from(self.slice(start, end).ends_with('-') && self.byte(end) == Some(b'-'));
        let name = self.slice(start, end);
        self.position = end;
        if !is_secret(name) {
            return;
        }
        let Some(value) = self.value_start(self.position) else {
            return;
        };
        let rest = self.slice(value, self.text.len());
        if rest.starts_with("-----BEGIN ") || rest.starts_with(REDACTED_KEY) {
            return;
        }
        if name.to_ascii_lowercase().ends_with("authorization") && self.credentials(value) {
            return;
        }
        // "pin: " is everyday prose, unless a number or a quoted value follows.
        let is_prose = name.eq_ignore_ascii_case("pin") && !self.slice(self.position, value).contains('=');
        if is_prose && !rest.starts_with(|c: char| c.is_ascii_digit() || "'\"\\".contains(c)) {
            return;
        }
        let (from, to) = self.value(value);
        if from < to {
            self.replace(from, to, REDACTED);
        }
    }

    /// Where the value begins: behind the name's closing quote, if any, and `=`, `:`, `:=` or `=>`.
    fn value_start(&self, name_end: usize) -> Option<usize> {
        let is_blank = |byte| byte == b' ' || byte == b'\t';
        let quote_end = self.skip(name_end, |b| b"\\\"']".contains(&b));
        let separator = self.skip(quote_end, is_blank);
        let rest = self.slice(separator, self.text.len());
        if rest.starts_with("::") || rest.starts_with("://") {
            return None;
        }
        let length = [":=", "=>", "==", ":", "="]
            .iter()
            .find(|mark| rest.starts_with(**mark))?
            .len();
        let end = separator + length;
        // `password= next` is an empty value, as a shell reads it.
        if length == 1 && separator == quote_end && rest.starts_with('=') {
            return Some(end);
        }
        Some(self.skip(end, is_blank))
    }

    /// `Bearer x`, `Basic x` and other schemes: the scheme stays, the rest of the line goes.
    fn credentials(&mut self, start: usize) -> bool {
        let scheme_end = self.skip(start, |b| b.is_ascii_alphanumeric());
        let value = self.skip(scheme_end, |b| b == b' ');
        let end = self.skip(value, |b| !b"\r\n\"'".contains(&b));
        let is_scheme = scheme_end > start && value > scheme_end && end > value;
        if is_scheme {
            self.replace(value, end, REDACTED);
        }
        is_scheme
    }

    /// Where the value at `start` begins and ends, without the quotes where they surround it simply.
    fn value(&self, start: usize) -> (usize, usize) {
        let everything = (start, self.text.len());
        let quote = self.skip(start, |b| b == b'\\');
        let backslashes = quote - start;
        let mark = match self.byte(quote) {
            Some(mark @ (b'\'' | b'"')) => mark,
            _ => {
                let word = self.slice(start, self.skip(start, |b| !b.is_ascii_whitespace()));
                return (start, start + word.trim_end_matches([',', '}']).len());
            }
        };
        // JSON inside JSON has 1, 3, 7 backslashes before a double quote; anything else is a word of a shell.
        if backslashes > 0 && (mark == b'\'' || backslashes.is_multiple_of(2)) {
            return self.shell_word_end(start).map_or(everything, |end| (start, end));
        }
        // Quoting inside quoting, as in `'\''`: where the value ends depends on all the levels around it.
        if self.slice(start, self.text.len()).starts_with(r"'\") {
            return everything;
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

    /// The position of the next `mark` with exactly as many backslashes in front as the opening one had.
    fn closing(&self, from: usize, mark: u8, backslashes: usize) -> Option<usize> {
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
    fn shell_word_end(&self, from: usize) -> Option<usize> {
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
        Some(self.text.len())
    }
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
