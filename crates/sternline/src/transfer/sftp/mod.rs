//! SFTP version 3 as a client: a handle, any number of whose requests are on their way at once.

mod driver;
mod failure;
mod file;
mod handle;
mod listing;
mod operations;
mod session;
mod sizes;
mod small;

pub(super) use failure::Tried;
pub use file::RemoteFile;
pub use handle::Sftp;
pub use listing::{DirEntry, Listing};

pub(super) use small::Ending;
