//! One writer at a time for a known_hosts file, across processes and threads.
//!
//! On Unix the file itself is locked (flock(2)), so that nothing is left behind beside it. Because writers replace
//! the file, whoever gets the lock checks that its path still leads to the locked file, and starts again if not.
//! Elsewhere a locked file cannot be replaced, so there a sibling `NAME.lock` is locked, which stays.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long to wait for other writers. Each holds the lock for milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// Holds the lock until it is dropped.
#[derive(Debug)]
pub(super) struct FileLock {
    _locked: File,
}

/// Why there is no lock.
#[derive(Debug)]
pub(super) enum LockError {
    /// Somebody else has held it for 10 seconds.
    Busy,
    /// The path leads to something that is not a regular file.
    NotAFile,
    /// The file could not be opened or locked.
    Io(io::Error),
}

impl From<io::Error> for LockError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl FileLock {
    /// Locks the file at `path`, which must not be a symbolic link. A missing file is created, empty and readable
    /// by its owner only, if `create` is set.
    pub(super) fn acquire(path: &Path, create: bool) -> Result<Self, LockError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let file = open(path, create)?;
            match file.try_lock() {
                Ok(()) if is_current(&file, path)? => return Ok(Self { _locked: file }),
                // Replaced while we waited: lock the new one.
                Ok(()) => {}
                Err(TryLockError::Error(error)) => return Err(error.into()),
                // There is no way to wait for a file lock with a time limit but to try again.
                Err(TryLockError::WouldBlock) => sleep(Duration::from_millis(2)),
            }
            if Instant::now() >= deadline {
                return Err(LockError::Busy);
            }
        }
    }
}

#[cfg(unix)]
fn open(path: &Path, create: bool) -> Result<File, LockError> {
    use std::os::unix::fs::OpenOptionsExt;

    // Asked before opening: to open a device or a pipe can have effects of its own.
    match std::fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => return Err(LockError::NotAFile),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    Ok(OpenOptions::new()
        .read(true)
        .write(true)
        .create(create)
        .truncate(false)
        .mode(0o600)
        .open(path)?)
}

#[cfg(unix)]
fn is_current(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;

    let locked = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(current) => Ok((locked.dev(), locked.ino()) == (current.dev(), current.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(not(unix))]
fn open(path: &Path, create: bool) -> Result<File, LockError> {
    match std::fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => return Err(LockError::NotAFile),
        Err(error) if error.kind() == io::ErrorKind::NotFound && create => {
            OpenOptions::new().append(true).create(true).open(path)?;
        }
        Err(error) => return Err(error.into()),
        Ok(_) => {}
    }
    let mut sibling = path.as_os_str().to_owned();
    sibling.push(".lock");
    Ok(OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(sibling)?)
}

#[cfg(not(unix))]
fn is_current(_file: &File, _path: &Path) -> io::Result<bool> {
    Ok(true)
}
