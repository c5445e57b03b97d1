//! How a sandboxed command ended.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use sternline_proto::text::escape;

use crate::error::{Error, ErrorKind, PartialOutput, Result, SandboxReason, SendState};

/// Whose end a [`ProcessResult`] tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The command ran, and this is how it ended.
    Command,
    /// bubblewrap did not start the command: the sandbox could not be set up, or there is no such program in it. Its own words
    /// are on standard error.
    Bubblewrap,
}

impl Side {
    /// The name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Bubblewrap => "bubblewrap",
        }
    }
}

/// The outcome of a command that ran in a sandbox, or that bubblewrap did not start.
///
/// A lost connection, and a time limit of the call, are an [`Error`] instead: neither can be taken for a success.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessResult {
    /// The command and its arguments, as they were given.
    pub command: Vec<String>,
    /// The exit status; 128 and the number of the signal where one ended the command, as shells have it.
    pub returncode: u32,
    /// What it wrote to its standard output, byte for byte.
    pub stdout: Bytes,
    /// What it wrote to its standard error, byte for byte, without what the sandbox itself has to tell us.
    pub stderr: Bytes,
    /// From the call to the end of its output, waiting for a connection included.
    pub duration: Duration,
    /// Whether the profile's own limit of wall-clock time ended it. The time limit of the call is an error.
    pub timed_out: bool,
    /// The name of the signal that ended the command, without `SIG`. bubblewrap reports it as a status above 128, so a command that
    /// ends with such a status by itself looks alike.
    pub signal: Option<&'static str>,
    /// Whether this is the end of the command, or of bubblewrap without it.
    pub side: Side,
}

impl ProcessResult {
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

    /// Whether the command ran and its exit status is 0.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.side == Side::Command && self.returncode == 0 && !self.timed_out
    }

    /// The result itself if the command succeeded.
    ///
    /// # Errors
    /// [`ErrorKind::CommandFailed`] where the command failed, [`ErrorKind::CommandTimeout`] where the profile's limit ended it, and
    /// [`ErrorKind::Sandbox`] where bubblewrap did not start it; with the output, and the last line of standard error.
    pub fn success(self) -> Result<Self> {
        if self.succeeded() {
            return Ok(self);
        }
        let (kind, what, sent) = match (self.side, self.timed_out) {
            (Side::Bubblewrap, _) => (
                ErrorKind::Sandbox(SandboxReason::Profile),
                "bubblewrap did not start the command".to_owned(),
                SendState::NotSent,
            ),
            (Side::Command, true) => (
                ErrorKind::CommandTimeout,
                "the profile's time limit ended the command".to_owned(),
                SendState::Ran,
            ),
            (Side::Command, false) => (ErrorKind::CommandFailed, self.ending(), SendState::Ran),
        };
        let text = self.stderr_text();
        let said = text.lines().rev().find(|line| !line.trim().is_empty());
        let message = match said {
            Some(line) => format!("{what}: {}", escape(line.trim())),
            None => what,
        };
        let partial = PartialOutput {
            stdout: self.stdout.clone(),
            stderr: self.stderr.clone(),
        };
        Err(Error::new(kind, message).with_sent(sent).with_partial(partial))
    }

    fn ending(&self) -> String {
        match self.signal {
            Some(signal) => format!("the command ended with signal {signal}"),
            None => format!("the command ended with exit status {}", self.returncode),
        }
    }
}

/// The signal that a shell means by a status above 128, by the numbers of Linux.
pub(super) fn signal_of(status: u32) -> Option<&'static str> {
    Some(match status.checked_sub(128)? {
        1 => "HUP",
        2 => "INT",
        3 => "QUIT",
        4 => "ILL",
        5 => "TRAP",
        6 => "ABRT",
        7 => "BUS",
        8 => "FPE",
        9 => "KILL",
        10 => "USR1",
        11 => "SEGV",
        12 => "USR2",
        13 => "PIPE",
        14 => "ALRM",
        15 => "TERM",
        24 => "XCPU",
        25 => "XFSZ",
        31 => "SYS",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(side: Side, returncode: u32, timed_out: bool) -> ProcessResult {
        ProcessResult {
            command: vec!["ls".to_owned()],
            returncode,
            stdout: Bytes::from_static(b"out\xff\n"),
            stderr: Bytes::from_static(b"first\nboom \x1b[31m\n\n"),
            duration: Duration::from_millis(3),
            timed_out,
            signal: signal_of(returncode),
            side,
        }
    }

    #[test]
    fn only_a_command_that_ran_and_returned_0_has_succeeded() {
        assert!(result(Side::Command, 0, false).success().is_ok());
        for (side, code, timed_out, kind, said) in [
            (Side::Command, 3, false, ErrorKind::CommandFailed, "exit status 3"),
            (Side::Command, 137, false, ErrorKind::CommandFailed, "signal KILL"),
            (Side::Command, 0, true, ErrorKind::CommandTimeout, "time limit"),
            (
                Side::Bubblewrap,
                0,
                false,
                ErrorKind::Sandbox(SandboxReason::Profile),
                "not start",
            ),
            (
                Side::Bubblewrap,
                1,
                false,
                ErrorKind::Sandbox(SandboxReason::Profile),
                "not start",
            ),
        ] {
            let error = result(side, code, timed_out).success().unwrap_err();
            assert_eq!(error.kind(), &kind);
            let message = error.to_string();
            assert!(
                message.contains(said) && message.ends_with("boom \\x1b[31m"),
                "{message}"
            );
            assert_eq!(&error.partial_output().unwrap().stdout[..], b"out\xff\n");
        }
    }

    #[test]
    fn a_status_above_128_is_a_signal_where_linux_has_one() {
        for (status, name) in [
            (0, None),
            (128, None),
            (137, Some("KILL")),
            (143, Some("TERM")),
            (200, None),
            (u32::MAX, None),
        ] {
            assert_eq!(signal_of(status), name);
        }
    }
}
