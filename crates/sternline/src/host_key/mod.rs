//! Host keys: known_hosts files, the policy for hosts that are not in them, and the proof that a key was verified.

mod file;
mod known_hosts;
mod lock;
mod verifier;

pub use file::{KnownHostsFileError, Recorded, record, remove};
pub use known_hosts::KnownHosts;
pub use sternline_proto::known_hosts::{
    HostKeyOffer, HostKeyPolicy, HostKeyRefusal, KeptLine, KeptReason, KnownAlgorithms, Location,
    RefusalReason, RemovedEntry, UnknownPolicy,
};
pub use verifier::{Accepted, Decision, HostKeyTrust, HostKeyVerifier, PendingHostKey, VerifiedHostKey};
