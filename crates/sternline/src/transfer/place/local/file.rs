//! Open files of this machine.

use std::fmt;
use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::fstat;
use sternline_proto::sftp::Pieces;

use super::error::failure;
use super::sequence::{Sink, Spool, Stream};
use super::shared::{Identity, Shared};
use super::system;
use super::threads::{Lane, Threads};
use crate::error::Result;
use crate::transfer::place::meta::{Change, Meta};

/// A file that is open for reading.
#[derive(Debug)]
pub(crate) struct LocalReading {
    pub(super) source: Source,
    pub(super) path: Vec<u8>,
    pub(super) threads: Arc<Threads>,
    /// What was known of it when it was opened.
    pub(super) meta: Meta,
}

pub(super) enum Source {
    File(Arc<File>),
    /// As a file, for several hosts.
    Shared(Arc<File>, Identity, Arc<Shared>),
    Stream(Box<Stream>),
    Spool(Arc<Spool>),
}

/// How many chunks are on their way at once: one of the disk's, and what is about to be.
const DEPTH: usize = 4;

impl LocalReading {
    pub(crate) fn depth(&self) -> usize {
        DEPTH
    }

    pub(crate) async fn read_at(&self, offset: u64, length: usize) -> Result<Bytes> {
        let read = |file: &Arc<File>| {
            let file = Arc::clone(file);
            self.threads.run(move || system::read_at(&file, offset, length))
        };
        let read = match &self.source {
            Source::File(file) => read(file).await,
            Source::Shared(file, identity, shared) => {
                shared.chunk(*identity, offset, length, read(file)).await
            }
            Source::Stream(stream) => stream.read_at(offset, length).await,
            Source::Spool(spool) => spool.read_at(offset, length).await,
        };
        read.map_err(|error| failure("read", &self.path, &error))
    }

    pub(crate) async fn next_data(&self, offset: u64) -> Result<Option<u64>> {
        match &self.source {
            Source::File(file) | Source::Shared(file, ..) => {
                let file = Arc::clone(file);
                let look = move || system::next_data(&file, offset);
                self.threads.on_disk("look for holes in", &self.path, look).await
            }
            Source::Stream(_) | Source::Spool(_) => Ok(Some(offset)),
        }
    }

    pub(crate) async fn stat(&self) -> Result<Meta> {
        match &self.source {
            Source::File(file) | Source::Shared(file, ..) => {
                let file = Arc::clone(file);
                let look = move || Ok(system::meta(&fstat(&*file)?));
                self.threads.on_disk("look at", &self.path, look).await
            }
            Source::Stream(_) | Source::Spool(_) => Ok(self.meta.clone()),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File(_) => "File",
            Self::Shared(..) => "Shared",
            Self::Stream(_) => "Stream",
            Self::Spool(_) => "Spool",
        })
    }
}

/// A file that is open for writing.
#[derive(Debug)]
pub(crate) struct LocalWriting {
    pub(super) target: Target,
    pub(super) path: Vec<u8>,
    pub(super) threads: Arc<Threads>,
}

pub(super) enum Target {
    File(Arc<File>, Lane),
    /// A disk: it has positions, but neither a length nor a mode that a transfer would change.
    Device(Arc<File>, Lane),
    Sink(Box<Sink>),
}

impl LocalWriting {
    pub(crate) fn depth(&self) -> usize {
        DEPTH
    }

    pub(crate) async fn write_at(&self, offset: u64, data: Pieces) -> Result<()> {
        let written = match &self.target {
            Target::File(file, lane) | Target::Device(file, lane) => {
                let file = Arc::clone(file);
                let write = move || system::write_at(&file, &data, offset);
                self.threads.run_in(lane, write).await
            }
            Target::Sink(sink) => sink.write_at(offset, &Bytes::from(data)).await,
        };
        written.map_err(|error| failure("write", &self.path, &error))
    }

    pub(crate) async fn set_length(&self, length: u64) -> Result<()> {
        self.file_only("set the length of", move |file| file.set_len(length))
            .await
    }

    pub(crate) async fn change(&self, change: Change) -> Result<()> {
        if change.is_nothing() {
            return Ok(());
        }
        self.file_only("set mode and times of", move |file| system::change(file, change))
            .await
    }

    pub(crate) async fn fsync(&self) -> Result<()> {
        match &self.target {
            Target::File(file, _) | Target::Device(file, _) => {
                let file = Arc::clone(file);
                let sync = move || file.sync_all();
                self.threads
                    .on_disk("put on stable storage", &self.path, sync)
                    .await
            }
            Target::Sink(_) => Ok(()),
        }
    }

    /// What a local file system has to say of a write that it put off, it says to fsync.
    pub(crate) async fn close(self) -> Result<()> {
        if let Target::File(file, _) | Target::Device(file, _) = self.target {
            // The last handle of a large file may take its time.
            let close = move || {
                drop(file);
                Ok(())
            };
            self.threads.on_disk("close", &self.path, close).await?;
        }
        Ok(())
    }

    async fn file_only(
        &self,
        what: &'static str,
        work: impl FnOnce(&File) -> io::Result<()> + Send + 'static,
    ) -> Result<()> {
        let Target::File(file, _) = &self.target else {
            return Ok(());
        };
        let file = Arc::clone(file);
        self.threads.on_disk(what, &self.path, move || work(&file)).await
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File(..) => "File",
            Self::Device(..) => "Device",
            Self::Sink(_) => "Sink",
        })
    }
}
