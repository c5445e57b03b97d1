//! Large files: open on several channels at once, and again on the next connection where one is lost.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use sternline_proto::files::Direction;
use sternline_proto::sftp::{Attributes, FileType, OpenFlags, Pieces, StatusCode};
use sternline_proto::text::escape_bytes;
use tokio::task::JoinSet;

use super::files::{in_order, is_refusal};
use super::line::Line;
use super::lines::Lines;
use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, Result, SendState};
use crate::transfer::place::meta::{Change, How, Kind, Meta};
use crate::transfer::sftp::{RemoteFile, Sftp};

/// How many reads are on their way on each channel, however short the way is. Of 1 GiB on loopback, the median of six downloads
/// took 1.59, 1.43, 1.58 and 1.67 s with 8, 16, 32 and 64: what waits for its turn leaves the processor's caches.
const READS: usize = 16;

/// How many writes are on their way on each channel: twice what the window of 2 MiB holds that sshd grants.
const WRITES: usize = 16;

/// A file that is open for reading.
///
/// On the next connection it is opened again. It is an error if it has another size or time of modification then.
#[derive(Debug)]
pub(crate) struct RemoteReading(Box<OpenFile>);

/// A file that is open for writing.
///
/// On the next connection it is opened again as it is. What the server has said to be written is taken for written: only
/// a crash of the whole machine could lose it.
#[derive(Debug)]
pub(crate) struct RemoteWriting(Box<OpenFile>);

impl RemoteReading {
    pub(crate) fn depth(&self) -> usize {
        let handles = self.0.current();
        handles.line.reads_at_once().max(READS * handles.count())
    }

    pub(super) async fn open(lines: &Arc<Lines>, path: &[u8], size: u64) -> Result<Self> {
        let file = OpenFile::open(lines, path, Mode::Read, size).await?;
        Ok(Self(Box::new(file)))
    }

    pub(crate) async fn read_at(&self, offset: u64, length: usize) -> Result<Pieces> {
        let mut handles = self.0.current();
        loop {
            match handles.at(offset).read_pieces_at(offset, length).await {
                Err(error) => handles = self.0.after(&handles, error).await?,
                done => return done,
            }
        }
    }

    /// SFTP cannot say where holes are.
    pub(crate) async fn next_data(&self, offset: u64) -> Result<Option<u64>> {
        Ok(Some(offset))
    }

    pub(crate) async fn stat(&self) -> Result<Meta> {
        let mut handles = self.0.current();
        loop {
            match handles.first.stat().await {
                Ok(attributes) => return Ok(Meta::from_attributes(&attributes)),
                Err(error) => handles = self.0.after(&handles, error).await?,
            }
        }
    }
}

impl RemoteWriting {
    pub(crate) fn depth(&self) -> usize {
        WRITES * self.0.current().count()
    }

    pub(super) async fn open(lines: &Arc<Lines>, path: &[u8], how: How, size: u64) -> Result<Self> {
        let file = OpenFile::open(lines, path, Mode::Write(how), size).await?;
        Ok(Self(Box::new(file)))
    }

    pub(crate) async fn write_at(&self, offset: u64, data: Bytes) -> Result<()> {
        let mut handles = self.0.current();
        loop {
            match handles.at(offset).write_at(offset, data.clone()).await {
                Err(error) => handles = self.0.after(&handles, error).await?,
                done => return done,
            }
        }
    }

    pub(crate) async fn set_length(&self, length: u64) -> Result<()> {
        let attributes = Attributes {
            size: Some(length),
            ..Attributes::default()
        };
        self.set(attributes).await
    }

    pub(crate) async fn change(&self, change: Change) -> Result<()> {
        in_order(change, |attributes| self.set(attributes)).await
    }

    async fn set(&self, attributes: Attributes) -> Result<()> {
        let mut handles = self.0.current();
        loop {
            match handles.first.set_stat(attributes.clone()).await {
                Err(error) => handles = self.0.after(&handles, error).await?,
                done => return done,
            }
        }
    }

    pub(crate) async fn fsync(&self) -> Result<()> {
        let mut handles = self.0.current();
        loop {
            match handles.first.fsync().await {
                Err(error) => handles = self.0.after(&handles, error).await?,
                done => return done,
            }
        }
    }

    /// Where the connection was lost and there is going to be another one, the server has closed the file by itself.
    pub(crate) async fn close(self) -> Result<()> {
        let lines = self.0.lines;
        let handles = self.0.handles.into_inner();
        let Some(handles) = Arc::into_inner(handles.unwrap_or_else(PoisonError::into_inner)) else {
            // Something still writes, for nobody. The file is closed after it.
            return Ok(());
        };
        let line = handles.line;
        let further = std::mem::take(&mut *write(&handles.further));
        let mut closing = JoinSet::new();
        for handle in further
            .into_iter()
            .chain([handles.first])
            .filter_map(Arc::into_inner)
        {
            closing.spawn(handle.close());
        }
        for closed in closing.join_all().await {
            match closed {
                Err(error) if lines.go_on() && line.was_lost(&error) => {}
                closed => closed?,
            }
        }
        Ok(())
    }
}

/// How a file is open.
#[derive(Debug, Clone, Copy)]
enum Mode {
    Read,
    Write(How),
}

impl Mode {
    fn direction(self) -> Direction {
        match self {
            Self::Read => Direction::Download,
            Self::Write(_) => Direction::Upload,
        }
    }
}

/// A file on the connection of the moment.
#[derive(Debug)]
struct OpenFile {
    lines: Arc<Lines>,
    path: Vec<u8>,
    mode: Mode,
    size: u64,
    handles: RwLock<Arc<Handles>>,
    /// Held while it is opened again, once for all who work with it.
    reopening: tokio::sync::Mutex<()>,
}

/// A file on one connection.
#[derive(Debug)]
struct Handles {
    line: Arc<Line>,
    first: Arc<RemoteFile>,
    /// The same file on other channels, as they come to be open.
    further: Further,
    /// What it was when it was opened for reading.
    seen: Option<Meta>,
    /// What opens it on further channels. It ends with this.
    _opening: JoinSet<()>,
}

type Further = Arc<RwLock<Vec<Arc<RemoteFile>>>>;

impl OpenFile {
    async fn open(lines: &Arc<Lines>, path: &[u8], mode: Mode, size: u64) -> Result<Self> {
        let mut line = lines.for_content(size).await;
        let mut again = false;
        let handles = loop {
            match Handles::open(&line, path, mode, size, again).await {
                Ok(handles) => break handles,
                Err(error) => line = lines.after(&line, error).await?,
            }
            again = true;
        };
        Ok(Self {
            lines: Arc::clone(lines),
            path: path.to_vec(),
            mode,
            size,
            handles: RwLock::new(Arc::new(handles)),
            reopening: tokio::sync::Mutex::default(),
        })
    }

    fn current(&self) -> Arc<Handles> {
        Arc::clone(&read(&self.handles))
    }

    /// The file to go on with after a failure on `handles`, opened again if it has to be.
    async fn after(&self, handles: &Arc<Handles>, error: Error) -> Result<Arc<Handles>> {
        let mut line = self.lines.after(&handles.line, error).await?;
        let _one_for_all = self.reopening.lock().await;
        let current = self.current();
        if !Arc::ptr_eq(&current, handles) {
            return Ok(current);
        }
        let again = loop {
            match Handles::open_again(&line, &self.path, self.mode, self.size, handles).await {
                Ok(again) => break Arc::new(again),
                Err(error) => line = self.lines.after(&line, error).await?,
            }
        };
        *write(&self.handles) = Arc::clone(&again);
        Ok(again)
    }
}

impl Handles {
    /// `again`: an earlier try may have opened it, whose answer was lost.
    async fn open(line: &Arc<Line>, path: &[u8], mode: Mode, size: u64, again: bool) -> Result<Self> {
        let sftp = line.sftp();
        let first = async {
            match mode {
                Mode::Read => {
                    let (file, seen) =
                        tokio::try_join!(sftp.open(path, OpenFlags::READ, None), sftp.stat(path))?;
                    Ok((file, Some(Meta::from_attributes(&seen))))
                }
                Mode::Write(how) => Ok((create(sftp, path, how, again).await?, None)),
            }
        };
        let (first, seen) = first.await?;
        Ok(Self::new(line, first, path, mode, size, seen))
    }

    async fn open_again(line: &Arc<Line>, path: &[u8], mode: Mode, size: u64, before: &Self) -> Result<Self> {
        let sftp = line.sftp();
        let first = sftp.open(path, flags(mode), None).await?;
        let now = Meta::from_attributes(&first.stat().await?);
        let is_same = match &before.seen {
            Some(seen) => is_same(seen, &now),
            None => now.kind == Kind::File,
        };
        if !is_same {
            return Err(sftp.connection().locate(changed(path)));
        }
        Ok(Self::new(line, first, path, mode, size, before.seen.clone()))
    }

    /// Opens it on further channels in the background: a transfer is under way before they are there.
    fn new(
        line: &Arc<Line>,
        first: RemoteFile,
        path: &[u8],
        mode: Mode,
        size: u64,
        seen: Option<Meta>,
    ) -> Self {
        // What is no regular file may not be opened twice.
        let wanted = match mode {
            Mode::Write(How::InPlace) => 0,
            _ => line.further_for(mode.direction(), size),
        };
        let further = Further::default();
        let mut opening = JoinSet::new();
        for which in 0..wanted {
            let (line, path, seen, further) = (
                Arc::clone(line),
                path.to_vec(),
                seen.clone(),
                Arc::clone(&further),
            );
            opening.spawn(async move {
                let Some(sftp) = line.further(which).await else {
                    return;
                };
                match one_more(sftp, &path, mode, seen).await {
                    Ok(Some(file)) => write(&further).push(Arc::new(file)),
                    Ok(None) => {}
                    Err(error) => tracing::debug!(%error, "a channel is done without"),
                }
            });
        }
        Self {
            line: Arc::clone(line),
            first: Arc::new(first),
            further,
            seen,
            _opening: opening,
        }
    }

    fn count(&self) -> usize {
        read(&self.further).len() + 1
    }

    /// The handle for what is at this offset.
    fn at(&self, offset: u64) -> Arc<RemoteFile> {
        let further = read(&self.further);
        let turn = (offset / self.line.chunk() as u64) % (further.len() as u64 + 1);
        let further = usize::try_from(turn)
            .ok()
            .and_then(|turn| further.get(turn.checked_sub(1)?));
        Arc::clone(further.unwrap_or(&self.first))
    }
}

/// The flags for one more handle of a file that is open already.
fn flags(mode: Mode) -> OpenFlags {
    match mode {
        Mode::Read => OpenFlags::READ,
        Mode::Write(_) => OpenFlags::WRITE,
    }
}

async fn create(sftp: &Sftp, path: &[u8], how: How, again: bool) -> Result<RemoteFile> {
    let (flags, mode) = match how {
        How::New(mode) => (
            OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::EXCLUSIVE,
            Some(mode),
        ),
        How::Continue => (OpenFlags::WRITE, None),
        How::InPlace => (in_place(sftp, path).await?, None),
    };
    match sftp.open(path, flags, mode).await {
        // The earlier try has made it: nobody else knew the name.
        Err(error) if again && mode.is_some() && is_refusal(&error) => {
            match sftp.open(path, OpenFlags::WRITE, None).await {
                Err(refused) if is_refusal(&refused) => Err(error),
                done => done,
            }
        }
        done => done,
    }
}

/// How what is there is opened to be written to. sftp-server goes to the place before each write, which pipes and terminals have
/// none of, unless it is to append; a disk would be appended to behind its end.
async fn in_place(sftp: &Sftp, path: &[u8]) -> Result<OpenFlags> {
    let appended = matches!(
        sftp.stat(path).await?.file_type(),
        Some(FileType::Fifo | FileType::CharDevice)
    );
    Ok(if appended {
        OpenFlags::WRITE | OpenFlags::APPEND
    } else {
        OpenFlags::WRITE
    })
}

/// The same file on another channel; `None` where it has become another one.
async fn one_more(sftp: &Sftp, path: &[u8], mode: Mode, seen: Option<Meta>) -> Result<Option<RemoteFile>> {
    let file = sftp.open(path, flags(mode), None).await?;
    let is_ours = match seen {
        Some(seen) => is_same(&seen, &Meta::from_attributes(&file.stat().await?)),
        None => true,
    };
    Ok(is_ours.then_some(file))
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// Whether what was opened by the same path twice is the same file, as far as the protocol can tell.
fn is_same(before: &Meta, now: &Meta) -> bool {
    let known = |meta: &Meta| (meta.kind, meta.size, meta.times.map(|times| times.mtime));
    known(before) == known(now)
}

fn changed(path: &[u8]) -> Error {
    let path = escape_bytes(path);
    Error::new(
        ErrorKind::RemoteFile(StatusCode::Failure),
        format!("{path} was changed on the server while the connection was lost"),
    )
    .in_phase(Phase::Transfer)
    .with_sent(SendState::Ran)
    .with_extra("path", path)
    .with_hint("move it again once nobody writes to it")
}
