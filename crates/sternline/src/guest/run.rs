//! Running commands in a guest.

use std::borrow::Cow;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use sternline_proto::guest::{
    GuestError, MARK, ShellKind, ShellMode, is_unread, probe_line, without_clixml, wrap,
};
use sternline_proto::text::escape;
use tokio::time::{Instant, timeout_at};

use super::client::GuestClient;
use super::command::{CommandResult, GuestCommand};
use crate::connection::Connection;
use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, PartialOutput, Result, SendState};
use crate::exec::{Command, ExecRequest, Exit, ExitStatus, StreamData};
use crate::shell_session::ShellSession;

/// The least that a command may be given.
const LEAST: Duration = Duration::from_secs(1);

/// How long after its time limit the end of a command is waited for: a process that does not heed SIGTERM is killed
/// after two seconds.
const ENDING: Duration = Duration::from_secs(3);

/// How long `sync` may take: 10 seconds.
const SYNC: Duration = Duration::from_secs(10);

impl GuestClient {
    /// Runs a command and waits for its end. Text is shell text for the guest's login shell; see [`GuestCommand`] for
    /// the rest.
    ///
    /// What the command leaves running in the background with its output open delays the result until it ends.
    /// Dropping the future ends the remote process in the background.
    ///
    /// ```no_run
    /// # async fn example(guest: &sternline::GuestClient) -> sternline::Result<()> {
    /// use std::time::Duration;
    /// use sternline::guest::GuestCommand;
    ///
    /// let result = guest.run("systemctl is-active nginx").await?;
    /// println!("{:?} {}", result.exit_code, result.output());
    /// let upper = GuestCommand::new("tr a-z A-Z").raw().stdin("hello").timeout(Duration::from_secs(5));
    /// assert_eq!(guest.run(upper).await?.output(), "HELLO");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a blank command, one with a NUL byte, or a time limit of less than a second, and
    /// where the account's shell cannot read the line that starts the login shell, as fish and the C shells cannot:
    /// nothing was run then. [`ErrorKind::OperationTimeout`] when the time has passed: the remote process was ended,
    /// which may take up to three seconds more, or the error says that it may have survived. Otherwise why there is
    /// no connection, or how it was lost in the middle; it is never made again for a command that may have run. What
    /// the command had written by then is in [`Error::partial_output`]. An exit code other than 0 is no error.
    pub async fn run(&self, command: impl Into<GuestCommand>) -> Result<CommandResult> {
        self.run_command(command.into()).await
    }

    /// Has the guest write what it has in memory to its disks, with ten seconds for that.
    ///
    /// # Errors
    /// As [`GuestClient::run`], and [`ErrorKind::CommandFailed`] when it fails.
    pub async fn sync(&self) -> Result<()> {
        let result = self.run(GuestCommand::new("sync").raw().timeout(SYNC)).await?;
        match result.ok() {
            true => Ok(()),
            false => Err(self.locate(result.failed("guest sync over SSH"))),
        }
    }

    async fn run_command(&self, command: GuestCommand) -> Result<CommandResult> {
        let kind = self.shell_kind();
        let line = wrap(kind, command.shell, &command.text, command.native_exit_code)
            .map_err(|error| invalid(&error))?;
        if command.timeout < LEAST {
            return Err(Error::new(ErrorKind::Invalid, "timeout must be >= 1"));
        }
        let limit = command.timeout;
        let operation = format!("ssh {}: {}", self.settings().place(), command.shown());
        let through_login = command.shell == ShellMode::Login;
        let begun = Instant::now();
        let late = |error: Error| match error.kind() {
            ErrorKind::CommandTimeout => error.into_operation_timeout(&operation, limit),
            ErrorKind::ConnectionTimeout if begun.elapsed() >= limit => {
                error.into_operation_timeout(&operation, limit)
            }
            _ => error,
        };
        let mut request = ExecRequest::new(Command::shell(line)).stdin(command.stdin);
        let had_one = self.connected();
        let connection = self.connection(limit).await.map_err(late)?;
        let mut outcome = self.gather(&connection, &mut request, begun, limit).await;
        // A connection that was lost while nobody used it may be found out only now. Nothing has been run then.
        if let Err(error) = &outcome
            && had_one
            && error.kind().is_connection()
            && error.sent() == SendState::NotSent
            && begun.elapsed() < limit
        {
            self.drop_stale(&connection);
            let connection = self
                .connection(limit.saturating_sub(begun.elapsed()))
                .await
                .map_err(late)?;
            outcome = self.gather(&connection, &mut request, begun, limit).await;
        }
        let mut result = outcome.map_err(late)?;
        match kind {
            ShellKind::Sh if through_login && is_unread(result.exit_code, &result.stdout, &result.stderr) => {
                self.check_that_it_is_read(&result, limit.saturating_sub(begun.elapsed()).max(LEAST))
                    .await
                    .map_err(late)?;
            }
            ShellKind::PowerShell if through_login => {
                let text = String::from_utf8_lossy(&result.stderr);
                if let Cow::Owned(text) = without_clixml(&text) {
                    result.stderr = Bytes::from(text);
                }
            }
            _ => {}
        }
        Ok(result)
    }

    /// Runs a request to its end, with whatever has come of it if it does not come to one.
    async fn gather(
        &self,
        connection: &Connection,
        request: &mut ExecRequest,
        begun: Instant,
        limit: Duration,
    ) -> Result<CommandResult> {
        request.within(limit.saturating_sub(begun.elapsed()));
        let mut written = Written::default();
        let work = async {
            match self.shell_on(connection).await? {
                Some(shell) => written.status_in(&shell, request).await,
                None => written.status_of(connection, request).await,
            }
        };
        let outcome = match begun.checked_add(limit.saturating_add(ENDING)) {
            None => work.await,
            Some(end) => timeout_at(end, work).await.unwrap_or_else(|_| {
                // Whoever comes next shall not wait for it as well.
                self.drop_stale(connection);
                Err(self.silent())
            }),
        };
        let (stdout, stderr) = (written.stdout.freeze(), written.stderr.freeze());
        match outcome {
            Ok(status) => {
                let (exit_code, signal) = match status {
                    ExitStatus::Code(code) => (Some(code), None),
                    ExitStatus::Signal { name, .. } => (None, Some(name)),
                };
                Ok(CommandResult {
                    exit_code,
                    signal,
                    stdout,
                    stderr,
                    duration: begun.elapsed(),
                })
            }
            Err(error) if error.sent() == SendState::NotSent => Err(error),
            Err(error) => Err(error.with_partial(PartialOutput { stdout, stderr })),
        }
    }

    fn silent(&self) -> Error {
        self.locate(
            Error::new(
                ErrorKind::CommandTimeout,
                "the remote process may still run: the guest does not answer any more",
            )
            .in_phase(Phase::Exec)
            .with_sent(SendState::MayHaveRun)
            .with_hint("see whether the guest still runs, and has its network")
            .with_extra("remote_process_may_survive", true),
        )
    }

    /// An error if the account's shell cannot read the lines that start commands, which is what the output of one
    /// looks like.
    async fn check_that_it_is_read(&self, result: &CommandResult, left: Duration) -> Result<()> {
        let connection = self.connection(left).await?;
        let probe = ExecRequest::new(Command::shell(probe_line())).timeout(left);
        let read = connection.exec(probe).await?;
        if read.stdout_text().contains(MARK) {
            return Ok(());
        }
        let said = result.stderr_text();
        let said = said
            .lines()
            .find(|line| !line.trim().is_empty())
            .unwrap_or_default();
        Err(self.locate(
            Error::new(
                ErrorKind::Invalid,
                format!(
                    "the shell of the account {} cannot read the line that starts a login shell, so nothing was run: {}",
                    escape(self.user()),
                    escape(said.trim())
                ),
            )
            .with_hint(
                "use raw commands, in the language of that shell, or give the account a POSIX shell such as bash",
            ),
        ))
    }
}

/// What a command has written so far.
#[derive(Default)]
struct Written {
    stdout: BytesMut,
    stderr: BytesMut,
}

impl Written {
    async fn status_in(&mut self, shell: &ShellSession, request: &mut ExecRequest) -> Result<ExitStatus> {
        let outcome = shell.run_request(request).await;
        let (stdout, stderr) = match &outcome {
            Ok(result) => (&result.stdout, &result.stderr),
            Err(error) => match error.partial_output() {
                Some(partial) => (&partial.stdout, &partial.stderr),
                None => return outcome.map(|result| result.status),
            },
        };
        (self.stdout, self.stderr) = (stdout.clone().into(), stderr.clone().into());
        outcome.map(|result| result.status)
    }

    async fn status_of(&mut self, connection: &Connection, request: &mut ExecRequest) -> Result<ExitStatus> {
        let mut stream = connection.stream_request(request).await?;
        while let Some(event) = stream.next().await {
            match event.data {
                StreamData::Stdout(bytes) => self.stdout.extend_from_slice(&bytes),
                StreamData::Stderr(bytes) => self.stderr.extend_from_slice(&bytes),
                StreamData::Exit(Exit::Status(status)) => return Ok(status),
                StreamData::Exit(Exit::Failed(error)) => return Err(error),
                // Nobody has a handle by which to cancel it.
                StreamData::Exit(Exit::Cancelled(remote)) => {
                    return Err(Error::new(ErrorKind::Cancelled, remote.to_string()));
                }
            }
        }
        Err(Error::new(
            ErrorKind::NoExitStatus,
            "the command's stream ended without an exit",
        ))
    }
}

pub(super) fn invalid(error: &GuestError) -> Error {
    Error::new(ErrorKind::Invalid, error.to_string())
}
