//! Which host names a known_hosts line speaks of: lists of patterns, and hashed names.

use std::fmt;
use std::net::Ipv6Addr;

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

/// The name under which known_hosts holds a host, and which certificates name it by: lower case, and IPv6 addresses
/// in their canonical spelling, without brackets or a port.
#[must_use]
pub fn canonical_host(host: &str) -> String {
    match host.parse::<Ipv6Addr>() {
        Ok(address) => address.to_string(),
        Err(_) => host.to_ascii_lowercase(),
    }
}

/// The name that is looked up for a host and a port: the [`canonical_host`] on port 22, `[host]:port` on any other.
#[must_use]
pub fn lookup_name(host: &str, port: u16) -> String {
    let host = canonical_host(host);
    if port == 22 {
        host
    } else {
        format!("[{host}]:{port}")
    }
}

/// Whether `text` matches `pattern`, in which `*` stands for any run of bytes and `?` for one (ssh_config(5),
/// "PATTERNS"). Nothing else is special: `[` and `\` stand for themselves. Case counts.
#[must_use]
pub fn wildcard_match(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.as_bytes(), text.as_bytes());
    // What follows the last star, and the text from where that star has not yet swallowed anything more. Only the
    // last star needs to be tried again, so the time is bounded by the product of the two lengths.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        match (pattern, text) {
            ([b'*', after @ ..], _) => {
                retry = Some((after, text));
                pattern = after;
            }
            ([p, after @ ..], [t, rest @ ..]) if *p == b'?' || p == t => {
                pattern = after;
                text = rest;
            }
            ([], []) => return true,
            _ => match retry {
                Some((after, [_, rest @ ..])) => {
                    retry = Some((after, rest));
                    pattern = after;
                    text = rest;
                }
                _ => return false,
            },
        }
    }
}

/// The hosts of one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hosts {
    /// A comma-separated list. The line applies when a pattern matches and no negated one does.
    Patterns(Vec<Pattern>),
    /// One name, hashed so that the file does not tell which hosts its owner visits.
    Hashed(HashedName),
}

impl Hosts {
    /// Whether the line speaks of `name`, which must come from [`lookup_name`].
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::Patterns(patterns) => {
                let matching = || {
                    patterns
                        .iter()
                        .filter(|pattern| wildcard_match(&pattern.text, name))
                };
                matching().next().is_some() && !matching().any(|pattern| pattern.negated)
            }
            Self::Hashed(hashed) => hashed.matches(name),
        }
    }
}

/// Writes the list as a file holds it, in lower case.
impl fmt::Display for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Patterns(patterns) => {
                for (i, pattern) in patterns.iter().enumerate() {
                    let comma = if i == 0 { "" } else { "," };
                    let negation = if pattern.negated { "!" } else { "" };
                    write!(f, "{comma}{negation}{}", pattern.text)?;
                }
                Ok(())
            }
            Self::Hashed(hashed) => hashed.fmt(f),
        }
    }
}

/// One element of a host list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// Whether it was written with `!`.
    pub negated: bool,
    /// The pattern in lower case, without the `!`.
    pub text: String,
}

impl Pattern {
    pub(super) fn new(text: &str) -> Self {
        let (negated, text) = match text.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        Self {
            negated,
            text: text.to_ascii_lowercase(),
        }
    }

    /// Whether the pattern can only match one name, itself.
    pub(super) fn is_exact(&self) -> bool {
        !self.text.contains(['*', '?'])
    }
}

/// A hashed name: `|1|salt|HMAC-SHA1(salt, name)`, both in base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashedName {
    salt: [u8; 20],
    hash: [u8; 20],
}

impl HashedName {
    /// Hashes `name` (from [`lookup_name`]) with a salt, which ought to be random.
    pub(super) fn new(salt: [u8; 20], name: &str) -> Self {
        Self {
            salt,
            hash: hmac_sha1(&salt, name),
        }
    }

    /// Reads the field of a known_hosts line; nothing unless it is complete and of the one defined kind.
    pub(super) fn parse(field: &str) -> Option<Self> {
        let (salt, hash) = field.strip_prefix("|1|")?.split_once('|')?;
        let bytes = |text: &str| -> Option<[u8; 20]> { BASE64.decode(text.as_bytes()).ok()?.try_into().ok() };
        Some(Self {
            salt: bytes(salt)?,
            hash: bytes(hash)?,
        })
    }

    fn matches(&self, name: &str) -> bool {
        hmac_sha1(&self.salt, name) == self.hash
    }
}

impl fmt::Display for HashedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "|1|{}|{}",
            BASE64.encode(&self.salt),
            BASE64.encode(&self.hash)
        )
    }
}

fn hmac_sha1(salt: &[u8; 20], name: &str) -> [u8; 20] {
    // The salt is shorter than a block of SHA-1, so as a key it is padded with zeros: no fallible constructor needed.
    let mut key = [0; 64];
    for (to, from) in key.iter_mut().zip(salt) {
        *to = *from;
    }
    let mut mac = Hmac::<Sha1>::new(&key.into());
    mac.update(name.as_bytes());
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn stars_and_question_marks_match_as_in_openssh() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "anything", true),
            ("*", "[host]:2222", true),
            ("", "", true),
            ("", "a", false),
            ("?", "", false),
            ("?", "a", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*.example.com", "web.example.com", true),
            ("*.example.com", ".example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", "[web.example.com]:2222", false),
            ("[*]:2222", "[web]:2222", true),
            ("[ab]", "a", false),
            ("10.0.?.*", "10.0.1.77", true),
            ("10.0.?.*", "10.0.12.77", false),
            ("*a*b*c", "xxaxxbxxc", true),
            ("*a*b*c", "xxaxxbxxcx", false),
            ("**", "a", true),
        ] {
            assert_eq!(
                wildcard_match(pattern, text),
                expected,
                "{pattern} against {text}"
            );
        }
    }

    #[test]
    fn many_stars_do_not_take_exponential_time() {
        let pattern = format!("{}b", "a*".repeat(500));
        assert!(!wildcard_match(&pattern, &"a".repeat(1000)));
    }

    #[test]
    fn only_ports_other_than_22_are_written_into_the_name() {
        for (host, port, name) in [
            ("Web1", 22, "web1"),
            ("Web1", 2222, "[web1]:2222"),
            ("::1", 22, "::1"),
            ("0:0::0:1", 2222, "[::1]:2222"),
            ("FE80::AB", 22, "fe80::ab"),
        ] {
            assert_eq!(lookup_name(host, port), name);
        }
    }

    #[test]
    fn a_hashed_name_matches_itself_and_is_read_back() {
        let hashed = HashedName::new([7; 20], "web1");
        assert!(hashed.matches("web1") && !hashed.matches("web2"));
        assert_eq!(HashedName::parse(&hashed.to_string()), Some(hashed));
    }

    #[test]
    fn broken_hashes_are_not_names() {
        for field in [
            "|1|",
            "|1||",
            "|1|AAAA|AAAA",
            "|2|AAAA|AAAA",
            "|1|!|!",
            "|1|AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        ] {
            assert_eq!(HashedName::parse(field), None, "{field}");
        }
    }

    proptest! {
        #[test]
        fn text_without_wildcards_matches_only_itself(a in "[a-z.]{0,6}", b in "[a-z.]{0,6}") {
            prop_assert_eq!(wildcard_match(&a, &b), a == b);
        }

        #[test]
        fn a_pattern_made_from_the_text_matches_it(text in "[a-c]{0,12}", mask in prop::collection::vec(0..3u8, 12)) {
            let pattern: String = text
                .chars()
                .zip(mask)
                .map(|(c, m)| match m { 0 => c.to_string(), 1 => "?".into(), _ => "*".into() })
                .collect();
            prop_assert!(wildcard_match(&pattern, &text));
        }
    }
}
