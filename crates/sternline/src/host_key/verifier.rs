//! From an offered host key to the proof that it may be trusted.

use std::fmt;
use std::path::PathBuf;

use sternline_proto::key::PublicKey;
use sternline_proto::known_hosts::{
    Entry, HostKeyOffer, HostKeyPolicy, HostKeyRefusal, Location, TrustedBy, Verdict,
};

use super::file::{KnownHostsFileError, Recorded, RecordedNew, record_new};
use super::known_hosts::KnownHosts;
use crate::prompt::HostKeyQuestion;

/// The name that [`Location`]s of keys have that were accepted but could not be recorded.
const ACCEPTED_NOW: &str = "keys accepted since the start";

/// Decides about host keys, and records those of new hosts where the policy says so.
#[derive(Debug, Clone)]
pub struct HostKeyVerifier {
    /// What is known.
    pub known_hosts: KnownHosts,
    /// What to do about hosts that are not.
    pub policy: HostKeyPolicy,
    /// The file in which new hosts are recorded. With none they are remembered for as long as
    /// [`known_hosts`](Self::known_hosts) and its clones live.
    pub record_path: Option<PathBuf>,
    /// Whether to hash the names of new hosts (`HashKnownHosts`).
    pub hash: bool,
}

/// A host key that a [`HostKeyVerifier`] has accepted. There is no other way to make one, so a function that takes
/// it cannot be called for a host that was not checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedHostKey {
    key: PublicKey,
    trust: HostKeyTrust,
}

/// What made a host key acceptable.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostKeyTrust {
    /// A known_hosts line holds it.
    Known(Location),
    /// A `@cert-authority` line names the key that signed its certificate.
    Authority {
        /// The line.
        location: Location,
        /// The fingerprint of the authority.
        authority: String,
    },
    /// The host was new, and its key has just been recorded here.
    Recorded(Location),
    /// The host was new, and its key is remembered until the program ends, for it could not be recorded or no file
    /// was given.
    Remembered,
    /// Nothing: the policy was [`HostKeyPolicy::DangerAcceptAny`].
    Unchecked,
}

/// The end of a sentence such as "the key is ...".
impl fmt::Display for HostKeyTrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(location) => write!(f, "known by {location}"),
            Self::Authority { location, authority } => {
                write!(f, "certified by the authority {authority} in {location}")
            }
            Self::Recorded(location) => write!(f, "new, and recorded in {location}"),
            Self::Remembered => f.write_str("new, and not recorded in a file"),
            Self::Unchecked => f.write_str("not checked"),
        }
    }
}

impl VerifiedHostKey {
    /// The key; of a certificate, the key in it.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The key's fingerprint, `SHA256:...`.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.key.fingerprint()
    }

    /// What made it acceptable.
    #[must_use]
    pub fn trust(&self) -> &HostKeyTrust {
        &self.trust
    }
}

/// An accepted host key, and what went wrong on the way.
#[derive(Debug)]
pub struct Accepted {
    /// The proof.
    pub host_key: VerifiedHostKey,
    /// Why the key of a new host could not be recorded. The connection may go on, but a person ought to know.
    pub warning: Option<KnownHostsFileError>,
}

/// What to do about an offered host key.
#[derive(Debug)]
pub enum Decision {
    /// Go on.
    Accept(Accepted),
    /// Ask a person, and go on with [`HostKeyVerifier::accept_after_asking`] if the answer is yes.
    Ask(PendingHostKey),
    /// End the connection before any credential is offered.
    Refuse(HostKeyRefusal),
}

/// The key of a new host about which a person has to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingHostKey {
    refusal: HostKeyRefusal,
    record_path: Option<PathBuf>,
}

impl PendingHostKey {
    /// The question to ask.
    #[must_use]
    pub fn question(&self) -> HostKeyQuestion {
        HostKeyQuestion {
            host: self.refusal.host.clone(),
            port: self.refusal.port,
            algorithm: self.refusal.offered.algorithm().to_owned(),
            fingerprint: self.refusal.offered.fingerprint(),
            record_path: self.record_path.clone(),
        }
    }

    /// The refusal to report when the answer is no, or nobody can be asked.
    #[must_use]
    pub fn refusal(self) -> HostKeyRefusal {
        self.refusal
    }
}

impl HostKeyVerifier {
    /// Decides about what a host (named without brackets, in any case) offers; `now` is Unix time in seconds. The
    /// signature of the key exchange, and of the certificate if it is one, must be verified already.
    ///
    /// Under [`HostKeyPolicy::AcceptNew`] the key of a new host is recorded here, which blocks on the disk and, for
    /// up to 10 seconds, on other writers of the file. Of parallel connections to a new host that show different
    /// keys only one is accepted, be they in this process or in another one that records in the same file.
    #[must_use]
    pub fn check(&self, host: &str, port: u16, offered: &HostKeyOffer, now: u64) -> Decision {
        let accept = |trust| {
            let host_key = VerifiedHostKey {
                key: offered.key().clone(),
                trust,
            };
            Decision::Accept(Accepted {
                host_key,
                warning: None,
            })
        };
        match self.known_hosts.verify(self.policy, host, port, offered, now) {
            Verdict::Trusted(by) => accept(by.into()),
            Verdict::Unchecked => accept(HostKeyTrust::Unchecked),
            Verdict::Refused(refusal) => Decision::Refuse(refusal),
            Verdict::Record => match self.accept_new(host, port, offered.key()) {
                Ok(accepted) => Decision::Accept(accepted),
                Err(refusal) => Decision::Refuse(*refusal),
            },
            Verdict::Ask(refusal) => Decision::Ask(PendingHostKey {
                refusal,
                record_path: self.record_path.clone(),
            }),
        }
    }

    /// Accepts and records a key after a person has said yes. Blocks like [`check`](Self::check).
    ///
    /// # Errors
    /// When the host has come to be known by another key since the question was asked.
    pub fn accept_after_asking(&self, pending: &PendingHostKey) -> Result<Accepted, Box<HostKeyRefusal>> {
        let HostKeyRefusal {
            host, port, offered, ..
        } = &pending.refusal;
        self.accept_new(host, *port, offered)
    }

    /// The file decides first, for other processes look there; then the memory, which also holds what could not be
    /// written.
    fn accept_new(&self, host: &str, port: u16, key: &PublicKey) -> Result<Accepted, Box<HostKeyRefusal>> {
        let mut warning = None;
        let mut trust = HostKeyTrust::Remembered;
        let mut location = Location {
            file: ACCEPTED_NOW.into(),
            line: 1,
        };
        if let Some(path) = &self.record_path {
            match record_new(path, host, port, key, self.hash) {
                Ok(RecordedNew::Done(Recorded::Added(line))) => {
                    location = line.clone();
                    trust = HostKeyTrust::Recorded(line);
                }
                Ok(RecordedNew::Done(Recorded::AlreadyThere(line))) => {
                    location = line.clone();
                    trust = HostKeyTrust::Known(line);
                }
                Ok(RecordedNew::Refused(refusal)) => return Err(Box::new(refusal)),
                Err(error) => warning = Some(error),
            }
        }
        match self
            .known_hosts
            .learn(host, port, Entry::new(location, host, port, key.clone()))
        {
            Verdict::Refused(refusal) => Err(Box::new(refusal)),
            _ => Ok(Accepted {
                host_key: VerifiedHostKey {
                    key: key.clone(),
                    trust,
                },
                warning,
            }),
        }
    }
}

impl From<TrustedBy> for HostKeyTrust {
    fn from(by: TrustedBy) -> Self {
        match by {
            TrustedBy::Key(location) => Self::Known(location),
            TrustedBy::Authority { location, authority } => Self::Authority { location, authority },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use sternline_proto::key::{CertificateKind, HostCertificate};
    use sternline_proto::known_hosts::RefusalReason;

    const A: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB";
    const B: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIAICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIC";

    fn key(base64: &str) -> PublicKey {
        PublicKey::from_text("ssh-ed25519", base64).unwrap()
    }

    fn offer(base64: &str) -> HostKeyOffer {
        HostKeyOffer::Key(key(base64))
    }

    fn verifier(policy: HostKeyPolicy, content: &str) -> HostKeyVerifier {
        let known_hosts = KnownHosts::from_bytes("f", content.as_bytes());
        HostKeyVerifier {
            known_hosts,
            policy,
            record_path: None,
            hash: false,
        }
    }

    fn accepted(decision: Decision) -> Accepted {
        match decision {
            Decision::Accept(accepted) => accepted,
            other => panic!("expected acceptance, got {other:?}"),
        }
    }

    fn trust(decision: Decision) -> HostKeyTrust {
        let accepted = accepted(decision);
        assert!(accepted.warning.is_none(), "{:?}", accepted.warning);
        accepted.host_key.trust().clone()
    }

    fn refusal(decision: Decision) -> HostKeyRefusal {
        match decision {
            Decision::Refuse(refusal) => refusal,
            other => panic!("expected a refusal, got {other:?}"),
        }
    }

    fn line(file: &std::path::Path, line: usize) -> Location {
        Location {
            file: file.to_str().unwrap().into(),
            line,
        }
    }

    #[test]
    fn a_known_key_is_accepted_and_the_proof_says_by_which_line() {
        let verifier = verifier(HostKeyPolicy::Strict, &format!("#\nweb1 ssh-ed25519 {A}"));
        let accepted = accepted(verifier.check("Web1", 22, &offer(A), 0));
        let known = HostKeyTrust::Known(Location {
            file: "f".into(),
            line: 2,
        });
        assert_eq!(
            (accepted.host_key.key(), accepted.host_key.trust()),
            (&key(A), &known)
        );
        assert_eq!(accepted.host_key.fingerprint(), key(A).fingerprint());
    }

    #[test]
    fn a_certificate_of_a_listed_authority_is_accepted_and_the_proof_says_so() {
        let verifier = verifier(
            HostKeyPolicy::Strict,
            &format!("@cert-authority web? ssh-ed25519 {B}"),
        );
        let certificate = HostCertificate {
            key: key(A),
            authority: key(B),
            kind: CertificateKind::Host,
            key_id: String::new(),
            signature_algorithm: "ssh-ed25519".into(),
            serial: 0,
            principals: vec!["web1".into()],
            valid_after: 10,
            valid_before: 20,
            critical_options: Vec::new(),
        };
        let offer = HostKeyOffer::Certificate(certificate);
        let authority = HostKeyTrust::Authority {
            location: Location {
                file: "f".into(),
                line: 1,
            },
            authority: key(B).fingerprint(),
        };
        assert_eq!(trust(verifier.check("web1", 22, &offer, 15)), authority);
        let late = refusal(verifier.check("web1", 22, &offer, 20));
        assert!(matches!(late.reason, RefusalReason::Certificate(_)), "{late}");
    }

    #[test]
    fn an_unknown_host_is_refused_under_strict_and_nothing_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known_hosts");
        let mut verifier = verifier(HostKeyPolicy::Strict, "");
        verifier.record_path = Some(path.clone());
        assert_eq!(
            refusal(verifier.check("web1", 22, &offer(A), 0)).reason,
            RefusalReason::Unknown
        );
        assert!(!path.exists());
    }

    #[test]
    fn a_new_host_is_recorded_under_accept_new_and_changed_after_that() {
        for hash in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("known_hosts");
            let mut verifier = verifier(HostKeyPolicy::AcceptNew, "");
            verifier.record_path = Some(path.clone());
            verifier.hash = hash;
            let at = line(&path, 1);
            assert_eq!(
                trust(verifier.check("web1", 2222, &offer(A), 0)),
                HostKeyTrust::Recorded(at.clone())
            );
            assert_eq!(
                trust(verifier.check("web1", 2222, &offer(A), 0)),
                HostKeyTrust::Known(at.clone())
            );
            let RefusalReason::Changed { known } = refusal(verifier.check("web1", 2222, &offer(B), 0)).reason
            else {
                panic!("another key must be refused")
            };
            assert_eq!((&known[0].location, known.len()), (&at, 1));

            // So does a program started later see it.
            let loaded = KnownHosts::load([&path]).unwrap();
            assert_eq!(loaded.entries_for("web1", 2222)[0].key, key(A));
            assert_eq!(loaded.entries_for("web1", 2222)[0].location, at);
            assert_eq!(std::fs::read_to_string(&path).unwrap().starts_with("|1|"), hash);
        }
    }

    #[test]
    fn what_another_program_recorded_since_the_start_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known_hosts");
        let mut verifier = verifier(HostKeyPolicy::AcceptNew, "");
        verifier.record_path = Some(path.clone());
        std::fs::write(
            &path,
            format!("web1 ssh-ed25519 {A}\n@revoked * ssh-ed25519 {B}\n"),
        )
        .unwrap();
        assert_eq!(
            refusal(verifier.check("web2", 22, &offer(B), 0)).reason,
            RefusalReason::Revoked {
                location: line(&path, 2)
            }
        );
        assert!(matches!(
            refusal(verifier.check("web1", 22, &offer(B), 0)).reason,
            RefusalReason::Revoked { .. }
        ));
        assert_eq!(
            trust(verifier.check("web1", 22, &offer(A), 0)),
            HostKeyTrust::Known(line(&path, 1))
        );
    }

    #[test]
    fn a_key_that_cannot_be_recorded_is_accepted_with_a_warning_and_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let mut verifier = verifier(HostKeyPolicy::AcceptNew, "");
        verifier.record_path = Some(folder.path().to_owned());
        let first = accepted(verifier.check("web1", 22, &offer(A), 0));
        assert_eq!(first.host_key.trust(), &HostKeyTrust::Remembered);
        assert_eq!(
            first.warning.unwrap().to_string(),
            format!(
                "cannot change {}: it is not a regular file",
                folder.path().display()
            )
        );
        assert!(matches!(
            trust(verifier.clone().check("web1", 22, &offer(A), 0)),
            HostKeyTrust::Known(_)
        ));
        assert!(matches!(
            refusal(verifier.check("web1", 22, &offer(B), 0)).reason,
            RefusalReason::Changed { .. }
        ));
    }

    #[test]
    fn of_parallel_connections_with_different_keys_one_is_accepted() {
        let folder = tempfile::tempdir().unwrap();
        for round in 0..20 {
            let path = folder.path().join(round.to_string());
            for record_path in [None, Some(path)] {
                let shared = HostKeyVerifier {
                    record_path,
                    ..verifier(HostKeyPolicy::AcceptNew, "")
                };
                // Another process shares the file, but not the memory.
                let other = match shared.record_path {
                    None => shared.clone(),
                    Some(_) => HostKeyVerifier {
                        known_hosts: KnownHosts::empty(),
                        ..shared.clone()
                    },
                };
                let start = Barrier::new(2);
                let go = |verifier: &HostKeyVerifier, key| {
                    start.wait();
                    matches!(verifier.check("web1", 22, &offer(key), 0), Decision::Accept(_))
                };
                let both = std::thread::scope(|scope| {
                    let a = scope.spawn(|| go(&shared, A));
                    let b = scope.spawn(|| go(&other, B));
                    [a.join().unwrap(), b.join().unwrap()]
                });
                assert_ne!(both[0], both[1], "exactly one is accepted");
            }
        }
    }

    #[test]
    fn under_ask_a_new_key_counts_only_after_a_yes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known_hosts");
        let mut verifier = verifier(HostKeyPolicy::Ask, "");
        verifier.record_path = Some(path.clone());
        let Decision::Ask(pending) = verifier.check("Web1", 22, &offer(A), 0) else {
            panic!("expected to ask")
        };
        assert!(!path.exists());
        assert_eq!(
            pending.question(),
            HostKeyQuestion {
                host: "web1".into(),
                port: 22,
                algorithm: "ssh-ed25519".into(),
                fingerprint: key(A).fingerprint(),
                record_path: Some(path.clone()),
            }
        );
        assert_eq!(pending.clone().refusal().reason, RefusalReason::Unknown);

        let Decision::Ask(other) = verifier.check("web1", 22, &offer(B), 0) else {
            panic!("expected to ask")
        };
        let yes = verifier.accept_after_asking(&pending).unwrap();
        assert_eq!(yes.host_key.trust(), &HostKeyTrust::Recorded(line(&path, 1)));
        assert!(matches!(
            trust(verifier.check("web1", 22, &offer(A), 0)),
            HostKeyTrust::Known(_)
        ));
        let late = verifier.accept_after_asking(&other).unwrap_err();
        assert!(matches!(late.reason, RefusalReason::Changed { .. }), "{late}");
    }

    #[test]
    fn the_dangerous_policy_accepts_anything_and_its_proof_says_so() {
        let verifier = verifier(
            HostKeyPolicy::DangerAcceptAny,
            &format!("@revoked * ssh-ed25519 {A}"),
        );
        assert_eq!(
            trust(verifier.check("web1", 22, &offer(A), 0)),
            HostKeyTrust::Unchecked
        );
        assert_eq!(verifier.known_hosts.entries().len(), 1, "nothing is learned");
    }
}
