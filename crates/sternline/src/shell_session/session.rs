//! A session, as its users hold it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sternline_proto::framing::LONGEST_INPUT;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tracing::Instrument;

use super::attended::Attended;
use super::run::{Asked, run};
use super::shell::{Started, start};
use super::state::{Limit, State, ended};
use crate::connection::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::exec::{ExecRequest, ExecResult, Stdin};

/// Commands that one remote POSIX shell runs one after another.
///
/// A command on a channel of its own costs the server some processes and a round trip more; here it costs a line of text. Made by
/// [`Connection::shell_session`]. Clones share the shell. Calls queue: one command runs at a time.
///
/// What is different from [`Connection::exec`]:
/// - Text is text for `/bin/sh`, whatever the account's shell is.
/// - A command that a signal ends has the status 128 and the signal's number.
/// - What a command leaves running in the background does not hold up its end. If it still writes to the command's output, that
///   ends up in the output of the commands that come later: redirect it.
/// - A command of the same user can disturb its shell, as it can anything else of that user's.
/// - A program that leaves its output non-blocking makes later commands lose output: they write to the same pipes.
///
/// The shell takes one of the connection's sessions for as long as the `ShellSession` exists, and ends when the last clone is gone.
#[derive(Clone)]
pub struct ShellSession {
    inner: Arc<Inner>,
}

struct Inner {
    connection: Connection,
    /// Why there is no shell.
    fallback: Option<String>,
    state: Arc<Mutex<State>>,
}

impl Connection {
    /// Starts a shell that runs one command after another, much faster than each on a channel of its own.
    ///
    /// The shell is `/bin/sh`, started by the account's own. Where there is none (a forced command, an account without shell,
    /// Windows) the session is made all the same, and gives each command a channel: see [`ShellSession::fallback`]. To find that
    /// out may take as long as the channel's deadline where a forced command says nothing.
    ///
    /// Dropping the future ends what it has started.
    ///
    /// # Errors
    /// When the server opens no session, or the connection has ended.
    ///
    /// ```no_run
    /// # async fn example(connection: &sternline::Connection) -> sternline::Result<()> {
    /// let session = connection.shell_session().await?;
    /// for unit in ["nginx", "postgresql", "cron"] {
    ///     let state = session.run(format!("systemctl is-active {unit}")).await?;
    ///     println!("{unit}: {}", state.stdout_text().trim());
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn shell_session(&self) -> Result<ShellSession> {
        let started = start(self).await.map_err(|error| self.locate(error))?;
        let (shell, fallback) = match started {
            Started::Shell(shell) => (Some(shell), None),
            Started::Unsuitable(reason) => {
                tracing::info!(
                    host = self.host(),
                    reason,
                    "each command gets a channel: there is no shell"
                );
                (None, Some(reason))
            }
        };
        Ok(ShellSession {
            inner: Arc::new(Inner {
                connection: self.clone(),
                fallback,
                state: Arc::new(Mutex::new(State::new(shell))),
            }),
        })
    }
}

impl ShellSession {
    /// Runs a command in a subshell and waits for its end: whatever it does to directory, variables, options or traps is gone with it.
    ///
    /// Its input is empty unless the request gives one. A request with a terminal, with variables for the server, with a password for
    /// sudo, or with an input that is longer than 32,000 bytes or a stream, runs on a channel of its own.
    ///
    /// The time limit counts from the call. When it passes, the command and what it has started are ended, and the shell goes on,
    /// or is replaced if it cannot. Dropping the future does the same in the background. A shell that has ended meanwhile is replaced as
    /// well, unless it had kept something.
    ///
    /// # Errors
    /// As for [`Connection::exec`]. [`ErrorKind::NoExitStatus`] when the shell has ended and did not say how the command had;
    /// [`ErrorKind::Channel`] when the shell has ended that had kept something, or the session is closed.
    pub async fn run(&self, request: impl Into<ExecRequest>) -> Result<ExecResult> {
        self.queue(&mut request.into(), false).await
    }

    /// As [`ShellSession::run`]. Leaves the request as it was, but for an input that can be read only once and has begun to be.
    pub(crate) async fn run_request(&self, request: &mut ExecRequest) -> Result<ExecResult> {
        self.queue(request, false).await
    }

    /// Runs a command in the shell itself, which keeps what it does: a `cd`, variables, functions, options. The commands after it
    /// find it so, [`ShellSession::run`] too.
    ///
    /// There is nothing that a builtin would start a process for. Its input is empty. `exit` ends the shell with that status; after
    /// that, and after any other end of the shell, every call is an error, because another shell would not be the same.
    ///
    /// # Errors
    /// As for [`ShellSession::run`]. [`ErrorKind::Invalid`] for a request with input, terminal, variables for the server, password for
    /// sudo, or a command with a directory, variables or login shell of its own, and where the session has no shell.
    ///
    /// ```no_run
    /// # async fn example(session: &sternline::ShellSession) -> sternline::Result<()> {
    /// session.run_and_keep("cd /srv/app && . ./env.sh").await?.success()?;
    /// session.run("make check").await?.success()?;
    /// # Ok(()) }
    /// ```
    pub async fn run_and_keep(&self, request: impl Into<ExecRequest>) -> Result<ExecResult> {
        self.queue(&mut request.into(), true).await
    }

    /// As [`ShellSession::run`], while somebody attends to the command; the time limit counts from `since`. What was passed on before
    /// the end is not in the result or error. `None` where it would need a channel of its own, or have to wait for another command.
    pub(crate) async fn run_attended(
        &self,
        request: &mut ExecRequest,
        since: Instant,
        attended: Attended,
    ) -> Option<Result<ExecResult>> {
        let connection = &self.inner.connection;
        if self.inner.fallback.is_some() || !Self::takes(request) {
            return None;
        }
        let state = Arc::clone(&self.inner.state).try_lock_owned().ok()?;
        if state.closed {
            return None;
        }
        let asked = Asked {
            command: &request.command,
            input: input(request),
            keep: false,
            limit: Limit::of(request, since),
            attended: Some(attended),
        };
        let span = tracing::info_span!("exec", host = connection.host(), port = connection.port());
        let outcome = run(connection, state, asked).instrument(span).await;
        Some(outcome.map_err(|error| connection.locate(error)))
    }

    /// Whether a request can run in a shell at all.
    pub(crate) fn takes(request: &ExecRequest) -> bool {
        unfit(request).is_none()
    }

    /// Whether it is on this connection.
    pub(crate) fn is_on(&self, connection: &Connection) -> bool {
        self.inner.connection.is_same(connection)
    }

    /// Why every command gets a channel of its own; `None` where they go through one shell. What the server says is escaped.
    #[must_use]
    pub fn fallback(&self) -> Option<&str> {
        self.inner.fallback.as_deref()
    }

    /// Ends the shell, once what runs in it has ended; whatever was left in the background goes on. Further calls are errors. Does nothing
    /// the second time.
    pub async fn close(&self) {
        /// A shell has nothing to do but to exit.
        const PATIENCE: Duration = Duration::from_secs(2);
        let mut state = self.inner.state.lock().await;
        state.closed = true;
        if let Some(shell) = state.shell.take() {
            let _ = shell.channel.sender().eof().await;
            let _ = timeout(PATIENCE, shell.channel.sender().ended()).await;
        }
    }

    async fn queue(&self, request: &mut ExecRequest, keep: bool) -> Result<ExecResult> {
        let connection = &self.inner.connection;
        let span = tracing::info_span!("exec", host = connection.host(), port = connection.port());
        self.take_turn(request, keep)
            .instrument(span)
            .await
            .map_err(|error| connection.locate(error))
    }

    async fn take_turn(&self, request: &mut ExecRequest, keep: bool) -> Result<ExecResult> {
        let connection = &self.inner.connection;
        let limit = Limit::of(request, Instant::now());
        let unfit = unfit(request);
        if keep {
            self.check_kept(request, unfit)?;
        }
        let turn = Arc::clone(&self.inner.state).lock_owned();
        let state = limit.hold(turn, "those before it took so long").await?;
        if state.closed {
            return Err(ended("the shell session is closed"));
        }
        if self.inner.fallback.is_some() || unfit.is_some() {
            return match unfit.filter(|_| state.keeps) {
                // The turn is held: commands of a session never run side by side.
                None => connection.collect(request, limit.since).await,
                Some(what) => Err(Error::new(
                    ErrorKind::Invalid,
                    format!("a command with {what} cannot run in a shell, and elsewhere it would miss what that has kept"),
                )
                .with_hint("use Connection::exec, or a session that keeps nothing")),
            };
        }
        let asked = Asked {
            command: &request.command,
            input: input(request),
            keep,
            limit,
            attended: None,
        };
        run(connection, state, asked).await
    }

    fn check_kept(&self, request: &ExecRequest, unfit: Option<&str>) -> Result<()> {
        let invalid =
            |message: String, hint: &str| Err(Error::new(ErrorKind::Invalid, message).with_hint(hint));
        if let Some(reason) = self.fallback() {
            return invalid(
                format!("nothing can be kept: the session has no shell: {reason}"),
                "have one command text do all of it",
            );
        }
        let has_input = !matches!(request.stdin, Stdin::Empty);
        match unfit.or(has_input.then_some("input")) {
            Some(what) => invalid(
                format!("a command with {what} does not run in the shell itself"),
                "run it without keeping what it does",
            ),
            None if request.command.has_surroundings() => invalid(
                "a command with a directory, variables or login shell of its own keeps nothing".to_owned(),
                "use cd and export in the command's text, or run it without keeping what it does",
            ),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for ShellSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShellSession")
            .field("connection", &self.inner.connection)
            .field("fallback", &self.inner.fallback)
            .finish_non_exhaustive()
    }
}

/// What becomes a part of the line.
fn input(request: &ExecRequest) -> Bytes {
    match &request.stdin {
        Stdin::Bytes(bytes) => bytes.clone(),
        Stdin::Empty | Stdin::Reader(_) | Stdin::Piped => Bytes::new(),
    }
}

/// What a request has that a shell has no place for.
fn unfit(request: &ExecRequest) -> Option<&'static str> {
    if request.pty.is_some() {
        return Some("a terminal");
    }
    if !request.env.is_empty() {
        return Some("variables for the server");
    }
    if request.command.answers_sudo() {
        return Some("a password for sudo");
    }
    match &request.stdin {
        Stdin::Empty => None,
        Stdin::Bytes(bytes) if bytes.len() <= LONGEST_INPUT => None,
        Stdin::Bytes(_) | Stdin::Reader(_) | Stdin::Piped => Some("long input"),
    }
}
