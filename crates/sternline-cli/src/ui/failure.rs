//! Why a subcommand failed, as it is shown.

use std::io;
use std::process::ExitCode;

use sternline::error::SandboxReason;
use sternline::{Error, ErrorKind, Phase};

use crate::exit;

/// What happened, in which phase, what to try, and the exit status that says so to scripts.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    phase: Option<Phase>,
    hint: Option<String>,
    status: u8,
    silent: bool,
    signal: Option<u8>,
}

impl Failure {
    fn new(status: u8, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            phase: None,
            hint: None,
            status,
            silent: false,
            signal: None,
        }
    }

    /// The command line makes no sense. Give it a hint.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(exit::USAGE, message)
    }

    /// Something on this machine failed. The message must already be escaped.
    pub(crate) fn local(message: impl Into<String>) -> Self {
        Self::new(exit::FAILED, message)
    }

    /// The connection failed, or what was to run on it was stopped.
    pub(crate) fn connection(message: impl Into<String>) -> Self {
        Self::new(exit::CONNECTION, message)
    }

    /// Writing to standard output failed. That nobody reads it any more is said by the exit status alone.
    pub(crate) fn output(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self {
                silent: true,
                ..Self::new(exit::BROKEN_PIPE, "")
            };
        }
        Self::new(
            exit::CONNECTION,
            format!("cannot write to standard output: {error}"),
        )
        .with_hint("check where standard output leads, and whether its disk is full")
    }

    /// A signal asked us to stop.
    pub(crate) fn interrupted(signal: u8) -> Self {
        Self {
            silent: true,
            signal: Some(signal),
            ..Self::new(exit::SIGNAL_BASE + signal, "")
        }
    }

    /// The signal that asked us to stop, if one did.
    pub(crate) fn signal(&self) -> Option<u8> {
        self.signal
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn with_status(mut self, status: u8) -> Self {
        self.status = status;
        self
    }

    /// Says which of several hosts it is about.
    pub(crate) fn on_host(mut self, host: &str) -> Self {
        self.message = format!("{host}: {}", self.message);
        self
    }

    /// What happened, and in which phase.
    pub(crate) fn headline(&self) -> String {
        match self.phase {
            Some(phase) => format!("{} (phase: {phase})", self.message),
            None => self.message.clone(),
        }
    }

    /// What to try.
    pub(crate) fn hint(&self) -> &str {
        self.hint
            .as_deref()
            .unwrap_or("run it again with -v to see each step")
    }

    /// Whether the exit status says all.
    pub(crate) fn is_silent(&self) -> bool {
        self.silent
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.status)
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        let status = match error.kind() {
            ErrorKind::CommandTimeout => exit::TIMED_OUT,
            ErrorKind::Invalid => exit::USAGE,
            ErrorKind::Sandbox(SandboxReason::NotAllowed) => exit::NOT_ALLOWED,
            ErrorKind::Sandbox(_) => exit::NO_SANDBOX,
            _ => exit::CONNECTION,
        };
        Self {
            phase: error.phase(),
            hint: Some(error.hint().to_owned()),
            ..Self::new(status, error.to_string())
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::from(&error)
    }
}
