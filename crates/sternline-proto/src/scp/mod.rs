//! The protocol of scp in its old form, which `scp -O` and servers without SFTP speak: the records that a source and a
//! sink exchange. It has no specification; OpenSSH's `scp.c` and rcp(1) before it are the reference.
//!
//! The source sends [`Record::File`] and then exactly as many bytes as the record says, [`Record::Directory`] and
//! [`Record::EndDirectory`] around what is in a directory, and [`Record::Times`] in front of either. The sink answers each
//! of them, and the bytes of each file, with [`Record::Ok`] or an error; it says [`Record::Ok`] once before anything else.
//! After the bytes of a file the source says [`Record::Ok`] as well, or an error if it could not read all of them.
//!
//! ```
//! use bytes::BytesMut;
//! use sternline_proto::scp::{Name, Record};
//!
//! let record = Record::File { mode: 0o644, size: 5, name: Name::new("notes.txt".into())? };
//! let mut stream = BytesMut::new();
//! record.encode(&mut stream);
//! assert_eq!(stream, "C0644 5 notes.txt\n");
//!
//! stream.extend_from_slice(b"hello\0");
//! assert_eq!(Record::take(&mut stream)?, Some(record));
//! assert_eq!(stream.split_to(5), "hello");
//! assert_eq!(Record::take(&mut stream)?, Some(Record::Ok));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod name;
mod record;

pub use error::RecordError;
pub use name::{Name, NameError};
pub use record::{MAX_LINE, Record};
