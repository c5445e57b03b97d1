//! What can be wrong with a peer's records.

use thiserror::Error;

use super::name::NameError;
use super::record::MAX_LINE;
use crate::text::escape_bytes;

/// The stream holds something that is no record. What follows cannot be read either.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RecordError {
    /// It begins with a letter that no record begins with: usually a shell's message or a login banner.
    #[error("text beginning with \"{}\" arrived where an scp record belongs", escape_bytes(.start))]
    NoRecord {
        /// The first bytes.
        start: Vec<u8>,
    },
    /// A record that does not keep to its form.
    #[error("an scp record is malformed: {what} in \"{}\"", escape_bytes(.line))]
    Malformed {
        /// What is wrong with it.
        what: &'static str,
        /// The beginning of the line.
        line: Vec<u8>,
    },
    /// A name that would lead out of its directory, or is none.
    #[error("an scp record has a name that is refused: {error}: \"{}\"", escape_bytes(.line))]
    Name {
        /// What is wrong with it.
        error: NameError,
        /// The beginning of the line.
        line: Vec<u8>,
    },
    /// A line without an end.
    #[error("an scp record is longer than {MAX_LINE} bytes")]
    TooLong,
}
