//! What can be done with the files of this machine.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::{AtFlags, Dir, Mode, OFlags, mkdirat, readlinkat, renameat, statat, symlinkat, unlinkat};
use rustix::io::Errno;

use super::beneath::{At, Root};
use super::error::failure;
use super::shared::Shared;
use super::system;
use super::threads::Threads;
use crate::error::Result;
use crate::transfer::place::meta::{Change, Entry, Kind, Meta};

/// How much is read or written at once. More makes no difference that could be measured.
const CHUNK: usize = 256 * 1024;

/// The files of this machine. Everything that may wait for a disk runs on threads that may wait. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct LocalFiles {
    pub(super) threads: Arc<Threads>,
    pub(super) root: Option<Arc<Root>>,
    pub(super) shared: Option<Arc<Shared>>,
}

impl LocalFiles {
    /// The same files, but only those in a directory that is there: every path has to begin with `root` as it is given
    /// here, and no symbolic link leads out of it.
    pub(crate) async fn beneath(&self, root: &[u8]) -> Result<Self> {
        let path = root.to_vec();
        let open = move || Root::open(&path);
        let root = self.threads.on_disk("open the directory", root, open).await?;
        Ok(Self {
            root: Some(Arc::new(root)),
            ..self.clone()
        })
    }

    /// For this many hosts that read the same files, each through a clone of this: what they read at about the same time
    /// is read once, and what can be read only once, such as a pipe, is kept for the others in an unnamed file in
    /// `spool_directory`.
    pub(crate) fn shared(self, hosts: usize, spool_directory: PathBuf) -> Self {
        Self {
            shared: (hosts > 1).then(|| Arc::new(Shared::new(hosts, spool_directory))),
            ..self
        }
    }

    pub(crate) async fn stat(&self, path: &[u8]) -> Result<Option<Meta>> {
        self.look(path, true).await
    }

    pub(crate) async fn lstat(&self, path: &[u8]) -> Result<Option<Meta>> {
        self.look(path, false).await
    }

    async fn look(&self, path: &[u8], follow: bool) -> Result<Option<Meta>> {
        self.work("look at", path, move |place| {
            match place.find(follow).and_then(|at| at.stat()) {
                Ok(stat) => Ok(Some(system::meta(&stat))),
                Err(error) if is_missing(&error) => Ok(None),
                Err(error) => Err(error),
            }
        })
        .await
    }

    pub(crate) async fn list(&self, path: &[u8]) -> Result<Vec<Result<Entry>>> {
        let entries = self.work("list", path, |place| list(&place.find(true)?)).await?;
        Ok(entries.into_iter().map(Ok).collect())
    }

    pub(crate) async fn real_path(&self, path: &[u8]) -> Result<Vec<u8>> {
        use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
        let work = |place: &Wanted| {
            let path = std::ffi::OsStr::from_bytes(&place.path);
            Ok(std::fs::canonicalize(path)?.into_os_string().into_vec())
        };
        self.work("find the real path of", path, work).await
    }

    pub(crate) async fn read_link(&self, path: &[u8]) -> Result<Vec<u8>> {
        let work = |place: &Wanted| {
            let at = place.find(false)?;
            Ok(readlinkat(at.directory(), at.name(), Vec::new())?.into_bytes())
        };
        self.work("read the link", path, work).await
    }

    pub(crate) async fn symlink(&self, target: &[u8], link: &[u8]) -> Result<()> {
        let target = target.to_vec();
        let work = move |place: &Wanted| {
            let at = place.find(false)?;
            Ok(symlinkat(target.as_slice(), at.directory(), at.name())?)
        };
        self.work("make the symbolic link", link, work).await
    }

    pub(crate) async fn mkdir(&self, path: &[u8], mode: u32) -> Result<bool> {
        let work = move |place: &Wanted| {
            let at = place.find(false)?;
            match mkdirat(at.directory(), at.name(), Mode::from_raw_mode(mode)) {
                Ok(()) => Ok(true),
                Err(error @ Errno::EXIST) => {
                    let there = place.find(true)?.stat();
                    let is_directory = there.is_ok_and(|stat| system::meta(&stat).kind == Kind::Directory);
                    if is_directory {
                        Ok(false)
                    } else {
                        Err(error.into())
                    }
                }
                Err(error) => Err(error.into()),
            }
        };
        self.work("make the directory", path, work).await
    }

    /// The file also keeps the access control list of the one that it replaces.
    pub(crate) async fn rename(&self, from: &[u8], to: &[u8]) -> Result<()> {
        let from = Wanted {
            root: self.root.clone(),
            path: from.to_vec(),
        };
        let work = move |to: &Wanted| {
            let (from, to) = (from.find(false)?, to.find(false)?);
            replace(&from, &to)
        };
        self.work("replace", to, work).await
    }

    pub(crate) async fn remove(&self, path: &[u8]) -> Result<()> {
        self.work("remove", path, |place| match remove(place, AtFlags::empty()) {
            Err(error) if is_missing(&error) => Ok(()),
            done => done,
        })
        .await
    }

    pub(crate) async fn rmdir(&self, path: &[u8]) -> Result<()> {
        let work = |place: &Wanted| remove(place, AtFlags::REMOVEDIR);
        self.work("remove the directory", path, work).await
    }

    pub(crate) async fn change(&self, path: &[u8], change: Change) -> Result<()> {
        let work = move |place: &Wanted| system::change_at(&place.find(true)?, change);
        self.work("set mode and times of", path, work).await
    }

    pub(crate) async fn change_link(&self, path: &[u8], change: Change) -> Result<()> {
        let work = move |place: &Wanted| system::change_at(&place.find(false)?, change);
        self.work("set the times of", path, work).await
    }

    pub(crate) async fn write_small(
        &self,
        path: &[u8],
        mode: u32,
        data: Bytes,
        change: Change,
        fsync: bool,
    ) -> Result<()> {
        let work = move |place: &Wanted| write_new(&place.find(false)?, mode, &data, change, fsync);
        self.work("write", path, work).await
    }

    /// The file also keeps the access control list of the one that it replaces.
    pub(crate) async fn replace_small(
        &self,
        path: &[u8],
        name: &[u8],
        mode: u32,
        data: Bytes,
        change: Change,
        fsync: bool,
    ) -> Result<()> {
        let new = Wanted {
            root: self.root.clone(),
            path: path.to_vec(),
        };
        let work = move |old: &Wanted| {
            let (new, old) = (new.find(false)?, old.find(false)?);
            write_new(&new, mode, &data, change, fsync)?;
            let replaced = replace(&new, &old);
            if replaced.is_err() {
                // The first failure is the one to tell.
                let _ = unlinkat(new.directory(), new.name(), AtFlags::empty());
            }
            replaced
        };
        self.work("write", name, work).await
    }

    pub(crate) fn chunk(&self) -> usize {
        CHUNK
    }

    /// As [`LocalFiles::work`], for one step of several.
    pub(super) async fn try_work<T: Send + 'static>(
        &self,
        path: &[u8],
        work: impl FnOnce(&Wanted) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let wanted = self.wanted(path.to_vec());
        self.threads.run(move || work(&wanted)).await
    }

    pub(super) fn wanted(&self, path: Vec<u8>) -> Wanted {
        Wanted {
            root: self.root.clone(),
            path,
        }
    }

    /// Has work done on a path.
    pub(super) async fn work<T: Send + 'static>(
        &self,
        what: &'static str,
        path: &[u8],
        work: impl FnOnce(&Wanted) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let done = self.try_work(path, work).await;
        done.map_err(|error| failure(what, path, &error))
    }
}

/// How a new file is opened: nothing of that name may be there, not even a link.
pub(super) const NEW: OFlags = OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::EXCL);

/// A path that is still to be resolved.
pub(super) struct Wanted {
    root: Option<Arc<Root>>,
    path: Vec<u8>,
}

impl Wanted {
    pub(super) fn find(&self, follow: bool) -> io::Result<At> {
        At::find(self.root.as_ref(), &self.path, follow)
    }
}

/// Makes a small file. When that fails nothing of it is left.
fn write_new(at: &At, mode: u32, data: &[u8], change: Change, fsync: bool) -> io::Result<()> {
    use std::io::Write as _;
    let mut file = at.open(NEW, mode)?;
    let written = file
        .write_all(data)
        .and_then(|()| system::change(&file, change))
        .and_then(|()| if fsync { file.sync_all() } else { Ok(()) });
    if written.is_err() {
        // The first failure is the one to tell.
        let _ = unlinkat(at.directory(), at.name(), AtFlags::empty());
    }
    written
}

fn replace(new: &At, old: &At) -> io::Result<()> {
    system::keep_acl(old, new);
    Ok(renameat(
        new.directory(),
        new.name(),
        old.directory(),
        old.name(),
    )?)
}

fn list(at: &At) -> io::Result<Vec<Entry>> {
    let directory = at.open(OFlags::RDONLY | OFlags::DIRECTORY, 0)?;
    let mut entries = Vec::new();
    for entry in Dir::read_from(&directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        match statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => entries.push(Entry {
                name: name.to_bytes().to_vec(),
                meta: system::meta(&stat),
            }),
            // What vanishes between the two looks was not there.
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(entries)
}

fn remove(place: &Wanted, flags: AtFlags) -> io::Result<()> {
    let at = place.find(false)?;
    Ok(unlinkat(at.directory(), at.name(), flags)?)
}

fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}
