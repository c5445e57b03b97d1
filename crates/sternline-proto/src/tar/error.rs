//! What can be wrong with an archive.

use thiserror::Error;

use crate::text::escape_bytes;

/// The stream is no archive that can be read here. What follows cannot be read either.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TarError {
    /// A header whose checksum does not fit: usually no archive at all.
    #[error("text beginning with \"{}\" arrived where a header of a tar archive belongs", escape_bytes(.start))]
    NoHeader {
        /// The first bytes.
        start: Vec<u8>,
    },
    /// A header that does not keep to its form.
    #[error("a header of a tar archive is malformed: {what}")]
    Malformed {
        /// What is wrong with it.
        what: &'static str,
    },
    /// A member that is larger than what was asked for can be.
    #[error("a tar archive has a member of {size} bytes, \"{}\", where {limit} are the limit", escape_bytes(.name))]
    TooLarge {
        /// The member's name.
        name: Vec<u8>,
        /// Its size.
        size: u64,
        /// What is the limit.
        limit: usize,
    },
    /// Headers, or zeros behind the end, without end.
    #[error("a tar archive does not end: {what}")]
    Endless {
        /// What there is too much of.
        what: &'static str,
    },
}
