//! The name of a file or directory, as a record carries it.

use bytes::Bytes;
use thiserror::Error;

/// Names longer than this are refused. No file system has them.
const MAX_NAME: usize = 4096;

/// A name that is one entry of a directory, and no path: joined to a directory it never leaves it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name(Bytes);

/// Why bytes are no name that can stand in a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NameError {
    /// Nothing.
    #[error("the name is empty")]
    Empty,
    /// `.` or `..`.
    #[error("the name stands for a directory above it, or for the directory itself")]
    Dots,
    /// It holds a slash.
    #[error("the name holds a slash")]
    Slash,
    /// It holds a newline, which ends a record: the protocol has no way to write it.
    #[error("the name holds a newline, which scp's protocol cannot transfer")]
    Newline,
    /// It holds a NUL byte, which no file system takes.
    #[error("the name holds a NUL byte")]
    Nul,
    /// It is longer than any file system takes.
    #[error("the name is longer than {MAX_NAME} bytes")]
    TooLong,
}

impl Name {
    /// Checks a name.
    ///
    /// # Errors
    /// [`NameError`] says what is wrong with it.
    pub fn new(bytes: Bytes) -> Result<Self, NameError> {
        let has = |byte: u8| bytes.contains(&byte);
        if bytes.is_empty() {
            Err(NameError::Empty)
        } else if bytes == "." || bytes == ".." {
            Err(NameError::Dots)
        } else if has(b'/') {
            Err(NameError::Slash)
        } else if has(b'\n') {
            Err(NameError::Newline)
        } else if has(0) {
            Err(NameError::Nul)
        } else if bytes.len() > MAX_NAME {
            Err(NameError::TooLong)
        } else {
            Ok(Self(bytes))
        }
    }

    /// The name's bytes, which need not be UTF-8.
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }
}
