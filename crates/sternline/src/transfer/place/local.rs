//! The files of this machine.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use sha2::{Digest as _, Sha256};
use sternline_proto::sftp::{Owner, Times};
use sternline_proto::text::escape_bytes;
use tokio::task::spawn_blocking;

use super::meta::{Change, Entry, How, Kind, Meta};
use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, Result};

/// How much is read or written at once. More makes no difference that could be measured.
const CHUNK: usize = 256 * 1024;

/// The files of this machine. Everything that may wait for a disk runs on threads that may wait.
#[derive(Debug, Clone, Default)]
pub(crate) struct LocalFiles;

impl LocalFiles {
    pub(crate) async fn stat(&self, path: &[u8]) -> Result<Option<Meta>> {
        on_disk("look at", path, |path| found(fs::metadata(path))).await
    }

    pub(crate) async fn lstat(&self, path: &[u8]) -> Result<Option<Meta>> {
        on_disk("look at", path, |path| found(fs::symlink_metadata(path))).await
    }

    pub(crate) async fn list(&self, path: &[u8]) -> Result<Vec<Result<Entry>>> {
        let entries = on_disk("list", path, |path| {
            fs::read_dir(path)?
                .map(|entry| {
                    let entry = entry?;
                    Ok(Entry {
                        name: bytes_of(Path::new(&entry.file_name())),
                        meta: meta(&entry.metadata()?),
                    })
                })
                // What vanishes between the two looks was not there.
                .filter(|entry| !matches!(entry, Err(error) if is_missing(error)))
                .collect::<io::Result<Vec<_>>>()
        })
        .await?;
        Ok(entries.into_iter().map(Ok).collect())
    }

    pub(crate) async fn real_path(&self, path: &[u8]) -> Result<Vec<u8>> {
        on_disk("find the real path of", path, |path| {
            fs::canonicalize(path).map(|path| bytes_of(&path))
        })
        .await
    }

    pub(crate) async fn read_link(&self, path: &[u8]) -> Result<Vec<u8>> {
        on_disk("read the link", path, |path| {
            fs::read_link(path).map(|path| bytes_of(&path))
        })
        .await
    }

    pub(crate) async fn symlink(&self, target: &[u8], link: &[u8]) -> Result<()> {
        let target = path_of(target)?;
        on_disk("make the symbolic link", link, move |link| {
            std::os::unix::fs::symlink(&target, link)
        })
        .await
    }

    pub(crate) async fn mkdir(&self, path: &[u8], mode: u32) -> Result<bool> {
        on_disk("make the directory", path, move |path| {
            use std::os::unix::fs::DirBuilderExt as _;
            match fs::DirBuilder::new().mode(mode).create(path) {
                Ok(()) => Ok(true),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(false),
                Err(error) => Err(error),
            }
        })
        .await
    }

    pub(crate) async fn rename(&self, from: &[u8], to: &[u8]) -> Result<()> {
        let from = path_of(from)?;
        on_disk("replace", to, move |to| fs::rename(&from, to)).await
    }

    pub(crate) async fn remove(&self, path: &[u8]) -> Result<()> {
        on_disk("remove", path, |path| match fs::remove_file(path) {
            Err(error) if is_missing(&error) => Ok(()),
            done => done,
        })
        .await
    }

    pub(crate) async fn rmdir(&self, path: &[u8]) -> Result<()> {
        on_disk("remove the directory", path, |path| fs::remove_dir(path)).await
    }

    pub(crate) async fn change(&self, path: &[u8], change: Change) -> Result<()> {
        on_disk("set mode and times of", path, move |path| {
            apply(&File::open(path)?, change)
        })
        .await
    }

    pub(crate) async fn sha256(&self, path: &[u8], length: u64) -> Result<Option<[u8; 32]>> {
        on_disk("read", path, move |path| {
            use std::io::Read as _;
            let mut file = File::open(path)?.take(length);
            let mut digest = Sha256::new();
            let mut buffer = vec![0; CHUNK];
            let mut have = 0;
            loop {
                let read = file.read(&mut buffer)?;
                if read == 0 {
                    break;
                }
                have += read as u64;
                digest.update(buffer.get(..read).unwrap_or_default());
            }
            Ok((have == length).then(|| digest.finalize().into()))
        })
        .await
    }

    pub(crate) async fn open(&self, path: &[u8], _size: u64) -> Result<LocalReading> {
        let file = on_disk("open", path, |path| File::open(path)).await?;
        Ok(LocalReading {
            file: Arc::new(file),
            path: path.to_vec(),
        })
    }

    pub(crate) async fn create(&self, path: &[u8], how: How, _size: u64) -> Result<LocalWriting> {
        let file = on_disk("open", path, move |path| create(path, how)).await?;
        Ok(LocalWriting {
            file: Arc::new(file),
            path: path.to_vec(),
        })
    }

    pub(crate) async fn read_small(&self, path: &[u8], length: usize) -> Result<Bytes> {
        on_disk("read", path, move |path| read_at(&File::open(path)?, 0, length)).await
    }

    pub(crate) async fn write_small(
        &self,
        path: &[u8],
        mode: u32,
        data: Bytes,
        change: Change,
        fsync: bool,
    ) -> Result<()> {
        on_disk("write", path, move |path| {
            use std::io::Write as _;
            let mut file = create(path, How::New(mode))?;
            let written = file
                .write_all(&data)
                .and_then(|()| apply(&file, change))
                .and_then(|()| if fsync { file.sync_all() } else { Ok(()) });
            if written.is_err() {
                // The first failure is the one to tell.
                let _ = fs::remove_file(path);
            }
            written
        })
        .await
    }

    pub(crate) fn chunk(&self) -> usize {
        CHUNK
    }

    pub(crate) fn depth(&self) -> usize {
        4
    }
}

/// An open file.
#[derive(Debug)]
pub(crate) struct LocalReading {
    file: Arc<File>,
    path: Vec<u8>,
}

impl LocalReading {
    pub(crate) async fn read_at(&self, offset: u64, length: usize) -> Result<Bytes> {
        let file = Arc::clone(&self.file);
        on_disk("read", &self.path, move |_| read_at(&file, offset, length)).await
    }

    pub(crate) async fn stat(&self) -> Result<Meta> {
        let file = Arc::clone(&self.file);
        on_disk("look at", &self.path, move |_| Ok(meta(&file.metadata()?))).await
    }
}

/// An open file.
#[derive(Debug)]
pub(crate) struct LocalWriting {
    file: Arc<File>,
    path: Vec<u8>,
}

impl LocalWriting {
    pub(crate) async fn write_at(&self, offset: u64, data: Bytes) -> Result<()> {
        use std::os::unix::fs::FileExt as _;
        self.with("write", move |file| file.write_all_at(&data, offset))
            .await
    }

    pub(crate) async fn set_length(&self, length: u64) -> Result<()> {
        self.with("set the length of", move |file| file.set_len(length))
            .await
    }

    pub(crate) async fn change(&self, change: Change) -> Result<()> {
        self.with("set mode and times of", move |file| apply(file, change))
            .await
    }

    pub(crate) async fn fsync(&self) -> Result<()> {
        self.with("put on stable storage", File::sync_all).await
    }

    pub(crate) async fn close(self) -> Result<()> {
        Ok(())
    }

    async fn with(
        &self,
        what: &'static str,
        work: impl FnOnce(&File) -> io::Result<()> + Send + 'static,
    ) -> Result<()> {
        let file = Arc::clone(&self.file);
        on_disk(what, &self.path, move |_| work(&file)).await
    }
}

/// Runs work that may wait for a disk.
async fn on_disk<T: Send + 'static>(
    what: &'static str,
    path: &[u8],
    work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
) -> Result<T> {
    let local = path_of(path)?;
    match spawn_blocking(move || work(&local)).await {
        Ok(done) => done.map_err(|error| failure(what, path, &error)),
        Err(error) => Err(
            Error::new(ErrorKind::Local, format!("cannot {what} {}", escape_bytes(path)))
                .in_phase(Phase::Transfer)
                .with_source_text(&error),
        ),
    }
}

fn failure(what: &str, path: &[u8], error: &io::Error) -> Error {
    Error::new(
        ErrorKind::LocalFile(error.kind()),
        format!("cannot {what} {} on this machine: {error}", escape_bytes(path)),
    )
    .in_phase(Phase::Transfer)
    .with_extra("path", escape_bytes(path))
}

fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn found(metadata: io::Result<fs::Metadata>) -> io::Result<Option<Meta>> {
    match metadata {
        Ok(metadata) => Ok(Some(meta(&metadata))),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn meta(metadata: &fs::Metadata) -> Meta {
    use std::os::unix::fs::MetadataExt as _;
    let file_type = metadata.file_type();
    // What SFTP can say ends in 2106, and begins in 1970.
    let seconds = |time: i64| u32::try_from(time.max(0)).unwrap_or(u32::MAX);
    Meta {
        kind: if file_type.is_file() {
            Kind::File
        } else if file_type.is_dir() {
            Kind::Directory
        } else if file_type.is_symlink() {
            Kind::Symlink
        } else {
            Kind::Other
        },
        size: metadata.len(),
        mode: Some(metadata.mode() & 0o7777),
        times: Some(Times {
            atime: seconds(metadata.atime()),
            mtime: seconds(metadata.mtime()),
        }),
        owner: Some(Owner {
            uid: metadata.uid(),
            gid: metadata.gid(),
        }),
        sparse: metadata.blocks().saturating_mul(512) < metadata.len(),
    }
}

fn create(path: &Path, how: How) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = File::options();
    options.write(true);
    match how {
        How::New(mode) => options.create_new(true).mode(mode).open(path),
        How::Continue => options.read(true).open(path),
        How::InPlace => options.truncate(true).open(path),
    }
}

fn read_at(file: &File, offset: u64, length: usize) -> io::Result<Bytes> {
    use std::os::unix::fs::FileExt as _;
    let mut buffer = BytesMut::zeroed(length);
    let mut have = 0;
    while let Some(rest) = buffer.get_mut(have..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + have as u64) {
            Ok(0) => break,
            Ok(read) => have += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer.truncate(have);
    Ok(buffer.freeze())
}

fn apply(file: &File, change: Change) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::{Duration, UNIX_EPOCH};
    if let Some(owner) = change.owner {
        // Only root may; the file is then ours, as it is when anybody else writes a new one.
        let _ = std::os::unix::fs::fchown(file, Some(owner.uid), Some(owner.gid));
    }
    if let Some(mode) = change.mode {
        file.set_permissions(fs::Permissions::from_mode(mode))?;
    }
    if let Some(times) = change.times {
        let at = |seconds: u32| UNIX_EPOCH + Duration::from_secs(seconds.into());
        file.set_times(
            fs::FileTimes::new()
                .set_accessed(at(times.atime))
                .set_modified(at(times.mtime)),
        )?;
    }
    Ok(())
}

fn path_of(path: &[u8]) -> Result<PathBuf> {
    use std::os::unix::ffi::OsStrExt as _;
    Ok(PathBuf::from(std::ffi::OsStr::from_bytes(path)))
}

fn bytes_of(path: &Path) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt as _;
    path.as_os_str().as_bytes().to_vec()
}
