//! What became of a host of a fleet, and what it wrote.

use std::fmt;
use std::io::{self, BufRead, Read};
use std::time::Duration;

use bytes::{Buf, Bytes};

use super::io::io_error;
use super::runtime::Runtime;
use crate::error::Result;
use crate::exec::ExecResult;
use crate::fleet::{
    Outcome as AsynchronousOutcome, Output as AsynchronousOutput, OutputReader as AsynchronousReader, Skipped,
};

/// What became of one host: [`fleet::Outcome`](crate::fleet::Outcome), with output that can be read without waiting
/// elsewhere.
#[derive(Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// The host, as it was named.
    pub host: String,
    /// How the command ended there, or why it did not. The output of the result is empty: it stands in `stdout` and
    /// `stderr` here.
    pub result: Result<ExecResult>,
    /// How long it took, connecting and waiting for further attempts included.
    pub duration: Duration,
    /// How many attempts there were; 0 for a host that was never begun.
    pub attempts: u32,
    /// What it wrote to its standard output, also where it failed.
    pub stdout: Output,
    /// What it wrote to its standard error, also where it failed.
    pub stderr: Output,
}

impl Outcome {
    pub(super) fn new(outcome: AsynchronousOutcome, runtime: &Runtime) -> Self {
        let output = |inner| Output {
            inner,
            runtime: runtime.clone(),
        };
        Self {
            host: outcome.host,
            result: outcome.result,
            duration: outcome.duration,
            attempts: outcome.attempts,
            stdout: output(outcome.stdout),
            stderr: output(outcome.stderr),
        }
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

/// What a command wrote to one of its streams: [`fleet::Output`](crate::fleet::Output), for callers that wait.
pub struct Output {
    inner: AsynchronousOutput,
    runtime: Runtime,
}

impl Output {
    /// How many bytes there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.inner.len()
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }

    /// Whether a part of it is in a file.
    #[must_use]
    pub fn is_spilled(&self) -> bool {
        self.inner.is_spilled()
    }

    /// Reads it from its beginning.
    #[must_use]
    pub fn reader(&self) -> OutputReader<'_> {
        OutputReader {
            inner: self.inner.reader(),
            runtime: &self.runtime,
            left: Bytes::new(),
        }
    }

    /// All of it, in memory: mind [`Output::len`].
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read_all(&self) -> Result<Bytes> {
        self.runtime.wait(self.inner.read_all())
    }

    /// All of it as text; what is not UTF-8 becomes U+FFFD.
    ///
    /// # Errors
    /// As [`Output::read_all`].
    pub fn text(&self) -> Result<String> {
        self.runtime.wait(self.inner.text())
    }

    /// The SHA-256 of it.
    ///
    /// # Errors
    /// As [`Output::read_all`].
    pub fn sha256(&self) -> Result<[u8; 32]> {
        self.runtime.wait(self.inner.sha256())
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// Reads an [`Output`].
pub struct OutputReader<'a> {
    inner: AsynchronousReader<'a>,
    runtime: &'a Runtime,
    left: Bytes,
}

impl Read for OutputReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(buffer)?;
        self.consume(length);
        Ok(length)
    }
}

impl BufRead for OutputReader<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left.is_empty() {
            let next = self.runtime.wait(self.inner.next()).map_err(io_error)?;
            self.left = next.unwrap_or_default();
        }
        Ok(&self.left)
    }

    fn consume(&mut self, length: usize) {
        self.left.advance(length.min(self.left.len()));
    }
}

impl fmt::Debug for OutputReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OutputReader").field(&self.inner).finish()
    }
}
