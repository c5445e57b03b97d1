//! Which names announce a secret.

/// Whether a key, variable, option or field of this name holds a secret.
///
/// Names are compared by their parts, so that `DB_PASSWORD`, `apiKey` and `--auth-token` are recognised while
/// `spinner`, `mapping` and `passwordless` are left alone.
pub(super) fn is_secret(name: &str) -> bool {
    let mut previous = String::new();
    for part in parts(name) {
        let part = part.to_ascii_lowercase();
        let is_secret_word = [
            "password",
            "passwords",
            "passphrase",
            "passphrases",
            "passwd",
            "secret",
            "secrets",
        ]
        .iter()
        .chain(&[
            "token",
            "apikey",
            "privatekey",
            "credential",
            "credentials",
            "authorization",
        ])
        .any(|word| part.ends_with(word));
        let is_secret_pair = matches!(
            (previous.as_str(), part.as_str()),
            ("api" | "private" | "access", "key") | ("key", "content") | ("auth", "header")
        );
        if is_secret_word || is_secret_pair || matches!(part.as_str(), "pin" | "sshpass") {
            return true;
        }
        previous = part;
    }
    false
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
            "pass",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
