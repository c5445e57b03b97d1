//! What clients did to the files, for tests and for people to look at.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// Entries kept; older ones are forgotten.
const KEPT: usize = 10_000;

/// Something that a client did to a file, over SFTP or SCP.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileEntry {
    /// The user who logged in.
    pub user: String,
    /// The file, as the client named it.
    pub path: Bytes,
    /// What was done.
    pub action: FileAction,
}

/// What a client did to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileAction {
    /// It was written to and closed. A client that goes away in the middle leaves no entry.
    Uploaded {
        /// Bytes that were written.
        bytes: u64,
    },
    /// It was read from and closed.
    Downloaded {
        /// Bytes that were read.
        bytes: u64,
    },
    /// It has a new name, which another file may have had.
    Renamed {
        /// The new name.
        to: Bytes,
    },
    /// The file or the directory was removed.
    Removed,
}

/// Who is told of every entry.
pub(crate) type FileObserver = Box<dyn Fn(&FileEntry) + Send + Sync>;

/// The last entries, oldest first.
#[derive(Default)]
pub(crate) struct FileLog {
    entries: Mutex<VecDeque<FileEntry>>,
    observer: Option<FileObserver>,
}

impl fmt::Debug for FileLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FileLog").field(&self.entries).finish()
    }
}

impl FileLog {
    pub(crate) fn new(observer: Option<FileObserver>) -> Self {
        Self {
            entries: Mutex::default(),
            observer,
        }
    }

    pub(crate) fn add(&self, user: &str, path: Bytes, action: FileAction) {
        let entry = FileEntry {
            user: user.to_owned(),
            path,
            action,
        };
        if let Some(observer) = &self.observer {
            observer(&entry);
        }
        let mut entries = self.lock();
        if entries.len() == KEPT {
            entries.pop_front();
        }
        entries.push_back(entry);
    }

    pub(crate) fn entries(&self) -> Vec<FileEntry> {
        self.lock().iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<FileEntry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
