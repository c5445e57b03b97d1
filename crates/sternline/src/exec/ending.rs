//! What ends a command from this side: a time limit, somebody who cancels it, an input that cannot be read. None of it depends on
//! whether anybody reads the output.

use std::future::{Future, pending};
use std::pin::Pin;
use std::time::Duration;

use sternline_proto::text::escape;
use tokio::sync::watch;
use tokio::time::Instant;

use super::item::Exit;
use super::result::ExitStatus;
use super::stdin::Feeder;
use crate::connection::RemoteEnd;
use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, SendState, seconds};
use crate::transport::channel::Channel;

/// Cancels a command from elsewhere.
#[derive(Debug, Clone)]
pub struct Canceller(watch::Sender<bool>);

impl Canceller {
    /// Asks for the end of the command: its remote process is ended, and its stream ends with
    /// [`Exit::Cancelled`](super::Exit::Cancelled). Does nothing once it has ended.
    pub fn cancel(&self) {
        self.0.send_replace(true);
    }
}

/// Why the remote process is being ended.
#[derive(Debug)]
pub(crate) enum Cause {
    TimedOut(Duration),
    Stalled(Duration),
    Cancelled,
    Stdin(std::io::Error),
    Overflow(String),
}

impl Cause {
    /// How a command has ended that was ended for this reason.
    pub(crate) fn exit(self, remote: RemoteEnd, status: Option<ExitStatus>, sent: SendState) -> Exit {
        let (kind, message, hint) = match self {
            // It may have finished on its own just before.
            Self::Cancelled => {
                return match status {
                    Some(status @ ExitStatus::Code(_)) => Exit::Status(status),
                    _ => Exit::Cancelled(remote),
                };
            }
            Self::TimedOut(limit) => (
                ErrorKind::CommandTimeout,
                format!("the command did not end within {}; {remote}", seconds(limit)),
                "raise the time limit, or find out what it waits for",
            ),
            Self::Stalled(limit) => (
                ErrorKind::ProgressTimeout,
                format!("the command made no progress for {}; {remote}", seconds(limit)),
                "raise progress_timeout, or find out what it waits for",
            ),
            Self::Stdin(error) => (
                ErrorKind::Local,
                format!("reading the command's input failed, so the command was stopped: {error}; {remote}"),
                "check the file or stream that was to be its input",
            ),
            Self::Overflow(reason) => (
                ErrorKind::OutputOverflow,
                format!(
                    "the command's output was not read and could not be kept: {}; {remote}",
                    escape(&reason)
                ),
                "read the stream faster, free disk space, or raise the spill limit",
            ),
        };
        let survives = matches!(remote, RemoteEnd::MaySurvive(_));
        Exit::Failed(
            Error::new(kind, message)
                .in_phase(Phase::Exec)
                .with_sent(sent)
                .with_hint(hint)
                .with_extra("remote_process_may_survive", survives),
        )
    }
}

/// Ends the remote process, as far as that is possible.
pub(super) type EndingRemote = Pin<Box<dyn Future<Output = RemoteEnd> + Send>>;

/// What is to be done now.
pub(super) enum Due {
    /// There is a reason to end the process.
    Begin(Cause),
    /// The process was ended, as far as that is possible.
    Ended(RemoteEnd),
}

/// The reasons to end a command, and its end once there is one.
pub(super) struct Ending {
    limit: Option<(Instant, Duration)>,
    cancel: watch::Sender<bool>,
    /// Its input, where that is read here.
    pub(super) feeder: Option<Feeder>,
    /// Why the process is being ended, and the work on that until it is done.
    begun: Option<(Cause, Option<EndingRemote>)>,
}

impl Ending {
    /// `limit` is when the command has to have ended, and how long that is.
    pub(super) fn new(limit: Option<(Instant, Duration)>) -> Self {
        Self {
            limit,
            cancel: watch::Sender::new(false),
            feeder: None,
            begun: None,
        }
    }

    pub(super) fn canceller(&self) -> Canceller {
        Canceller(self.cancel.clone())
    }

    /// Whether the process is being ended, or was.
    pub(super) fn has_begun(&self) -> bool {
        self.begun.is_some()
    }

    /// Whether there is still something to do about the end of the process.
    pub(super) fn is_at_work(&self) -> bool {
        matches!(self.begun, Some((_, Some(_))))
    }

    /// Begins with the end. `work` is what there is to do about it.
    pub(super) fn begin(&mut self, cause: Cause, work: Option<EndingRemote>) {
        self.begun = Some((cause, work));
    }

    /// Why the process was ended, if it was; asked once.
    pub(super) fn take_cause(&mut self) -> Option<Cause> {
        self.begun.take().map(|(cause, _)| cause)
    }

    /// The command takes no more input.
    pub(super) fn stop_feeding(&mut self) {
        if let Some(feeder) = self.feeder.take() {
            feeder.abort();
        }
    }

    /// Waits until there is something to do. `has_status` says that the exit status was read. Cancel-safe.
    pub(super) async fn due(&mut self, channel: &Channel, has_status: bool) -> Due {
        if self.has_begun() {
            return Due::Ended(self.ended().await);
        }
        let limit = self.limit;
        let late = async {
            let Some((at, limit)) = limit else {
                return pending().await;
            };
            tokio::time::sleep_until(at).await;
            // A command that has ended by itself was not late because nobody has read so far. What keeps its channel open behind
            // its exit is.
            let goes_on = match has_status {
                true => !channel.sender().has_ended(),
                false => !channel.has_exited(),
            };
            match goes_on {
                true => limit,
                false => pending().await,
            }
        };
        Due::Begin(tokio::select! {
            biased;
            () = cancelled(&self.cancel) => Cause::Cancelled,
            failed = failed_feed(&mut self.feeder) => Cause::Stdin(failed),
            limit = late => Cause::TimedOut(limit),
        })
    }

    /// Waits until the process was ended; for ever where that was told before. Cancel-safe.
    pub(super) async fn ended(&mut self) -> RemoteEnd {
        let Some((_, slot)) = &mut self.begun else {
            return pending().await;
        };
        let Some(work) = slot else {
            return pending().await;
        };
        let remote = work.await;
        *slot = None;
        remote
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.stop_feeding();
    }
}

async fn cancelled(cancel: &watch::Sender<bool>) {
    let mut asked = cancel.subscribe();
    // The sender is borrowed, so waiting can only end with the request.
    let _ = asked.wait_for(|asked| *asked).await;
}

/// Ends only when reading the input has failed.
async fn failed_feed(feeder: &mut Option<Feeder>) -> std::io::Error {
    if let Some(running) = feeder {
        let outcome = running.await;
        *feeder = None;
        match outcome {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return error,
            // The source panicked: the command would wait for the rest of its input.
            Err(error) => return std::io::Error::other(error),
        }
    }
    pending().await
}
