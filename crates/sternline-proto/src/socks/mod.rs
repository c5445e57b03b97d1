//! The server's side of SOCKS 4, 4a and 5 (RFC 1928), as far as a dynamic forward needs it: CONNECT without
//! authentication.
//!
//! [`Handshake`] takes bytes as they arrive and says what to send and where the client wants to go. It reads no byte
//! beyond the request: what follows belongs to the stream that the client asked for.
//!
//! ```
//! use sternline_proto::socks::{Handshake, ReplyCode, Step};
//!
//! // A SOCKS 5 client that does not wait for our choice of method, and sends the first bytes of its stream as well.
//! let bytes = b"\x05\x01\x00\x05\x01\x00\x03\x02db\x15\x38hello";
//! let Ok(Step::Request { request, reply, consumed }) = Handshake::new().feed(bytes) else { panic!() };
//! assert_eq!((request.host(), request.port()), ("db", 5432));
//! assert_eq!(reply, [5, 0]);
//! assert_eq!(&bytes[consumed..], b"hello");
//! assert_eq!(request.reply(ReplyCode::ConnectionRefused)[..2], [5, 5]);
//! ```

mod error;
mod handshake;
mod request;
#[cfg(test)]
mod tests;

pub use error::{Refusal, SocksError};
pub use handshake::{Handshake, MAX_BUFFERED, MAX_NAME, Step};
pub use request::{ReplyCode, Request};
