//! What can be wrong with the bytes of a peer, or with what is to be sent to one.

use thiserror::Error;

use super::frame::MAX_PACKET;
use super::wire::type_name;

/// The stream cannot be cut into packets: nothing that follows can be read either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FrameError {
    /// A packet without even a type.
    #[error("an SFTP packet is empty")]
    Empty,
    /// A packet is longer than [`MAX_PACKET`]. Four letters as a length are text that does not belong there.
    #[error("{}", describe_length(*.length))]
    TooLong {
        /// The length that it gives, or would have.
        length: u64,
    },
}

fn describe_length(length: u64) -> String {
    let letters = u32::try_from(length).ok().map(u32::to_be_bytes);
    match letters {
        Some(letters) if letters.iter().all(|byte| matches!(byte, b' '..=b'~')) => format!(
            "text beginning with \"{}\" arrived where an SFTP packet belongs",
            letters.escape_ascii()
        ),
        _ => format!("an SFTP packet of {length} bytes is longer than the limit of {MAX_PACKET}"),
    }
}

/// A packet that says nothing sensible. The packets behind it can still be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PacketError {
    /// It ends before everything that its type calls for.
    #[error("the SFTP packet {} ends before it is complete", type_name(*.packet_type))]
    Truncated {
        /// The type's number.
        packet_type: u8,
        /// The request that it is or answers, where so much was there. A server answers with
        /// [`StatusCode::BadMessage`](super::StatusCode::BadMessage).
        id: Option<u32>,
    },
    /// A type that this side does not know, or that only the other side may send.
    #[error("the SFTP packet {} does not belong here", type_name(*.packet_type))]
    UnexpectedType {
        /// The type's number.
        packet_type: u8,
        /// The request that it is, if it is one. A server answers with
        /// [`StatusCode::OpUnsupported`](super::StatusCode::OpUnsupported).
        id: Option<u32>,
    },
}
