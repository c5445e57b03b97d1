//! Whether a host certificate vouches for a host (PROTOCOL.certkeys; sshd(8), "@cert-authority").

use std::fmt;

use super::index::Lookup;
use super::parse::{Entry, Location};
use super::pattern::wildcard_match;
use super::refusal::list;
use crate::key::{CertificateKind, HostCertificate};
use crate::text::escape;

/// Why a certificate does not vouch for the host.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateProblem {
    /// No `@cert-authority` line that applies to the host names the key that signed it.
    UnknownAuthority {
        /// The fingerprint of the key that signed.
        authority: String,
        /// The authorities known for the host, with their fingerprints. None at all when no line applies.
        known: Vec<(Location, String)>,
    },
    /// It is a user certificate.
    NotAHostCertificate,
    /// Its validity begins later than now.
    NotYetValid {
        /// First second of validity, Unix time.
        valid_after: u64,
    },
    /// Its validity is over.
    Expired {
        /// First second after the validity, Unix time.
        valid_before: u64,
    },
    /// It names no host at all. OpenSSH 9.2 takes such a certificate as good for every host; we do not.
    NoPrincipals,
    /// It is for other hosts.
    OtherPrincipals {
        /// The hosts it is for.
        principals: Vec<String>,
    },
    /// It has a critical option; none is defined for hosts, so it demands something unknown.
    CriticalOption {
        /// The option's name.
        name: String,
    },
    /// The authority signed with an algorithm that OpenSSH no longer accepts from one (SHA-1, DSA).
    SignatureAlgorithm {
        /// The algorithm's name.
        name: String,
    },
}

/// A clause that goes after "the certificate is refused:".
impl fmt::Display for CertificateProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownAuthority { authority, known } if known.is_empty() => {
                write!(
                    f,
                    "it is signed by the unknown authority {authority}, and no @cert-authority line applies to the host"
                )
            }
            Self::UnknownAuthority { authority, known } => {
                let known = known
                    .iter()
                    .map(|(location, fingerprint)| format!("{fingerprint} ({location})"));
                write!(
                    f,
                    "it is signed by the unknown authority {authority}; known for this host: {}",
                    list(known)
                )
            }
            Self::NotAHostCertificate => {
                f.write_str("it is a user certificate, which never vouches for a host")
            }
            Self::NotYetValid { valid_after } => write!(f, "it is not valid before {}", Utc(*valid_after)),
            Self::Expired { valid_before } => write!(f, "it expired at {}", Utc(*valid_before)),
            Self::NoPrincipals => f.write_str("it names no host it would be valid for"),
            Self::OtherPrincipals { principals } => {
                write!(
                    f,
                    "it is valid only for {}",
                    list(principals.iter().map(|name| escape(name)))
                )
            }
            Self::CriticalOption { name } => {
                write!(f, "it has the unknown critical option `{}`", escape(name))
            }
            Self::SignatureAlgorithm { name } => {
                write!(f, "its authority signed with {}, which is too weak", escape(name))
            }
        }
    }
}

/// Checks everything but revocation and the signature, and finds the line that names the authority.
///
/// Principals are compared with the host's name as known_hosts spells it, without the port. A principal may hold
/// wildcards, which its authority wrote deliberately; OpenSSH 9.2 refuses those.
pub(super) fn check<'a>(
    lookup: &Lookup<'a>,
    certificate: &HostCertificate,
    now: u64,
) -> Result<&'a Entry, CertificateProblem> {
    let Some(authority) = lookup
        .authorities()
        .find(|entry| entry.key == certificate.authority)
    else {
        return Err(CertificateProblem::UnknownAuthority {
            authority: certificate.authority.fingerprint(),
            known: lookup
                .authorities()
                .map(|e| (e.location.clone(), e.key.fingerprint()))
                .collect(),
        });
    };
    if certificate.kind != CertificateKind::Host {
        return Err(CertificateProblem::NotAHostCertificate);
    }
    if now < certificate.valid_after {
        return Err(CertificateProblem::NotYetValid {
            valid_after: certificate.valid_after,
        });
    }
    if now >= certificate.valid_before {
        return Err(CertificateProblem::Expired {
            valid_before: certificate.valid_before,
        });
    }
    if let Some(name) = certificate.critical_options.first() {
        return Err(CertificateProblem::CriticalOption { name: name.clone() });
    }
    if matches!(certificate.signature_algorithm.as_str(), "ssh-rsa" | "ssh-dss") {
        return Err(CertificateProblem::SignatureAlgorithm {
            name: certificate.signature_algorithm.clone(),
        });
    }
    let principals = &certificate.principals;
    if principals.is_empty() {
        return Err(CertificateProblem::NoPrincipals);
    }
    if !principals
        .iter()
        .any(|principal| wildcard_match(principal, &lookup.host))
    {
        return Err(CertificateProblem::OtherPrincipals {
            principals: principals.clone(),
        });
    }
    Ok(authority)
}

/// Shows Unix time as a date, as far as years have four digits.
struct Utc(u64);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 >= 253_402_300_800 {
            return write!(f, "second {} of Unix time", self.0);
        }
        let (days, second) = (self.0 / 86_400, self.0 % 86_400);
        // Counted from 1 March of the year 0, every 400 years have the same 146,097 days and leap days come last.
        let days = days + 719_468;
        let (era, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let (month, carry) = if month < 10 {
            (month + 3, 0)
        } else {
            (month - 9, 1)
        };
        let year = era * 400 + year + carry;
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::known_hosts::KnownHostsIndex;
    use crate::known_hosts::testing::{AUTHORITY, OTHER_AUTHORITY, certificate, key};

    fn problem(
        hosts: &str,
        host: &str,
        port: u16,
        change: impl FnOnce(&mut HostCertificate),
    ) -> Option<CertificateProblem> {
        let mut index = KnownHostsIndex::new();
        index.add_file(
            "f",
            format!("@cert-authority {hosts} {AUTHORITY}\nweb1 {OTHER_AUTHORITY}").as_bytes(),
        );
        let mut certificate = certificate();
        change(&mut certificate);
        check(&index.lookup(host, port), &certificate, 1_000).err()
    }

    #[test]
    fn a_sound_certificate_of_a_known_authority_is_accepted() {
        for (hosts, host, port, principals) in [
            ("*", "web1", 22, &["web1"][..]),
            ("web1", "WEB1", 22, &["db1", "web1"]),
            ("*.lan", "a.lan", 2222, &["a.lan"]),
            ("[web1]:2222", "web1", 2222, &["web1"]),
            ("*", "a.lan", 22, &["*.lan"]),
            ("*", "::1", 22, &["::1"]),
        ] {
            let set =
                |c: &mut HostCertificate| c.principals = principals.iter().map(|p| (*p).into()).collect();
            assert_eq!(
                problem(hosts, host, port, set),
                None,
                "{host} at {port} by {hosts}"
            );
        }
    }

    #[test]
    fn an_authority_that_is_not_listed_for_the_host_is_unknown() {
        for (hosts, known) in [("db*", 0), ("web1,!web1", 0), ("[web1]:2222", 0)] {
            let Some(CertificateProblem::UnknownAuthority {
                authority,
                known: listed,
            }) = problem(hosts, "web1", 22, |_| {})
            else {
                panic!("{hosts} must not apply")
            };
            assert_eq!((authority, listed.len()), (key(AUTHORITY).fingerprint(), known));
        }
    }

    #[test]
    fn a_host_key_line_does_not_make_its_key_an_authority() {
        let by_other = |c: &mut HostCertificate| c.authority = key(OTHER_AUTHORITY);
        assert!(matches!(
            problem("web1", "web1", 22, by_other),
            Some(CertificateProblem::UnknownAuthority { known, .. }) if known.len() == 1
        ));
    }

    #[test]
    fn every_flaw_of_a_certificate_has_its_reason() {
        type Change = fn(&mut HostCertificate);
        let cases: [(Change, CertificateProblem, &str); 9] = [
            (
                |c| c.kind = CertificateKind::User,
                CertificateProblem::NotAHostCertificate,
                "it is a user certificate, which never vouches for a host",
            ),
            (
                |c| c.valid_after = 1_001,
                CertificateProblem::NotYetValid { valid_after: 1_001 },
                "it is not valid before 1970-01-01 00:16:41 UTC",
            ),
            (
                |c| c.valid_before = 1_000,
                CertificateProblem::Expired { valid_before: 1_000 },
                "it expired at 1970-01-01 00:16:40 UTC",
            ),
            (
                |c| c.principals.clear(),
                CertificateProblem::NoPrincipals,
                "it names no host it would be valid for",
            ),
            (
                |c| c.principals = vec!["db1".into(), "[web1]:22\x1b".into()],
                CertificateProblem::OtherPrincipals {
                    principals: vec!["db1".into(), "[web1]:22\x1b".into()],
                },
                "it is valid only for db1, [web1]:22\\x1b",
            ),
            (
                |c| c.principals = vec!["WEB1".into()],
                CertificateProblem::OtherPrincipals {
                    principals: vec!["WEB1".into()],
                },
                "it is valid only for WEB1",
            ),
            (
                |c| c.principals = vec![String::new()],
                CertificateProblem::OtherPrincipals {
                    principals: vec![String::new()],
                },
                "it is valid only for ",
            ),
            (
                |c| c.critical_options = vec!["force-command".into()],
                CertificateProblem::CriticalOption {
                    name: "force-command".into(),
                },
                "it has the unknown critical option `force-command`",
            ),
            (
                |c| c.signature_algorithm = "ssh-rsa".into(),
                CertificateProblem::SignatureAlgorithm {
                    name: "ssh-rsa".into(),
                },
                "its authority signed with ssh-rsa, which is too weak",
            ),
        ];
        for (change, expected, message) in cases {
            let found = problem("*", "web1", 22, change);
            assert_eq!(found.as_ref(), Some(&expected));
            assert_eq!(expected.to_string(), message);
        }
    }

    #[test]
    fn validity_begins_with_its_first_second_and_ends_before_its_last() {
        for (after, before, sound) in [
            (1_000, 1_001, true),
            (0, u64::MAX, true),
            (1_000, 1_000, false),
            (1_001, 2_000, false),
        ] {
            let set = |c: &mut HostCertificate| (c.valid_after, c.valid_before) = (after, before);
            assert_eq!(
                problem("*", "web1", 22, set).is_none(),
                sound,
                "{after}..{before}"
            );
        }
    }

    #[test]
    fn dates_are_right_across_leap_years_and_centuries() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (951_868_800, "2000-03-01 00:00:00 UTC"),
            (1_709_251_199, "2024-02-29 23:59:59 UTC"),
            (1_795_179_889, "2026-11-20 13:04:49 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
            (253_402_300_799, "9999-12-31 23:59:59 UTC"),
            (u64::MAX, "second 18446744073709551615 of Unix time"),
        ] {
            assert_eq!(Utc(seconds).to_string(), text);
        }
    }
}
