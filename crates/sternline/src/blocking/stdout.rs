//! Reading the standard output of a running command.

use std::fmt;
use std::io::{self, BufRead, Read, Write};

use super::stream::StreamExec;

/// Reads a command's standard output; see [`StreamExec::stdout`]. It keeps nothing back: what it has not read, the stream's
/// next event or reader gives.
pub struct StdoutReader<'a, W> {
    stream: &'a mut StreamExec,
    stderr: W,
}

impl<'a, W: Write> StdoutReader<'a, W> {
    pub(super) fn new(stream: &'a mut StreamExec, stderr: W) -> Self {
        Self { stream, stderr }
    }
}

impl<W: Write> Read for StdoutReader<'_, W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(buffer)?;
        self.consume(length);
        Ok(length)
    }
}

impl<W: Write> BufRead for StdoutReader<'_, W> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.stream.fill(&mut self.stderr)
    }

    fn consume(&mut self, length: usize) {
        self.stream.consume(length);
    }
}

impl<W> fmt::Debug for StdoutReader<'_, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StdoutReader").field(self.stream).finish()
    }
}
