//! What a client has open.

use std::collections::HashMap;
use std::io;

use bytes::Bytes;

use crate::files::{OpenDir, OpenFile};

/// Files and directories that one session may have open.
pub(super) const MAX_HANDLES: usize = 1000;

#[derive(Default)]
pub(super) struct Handles {
    open: HashMap<u64, Handle>,
    next: u64,
}

pub(super) enum Handle {
    File(ServedFile),
    Dir(Box<dyn OpenDir>),
}

/// An open file, and what has become of it.
pub(super) struct ServedFile {
    pub(super) file: Box<dyn OpenFile>,
    pub(super) path: Bytes,
    pub(super) read: u64,
    pub(super) written: Option<u64>,
}

impl Handles {
    /// Whether one more may be opened; asked before something is made for it.
    pub(super) fn have_room(&self) -> io::Result<()> {
        if self.open.len() < MAX_HANDLES {
            return Ok(());
        }
        Err(io::Error::other(format!(
            "{MAX_HANDLES} files and directories are open already: close some"
        )))
    }

    pub(super) fn add(&mut self, handle: Handle) -> Bytes {
        self.next += 1;
        self.open.insert(self.next, handle);
        Bytes::copy_from_slice(&self.next.to_be_bytes())
    }

    pub(super) fn file(&mut self, name: &[u8]) -> io::Result<&mut ServedFile> {
        match number(name).and_then(|number| self.open.get_mut(&number)) {
            Some(Handle::File(file)) => Ok(file),
            _ => Err(no_handle()),
        }
    }

    pub(super) fn dir(&mut self, name: &[u8]) -> io::Result<&mut dyn OpenDir> {
        match number(name).and_then(|number| self.open.get_mut(&number)) {
            Some(Handle::Dir(dir)) => Ok(dir.as_mut()),
            _ => Err(no_handle()),
        }
    }

    /// Copies from one open file to another.
    pub(super) fn two_files(&mut self, from: &[u8], to: &[u8]) -> io::Result<[&mut ServedFile; 2]> {
        let (Some(from), Some(to)) = (number(from), number(to)) else {
            return Err(no_handle());
        };
        if from == to {
            return Err(io::Error::other("a file cannot be copied to itself"));
        }
        match self.open.get_disjoint_mut([&from, &to]) {
            [Some(Handle::File(from)), Some(Handle::File(to))] => Ok([from, to]),
            _ => Err(no_handle()),
        }
    }

    pub(super) fn remove(&mut self, name: &[u8]) -> io::Result<Handle> {
        number(name)
            .and_then(|number| self.open.remove(&number))
            .ok_or_else(no_handle)
    }
}

fn number(name: &[u8]) -> Option<u64> {
    name.try_into().ok().map(u64::from_be_bytes)
}

fn no_handle() -> io::Error {
    io::Error::other("there is no such handle")
}
