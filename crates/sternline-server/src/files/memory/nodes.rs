//! The nodes of the tree: files, directories and symbolic links by number, as inodes are.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, ErrorKind};
use std::time::SystemTime;

use bytes::Bytes;
use sternline_proto::sftp::{Attributes, FileSystem, Owner, Times};

use crate::files::tree::Links;
use crate::files::walk::{Look, Place, walk};

/// What every name takes from the limit, beside what its file holds.
const NAME_COST: u64 = 512;
/// Bytes of a name, as on most file systems.
const MAX_NAME: usize = 255;
const ROOT: u64 = 0;
/// The unit in which the limit is told to clients.
const BLOCK: u64 = 4096;

pub(super) struct Nodes {
    nodes: HashMap<u64, Node>,
    next: u64,
    used: u64,
    limit: u64,
    /// Whether what a client puts into a directory that is not there makes it.
    pub(super) makes_parents: bool,
}

struct Node {
    kind: Kind,
    permissions: u32,
    owner: Owner,
    times: Times,
    /// Names that it has. It goes with the last of them, or later when it is open.
    names: u32,
    open: u32,
}

enum Kind {
    File(Vec<u8>),
    Directory(BTreeMap<Bytes, u64>),
    Symlink(Bytes),
}

/// Where a path leads, and what is there.
pub(super) struct Found {
    pub(super) place: Place<u64>,
    pub(super) node: Option<u64>,
}

impl Found {
    pub(super) fn existing(&self) -> io::Result<u64> {
        self.node.ok_or_else(|| ErrorKind::NotFound.into())
    }

    /// The name for something new, where nothing is yet.
    pub(super) fn vacant(&self) -> io::Result<Bytes> {
        match (&self.place.name, self.node) {
            (Some(name), None) => Ok(name.clone()),
            _ => Err(ErrorKind::AlreadyExists.into()),
        }
    }

    /// The name of something that has one, which the root has not.
    pub(super) fn name(&self) -> io::Result<Bytes> {
        self.existing()?;
        self.place
            .name
            .clone()
            .ok_or_else(|| ErrorKind::ResourceBusy.into())
    }
}

impl Nodes {
    pub(super) fn new(limit: u64) -> Self {
        let root = Node {
            kind: Kind::Directory(BTreeMap::new()),
            permissions: 0o755,
            owner: Owner { uid: 0, gid: 0 },
            times: now(),
            names: 1,
            open: 0,
        };
        Self {
            nodes: HashMap::from([(ROOT, root)]),
            next: ROOT + 1,
            used: 0,
            limit,
            makes_parents: false,
        }
    }

    pub(super) fn find(&self, path: &[u8], links: Links) -> io::Result<Found> {
        let place = walk(ROOT, path, links, |dir, name| {
            let Some(&id) = self.entries(*dir)?.get(name) else {
                return Ok(Look::Missing);
            };
            Ok(match &self.node(id)?.kind {
                Kind::Directory(_) => Look::Directory(id),
                Kind::Symlink(target) => Look::Symlink(target.clone()),
                Kind::File(_) => Look::Other,
            })
        })?;
        let node = match &place.name {
            Some(name) => self.entries(place.dir)?.get(name).copied(),
            None => Some(place.dir),
        };
        Ok(Found { place, node })
    }

    pub(super) fn make_file(&mut self, dir: u64, name: Bytes, permissions: u32) -> io::Result<u64> {
        self.make(dir, name, Kind::File(Vec::new()), permissions)
    }

    pub(super) fn make_dir(&mut self, dir: u64, name: Bytes, permissions: u32) -> io::Result<u64> {
        self.make(dir, name, Kind::Directory(BTreeMap::new()), permissions)
    }

    pub(super) fn make_symlink(&mut self, dir: u64, name: Bytes, target: Bytes) -> io::Result<u64> {
        if target.is_empty() {
            return Err(ErrorKind::NotFound.into());
        }
        self.make(dir, name, Kind::Symlink(target), 0o777)
    }

    fn make(&mut self, dir: u64, name: Bytes, kind: Kind, permissions: u32) -> io::Result<u64> {
        let id = self.next;
        let node = Node {
            kind,
            permissions: permissions & 0o7777,
            owner: Owner { uid: 0, gid: 0 },
            times: now(),
            names: 0,
            open: 0,
        };
        self.link(dir, name, id)?;
        self.next += 1;
        self.nodes.insert(id, node);
        self.node_mut(id)?.names = 1;
        Ok(id)
    }

    /// One more name for a node, which is counted where it exists already.
    pub(super) fn link(&mut self, dir: u64, name: Bytes, id: u64) -> io::Result<()> {
        if name.len() > MAX_NAME {
            return Err(ErrorKind::InvalidFilename.into());
        }
        self.entries(dir)?;
        self.charge(NAME_COST)?;
        self.entries_mut(dir)?.insert(name, id);
        if let Ok(node) = self.node_mut(id) {
            node.names += 1;
        }
        Ok(())
    }

    /// Takes a name away, and with the last one the node.
    pub(super) fn unlink(&mut self, dir: u64, name: &[u8]) -> io::Result<()> {
        let id = self.entries_mut(dir)?.remove(name).ok_or(ErrorKind::NotFound)?;
        self.used = self.used.saturating_sub(NAME_COST);
        self.node_mut(id)?.names -= 1;
        self.let_go(id);
        Ok(())
    }

    pub(super) fn open(&mut self, id: u64) -> io::Result<()> {
        self.node_mut(id)?.open += 1;
        Ok(())
    }

    pub(super) fn close(&mut self, id: u64) {
        if let Ok(node) = self.node_mut(id) {
            node.open -= 1;
        }
        self.let_go(id);
    }

    fn let_go(&mut self, id: u64) {
        if self
            .nodes
            .get(&id)
            .is_some_and(|node| node.names == 0 && node.open == 0)
            && let Some(Node {
                kind: Kind::File(content),
                ..
            }) = self.nodes.remove(&id)
        {
            self.used = self.used.saturating_sub(content.len() as u64);
        }
    }

    /// Renames as rename(2) does.
    pub(super) fn rename(&mut self, from: &Found, to: &Found) -> io::Result<()> {
        let (old, id) = (from.name()?, from.existing()?);
        let new = to.place.name.clone().ok_or(ErrorKind::ResourceBusy)?;
        if new.len() > MAX_NAME {
            return Err(ErrorKind::InvalidFilename.into());
        }
        if to.node == Some(id) {
            return Ok(());
        }
        let moves_dir = self.entries(id).is_ok();
        if moves_dir && to.place.dirs().any(|dir| *dir == id) {
            return Err(ErrorKind::InvalidInput.into());
        }
        if let Some(taken) = to.node {
            match (moves_dir, self.entries(taken)) {
                (true, Err(_)) => return Err(ErrorKind::NotADirectory.into()),
                (false, Ok(_)) => return Err(ErrorKind::IsADirectory.into()),
                (true, Ok(entries)) if !entries.is_empty() => {
                    return Err(ErrorKind::DirectoryNotEmpty.into());
                }
                _ => self.unlink(to.place.dir, &new)?,
            }
        }
        self.entries_mut(from.place.dir)?.remove(&old);
        self.entries_mut(to.place.dir)?.insert(new, id);
        Ok(())
    }

    pub(super) fn read(&self, id: u64, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let content = self.content(id)?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
        let rest = content.get(start..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        Ok(count)
    }

    /// Writes at an offset, or at the end.
    pub(super) fn write(&mut self, id: u64, offset: Option<u64>, data: &[u8]) -> io::Result<()> {
        let size = self.content(id)?.len() as u64;
        let start = offset.unwrap_or(size);
        let end = start
            .checked_add(data.len() as u64)
            .ok_or(ErrorKind::FileTooLarge)?;
        if end > size && !data.is_empty() {
            self.resize(id, end)?;
        }
        let (start, end) = (to_usize(start)?, to_usize(end)?);
        let node = self.node_mut(id)?;
        if let Kind::File(content) = &mut node.kind
            && let Some(place) = content.get_mut(start..end)
        {
            place.copy_from_slice(data);
        }
        node.times.mtime = now().mtime;
        Ok(())
    }

    pub(super) fn resize(&mut self, id: u64, size: u64) -> io::Result<()> {
        let old = self.content(id)?.len() as u64;
        match size.checked_sub(old) {
            Some(more) => self.charge(more)?,
            None => self.used = self.used.saturating_sub(old - size),
        }
        let size = to_usize(size)?;
        let node = self.node_mut(id)?;
        if let Kind::File(content) = &mut node.kind {
            content.resize(size, 0);
        }
        node.times.mtime = now().mtime;
        Ok(())
    }

    pub(super) fn set(&mut self, id: u64, attributes: &Attributes) -> io::Result<()> {
        if let Some(size) = attributes.size {
            self.resize(id, size)?;
        }
        let node = self.node_mut(id)?;
        if let Some(permissions) = attributes.permissions {
            node.permissions = permissions & 0o7777;
        }
        node.owner = attributes.owner.unwrap_or(node.owner);
        node.times = attributes.times.unwrap_or(node.times);
        Ok(())
    }

    pub(super) fn attributes(&self, id: u64) -> io::Result<Attributes> {
        let node = self.node(id)?;
        let (kind, size) = match &node.kind {
            Kind::File(content) => (0o100_000, content.len()),
            Kind::Directory(_) => (0o040_000, 0),
            Kind::Symlink(target) => (0o120_000, target.len()),
        };
        Ok(Attributes {
            size: Some(size as u64),
            owner: Some(node.owner),
            permissions: Some(kind | node.permissions),
            times: Some(node.times),
            extended: Vec::new(),
        })
    }

    pub(super) fn content(&self, id: u64) -> io::Result<&Vec<u8>> {
        match &self.node(id)?.kind {
            Kind::File(content) => Ok(content),
            Kind::Directory(_) => Err(ErrorKind::IsADirectory.into()),
            Kind::Symlink(_) => Err(io::Error::other("a symbolic link holds no data")),
        }
    }

    pub(super) fn entries(&self, id: u64) -> io::Result<&BTreeMap<Bytes, u64>> {
        match &self.node(id)?.kind {
            Kind::Directory(entries) => Ok(entries),
            _ => Err(ErrorKind::NotADirectory.into()),
        }
    }

    pub(super) fn target(&self, id: u64) -> io::Result<Bytes> {
        match &self.node(id)?.kind {
            Kind::Symlink(target) => Ok(target.clone()),
            _ => Err(io::Error::other("not a symbolic link")),
        }
    }

    pub(super) fn space(&self) -> FileSystem {
        let free = (self.limit - self.used) / BLOCK;
        let names = (self.limit - self.used) / NAME_COST;
        FileSystem {
            block_size: BLOCK,
            fragment_size: BLOCK,
            blocks: self.limit / BLOCK,
            blocks_free: free,
            blocks_available: free,
            files: self.limit / NAME_COST,
            files_free: names,
            files_available: names,
            id: 0,
            flags: 0,
            name_max: MAX_NAME as u64,
        }
    }

    /// All paths, sorted, without the root.
    pub(super) fn paths(&self) -> Vec<Bytes> {
        let (mut paths, mut open) = (Vec::new(), vec![(Vec::new(), ROOT)]);
        while let Some((dir, id)) = open.pop() {
            for (name, id) in self.entries(id).into_iter().flatten() {
                let path = [&dir[..], b"/", name].concat();
                paths.push(Bytes::copy_from_slice(&path));
                open.push((path, *id));
            }
        }
        paths.sort();
        paths
    }

    fn entries_mut(&mut self, id: u64) -> io::Result<&mut BTreeMap<Bytes, u64>> {
        let node = self.node_mut(id)?;
        node.times.mtime = now().mtime;
        match &mut node.kind {
            Kind::Directory(entries) => Ok(entries),
            _ => Err(ErrorKind::NotADirectory.into()),
        }
    }

    fn charge(&mut self, bytes: u64) -> io::Result<()> {
        let used = self.used.checked_add(bytes).filter(|used| *used <= self.limit);
        self.used = used.ok_or(ErrorKind::StorageFull)?;
        Ok(())
    }

    fn node(&self, id: u64) -> io::Result<&Node> {
        self.nodes.get(&id).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn node_mut(&mut self, id: u64) -> io::Result<&mut Node> {
        self.nodes.get_mut(&id).ok_or_else(|| ErrorKind::NotFound.into())
    }
}

fn to_usize(size: u64) -> io::Result<usize> {
    usize::try_from(size).map_err(|_| ErrorKind::FileTooLarge.into())
}

fn now() -> Times {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let seconds = since.map_or(0, |since| u32::try_from(since.as_secs()).unwrap_or(u32::MAX));
    Times {
        atime: seconds,
        mtime: seconds,
    }
}
