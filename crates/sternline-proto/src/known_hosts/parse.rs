//! One line of known_hosts at a time: marker, hosts, key, comment.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use super::pattern::{HashedName, Hosts, Pattern, lookup_name};
use crate::key::{KeyError, PublicKey};
use crate::text::escape;

/// Where an entry stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Location {
    /// The name the file was loaded under, usually its path.
    pub file: Arc<str>,
    /// The line, counted from 1.
    pub line: usize,
}

/// `FILE:LINE`, safe to print.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", escape(&self.file), self.line)
    }
}

/// What a line says about its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Marker {
    /// No marker: the hosts have this key.
    None,
    /// `@cert-authority`: certificates signed by this key are accepted for the hosts.
    CertAuthority,
    /// `@revoked`: this key must never be accepted for the hosts, be it as host key or as authority.
    Revoked,
}

/// One sound line of a known_hosts file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it stands.
    pub location: Location,
    /// What the line says about the key.
    pub marker: Marker,
    /// The hosts it speaks of.
    pub hosts: Hosts,
    /// The key.
    pub key: PublicKey,
}

impl Entry {
    /// An entry that says that a host has a key, as [`add_entry`](super::add_entry) would write it.
    #[must_use]
    pub fn new(location: Location, host: &str, port: u16, key: PublicKey) -> Self {
        let name = Pattern {
            negated: false,
            text: lookup_name(host, port),
        };
        Self {
            location,
            marker: Marker::None,
            hosts: Hosts::Patterns(vec![name]),
            key,
        }
    }
}

/// A line that was skipped. Its content is not shown: a file named by mistake may hold anything.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{location}: the line is ignored: {reason}")]
pub struct BadLine {
    /// Where it stands.
    pub location: Location,
    /// What is wrong with it.
    pub reason: BadLineReason,
}

/// Why a line is not an entry.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BadLineReason {
    /// It starts with `@` but not with exactly one known marker.
    #[error("the marker is not @cert-authority or @revoked, given once and followed by the hosts")]
    Marker,
    /// It ends before the key.
    #[error("it ends before the key: expected hosts, key type and key")]
    Truncated,
    /// The host list holds control characters, is not UTF-8, or has a pattern of 1023 bytes or more.
    #[error(
        "the list of hosts holds control characters, is not UTF-8, or has a pattern of 1023 bytes or more"
    )]
    Hosts,
    /// The hashed name is broken.
    #[error("the hashed host name is not |1|salt|hash with 20 bytes each")]
    Hash,
    /// The key cannot be read.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The key's parts do not fill its data exactly, or have the wrong size.
    #[error("the key's data is damaged")]
    KeyData,
    /// The key is a certificate.
    #[error("it holds a certificate where a key belongs")]
    Certificate,
}

/// A line taken apart.
pub(super) struct Line<'a> {
    pub(super) marker: Marker,
    /// The hosts as written.
    pub(super) hosts_text: &'a str,
    pub(super) hosts: Hosts,
    pub(super) key: PublicKey,
}

/// Reads one line, with or without its line ending; nothing for blank lines and comments.
pub(super) fn parse_line(line: &[u8]) -> Result<Option<Line<'_>>, BadLineReason> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let mut rest = trim_blanks(line.strip_suffix(b"\r").unwrap_or(line));
    if rest.is_empty() || rest.starts_with(b"#") {
        return Ok(None);
    }
    let mut marker = Marker::None;
    if rest.starts_with(b"@") {
        let (word, after) = next_field(rest);
        marker = match word {
            b"@cert-authority" => Marker::CertAuthority,
            b"@revoked" => Marker::Revoked,
            _ => return Err(BadLineReason::Marker),
        };
        rest = after;
        if rest.starts_with(b"@") {
            return Err(BadLineReason::Marker);
        }
    }
    let (hosts, rest) = next_field(rest);
    let (algorithm, rest) = next_field(rest);
    let (blob, _comment) = next_field(rest);
    if blob.is_empty() {
        return Err(BadLineReason::Truncated);
    }
    let hosts_text = str::from_utf8(hosts).map_err(|_| BadLineReason::Hosts)?;
    let hosts = parse_hosts(hosts_text)?;
    let key = PublicKey::from_text(text_or_empty(algorithm), text_or_empty(blob))?;
    check_key(&key)?;
    Ok(Some(Line {
        marker,
        hosts_text,
        hosts,
        key,
    }))
}

/// Reads the first field of a line. The limit on the length of a pattern is OpenSSH's, which matches no name with a
/// list that holds a longer one.
fn parse_hosts(text: &str) -> Result<Hosts, BadLineReason> {
    if text.starts_with('|') {
        return HashedName::parse(text)
            .map(Hosts::Hashed)
            .ok_or(BadLineReason::Hash);
    }
    if text.chars().any(char::is_control) || text.split(',').any(|pattern| pattern.len() >= 1023) {
        return Err(BadLineReason::Hosts);
    }
    Ok(Hosts::Patterns(text.split(',').map(Pattern::new).collect()))
}

/// Refuses certificates and damaged keys: all parts must be there (RFC 4253 section 6.6), so that a line cut short
/// is reported as such, and not later taken for a key that has changed.
fn check_key(key: &PublicKey) -> Result<(), BadLineReason> {
    if key.algorithm().contains("-cert-v0") {
        return Err(BadLineReason::Certificate);
    }
    let parts = parts_of(key.blob()).ok_or(BadLineReason::KeyData)?;
    let sound = match key.algorithm() {
        "ssh-ed25519" => matches!(parts.as_slice(), [_, point] if point.len() == 32),
        "ssh-rsa" => parts.len() == 3,
        name if name.starts_with("ecdsa-sha2-") => parts.len() == 3,
        _ => parts.len() > 1,
    };
    if sound {
        Ok(())
    } else {
        Err(BadLineReason::KeyData)
    }
}

/// Takes a blob apart into its length-prefixed strings; nothing when they do not fill it exactly.
fn parts_of(mut blob: &[u8]) -> Option<Vec<&[u8]>> {
    let mut parts = Vec::new();
    while !blob.is_empty() {
        let (length, rest) = blob.split_first_chunk::<4>()?;
        let (part, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        parts.push(part);
        blob = rest;
    }
    Some(parts)
}

/// Splits off what comes before the next blank, and skips the blanks behind it.
fn next_field(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| is_blank(*byte)).unwrap_or(text.len());
    let (field, rest) = text.split_at(end);
    (field, trim_blanks(rest))
}

fn trim_blanks(text: &[u8]) -> &[u8] {
    let start = text
        .iter()
        .position(|byte| !is_blank(*byte))
        .unwrap_or(text.len());
    text.split_at(start).1
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// Text that is not UTF-8 is neither an algorithm nor base64, and the empty text is refused as both.
fn text_or_empty(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::known_hosts::KnownHostsIndex;
    use crate::known_hosts::testing::{ED25519, RSA, key};
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Option<Line<'_>>, BadLineReason> {
        parse_line(text.as_bytes())
    }

    #[test]
    fn blank_lines_and_comments_are_nothing() {
        for line in [
            "",
            "\n",
            "\r\n",
            "   ",
            "\t",
            "# a comment",
            "  \t# indented",
            "#web1 ssh-ed25519 AAAA",
        ] {
            assert!(matches!(parse(line), Ok(None)), "{line:?}");
        }
    }

    #[test]
    fn entries_are_read_through_blanks_tabs_line_endings_and_comments() {
        for line in [
            format!("web1 {ED25519}"),
            format!("  \tweb1\t{}\t \n", ED25519.replace(' ', "\t \t")),
            format!("web1 {ED25519}\r\n"),
            format!("web1 {ED25519} somebody@somewhere # more"),
        ] {
            let entry = parse(&line).unwrap().unwrap();
            assert_eq!(
                (entry.marker, entry.hosts_text),
                (Marker::None, "web1"),
                "{line:?}"
            );
            assert_eq!(entry.key, key(ED25519));
        }
    }

    #[test]
    fn a_comment_may_hold_any_bytes() {
        let mut line = format!("web1 {ED25519} ").into_bytes();
        line.extend(b"\xff\xfe\x00");
        assert!(matches!(parse_line(&line), Ok(Some(_))));
    }

    #[test]
    fn markers_are_read() {
        for (text, marker) in [
            ("@revoked", Marker::Revoked),
            ("@cert-authority", Marker::CertAuthority),
        ] {
            let line = format!("{text}\t * {RSA}");
            assert_eq!(parse(&line).unwrap().unwrap().marker, marker);
        }
    }

    #[test]
    fn every_kind_of_bad_line_has_its_reason() {
        let long = "a".repeat(1023);
        for (line, reason) in [
            (format!("@trusted web1 {ED25519}"), BadLineReason::Marker),
            (format!("@REVOKED web1 {ED25519}"), BadLineReason::Marker),
            (
                format!("@revoked @cert-authority web1 {ED25519}"),
                BadLineReason::Marker,
            ),
            ("@revoked".into(), BadLineReason::Truncated),
            ("web1".into(), BadLineReason::Truncated),
            ("web1 ssh-ed25519".into(), BadLineReason::Truncated),
            ("web1 ssh-ed25519 \n".into(), BadLineReason::Truncated),
            (format!("web1\u{1} {ED25519}"), BadLineReason::Hosts),
            (format!("web1,{long} {ED25519}"), BadLineReason::Hosts),
            (format!("|1|abc {ED25519}"), BadLineReason::Hash),
            (format!("|2|AAAA|AAAA {ED25519}"), BadLineReason::Hash),
            (
                "web1 ssh-ed25519 !!!!".into(),
                BadLineReason::Key(KeyError::Base64),
            ),
            ("web1 ssh-ed25519 AAAA".into(), BadLineReason::Key(KeyError::Blob)),
            (
                format!("web1 {}", ED25519.replace("ssh-ed25519", "ssh-rsa")),
                BadLineReason::Key(KeyError::AlgorithmMismatch {
                    named: "ssh-rsa".into(),
                    inside: "ssh-ed25519".into(),
                }),
            ),
            (
                "web1 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgME".into(),
                BadLineReason::KeyData,
            ),
            // The RSA line of protocol 1: bits, exponent, modulus.
            (
                "web1 1024 35 12345678".into(),
                BadLineReason::Key(KeyError::Base64),
            ),
        ] {
            assert_eq!(parse(&line).map(|_| ()), Err(reason), "{line:?}");
        }
    }

    #[test]
    fn a_certificate_in_the_file_is_reported_not_taken_for_a_key() {
        let name = "ssh-ed25519-cert-v01@openssh.com";
        let mut blob = u32::try_from(name.len()).unwrap().to_be_bytes().to_vec();
        blob.extend(name.as_bytes());
        blob.extend([0, 0, 0, 1, 9]);
        let line = format!("web1 {name} {}", data_encoding::BASE64.encode(&blob));
        assert_eq!(parse(&line).map(|_| ()), Err(BadLineReason::Certificate));
    }

    #[test]
    fn a_bad_line_is_reported_with_its_place_and_the_others_still_count() {
        let text = format!("web1 {ED25519}\nbroken\n\n# comment\nweb2 {RSA}\n");
        let mut index = KnownHostsIndex::new();
        index.add_file("hosts", text.as_bytes());
        assert_eq!(
            index
                .entries()
                .iter()
                .map(|e| e.location.line)
                .collect::<Vec<_>>(),
            [1, 5]
        );
        let [bad] = index.bad_lines() else {
            panic!("one bad line")
        };
        assert_eq!(
            bad.to_string(),
            "hosts:2: the line is ignored: it ends before the key: expected hosts, key type and key"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut index = KnownHostsIndex::new();
            index.add_file("f", &bytes);
            let _ = index.lookup("web1", 22);
        }

        #[test]
        fn lines_that_look_nearly_right_are_parsed_without_a_panic(
            line in "(@revoked|@cert-authority|@)?[ \t]{0,2}[|!a*,1]{0,6} {0,2}(ssh-ed25519|ssh-rsa)? ?[A-Za-z0-9+/=]{0,60}"
        ) {
            let _ = parse(&line);
        }
    }
}
