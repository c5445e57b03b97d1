//! Moving files, and working with the server's files.

mod batch;
mod engine;
mod event;
mod place;
mod reach;
mod renewal;
mod request;
mod result;
mod scp;
mod sftp;
mod shell;
mod verbs;

pub(crate) use place::LocalFiles;

pub use event::TransferEvent;
pub use request::{Source, StreamReader, StreamWriter, Symlinks, Target, Transfer, TransferCanceller};
pub use result::{FileOutcome, FileResult, SkipReason, TransferResult};
pub use sftp::{DirEntry, Listing, RemoteFile, Sftp};
pub use sternline_proto::files::{Filter, PatternError, Way};
pub use sternline_proto::sftp::{
    Attributes, FileSystem, FileType, Limits, OpenFlags, Owner, StatusCode, Times,
};
