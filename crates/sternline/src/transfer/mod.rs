//! Moving files, and working with the server's files.

#[expect(
    dead_code,
    unused_imports,
    reason = "the engine that moves files between places comes next"
)]
mod place;
mod sftp;
#[expect(
    dead_code,
    unused_imports,
    reason = "the ways through the server's shell come next"
)]
mod shell;

pub use sftp::{DirEntry, Listing, RemoteFile, Sftp};
pub use sternline_proto::sftp::{
    Attributes, FileSystem, FileType, Limits, OpenFlags, Owner, StatusCode, Times,
};
