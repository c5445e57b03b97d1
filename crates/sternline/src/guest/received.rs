//! A file of a guest's that is read into memory.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use sternline_proto::guest::LARGEST_FILE;
use tokio::io::AsyncWrite;
use zeroize::Zeroizing;

/// What a guest sends of a file, as far as anybody may want to read it: what is longer ends the transfer.
#[derive(Clone, Default)]
pub(super) struct Kept(Arc<Mutex<Received>>);

#[derive(Default)]
pub(super) struct Received {
    pub(super) content: Zeroizing<Vec<u8>>,
    pub(super) is_too_long: bool,
}

impl Kept {
    /// What has arrived; another file may follow.
    pub(super) fn take(&self) -> Received {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl AsyncWrite for Kept {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut received = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if received.content.len() + bytes.len() > LARGEST_FILE {
            received.is_too_long = true;
            return Poll::Ready(Err(io::ErrorKind::FileTooLarge.into()));
        }
        received.content.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
