//! The tree in memory as a file system to serve.

use std::io::{self, ErrorKind};
use std::ops::Bound;

use bytes::Bytes;
use sternline_proto::sftp::{Attributes, FileSystem, OpenFlags};

use super::handle::VirtualFiles;
use crate::files::tree::{FileTree, Links, OpenDir, OpenFile};

/// An open file. It stays what it was when its name is removed or given to another.
struct MemoryFile {
    files: VirtualFiles,
    id: u64,
    flags: OpenFlags,
}

/// An open directory, and the name that was given last.
struct MemoryDir {
    files: VirtualFiles,
    id: u64,
    last: Option<Bytes>,
}

impl FileTree for VirtualFiles {
    fn open(&self, path: &[u8], flags: OpenFlags, mode: u32) -> io::Result<Box<dyn OpenFile>> {
        let makes = flags.contains(OpenFlags::CREATE);
        let exclusive = makes && flags.contains(OpenFlags::EXCLUSIVE);
        let links = if exclusive { Links::Keep } else { Links::Follow };
        if makes {
            self.add_wanted_parents(path)?;
        }
        let mut nodes = self.lock();
        let found = nodes.find(path, links)?;
        let id = match found.node {
            Some(_) if exclusive => return Err(ErrorKind::AlreadyExists.into()),
            Some(id) => {
                nodes.content(id)?;
                id
            }
            None if makes => nodes.make_file(found.place.dir, found.vacant()?, mode)?,
            None => return Err(ErrorKind::NotFound.into()),
        };
        if flags.contains(OpenFlags::TRUNCATE) && flags.contains(OpenFlags::WRITE) {
            nodes.resize(id, 0)?;
        }
        nodes.open(id)?;
        drop(nodes);
        Ok(Box::new(MemoryFile {
            files: self.clone(),
            id,
            flags,
        }))
    }

    fn open_dir(&self, path: &[u8]) -> io::Result<Box<dyn OpenDir>> {
        let nodes = self.lock();
        let id = nodes.find(path, Links::Follow)?.existing()?;
        nodes.entries(id)?;
        drop(nodes);
        Ok(Box::new(MemoryDir {
            files: self.clone(),
            id,
            last: None,
        }))
    }

    fn stat(&self, path: &[u8], links: Links) -> io::Result<Attributes> {
        let nodes = self.lock();
        nodes.attributes(nodes.find(path, links)?.existing()?)
    }

    fn set(&self, path: &[u8], links: Links, attributes: &Attributes) -> io::Result<()> {
        let mut nodes = self.lock();
        let id = nodes.find(path, links)?.existing()?;
        nodes.set(id, attributes)
    }

    fn make_dir(&self, path: &[u8], mode: u32) -> io::Result<()> {
        let mut nodes = self.lock();
        let found = nodes.find(path, Links::Keep)?;
        nodes.make_dir(found.place.dir, found.vacant()?, mode).map(drop)
    }

    fn remove_file(&self, path: &[u8]) -> io::Result<()> {
        let mut nodes = self.lock();
        let found = nodes.find(path, Links::Keep)?;
        if nodes.entries(found.existing()?).is_ok() {
            return Err(ErrorKind::IsADirectory.into());
        }
        nodes.unlink(found.place.dir, &found.name()?)
    }

    fn remove_dir(&self, path: &[u8]) -> io::Result<()> {
        let mut nodes = self.lock();
        let found = nodes.find(path, Links::Keep)?;
        if !nodes.entries(found.existing()?)?.is_empty() {
            return Err(ErrorKind::DirectoryNotEmpty.into());
        }
        nodes.unlink(found.place.dir, &found.name()?)
    }

    fn rename(&self, from: &[u8], to: &[u8], replace: bool) -> io::Result<()> {
        self.add_wanted_parents(to)?;
        let mut nodes = self.lock();
        let (from, to) = (nodes.find(from, Links::Keep)?, nodes.find(to, Links::Keep)?);
        if !replace {
            from.existing()?;
            to.vacant()?;
        }
        nodes.rename(&from, &to)
    }

    fn hard_link(&self, from: &[u8], to: &[u8]) -> io::Result<()> {
        let mut nodes = self.lock();
        let (from, to) = (nodes.find(from, Links::Keep)?, nodes.find(to, Links::Keep)?);
        let id = from.existing()?;
        if nodes.entries(id).is_ok() {
            return Err(ErrorKind::PermissionDenied.into());
        }
        nodes.link(to.place.dir, to.vacant()?, id)
    }

    fn symlink(&self, target: &[u8], link: &[u8]) -> io::Result<()> {
        let mut nodes = self.lock();
        let found = nodes.find(link, Links::Keep)?;
        let target = Bytes::copy_from_slice(target);
        nodes
            .make_symlink(found.place.dir, found.vacant()?, target)
            .map(drop)
    }

    fn read_link(&self, path: &[u8]) -> io::Result<Bytes> {
        let nodes = self.lock();
        nodes.target(nodes.find(path, Links::Keep)?.existing()?)
    }

    fn real_path(&self, path: &[u8]) -> io::Result<Bytes> {
        Ok(self.lock().find(path, Links::Follow)?.place.path())
    }

    fn space(&self, path: &[u8]) -> io::Result<FileSystem> {
        let nodes = self.lock();
        nodes.find(path, Links::Follow)?.existing()?;
        Ok(nodes.space())
    }
}

impl MemoryFile {
    fn allowed(&self, to: OpenFlags) -> io::Result<()> {
        if self.flags.contains(to) {
            return Ok(());
        }
        Err(io::Error::other("the file was not opened for this"))
    }
}

impl OpenFile for MemoryFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.allowed(OpenFlags::READ)?;
        self.files.lock().read(self.id, offset, buffer)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.allowed(OpenFlags::WRITE)?;
        let offset = (!self.flags.contains(OpenFlags::APPEND)).then_some(offset);
        self.files.lock().write(self.id, offset, data)
    }

    fn stat(&self) -> io::Result<Attributes> {
        self.files.lock().attributes(self.id)
    }

    fn set(&self, attributes: &Attributes) -> io::Result<()> {
        self.files.lock().set(self.id, attributes)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn space(&self) -> io::Result<FileSystem> {
        Ok(self.files.lock().space())
    }
}

impl Drop for MemoryFile {
    fn drop(&mut self) {
        self.files.lock().close(self.id);
    }
}

impl OpenDir for MemoryDir {
    fn next(&mut self, count: usize) -> io::Result<Vec<(Bytes, Attributes)>> {
        let nodes = self.files.lock();
        let after = match &self.last {
            Some(last) => Bound::Excluded(last.clone()),
            None => Bound::Unbounded,
        };
        let entries = nodes.entries(self.id)?.range((after, Bound::Unbounded));
        let next: io::Result<Vec<_>> = entries
            .take(count)
            .map(|(name, id)| Ok((name.clone(), nodes.attributes(*id)?)))
            .collect();
        drop(nodes);
        let next = next?;
        self.last = next.last().map(|(name, _)| name.clone()).or(self.last.take());
        Ok(next)
    }
}
