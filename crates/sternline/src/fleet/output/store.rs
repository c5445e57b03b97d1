//! The file that all output of a run shares once memory is full.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::OnceCell;

use crate::config::Env;
use crate::error::{Error, ErrorKind, Result};
use crate::transport::spill::Spill;

/// The file is given away in pieces of this size. A piece belongs to one stream, and may not be full at its end.
pub(super) const PIECE: usize = 64 * 1024;

/// How much output is kept, and where.
///
/// Output that is over a limit in memory goes to one file of the run, which has no name and vanishes with the last
/// outcome. What is over the limit on disk is lost: the outcome of that host then is an error of kind
/// [`ErrorKind::OutputOverflow`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutputLimits {
    /// Bytes in memory of one stream of one host. Default 1 MiB.
    pub stream: usize,
    /// Bytes in memory of all hosts together, but for up to 64 KiB of each stream of a host that is running. Default 256 MiB.
    pub memory: usize,
    /// Bytes on disk of all hosts together. Default 64 GiB.
    pub disk: u64,
    /// The directory of the file. Default: the system's directory for temporary files.
    pub directory: PathBuf,
}

impl Default for OutputLimits {
    fn default() -> Self {
        Self {
            stream: 1024 * 1024,
            memory: 256 * 1024 * 1024,
            disk: 64 * 1024 * 1024 * 1024,
            directory: Env::system().temp_dir,
        }
    }
}

/// What is kept of a run, and how much there is of it.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) limits: OutputLimits,
    file: OnceCell<Spill>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    in_memory: usize,
    /// The end of the file, in pieces.
    end: u64,
    /// Pieces that belong to nobody any more.
    free: Vec<u64>,
}

impl Store {
    pub(super) fn new(limits: OutputLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            file: OnceCell::new(),
            state: Mutex::default(),
        })
    }

    pub(super) fn memory_is_full(&self) -> bool {
        self.lock().in_memory > self.limits.memory
    }

    pub(super) fn in_memory(&self, before: usize, now: usize) {
        let mut state = self.lock();
        state.in_memory = state.in_memory.saturating_sub(before).saturating_add(now);
    }

    /// Writes at most one piece, and says which it is.
    pub(super) async fn write(&self, bytes: Bytes) -> Result<u64> {
        let piece = self.take()?;
        let file = self
            .file
            .get_or_try_init(|| async { Spill::create(&self.limits.directory) });
        let written = match file.await {
            Ok(file) => file.write(piece * PIECE as u64, bytes).await,
            Err(error) => Err(error),
        };
        match written {
            Ok(()) => Ok(piece),
            Err(error) => {
                self.give_back(&[piece]);
                Err(self.failed("written", &error))
            }
        }
    }

    pub(super) async fn read(&self, piece: u64, length: usize) -> Result<Bytes> {
        let read = match self.file.get() {
            Some(file) => file.read(piece * PIECE as u64, length).await,
            None => Err(std::io::ErrorKind::NotFound.into()),
        };
        read.map_err(|error| self.failed("read", &error))
    }

    fn take(&self) -> Result<u64> {
        let mut state = self.lock();
        if let Some(piece) = state.free.pop() {
            return Ok(piece);
        }
        if (state.end + 1).saturating_mul(PIECE as u64) > self.limits.disk {
            return Err(Error::new(
                ErrorKind::OutputOverflow,
                format!("all hosts together wrote more than {} bytes", self.limits.disk),
            )
            .with_hint("raise the limit of the output on disk, or have the commands write less"));
        }
        state.end += 1;
        Ok(state.end - 1)
    }

    pub(super) fn give_back(&self, pieces: &[u64]) {
        self.lock().free.extend_from_slice(pieces);
    }

    fn failed(&self, what: &str, error: &std::io::Error) -> Error {
        Error::new(
            ErrorKind::LocalFile(error.kind()),
            format!(
                "output cannot be {what} in a temporary file in {}",
                sternline_proto::text::escape(&self.limits.directory.to_string_lossy())
            ),
        )
        .with_source_text(error)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
impl Store {
    pub(super) fn in_memory_now(&self) -> usize {
        self.lock().in_memory
    }

    pub(super) fn pieces(&self) -> u64 {
        self.lock().end
    }
}
