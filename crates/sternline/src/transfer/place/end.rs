//! One end of a transfer.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use sternline_proto::files::Direction;
use sternline_proto::sftp::Pieces;

use super::local::{LocalFiles, LocalReading, LocalWriting};
use super::meta::{Change, Entry, How, Meta, Shortcut};
use super::remote::{RemoteFiles, RemoteReading, RemoteWriting};
use crate::error::{Error, Result};
use crate::transfer::shell::{STREAMS, Server, ShellFiles, ShellReading, ShellWriting};

/// Where files are read from or written to. Clones are the same place.
///
/// All errors name the path, and the host where there is one. An operation on a supervised connection is tried again on
/// the next one when its connection was lost.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Local(LocalFiles),
    Remote(RemoteFiles),
    /// A server without SFTP, through its shell.
    Shell(ShellFiles),
}

/// A file that is open for reading. It has no position.
#[derive(Debug)]
pub(crate) enum Reading {
    Local(LocalReading),
    Remote(RemoteReading),
    Shell(ShellReading),
}

/// A file that is open for writing. It has no position.
#[derive(Debug)]
pub(crate) enum Writing {
    Local(LocalWriting),
    Remote(RemoteWriting),
    Shell(Box<ShellWriting>),
}

/// Hands a call on to whichever end it is.
macro_rules! either {
    ($self:expr, $place:ident => $call:expr) => {
        match $self {
            Self::Local($place) => $call,
            Self::Remote($place) => $call,
            Self::Shell($place) => $call,
        }
    };
}

impl Place {
    /// The same place, but on this machine only what is in the directory `root`, which is there: every path has to begin
    /// with it, and none is resolved through a symbolic link that leads out of it. For what a server is not to write over.
    pub(crate) async fn beneath(&self, root: &[u8]) -> Result<Self> {
        Ok(match self {
            Self::Local(place) => Self::Local(place.beneath(root).await?),
            Self::Remote(_) | Self::Shell(_) => self.clone(),
        })
    }

    /// The way for many small files in that direction, where there is one that is clearly shorter than one by one.
    pub(crate) async fn shortcut(&self, direction: Direction) -> Option<Shortcut> {
        match self {
            Self::Local(_) => None,
            Self::Remote(place) => place.shortcut(direction).await,
            Self::Shell(place) => place.shortcut(),
        }
    }

    /// Whether there may be another connection if the present one is lost.
    pub(crate) fn go_on(&self) -> bool {
        match self {
            Self::Local(_) => false,
            Self::Remote(place) => place.go_on(),
            Self::Shell(place) => place.go_on(),
        }
    }

    /// What is there, symbolic links followed; `None` where there is nothing, or a link that leads nowhere.
    pub(crate) async fn stat(&self, path: &[u8]) -> Result<Option<Meta>> {
        either!(self, place => place.stat(path).await)
    }

    /// What is there itself.
    pub(crate) async fn lstat(&self, path: &[u8]) -> Result<Option<Meta>> {
        either!(self, place => place.lstat(path).await)
    }

    /// The entries of a directory, `.` and `..` left out. One whose name no file can have is an error of its own; no name
    /// comes twice.
    pub(crate) async fn list(&self, path: &[u8]) -> Result<Vec<Result<Entry>>> {
        either!(self, place => place.list(path).await)
    }

    /// The path, absolute and free of symbolic links.
    pub(crate) async fn real_path(&self, path: &[u8]) -> Result<Vec<u8>> {
        either!(self, place => place.real_path(path).await)
    }

    /// The home directory that `~user` stands for. On this machine that is for the shell to know.
    pub(crate) async fn home_of(&self, user: &[u8]) -> Result<Vec<u8>> {
        match self {
            Self::Local(_) => Ok(user.to_vec()),
            Self::Remote(place) => place.home_of(user).await,
            Self::Shell(place) => place.home_of(user).await,
        }
    }

    /// Where a symbolic link points to, as it is written.
    pub(crate) async fn read_link(&self, path: &[u8]) -> Result<Vec<u8>> {
        either!(self, place => place.read_link(path).await)
    }

    pub(crate) async fn symlink(&self, target: &[u8], link: &[u8]) -> Result<()> {
        either!(self, place => place.symlink(target, link).await)
    }

    /// Makes a directory. `false`: there is one already (or a link to one), which is left as it is.
    pub(crate) async fn mkdir(&self, path: &[u8], mode: u32) -> Result<bool> {
        either!(self, place => place.mkdir(path, mode).await)
    }

    /// Gives a file or directory another name, in place of what has it already: in one step wherever the system can. On
    /// this machine the file keeps the access control list of the one that it replaces, beside its own mode.
    pub(crate) async fn rename(&self, from: &[u8], to: &[u8]) -> Result<()> {
        either!(self, place => place.rename(from, to).await)
    }

    /// Waits, for a while, until the commands on the server that were given up have ended. One of them may have been about
    /// to write to a file, and would make it anew after it was removed.
    pub(crate) async fn given_up_commands_end(&self) {
        match self {
            Self::Local(_) => {}
            Self::Remote(place) => place.given_up_commands_end().await,
            Self::Shell(place) => place.given_up_commands_end().await,
        }
    }

    /// Removes a file or symbolic link. It is no error when it is gone already.
    pub(crate) async fn remove(&self, path: &[u8]) -> Result<()> {
        either!(self, place => place.remove(path).await)
    }

    /// Removes an empty directory.
    pub(crate) async fn rmdir(&self, path: &[u8]) -> Result<()> {
        either!(self, place => place.rmdir(path).await)
    }

    /// Changes what is known of a file. Mode and times must be set; an owner that may not be set stays.
    pub(crate) async fn change(&self, path: &[u8], change: Change) -> Result<()> {
        either!(self, place => place.change(path, change).await)
    }

    /// As [`Place::change`], for a symbolic link itself. It has no mode, and a server that cannot do it is not asked.
    pub(crate) async fn change_link(&self, path: &[u8], change: Change) -> Result<()> {
        either!(self, place => place.change_link(path, change).await)
    }

    /// The SHA-256 of the first `length` bytes of a file; `None` where it has fewer.
    ///
    /// In a box, because it is rarely wanted, and made the future of every file that is copied half as large again.
    pub(crate) async fn sha256(&self, path: &[u8], length: u64) -> Result<Option<[u8; 32]>> {
        either!(self, place => Box::pin(place.sha256(path, length)).await)
    }

    /// Opens a file for reading; `size` is what it had when it was looked at, so that a large one can be prepared for. A
    /// size of 0 says nothing: files that the system makes up have content all the same, and so have pipes and devices,
    /// which are read in order from 0 on, and once.
    pub(crate) async fn open(&self, path: &[u8], size: u64) -> Result<Reading> {
        Ok(match self {
            Self::Local(place) => Reading::Local(place.open(path, size).await?),
            Self::Remote(place) => Reading::Remote(place.open(path, size).await?),
            Self::Shell(place) => Reading::Shell(place.open(path, size).await?),
        })
    }

    /// Opens a file for writing; `size` is how large it is going to be, as far as that is known. What is written in place
    /// may be a pipe or a device: it is then written in order from 0 on, without gaps.
    pub(crate) async fn create(&self, path: &[u8], how: How, size: u64) -> Result<Writing> {
        Ok(match self {
            Self::Local(place) => Writing::Local(place.create(path, how, size).await?),
            Self::Remote(place) => Writing::Remote(place.create(path, how, size).await?),
            Self::Shell(place) => Writing::Shell(Box::new(place.create(path, how, size).await?)),
        })
    }

    /// Reads a small file in as few steps as possible: all of it, or its first `length` bytes.
    pub(crate) async fn read_small(&self, path: &[u8], length: usize) -> Result<Bytes> {
        either!(self, place => place.read_small(path, length).await)
    }

    /// Writes a small new file in as few steps as possible. It is made with these permission bits (less the umask),
    /// changed when it is complete, and put on stable storage if asked for. When that fails nothing of it is left.
    pub(crate) async fn write_small(
        &self,
        path: &[u8],
        mode: u32,
        data: Bytes,
        change: Change,
        fsync: bool,
    ) -> Result<()> {
        either!(self, place => place.write_small(path, mode, data, change, fsync).await)
    }

    /// Says ahead that a file of this size is going to be read or written, so that what it takes is there in time.
    pub(crate) fn prepare(&self, direction: Direction, size: u64) {
        if let Self::Remote(place) = self {
            place.prepare(direction, size);
        }
    }

    /// As [`Place::write_small`], and then the file takes the place of what is called `name`: one step where possible. When
    /// that fails nothing of it is left.
    pub(crate) async fn replace_small(
        &self,
        path: &[u8],
        name: &[u8],
        mode: u32,
        data: Bytes,
        change: Change,
        fsync: bool,
    ) -> Result<()> {
        if let Self::Local(place) = self {
            return place.replace_small(path, name, mode, data, change, fsync).await;
        }
        self.write_small(path, mode, data, change, fsync).await?;
        let renamed = self.rename(path, name).await;
        if renamed.is_err() {
            // The first failure is the one to tell.
            let _ = self.remove(path).await;
        }
        renamed
    }

    /// The files below `root`, or `root` itself, that have more than permission bits, and lose it when they are replaced
    /// by renaming. Elsewhere renaming takes care of it.
    pub(crate) async fn extended_acls(&self, root: &[u8]) -> HashSet<Vec<u8>> {
        match self {
            Self::Remote(place) => place.extended_acls(root).await,
            Self::Local(_) | Self::Shell(_) => HashSet::new(),
        }
    }

    /// Gives a file the access control list of one of those.
    pub(crate) async fn keep_acl(&self, existing: &[u8], new: &[u8]) -> Result<()> {
        match self {
            Self::Remote(place) => place.keep_acl(existing, new).await,
            Self::Local(_) | Self::Shell(_) => Ok(()),
        }
    }

    /// On whose behalf what is written from now on is sent, where it ends with its connection: for [`Place::wait_for_next`].
    pub(crate) fn session(&self) -> Option<Arc<Server>> {
        match self {
            Self::Local(_) | Self::Remote(_) => None,
            Self::Shell(place) => Some(place.server()),
        }
    }

    /// Waits for the next connection where writing has failed with the loss of that one, so that a file can be written anew.
    ///
    /// # Errors
    /// The failure itself where it comes from something else, or nothing comes after it.
    pub(crate) async fn wait_for_next(&self, session: Option<Arc<Server>>, error: Error) -> Result<()> {
        match (self, session) {
            (Self::Shell(place), Some(session)) => place.wait_for_next(&session, error).await,
            _ => Err(error),
        }
    }

    /// How many files can be read or written as streams at once, where more of them would wait for each other.
    pub(crate) fn streams(&self) -> Option<usize> {
        match self {
            Self::Local(_) | Self::Remote(_) => None,
            Self::Shell(_) => Some(STREAMS),
        }
    }

    /// How many bytes one read or write should have, so that it becomes one request.
    pub(crate) fn chunk(&self) -> usize {
        either!(self, place => place.chunk())
    }

    /// The name of the host, where it is not this machine.
    pub(crate) fn host(&self) -> Option<&str> {
        match self {
            Self::Local(_) => None,
            Self::Remote(place) => Some(place.host()),
            Self::Shell(place) => Some(place.host()),
        }
    }
}

impl Reading {
    /// Reads `length` bytes, or fewer where the file ends: nothing at its end.
    pub(crate) async fn read_at(&self, offset: u64, length: usize) -> Result<Pieces> {
        match self {
            Self::Local(file) => file.read_at(offset, length).await.map(Pieces::from),
            Self::Remote(file) => file.read_at(offset, length).await,
            Self::Shell(file) => file.read_at(offset, length).await.map(Pieces::from),
        }
    }

    /// Where the next data is at or after `offset`; `None` when there is only a hole up to the end. Where holes cannot be
    /// asked for, everything is data.
    pub(crate) async fn next_data(&self, offset: u64) -> Result<Option<u64>> {
        either!(self, file => file.next_data(offset).await)
    }

    /// How many chunks should be on their way at once.
    pub(crate) fn depth(&self) -> usize {
        either!(self, file => file.depth())
    }

    /// What is known of the file now.
    pub(crate) async fn stat(&self) -> Result<Meta> {
        either!(self, file => file.stat().await)
    }
}

impl Writing {
    /// How many chunks should be on their way at once.
    pub(crate) fn depth(&self) -> usize {
        either!(self, file => file.depth())
    }

    /// Writes all of the data.
    pub(crate) async fn write_at(&self, offset: u64, data: Pieces) -> Result<()> {
        match self {
            Self::Local(file) => file.write_at(offset, data).await,
            Self::Remote(file) => file.write_at(offset, data.into()).await,
            Self::Shell(file) => file.write_at(offset, data.into()).await,
        }
    }

    /// Makes the file this long, with zeros where nothing was written.
    pub(crate) async fn set_length(&self, length: u64) -> Result<()> {
        either!(self, file => file.set_length(length).await)
    }

    /// As [`Place::change`].
    pub(crate) async fn change(&self, change: Change) -> Result<()> {
        either!(self, file => file.change(change).await)
    }

    /// Has everything put on stable storage.
    pub(crate) async fn fsync(&self) -> Result<()> {
        either!(self, file => file.fsync().await)
    }

    /// Closes the file, and says what went wrong only now.
    pub(crate) async fn close(self) -> Result<()> {
        either!(self, file => file.close().await)
    }
}
