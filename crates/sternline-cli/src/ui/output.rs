//! Standard output, standard error and files for what hosts write: a thread writes all that waits at once.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, poll};
use sternline::exec::OutputStream;
use sternline::proto::text::escape;
use tokio::sync::Notify;

use super::Failure;
use super::output_file::{OpenFiles, OutputFile, is_too_many};
use super::status_line;

/// Bytes that may wait. A writer of ours waits when there are as many, and goes on when half of them have gone.
const LIMIT: usize = 1024 * 1024;

/// The most pieces in one write; the system takes no more than 1024 (writev(2), IOV_MAX).
const PIECES: usize = 256;

/// Where output goes. A reader of ours that pauses, as less(1) does, stops neither signals nor keepalives, and a fast one is
/// not waited for after each piece. Everything is written in the order in which it was handed over.
#[derive(Debug)]
pub(crate) struct Output(Arc<Shared>);

/// One of the places where output goes.
#[derive(Debug, Clone)]
pub(crate) enum Sink {
    Stdout,
    Stderr,
    File(Arc<OutputFile>),
}

impl From<OutputStream> for Sink {
    fn from(stream: OutputStream) -> Self {
        match stream {
            OutputStream::Stdout => Self::Stdout,
            OutputStream::Stderr => Self::Stderr,
        }
    }
}

impl PartialEq for Sink {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Stdout, Self::Stdout) | (Self::Stderr, Self::Stderr) => true,
            (Self::File(one), Self::File(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// There is something to write, or nothing will come any more.
    work: Condvar,
    /// There is room again, all was written, or writing has failed.
    room: Notify,
}

#[derive(Debug, Default)]
struct State {
    queued: VecDeque<(Sink, Bytes)>,
    /// Bytes that are queued or being written.
    waiting: usize,
    /// The thread waits for work.
    idle: bool,
    closed: bool,
    failed: Option<Unwritten>,
}

/// Why nothing more can be written.
#[derive(Debug, Clone)]
pub(crate) struct Unwritten {
    /// The file; `None` for standard output.
    path: Option<PathBuf>,
    kind: ErrorKind,
    code: Option<i32>,
}

impl Unwritten {
    fn new(path: Option<PathBuf>, error: &io::Error) -> Self {
        Self {
            path,
            kind: error.kind(),
            code: error.raw_os_error(),
        }
    }
}

impl From<Unwritten> for Failure {
    fn from(unwritten: Unwritten) -> Self {
        let error = unwritten
            .code
            .map_or_else(|| unwritten.kind.into(), io::Error::from_raw_os_error);
        match unwritten.path {
            None => Self::output(&error),
            Some(path) => Self::local(format!(
                "cannot write {}: {error}",
                escape(&path.to_string_lossy())
            ))
            .with_hint(match is_too_many(&error) {
                true => {
                    "raise the limit of open files (ulimit -n), or work on fewer hosts at once with --forks"
                }
                false => "make room on that file system, or name a directory on another one",
            }),
        }
    }
}

impl Output {
    /// Starts the thread. It ends with this, and what waits then is not written: see [`Output::finish`].
    pub(crate) fn start() -> Result<Self, Unwritten> {
        let start = || Self::to(Stream::new(io::stdout())?, Stream::new(io::stderr())?);
        start().map_err(|error| Unwritten::new(None, &error))
    }

    fn to(stdout: Stream, stderr: Stream) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            work: Condvar::new(),
            room: Notify::new(),
        });
        let ours = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("output".to_owned())
            .spawn(move || ours.write_all(stdout, stderr))?;
        Ok(Self(shared))
    }

    /// Hands bytes over. Waits while much waits already; an error is that of an earlier piece. Cancel-safe: dropped early, it
    /// has handed nothing over.
    ///
    /// Where standard error leads nowhere there is nobody to tell, and no host is to blame: that is no error.
    pub(crate) async fn write(&self, sink: Sink, bytes: Bytes) -> Result<(), Unwritten> {
        self.until(LIMIT, |state| {
            // An empty file is one too.
            if !bytes.is_empty() || matches!(sink, Sink::File(_)) {
                state.waiting += bytes.len();
                state.queued.push_back((sink, bytes));
            }
        })
        .await
    }

    /// What waits is not written.
    pub(crate) fn discard(&self) {
        let mut state = self.0.lock();
        let discarded: usize = state.queued.drain(..).map(|(_, bytes)| bytes.len()).sum();
        state.waiting -= discarded;
        self.0.room.notify_one();
    }

    /// Waits until everything was written. Cancel-safe.
    pub(crate) async fn finish(&self) -> Result<(), Unwritten> {
        self.until(1, |_| ()).await
    }

    /// Waits until fewer than so many bytes wait, and does something then.
    async fn until(&self, bytes: usize, then: impl FnOnce(&mut State)) -> Result<(), Unwritten> {
        loop {
            {
                let mut state = self.0.lock();
                if let Some(failed) = &state.failed {
                    return Err(failed.clone());
                }
                if state.waiting < bytes {
                    then(&mut state);
                    if state.idle && !state.queued.is_empty() {
                        state.idle = false;
                        self.0.work.notify_one();
                    }
                    return Ok(());
                }
            }
            self.0.room.notified().await;
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.closed = true;
        state.queued.clear();
        self.0.work.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the thread does until nothing will come any more.
    fn write_all(&self, mut stdout: Stream, mut stderr: Stream) {
        let mut files = OpenFiles::default();
        while let Some((sink, pieces)) = self.take() {
            let written = match &sink {
                Sink::Stdout => stdout
                    .write(&pieces)
                    .map_err(|error| Unwritten::new(None, &error)),
                Sink::Stderr => {
                    let _ = stderr.write(&pieces);
                    Ok(())
                }
                Sink::File(file) => files
                    .write(file, &pieces)
                    .map_err(|error| Unwritten::new(Some(file.path()), &error)),
            };
            let mut state = self.lock();
            state.waiting -= pieces.iter().map(Bytes::len).sum::<usize>();
            state.failed = written.err();
            // Much room at once is better than a little each time: each side then works for longer.
            if state.waiting <= LIMIT / 2 || state.failed.is_some() {
                self.room.notify_one();
            }
            if state.failed.is_some() {
                return;
            }
        }
    }

    /// The next pieces for the same sink.
    fn take(&self) -> Option<(Sink, Vec<Bytes>)> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some((sink, first)) = state.queued.pop_front() {
                let mut pieces = vec![first];
                while pieces.len() < PIECES
                    && state.queued.front().is_some_and(|(next, _)| *next == sink)
                    && let Some((_, piece)) = state.queued.pop_front()
                {
                    pieces.push(piece);
                }
                return Some((sink, pieces));
            }
            state.idle = true;
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle = false;
        }
    }
}

/// One of our own two descriptors.
#[derive(Debug)]
pub(crate) struct Stream {
    /// Written to without the standard library's buffer, which looks for line ends.
    file: File,
    is_terminal: bool,
}

impl Stream {
    pub(crate) fn new(stream: impl AsFd + IsTerminal) -> io::Result<Self> {
        Ok(Self {
            is_terminal: stream.is_terminal(),
            file: stream.as_fd().try_clone_to_owned()?.into(),
        })
    }

    /// Waits for at most a tenth of a second until it takes something, or will take nothing ever.
    #[cfg(feature = "script")]
    pub(crate) fn takes_more(&self) -> io::Result<bool> {
        let tenth = rustix::event::Timespec {
            tv_sec: 0,
            tv_nsec: 100_000_000,
        };
        match poll(&mut [PollFd::new(&self.file, PollFlags::OUT)], Some(&tenth)) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn write(&mut self, pieces: &[Bytes]) -> io::Result<()> {
        if self.is_terminal {
            status_line::above(|| write_pieces(&mut &self.file, pieces))
        } else {
            write_pieces(&mut &self.file, pieces)
        }
    }
}

pub(super) fn write_pieces(file: &mut &File, pieces: &[Bytes]) -> io::Result<()> {
    let pieces = pieces.iter().filter(|piece| !piece.is_empty());
    let mut slices: Vec<IoSlice<'_>> = pieces.map(|piece| IoSlice::new(piece)).collect();
    let mut left = slices.as_mut_slice();
    while !left.is_empty() {
        match file.write_vectored(left) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut left, written),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Somebody who shares the descriptor has made it non-blocking, as ssh(1) does to a terminal.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                poll(&mut [PollFd::new(*file, PollFlags::OUT)], None)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::OwnedFd;

    /// A thread that writes to one end of a pipe for each stream, with the other ends.
    fn piped() -> (Output, File, File) {
        let pipe = || {
            let (reader, writer) = io::pipe().unwrap();
            (
                File::from(OwnedFd::from(reader)),
                File::from(OwnedFd::from(writer)),
            )
        };
        let ((out, stdout), (err, stderr)) = (pipe(), pipe());
        let stream = |file| Stream {
            file,
            is_terminal: false,
        };
        (Output::to(stream(stdout), stream(stderr)).unwrap(), out, err)
    }

    #[tokio::test]
    async fn every_byte_arrives_in_its_order() {
        let (output, mut out, mut err) = piped();
        let read = std::thread::spawn(move || {
            let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
            out.read_to_end(&mut stdout).unwrap();
            err.read_to_end(&mut stderr).unwrap();
            (stdout, stderr)
        });
        let mut written = Vec::new();
        for number in 0..3000_u32 {
            let piece = vec![number.to_le_bytes()[0]; usize::try_from(number).unwrap()];
            written.extend_from_slice(&piece);
            output.write(Sink::Stdout, piece.into()).await.unwrap();
            if number % 1000 == 0 {
                output.write(Sink::Stderr, "x".into()).await.unwrap();
            }
        }
        output.finish().await.unwrap();
        drop(output);
        let (stdout, stderr) = read.join().unwrap();
        assert!(stdout == written);
        assert_eq!(stderr, b"xxx");
    }

    #[tokio::test]
    async fn a_reader_that_pauses_holds_the_writer_back_and_one_that_goes_away_is_told() {
        let (output, out, _err) = piped();
        let piece = Bytes::from(vec![0; LIMIT]);
        output.write(Sink::Stdout, piece.clone()).await.unwrap();
        let waits = output.write(Sink::Stdout, piece.clone());
        assert!(
            tokio::time::timeout(std::time::Duration::from_millis(50), waits)
                .await
                .is_err()
        );
        drop(out);
        for _ in 0..2 {
            let error = output.write(Sink::Stdout, piece.clone()).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::BrokenPipe);
        }
        assert!(output.finish().await.is_err());
    }

    #[tokio::test]
    async fn nobody_has_to_read_standard_error() {
        let (output, mut out, err) = piped();
        drop(err);
        output.write(Sink::Stderr, "lost".into()).await.unwrap();
        output.write(Sink::Stdout, "kept".into()).await.unwrap();
        output.finish().await.unwrap();
        drop(output);
        let mut text = String::new();
        out.read_to_string(&mut text).unwrap();
        assert_eq!(text, "kept");
    }
}
