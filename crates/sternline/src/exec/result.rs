//! How a command ended.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use sternline_proto::redact::Redactor;
use sternline_proto::text::escape;

use crate::error::{Error, ErrorKind, PartialOutput, Result, SendState};

/// How the command itself ended. A lost connection or a time limit is an [`Error`] instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExitStatus {
    /// It returned this status (RFC 4254 section 6.10).
    Code(u32),
    /// A signal ended it.
    Signal {
        /// The signal's name without `SIG`, for example `TERM`.
        name: String,
        /// Whether the server says that a core was dumped.
        core_dumped: bool,
        /// What the server says about it, often nothing; unescaped.
        message: String,
    },
}

impl ExitStatus {
    /// The status as a shell reports it: the code, or 128 and the number of the signal.
    #[must_use]
    pub fn shell_code(&self) -> u32 {
        match self {
            Self::Code(code) => *code,
            Self::Signal { name, .. } => 128 + signal_number(name),
        }
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit status {code}"),
            Self::Signal { name, .. } => write!(f, "signal {}", escape(name)),
        }
    }
}

/// The number that Linux gives a signal; 0 for a name that is unknown there.
fn signal_number(name: &str) -> u32 {
    const NUMBERS: [(&str, u32); 16] = [
        ("HUP", 1),
        ("INT", 2),
        ("QUIT", 3),
        ("ILL", 4),
        ("TRAP", 5),
        ("ABRT", 6),
        ("BUS", 7),
        ("FPE", 8),
        ("KILL", 9),
        ("USR1", 10),
        ("SEGV", 11),
        ("USR2", 12),
        ("PIPE", 13),
        ("ALRM", 14),
        ("TERM", 15),
        ("SYS", 31),
    ];
    NUMBERS
        .iter()
        .find(|(known, _)| *known == name)
        .map_or(0, |(_, number)| *number)
}

/// The outcome of a command that ran to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExecResult {
    /// What it wrote to its standard output, byte for byte.
    pub stdout: Bytes,
    /// What it wrote to its standard error, byte for byte.
    pub stderr: Bytes,
    /// How it ended.
    pub status: ExitStatus,
    /// From the call to the end of its output.
    pub duration: Duration,
    /// Variables that the server refused to set.
    pub env_refused: Vec<String>,
    /// On how many connections it was tried: 1, unless a supervisor had to try again.
    pub attempts: u32,
    pub(crate) secrets: Secrets,
}

/// What must not stand in the error of a command that has failed. It says nothing about the outcome, so any two are
/// equal.
#[derive(Debug, Clone, Default)]
pub(crate) struct Secrets(Redactor);

impl From<&Redactor> for Secrets {
    fn from(redactor: &Redactor) -> Self {
        Self(redactor.clone())
    }
}

impl PartialEq for Secrets {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Secrets {}

impl ExecResult {
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

    /// The exit code; `None` when a signal ended the command.
    #[must_use]
    pub fn exit_code(&self) -> Option<u32> {
        match self.status {
            ExitStatus::Code(code) => Some(code),
            ExitStatus::Signal { .. } => None,
        }
    }

    /// The name of the signal that ended the command, without `SIG`.
    #[must_use]
    pub fn signal(&self) -> Option<&str> {
        match &self.status {
            ExitStatus::Code(_) => None,
            ExitStatus::Signal { name, .. } => Some(name),
        }
    }

    /// Whether the exit code is 0.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.exit_code() == Some(0)
    }

    /// The result itself if the exit code is 0.
    ///
    /// # Errors
    /// [`ErrorKind::CommandFailed`] otherwise, with the output and the last line of standard error.
    pub fn success(self) -> Result<Self> {
        if self.ok() {
            return Ok(self);
        }
        let text = self.stderr_text();
        let said = text.lines().rev().find(|line| !line.trim().is_empty());
        let message = match said {
            Some(line) => format!("the command ended with {}: {}", self.status, escape(line.trim())),
            None => format!("the command ended with {}", self.status),
        };
        let partial = PartialOutput {
            stdout: self.stdout.clone(),
            stderr: self.stderr.clone(),
        };
        Err(Error::new(ErrorKind::CommandFailed, message)
            .with_sent(SendState::Ran)
            .with_partial(partial)
            .redacted_by(&self.secrets.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(status: ExitStatus) -> ExecResult {
        ExecResult {
            stdout: Bytes::from_static(b"out\xff\n"),
            stderr: Bytes::from_static(b"first\nboom \x1b[31m\n\n"),
            status,
            duration: Duration::from_millis(3),
            env_refused: Vec::new(),
            attempts: 1,
            secrets: Secrets::default(),
        }
    }

    fn killed(name: &str) -> ExitStatus {
        ExitStatus::Signal {
            name: name.into(),
            core_dumped: false,
            message: String::new(),
        }
    }

    #[test]
    fn a_shell_would_report_the_same_status() {
        for (status, code) in [
            (ExitStatus::Code(3), 3),
            (killed("KILL"), 137),
            (killed("TERM"), 143),
            (killed("weird@example.com"), 128),
        ] {
            assert_eq!(status.shell_code(), code);
        }
    }

    #[test]
    fn success_turns_a_failed_command_into_an_error_that_keeps_its_output() {
        assert!(result(ExitStatus::Code(0)).success().is_ok());
        let error = result(ExitStatus::Code(3)).success().unwrap_err();
        assert_eq!(
            error.to_string(),
            "the command ended with exit status 3: boom \\x1b[31m"
        );
        assert_eq!(error.partial_output().unwrap().stdout, &b"out\xff\n"[..]);
        assert_eq!(error.sent(), SendState::Ran);
    }

    #[test]
    fn text_views_replace_what_is_not_utf8_and_the_bytes_stay() {
        let result = result(ExitStatus::Code(0));
        assert_eq!(result.stdout_text(), "out\u{fffd}\n");
        assert_eq!(&result.stdout[..], b"out\xff\n");
    }
}
