//! Changes to the bytes of a known_hosts file that leave every other byte as it is.

use thiserror::Error;

use super::parse::{Line, Marker, parse_line};
use super::pattern::{HashedName, Hosts, Pattern, lookup_name};
use crate::key::PublicKey;
use crate::text::escape;

/// The host cannot stand in a known_hosts line.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{}` cannot be recorded as a host name in known_hosts: give a plain name or address",
    escape(host)
)]
pub struct HostNotRecordable {
    /// The name that was given.
    pub host: String,
}

/// A file with one line more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// The new content.
    pub content: Vec<u8>,
    /// The new line, counted from 1.
    pub line: usize,
}

/// Appends a line that says that a host has a key, with its name hashed if a salt is given. A last line without a
/// line ending gets one first. Whether the file already says so is not looked at.
///
/// # Errors
/// When the name is empty or holds blanks, control characters, or characters that mean something else in a
/// known_hosts line.
pub fn add_entry(
    content: &[u8],
    host: &str,
    port: u16,
    key: &PublicKey,
    salt: Option<[u8; 20]>,
) -> Result<Added, HostNotRecordable> {
    let name = lookup_name(host, port);
    let special = |c: char| c.is_whitespace() || c.is_control() || ",*?!#@|[]".contains(c);
    if host.is_empty() || name.len() >= 1023 || host.contains(special) {
        return Err(HostNotRecordable {
            host: host.to_owned(),
        });
    }
    let name = match salt {
        Some(salt) => HashedName::new(salt, &name).to_string(),
        None => name,
    };
    Ok(append(content, &name, key))
}

/// Appends a line by which certificates that a key has signed are accepted for hosts. `patterns` is a comma list as a
/// file holds it, with `*`, `?`, `!` and `[host]:port`.
///
/// # Errors
/// When the list holds an empty pattern, blanks, control characters, or characters that mean something else in a
/// known_hosts line.
pub fn add_authority(content: &[u8], patterns: &str, key: &PublicKey) -> Result<Added, HostNotRecordable> {
    let special = |c: char| c.is_whitespace() || c.is_control() || "#@|".contains(c);
    let useless = |pattern: &str| Pattern::new(pattern).text.is_empty();
    if patterns.len() >= 1023 || patterns.contains(special) || patterns.split(',').any(useless) {
        return Err(HostNotRecordable {
            host: patterns.to_owned(),
        });
    }
    Ok(append(content, &format!("@cert-authority {patterns}"), key))
}

fn append(content: &[u8], beginning: &str, key: &PublicKey) -> Added {
    let mut content = content.to_vec();
    if content.last().is_some_and(|byte| *byte != b'\n') {
        content.push(b'\n');
    }
    let line = content.iter().filter(|byte| **byte == b'\n').count() + 1;
    content.extend(format!("{beginning} {} {}\n", key.algorithm(), key.to_base64()).into_bytes());
    Added { content, line }
}

/// What removing a host did to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// The new content.
    pub content: Vec<u8>,
    /// The keys that the host was known by under its own name, and no longer is.
    pub removed: Vec<RemovedEntry>,
    /// The lines that still speak of the host.
    pub kept: Vec<KeptLine>,
}

/// A key that a host is no longer known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovedEntry {
    /// The line in the old content, counted from 1.
    pub line: usize,
    /// The key.
    pub key: PublicKey,
    /// Whether the line is still there for other hosts.
    pub other_hosts_kept: bool,
}

/// A line that still speaks of a removed host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptLine {
    /// The line in the old content, counted from 1.
    pub line: usize,
    /// Why it was kept.
    pub reason: KeptReason,
}

/// Why a line that speaks of a removed host was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptReason {
    /// It matches the host with a wildcard, and so other hosts as well.
    Wildcard,
    /// It revokes a key or names an authority, which is not knowledge about one host. `ssh-keygen -R` keeps it too.
    Marker,
}

/// Removes what a file says about a host under its own name, plain or hashed.
///
/// A line for several hosts keeps the others, unlike with `ssh-keygen -R`, which drops the line. Lines that match by
/// wildcard, revocations, authorities and unreadable lines stay.
#[must_use]
pub fn remove_host(content: &[u8], host: &str, port: u16) -> Removal {
    let name = lookup_name(host, port);
    let mut removal = Removal {
        content: Vec::with_capacity(content.len()),
        removed: Vec::new(),
        kept: Vec::new(),
    };
    for (i, raw) in content.split_inclusive(|byte| *byte == b'\n').enumerate() {
        match parse_line(raw) {
            Ok(Some(line)) if line.hosts.matches(&name) => removal.take_line(i + 1, raw, line, &name),
            _ => removal.content.extend(raw),
        }
    }
    removal
}

impl Removal {
    /// Deals with a line that speaks of the host.
    fn take_line(&mut self, number: usize, raw: &[u8], line: Line<'_>, name: &str) {
        if line.marker != Marker::None {
            self.kept.push(KeptLine {
                line: number,
                reason: KeptReason::Marker,
            });
            self.content.extend(raw);
            return;
        }
        let others: Vec<&str> = match line.hosts {
            Hosts::Hashed(_) => Vec::new(),
            Hosts::Patterns(_) => line
                .hosts_text
                .split(',')
                .filter(|text| Pattern::new(text).text != name)
                .collect(),
        };
        let patterns: Vec<Pattern> = others.iter().map(|text| Pattern::new(text)).collect();
        let useful = patterns
            .iter()
            .any(|pattern| !pattern.negated && !pattern.text.is_empty());
        if useful {
            // The host list starts at the first thing that is not a blank, for there is no marker.
            let blanks = raw.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
            let (indent, rest) = raw.split_at(blanks);
            self.content.extend(indent);
            self.content.extend(others.join(",").into_bytes());
            self.content.extend(rest.split_at(line.hosts_text.len()).1);
        }
        if useful && Hosts::Patterns(patterns).matches(name) {
            self.kept.push(KeptLine {
                line: number,
                reason: KeptReason::Wildcard,
            });
        } else {
            self.removed.push(RemovedEntry {
                line: number,
                key: line.key,
                other_hosts_kept: useful,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::known_hosts::KnownHostsIndex;
    use crate::known_hosts::testing::{ED25519, OTHER_ED25519, RSA, key};
    use proptest::prelude::*;

    fn index(content: &[u8]) -> KnownHostsIndex {
        let mut index = KnownHostsIndex::new();
        index.add_file("f", content);
        index
    }

    #[test]
    fn an_authority_is_added_for_patterns_and_read_back() {
        let key = key(ED25519);
        let added = add_authority(b"# c", "*.example.com,!x.example.com,[a]:2222", &key).unwrap();
        assert_eq!(added.line, 2);
        let index = index(&added.content);
        assert_eq!(index.entries()[0].marker, Marker::CertAuthority);
        assert_eq!(
            index.entries()[0].hosts.to_string(),
            "*.example.com,!x.example.com,[a]:2222"
        );
        for refused in ["", "a,", "!", "a b", "a\nb", "@revoked", "#", "|1|x"] {
            assert!(add_authority(b"", refused, &key).is_err(), "{refused}");
        }
    }

    #[test]
    fn a_line_is_added_behind_what_is_there() {
        for (before, port, salt, after, line) in [
            ("", 22, None, format!("web1 {ED25519}\n"), 1),
            ("# c\n", 22, None, format!("# c\nweb1 {ED25519}\n"), 2),
            ("no newline", 22, None, format!("no newline\nweb1 {ED25519}\n"), 2),
            ("a\r\n", 2222, None, format!("a\r\n[web1]:2222 {ED25519}\n"), 2),
            (
                "",
                22,
                Some([0; 20]),
                format!(
                    "|1|AAAAAAAAAAAAAAAAAAAAAAAAAAA=|{} {ED25519}\n",
                    "L3kIBY7FXXbk2nWY5behIDSubsM="
                ),
                1,
            ),
        ] {
            let added = add_entry(before.as_bytes(), "Web1", port, &key(ED25519), salt).unwrap();
            assert_eq!(
                (String::from_utf8(added.content).unwrap(), added.line),
                (after, line)
            );
        }
    }

    #[test]
    fn names_that_mean_more_than_one_host_are_not_recorded() {
        for host in [
            "", "*", "web?", "a,b", "!a", "a b", "a\tb", "a\nb", "#a", "@revoked", "|1|", "[a]", "a\x07",
            "a\u{a0}b",
        ] {
            let refused = Err(HostNotRecordable { host: host.into() });
            assert_eq!(add_entry(b"", host, 22, &key(ED25519), None), refused, "{host:?}");
        }
    }

    #[test]
    fn removing_a_host_takes_its_lines_and_only_its_name_from_shared_ones() {
        let hashed = HashedName::new([3; 20], "web1");
        let text = format!(
            "# web1\nweb1 {ED25519} c\nweb2 {ED25519}\n{hashed} {RSA}\n\t a,WEB1,b\t{RSA} comment\r\nweb1,!c {RSA}\n\
             [web1]:2222 {RSA}\nbroken web1\nweb1 {OTHER_ED25519}"
        );
        let removal = remove_host(text.as_bytes(), "Web1", 22);
        let expected =
            format!("# web1\nweb2 {ED25519}\n\t a,b\t{RSA} comment\r\n[web1]:2222 {RSA}\nbroken web1\n");
        assert_eq!(String::from_utf8(removal.content).unwrap(), expected);
        assert_eq!(
            removal
                .removed
                .iter()
                .map(|r| (r.line, r.other_hosts_kept))
                .collect::<Vec<_>>(),
            [(2, false), (4, false), (5, true), (6, false), (9, false)]
        );
        assert_eq!(removal.kept, []);
    }

    #[test]
    fn lines_that_say_more_than_one_hosts_key_are_kept_and_reported() {
        let text =
            format!("*,!db {ED25519}\n@revoked web1 {RSA}\n@cert-authority web1 {RSA}\nweb1,web* {RSA}\n");
        let removal = remove_host(text.as_bytes(), "web1", 22);
        let kept = |line, reason| KeptLine { line, reason };
        assert_eq!(
            removal.kept,
            [
                kept(1, KeptReason::Wildcard),
                kept(2, KeptReason::Marker),
                kept(3, KeptReason::Marker),
                kept(4, KeptReason::Wildcard)
            ]
        );
        assert_eq!(removal.removed, []);
        assert_eq!(
            String::from_utf8(removal.content).unwrap(),
            text.replace("web1,web*", "web*")
        );
    }

    /// Lines of many kinds, sound and broken, none of which speaks of `web1`.
    fn other_line() -> impl Strategy<Value = String> {
        prop_oneof![
            "[ -~\t]{0,40}",
            "#.{0,20}",
            "(db|[*]db|web2|\\[web1\\]:2222|!web1,[*])(,x[0-9]|,!y)?"
                .prop_map(|hosts| format!("{hosts} {RSA} c")),
            "[a-z]{3,8}".prop_map(|name| format!("{} {RSA}", HashedName::new([5; 20], &name))),
        ]
        .prop_filter("speaks of web1", |line| {
            index(line.as_bytes()).lookup("web1", 22).entries().is_empty()
        })
    }

    proptest! {
        #[test]
        fn what_is_added_is_found_and_removing_it_restores_the_file(
            lines in prop::collection::vec(other_line(), 0..8),
            salt in prop::option::of(any::<[u8; 20]>()),
        ) {
            let before: String = lines.iter().map(|line| format!("{line}\n")).collect();
            let added = add_entry(before.as_bytes(), "web1", 22, &key(ED25519), salt).unwrap();
            prop_assert!(added.content.starts_with(before.as_bytes()));
            let index = index(&added.content);
            let lookup = index.lookup("web1", 22);
            let [entry] = lookup.entries() else { panic!("one entry: {lookup:?}") };
            prop_assert_eq!((&entry.key, entry.location.line), (&key(ED25519), added.line));
            let removal = remove_host(&added.content, "web1", 22);
            prop_assert_eq!(removal.content, before.as_bytes());
            prop_assert_eq!(removal.removed.len(), 1);
        }

        #[test]
        fn any_bytes_survive_an_addition_and_a_removal(
            bytes in prop::collection::vec(any::<u8>(), 0..300)
        ) {
            let added = add_entry(&bytes, "web1", 22, &key(ED25519), None).unwrap();
            prop_assert!(added.content.starts_with(&bytes));
            let removed = remove_host(&added.content, "web1", 22);
            prop_assert!(removed.content.starts_with(&bytes));
            prop_assert!(removed.content.len() <= bytes.len() + 1);
        }
    }
}
