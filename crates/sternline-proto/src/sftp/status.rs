//! How a request ended (draft section 7).

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use super::error::PacketError;
use super::wire::{Fields, put_string};

/// The answer to a request that has no other, or that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The outcome.
    pub code: StatusCode,
    /// The server's words, often only those of the draft. Foreign text: escape it.
    pub message: Bytes,
    /// The language of the message (RFC 3066), usually `en` or empty.
    pub language: Bytes,
}

/// The outcome of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StatusCode {
    /// It was done.
    Ok,
    /// The file or the directory has no more.
    Eof,
    /// There is no such file.
    NoSuchFile,
    /// The user may not do that.
    PermissionDenied,
    /// It failed for a reason that version 3 has no code for: it exists already, the disk is full, the directory is not
    /// empty, the handle is none, too many are open.
    Failure,
    /// The packet made no sense to the server.
    BadMessage,
    /// Of this side's own making: there is no connection.
    NoConnection,
    /// Of this side's own making: the connection was lost.
    ConnectionLost,
    /// The server does not have this request.
    OpUnsupported,
    /// A number beyond version 3. Some servers send those of later drafts.
    Other(u32),
}

impl StatusCode {
    /// The number on the wire.
    #[must_use]
    pub fn number(self) -> u32 {
        match self {
            Self::Ok => 0,
            Self::Eof => 1,
            Self::NoSuchFile => 2,
            Self::PermissionDenied => 3,
            Self::Failure => 4,
            Self::BadMessage => 5,
            Self::NoConnection => 6,
            Self::ConnectionLost => 7,
            Self::OpUnsupported => 8,
            Self::Other(number) => number,
        }
    }

    /// The name in JSON: the draft's, in lower case and without its prefix; `other` beyond version 3.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Eof => "eof",
            Self::NoSuchFile => "no_such_file",
            Self::PermissionDenied => "permission_denied",
            Self::Failure => "failure",
            Self::BadMessage => "bad_message",
            Self::NoConnection => "no_connection",
            Self::ConnectionLost => "connection_lost",
            Self::OpUnsupported => "op_unsupported",
            Self::Other(_) => "other",
        }
    }
}

impl From<u32> for StatusCode {
    fn from(number: u32) -> Self {
        match number {
            0 => Self::Ok,
            1 => Self::Eof,
            2 => Self::NoSuchFile,
            3 => Self::PermissionDenied,
            4 => Self::Failure,
            5 => Self::BadMessage,
            6 => Self::NoConnection,
            7 => Self::ConnectionLost,
            8 => Self::OpUnsupported,
            _ => Self::Other(number),
        }
    }
}

/// The outcome in words; the later numbers as draft-ietf-secsh-filexfer-13 section 9.1 has them.
impl fmt::Display for StatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "success",
            Self::Eof => "end of file",
            Self::NoSuchFile => "no such file or directory",
            Self::PermissionDenied => "permission denied",
            Self::Failure => "failure",
            Self::BadMessage => "bad message",
            Self::NoConnection => "no connection",
            Self::ConnectionLost => "connection lost",
            Self::OpUnsupported => "operation not supported",
            Self::Other(9) => "invalid handle",
            Self::Other(10) => "no such path",
            Self::Other(11) => "the file exists already",
            Self::Other(12) => "write-protected",
            Self::Other(13) => "no medium",
            Self::Other(14) => "no space left on the file system",
            Self::Other(15) => "quota exceeded",
            Self::Other(16) => "unknown user or group",
            Self::Other(17 | 25..=27) => "locked by somebody else",
            Self::Other(18) => "directory not empty",
            Self::Other(19) => "not a directory",
            Self::Other(20) => "invalid file name",
            Self::Other(21) => "too many symbolic links",
            Self::Other(22) => "cannot be deleted",
            Self::Other(23) => "invalid parameter",
            Self::Other(24) => "is a directory",
            Self::Other(number) => return write!(f, "status {number}"),
        })
    }
}

impl Status {
    /// A status with its code's own words.
    #[must_use]
    pub fn new(code: StatusCode) -> Self {
        Self {
            code,
            message: code.to_string().into(),
            language: Bytes::from_static(b"en"),
        }
    }

    /// Servers older than the draft send neither message nor language.
    pub(super) fn take(fields: &mut Fields) -> Result<Self, PacketError> {
        let code = StatusCode::from(fields.u32()?);
        let mut text = || match fields.is_empty() {
            true => Ok(Bytes::new()),
            false => fields.string(),
        };
        Ok(Self {
            code,
            message: text()?,
            language: text()?,
        })
    }

    pub(super) fn put(&self, out: &mut BytesMut) {
        out.put_u32(self.code.number());
        put_string(out, &self.message);
        put_string(out, &self.language);
    }
}
