//! What a server's POSIX shell can do for a transfer.

mod acl;
mod command;
mod files;
mod probe;
mod reading;
mod script;
mod session;
mod sha256;
mod stat;
mod words;
mod writing;

pub(in crate::transfer) use acl::{extended_acls, keep_acl};
pub(in crate::transfer) use command::{
    CommandInput, Exit, Output, RemoteCommand, complaint, run, run_script,
};
pub(in crate::transfer) use files::ShellFiles;
pub(in crate::transfer) use probe::{RemoteShell, Sha256Tool, Stat, Tar, Tools, probe};
pub(in crate::transfer) use reading::ShellReading;
pub(in crate::transfer) use sha256::{Digest, sha256};
pub(in crate::transfer) use writing::ShellWriting;
