//! Working with the server's files.

mod sftp;

pub use sftp::{DirEntry, Listing, RemoteFile, Sftp};
pub use sternline_proto::sftp::{
    Attributes, FileSystem, FileType, Limits, OpenFlags, Owner, StatusCode, Times,
};
