//! The files of a server.

use std::fmt;
use std::future::Future;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::time::Duration;

use bytes::Bytes;

use super::connection::Connection;
use super::io::io_error;
use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, Result, SendState, seconds};
use crate::transfer::{
    Attributes, DirEntry, FileSystem, Limits, Listing as AsynchronousListing, OpenFlags,
    RemoteFile as AsynchronousFile, Sftp as Asynchronous,
};

/// [`sternline::Sftp`](crate::Sftp), for callers that wait.
///
/// Clones share one channel and may be used by many threads at once, whose requests do not wait for one another.
#[derive(Clone)]
pub struct Sftp {
    inner: Asynchronous,
    connection: Connection,
    limit: Option<Duration>,
}

impl Sftp {
    pub(super) fn new(inner: Asynchronous, connection: Connection) -> Self {
        Self {
            inner,
            connection,
            limit: None,
        }
    }

    fn inner(&self) -> &Asynchronous {
        &self.inner
    }

    /// How long each operation may take from now on, also on what this handle opens. Default: no limit, since the connection's keepalive
    /// notices a dead link.
    #[must_use]
    pub fn operation_timeout(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// The connection that it runs on.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    fn wait<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.connection.runtime().wait(async { self.within(work).await? })
    }

    async fn within<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        match self.limit {
            None => Ok(work.await),
            Some(limit) => tokio::time::timeout(limit, work)
                .await
                .map_err(|_| self.connection.inner().locate(too_late(limit))),
        }
    }

    same! { Sftp:
        fn limits(&self) -> Option<Limits>;
    }

    waiting! { Sftp:
        fn stat(&self, path: impl AsRef<[u8]>) -> Result<Attributes>;
        fn lstat(&self, path: impl AsRef<[u8]>) -> Result<Attributes>;
        fn set_stat(&self, path: impl AsRef<[u8]>, attributes: Attributes) -> Result<()>;
        fn chmod(&self, path: impl AsRef<[u8]>, mode: u32) -> Result<()>;
        fn mkdir(&self, path: impl AsRef<[u8]>, mode: Option<u32>) -> Result<()>;
        fn remove(&self, path: impl AsRef<[u8]>) -> Result<()>;
        fn rmdir(&self, path: impl AsRef<[u8]>) -> Result<()>;
        fn rename(&self, from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Result<()>;
        fn symlink(&self, target: impl AsRef<[u8]>, link: impl AsRef<[u8]>) -> Result<()>;
        fn read_link(&self, path: impl AsRef<[u8]>) -> Result<Vec<u8>>;
        fn real_path(&self, path: impl AsRef<[u8]>) -> Result<Vec<u8>>;
        fn expand_path(&self, path: impl AsRef<[u8]>) -> Result<Vec<u8>>;
        fn statvfs(&self, path: impl AsRef<[u8]>) -> Result<FileSystem>;
        fn hardlink(&self, from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Result<()>;
    }

    /// Opens a directory to read its entries: see [`Sftp::list`](crate::Sftp::list).
    ///
    /// # Errors
    /// As there.
    pub fn list(&self, path: impl AsRef<[u8]>) -> Result<Listing> {
        let inner = self.wait(self.inner.list(path))?;
        Ok(Listing {
            inner,
            sftp: self.clone(),
            is_late: false,
        })
    }

    /// Opens a file: see [`Sftp::open`](crate::Sftp::open).
    ///
    /// # Errors
    /// As there.
    pub fn open(&self, path: impl AsRef<[u8]>, flags: OpenFlags, mode: Option<u32>) -> Result<RemoteFile> {
        let inner = self.wait(self.inner.open(path, flags, mode))?;
        Ok(RemoteFile {
            inner,
            sftp: self.clone(),
            position: 0,
        })
    }
}

impl fmt::Debug for Sftp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

fn too_late(limit: Duration) -> Error {
    let message = format!("the server did not do it within {}", seconds(limit));
    Error::new(ErrorKind::CommandTimeout, message)
        .in_phase(Phase::Transfer)
        .with_sent(SendState::MayHaveRun)
        .with_hint("find out whether the server hangs, or raise the time limit")
}

/// The entries of a directory, as an iterator. After an error others may follow, but not after one of the time limit.
pub struct Listing {
    inner: AsynchronousListing,
    sftp: Sftp,
    is_late: bool,
}

impl Iterator for Listing {
    type Item = Result<DirEntry>;

    fn next(&mut self) -> Option<Result<DirEntry>> {
        if self.is_late {
            return None;
        }
        let runtime = self.sftp.connection.runtime();
        match runtime.block(self.sftp.within(self.inner.next())) {
            Ok(Ok(next)) => next,
            Ok(Err(error)) | Err(error) => {
                self.is_late = true;
                Some(Err(error))
            }
        }
    }
}

impl fmt::Debug for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// [`RemoteFile`](crate::transfer::RemoteFile), for callers that wait; also as [`Read`], [`Write`] and [`Seek`], with a
/// position that begins at 0, where each call is a round trip: wrap it in a [`BufReader`](io::BufReader) or
/// [`BufWriter`](io::BufWriter).
pub struct RemoteFile {
    inner: AsynchronousFile,
    sftp: Sftp,
    position: u64,
}

impl RemoteFile {
    fn inner(&self) -> &AsynchronousFile {
        &self.inner
    }

    fn wait<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.sftp.wait(work)
    }

    /// The path by which it was opened.
    #[must_use]
    pub fn path(&self) -> &[u8] {
        self.inner.path()
    }

    /// See [`RemoteFile::read_at`](crate::transfer::RemoteFile::read_at). The position stays.
    ///
    /// # Errors
    /// As there.
    pub fn read_at(&self, offset: u64, length: usize) -> Result<Bytes> {
        self.wait(self.inner().read_at(offset, length))
    }

    /// See [`RemoteFile::write_at`](crate::transfer::RemoteFile::write_at). The position stays.
    ///
    /// # Errors
    /// As there.
    pub fn write_at(&self, offset: u64, data: impl Into<Bytes>) -> Result<()> {
        self.wait(self.inner().write_at(offset, data))
    }

    /// The attributes of the file.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn stat(&self) -> Result<Attributes> {
        self.wait(self.inner().stat())
    }

    /// Sets those attributes that are given.
    ///
    /// # Errors
    /// As [`Sftp::set_stat`].
    pub fn set_stat(&self, attributes: Attributes) -> Result<()> {
        self.wait(self.inner().set_stat(attributes))
    }

    /// See [`RemoteFile::fsync`](crate::transfer::RemoteFile::fsync).
    ///
    /// # Errors
    /// As there.
    pub fn fsync(&self) -> Result<()> {
        self.wait(self.inner().fsync())
    }

    /// Closes the file, and waits for the server's word: see [`RemoteFile::close`](crate::transfer::RemoteFile::close).
    ///
    /// # Errors
    /// As there.
    pub fn close(self) -> Result<()> {
        let Self { inner, sftp, .. } = self;
        sftp.wait(inner.close())
    }
}

impl Read for RemoteFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.read_at(self.position, buffer.len()).map_err(io_error)?;
        let length = read.as_ref().read(buffer)?;
        self.position += length as u64;
        Ok(length)
    }
}

impl Write for RemoteFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_at(self.position, Bytes::copy_from_slice(bytes))
            .map_err(io_error)?;
        self.position += bytes.len() as u64;
        Ok(bytes.len())
    }

    /// The server has answered to everything; see [`RemoteFile::fsync`] for more.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for RemoteFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (from, by) = match to {
            SeekFrom::Start(position) => (position, 0),
            SeekFrom::Current(by) => (self.position, by),
            SeekFrom::End(by) => {
                let size = self.stat().map_err(io_error)?.size;
                (size.ok_or(io::ErrorKind::Unsupported)?, by)
            }
        };
        self.position = from
            .checked_add_signed(by)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no file has such a position"))?;
        Ok(self.position)
    }
}

impl fmt::Debug for RemoteFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
