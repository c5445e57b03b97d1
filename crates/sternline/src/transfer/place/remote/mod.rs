//! The files of a server, over SFTP, on whatever connections there are.

mod files;
mod hash;
mod line;
mod lines;
mod open_file;
mod replace;
mod small;

pub(crate) use files::RemoteFiles;
pub(crate) use lines::Origin;
pub(crate) use open_file::{RemoteReading, RemoteWriting};
