//! What to do about the key or certificate that a host offers.

use std::str::FromStr;

use super::certificate;
use super::index::Lookup;
use super::parse::{Location, Marker};
use super::refusal::{HostKeyRefusal, KnownKey, RefusalReason};
use crate::key::{HostCertificate, PublicKey};
use thiserror::Error;

/// What to do about a host whose key is not known. Changed and revoked keys are refused by all but the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum HostKeyPolicy {
    /// Refuse it.
    #[default]
    Strict,
    /// Record it and go on: trust on first use.
    AcceptNew,
    /// Ask a person.
    Ask,
    /// Accept anything, changed and revoked keys included, and record nothing. Whoever can stand in between reads and
    /// changes everything that goes over the connection, passwords included.
    DangerAcceptAny,
}

/// The text is none of the values of `StrictHostKeyChecking`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown host key policy: expected yes, accept-new, ask, no or off")]
pub struct UnknownPolicy;

/// Reads the values of `StrictHostKeyChecking` (ssh_config(5)): `yes`, `accept-new`, `ask`, and `no` or `off`.
/// Like OpenSSH it takes `true` and `false` as well, and does not look at the case.
impl FromStr for HostKeyPolicy {
    type Err = UnknownPolicy;

    fn from_str(text: &str) -> Result<Self, UnknownPolicy> {
        match text.to_ascii_lowercase().as_str() {
            "yes" | "true" => Ok(Self::Strict),
            "accept-new" => Ok(Self::AcceptNew),
            "ask" => Ok(Self::Ask),
            "no" | "off" | "false" => Ok(Self::DangerAcceptAny),
            _ => Err(UnknownPolicy),
        }
    }
}

/// What a host shows in the key exchange. The exchange's signature must be verified already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostKeyOffer {
    /// A plain key.
    Key(PublicKey),
    /// A certificate, whose own signature must be verified as well.
    Certificate(HostCertificate),
}

impl HostKeyOffer {
    /// The host's key; of a certificate, the key in it.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        match self {
            Self::Key(key) => key,
            Self::Certificate(certificate) => &certificate.key,
        }
    }

    fn authority(&self) -> Option<&PublicKey> {
        match self {
            Self::Key(_) => None,
            Self::Certificate(certificate) => Some(&certificate.authority),
        }
    }
}

/// What made a key trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrustedBy {
    /// A line that holds the key itself.
    Key(Location),
    /// A `@cert-authority` line whose key signed the host's certificate.
    Authority {
        /// The line.
        location: Location,
        /// The fingerprint of the authority.
        authority: String,
    },
}

/// The decision about an offered host key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is known.
    Trusted(TrustedBy),
    /// The host is new, and the policy is to record its key ([`HostKeyOffer::key`]) and go on.
    Record,
    /// The host is new, and the policy is to ask a person whether to record its key and go on. If the answer is no,
    /// this is the refusal to report.
    Ask(HostKeyRefusal),
    /// Nothing was checked, as the policy demands.
    Unchecked,
    /// It is refused.
    Refused(HostKeyRefusal),
}

/// Decides about the key or certificate that a host offers. `now` is Unix time in seconds.
///
/// The rules are those of OpenSSH 9.2, and stricter where it says so:
/// - A key in a file of revoked keys is refused under every policy, and so is a certificate whose authority is.
/// - A key that any line for the host revokes is refused before all else, wherever that line stands; so is a
///   certificate whose authority is revoked.
/// - A certificate is trusted by a `@cert-authority` line for the host. One that is not trusted counts as the plain
///   key inside it. OpenSSH then also takes that key as new to the host; we refuse it if authorities for the host
///   are listed, because the host is not unknown then.
/// - A host known by other keys only, be they of other types, has changed. It is never taken as new.
/// - A host at a port other than 22 without a key of its own may show a key of the plain host.
#[must_use]
pub fn verify(policy: HostKeyPolicy, lookup: &Lookup<'_>, offer: &HostKeyOffer, now: u64) -> Verdict {
    let key = offer.key();
    let refusal = |reason| {
        let (host, port) = (lookup.host.clone(), lookup.port);
        HostKeyRefusal {
            host,
            port,
            offered: key.clone(),
            reason,
        }
    };
    let refuse = |reason| Verdict::Refused(refusal(reason));
    if let Some(location) = lookup.revoked.get(key).cloned() {
        return refuse(RefusalReason::Revoked { location });
    }
    if let Some((location, authority)) = offer
        .authority()
        .and_then(|key| Some((lookup.revoked.get(key)?.clone(), key.fingerprint())))
    {
        return refuse(RefusalReason::RevokedAuthority { location, authority });
    }
    if policy == HostKeyPolicy::DangerAcceptAny {
        return Verdict::Unchecked;
    }
    if let Some(line) = lookup.revocation(key) {
        return refuse(RefusalReason::Revoked {
            location: line.location.clone(),
        });
    }
    if let Some((line, authority)) = offer
        .authority()
        .and_then(|key| Some((lookup.revocation(key)?, key)))
    {
        let (location, authority) = (line.location.clone(), authority.fingerprint());
        return refuse(RefusalReason::RevokedAuthority { location, authority });
    }
    let problem = match offer {
        HostKeyOffer::Key(_) => None,
        HostKeyOffer::Certificate(certificate) => match certificate::check(lookup, certificate, now) {
            Ok(line) => {
                let (location, authority) = (line.location.clone(), line.key.fingerprint());
                return Verdict::Trusted(TrustedBy::Authority { location, authority });
            }
            Err(problem) => Some(problem),
        },
    };
    if let Some(line) = lookup.host_keys().find(|line| line.key == *key) {
        return Verdict::Trusted(TrustedBy::Key(line.location.clone()));
    }
    // A certificate's flaw says more than "changed" where the host is known by its authority.
    let known_by_authority = lookup.authorities().next().is_some();
    let known: Vec<KnownKey> = lookup
        .matching
        .iter()
        .filter(|line| line.marker == Marker::None)
        .map(|line| (*line).into())
        .collect();
    match problem {
        Some(problem) if known_by_authority => refuse(RefusalReason::Certificate(problem)),
        _ if !known.is_empty() => refuse(RefusalReason::Changed { known }),
        problem => {
            let reason = problem.map_or(RefusalReason::Unknown, RefusalReason::Certificate);
            match policy {
                HostKeyPolicy::AcceptNew => Verdict::Record,
                HostKeyPolicy::Ask => Verdict::Ask(refusal(reason)),
                HostKeyPolicy::Strict | HostKeyPolicy::DangerAcceptAny => refuse(reason),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::known_hosts::testing::{
        AUTHORITY, ED25519, OTHER_AUTHORITY, OTHER_ED25519, RSA, certificate, key,
    };
    use crate::known_hosts::{CertificateProblem, KnownHostsIndex};
    use HostKeyPolicy::{AcceptNew, Ask, DangerAcceptAny, Strict};

    const CHECKING: [HostKeyPolicy; 3] = [Strict, AcceptNew, Ask];

    fn index(text: &str) -> KnownHostsIndex {
        let mut index = KnownHostsIndex::new();
        index.add_file("f", text.as_bytes());
        assert_eq!(index.bad_lines(), []);
        index
    }

    fn verdict_at(policy: HostKeyPolicy, text: &str, offer: &HostKeyOffer, port: u16) -> Verdict {
        verify(policy, &index(text).lookup("web1", port), offer, 1_000)
    }

    fn verdict(policy: HostKeyPolicy, text: &str, offer: &HostKeyOffer) -> Verdict {
        verdict_at(policy, text, offer, 22)
    }

    fn plain() -> HostKeyOffer {
        HostKeyOffer::Key(key(ED25519))
    }

    fn certified(change: impl FnOnce(&mut HostCertificate)) -> HostKeyOffer {
        let mut certificate = certificate();
        change(&mut certificate);
        HostKeyOffer::Certificate(certificate)
    }

    fn line(number: usize) -> Location {
        Location {
            file: "f".into(),
            line: number,
        }
    }

    fn reason(verdict: Verdict) -> RefusalReason {
        match verdict {
            Verdict::Refused(refusal) => refusal.reason,
            other => panic!("expected a refusal, got {other:?}"),
        }
    }

    #[test]
    fn a_known_key_is_trusted_by_its_line() {
        for policy in CHECKING {
            for (text, number) in [
                (format!("web1 {ED25519}"), 1),
                (
                    format!("web1 {RSA}\nweb1 {OTHER_ED25519}\nweb1 {ED25519}\nweb1 {ED25519}"),
                    3,
                ),
                (format!("web1 {RSA}\n* {ED25519}"), 2),
            ] {
                assert_eq!(
                    verdict(policy, &text, &plain()),
                    Verdict::Trusted(TrustedBy::Key(line(number)))
                );
            }
        }
    }

    #[test]
    fn an_unknown_host_is_refused_recorded_or_asked_about() {
        for text in [
            "",
            &format!("web2 {ED25519}"),
            &format!("web1,!web1 {RSA}"),
            &format!("[web1]:22 {RSA}"),
        ] {
            assert_eq!(reason(verdict(Strict, text, &plain())), RefusalReason::Unknown);
            assert_eq!(verdict(AcceptNew, text, &plain()), Verdict::Record);
            let Verdict::Ask(refusal) = verdict(Ask, text, &plain()) else {
                panic!("ask about {text}")
            };
            assert_eq!(refusal.reason, RefusalReason::Unknown);
        }
    }

    #[test]
    fn a_host_known_by_another_key_has_changed_even_if_its_type_is_another() {
        for policy in CHECKING {
            for known in [OTHER_ED25519, RSA] {
                let RefusalReason::Changed { known: listed } = reason(verdict(
                    policy,
                    &format!("#\nweb* {known}\nweb1 {known}"),
                    &plain(),
                )) else {
                    panic!("{policy:?} must refuse a changed key")
                };
                let expected = [2, 3].map(|number| KnownKey {
                    location: line(number),
                    key: key(known),
                });
                assert_eq!(listed, expected);
            }
        }
    }

    #[test]
    fn a_revoked_key_is_refused_even_if_listed_as_trusted() {
        for policy in CHECKING {
            for (text, number) in [
                (format!("@revoked web1 {ED25519}"), 1),
                (format!("@revoked * {ED25519}\nweb1 {ED25519}"), 1),
                (format!("web1 {ED25519}\n@revoked * {ED25519}"), 2),
            ] {
                let offers = [plain(), certified(|_| {})];
                for offer in offers {
                    let text = format!("{text}\n@cert-authority * {AUTHORITY}");
                    let revoked = RefusalReason::Revoked {
                        location: line(number),
                    };
                    assert_eq!(reason(verdict(policy, &text, &offer)), revoked);
                }
            }
        }
    }

    #[test]
    fn a_key_revoked_for_the_plain_host_is_refused_at_other_ports() {
        let text = format!("[web1]:2222 {ED25519}\n@revoked web1 {ED25519}");
        let refused = reason(verdict_at(Strict, &text, &plain(), 2222));
        assert_eq!(refused, RefusalReason::Revoked { location: line(2) });
    }

    #[test]
    fn revoking_one_key_leaves_the_others_trusted() {
        let text = format!("@revoked * {OTHER_ED25519}\nweb1 {OTHER_ED25519}\nweb1 {ED25519}");
        assert_eq!(
            verdict(Strict, &text, &plain()),
            Verdict::Trusted(TrustedBy::Key(line(3)))
        );
    }

    #[test]
    fn a_revoked_authority_vouches_for_nothing() {
        for policy in CHECKING {
            for text in [
                format!("@revoked * {AUTHORITY}\n@cert-authority * {AUTHORITY}"),
                format!("@revoked * {AUTHORITY}\nweb1 {ED25519}"),
            ] {
                let authority = key(AUTHORITY).fingerprint();
                let revoked = RefusalReason::RevokedAuthority {
                    location: line(1),
                    authority,
                };
                assert_eq!(reason(verdict(policy, &text, &certified(|_| {}))), revoked);
            }
        }
    }

    #[test]
    fn a_certificate_of_a_listed_authority_is_trusted_by_that_line() {
        for (text, port) in [
            (format!("@cert-authority web1 {AUTHORITY}"), 22),
            (format!("@cert-authority web1 {AUTHORITY}"), 2222),
            (format!("@cert-authority web? {AUTHORITY}\nweb1 {RSA}"), 22),
        ] {
            let authority = key(AUTHORITY).fingerprint();
            let trusted = Verdict::Trusted(TrustedBy::Authority {
                location: line(1),
                authority,
            });
            assert_eq!(verdict_at(Strict, &text, &certified(|_| {}), port), trusted);
        }
    }

    #[test]
    fn a_certificate_of_an_unknown_authority_is_refused_under_every_policy_if_the_host_has_authorities() {
        for policy in CHECKING {
            let text = format!("@cert-authority web1 {OTHER_AUTHORITY}");
            let expected = CertificateProblem::UnknownAuthority {
                authority: key(AUTHORITY).fingerprint(),
                known: vec![(line(1), key(OTHER_AUTHORITY).fingerprint())],
            };
            let refused = reason(verdict(policy, &text, &certified(|_| {})));
            assert_eq!(refused, RefusalReason::Certificate(expected));
        }
    }

    #[test]
    fn an_unacceptable_certificate_counts_as_the_key_inside_it() {
        let (offer, text) = (
            certified(|c| c.principals.clear()),
            format!("@cert-authority * {AUTHORITY}"),
        );
        let with_key = format!("{text}\nweb1 {ED25519}");
        assert_eq!(
            verdict(Strict, &with_key, &offer),
            Verdict::Trusted(TrustedBy::Key(line(2)))
        );
        assert_eq!(
            reason(verdict(Strict, &text, &offer)),
            RefusalReason::Certificate(CertificateProblem::NoPrincipals)
        );

        let unknown = RefusalReason::Certificate(CertificateProblem::UnknownAuthority {
            authority: key(AUTHORITY).fingerprint(),
            known: Vec::new(),
        });
        assert_eq!(reason(verdict(Strict, "", &offer)), unknown);
        assert_eq!(verdict(AcceptNew, "", &offer), Verdict::Record);
        let Verdict::Ask(refusal) = verdict(Ask, "", &offer) else {
            panic!("ask about an unknown host")
        };
        assert_eq!(refusal.reason, unknown);
        let changed = reason(verdict(AcceptNew, &format!("web1 {RSA}"), &offer));
        assert!(matches!(changed, RefusalReason::Changed { .. }));
    }

    #[test]
    fn the_authoritys_own_key_is_not_a_host_key() {
        let offer = HostKeyOffer::Key(key(AUTHORITY));
        let text = format!("@cert-authority * {AUTHORITY}");
        assert_eq!(reason(verdict(Strict, &text, &offer)), RefusalReason::Unknown);
    }

    #[test]
    fn another_port_may_show_the_plain_hosts_key_unless_it_has_its_own() {
        let at = |policy, text: &str| verdict_at(policy, text, &plain(), 2222);
        let plain_line = format!("web1 {ED25519}");
        assert_eq!(at(Strict, &plain_line), Verdict::Trusted(TrustedBy::Key(line(1))));
        let own = format!("{plain_line}\n[web1]:2222 {RSA}");
        assert!(matches!(reason(at(Strict, &own)), RefusalReason::Changed { .. }));
        // The plain host's other key says nothing against this port.
        assert_eq!(at(AcceptNew, &format!("web1 {RSA}")), Verdict::Record);
    }

    #[test]
    fn the_dangerous_policy_checks_nothing() {
        for text in [
            format!("@revoked * {ED25519}"),
            format!("web1 {RSA}"),
            String::new(),
        ] {
            assert_eq!(verdict(DangerAcceptAny, &text, &plain()), Verdict::Unchecked);
        }
    }

    #[test]
    fn policies_are_read_as_openssh_writes_them() {
        for (text, policy) in [
            ("yes", Ok(Strict)),
            ("YES", Ok(Strict)),
            ("accept-new", Ok(AcceptNew)),
            ("ask", Ok(Ask)),
            ("no", Ok(DangerAcceptAny)),
            ("off", Ok(DangerAcceptAny)),
            ("strict", Err(UnknownPolicy)),
            ("", Err(UnknownPolicy)),
        ] {
            assert_eq!(text.parse(), policy, "{text}");
        }
        assert_eq!(HostKeyPolicy::default(), Strict);
    }
}
