//! What is to be run, and with what.

use std::fmt;
use std::time::Duration;

use sternline_proto::command::Command;
use sternline_proto::text::escape;

use super::stdin::Stdin;
use crate::connection::Pty;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::SharedSecret;

/// A command with its input, environment, terminal and time limit.
///
/// Made from a [`Command`], or from text, which is shell text. The server receives exactly the command line that the
/// command composes; nothing is wrapped round it, unless it is to answer sudo.
pub struct ExecRequest {
    pub(crate) command: Command,
    pub(crate) stdin: Stdin,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) pty: Option<Pty>,
    pub(crate) timeout: Option<Duration>,
    pub(super) retry: RetryOnDisconnect,
    pub(crate) sudo_password: Option<SharedSecret>,
    /// What events show instead of the command line.
    pub(super) shown: Option<String>,
}

/// What a supervisor does with a command whose connection is lost; see [`ExecRequest::retry_on_disconnect`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum RetryOnDisconnect {
    /// It is an error.
    Never,
    /// The command is run on the next connection if the server certainly never saw it. Otherwise it is an error, which
    /// says whether the command may have run or did.
    #[default]
    IfNotSent,
    /// The command is run on the next connection in any case, as often as the retry policy tries to connect again. So
    /// it may run more than once, even at the same time: for commands that do no harm then.
    Always,
}

/// Shows the names of the variables, never their values.
impl fmt::Debug for ExecRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let env: Vec<&str> = self.env.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("ExecRequest")
            .field("command", &self.command)
            .field("stdin", &self.stdin)
            .field("env", &env)
            .field("pty", &self.pty)
            .field("timeout", &self.timeout)
            .field("retry", &self.retry)
            .field("sudo_password", &self.sudo_password)
            .finish()
    }
}

impl ExecRequest {
    /// The command with empty input, no terminal and no time limit.
    #[must_use]
    pub fn new(command: impl Into<Command>) -> Self {
        Self {
            command: command.into(),
            stdin: Stdin::Empty,
            env: Vec::new(),
            pty: None,
            timeout: None,
            retry: RetryOnDisconnect::default(),
            sudo_password: None,
            shown: None,
        }
    }

    /// What the command reads. Default: nothing, its input is at its end.
    #[must_use]
    pub fn stdin(mut self, stdin: impl Into<Stdin>) -> Self {
        self.stdin = stdin.into();
        self
    }

    /// Asks the server to set a variable (RFC 4254 section 6.4). sshd refuses all but those of its `AcceptEnv`; the
    /// refused ones are named in the result. `Command::env` sets variables without asking.
    #[must_use]
    pub fn request_env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Runs the command in a pseudo-terminal: its standard error is then mixed into its standard output.
    #[must_use]
    pub fn pty(mut self, pty: Pty) -> Self {
        self.pty = Some(pty);
        self
    }

    /// What to answer sudo when it asks, for a command with [`Sudo::Password`](crate::proto::command::Sudo::Password); without
    /// meaning for any other.
    ///
    /// It is written once at most, when sudo's own prompt was seen, and never to the command: where sudo does not ask,
    /// nobody is told. A [`SharedSecret`] that one host has refused is given to no other. The command's input follows once the command has started. Until then starting it is not over: `exec` and
    /// `stream_exec` fail with [`ErrorKind::Sudo`] when sudo does not start it.
    ///
    /// ```no_run
    /// # async fn example(connection: &sternline::Connection, password: sternline::Secret) -> sternline::Result<()> {
    /// use sternline::exec::{Command, ExecRequest};
    /// use sternline::proto::command::Sudo;
    ///
    /// let command = Command::shell("tee /etc/motd").sudo(Sudo::Password);
    /// let request = ExecRequest::new(command).sudo_password(password).stdin("welcome\n");
    /// connection.exec(request).await?.success()?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn sudo_password(mut self, password: impl Into<SharedSecret>) -> Self {
        self.sudo_password = Some(password.into());
        self
    }

    /// Whether a [`Supervisor`](crate::Supervisor) runs the command again when its connection is lost. Default: only if
    /// it was not sent. A [`Connection`](crate::Connection) by itself never runs anything twice.
    #[must_use]
    pub fn retry_on_disconnect(mut self, retry: RetryOnDisconnect) -> Self {
        self.retry = retry;
        self
    }

    /// Refuses what servers answer by ending the connection, with everything else that runs on it.
    pub(super) fn check(&self, line: &[u8]) -> Result<()> {
        /// OpenSSH takes packets of 256 KiB; a little of that is not the text itself.
        const LARGEST: usize = 255 * 1024;
        let invalid =
            |message: String, hint: &str| Err(Error::new(ErrorKind::Invalid, message).with_hint(hint));
        if line.len() > LARGEST {
            return invalid(
                format!(
                    "the command line is too long for an SSH request: {} bytes",
                    line.len()
                ),
                "hand long texts over as the command's input",
            );
        }
        for (name, value) in &self.env {
            if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
                return invalid(
                    format!("the variable \"{}\" cannot be requested", escape(name)),
                    "a name is not empty and holds no =, and neither name nor value holds a NUL byte",
                );
            }
            if name.len() + value.len() > LARGEST {
                return invalid(
                    format!("the variable \"{}\" is too long for an SSH request", escape(name)),
                    "hand long texts over as the command's input",
                );
            }
        }
        match &self.pty {
            Some(pty) if pty.term.contains('\0') => invalid(
                "the terminal's type holds a NUL byte".to_owned(),
                "name a type such as xterm",
            ),
            _ => Ok(()),
        }
    }

    /// What events show instead of the command line, where that says nothing.
    pub(crate) fn shown_as(mut self, text: String) -> Self {
        self.shown = Some(text);
        self
    }

    /// Lowers the time limit to this one, if it is not lower already.
    pub(crate) fn within(&mut self, limit: Duration) {
        self.timeout = Some(self.timeout.map_or(limit, |own| own.min(limit)));
    }

    /// How long the command may take, waiting for a free session included. When it is over, the remote process is
    /// ended. With a supervisor, waiting for the connection and all attempts are included. Default: no limit.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

impl From<Command> for ExecRequest {
    fn from(command: Command) -> Self {
        Self::new(command)
    }
}

impl From<&str> for ExecRequest {
    fn from(text: &str) -> Self {
        Self::new(Command::shell(text))
    }
}

impl From<String> for ExecRequest {
    fn from(text: String) -> Self {
        Self::new(Command::shell(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_of_a_variable_and_no_input_shows_in_debug_output() {
        let command = Command::shell("run").env("A", "hunter2");
        let request = ExecRequest::new(command)
            .request_env("B", "hunter2")
            .sudo_password("hunter2")
            .stdin("hunter2");
        let shown = format!("{request:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("export A=") && shown.contains("\"B\""), "{shown}");
    }
}
