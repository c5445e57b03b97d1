//! The files of a server, over SFTP.

use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use sternline_proto::sftp::{Attributes, OpenFlags, StatusCode};

use super::meta::{Change, Entry, How, Kind, Meta};
use crate::connection::{Connection, Supervisor};
use crate::error::{Error, ErrorKind, Result};
use crate::transfer::sftp::{RemoteFile, Sftp};

/// Where connections come from.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    /// There is one, and when it is lost the transfer has failed.
    Connection(Connection),
    /// When one is lost, the next one is waited for.
    Supervisor(Supervisor),
}

/// The files of a server. Clones share the connection and its SFTP channels.
#[derive(Debug, Clone)]
pub(crate) struct RemoteFiles {
    sftp: Sftp,
    host: Arc<str>,
}

impl RemoteFiles {
    pub(crate) async fn connect(origin: Origin) -> Result<Self> {
        let connection = match &origin {
            Origin::Connection(connection) => connection.clone(),
            Origin::Supervisor(supervisor) => supervisor.connection().ok_or_else(|| supervisor.refusal())?,
        };
        Ok(Self {
            host: connection.host().into(),
            sftp: connection.sftp().await?,
        })
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) async fn stat(&self, path: &[u8]) -> Result<Option<Meta>> {
        found(self.sftp.stat(path).await)
    }

    pub(crate) async fn lstat(&self, path: &[u8]) -> Result<Option<Meta>> {
        found(self.sftp.lstat(path).await)
    }

    pub(crate) async fn list(&self, path: &[u8]) -> Result<Vec<Result<Entry>>> {
        let mut listing = self.sftp.list(path).await?;
        let mut entries = Vec::new();
        while let Some(entry) = listing.next().await {
            entries.push(entry.map(|entry| Entry {
                name: entry.name,
                meta: Meta::from_attributes(&entry.attributes),
            }));
        }
        Ok(entries)
    }

    pub(crate) async fn real_path(&self, path: &[u8]) -> Result<Vec<u8>> {
        self.sftp.real_path(path).await
    }

    pub(crate) async fn read_link(&self, path: &[u8]) -> Result<Vec<u8>> {
        self.sftp.read_link(path).await
    }

    pub(crate) async fn symlink(&self, target: &[u8], link: &[u8]) -> Result<()> {
        self.sftp.symlink(target, link).await
    }

    pub(crate) async fn mkdir(&self, path: &[u8], mode: u32) -> Result<bool> {
        let failed = match self.sftp.mkdir(path, Some(mode)).await {
            Ok(()) => return Ok(true),
            Err(error) => error,
        };
        // Servers have no word of their own for "it is there already".
        match self.stat(path).await {
            Ok(Some(Meta {
                kind: Kind::Directory,
                ..
            })) => Ok(false),
            _ => Err(failed),
        }
    }

    pub(crate) async fn rename(&self, from: &[u8], to: &[u8]) -> Result<()> {
        self.sftp.rename(from, to).await
    }

    pub(crate) async fn remove(&self, path: &[u8]) -> Result<()> {
        match self.sftp.remove(path).await {
            Err(error) if is_missing(&error) => Ok(()),
            done => done,
        }
    }

    pub(crate) async fn rmdir(&self, path: &[u8]) -> Result<()> {
        self.sftp.rmdir(path).await
    }

    pub(crate) async fn change(&self, path: &[u8], change: Change) -> Result<()> {
        self.sftp.set_stat(path, change.to_attributes()).await
    }

    /// SFTP follows links, but for an extension that few clients need.
    pub(crate) async fn change_link(&self, _path: &[u8], _change: Change) -> Result<()> {
        Ok(())
    }

    pub(crate) async fn sha256(&self, path: &[u8], length: u64) -> Result<Option<[u8; 32]>> {
        let file = self.sftp.open(path, OpenFlags::READ, None).await?;
        let mut digest = Sha256::new();
        let mut have = 0;
        while have < length {
            let part = usize::try_from(length - have).unwrap_or(usize::MAX).min(16 << 20);
            let data = file.read_at(have, part).await?;
            if data.is_empty() {
                return Ok(None);
            }
            have += data.len() as u64;
            digest.update(&data);
        }
        Ok(Some(digest.finalize().into()))
    }

    pub(crate) async fn open(&self, path: &[u8], _size: u64) -> Result<RemoteReading> {
        let file = self.sftp.open(path, OpenFlags::READ, None).await?;
        Ok(RemoteReading { file })
    }

    pub(crate) async fn create(&self, path: &[u8], how: How, _size: u64) -> Result<RemoteWriting> {
        let (flags, mode) = match how {
            How::New(mode) => (
                OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::EXCLUSIVE,
                Some(mode),
            ),
            How::Continue => (OpenFlags::WRITE, None),
            How::InPlace => (OpenFlags::WRITE | OpenFlags::TRUNCATE, None),
        };
        let file = self.sftp.open(path, flags, mode).await?;
        Ok(RemoteWriting { file })
    }

    pub(crate) async fn read_small(&self, path: &[u8], length: usize) -> Result<Bytes> {
        let file = self.sftp.open(path, OpenFlags::READ, None).await?;
        file.read_at(0, length).await
    }

    pub(crate) async fn write_small(
        &self,
        path: &[u8],
        mode: u32,
        data: Bytes,
        change: Change,
        fsync: bool,
    ) -> Result<()> {
        let file = self.create(path, How::New(mode), data.len() as u64).await?;
        let written = async {
            let (written, changed) = tokio::join!(file.write_at(0, data), file.change(change));
            written.and(changed)?;
            if fsync {
                file.fsync().await?;
            }
            file.close().await
        };
        let written = written.await;
        if written.is_err() {
            // The first failure is the one to tell.
            let _ = self.sftp.remove(path).await;
        }
        written
    }

    pub(crate) fn chunk(&self) -> usize {
        255 * 1024
    }

    pub(crate) fn depth(&self) -> usize {
        64
    }
}

/// An open file.
#[derive(Debug)]
pub(crate) struct RemoteReading {
    file: RemoteFile,
}

impl RemoteReading {
    pub(crate) async fn read_at(&self, offset: u64, length: usize) -> Result<Bytes> {
        self.file.read_at(offset, length).await
    }

    pub(crate) async fn next_data(&self, offset: u64) -> Result<Option<u64>> {
        Ok(Some(offset))
    }

    pub(crate) async fn stat(&self) -> Result<Meta> {
        Ok(Meta::from_attributes(&self.file.stat().await?))
    }
}

/// An open file.
#[derive(Debug)]
pub(crate) struct RemoteWriting {
    file: RemoteFile,
}

impl RemoteWriting {
    pub(crate) async fn write_at(&self, offset: u64, data: Bytes) -> Result<()> {
        self.file.write_at(offset, data).await
    }

    pub(crate) async fn set_length(&self, length: u64) -> Result<()> {
        let attributes = Attributes {
            size: Some(length),
            ..Attributes::default()
        };
        self.file.set_stat(attributes).await
    }

    pub(crate) async fn change(&self, change: Change) -> Result<()> {
        if change.is_nothing() {
            return Ok(());
        }
        self.file.set_stat(change.to_attributes()).await
    }

    pub(crate) async fn fsync(&self) -> Result<()> {
        self.file.fsync().await
    }

    pub(crate) async fn close(self) -> Result<()> {
        self.file.close().await
    }
}

fn is_missing(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::RemoteFile(StatusCode::NoSuchFile))
}

fn found(attributes: Result<Attributes>) -> Result<Option<Meta>> {
    match attributes {
        Ok(attributes) => Ok(Some(Meta::from_attributes(&attributes))),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}
