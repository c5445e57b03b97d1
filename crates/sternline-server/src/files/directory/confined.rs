//! Walking below the directory.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use bytes::Bytes;
use rustix::fs::{CWD, Mode, OFlags, Stat, openat, readlinkat};
use rustix::io::Errno;
use sternline_proto::sftp::{Attributes, Owner, Times};

use crate::files::tree::Links;
use crate::files::walk::{Look, Place, walk};

/// What a directory is opened with on the way. Where it is possible only searching it has to be allowed, not reading.
#[cfg(any(target_os = "linux", target_os = "android"))]
const SEARCH: OFlags = OFlags::PATH.union(DIRECTORY);
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const SEARCH: OFlags = OFlags::RDONLY.union(DIRECTORY);

const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A directory as the root of all paths.
#[derive(Debug)]
pub(crate) struct ConfinedDirectory {
    root: OwnedFd,
}

impl ConfinedDirectory {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self {
            root: openat(CWD, path, flags, Mode::empty())?,
        })
    }

    pub(super) fn place(&self, path: &[u8], links: Links) -> io::Result<Place<OwnedFd>> {
        walk(self.root.try_clone()?, path, links, look)
    }
}

impl Place<OwnedFd> {
    /// The name for a system call, `.` for the directory itself.
    pub(super) fn last(&self) -> &[u8] {
        self.name.as_deref().unwrap_or(b".")
    }

    /// Opens what is there as a directory, to read it.
    pub(super) fn open_dir(&self) -> io::Result<OwnedFd> {
        Ok(openat(
            &self.dir,
            self.last(),
            OFlags::RDONLY | DIRECTORY,
            Mode::empty(),
        )?)
    }
}

/// What the directory holds under the name.
pub(super) fn look(dir: &OwnedFd, name: &[u8]) -> io::Result<Look<OwnedFd>> {
    match openat(dir, name, SEARCH, Mode::empty()) {
        Ok(dir) => return Ok(Look::Directory(dir)),
        Err(Errno::NOENT) => return Ok(Look::Missing),
        // What systems say of a symbolic link that is not to be followed.
        Err(Errno::NOTDIR | Errno::LOOP | Errno::MLINK) => {}
        Err(error) => return Err(error.into()),
    }
    match readlinkat(dir, name, Vec::new()) {
        Ok(target) => Ok(Look::Symlink(Bytes::from(target.into_bytes()))),
        Err(Errno::INVAL) => Ok(Look::Other),
        Err(Errno::NOENT) => Ok(Look::Missing),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn attributes(stat: &Stat) -> Attributes {
    #[allow(
        clippy::unnecessary_cast,
        clippy::cast_lossless,
        reason = "their types differ between systems"
    )]
    let (atime, mtime, mode) = (stat.st_atime as i64, stat.st_mtime as i64, stat.st_mode as u32);
    Attributes {
        size: u64::try_from(stat.st_size).ok(),
        owner: Some(Owner {
            uid: stat.st_uid,
            gid: stat.st_gid,
        }),
        permissions: Some(mode),
        times: Some(Times {
            atime: seconds(atime),
            mtime: seconds(mtime),
        }),
        extended: Vec::new(),
    }
}

/// Times before 1970 and after 2106 cannot be told.
fn seconds(time: i64) -> u32 {
    u32::try_from(time.max(0)).unwrap_or(u32::MAX)
}
