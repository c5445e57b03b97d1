//! Why a host key was refused, in sentences that name the place, the keys and the next step.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::Path;

use super::certificate::CertificateProblem;
use super::parse::{Entry, Location};
use crate::key::PublicKey;
use crate::quoting::quote_str;
use crate::text::escape;

/// A host key that was refused. The connection must end before any credential is offered.
///
/// Shown, it says what happened and what to do next. [`summary`](Self::summary) and [`next_step`](Self::next_step)
/// give the two apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKeyRefusal {
    /// The host, in lower case.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The key that the host offered; of a certificate, the key in it.
    pub offered: PublicKey,
    /// What is wrong with it.
    pub reason: RefusalReason,
}

/// What is wrong with an offered host key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusalReason {
    /// Nothing is known of the host.
    Unknown,
    /// The host is known by other keys, of the same type or of other types.
    Changed {
        /// The keys it is known by; at least one.
        known: Vec<KnownKey>,
    },
    /// The offered key is marked `@revoked`.
    Revoked {
        /// The line that revokes it.
        location: Location,
    },
    /// The authority that signed the offered certificate is marked `@revoked`.
    RevokedAuthority {
        /// The line that revokes it.
        location: Location,
        /// The fingerprint of the authority.
        authority: String,
    },
    /// The offered certificate does not vouch for the host.
    Certificate(CertificateProblem),
}

impl RefusalReason {
    /// The name in errors and JSON: `unknown`, `changed`, `revoked`, `revoked_authority`, `certificate`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Changed { .. } => "changed",
            Self::Revoked { .. } => "revoked",
            Self::RevokedAuthority { .. } => "revoked_authority",
            Self::Certificate(_) => "certificate",
        }
    }
}

/// A key that a host is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownKey {
    /// The line that says so.
    pub location: Location,
    /// The key.
    pub key: PublicKey,
}

impl From<&Entry> for KnownKey {
    fn from(entry: &Entry) -> Self {
        Self {
            location: entry.location.clone(),
            key: entry.key.clone(),
        }
    }
}

/// `TYPE FINGERPRINT in FILE:LINE`.
impl fmt::Display for KnownKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", name_of(&self.key), self.location)
    }
}

impl HostKeyRefusal {
    /// What happened, in one clause: the host, the offered key, and the lines of known_hosts that speak against it.
    #[must_use]
    pub fn summary(&self) -> String {
        let host = self.target();
        let offered = name_of(&self.offered);
        match &self.reason {
            RefusalReason::Unknown => {
                format!(
                    "the host {host} is not known: it offered the key {offered}, and no known_hosts line names it"
                )
            }
            RefusalReason::Changed { known } => {
                let same_type = known
                    .iter()
                    .any(|known| known.key.algorithm() == self.offered.algorithm());
                let what = if same_type {
                    "has changed"
                } else {
                    "is of a type not recorded for it"
                };
                let known = list(known.iter().map(KnownKey::to_string));
                format!("the host key of {host} {what}: it offered {offered}, but is known by {known}")
            }
            RefusalReason::Revoked { location } => {
                format!("the host key of {host}, {offered}, is marked as revoked in {location}")
            }
            RefusalReason::RevokedAuthority { location, authority } => format!(
                "the certificate of {host} (key {offered}) is signed by the authority {authority}, which is marked as \
                 revoked in {location}"
            ),
            RefusalReason::Certificate(problem) => {
                format!("the certificate of {host} (key {offered}) is refused: {problem}")
            }
        }
    }

    /// What a person can do about it. `file` is the known_hosts file that the command has to name, for it is not the
    /// user's own; `jump` are the jump hosts on the way, as `-J` takes them; `aliased` is the host itself, where its key is
    /// known by an alias.
    #[must_use]
    pub fn next_step(&self, file: Option<&Path>, jump: Option<&str>, aliased: Option<&str>) -> String {
        let file = match file.map(|file| quote_str(&file.to_string_lossy())) {
            Some(Ok(file)) => format!("--known-hosts {} ", escape(&file)),
            _ => String::new(),
        };
        let jump = jump.map_or_else(String::new, |jump| format!("-J {} ", escape(jump)));
        let target = match aliased {
            Some(target) => format!("-o HostKeyAlias={} {}", escape(&self.host), escape(target)),
            None => self.target(),
        };
        // What is removed is only looked up: the way to the host does not matter, and the name is the alias itself.
        self.next_step_for(
            &format!("{jump}{file}{target}"),
            &format!("{file}{}", self.target()),
        )
    }

    /// The same where the host is known by another name than its address, as in an inventory: what `sternline hostkeys add`
    /// and `sternline hostkeys remove` are told of it, options included.
    #[must_use]
    pub fn next_step_for(&self, host: &str, remove: &str) -> String {
        match &self.reason {
            RefusalReason::Unknown => format!(
                "compare the fingerprint with one from a source you trust, and record the key with `sternline hostkeys add {host}`"
            ),
            RefusalReason::Changed { .. } => format!(
                "somebody may be intercepting the connection: ask the host's administrator for its fingerprint by \
                 another channel, and only if the new key is right, run `sternline hostkeys remove {remove}` and then \
                 `sternline hostkeys add {host}`"
            ),
            RefusalReason::Revoked { .. } | RefusalReason::RevokedAuthority { .. } => {
                "somebody may be using a stolen key: tell the host's administrator, who has to give the host a new one"
                    .to_owned()
            }
            RefusalReason::Certificate(CertificateProblem::UnknownAuthority { .. }) => format!(
                "compare the authority's fingerprint with one from a source you trust, and record it in known_hosts \
                 with a `@cert-authority` line; or record the host's own key with `sternline hostkeys add {host}`"
            ),
            RefusalReason::Certificate(_) => format!(
                "ask the host's administrator for a right certificate, or record the host's own key with `sternline \
                 hostkeys add {host}` after comparing its fingerprint with one from a source you trust"
            ),
        }
    }

    /// The host as the command line takes it.
    fn target(&self) -> String {
        let host = escape(&self.host);
        match (self.port, self.host.parse::<Ipv6Addr>()) {
            (22, _) => host,
            (port, Ok(_)) => format!("[{host}]:{port}"),
            (port, Err(_)) => format!("{host}:{port}"),
        }
    }
}

impl fmt::Display for HostKeyRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.summary(), self.next_step(None, None, None))
    }
}

impl std::error::Error for HostKeyRefusal {}

/// Algorithm and fingerprint. The algorithm's name is printable ASCII by construction.
fn name_of(key: &PublicKey) -> String {
    format!("{} {}", key.algorithm(), key.fingerprint())
}

/// Joins items with commas.
pub(super) fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::known_hosts::testing::{
        AUTHORITY, ED25519, OTHER_AUTHORITY, OTHER_ED25519, RSA, certificate, key,
    };
    use crate::known_hosts::{HostKeyOffer, HostKeyPolicy, KnownHostsIndex, Verdict, verify};

    fn refusal(text: &str, port: u16, offer: &HostKeyOffer) -> HostKeyRefusal {
        let mut index = KnownHostsIndex::new();
        index.add_file("/home/u/.ssh/known\x1bhosts", text.as_bytes());
        match verify(HostKeyPolicy::Strict, &index.lookup("Web1", port), offer, 1_000) {
            Verdict::Refused(refusal) => refusal,
            other => panic!("expected a refusal, got {other:?}"),
        }
    }

    fn print(text: &str) -> String {
        key(text).fingerprint()
    }

    #[test]
    fn a_changed_key_is_told_with_file_line_both_fingerprints_and_the_next_step() {
        let text = format!("# first line\nweb1 {OTHER_ED25519}\n* {RSA}");
        let message = refusal(&text, 22, &HostKeyOffer::Key(key(ED25519))).to_string();
        let expected = format!(
            "the host key of web1 has changed: it offered ssh-ed25519 {}, but is known by ssh-ed25519 {} in \
             /home/u/.ssh/known\\x1bhosts:2, ssh-rsa {} in /home/u/.ssh/known\\x1bhosts:3; somebody may be intercepting \
             the connection: ask the host's administrator for its fingerprint by another channel, and only if the new \
             key is right, run `sternline hostkeys remove web1` and then `sternline hostkeys add web1`",
            print(ED25519),
            print(OTHER_ED25519),
            print(RSA)
        );
        assert_eq!(message, expected);
    }

    #[test]
    fn a_key_of_another_type_is_told_apart_from_a_changed_one() {
        let summary = refusal(&format!("web1 {RSA}"), 22, &HostKeyOffer::Key(key(ED25519))).summary();
        assert!(
            summary.starts_with("the host key of web1 is of a type not recorded for it: "),
            "{summary}"
        );
    }

    #[test]
    fn an_unknown_host_is_told_with_the_command_that_records_it() {
        let refusal = refusal("", 2222, &HostKeyOffer::Key(key(ED25519)));
        let summary = format!(
            "the host web1:2222 is not known: it offered the key ssh-ed25519 {}, and no known_hosts line names it",
            print(ED25519)
        );
        assert_eq!(refusal.summary(), summary);
        assert!(
            refusal
                .next_step(None, None, None)
                .ends_with("`sternline hostkeys add web1:2222`"),
            "{}",
            refusal.next_step(None, None, None)
        );
        let step = refusal.next_step(Some(Path::new("my hosts")), None, None);
        assert!(
            step.ends_with("`sternline hostkeys add --known-hosts 'my hosts' web1:2222`"),
            "{step}"
        );
        let step = refusal.next_step(None, Some("a@b:22,c:22"), None);
        assert!(
            step.ends_with("`sternline hostkeys add -J a@b:22,c:22 web1:2222`"),
            "{step}"
        );
        let step = refusal.next_step_for("-I hosts.toml web", "x");
        assert!(
            step.ends_with("`sternline hostkeys add -I hosts.toml web`"),
            "{step}"
        );
    }

    #[test]
    fn what_is_removed_is_named_as_it_is_recorded() {
        let refusal = refusal(
            &format!("web1 {OTHER_ED25519}"),
            22,
            &HostKeyOffer::Key(key(ED25519)),
        );
        let step = refusal.next_step(Some(Path::new("kh")), Some("b:22"), Some("ann@10.0.0.5"));
        assert!(
            step.ends_with(
                "run `sternline hostkeys remove --known-hosts kh web1` and then `sternline hostkeys add -J b:22 \
                 --known-hosts kh -o HostKeyAlias=web1 ann@10.0.0.5`"
            ),
            "{step}"
        );
    }

    #[test]
    fn a_revoked_key_is_told_with_its_line() {
        let text = format!("web1 {ED25519}\n@revoked * {ED25519}");
        assert_eq!(
            refusal(&text, 22, &HostKeyOffer::Key(key(ED25519))).summary(),
            format!(
                "the host key of web1, ssh-ed25519 {}, is marked as revoked in /home/u/.ssh/known\\x1bhosts:2",
                print(ED25519)
            )
        );
    }

    #[test]
    fn a_certificate_of_an_unknown_authority_is_told_with_both_authorities() {
        let offer = HostKeyOffer::Certificate(certificate());
        assert_eq!(
            refusal(&format!("@cert-authority * {OTHER_AUTHORITY}"), 22, &offer).summary(),
            format!(
                "the certificate of web1 (key ssh-ed25519 {}) is refused: it is signed by the unknown authority {}; \
                 known for this host: {} (/home/u/.ssh/known\\x1bhosts:1)",
                print(ED25519),
                print(AUTHORITY),
                print(OTHER_AUTHORITY)
            )
        );
        assert_eq!(
            refusal("", 22, &offer).summary(),
            format!(
                "the certificate of web1 (key ssh-ed25519 {}) is refused: it is signed by the unknown authority {}, and \
                 no @cert-authority line applies to the host",
                print(ED25519),
                print(AUTHORITY)
            )
        );
    }

    #[test]
    fn commands_name_ipv6_hosts_with_brackets_where_a_port_follows() {
        let command = |port| HostKeyRefusal {
            host: "::1".into(),
            port,
            offered: key(ED25519),
            reason: RefusalReason::Unknown,
        };
        assert!(
            command(22)
                .next_step(None, None, None)
                .ends_with("hostkeys add ::1`")
        );
        assert!(
            command(2222)
                .next_step(None, None, None)
                .ends_with("hostkeys add [::1]:2222`")
        );
    }
}
