//! A running command whose output is taken as it comes.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::{Buf, Bytes};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::connection::Keep;
use super::io::io_error;
use super::runtime::Runtime;
use super::stdin::StdinWriter;
use super::stdout::StdoutReader;
use crate::error::{Error, ErrorKind, Result, SendState};
use crate::event::unix_millis;
use crate::exec::{Canceller, Exit, ExitStatus, StreamData, StreamEvent, StreamExec as Asynchronous};

/// How many events may wait for the caller before the rest waits where the connection keeps it.
const WAITING: usize = 16;

/// [`sternline::StreamExec`](crate::StreamExec), for callers that wait.
///
/// It is an iterator over its events, of which the last is the exit; or read its standard output with
/// [`StreamExec::stdout`], and learn how it ended from [`StreamExec::wait`]. The command's time limit and a cancel are seen to
/// at any time, whatever the caller does meanwhile.
///
/// Dropping it before the end ends the remote process in the background.
///
/// ```no_run
/// # fn example(connection: &sternline::blocking::Connection) -> Result<(), Box<dyn std::error::Error>> {
/// use std::io::BufRead;
///
/// let mut stream = connection.stream_exec("journalctl -n 100")?;
/// for line in stream.stdout(std::io::stderr()).lines() {
///     println!("{}", line?);
/// }
/// println!("{}", stream.wait()?);
/// # Ok(()) }
/// ```
pub struct StreamExec {
    events: mpsc::Receiver<Passed>,
    /// What was not read of a piece of standard output, and when that arrived.
    left: Option<(f64, Bytes)>,
    stdin: Option<StdinWriter>,
    canceller: Canceller,
    discard: watch::Sender<bool>,
    env_refused: Vec<String>,
    has_terminal: bool,
    /// How it ended, once that has been seen.
    ended: Option<Result<ExitStatus>>,
    task: Option<JoinHandle<()>>,
    runtime: Runtime,
    _keep: Keep,
}

/// An event on its way to the caller.
struct Passed {
    event: StreamEvent,
    /// The variables that the server has refused by then.
    env_refused: Vec<String>,
    /// What the exit means to whoever waits for it.
    ended: Option<Result<ExitStatus>>,
}

impl StreamExec {
    pub(super) fn new(mut stream: Asynchronous, runtime: &Runtime, keep: Keep) -> Self {
        let (sender, events) = mpsc::channel(WAITING);
        let (discard, discarded) = watch::channel(false);
        let stdin = stream.take_stdin();
        Self {
            events,
            left: None,
            stdin: stdin.map(|writer| StdinWriter::new(writer, runtime, Arc::clone(&keep))),
            canceller: stream.canceller(),
            discard,
            env_refused: Vec::new(),
            has_terminal: stream.has_terminal(),
            ended: None,
            task: Some(runtime.spawn(pass_on(stream, sender, discarded))),
            runtime: runtime.clone(),
            _keep: keep,
        }
    }

    /// The writer of a command that was started with [`Stdin::Piped`](crate::exec::Stdin::Piped), or of a shell; the second call gives `None`.
    pub fn take_stdin(&mut self) -> Option<StdinWriter> {
        self.stdin.take()
    }

    /// Reads its standard output, from where it has been read so far. What it writes to its standard error meanwhile goes
    /// to `stderr`, which may be [`std::io::sink`] or a `Vec`.
    ///
    /// At the end of the output reading comes to an end, whatever the exit status; where the command was ended from this side or lost sight of, it fails
    /// instead, with the [`Error`] as the source, so that what was cut short is not taken for all there was.
    pub fn stdout<W: Write>(&mut self, stderr: W) -> StdoutReader<'_, W> {
        StdoutReader::new(self, stderr)
    }

    /// Waits for the end, and gives the exit status. Output that was not read is dropped.
    ///
    /// # Errors
    /// Why the command was lost sight of or stopped; [`ErrorKind::Cancelled`] after a cancel.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        self.discard.send_replace(true);
        self.left = None;
        while self.receive().is_some() {}
        self.ended.clone().unwrap_or_else(|| Err(no_exit()))
    }

    /// Asks for the end of the command: see [`Canceller::cancel`]. Its events go on until the exit.
    pub fn cancel(&self) {
        self.canceller.cancel();
    }

    /// A handle that can cancel this command from another thread.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }

    /// Whether the command runs in a terminal.
    #[must_use]
    pub fn has_terminal(&self) -> bool {
        self.has_terminal
    }

    /// Variables that the server refused to set, as far as it had answered before the latest event.
    #[must_use]
    pub fn env_refused(&self) -> &[String] {
        &self.env_refused
    }

    /// Standard output that was received and not read yet, received now if need be; what is written to standard error meanwhile
    /// goes to `stderr`. Nothing at the end.
    pub(super) fn fill(&mut self, stderr: &mut impl Write) -> io::Result<&[u8]> {
        while self.left.is_none()
            && let Some(StreamEvent { timestamp, data }) = self.receive()
        {
            match data {
                StreamData::Stdout(bytes) if bytes.is_empty() => {}
                StreamData::Stdout(bytes) => self.left = Some((timestamp, bytes)),
                StreamData::Stderr(bytes) => stderr.write_all(&bytes)?,
                StreamData::Exit(_) => {}
            }
        }
        match (&self.left, &self.ended) {
            (Some((_, bytes)), _) => Ok(bytes),
            (None, Some(Err(error))) => Err(io_error(error.clone())),
            (None, _) => Ok(&[]),
        }
    }

    /// So much of it has been read.
    pub(super) fn consume(&mut self, length: usize) {
        if let Some((_, bytes)) = &mut self.left {
            bytes.advance(length.min(bytes.len()));
        }
        self.left.take_if(|(_, bytes)| bytes.is_empty());
    }

    /// The next event, without what was left of the one before; `None` after the exit.
    fn receive(&mut self) -> Option<StreamEvent> {
        if self.ended.is_some() {
            return None;
        }
        let passed = self.runtime.block(self.events.recv());
        let passed = passed.and_then(|passed| passed.ok_or_else(no_exit));
        let passed = passed.unwrap_or_else(|error| Passed {
            event: StreamEvent {
                timestamp: unix_millis(SystemTime::now()),
                data: StreamData::Exit(Exit::Failed(error.clone())),
            },
            env_refused: std::mem::take(&mut self.env_refused),
            ended: Some(Err(error)),
        });
        self.env_refused = passed.env_refused;
        self.ended = passed.ended;
        Some(passed.event)
    }
}

impl Iterator for StreamExec {
    type Item = StreamEvent;

    fn next(&mut self) -> Option<StreamEvent> {
        match self.left.take() {
            Some((timestamp, bytes)) => Some(StreamEvent {
                timestamp,
                data: StreamData::Stdout(bytes),
            }),
            None => self.receive(),
        }
    }
}

impl Drop for StreamExec {
    fn drop(&mut self) {
        if let Some(task) = self.task.take().filter(|task| !task.is_finished()) {
            task.abort();
            // Once the task has let go of the command, closing the connection waits for the command's end.
            self.runtime.finish(async move {
                let _ = task.await;
            });
        }
    }
}

impl fmt::Debug for StreamExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamExec")
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

/// Passes events on until the exit. The caller may pause, and the command's limits hold all the same.
async fn pass_on(mut stream: Asynchronous, events: mpsc::Sender<Passed>, mut discard: watch::Receiver<bool>) {
    let mut is_discarding = false;
    loop {
        let event = tokio::select! {
            biased;
            // An end of the sender is the end of whoever reads, which aborts this.
            asked = discard.wait_for(|discard| *discard), if !is_discarding => {
                drop(asked);
                is_discarding = true;
                stream.discard_output();
                continue;
            }
            event = stream.next() => event,
        };
        let Some(event) = event else { return };
        let ended = match &event.data {
            StreamData::Exit(exit) => Some(ended(&stream, exit)),
            _ if is_discarding => continue,
            _ => None,
        };
        let passed = Passed {
            event,
            env_refused: stream.env_refused().to_vec(),
            ended,
        };
        if stream.meanwhile(events.send(passed)).await.is_err() {
            return;
        }
    }
}

fn ended(stream: &Asynchronous, exit: &Exit) -> Result<ExitStatus> {
    match exit {
        Exit::Status(status) => Ok(status.clone()),
        Exit::Failed(error) => Err(error.clone()),
        Exit::Cancelled(remote) => {
            let message = format!("the command was cancelled; {remote}");
            let error = Error::new(ErrorKind::Cancelled, message).with_sent(SendState::MayHaveRun);
            Err(stream.locate(error))
        }
    }
}

/// The task that reads the command is gone, as when a listener of its events has panicked.
fn no_exit() -> Error {
    Error::new(
        ErrorKind::NoExitStatus,
        "the command's stream ended without an exit",
    )
}
