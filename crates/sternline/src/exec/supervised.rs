//! Commands on a supervised connection: when they wait for it, and when they are run again.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::request::{ExecRequest, RetryOnDisconnect};
use super::result::ExecResult;
use super::stdin::Stdin;
use super::stream::StreamExec;
use crate::connection::{Connection, Supervisor, SupervisorStatus};
use crate::error::{Error, ErrorKind, Result, SendState, seconds};

impl Supervisor {
    /// Runs a command and waits for its end, like [`Connection::exec`].
    ///
    /// Without a connection it waits for one: until the request's time limit, and without one until the supervisor
    /// gives up or is closed. A command that was certainly not sent when the connection was lost is run on the next
    /// one. What becomes of a command that may have run is the caller's choice: see
    /// [`ExecRequest::retry_on_disconnect`]. The result says how many connections it was tried on.
    ///
    /// # Errors
    /// As [`Connection::exec`], with `attempts` in the context: on how many connections it was tried. When the
    /// supervisor has given up, its last error.
    pub async fn exec(&self, request: impl Into<ExecRequest>) -> Result<ExecResult> {
        let mut request = request.into();
        let mut tries = Tries::new(self, &request);
        loop {
            let connection = tries.connection().await?;
            match connection.collect(&mut request, tries.started).await {
                Ok(result) => {
                    return Ok(ExecResult {
                        attempts: tries.made,
                        ..result
                    });
                }
                Err(error) => tries.after(error, &connection, &request)?,
            }
        }
    }

    /// Starts a command and gives its output as it comes, like [`Connection::stream_exec`].
    ///
    /// Waits for the connection as [`Supervisor::exec`] does. Once started, the command is never run again: a lost
    /// connection is the stream's exit event.
    ///
    /// # Errors
    /// When the command could not be started, or the supervisor has given up.
    pub async fn stream_exec(&self, request: impl Into<ExecRequest>) -> Result<StreamExec> {
        let mut request = request.into();
        if request.retry == RetryOnDisconnect::Always {
            request.retry = RetryOnDisconnect::IfNotSent;
        }
        let mut tries = Tries::new(self, &request);
        loop {
            let connection = tries.connection().await?;
            match connection.start_exec(&mut request, tries.started, true).await {
                Ok(stream) => return Ok(stream),
                Err(error) => tries.after(error, &connection, &request)?,
            }
        }
    }
}

/// The tries of one command.
struct Tries<'a> {
    supervisor: &'a Supervisor,
    status: watch::Receiver<SupervisorStatus>,
    started: Instant,
    /// When it is to be over, and how long that was from the start.
    limit: Option<(Instant, Duration)>,
    made: u32,
    /// How far an earlier try got.
    sent: SendState,
    /// How often a command that may have run can still be run again.
    reruns: u32,
    /// The count of the connection that was tried last.
    tried: Option<u32>,
    /// Whether the input can be read only once.
    once: bool,
}

impl<'a> Tries<'a> {
    fn new(supervisor: &'a Supervisor, request: &ExecRequest) -> Self {
        let started = Instant::now();
        Self {
            supervisor,
            status: supervisor.watch(),
            started,
            // A limit beyond what the clock can express is none.
            limit: request
                .timeout
                .and_then(|limit| Some((started.checked_add(limit)?, limit))),
            made: 0,
            sent: SendState::NotSent,
            reruns: supervisor.max_retries(),
            tried: None,
            once: matches!(request.stdin, Stdin::Reader(_) | Stdin::Piped),
        }
    }

    /// A connection that was not tried yet, waited for if need be.
    async fn connection(&mut self) -> Result<Connection> {
        let tried = self.tried;
        let is_new = |status: &SupervisorStatus| tried != Some(status.reconnection_count);
        let settled = self
            .status
            .wait_for(|status| status.is_final() || (status.connection.is_some() && is_new(status)));
        let settled = match self.limit {
            None => Ok(settled.await),
            Some((at, limit)) => timeout_at(at, settled).await.map_err(|_| limit),
        };
        let found = settled.map(|status| {
            let status = status.ok()?;
            Some((status.connection.clone()?, status.reconnection_count))
        });
        match found {
            Ok(Some((connection, count))) => {
                self.made = self.made.saturating_add(1);
                self.tried = Some(count);
                Ok(connection)
            }
            Ok(None) => Err(self.told(self.supervisor.refusal())),
            Err(limit) => Err(self.told(self.too_late(limit))),
        }
    }

    /// Whether there is to be another try after this error, which is returned otherwise.
    fn after(&mut self, error: Error, connection: &Connection, request: &ExecRequest) -> Result<()> {
        let verdict = verdict(&Failed {
            retry: request.retry,
            sent: error.sent(),
            // Any other failure is the command's own, and would be the same on another connection.
            lost: error.kind().is_connection() && !connection.is_connected(),
            input_spent: self.once && matches!(request.stdin, Stdin::Empty),
            reruns: self.reruns,
        });
        match verdict {
            Verdict::Again => {
                if error.sent() != SendState::NotSent {
                    self.reruns -= 1;
                    self.sent = error.sent();
                }
                tracing::info!(%error, attempts = self.made, "the command is run again on the next connection");
                Ok(())
            }
            Verdict::Fail => Err(self.told(error)),
            Verdict::FailForInput => Err(self.told(error).with_hint(
                "its input was a stream that had been read in part, so it was not run again: hand the input over as \
                 bytes, or start anew",
            )),
        }
    }

    fn too_late(&self, limit: Duration) -> Error {
        let status = self.status.borrow();
        let error = Error::new(
            ErrorKind::CommandTimeout,
            format!(
                "the command did not start within {}: there was no connection",
                seconds(limit)
            ),
        )
        .with_hint("raise the time limit, or find out why there is no connection");
        match &status.last_error {
            Some(last) => error.with_source_text(last),
            None => error,
        }
    }

    /// The error of all tries together: what an earlier one may have done is not undone by a later one.
    fn told(&self, error: Error) -> Error {
        let sent = match error.sent() {
            SendState::NotSent => self.sent,
            sent => sent,
        };
        error.with_sent(sent).with_extra("attempts", self.made)
    }
}

/// A try that has failed.
#[derive(Debug, Clone, Copy)]
struct Failed {
    retry: RetryOnDisconnect,
    sent: SendState,
    /// Because the connection was lost.
    lost: bool,
    input_spent: bool,
    reruns: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Again,
    Fail,
    /// It would be run again, but for its input.
    FailForInput,
}

fn verdict(failed: &Failed) -> Verdict {
    let wanted = match (failed.retry, failed.sent) {
        (RetryOnDisconnect::Never, _) => false,
        (_, SendState::NotSent) => true,
        (RetryOnDisconnect::IfNotSent, _) => false,
        (RetryOnDisconnect::Always, _) => failed.reruns > 0,
    };
    match (failed.lost && wanted, failed.input_spent) {
        (false, _) => Verdict::Fail,
        (true, true) => Verdict::FailForInput,
        (true, false) => Verdict::Again,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_run_again_where_it_did_not_run_or_the_caller_says_that_it_may() {
        use RetryOnDisconnect::{Always, IfNotSent, Never};
        use SendState::{MayHaveRun, NotSent, Ran};
        use Verdict::{Again, Fail};
        for (retry, sent, expected) in [
            (Never, NotSent, Fail),
            (Never, MayHaveRun, Fail),
            (Never, Ran, Fail),
            (IfNotSent, NotSent, Again),
            (IfNotSent, MayHaveRun, Fail),
            (IfNotSent, Ran, Fail),
            (Always, NotSent, Again),
            (Always, MayHaveRun, Again),
            (Always, Ran, Again),
        ] {
            let failed = Failed {
                retry,
                sent,
                lost: true,
                input_spent: false,
                reruns: 3,
            };
            assert_eq!(verdict(&failed), expected, "{failed:?}");
            let own = Failed {
                lost: false,
                ..failed
            };
            assert_eq!(verdict(&own), Fail, "a failure of its own: {own:?}");
            let spent = Failed {
                input_spent: true,
                ..failed
            };
            let without_input = if expected == Again {
                Verdict::FailForInput
            } else {
                Fail
            };
            assert_eq!(verdict(&spent), without_input, "{spent:?}");
            let worn = Failed { reruns: 0, ..failed };
            let last = if sent == NotSent { expected } else { Fail };
            assert_eq!(verdict(&worn), last, "{worn:?}");
        }
    }
}
