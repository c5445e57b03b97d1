//! Secrets in running text.

use std::borrow::Cow;

use super::base64::is_public_label;
use super::line::Line;
use super::span::{Span, apply};
use super::token;
use super::value::Text;
use super::{REDACTED_KEY, block};

/// How much of a line is looked at for the program that a secret is piped into, or for the end of a URL.
pub(super) const PIPE: usize = 1024;

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
pub(super) struct Scan<'a> {
    pub(super) text: Text<'a>,
    /// Where to look next.
    pub(super) position: usize,
    pub(super) found: Vec<Span>,
    pub(super) line: Line,
    /// How far the quotes of the command line have been counted.
    pub(super) quoted: usize,
    /// Up to where a field called `value` belongs to a name that announces a secret.
    pub(super) pair: usize,
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

    pub(super) fn replace(&mut self, from: usize, to: usize) {
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

    /// `machine host login user password secret`, on one line or several (netrc(5)).
    pub(super) fn netrc(&mut self, end: usize, has_host: bool) -> bool {
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::Command;
    use crate::quoting::quote_str;
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

    /// A command line in a word of another one, as the history has it, and as sudo is given it.
    #[test]
    fn secrets_are_found_in_quotes_that_are_quoted_once_more() {
        for command in [
            "PGPASSWORD='hunter2' psql",
            "PGPASSWORD='hunter 2' psql",
            "PGPASSWORD='!hunter2' psql",
            "psql; PGPASSWORD='it'\\''s hunter2' psql",
            "mysql -p'hunter2' db",
            "mysql -p'hunter 2' db",
            "mysql --password 'hunter2'",
            "mysql --password='hunter2' db",
            "curl -u 'u:hunter2' url",
            "curl -u 'u:hunter 2' url",
            "ncat --proxy-auth 'u:hunter 2' h 22",
        ] {
            let mut line = command.to_owned();
            for depth in 0..4 {
                let redacted = redact_string(&line).into_owned();
                assert!(!redacted.contains("hunter"), "{depth}: {line} {redacted}");
                assert_eq!(redact_string(&redacted), redacted.as_str(), "{line}");
                line = format!("sh -c {} end", quote_str(&line).unwrap());
            }
        }
        let kept = r"sh -c 'PGPASSWORD='\''hunter2'\'' psql; grep '\''password:'\'' file' && uptime";
        let redacted = redact_string(kept).into_owned();
        assert!(
            redacted.ends_with(r"psql; grep '\''password:'\'' file' && uptime"),
            "{redacted}"
        );
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
            "password='; ",
            "password=\\'",
            "password='\\''",
            "password='\\''a",
            "password: '\\'\\''a",
            "-----BEGIN PRIVATE KEY",
            "token ",
            "://",
            "a--",
            "token=\"'",
            "\\",
            "mysql ",
            "mysql,\n",
            "curl -u a ",
            "\"a\":",
            "echo a ",
            "sudo -S <<<",
            "ghp_",
            "eyJ-",
            "machine a login b ",
            "password: x\\n",
            "'password=x \"",
            "<password>",
            "-----BEGIN CERTIFICATE-----\n",
            "Private-Lines: ",
            "identified by ",
            "//a:b",
            "$6$a",
            "name: password ",
            "bearer ",
            "a:5432:b:c:",
            "------BEGIN PRIVATE KEY",
            "AAAA/",
        ] {
            // Quadratic work on this much would take minutes.
            let _ = redact_string(&unit.repeat(200_000 / unit.len()));
        }
    }
}
