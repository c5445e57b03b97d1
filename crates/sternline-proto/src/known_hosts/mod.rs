//! known_hosts: parse, index and look up, decide, edit (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT").

mod certificate;
mod edit;
mod index;
mod parse;
mod pattern;
mod refusal;
#[cfg(test)]
mod testing;
mod verdict;

pub use certificate::CertificateProblem;
pub use edit::{
    Added, HostNotRecordable, KeptLine, KeptReason, Removal, RemovedEntry, add_authority, add_entry,
    remove_host,
};
pub use index::{KnownAlgorithms, KnownHostsIndex, Lookup};
pub use parse::{BadLine, BadLineReason, Entry, Location, Marker};
pub use pattern::{Hosts, canonical_host, lookup_name, wildcard_match};
pub use refusal::{HostKeyRefusal, KnownKey, RefusalReason};
pub use verdict::{HostKeyOffer, HostKeyPolicy, TrustedBy, UnknownPolicy, Verdict, verify};
