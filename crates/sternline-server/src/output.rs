//! The output streams of a command.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;

/// Standard output or standard error of one command.
///
/// A write completes when the client's window has room and the data is queued for the connection, so a client that
/// does not read slows down the handler, and no other channel. Shutting it down does nothing: the end of output is
/// sent when the handler returns, because the protocol has one EOF for both streams.
pub struct Output(Pin<Box<dyn AsyncWrite + Send>>);

impl Output {
    pub(crate) fn new(writer: impl AsyncWrite + Send + 'static) -> Self {
        Self(Box::pin(writer))
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Output")
    }
}

impl AsyncWrite for Output {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        // The channel's writer takes an empty write for an error.
        if buf.is_empty() {
            Poll::Ready(Ok(0))
        } else {
            self.0.as_mut().poll_write(cx, buf)
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}
