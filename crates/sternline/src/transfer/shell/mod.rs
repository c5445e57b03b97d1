//! What a server's POSIX shell can do for a transfer.

mod acl;
mod change;
mod command;
mod files;
mod look;
mod probe;
mod reading;
mod script;
mod server;
mod servers;
mod session;
mod sha256;
mod stat;
mod words;
mod writing;

pub(in crate::transfer) use acl::{extended_acls, keep_acl};
#[expect(
    unused_imports,
    reason = "for streams through the shell, and scp's old protocol"
)]
pub(in crate::transfer) use command::{
    CommandInput, Exit, Output, RemoteCommand, complaint, run, run_script,
};
pub(in crate::transfer) use files::ShellFiles;
#[expect(unused_imports, reason = "for streams through the shell")]
pub(in crate::transfer) use probe::{RemoteShell, Sha256Tool, Stat, Tar, Tools, probe};
pub(in crate::transfer) use reading::ShellReading;
pub(in crate::transfer) use script::script;
pub(in crate::transfer) use server::{STREAMS, Server};
pub(in crate::transfer) use sha256::{Digest, sha256};
pub(in crate::transfer) use words::status;
pub(in crate::transfer) use writing::ShellWriting;
