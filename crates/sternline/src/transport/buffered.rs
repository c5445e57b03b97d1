//! A read buffer that a stream has only while something is in it.

use std::cell::RefCell;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// One read per packet instead of two, and one per several packets when they come fast.
const CAPACITY: usize = 64 * 1024;

/// Buffers that are kept for the next streams to read.
const KEPT: usize = 16;

thread_local! {
    /// What is read is mostly taken out at once, so that a few buffers serve all streams of a thread; ten thousand idle
    /// ones would otherwise hold most of a gigabyte.
    static FREE: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

fn take_buffer() -> Box<[u8]> {
    let free = FREE.with_borrow_mut(Vec::pop);
    free.unwrap_or_else(|| vec![0; CAPACITY].into_boxed_slice())
}

fn give_back(buffer: Box<[u8]>) {
    FREE.with_borrow_mut(|free| {
        if free.len() < KEPT {
            free.push(buffer);
        }
    });
}

/// A stream with a read buffer.
pub(super) struct Buffered<S> {
    stream: S,
    unread: Option<Unread>,
}

/// What was read and has not been taken out yet: never nothing.
struct Unread {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl<S> Buffered<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, unread: None }
    }

    /// Hands out as much of what was read as there is room for.
    fn hand_out(&mut self, mut unread: Unread, to: &mut ReadBuf<'_>) {
        let rest = unread.buffer.get(unread.start..unread.end).unwrap_or_default();
        let part = rest.get(..to.remaining()).unwrap_or(rest);
        to.put_slice(part);
        unread.start += part.len();
        if unread.start < unread.end {
            self.unread = Some(unread);
        } else {
            give_back(unread.buffer);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Buffered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(unread) = self.unread.take() {
            self.hand_out(unread, buf);
            return Poll::Ready(Ok(()));
        }
        if buf.remaining() >= CAPACITY {
            return pin!(&mut self.stream).poll_read(cx, buf);
        }
        let mut buffer = take_buffer();
        let mut filling = ReadBuf::new(&mut buffer);
        let outcome = pin!(&mut self.stream).poll_read(cx, &mut filling);
        let end = filling.filled().len();
        let unread = Unread {
            buffer,
            start: 0,
            end,
        };
        self.hand_out(unread, buf);
        Poll::Ready(ready!(outcome))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Buffered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        pin!(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn everything_arrives_in_order_whatever_is_asked_for_at_a_time() {
        let sent: Vec<u8> = (0..500_000_u32).map(|number| (number % 251) as u8).collect();
        for at_a_time in [1_usize, 4, 1000, CAPACITY - 1, CAPACITY, 3 * CAPACITY] {
            let (mut near, far) = duplex(100_000);
            let bytes = sent.clone();
            let writing = tokio::spawn(async move { near.write_all(&bytes).await.unwrap() });
            let mut buffered = Buffered::new(far);
            let (mut received, mut part) = (Vec::new(), vec![0; at_a_time]);
            loop {
                match buffered.read(&mut part).await.unwrap() {
                    0 => break,
                    read => received.extend_from_slice(&part[..read]),
                }
            }
            writing.await.unwrap();
            assert!(received == sent, "{at_a_time} at a time");
        }
    }

    #[tokio::test]
    async fn a_stream_has_a_buffer_only_while_something_is_in_it_and_streams_do_not_mix() {
        let (mut near, far) = duplex(100);
        let (mut other_near, other_far) = duplex(100);
        let (mut buffered, mut other) = (Buffered::new(far), Buffered::new(other_far));
        near.write_all(b"hello").await.unwrap();
        other_near.write_all(b"there").await.unwrap();
        let mut part = [0; 2];
        buffered.read_exact(&mut part).await.unwrap();
        assert!(buffered.unread.is_some());
        other.read_exact(&mut part).await.unwrap();
        assert_eq!(&part, b"th");
        let mut rest = [0; 3];
        buffered.read_exact(&mut rest).await.unwrap();
        assert_eq!(&rest, b"llo");
        assert!(buffered.unread.is_none());
        other.read_exact(&mut rest).await.unwrap();
        assert_eq!(&rest, b"ere");
        assert!(other.unread.is_none());
        drop(near);
        assert_eq!(buffered.read(&mut rest).await.unwrap(), 0);
        assert!(buffered.unread.is_none());
    }
}
