//! A byte stream over something that can end for reasons of its own: a jump host's connection, a proxy command.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::link::{Link, LostReason};

/// How long the end of what carries a stream may be behind the end of the stream.
const MOMENT: Duration = Duration::from_millis(250);

/// Resolves when what carries a stream has ended, to the reason.
pub(crate) type CarrierEnd = Pin<Box<dyn Future<Output = LostReason> + Send>>;

/// A stream which, when it ends, first finds out whether that was only the end of what carries it, and tells the link
/// of the connection inside.
pub(crate) struct Carried<S> {
    stream: S,
    link: Arc<Link>,
    /// `None` once the question has been answered.
    question: Option<CarrierEnd>,
    /// The question, asked.
    asking: Option<Pin<Box<dyn Future<Output = Option<LostReason>> + Send>>>,
}

impl<S> Carried<S> {
    pub(crate) fn new(stream: S, link: Arc<Link>, end: CarrierEnd) -> Self {
        Self {
            stream,
            link,
            question: Some(end),
            asking: None,
        }
    }

    /// Ready once the link knows what can be known.
    fn poll_reason(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(question) = self.question.take() {
            self.asking = Some(Box::pin(async {
                tokio::time::timeout(MOMENT, question).await.ok()
            }));
        }
        if let Some(asking) = &mut self.asking {
            let reason = ready!(asking.as_mut().poll(cx));
            self.asking = None;
            if let Some(reason) = reason {
                self.link.set_carrier_lost(reason);
            }
        }
        Poll::Ready(())
    }

    /// Passes an error on, after its reason.
    fn after_reason<T>(&mut self, cx: &mut Context<'_>, outcome: io::Result<T>) -> Poll<io::Result<T>> {
        if outcome.is_err() {
            ready!(self.poll_reason(cx));
        }
        Poll::Ready(outcome)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Carried<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // A stream that has ended says so again when it is asked again.
        let before = buf.filled().len();
        let outcome = ready!(pin!(&mut self.stream).poll_read(cx, buf));
        if outcome.is_ok() && buf.filled().len() == before {
            ready!(self.poll_reason(cx));
        }
        self.after_reason(cx, outcome)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Carried<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = ready!(pin!(&mut self.stream).poll_write(cx, buf));
        self.after_reason(cx, outcome)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = ready!(pin!(&mut self.stream).poll_flush(cx));
        self.after_reason(cx, outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.stream).poll_shutdown(cx)
    }
}
