//! The two ends of a transfer, seen alike: files of this machine, and files of a server.

mod end;
mod local;
mod meta;
mod remote;

pub(super) use end::{Place, Reading, Writing};
pub(crate) use local::LocalFiles;
pub(super) use meta::{Change, Entry, How, Kind, Meta, Shortcut};
pub(super) use remote::{Origin, RemoteFiles};
