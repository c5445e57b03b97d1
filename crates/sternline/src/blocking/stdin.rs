//! Writing to a running command.

use std::fmt;
use std::io::{self, Write};

use bytes::Bytes;

use super::connection::Keep;
use super::io::io_error;
use super::runtime::Runtime;
use crate::error::Result;
use crate::exec::StdinWriter as Asynchronous;

/// [`StdinWriter`](crate::exec::StdinWriter), for callers that wait; also as [`Write`]. Dropping it ends the input.
pub struct StdinWriter {
    inner: Asynchronous,
    runtime: Runtime,
    _keep: Keep,
}

impl StdinWriter {
    pub(super) fn new(inner: Asynchronous, runtime: &Runtime, keep: Keep) -> Self {
        Self {
            inner,
            runtime: runtime.clone(),
            _keep: keep,
        }
    }

    /// Sends bytes, as fast as the command reads them. When it returns, all of them have been handed over.
    ///
    /// # Errors
    /// When the command has ended.
    pub fn send(&self, bytes: impl Into<Bytes>) -> Result<()> {
        self.runtime.wait(self.inner.write(bytes))
    }

    /// Tells the command that its input is at its end, as dropping the writer does.
    ///
    /// # Errors
    /// When the command has ended.
    pub fn close(self) -> Result<()> {
        self.runtime.wait(self.inner.close())
    }

    /// Tells the command the new size of its terminal, in characters.
    ///
    /// # Errors
    /// When the command has ended.
    pub fn resize(&self, columns: u32, rows: u32) -> Result<()> {
        self.runtime.wait(self.inner.resize(columns, rows))
    }
}

impl Write for &StdinWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send(Bytes::copy_from_slice(bytes)).map_err(io_error)?;
        Ok(bytes.len())
    }

    /// Nothing is kept back.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for StdinWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for StdinWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
