//! What a program has of the tree in memory.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use sternline_proto::sftp::{Attributes, OpenFlags, Times};

use super::nodes::Nodes;
use crate::files::tree::{FileTree as _, Links};

/// What the tree may hold unless it is told otherwise.
const LIMIT: u64 = 256 << 20;

/// A tree of files in memory, for clients of a server and for the program around it. Cheap to clone: all clones are the
/// same tree, so a handler of commands sees what was uploaded, and a client what the handler wrote.
///
/// Paths are bytes. The root is everybody's home directory, and nothing leads above it. Symbolic links work, and those
/// that begin with a slash start at the root of the tree. Permissions are kept and told, but nobody is refused
/// anything because of them.
///
/// ```
/// use sternline_server::{Server, VirtualFiles};
///
/// let files = VirtualFiles::new();
/// files.add_file("/etc/motd", "Welcome.\n", 0o644)?;
/// let server = Server::builder().files(files.clone());
///
/// // Later, when a client has changed it:
/// let motd = files.file("/etc/motd").ok_or("it was removed")?;
/// assert_eq!((&motd.content[..], motd.mode), (&b"Welcome.\n"[..], 0o644));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct VirtualFiles(Arc<Mutex<Nodes>>);

/// A file of a [`VirtualFiles`] at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct VirtualFile {
    /// What it holds.
    pub content: Bytes,
    /// Its permission bits.
    pub mode: u32,
    /// When it was last written to, unless a client set another time: seconds since 1970, UTC.
    pub mtime: u32,
}

impl Default for VirtualFiles {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for VirtualFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VirtualFiles").field(&self.paths()).finish()
    }
}

impl VirtualFiles {
    /// An empty tree that may hold 256 MiB.
    #[must_use]
    pub fn new() -> Self {
        Self::with_limit(LIMIT)
    }

    /// An empty tree that may hold so many bytes, 512 for each name included. What is beyond is refused as on a disk
    /// that is full.
    #[must_use]
    pub fn with_limit(bytes: u64) -> Self {
        Self(Arc::new(Mutex::new(Nodes::new(bytes))))
    }

    /// Has a client that puts a file where there is no directory make it, with those above it. No real server does so; it is
    /// for tests that care about the file only.
    #[must_use]
    pub fn making_directories(self) -> Self {
        self.lock().makes_parents = true;
        self
    }

    /// Puts a file into the tree, with the directories above it; what had the name before is replaced.
    ///
    /// # Errors
    /// When there is a directory of this name, a file in place of a directory above it, or no room.
    pub fn add_file(&self, path: impl AsRef<[u8]>, content: impl AsRef<[u8]>, mode: u32) -> io::Result<()> {
        let path = path.as_ref();
        self.add_parents(path)?;
        let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::TRUNCATE;
        let file = self.open(path, flags, mode)?;
        file.write_at(0, content.as_ref())?;
        file.set(&permissions(mode))
    }

    /// Puts a directory into the tree, with those above it. One that is there gets the mode.
    ///
    /// # Errors
    /// When there is something else of this name, or no room.
    pub fn add_dir(&self, path: impl AsRef<[u8]>, mode: u32) -> io::Result<()> {
        let path = path.as_ref();
        self.add_parents(path)?;
        match self.make_dir(path, mode) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.open_dir(path)?;
                self.set(path, Links::Follow, &permissions(mode))
            }
            made => made,
        }
    }

    /// Puts a symbolic link into the tree, with the directories above it.
    ///
    /// # Errors
    /// When there is something of this name, or no room.
    pub fn add_symlink(&self, path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> io::Result<()> {
        let path = path.as_ref();
        self.add_parents(path)?;
        self.symlink(target.as_ref(), path)
    }

    /// Sets when a file or directory was last written to, in seconds since 1970, UTC.
    ///
    /// # Errors
    /// When there is none.
    pub fn set_mtime(&self, path: impl AsRef<[u8]>, mtime: u32) -> io::Result<()> {
        let times = Attributes {
            times: Some(Times { atime: mtime, mtime }),
            ..Attributes::default()
        };
        self.set(path.as_ref(), Links::Follow, &times)
    }

    /// The file of this path as it is now, symbolic links followed; `None` when there is none.
    #[must_use]
    pub fn file(&self, path: impl AsRef<[u8]>) -> Option<VirtualFile> {
        let nodes = self.lock();
        let id = nodes.find(path.as_ref(), Links::Follow).ok()?.existing().ok()?;
        let content = Bytes::copy_from_slice(nodes.content(id).ok()?);
        let attributes = nodes.attributes(id).ok()?;
        Some(VirtualFile {
            content,
            mode: attributes.permissions? & 0o7777,
            mtime: attributes.times?.mtime,
        })
    }

    /// All paths in the tree, directories and symbolic links included, sorted.
    #[must_use]
    pub fn paths(&self) -> Vec<Bytes> {
        self.lock().paths()
    }

    /// Removes a file, a symbolic link or an empty directory.
    ///
    /// # Errors
    /// When there is none, or the directory holds something.
    pub fn remove(&self, path: impl AsRef<[u8]>) -> io::Result<()> {
        let path = path.as_ref();
        match self.remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => self.remove_dir(path),
            removed => removed,
        }
    }

    /// Makes the directories above a path that a client gives to something, if the tree is like that.
    pub(super) fn add_wanted_parents(&self, path: &[u8]) -> io::Result<()> {
        let wanted = self.lock().makes_parents;
        if wanted { self.add_parents(path) } else { Ok(()) }
    }

    /// Makes the directories above a path.
    fn add_parents(&self, path: &[u8]) -> io::Result<()> {
        let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        for (end, _) in slashes.filter(|(end, _)| *end > 0) {
            match self.make_dir(path.get(..end).unwrap_or_default(), 0o755) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Nodes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn permissions(mode: u32) -> Attributes {
    Attributes {
        permissions: Some(mode),
        ..Attributes::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::FileTree;
    use std::io::ErrorKind;

    fn text(files: &VirtualFiles, path: &str) -> Option<String> {
        let file = files.file(path)?;
        Some(String::from_utf8(file.content.to_vec()).unwrap())
    }

    fn kind<T>(result: io::Result<T>) -> ErrorKind {
        result.err().unwrap().kind()
    }

    #[test]
    fn what_is_put_into_the_tree_is_there_with_its_parents() {
        let files = VirtualFiles::new();
        files.add_file("/a/b/c.txt", "one", 0o640).unwrap();
        files.add_file("relative", "two", 0o600).unwrap();
        files.add_symlink("/a/link", "b/c.txt").unwrap();
        files.add_dir("/a/b", 0o700).unwrap();
        let file = files.clone().file("a/b/../b/c.txt").unwrap();
        assert_eq!((&file.content[..], file.mode), (&b"one"[..], 0o640));
        assert!(file.mtime > 1_600_000_000);
        assert_eq!(text(&files, "/a/link").unwrap(), "one");
        assert_eq!(text(&files, "/relative").unwrap(), "two");
        assert_eq!(text(&files, "/a/b"), None);
        let paths = ["/a", "/a/b", "/a/b/c.txt", "/a/link", "/relative"];
        assert_eq!(files.paths(), paths);
        files.add_file("/a/link", "through the link", 0o644).unwrap();
        assert_eq!(text(&files, "/a/b/c.txt").unwrap(), "through the link");
        assert_eq!(
            kind(files.add_file("/relative/x", "", 0o600)),
            ErrorKind::NotADirectory
        );
        assert_eq!(kind(files.add_file("/a", "", 0o600)), ErrorKind::IsADirectory);
        assert_eq!(kind(files.remove("/a")), ErrorKind::DirectoryNotEmpty);
        files.remove("/relative").unwrap();
        files.set_mtime("/a/b/c.txt", 5).unwrap();
        assert_eq!(files.file("/a/b/c.txt").unwrap().mtime, 5);
    }

    #[test]
    fn a_tree_can_make_the_directories_that_a_client_puts_files_into() {
        let flags = OpenFlags::WRITE | OpenFlags::CREATE;
        let files = VirtualFiles::new();
        assert_eq!(kind(files.open(b"/a/b/c", flags, 0o644)), ErrorKind::NotFound);
        let files = files.making_directories();
        drop(files.open(b"/a/b/c", flags, 0o644).unwrap());
        files.rename(b"/a/b/c", b"/d/e", true).unwrap();
        assert_eq!(kind(files.open(b"/x/y", OpenFlags::READ, 0)), ErrorKind::NotFound);
        assert_eq!(files.paths(), ["/a", "/a/b", "/d", "/d/e"]);
    }

    #[test]
    fn a_rename_replaces_what_posix_lets_it_replace() {
        let files = VirtualFiles::new();
        for path in ["/f", "/g", "/full/x"] {
            files.add_file(path, path, 0o644).unwrap();
        }
        files.add_dir("/empty", 0o755).unwrap();
        let rename = |from: &str, to: &str| files.rename(from.as_bytes(), to.as_bytes(), true);
        assert_eq!(kind(files.rename(b"/f", b"/g", false)), ErrorKind::AlreadyExists);
        assert_eq!(kind(rename("/f", "/empty")), ErrorKind::IsADirectory);
        assert_eq!(kind(rename("/empty", "/f")), ErrorKind::NotADirectory);
        assert_eq!(kind(rename("/empty", "/full")), ErrorKind::DirectoryNotEmpty);
        assert_eq!(kind(rename("/full", "/full/x/y")), ErrorKind::NotADirectory);
        assert_eq!(kind(rename("/full", "/full/y")), ErrorKind::InvalidInput);
        assert_eq!(kind(rename("/none", "/x")), ErrorKind::NotFound);
        assert_eq!(kind(rename("/", "/x")), ErrorKind::ResourceBusy);
        rename("/f", "/f").unwrap();
        rename("/f", "/g").unwrap();
        rename("/full", "/empty").unwrap();
        assert_eq!(files.paths(), ["/empty", "/empty/x", "/g"]);
        assert_eq!(text(&files, "/g").unwrap(), "/f");
    }

    #[test]
    fn an_open_file_stays_what_it_was_when_its_name_goes() {
        let files = VirtualFiles::with_limit(2000);
        files.add_file("/f", [7; 1000], 0o644).unwrap();
        let open = files.open(b"/f", OpenFlags::READ, 0).unwrap();
        files.remove("/f").unwrap();
        let mut buffer = [0; 2000];
        assert_eq!(open.read_at(0, &mut buffer).unwrap(), 1000);
        assert!(buffer[..1000].iter().all(|byte| *byte == 7));
        assert_eq!(open.read_at(999, &mut buffer).unwrap(), 1);
        assert_eq!(open.read_at(u64::MAX, &mut buffer).unwrap(), 0);
        assert_eq!(
            kind(files.add_file("/g", [8; 1000], 0o644)),
            ErrorKind::StorageFull
        );
        files.remove("/g").unwrap();
        drop(open);
        files.add_file("/g", [8; 1000], 0o644).unwrap();
    }

    #[test]
    fn no_more_is_held_than_the_limit_says() {
        let files = VirtualFiles::with_limit(10_000);
        let file = files
            .open(b"/f", OpenFlags::WRITE | OpenFlags::CREATE, 0o644)
            .unwrap();
        assert_eq!(kind(file.write_at(1 << 60, b"x")), ErrorKind::StorageFull);
        assert_eq!(kind(file.write_at(u64::MAX, b"x")), ErrorKind::FileTooLarge);
        let grown = Attributes {
            size: Some(1 << 40),
            ..Attributes::default()
        };
        assert_eq!(kind(file.set(&grown)), ErrorKind::StorageFull);
        file.write_at(9000, b"x").unwrap();
        assert_eq!(files.file("/f").unwrap().content.len(), 9001);
        assert_eq!(kind(files.add_dir("/d", 0o755)), ErrorKind::StorageFull);
        assert_eq!(files.space(b"/").unwrap().files_free, 0);
        files.add_file("/f", "", 0o644).unwrap();
        files.add_dir("/d", 0o755).unwrap();
        let long = "n".repeat(256);
        assert_eq!(kind(files.add_dir(&long, 0o755)), ErrorKind::InvalidFilename);
    }

    #[test]
    fn a_directory_is_read_in_steps_and_a_hard_link_is_the_same_file() {
        let files = VirtualFiles::new();
        for name in 0..5 {
            files.add_file(format!("/d/{name}"), "x", 0o644).unwrap();
        }
        let mut dir = files.open_dir(b"/d").unwrap();
        let mut names = Vec::new();
        loop {
            let next = dir.next(2).unwrap();
            if next.is_empty() {
                break;
            }
            names.extend(next.into_iter().map(|(name, _)| name));
        }
        assert_eq!(names, ["0", "1", "2", "3", "4"]);
        assert!(dir.next(2).unwrap().is_empty());
        files.hard_link(b"/d/0", b"/same").unwrap();
        files.remove("/d/0").unwrap();
        files.add_file("/same", "changed", 0o600).unwrap();
        assert_eq!(text(&files, "/same").unwrap(), "changed");
        assert_eq!(kind(files.hard_link(b"/d", b"/e")), ErrorKind::PermissionDenied);
    }
}
