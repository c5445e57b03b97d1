//! All entries of all files, arranged so that a host is found without reading every line.

use std::collections::HashMap;
use std::sync::Arc;

use super::parse::{BadLine, Entry, Location, Marker, parse_line};
use super::pattern::{Hosts, canonical_host, lookup_name};
use crate::key::PublicKey;

/// The entries of one or more known_hosts files, in order.
///
/// Names written out are found through a hash table. Only lines with wildcards are compared, and only hashed lines
/// hashed, one by one.
#[derive(Debug, Clone, Default)]
pub struct KnownHostsIndex {
    entries: Vec<Entry>,
    bad_lines: Vec<BadLine>,
    /// Positions in `entries` of the lines that write a name out.
    exact: HashMap<String, Vec<usize>>,
    /// Positions of the lines with wildcards or a hashed name.
    scanned: Vec<usize>,
    /// Keys that no host may have, whatever the policy is.
    revoked: HashMap<PublicKey, Location>,
}

/// What the files say about a host.
#[derive(Debug, Clone)]
pub struct Lookup<'a> {
    pub(super) host: String,
    pub(super) port: u16,
    /// The lines for the host at this port.
    pub(super) matching: Vec<&'a Entry>,
    /// The lines for the plain host, when the port is not 22.
    pub(super) without_port: Vec<&'a Entry>,
    /// Keys that no host may have.
    pub(super) revoked: &'a HashMap<PublicKey, Location>,
}

/// The host-key algorithms that a host is known by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownAlgorithms {
    /// Key types of the host's keys, without repetition, in the order of the files. `ssh-rsa` names the type of key:
    /// the signature algorithms that go with it are `rsa-sha2-512` and `rsa-sha2-256`.
    pub keys: Vec<String>,
    /// Whether a `@cert-authority` line applies, so that it makes sense to ask for a certificate.
    pub authority: bool,
}

impl KnownHostsIndex {
    /// An index of no files: every host is unknown.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the content of a file after those already there. `name` is what [`Location`]s will call it. Lines that
    /// cannot be read are skipped and listed in [`bad_lines`](Self::bad_lines).
    pub fn add_file(&mut self, name: &str, content: &[u8]) {
        let file: Arc<str> = name.into();
        for (i, line) in content.split(|byte| *byte == b'\n').enumerate() {
            let location = || Location {
                file: Arc::clone(&file),
                line: i + 1,
            };
            match parse_line(line) {
                Ok(None) => {}
                Ok(Some(line)) => self.add_entry(Entry {
                    location: location(),
                    marker: line.marker,
                    hosts: line.hosts,
                    key: line.key,
                }),
                Err(reason) => self.bad_lines.push(BadLine {
                    location: location(),
                    reason,
                }),
            }
        }
    }

    /// Adds a file of public keys, one a line, that no host may have, not even under
    /// [`DangerAcceptAny`](super::HostKeyPolicy::DangerAcceptAny) (`RevokedHostKeys`).
    ///
    /// # Errors
    /// The number of the first line that is neither a public key nor blank nor a comment.
    pub fn add_revoked_file(&mut self, name: &str, content: &[u8]) -> Result<(), usize> {
        for (i, line) in content.split(|byte| *byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            match parse_line(&[b"@revoked * ", line].concat()) {
                Ok(Some(line)) => {
                    let location = Location {
                        file: name.into(),
                        line: i + 1,
                    };
                    self.revoked.entry(line.key).or_insert(location);
                }
                Ok(None) | Err(_) => return Err(i + 1),
            }
        }
        Ok(())
    }

    /// Adds one entry after those already there.
    pub fn add_entry(&mut self, entry: Entry) {
        let position = self.entries.len();
        match &entry.hosts {
            Hosts::Patterns(patterns) => {
                let positive = || patterns.iter().filter(|pattern| !pattern.negated);
                for name in positive().filter(|pattern| pattern.is_exact()) {
                    self.exact.entry(name.text.clone()).or_default().push(position);
                }
                if positive().any(|pattern| !pattern.is_exact()) {
                    self.scanned.push(position);
                }
            }
            Hosts::Hashed(_) => self.scanned.push(position),
        }
        self.entries.push(entry);
    }

    /// Every entry, in order.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Every line that was skipped, in order.
    #[must_use]
    pub fn bad_lines(&self) -> &[BadLine] {
        &self.bad_lines
    }

    /// Finds what the files say about a host (without brackets, in any case) at a port.
    ///
    /// As in OpenSSH, a port other than 22 is looked up as `[host]:port`, against which plain patterns are matched as
    /// well: `*` matches it, `*.example.com` does not. The address behind the name is not looked up, which is what
    /// OpenSSH's default of `CheckHostIP no` means.
    #[must_use]
    pub fn lookup(&self, host: &str, port: u16) -> Lookup<'_> {
        let matching = self.entries_for(&lookup_name(host, port));
        let without_port = if port == 22 {
            Vec::new()
        } else {
            self.entries_for(&canonical_host(host))
        };
        Lookup {
            host: canonical_host(host),
            port,
            matching,
            without_port,
            revoked: &self.revoked,
        }
    }

    fn entries_for(&self, name: &str) -> Vec<&Entry> {
        let entry = |position: &usize| Some((*position, self.entries.get(*position)?));
        let written_out = self.exact.get(name).into_iter().flatten();
        let mut found: Vec<_> = written_out
            .chain(&self.scanned)
            .filter_map(entry)
            .filter(|(_, entry)| entry.hosts.matches(name))
            .collect();
        found.sort_by_key(|(position, _)| *position);
        found.dedup_by_key(|(position, _)| *position);
        found.into_iter().map(|(_, entry)| entry).collect()
    }

    /// The key types that the files hold for a host: the negotiation must prefer them, or a host that also has a key
    /// of another type looks changed. Revoked keys do not count.
    #[must_use]
    pub fn host_key_algorithms(&self, host: &str, port: u16) -> KnownAlgorithms {
        let lookup = self.lookup(host, port);
        let mut keys: Vec<String> = Vec::new();
        for entry in lookup.host_keys() {
            let revoked = lookup.revocation(&entry.key).is_some();
            if !revoked && !keys.iter().any(|name| name == entry.key.algorithm()) {
                keys.push(entry.key.algorithm().to_owned());
            }
        }
        KnownAlgorithms {
            keys,
            authority: lookup.authorities().next().is_some(),
        }
    }
}

impl<'a> Lookup<'a> {
    /// Every line for the host at this port, in order. This is what `ssh-keygen -F` prints.
    #[must_use]
    pub fn entries(&self) -> &[&'a Entry] {
        &self.matching
    }

    /// The host's own keys. Like ssh, a host at another port without a key of its own may show one of the plain
    /// host's keys.
    pub(super) fn host_keys(&self) -> impl Iterator<Item = &'a Entry> + '_ {
        let own = self.matching.iter().any(|entry| entry.marker == Marker::None);
        let lines = if own { &self.matching } else { &self.without_port };
        // On port 22 there is nothing in `without_port`, so that no keys are no keys.
        lines.iter().copied().filter(|entry| entry.marker == Marker::None)
    }

    /// The lines that name an authority for the host.
    pub(super) fn authorities(&self) -> impl Iterator<Item = &'a Entry> + '_ {
        self.all().filter(|entry| entry.marker == Marker::CertAuthority)
    }

    /// The line that revokes a key, be it for the host at this port or for the plain host.
    pub(super) fn revocation(&self, key: &PublicKey) -> Option<&'a Entry> {
        self.all()
            .find(|entry| entry.marker == Marker::Revoked && entry.key == *key)
    }

    fn all(&self) -> impl Iterator<Item = &'a Entry> + '_ {
        self.matching.iter().chain(&self.without_port).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::known_hosts::testing::{AUTHORITY, ED25519, OTHER_ED25519, RSA};

    fn index(text: &str) -> KnownHostsIndex {
        let mut index = KnownHostsIndex::new();
        index.add_file("f", text.as_bytes());
        assert_eq!(index.bad_lines(), []);
        index
    }

    fn lines(index: &KnownHostsIndex, host: &str, port: u16) -> Vec<usize> {
        index
            .lookup(host, port)
            .entries()
            .iter()
            .map(|entry| entry.location.line)
            .collect()
    }

    #[test]
    fn host_lists_match_as_in_openssh() {
        for (hosts, host, port, expected) in [
            ("web1", "web1", 22, true),
            ("web1", "WEB1", 22, true),
            ("WEB1", "web1", 22, true),
            ("web1", "web1", 2222, false),
            ("[web1]:2222", "web1", 2222, true),
            ("[Web1]:2222", "web1", 2222, true),
            ("[web1]:2222", "web1", 22, false),
            ("[web1]:22", "web1", 22, false),
            ("web1,web2", "web2", 22, true),
            ("*", "web1", 2222, true),
            ("*.lan", "web1.lan", 22, true),
            ("*.lan", "web1.lan", 2222, false),
            ("[*.lan]:2222", "web1.lan", 2222, true),
            ("web?", "web1", 22, true),
            ("*,!web1", "web1", 22, false),
            ("!web1,*", "web1", 22, false),
            ("web1,!web1", "web1", 22, false),
            ("*,!WEB1", "web1", 22, false),
            ("!web1", "web2", 22, false),
            ("*,!web1", "web2", 22, true),
            ("::1", "::1", 22, true),
            ("[::1]:2222", "::1", 2222, true),
            ("192.0.2.*", "192.0.2.7", 22, true),
            (",web1", "web1", 22, true),
        ] {
            let found = !lines(&index(&format!("{hosts} {ED25519}")), host, port).is_empty();
            assert_eq!(found, expected, "{host} at {port} in {hosts}");
        }
    }

    #[test]
    fn hashed_names_are_found() {
        let salt = [9; 20];
        for (name, host, port, expected) in [
            ("web1", "Web1", 22, true),
            ("web1", "web1", 2222, false),
            ("[web1]:2222", "web1", 2222, true),
            ("web2", "web1", 22, false),
        ] {
            let hashed = super::super::pattern::HashedName::new(salt, name);
            let found = !lines(&index(&format!("{hashed} {ED25519}")), host, port).is_empty();
            assert_eq!(found, expected, "{host} at {port} against the hash of {name}");
        }
    }

    #[test]
    fn entries_come_in_the_order_of_the_files_each_once() {
        let mut index = index(&format!(
            "web*,web1 {ED25519}\nweb1,web1 {RSA}\n*.lan,web1 {OTHER_ED25519}"
        ));
        index.add_file("g", format!("web1 {RSA}").as_bytes());
        let found: Vec<_> = index
            .lookup("web1", 22)
            .entries()
            .iter()
            .map(|entry| entry.location.to_string())
            .collect();
        assert_eq!(found, ["f:1", "f:2", "f:3", "g:1"]);
    }

    #[test]
    fn the_algorithms_of_a_host_are_those_of_its_keys() {
        let known = |keys: &[&str], authority| KnownAlgorithms {
            keys: keys.iter().map(|name| (*name).to_owned()).collect(),
            authority,
        };
        for (text, port, expected) in [
            (String::new(), 22, known(&[], false)),
            (format!("web1 {ED25519}"), 22, known(&["ssh-ed25519"], false)),
            (
                format!("web1 {RSA}\nweb1 {ED25519}\nweb1 {RSA}"),
                22,
                known(&["ssh-rsa", "ssh-ed25519"], false),
            ),
            (format!("@cert-authority * {AUTHORITY}"), 22, known(&[], true)),
            (format!("@revoked web1 {ED25519}"), 22, known(&[], false)),
            (
                format!("web1 {ED25519}\n@revoked * {ED25519}\nweb1 {RSA}"),
                22,
                known(&["ssh-rsa"], false),
            ),
            (format!("web1 {ED25519}"), 2222, known(&["ssh-ed25519"], false)),
            (
                format!("web1 {ED25519}\n[web1]:2222 {RSA}"),
                2222,
                known(&["ssh-rsa"], false),
            ),
            (
                format!("@cert-authority web1 {AUTHORITY}"),
                2222,
                known(&[], true),
            ),
        ] {
            assert_eq!(
                index(&text).host_key_algorithms("web1", port),
                expected,
                "{text} at {port}"
            );
        }
    }
}
