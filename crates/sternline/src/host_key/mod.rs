//! Host keys: known_hosts files, the policy for hosts that are not in them, and the proof that a key was verified.
//!
//! ```
//! use sternline::host_key::{Decision, HostKeyOffer, HostKeyPolicy, HostKeyVerifier, KnownHosts};
//!
//! let line = "web1 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB";
//! let known_hosts = KnownHosts::from_bytes("known_hosts", line.as_bytes());
//! let key = known_hosts.entries()[0].key.clone();
//! let verifier = HostKeyVerifier { known_hosts, policy: HostKeyPolicy::Strict, record_path: None, hash: false };
//!
//! let offer = HostKeyOffer::Key(key);
//! assert!(matches!(verifier.check("web1", 22, &offer, 0), Decision::Accept(_)));
//! assert!(matches!(verifier.check("web2", 22, &offer, 0), Decision::Refuse(_)));
//! ```

mod file;
mod known_hosts;
mod lock;
mod verifier;

pub use file::{KnownHostsFileError, Recorded, record, record_authority, remove};
pub use known_hosts::KnownHosts;
pub use sternline_proto::known_hosts::{
    BadLine, CertificateProblem, Entry, HostKeyOffer, HostKeyPolicy, HostKeyRefusal, HostNotRecordable,
    KeptLine, KeptReason, KnownAlgorithms, KnownKey, Location, Marker, RefusalReason, Removal, RemovedEntry,
    UnknownPolicy,
};
pub use verifier::{Accepted, Decision, HostKeyTrust, HostKeyVerifier, PendingHostKey, VerifiedHostKey};
