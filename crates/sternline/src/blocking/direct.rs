//! A byte stream to something that the server can reach.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};

use super::io::io_error;
use super::runtime::Runtime;

/// A byte stream to something that the server can reach: see
/// [`Connection::direct_tcpip`](super::Connection::direct_tcpip). One thread may read it while another writes, by reference
/// as with a [`TcpStream`](std::net::TcpStream).
///
/// It ends with the connection, and does not keep it open. When the connection is lost, reading fails instead of coming to
/// an end.
pub struct DirectStream {
    reader: Mutex<Box<dyn AsyncRead + Send + Unpin>>,
    writer: Mutex<Box<dyn AsyncWrite + Send + Unpin>>,
    runtime: Runtime,
}

impl DirectStream {
    pub(super) fn new(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        runtime: &Runtime,
    ) -> Self {
        let (reader, writer) = split(stream);
        Self {
            reader: Mutex::new(Box::new(reader)),
            writer: Mutex::new(Box::new(writer)),
            runtime: runtime.clone(),
        }
    }

    /// Sends an end of file. The other direction stays open.
    ///
    /// # Errors
    /// When the stream has ended.
    pub fn shutdown_write(&self) -> io::Result<()> {
        let mut writer = lock(&self.writer);
        self.runtime.run(writer.shutdown()).map_err(io_error)?
    }
}

fn lock<T>(half: &Mutex<T>) -> MutexGuard<'_, T> {
    half.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Read for &DirectStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut reader = lock(&self.reader);
        self.runtime.run(reader.read(buffer)).map_err(io_error)?
    }
}

impl Write for &DirectStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut writer = lock(&self.writer);
        self.runtime.run(writer.write(bytes)).map_err(io_error)?
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut writer = lock(&self.writer);
        self.runtime.run(writer.flush()).map_err(io_error)?
    }
}

impl Read for DirectStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buffer)
    }
}

impl Write for DirectStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&*self).flush()
    }
}

impl fmt::Debug for DirectStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DirectStream")
    }
}
