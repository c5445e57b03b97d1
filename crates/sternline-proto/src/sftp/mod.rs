//! SFTP version 3 (draft-ietf-secsh-filexfer-02), both sides, with OpenSSH's extensions (its `PROTOCOL` file,
//! section 4).
//!
//! A [`Deframer`] cuts the bytes of a stream into packets, [`ClientPacket`] and [`ServerPacket`] are what a packet says,
//! and their `encode` writes one. Paths, names and handles are bytes, as on the wire: nothing has to be UTF-8.
//!
//! ```
//! use bytes::{Bytes, BytesMut};
//! use sternline_proto::sftp::{ClientPacket, Deframer, Request};
//!
//! let path = Bytes::from_static(b"/tmp/caf\xe9");
//! let packet = ClientPacket::Request { id: 7, request: Request::Stat { path } };
//! let mut stream = BytesMut::new();
//! packet.encode(&mut stream)?;
//!
//! let mut arrived = stream.freeze();
//! let body = Deframer::new().take(&mut arrived)?.expect("a whole packet");
//! assert_eq!(ClientPacket::decode(body)?, packet);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod attributes;
mod error;
mod extension;
mod frame;
mod hello;
mod pieces;
mod request;
mod response;
mod status;
#[cfg(test)]
mod tests;
mod wire;

pub use attributes::{Attributes, FileType, Owner, Times};
pub use error::{FrameError, PacketError};
pub use extension::{Extended, Extension, FileSystem, Limits};
pub use frame::{Deframer, MAX_PACKET};
pub use hello::{Hello, VERSION};
pub use pieces::Pieces;
pub use request::{ClientPacket, OpenFlags, Request};
pub use response::{Entry, Response, ServerPacket};
pub use status::{Status, StatusCode};
