//! A command for a guest, and what came of it.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use sternline_proto::guest::ShellMode;
use sternline_proto::redact::redact_string;
use sternline_proto::text::escape;

use crate::error::{Error, ErrorKind, PartialOutput, Result, SendState};
use crate::exec::Stdin;

/// How long [`GuestClient::run`](super::GuestClient::run) gives a command that says nothing else: 30 seconds.
pub const RUN_TIMEOUT: Duration = Duration::from_secs(30);

/// Shell text with its input and time limit, for [`GuestClient::run`](super::GuestClient::run). Text becomes one with
/// the defaults.
#[must_use]
pub struct GuestCommand {
    pub(super) text: String,
    pub(super) timeout: Duration,
    pub(super) shell: ShellMode,
    pub(super) stdin: Stdin,
    pub(super) native_exit_code: bool,
}

impl GuestCommand {
    /// This text, in the guest's login shell, with empty input and 30 seconds.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            timeout: RUN_TIMEOUT,
            shell: ShellMode::default(),
            stdin: Stdin::Empty,
            native_exit_code: false,
        }
    }

    /// How long it may take in all, connecting and waiting for a free session included. At least one second. The
    /// remote process is ended when it is over.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Whether it goes through the guest's login shell. Default [`ShellMode::Login`].
    pub fn shell(mut self, shell: ShellMode) -> Self {
        self.shell = shell;
        self
    }

    /// Without a login shell: the same as `shell(ShellMode::Raw)`.
    pub fn raw(self) -> Self {
        self.shell(ShellMode::Raw)
    }

    /// What it reads. Default: nothing, its input is at its end.
    pub fn stdin(mut self, stdin: impl Into<Stdin>) -> Self {
        self.stdin = stdin.into();
        self
    }

    /// Has PowerShell end with the exit code of the last native program that it ran (`exit $LASTEXITCODE`). Without
    /// it every failure is 1. Default: no; it means nothing to other shells.
    pub fn native_exit_code(mut self, propagate: bool) -> Self {
        self.native_exit_code = propagate;
        self
    }

    /// The text for messages: without what looks like a secret in it, and not at any length.
    pub(super) fn shown(&self) -> String {
        const LONGEST: usize = 80;
        let redacted = redact_string(&self.text);
        let mut shown: String = redacted.chars().take(LONGEST).collect();
        if shown.len() < redacted.len() {
            shown.push_str("...");
        }
        escape(&shown)
    }
}

impl From<&str> for GuestCommand {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for GuestCommand {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for GuestCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuestCommand")
            .field("text", &self.shown())
            .field("timeout", &self.timeout)
            .field("shell", &self.shell)
            .field("stdin", &self.stdin)
            .field("native_exit_code", &self.native_exit_code)
            .finish()
    }
}

/// The outcome of a command that ran to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommandResult {
    /// The exit code; `None` when a signal ended it.
    pub exit_code: Option<u32>,
    /// The signal that ended it, without `SIG`.
    pub signal: Option<String>,
    /// What it wrote to its standard output, byte for byte.
    pub stdout: Bytes,
    /// What it wrote to its standard error; of PowerShell the text, without progress and CLIXML.
    pub stderr: Bytes,
    /// From the call to the end, connecting included.
    pub duration: Duration,
}

impl CommandResult {
    /// Whether the exit code is 0.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.exit_code == Some(0)
    }

    /// Standard output as text, without blanks and line ends around it.
    #[must_use]
    pub fn output(&self) -> String {
        self.stdout_text().trim().to_owned()
    }

    /// Standard output as text; what is not UTF-8 becomes U+FFFD.
    #[must_use]
    pub fn stdout_text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.stdout)
    }

    /// Standard error as text; what is not UTF-8 becomes U+FFFD.
    #[must_use]
    pub fn stderr_text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.stderr)
    }

    /// The result itself if the exit code is 0.
    ///
    /// # Errors
    /// [`ErrorKind::CommandFailed`] otherwise, with the output and the last line of standard error.
    pub fn success(self) -> Result<Self> {
        match self.ok() {
            true => Ok(self),
            false => Err(self.failed("the command")),
        }
    }

    /// The error of a command, named so, that has not ended well.
    pub(super) fn failed(&self, what: &str) -> Error {
        let how = match (&self.signal, self.exit_code) {
            (Some(signal), _) => format!("signal {}", escape(signal)),
            (None, code) => format!("exit status {}", code.unwrap_or_default()),
        };
        let said = self.stderr_text();
        let said = said.lines().rev().find(|line| !line.trim().is_empty());
        let message = match said {
            Some(line) => format!("{what} ended with {how}: {}", escape(line.trim())),
            None => format!("{what} ended with {how}"),
        };
        Error::new(ErrorKind::CommandFailed, message)
            .with_sent(SendState::Ran)
            .with_partial(PartialOutput {
                stdout: self.stdout.clone(),
                stderr: self.stderr.clone(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(exit_code: Option<u32>, stdout: &'static str, stderr: &'static str) -> CommandResult {
        CommandResult {
            exit_code,
            signal: exit_code.is_none().then(|| "KILL".to_owned()),
            stdout: Bytes::from_static(stdout.as_bytes()),
            stderr: Bytes::from_static(stderr.as_bytes()),
            duration: Duration::ZERO,
        }
    }

    #[test]
    fn a_result_is_ok_with_exit_code_0_and_its_output_is_stripped() {
        let fine = result(Some(0), " \n a b \r\n\n", "");
        assert!(fine.ok());
        assert_eq!(fine.output(), "a b");
        assert_eq!(fine.stdout_text(), " \n a b \r\n\n");
        assert!(fine.success().is_ok());
        for (exit_code, stderr, expected) in [
            (Some(3), "why\n\n", "the command ended with exit status 3: why"),
            (Some(1), "", "the command ended with exit status 1"),
            (None, "", "the command ended with signal KILL"),
        ] {
            let failed = result(exit_code, "", stderr);
            assert!(!failed.ok());
            assert_eq!(failed.success().unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn a_command_is_shown_without_secrets_and_not_at_any_length() {
        let command = GuestCommand::new("mysql --password=hunter2hunter2 -e 'x\ny'");
        let shown = format!("{command:?} {}", command.shown());
        assert!(!shown.contains("hunter2") && !shown.contains('\n'), "{shown}");
        let long = GuestCommand::new("é".repeat(500)).shown();
        assert_eq!(long, format!("{}...", "é".repeat(80)));
        let defaults = GuestCommand::from("true");
        assert_eq!(defaults.timeout, Duration::from_secs(30));
        assert_eq!(defaults.shell, ShellMode::Login);
    }
}
