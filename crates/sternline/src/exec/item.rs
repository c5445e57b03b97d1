//! What a stream of a command's output consists of.

use bytes::Bytes;

use super::result::ExitStatus;
use crate::connection::RemoteEnd;
use crate::error::Error;

/// Something a running command did.
#[derive(Debug)]
pub struct StreamEvent {
    /// When it arrived, in milliseconds since the Unix epoch.
    pub timestamp: f64,
    /// What it was.
    pub data: StreamData,
}

/// What a [`StreamEvent`] carries.
#[derive(Debug)]
pub enum StreamData {
    /// Bytes on standard output.
    Stdout(Bytes),
    /// Bytes on standard error.
    Stderr(Bytes),
    /// The end: always the last event, and always there.
    Exit(Exit),
}

impl StreamEvent {
    /// `stdout`, `stderr` or `exit`.
    #[must_use]
    pub fn stream(&self) -> &'static str {
        match self.data {
            StreamData::Stdout(_) => "stdout",
            StreamData::Stderr(_) => "stderr",
            StreamData::Exit(_) => "exit",
        }
    }

    /// The exit code, if this is the exit of a command that returned one.
    #[must_use]
    pub fn exit_code(&self) -> Option<u32> {
        match &self.data {
            StreamData::Exit(Exit::Status(ExitStatus::Code(code))) => Some(*code),
            _ => None,
        }
    }
}

/// How a streamed command ended.
#[derive(Debug)]
pub enum Exit {
    /// It ended by itself.
    Status(ExitStatus),
    /// It was cancelled from this side.
    Cancelled(RemoteEnd),
    /// It was stopped, or lost sight of: its time limit, a lost connection, a refusal of the server. The error says
    /// which, and how far it got.
    Failed(Error),
}
