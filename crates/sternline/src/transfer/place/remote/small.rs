//! Small files, in as few steps as possible.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use sternline_proto::sftp::OpenFlags;

use super::files::{gone, is_refusal};
use crate::error::Result;
use crate::transfer::place::meta::Change;
use crate::transfer::sftp::{Ending, RemoteFile, Sftp};

/// The first `length` bytes of a file, or all of it if it has fewer.
pub(super) async fn read(sftp: &Sftp, path: &[u8], length: usize) -> Result<Bytes> {
    let file = sftp.open(path, OpenFlags::READ, None).await?;
    if length > sftp.sizes().read {
        return file.read_at(0, length).await;
    }
    let data = file.read_and_close(length).await?;
    if data.is_empty() || data.len() == length {
        return Ok(data);
    }
    // It has shrunk, or the server gives less at once than it says.
    let file = sftp.open(path, OpenFlags::READ, None).await?;
    file.read_at(0, length).await
}

/// A file that is to be made.
pub(super) struct NewFile<'a> {
    pub(super) path: &'a [u8],
    pub(super) mode: u32,
    pub(super) data: Bytes,
    pub(super) change: Change,
    pub(super) fsync: bool,
}

impl NewFile<'_> {
    /// `again`: an earlier try may have made it, whose answer was lost.
    pub(super) async fn write(&self, sftp: &Sftp, masks: &Masks, again: bool) -> Result<()> {
        if again {
            gone(sftp.remove(self.path).await)?;
        }
        let new = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::EXCLUSIVE;
        let file = sftp.open(self.path, new, Some(self.mode)).await?;
        let written = self.fill(file, masks).await;
        if written.as_ref().is_err_and(is_refusal) {
            // The first failure is the one to tell.
            let _ = sftp.remove(self.path).await;
        }
        written
    }

    async fn fill(&self, file: RemoteFile, masks: &Masks) -> Result<()> {
        let mut change = self.change;
        // Set-user-ID and its like may not last until the content is written.
        let by_opening = self.mode & !0o777 == 0 && change.mode == Some(self.mode) && change.owner.is_none();
        let directory = directory_of(self.path);
        let learned = masks.of(directory, self.mode).filter(|_| by_opening);
        if learned == change.mode {
            change.mode = None;
        }
        let [owner, rest] = change.steps();
        let ending = Ending {
            look: by_opening && learned.is_none(),
            owner,
            attributes: rest,
            fsync: self.fsync,
        };
        let seen = file.write_and_close(self.data.clone(), ending).await?;
        if let Some(mode) = seen.and_then(|attributes| attributes.permissions) {
            masks.learn(directory, self.mode, mode & 0o7777);
        }
        Ok(())
    }
}

/// The path without its last component.
fn directory_of(path: &[u8]) -> &[u8] {
    let slash = path.iter().rposition(|byte| *byte == b'/');
    slash.and_then(|at| path.get(..at)).unwrap_or_default()
}

/// What becomes of the mode that a file is to be made with. The umask is the same everywhere, but a directory's default
/// access control list takes its place.
#[derive(Debug, Default)]
pub(super) struct Masks(Mutex<HashMap<Vec<u8>, Made>>);

/// What the files of a directory were made with, and what they got.
type Made = Vec<(u32, u32)>;

/// How many directories are remembered.
const REMEMBERED: usize = 256;

impl Masks {
    /// The mode that files in this directory get when they are made with that one.
    fn of(&self, directory: &[u8], mode: u32) -> Option<u32> {
        let directories = self.lock();
        let mut made = directories.get(directory)?.iter();
        made.find(|(asked, _)| *asked == mode).map(|(_, got)| *got)
    }

    fn learn(&self, directory: &[u8], asked: u32, got: u32) {
        let mut directories = self.lock();
        if directories.len() >= REMEMBERED && !directories.contains_key(directory) {
            directories.clear();
        }
        let made = directories.entry(directory.to_vec()).or_default();
        if !made.iter().any(|(known, _)| *known == asked) {
            made.push((asked, got));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Made>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
