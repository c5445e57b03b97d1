//! A file system that fails as it is told.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use bytes::Bytes;
use sternline_proto::sftp::{Attributes, FileSystem, OpenFlags};

use super::tree::{FileTree, Links, OpenDir, OpenFile};
use crate::fault::FileFaults;

/// A file system behind its faults.
#[derive(Debug)]
pub(crate) struct Failing {
    pub(crate) tree: Arc<dyn FileTree>,
    pub(crate) faults: Arc<FileFaults>,
}

struct FailingFile {
    file: Box<dyn OpenFile>,
    faults: Arc<FileFaults>,
}

struct FailingDir {
    dir: Box<dyn OpenDir>,
    /// What the directory holds beside what it holds.
    more: Vec<Bytes>,
}

impl Failing {
    /// The file system, if nothing is wrong with the path.
    fn at(&self, path: &[u8]) -> io::Result<&dyn FileTree> {
        match self.faults.denies(path) {
            true => Err(ErrorKind::PermissionDenied.into()),
            false => Ok(self.tree.as_ref()),
        }
    }
}

impl FileTree for Failing {
    fn open(&self, path: &[u8], flags: OpenFlags, mode: u32) -> io::Result<Box<dyn OpenFile>> {
        Ok(Box::new(FailingFile {
            file: self.at(path)?.open(path, flags, mode)?,
            faults: self.faults.clone(),
        }))
    }

    fn open_dir(&self, path: &[u8]) -> io::Result<Box<dyn OpenDir>> {
        Ok(Box::new(FailingDir {
            dir: self.at(path)?.open_dir(path)?,
            more: self.faults.names(),
        }))
    }

    fn stat(&self, path: &[u8], links: Links) -> io::Result<Attributes> {
        self.at(path)?.stat(path, links)
    }

    fn set(&self, path: &[u8], links: Links, attributes: &Attributes) -> io::Result<()> {
        self.at(path)?.set(path, links, attributes)
    }

    fn make_dir(&self, path: &[u8], mode: u32) -> io::Result<()> {
        self.at(path)?.make_dir(path, mode)
    }

    fn remove_file(&self, path: &[u8]) -> io::Result<()> {
        self.at(path)?.remove_file(path)
    }

    fn remove_dir(&self, path: &[u8]) -> io::Result<()> {
        self.at(path)?.remove_dir(path)
    }

    fn rename(&self, from: &[u8], to: &[u8], replace: bool) -> io::Result<()> {
        self.at(to)?;
        self.at(from)?.rename(from, to, replace)
    }

    fn hard_link(&self, from: &[u8], to: &[u8]) -> io::Result<()> {
        self.at(to)?;
        self.at(from)?.hard_link(from, to)
    }

    fn symlink(&self, target: &[u8], link: &[u8]) -> io::Result<()> {
        self.at(link)?.symlink(target, link)
    }

    fn read_link(&self, path: &[u8]) -> io::Result<Bytes> {
        self.at(path)?.read_link(path)
    }

    fn real_path(&self, path: &[u8]) -> io::Result<Bytes> {
        self.at(path)?.real_path(path)
    }

    fn space(&self, path: &[u8]) -> io::Result<FileSystem> {
        self.at(path)?.space(path)
    }
}

impl OpenFile for FailingFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.faults.readable(offset, buffer.len());
        self.file
            .read_at(offset, buffer.get_mut(..count).unwrap_or_default())
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if !self.faults.has_room(data.len() as u64) {
            return Err(ErrorKind::StorageFull.into());
        }
        self.file.write_at(offset, data)
    }

    fn stat(&self) -> io::Result<Attributes> {
        self.file.stat()
    }

    fn set(&self, attributes: &Attributes) -> io::Result<()> {
        self.file.set(attributes)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    fn space(&self) -> io::Result<FileSystem> {
        self.file.space()
    }
}

impl OpenDir for FailingDir {
    fn next(&mut self, count: usize) -> io::Result<Vec<(Bytes, Attributes)>> {
        if self.more.is_empty() {
            return self.dir.next(count);
        }
        let file = Attributes {
            size: Some(5),
            permissions: Some(0o100_644),
            ..Attributes::default()
        };
        let more = std::mem::take(&mut self.more);
        Ok(more.into_iter().map(|name| (name, file.clone())).collect())
    }
}
