//! A running command whose output is taken as it comes.

mod exit;
mod telling;

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use sternline_proto::redact::Redactor;
use tokio::runtime::Handle;
use tokio::time::Instant;

pub(super) use telling::Label;
pub(crate) use telling::error_fields;

use super::ending::{Canceller, Cause, Due, Ending};
use super::item::{StreamData, StreamEvent};
use super::result::ExitStatus;
use super::stdin::StdinWriter;
use crate::connection::{Connection, OtherUser, Quiet, RemoteEnd, Sessions, StartOrder};
use crate::error::Error;
use crate::event::EventType;
use crate::evidence::Recording;
use crate::transport::channel::{Channel, Incoming, OutputStream};

/// What a request on the channel was for; the answers come in the same order.
#[derive(Debug)]
pub(super) enum Expected {
    Env(String),
    Start,
}

/// A running command. Take its output with [`StreamExec::next`] until the exit event, and do what takes its time in
/// [`StreamExec::meanwhile`].
///
/// Dropping it before that ends the remote process in the background and closes the channel.
pub struct StreamExec {
    pub(super) connection: Connection,
    pub(super) sessions: Arc<Sessions>,
    pub(super) order: StartOrder,
    /// `None` once everything was read and the channel has ended.
    pub(super) channel: Option<Channel>,
    pub(super) expected: VecDeque<Expected>,
    pub(super) stdin: Option<StdinWriter>,
    pub(super) label: Label,
    pub(super) started: Instant,
    /// Where progress is looked for.
    quiet: Option<Arc<Quiet>>,
    recording: Option<Recording>,
    pub(super) ending: Ending,
    ended: Option<RemoteEnd>,
    /// Until when the last output may arrive after the process has been ended.
    drain_until: Option<Instant>,
    /// That moment is over.
    drained: bool,
    status: Option<ExitStatus>,
    /// The server has said that no more output will come.
    eof: bool,
    /// The connection was lost before it had.
    cut_off: bool,
    refused: bool,
    confirmed: bool,
    env_refused: Vec<String>,
    bytes_stdout: u64,
    bytes_stderr: u64,
    done: bool,
    /// Output that came before the command was known to have started, and is still to be given.
    early: VecDeque<StreamEvent>,
    telling: Telling,
    /// As whom it runs, where that is not the one who is logged in.
    other: Option<OtherUser>,
    /// Where the process is ended when this is dropped, which may happen outside of any runtime: in the connection's,
    /// because the caller's may end sooner.
    runtime: Handle,
}

/// Whether the end of the command is told here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Telling {
    /// It is.
    Here,
    /// By whoever is still starting it, unless that is given up.
    WhileStarting,
    /// It was told.
    Elsewhere,
}

/// The parts that starting a command leaves behind.
pub(super) struct Started {
    pub(super) connection: Connection,
    pub(super) sessions: Arc<Sessions>,
    pub(super) order: StartOrder,
    pub(super) channel: Channel,
    pub(super) expected: VecDeque<Expected>,
    pub(super) stdin: Option<StdinWriter>,
    pub(super) label: Label,
    pub(super) started: Instant,
    pub(super) limit: Option<(Instant, Duration)>,
    pub(super) quiet: Option<Arc<Quiet>>,
    pub(super) recording: Option<Recording>,
    pub(super) other: Option<OtherUser>,
}

impl StreamExec {
    pub(super) fn new(parts: Started) -> Self {
        let runtime = parts.sessions.session().runtime().clone();
        Self {
            connection: parts.connection,
            sessions: parts.sessions,
            order: parts.order,
            channel: Some(parts.channel),
            expected: parts.expected,
            stdin: parts.stdin,
            label: parts.label,
            started: parts.started,
            quiet: parts.quiet,
            recording: parts.recording,
            ending: Ending::new(parts.limit),
            ended: None,
            drain_until: None,
            drained: false,
            status: None,
            eof: false,
            cut_off: false,
            refused: false,
            confirmed: false,
            env_refused: Vec::new(),
            bytes_stdout: 0,
            bytes_stderr: 0,
            done: false,
            early: VecDeque::new(),
            telling: Telling::Here,
            other: parts.other,
            runtime,
        }
    }

    /// The writer of a command that was started with `Stdin::Piped`; the second call gives `None`.
    pub fn take_stdin(&mut self) -> Option<StdinWriter> {
        self.stdin.take()
    }

    /// Asks for the end of the command: see [`Canceller::cancel`]. Keep calling [`StreamExec::next`] until the exit.
    pub fn cancel(&self) {
        self.ending.canceller().cancel();
    }

    /// A handle that can cancel this command from another task.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        self.ending.canceller()
    }

    /// Whether the command runs in a terminal.
    #[must_use]
    pub fn has_terminal(&self) -> bool {
        self.label.term.is_some()
    }

    /// The filter of the connection, for what else leaves the library.
    pub(crate) fn redactor(&self) -> &Redactor {
        self.connection.redactor()
    }

    /// The error with the host at which it happened.
    pub(crate) fn locate(&self, error: Error) -> Error {
        self.connection.locate(error)
    }

    /// Variables that the server refused to set, as far as it has answered.
    #[must_use]
    pub fn env_refused(&self) -> &[String] {
        &self.env_refused
    }

    /// The next event; `None` after the exit event.
    ///
    /// Cancel-safe. A slow caller slows nobody else: what arrives meanwhile is kept, first in memory, then in an
    /// unlinked file. But the time limit and a cancel are seen to only while this or [`StreamExec::meanwhile`] is awaited.
    pub async fn next(&mut self) -> Option<StreamEvent> {
        match self.early.pop_front() {
            Some(event) => Some(event),
            None => self.next_of_channel().await,
        }
    }

    /// The command is still being started, and its failure will be told by whoever starts it.
    pub(super) fn begin_starting(&mut self) {
        self.telling = Telling::WhileStarting;
    }

    /// The command has started, and this had arrived before.
    pub(super) fn has_started(&mut self, early: VecDeque<StreamEvent>) {
        self.telling = Telling::Here;
        for event in &early {
            self.note(&event.data);
        }
        self.early = early;
    }

    /// The command will not start, which is told elsewhere.
    pub(super) fn has_failed_to_start(&mut self, error: &Error) {
        self.telling = Telling::Elsewhere;
        if let Some(recording) = self.recording.take() {
            recording.failed(error);
        }
    }

    /// Does something that takes its time, such as passing the output on, and sees meanwhile to what [`StreamExec::next`] sees to
    /// otherwise: the command's time limit, [`StreamExec::cancel`] and the end of the remote process. Without it a command whose
    /// output is not being read lives on beyond its time.
    ///
    /// As cancel-safe as the work is.
    ///
    /// ```no_run
    /// # async fn example(connection: sternline::Connection) -> Result<(), Box<dyn std::error::Error>> {
    /// use sternline::ExecRequest;
    /// use sternline::exec::StreamData;
    /// use tokio::io::AsyncWriteExt;
    ///
    /// let request = ExecRequest::from("journalctl -f").timeout(std::time::Duration::from_secs(60));
    /// let mut stream = connection.stream_exec(request).await?;
    /// let mut slow = tokio::fs::File::create("/mnt/tape").await?;
    /// while let Some(event) = stream.next().await {
    ///     if let StreamData::Stdout(bytes) = event.data {
    ///         stream.meanwhile(slow.write_all(&bytes)).await?;
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            let Some(channel) = self.channel.as_ref().filter(|_| !self.done) else {
                return work.await;
            };
            let due = tokio::select! {
                biased;
                done = &mut work => return done,
                () = reached(self.drain_until), if !self.drained => None,
                due = self.ending.due(channel, self.status.is_some()) => Some(due),
            };
            self.see_to(due);
        }
    }

    /// Drops the output that was not read yet, and what still comes: [`StreamExec::next`] then soon gives the exit of a command that
    /// was cancelled, however much of its output waits.
    pub fn discard_output(&mut self) {
        self.early
            .retain(|event| matches!(event.data, StreamData::Exit(_)));
        if let Some(channel) = &self.channel {
            channel.discard();
        }
    }

    /// As [`StreamExec::next`], without what had arrived early.
    pub(super) async fn next_of_channel(&mut self) -> Option<StreamEvent> {
        loop {
            if self.done {
                return None;
            }
            let Some(channel) = &self.channel else {
                // The command has gone; the rest of its process group may not have.
                if self.ending.is_at_work() {
                    self.ended = Some(self.ending.ended().await);
                }
                return Some(self.exit());
            };
            let step = tokio::select! {
                biased;
                () = reached(self.drain_until), if !self.drained => Step::Due(None),
                due = self.ending.due(channel, self.status.is_some()) => Step::Due(Some(due)),
                incoming = channel.next() => Step::Incoming(incoming),
                limit = stalled(self.quiet.as_deref(), channel, &self.connection, &self.label),
                    if !self.ending.has_begun() => Step::Stalled(limit),
            };
            match step {
                Step::Due(due) => self.see_to(due),
                Step::Stalled(limit) => self.end(Cause::Stalled(limit)),
                Step::Incoming(None) => {
                    self.cut_off = !self.eof && channel.sender().was_lost();
                    self.channel = None;
                }
                Step::Incoming(Some(incoming)) => {
                    if let Some(event) = self.take(incoming) {
                        return Some(event);
                    }
                }
            }
        }
    }

    /// Does what is due. Nothing stands for the end of the time in which output may arrive: what has arrived is read all the same.
    fn see_to(&mut self, due: Option<Due>) {
        match due {
            Some(Due::Begin(cause)) => self.end(cause),
            Some(Due::Ended(remote)) => {
                self.ended = Some(remote);
                self.drain_until = Some(Instant::now() + DRAIN_LIMIT);
            }
            None => {
                self.drained = true;
                if let Some(channel) = &self.channel {
                    channel.take_no_more();
                }
            }
        }
    }

    /// Begins to end the remote process, if it has not exited. Output goes on being delivered meanwhile.
    fn end(&mut self, cause: Cause) {
        if self.status.is_some() {
            // It has exited; what keeps the channel open is something it left behind, which is not ours to end.
            self.ending.begin(cause, None);
            self.ended = Some(RemoteEnd::MaySurvive(
                "the command itself has exited, and what it left in the background keeps its output open"
                    .to_owned(),
            ));
            self.drain_until = Some(Instant::now());
            return;
        }
        let Some(channel) = &self.channel else { return };
        let (sessions, order, sender) = (Arc::clone(&self.sessions), self.order, channel.sender().clone());
        let stalled = matches!(cause, Cause::Stalled(_));
        let other = self.other.clone();
        let ending = Box::pin(async move {
            if stalled && !sessions.lives_after_stall().await {
                return RemoteEnd::MaySurvive("the server gives no sign of life".to_owned());
            }
            sessions.end_remote(order, &sender, other.as_ref()).await
        });
        self.ending.begin(cause, Some(ending));
    }

    fn take(&mut self, incoming: Incoming) -> Option<StreamEvent> {
        if let Some(quiet) = &self.quiet {
            quiet.progress();
        }
        match incoming {
            Incoming::Data {
                stream: OutputStream::Stdout,
                bytes,
                at,
            } => {
                return Some(self.output(at, StreamData::Stdout(bytes)));
            }
            Incoming::Data {
                stream: OutputStream::Stderr,
                bytes,
                at,
            } => {
                return Some(self.output(at, StreamData::Stderr(bytes)));
            }
            Incoming::Reply(granted) => match (self.expected.pop_front(), granted) {
                (Some(Expected::Start), true) => self.confirmed = true,
                (Some(Expected::Start), false) => self.refuse(),
                (Some(Expected::Env(name)), false) => self.env_refused.push(name),
                (_, true) | (None, false) => {}
            },
            Incoming::ExitStatus(code) => self.status = Some(ExitStatus::Code(code)),
            Incoming::ExitSignal {
                name,
                core_dumped,
                message,
            } => {
                self.status = Some(ExitStatus::Signal {
                    name,
                    core_dumped,
                    message,
                });
            }
            Incoming::Eof => self.eof = true,
            Incoming::Overflow(reason) => {
                if !self.ending.has_begun() {
                    self.end(Cause::Overflow(reason));
                }
            }
        }
        None
    }

    /// Output as it arrived. Until the command has started, it is not known whether it is for anybody.
    fn output(&mut self, timestamp: f64, data: StreamData) -> StreamEvent {
        if self.telling != Telling::WhileStarting {
            self.note(&data);
        }
        StreamEvent { timestamp, data }
    }

    /// Counts and records output.
    fn note(&mut self, data: &StreamData) {
        match data {
            StreamData::Stdout(bytes) => {
                self.bytes_stdout += bytes.len() as u64;
                if let Some(recording) = &mut self.recording {
                    recording.stdout(bytes);
                }
            }
            StreamData::Stderr(bytes) => {
                self.bytes_stderr += bytes.len() as u64;
                if let Some(recording) = &mut self.recording {
                    recording.stderr(bytes);
                }
            }
            StreamData::Exit(_) => {}
        }
    }

    /// The server does not run it: the channel is given up, and the exit event says so.
    fn refuse(&mut self) {
        self.refused = true;
        self.channel = None;
    }
}

/// How long the rest of the output may take to arrive once the process is gone.
const DRAIN_LIMIT: Duration = Duration::from_secs(1);

enum Step {
    Incoming(Option<Incoming>),
    Due(Option<Due>),
    Stalled(Duration),
}

async fn reached(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Waits until the command has stalled for too long, and gives how long that is. Warns on the way.
async fn stalled(
    quiet: Option<&Quiet>,
    channel: &Channel,
    connection: &Connection,
    label: &Label,
) -> Duration {
    let Some(quiet) = quiet else {
        return std::future::pending().await;
    };
    // What waits to be read is no fault of the command's, also while it is being fetched from the file.
    if channel.has_unread() {
        quiet.progress();
    }
    let warn = |mut data: Value| {
        if let Some(fields) = data.as_object_mut() {
            fields.insert("host".to_owned(), connection.host().into());
            fields.insert("port".to_owned(), connection.port().into());
            fields.insert("command".to_owned(), label.command.clone().into());
        }
        connection.emit(EventType::ProgressWarning, data);
    };
    quiet.expired(warn).await;
    quiet.limit()
}

impl Drop for StreamExec {
    fn drop(&mut self) {
        self.ending.stop_feeding();
        if self.done {
            return;
        }
        if self.telling != Telling::Elsewhere {
            self.report(None);
            self.end_recording(None);
        }
        let Some(channel) = self.channel.take() else {
            return;
        };
        let (connection, sessions, order) = (self.connection.clone(), Arc::clone(&self.sessions), self.order);
        let other = self.other.take();
        let being_ended = sessions.ending_dropped();
        self.runtime.spawn(async move {
            let _ = sessions.end_remote(order, channel.sender(), other.as_ref()).await;
            // The server closes once the process is gone; what a background process keeps open is closed from here.
            let _ = tokio::time::timeout(DRAIN_LIMIT, channel.sender().ended()).await;
            drop(channel);
            drop(being_ended);
            drop(connection);
        });
    }
}

impl fmt::Debug for StreamExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamExec")
            .field("command", &self.label.command)
            .field("done", &self.done)
            .finish()
    }
}
