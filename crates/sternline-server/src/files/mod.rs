//! The files that clients see over SFTP and SCP: a tree in memory, or a real directory that nobody leaves.
//!
//! All of it blocks, and is called off the runtime.

#[cfg(unix)]
mod directory;
mod failing;
mod log;
mod memory;
mod served;
mod tree;
mod walk;

#[cfg(unix)]
pub(crate) use directory::ConfinedDirectory;
pub(crate) use failing::Failing;
pub use log::{FileAction, FileEntry};
pub(crate) use log::{FileLog, FileObserver};
pub use memory::{VirtualFile, VirtualFiles};
pub(crate) use served::Served;
pub(crate) use tree::{FileTree, Links, OpenDir, OpenFile};
