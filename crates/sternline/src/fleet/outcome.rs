//! What becomes of each host, and what is told on the way.

use std::time::Duration;

use bytes::Bytes;

use super::output::Output;
use super::rules::Skipped;
use crate::error::{Error, ErrorKind, Result};
use crate::exec::{ExecResult, OutputStream};

/// What became of one host.
#[derive(Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// The host, as it was named.
    pub host: String,
    /// How the command ended there, or why it did not. The output of the result is empty: it stands in `stdout` and
    /// `stderr` here, where there is room for any amount.
    pub result: Result<ExecResult>,
    /// How long it took, connecting and waiting for further attempts included. Zero for a host that was never begun.
    pub duration: Duration,
    /// How many attempts there were; 0 for a host that was never begun.
    pub attempts: u32,
    /// What it wrote to its standard output, also where it failed. Empty in [`FleetEvent::Done`].
    pub stdout: Output,
    /// What it wrote to its standard error, also where it failed. Empty in [`FleetEvent::Done`].
    pub stderr: Output,
}

impl Outcome {
    pub(super) fn new(host: &str, result: Result<ExecResult>) -> Self {
        Self {
            host: host.to_owned(),
            result,
            duration: Duration::ZERO,
            attempts: 0,
            stdout: Output::default(),
            stderr: Output::default(),
        }
    }

    /// Of a host whose task ended without an outcome, as it does when it panics.
    pub(super) fn lost(host: &str) -> Self {
        Self::new(host, Err(interrupted()))
    }

    /// Whether the command ran and returned 0.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.result.as_ref().is_ok_and(ExecResult::ok)
    }

    /// Why the host was never begun; `None` where it was.
    #[must_use]
    pub fn skipped(&self) -> Option<Skipped> {
        Skipped::of(self.result.as_ref().err()?)
    }
}

pub(super) fn interrupted() -> Error {
    Error::new(ErrorKind::Local, "the work on this host was interrupted")
}

/// Something that happened on one of the hosts. `index` is the host's place in the list, from 0.
#[derive(Debug)]
#[non_exhaustive]
#[allow(
    clippy::large_enum_variant,
    reason = "the large one comes once for each host, and a box would be in everybody's way"
)]
pub enum FleetEvent {
    /// The work on a host has begun. Hosts that are left out have no such event.
    Started {
        /// Which host.
        index: usize,
    },
    /// Output: one or more complete lines. Only the last of a stream, and one that is longer than a mebibyte, may lack
    /// its line end. Joined, the bytes are the stream as it came.
    Lines {
        /// Which host.
        index: usize,
        /// Where it was written to.
        stream: OutputStream,
        /// The lines.
        bytes: Bytes,
    },
    /// The end, once for every host. The output of the outcome is empty, for it came as lines; a
    /// [`Collector`](super::Collector) puts it in.
    Done {
        /// Which host.
        index: usize,
        /// What became of it.
        outcome: Outcome,
    },
}
