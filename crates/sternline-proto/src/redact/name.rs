//! Which names announce a secret.

/// Words that name a secret, alone or at the end of a longer word as in `dbpassword`.
const SECRET: &[&str] = &[
    "password",
    "passwords",
    "passphrase",
    "passphrases",
    "passwd",
    "passcode",
    "secret",
    "secrets",
    "token",
    "apikey",
    "secretkey",
    "accesskey",
    "accountkey",
    "authkey",
    "privatekey",
    "credential",
    "credentials",
    "authorization",
];

/// Words that name a secret only as a whole.
const WHOLE: &[&str] = &[
    "pin",
    "sshpass",
    "psk",
    "otp",
    "totp",
    "jwt",
    "requirepass",
    "masterauth",
    "masterpass",
    "storepass",
    "keypass",
    "userpass",
    "dbpass",
    "bindpw",
    "rootpw",
    "userpw",
    "sessionid",
    "jsessionid",
    "phpsessid",
    "sessid",
];

/// What stands before `key` in the name of a secret.
const KEYS: &[&str] = &[
    "api",
    "private",
    "access",
    "account",
    "encryption",
    "master",
    "signing",
    "auth",
    "storage",
    "shared",
    "session",
    "decryption",
    "hmac",
    "license",
    "preshared",
];

/// Behind a word for a secret these say that something about it is meant: where it is, of what kind, what is allowed.
const ABOUT: &[&str] = &[
    "age",
    "allowed",
    "authentication",
    "budget",
    "changed",
    "count",
    "enabled",
    "endpoint",
    "env",
    "expiration",
    "expires",
    "expiry",
    "fd",
    "file",
    "files",
    "filename",
    "helper",
    "hint",
    "index",
    "kind",
    "length",
    "limit",
    "manager",
    "max",
    "method",
    "min",
    "name",
    "names",
    "needed",
    "path",
    "policy",
    "process",
    "prompt",
    "prompts",
    "provider",
    "providers",
    "ref",
    "required",
    "rotation",
    "size",
    "source",
    "stdin",
    "store",
    "ttl",
    "type",
    "uri",
    "url",
    "usage",
    "valid",
    "version",
];

/// Before `pass` these say that a pass is no password.
const OTHER_PASS: &[&str] = &[
    "band", "by", "first", "full", "high", "last", "low", "multi", "next", "one", "render", "second",
    "single", "test", "tests", "third", "two",
];

/// Whether a key, variable, option or field of this name holds a secret.
///
/// Names are compared by their parts, so that `DB_PASSWORD`, `apiKey`, `password2` and `--auth-token` are recognised
/// while `spinner`, `mapping` and `passwordless` are left alone, and `password_file` and `token_type` as well.
pub(super) fn is_secret(name: &str) -> bool {
    // Nearly all names end here.
    if !may_be_secret(name) || is_file(name) {
        return false;
    }
    let mut previous = String::new();
    let mut secret = false;
    for part in parts(name) {
        let part = part
            .trim_end_matches(|c: char| c.is_ascii_digit())
            .to_ascii_lowercase();
        if part.is_empty() {
            continue;
        }
        if is_secret_part(&previous, &part) {
            secret = true;
        } else if ABOUT.contains(&part.as_str()) {
            secret = false;
        }
        previous = part;
    }
    secret
}

/// Whether it is the name of a source file or the like, which stands before a colon in what compilers and grep(1) say.
fn is_file(name: &str) -> bool {
    const ENDINGS: &[&str] = &[
        "c", "cc", "cpp", "cs", "css", "go", "h", "html", "java", "js", "json", "jsx", "kt", "md", "php",
        "pl", "py", "rb", "rs", "rst", "sh", "swift", "toml", "ts", "tsx", "txt", "xml", "yaml", "yml",
    ];
    name.rsplit_once('.')
        .is_some_and(|(_, end)| ENDINGS.contains(&end))
}

/// Whether a name has letters in it that every name of a secret has.
fn may_be_secret(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.windows(2).enumerate().any(|(at, pair)| {
        let [first, second] = [0, 1].map(|at| pair.get(at).map_or(0, u8::to_ascii_lowercase));
        let third = bytes.get(at + 2).map_or(0, u8::to_ascii_lowercase);
        matches!(
            &[first, second, third],
            [b'p', b'w', _]
                | b"pas"
                | b"tok"
                | b"sec"
                | b"key"
                | b"cre"
                | b"aut"
                | b"pin"
                | b"psk"
                | b"otp"
                | b"jwt"
                | b"ses"
        )
    })
}

/// Whether a name ends like this, in capital letters or not.
pub(super) fn ends_with(name: &str, end: &str) -> bool {
    let start = name.len().checked_sub(end.len());
    start
        .and_then(|start| name.get(start..))
        .is_some_and(|last| last.eq_ignore_ascii_case(end))
}

fn is_secret_part(previous: &str, part: &str) -> bool {
    match part {
        "nopasswd" | "nopassword" => false,
        "key" => KEYS.contains(&previous),
        "content" => previous == "key",
        // systemd.exec(5): a name and a path.
        "credential" if matches!(previous, "load" | "import") => false,
        "header" => previous == "auth",
        "id" => previous == "session",
        // A field of its own could be many things; see `Scan::short_name`.
        "pass" | "pwd" | "pw" => !matches!(previous, "" | "old") && !OTHER_PASS.contains(&previous),
        _ => WHOLE.contains(&part) || SECRET.iter().any(|word| part.ends_with(word)),
    }
}

/// Whether an option of this name, without its dashes, is followed by a secret. One such as `--ask-password` is not.
pub(super) fn is_secret_option(name: &str) -> bool {
    const NO_VALUE: &[&str] = &[
        "allow", "ask", "change", "disable", "empty", "enable", "force", "generate", "get", "list", "no",
        "print", "prompt", "require", "reset", "show", "skip", "use", "with", "without",
    ];
    let first = name.split(['-', '_']).next().unwrap_or_default();
    if NO_VALUE.contains(&first) {
        return false;
    }
    matches!(name, "pass" | "pw" | "pwd") || is_secret(name)
}

/// Splits `HTTP_authToken-2` into `HTTP`, `auth`, `Token`, `2`.
fn parts(name: &str) -> impl Iterator<Item = &str> {
    name.split(|c: char| !c.is_alphanumeric())
        .flat_map(split_camel_case)
        .filter(|part| !part.is_empty())
}

fn split_camel_case(word: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut before = None;
    let mut chars = word.char_indices().peekable();
    while let Some((index, c)) = chars.next() {
        let after_lower = before.is_some_and(|b: char| !b.is_uppercase());
        let starts_lower = chars.peek().is_some_and(|(_, next)| next.is_lowercase());
        if index > 0 && c.is_uppercase() && (after_lower || starts_lower) {
            parts.extend(word.get(start..index));
            start = index;
        }
        before = Some(c);
    }
    parts.extend(word.get(start..));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_by_their_parts() {
        for name in [
            "password",
            "PASSWORD",
            "db_password",
            "dbpassword",
            "DBPassword",
            "passphrase",
            "key_passphrase",
            "token",
            "access_token",
            "authToken",
            "--auth-token",
            "secret",
            "clientSecret",
            "AWS_SECRET_ACCESS_KEY",
            "api_key",
            "apiKey",
            "X-Api-Key",
            "apikey",
            "private_key",
            "key_content",
            "pin",
            "pkcs11_pin",
            "credential",
            "credentials",
            "auth_header",
            "Proxy-Authorization",
            "PGPASSWD",
            "SSHPASS",
            "password1",
            "TOKEN_2",
            "AccountKey",
            "DB_PASS",
            "smtpPass",
            "MYSQL_PWD",
            "secret_id",
            "PHPSESSID",
            "session-id",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "",
            "spinner",
            "mapping",
            "pinned",
            "opinion",
            "passwordless",
            "secretary",
            "tokenizer",
            "max_tokens",
            "key_path",
            "key",
            "method",
            "auth_method",
            "author",
            "compass",
            "passed",
            "accessKeyless",
            "header",
            "PWD",
            "OLDPWD",
            "OLD_PWD",
            "pass",
            "first_pass",
            "NOPASSWD",
            "password_file",
            "PasswordAuthentication",
            "NumberOfPasswordPrompts",
            "secretName",
            "token_type",
            "credential.helper",
            "key_id",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn options_that_take_no_secret_announce_none() {
        for (name, secret) in [
            ("password", true),
            ("pass", true),
            ("client-secret", true),
            ("ask-password", false),
            ("password-stdin", false),
            ("with-token", false),
            ("port", false),
        ] {
            assert_eq!(is_secret_option(name), secret, "{name}");
        }
    }
}
