//! Archives of tar(1): written as POSIX ustar (POSIX.1-1988) with GNU's records for long names, and read as GNU tar,
//! bsdtar and busybox write them: ustar, GNU's records, and those of pax (POSIX.1-2001).
//!
//! It is for streams of many small files, each of them whole in memory. What is read may come from anybody: it is bounded,
//! and everything that does not fit is an error.
//!
//! ```
//! use bytes::{Bytes, BytesMut};
//! use sternline_proto::tar::{Content, Header, Reader, finish};
//!
//! let mut archive = BytesMut::new();
//! let header = Header { name: b"notes.txt".to_vec(), mode: 0o644, mtime: 1_700_000_000 };
//! header.encode(b"hello", &mut archive)?;
//! finish(&mut archive);
//!
//! let mut reader = Reader::new(1024);
//! reader.push(archive.freeze());
//! let member = reader.next()?.unwrap();
//! assert_eq!(member.header, header);
//! assert_eq!(member.content, Content::File(Bytes::from_static(b"hello")));
//! assert_eq!(reader.next()?, None);
//! assert!(reader.is_complete());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod block;
mod encode;
mod error;
mod pax;
mod reader;

#[cfg(test)]
mod tests;

pub use encode::{Header, NameError, finish};
pub use error::TarError;
pub use reader::{Content, Member, Reader};
