//! What a session has between two commands, and the time that a command has.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::shell::{Shell, Started, start};
use crate::connection::Connection;
use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, Result, seconds};
use crate::exec::ExecRequest;

/// What whoever has the turn may change.
pub(super) struct State {
    /// `None` while it runs something, and where it has ended.
    pub(super) shell: Option<Shell>,
    /// A command was to be remembered: another shell would not be the same.
    pub(super) keeps: bool,
    pub(super) closed: bool,
}

impl State {
    pub(super) fn new(shell: Option<Shell>) -> Self {
        Self {
            shell,
            keeps: false,
            closed: false,
        }
    }

    /// The shell, or another one in its place.
    pub(super) async fn take_shell(&mut self, connection: &Connection, limit: &Limit) -> Result<Shell> {
        if let Some(shell) = self.shell.take()
            && !shell.channel.has_exited()
        {
            return Ok(shell);
        }
        let link = connection.link();
        if link.has_ended() {
            return Err(link.lost().in_phase(Phase::Exec));
        }
        if self.keeps {
            return Err(ended(
                "the session's shell has ended, and what it had kept is gone",
            ));
        }
        match limit.hold(start(connection), "no shell was there").await?? {
            Started::Shell(shell) => Ok(shell),
            Started::Unsuitable(reason) => Err(ended(&format!(
                "the session's shell has ended, and there is no other: {reason}"
            ))),
        }
    }
}

/// Nothing runs in this session any more.
pub(super) fn ended(message: &str) -> Error {
    Error::new(ErrorKind::Channel, message).with_hint("open another session")
}

/// How long a call may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    pub(super) since: Instant,
    /// When it is over, and how long that is. A limit beyond what the clock can express is none.
    pub(super) at: Option<(Instant, Duration)>,
}

impl Limit {
    pub(super) fn of(request: &ExecRequest, since: Instant) -> Self {
        let at = request
            .timeout
            .and_then(|limit| Some((since.checked_add(limit)?, limit)));
        Self { since, at }
    }

    /// Does something that comes before the command, as long as there is time.
    pub(super) async fn hold<T>(&self, work: impl Future<Output = T>, why: &str) -> Result<T> {
        let Some((at, limit)) = self.at else {
            return Ok(work.await);
        };
        timeout_at(at, work).await.map_err(|_| {
            Error::new(
                ErrorKind::CommandTimeout,
                format!("the command did not start within {}: {why}", seconds(limit)),
            )
            .with_hint("raise the time limit, or use another session for what takes long")
        })
    }
}
