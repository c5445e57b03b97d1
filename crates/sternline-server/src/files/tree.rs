//! What a file system has to offer to be served.

use std::fmt;
use std::io;

use bytes::Bytes;
use sternline_proto::sftp::{Attributes, FileSystem, OpenFlags};

/// Whether a symbolic link at the end of a path is followed. All others are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    Follow,
    Keep,
}

/// A file system. Paths are bytes; those without a leading slash start at the root, which is everybody's home directory,
/// and nothing leads above it. Errors are those of the system, known by their [`io::ErrorKind`].
pub(crate) trait FileTree: fmt::Debug + Send + Sync {
    /// Opens a regular file. One that is made gets exactly `mode`, whatever the umask.
    fn open(&self, path: &[u8], flags: OpenFlags, mode: u32) -> io::Result<Box<dyn OpenFile>>;
    fn open_dir(&self, path: &[u8]) -> io::Result<Box<dyn OpenDir>>;
    fn stat(&self, path: &[u8], links: Links) -> io::Result<Attributes>;
    /// Sets what is given. A size is only set for regular files.
    fn set(&self, path: &[u8], links: Links, attributes: &Attributes) -> io::Result<()>;
    /// Makes a directory with exactly `mode`.
    fn make_dir(&self, path: &[u8], mode: u32) -> io::Result<()>;
    /// Removes what is no directory.
    fn remove_file(&self, path: &[u8]) -> io::Result<()>;
    fn remove_dir(&self, path: &[u8]) -> io::Result<()>;
    /// Renames, in one step. What has the new name is replaced as POSIX has it, or is an error without `replace`.
    fn rename(&self, from: &[u8], to: &[u8], replace: bool) -> io::Result<()>;
    fn hard_link(&self, from: &[u8], to: &[u8]) -> io::Result<()>;
    fn symlink(&self, target: &[u8], link: &[u8]) -> io::Result<()>;
    fn read_link(&self, path: &[u8]) -> io::Result<Bytes>;
    /// The path from the root, without symbolic links. Its last component need not exist.
    fn real_path(&self, path: &[u8]) -> io::Result<Bytes>;
    fn space(&self, path: &[u8]) -> io::Result<FileSystem>;
}

/// An open regular file.
pub(crate) trait OpenFile: Send {
    /// Fills the buffer from its front; less means that the file ends there.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
    /// Writes all of it, to the end of the file if that was opened so.
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()>;
    fn stat(&self) -> io::Result<Attributes>;
    fn set(&self, attributes: &Attributes) -> io::Result<()>;
    fn sync(&self) -> io::Result<()>;
    fn space(&self) -> io::Result<FileSystem>;
}

/// An open directory.
pub(crate) trait OpenDir: Send {
    /// The next names, at most so many, with their own attributes. None is the end. `.` and `..` are not among them.
    fn next(&mut self, count: usize) -> io::Result<Vec<(Bytes, Attributes)>>;
}
