//! What is to be moved, where to, and how.

use std::fmt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use sternline_proto::files::{Direction, Filter, Way};
use sternline_proto::text::escape_bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use super::event::TransferEvent;
use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, SendState};

/// Files to move, and how: a value that connects to nothing. [`Connection::transfer`](crate::Connection::transfer) does
/// it.
///
/// Paths are bytes on both sides; on Unix `path.as_os_str().as_bytes()` gives those of a local path, and [`Source`] and
/// [`Target`] take a [`Path`] as it is. A remote path without a leading `/` begins in the home directory, as does `~/`;
/// `~user/` is the home directory of another.
///
/// Where something goes follows scp(1) and cp(1): a target that is a directory, ends with `/`, or has several sources
/// gets an entry with the source's name; otherwise it is the new name itself. Directories above the target are made.
///
/// Nothing is ever half-written: a file is written beside its target under a random name, private until it is complete,
/// and then renamed over it. A directory that does not exist yet is built under such a name as a whole.
///
/// ```no_run
/// # async fn example(connection: &sternline::Connection) -> sternline::Result<()> {
/// use sternline::Transfer;
///
/// let upload = Transfer::upload("site", "/srv/www").recursive(true).preserve(true).delete(true);
/// let result = connection.transfer(upload).await.success()?;
/// println!("{} files, {} bytes", result.copied, result.bytes);
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use]
pub struct Transfer {
    pub(super) direction: Direction,
    pub(super) sources: Vec<Source>,
    pub(super) target: Target,
    pub(super) options: Options,
    pub(super) listener: Option<Listener>,
    pub(super) cancelled: Option<watch::Receiver<bool>>,
}

pub(super) type Listener = Arc<dyn Fn(&TransferEvent) + Send + Sync>;

/// How it is to be done; see the methods of [`Transfer`].
#[derive(Debug, Clone, Default)]
pub(super) struct Options {
    pub(super) recursive: bool,
    pub(super) mode: Option<u32>,
    pub(super) preserve: bool,
    pub(super) symlinks: Symlinks,
    pub(super) filter: Filter,
    pub(super) delete: bool,
    pub(super) allow_empty: bool,
    pub(super) resume: bool,
    pub(super) checksum: bool,
    pub(super) skip_unchanged: bool,
    pub(super) dry_run: bool,
    pub(super) fsync: bool,
    pub(super) glob: bool,
    pub(super) totals: bool,
    pub(super) limit: Option<u64>,
    pub(super) progress_timeout: Option<Duration>,
    /// What tells one host's files from another's, where files of several hosts come to one place.
    pub(super) host_name: Option<String>,
    pub(super) way: Option<Way>,
}

impl Options {
    /// Whether the target has to be looked at file by file, or the source.
    pub(super) fn compares(&self) -> bool {
        self.resume || self.checksum || self.delete || self.dry_run || self.skip_unchanged
    }
}

/// What becomes of symbolic links inside a tree. One that is named as a source is always followed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Symlinks {
    /// They are made anew, pointing to the same text.
    #[default]
    Keep,
    /// What they lead to is copied in their place, as scp does.
    Follow,
    /// They are left out.
    Skip,
}

/// Where the content comes from.
#[derive(Clone)]
pub enum Source {
    /// A file or directory of the sending side.
    Path(Vec<u8>),
    /// This content. A target that is a directory gets it under this name.
    Bytes {
        /// The file's name.
        name: Vec<u8>,
        /// All of it.
        content: Bytes,
    },
    /// A stream, read to its end. It can be read once, so it cannot be resumed.
    Stream {
        /// The file's name.
        name: Vec<u8>,
        /// What is read.
        reader: StreamReader,
    },
}

/// A stream to read from, taken by the first transfer that gets to it.
#[derive(Clone)]
pub struct StreamReader(Arc<Mutex<Option<BoxedReader>>>);

pub(super) type BoxedReader = Pin<Box<dyn AsyncRead + Send>>;

/// Where the content goes.
#[derive(Clone)]
pub enum Target {
    /// A file or directory of the receiving side.
    Path(Vec<u8>),
    /// Memory: [`TransferResult::content`](super::TransferResult::content).
    Memory,
    /// A stream to write to. What was written stays written, also when the transfer fails.
    Stream(StreamWriter),
}

/// A stream to write to, taken by the first transfer that gets to it.
#[derive(Clone)]
pub struct StreamWriter(Arc<Mutex<Option<BoxedWriter>>>);

pub(super) type BoxedWriter = Pin<Box<dyn AsyncWrite + Send>>;

/// Ends transfers from outside: see [`Transfer::cancelled_by`].
#[derive(Debug, Clone)]
pub struct TransferCanceller(watch::Sender<bool>);

impl Transfer {
    /// From this machine to a server.
    pub fn upload(source: impl Into<Source>, target: impl Into<Target>) -> Self {
        Self::new(Direction::Upload, source.into(), target.into())
    }

    /// From a server to this machine; through this machine to another server with
    /// [`Connection::transfer_to`](crate::Connection::transfer_to).
    pub fn download(source: impl Into<Source>, target: impl Into<Target>) -> Self {
        Self::new(Direction::Download, source.into(), target.into())
    }

    fn new(direction: Direction, source: Source, target: Target) -> Self {
        Self {
            direction,
            sources: vec![source],
            target,
            options: Options::default(),
            listener: None,
            cancelled: None,
        }
    }

    /// One more source. The target is a directory then.
    pub fn source(mut self, source: impl Into<Source>) -> Self {
        self.sources.push(source.into());
        self
    }

    /// Copies directories with all that they hold. Default: a directory is an error.
    pub fn recursive(mut self, recursive: bool) -> Self {
        self.options.recursive = recursive;
        self
    }

    /// The permission bits of every file, whatever the umask, for example `0o644`. Default: those of the file that is
    /// replaced, else those of the source less the umask of the receiving side.
    pub fn mode(mut self, mode: u32) -> Self {
        self.options.mode = Some(mode & 0o7777);
        self
    }

    /// Keeps the permission bits and the times of the source (`scp -p`). Times have whole seconds. Bits that lend rights
    /// (setuid, setgid, sticky) are kept as well.
    pub fn preserve(mut self, preserve: bool) -> Self {
        self.options.preserve = preserve;
        self
    }

    /// What becomes of symbolic links inside a tree. Default: [`Symlinks::Keep`].
    pub fn symlinks(mut self, symlinks: Symlinks) -> Self {
        self.options.symlinks = symlinks;
        self
    }

    /// Which files of a tree take part. Default: all.
    pub fn filter(mut self, filter: Filter) -> Self {
        self.options.filter = filter;
        self
    }

    /// Removes from the target tree what the source tree does not have. It comes last, and only if everything before it
    /// succeeded; it does not follow symbolic links, and what the filter excludes stays.
    pub fn delete(mut self, delete: bool) -> Self {
        self.options.delete = delete;
        self
    }

    /// Lets [`Transfer::delete`] empty the target when the source is empty. Default: that is an error.
    pub fn allow_empty(mut self, allow: bool) -> Self {
        self.options.allow_empty = allow;
        self
    }

    /// Goes on where an interrupted transfer stopped, once the part that is there was compared by SHA-256; and leaves an
    /// incomplete file where it is when this transfer is interrupted in its turn.
    pub fn resume(mut self, resume: bool) -> Self {
        self.options.resume = resume;
        self
    }

    /// Compares the SHA-256 of what was written with that of what was read before a file takes its place. With
    /// [`Transfer::skip_unchanged`] files are compared by it too.
    pub fn checksum(mut self, checksum: bool) -> Self {
        self.options.checksum = checksum;
        self
    }

    /// Leaves files alone that have the same size and modification time already; with [`Transfer::checksum`], the same
    /// content.
    pub fn skip_unchanged(mut self, skip: bool) -> Self {
        self.options.skip_unchanged = skip;
        self
    }

    /// Changes nothing, and tells what would be done.
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.options.dry_run = dry_run;
        self
    }

    /// Has every file put on stable storage before it takes its place (fsync(2)).
    pub fn fsync(mut self, fsync: bool) -> Self {
        self.options.fsync = fsync;
        self
    }

    /// Expands `*`, `?` and `[..]` in the names of sources that do not exist as they are written. Default: off.
    pub fn glob(mut self, glob: bool) -> Self {
        self.options.glob = glob;
        self
    }

    /// Counts a tree while it is being copied, so that [`TransferEvent::Found`] tells how much there is. It costs a second
    /// look at every directory.
    pub fn totals(mut self, totals: bool) -> Self {
        self.options.totals = totals;
        self
    }

    /// The most bytes of content per second, over all files together (`scp -l` counts in Kbit/s).
    pub fn limit(mut self, bytes_per_second: u64) -> Self {
        self.options.limit = Some(bytes_per_second.max(1));
        self
    }

    /// Ends the transfer when nothing has moved for this long. Default: the connection's keepalive alone decides. A
    /// supervised transfer counts the time without a connection too; while content is hashed it may take longer, by
    /// what hashing takes at 20 MB/s.
    pub fn progress_timeout(mut self, limit: Duration) -> Self {
        self.options.progress_timeout = Some(limit);
        self
    }

    /// Takes this way and no other. Default: SFTP where the server has it, then its shell, then scp.
    ///
    /// [`Way::Scp`] writes in place on the server, has no symbolic links, cannot resume, compare or delete, and needs a
    /// server that either has a POSIX shell or plain paths.
    pub fn way(mut self, way: Way) -> Self {
        self.options.way = Some(way);
        self
    }

    /// Called with whatever happens, on the tasks that do the work: it must be quick.
    pub fn on_event(mut self, listener: impl Fn(&TransferEvent) + Send + Sync + 'static) -> Self {
        self.listener = Some(Arc::new(listener));
        self
    }

    /// Has the names of copies that come from a server end in `.HOST`, so that those of several hosts can lie side by side
    /// ([`host_names`](sternline_proto::files::host_names) makes the names, [`host_target`](sternline_proto::files::host_target)
    /// says where they stand). [`Fleet::transfer`](crate::Fleet::transfer) does it by itself. Default: off.
    pub fn named_after(mut self, host: &str) -> Self {
        self.options.host_name = (self.direction == Direction::Download).then(|| host.to_owned());
        self
    }

    /// Waits until somebody ends the transfer.
    pub(crate) async fn until_cancelled(&self) -> Error {
        let Some(mut cancelled) = self.cancelled.clone() else {
            return std::future::pending().await;
        };
        if cancelled.wait_for(|cancelled| *cancelled).await.is_err() {
            return std::future::pending().await;
        }
        // Nobody knows here how much had been moved, or whether anything had.
        Error::new(ErrorKind::Cancelled, "the transfer was cancelled")
            .in_phase(Phase::Transfer)
            .with_sent(SendState::MayHaveRun)
    }

    /// Ends the transfer once this canceller is used: what is incomplete is removed, unless [`Transfer::resume`] is set.
    /// Dropping the transfer's future does the same in the background, as far as the connection lives on.
    pub fn cancelled_by(mut self, canceller: &TransferCanceller) -> Self {
        self.cancelled = Some(canceller.0.subscribe());
        self
    }
}

impl TransferCanceller {
    /// One that has not been used.
    #[must_use]
    pub fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Ends all transfers that are [cancelled by](Transfer::cancelled_by) it, with
    /// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled).
    pub fn cancel(&self) {
        self.0.send_replace(true);
    }
}

impl Default for TransferCanceller {
    fn default() -> Self {
        Self::new()
    }
}

impl Source {
    /// Content from memory, under a name that only matters where the target is a directory.
    #[must_use]
    pub fn bytes(name: impl AsRef<[u8]>, content: impl Into<Bytes>) -> Self {
        Self::Bytes {
            name: name.as_ref().to_vec(),
            content: content.into(),
        }
    }

    /// Content from a stream, under a name that only matters where the target is a directory.
    #[must_use]
    pub fn stream(name: impl AsRef<[u8]>, reader: impl AsyncRead + Send + 'static) -> Self {
        Self::Stream {
            name: name.as_ref().to_vec(),
            reader: StreamReader(Arc::new(Mutex::new(Some(Box::pin(reader))))),
        }
    }

    /// The path, or the name.
    pub(super) fn path(&self) -> &[u8] {
        match self {
            Self::Path(path) => path,
            Self::Bytes { name, .. } | Self::Stream { name, .. } => name,
        }
    }
}

impl StreamReader {
    pub(super) fn take(&self) -> Option<BoxedReader> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Target {
    /// A stream to write to.
    #[must_use]
    pub fn stream(writer: impl AsyncWrite + Send + 'static) -> Self {
        Self::Stream(StreamWriter(Arc::new(Mutex::new(Some(Box::pin(writer))))))
    }
}

impl StreamWriter {
    pub(super) fn take(&self) -> Option<BoxedWriter> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Paths in the forms in which programs have them.
macro_rules! from_paths {
    ($name:ident) => {
        impl From<&str> for $name {
            fn from(path: &str) -> Self {
                Self::Path(path.as_bytes().to_vec())
            }
        }
        impl From<String> for $name {
            fn from(path: String) -> Self {
                Self::Path(path.into_bytes())
            }
        }
        impl From<&[u8]> for $name {
            fn from(path: &[u8]) -> Self {
                Self::Path(path.to_vec())
            }
        }
        impl From<Vec<u8>> for $name {
            fn from(path: Vec<u8>) -> Self {
                Self::Path(path)
            }
        }
        impl From<&Path> for $name {
            fn from(path: &Path) -> Self {
                Self::Path(path.as_os_str().as_encoded_bytes().to_vec())
            }
        }
        impl From<&PathBuf> for $name {
            fn from(path: &PathBuf) -> Self {
                Self::from(path.as_path())
            }
        }
        impl From<PathBuf> for $name {
            fn from(path: PathBuf) -> Self {
                Self::from(path.as_path())
            }
        }
    };
}
from_paths!(Source);
from_paths!(Target);

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "Path({})", escape_bytes(path)),
            Self::Bytes { name, content } => {
                write!(f, "Bytes({}, {} bytes)", escape_bytes(name), content.len())
            }
            Self::Stream { name, .. } => write!(f, "Stream({})", escape_bytes(name)),
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "Path({})", escape_bytes(path)),
            Self::Memory => f.write_str("Memory"),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

impl fmt::Debug for StreamReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamReader")
    }
}

impl fmt::Debug for StreamWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamWriter")
    }
}

impl fmt::Debug for Transfer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transfer")
            .field("direction", &self.direction)
            .field("sources", &self.sources)
            .field("target", &self.target)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
