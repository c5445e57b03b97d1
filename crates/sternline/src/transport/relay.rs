//! A channel and a byte stream, joined: what comes out of one goes into the other.

use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, ReadHalf, duplex, split,
};
use tokio::time::sleep;

use super::channel::{Channel, ChannelSender};
use super::queue::Incoming;

/// How much is read at once. The crate cuts it into packets.
const CHUNK: usize = 128 * 1024;

/// What a stream over a channel buffers on each of its ways.
const STREAM_BUFFER: usize = 256 * 1024;

/// How long a server may take to close a channel on which both sides have said all. It is better that the server closes
/// it, because the crate forgets such a channel entirely.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// Bytes both ways, over whatever they go.
pub(crate) trait ByteStream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> ByteStream for S {}

/// How a relay ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relayed {
    /// Both sides had said all that they had to say, or the server closed the channel.
    Finished,
    /// Something may have been lost on the way: the stream must not look as if it had ended in good order.
    Broken,
}

/// Where a relay reads from.
pub(crate) trait Source: AsyncRead + Unpin {
    /// Ends when the other end has reset the stream, which reading alone notices too late: nothing is read while
    /// what was read before waits for the server's window. Never ends where that cannot be seen.
    async fn was_reset(&self) {
        std::future::pending().await
    }
}

impl Source for ReadHalf<DuplexStream> {}

/// Joins a channel with a reader and a writer until both ways have ended. The end of one way is passed on and leaves
/// the other one open. Dropping the future closes the channel.
pub(crate) async fn relay<R, W>(channel: Channel, reader: &mut R, writer: &mut W) -> Relayed
where
    R: Source,
    W: AsyncWrite + Unpin,
{
    let sender = channel.sender().clone();
    let mut up = pin!(send_all(reader, &sender));
    let mut down = pin!(receive_all(&channel, writer));
    let (mut sent, mut received) = (false, false);
    loop {
        tokio::select! {
            outcome = &mut up, if !sent => match outcome {
                // A channel that has ended is the other way's business: there may be something left to deliver.
                Ok(()) | Err(Stop::Channel) => sent = true,
                Err(Stop::Stream) => return Relayed::Broken,
            },
            outcome = &mut down, if !received => match outcome {
                Ok(()) => received = true,
                Err(Stop::Channel) if sender.was_lost() => return Relayed::Broken,
                Err(Stop::Channel) => return Relayed::Finished,
                Err(Stop::Stream) => return Relayed::Broken,
            },
            () = sender.ended(), if received => return Relayed::Finished,
            () = sleep(CLOSE_PATIENCE), if sent && received => return Relayed::Finished,
        }
    }
}

/// What ended first.
enum Stop {
    /// The channel takes or gives nothing any more.
    Channel,
    /// The stream failed, or nobody takes what comes for it.
    Stream,
}

async fn send_all(reader: &mut impl Source, sender: &ChannelSender) -> Result<(), Stop> {
    let mut buffer = BytesMut::new();
    loop {
        // What is left of the last chunk serves small reads.
        if buffer.capacity() < CHUNK / 2 {
            buffer.reserve(CHUNK);
        }
        let read: io::Result<usize> = reader.read_buf(&mut buffer).await;
        if read.map_err(|_| Stop::Stream)? == 0 {
            return sender.eof().await.map_err(|_| Stop::Channel);
        }
        tokio::select! {
            biased;
            sent = sender.data(buffer.split().freeze()) => sent.map_err(|_| Stop::Channel)?,
            () = reader.was_reset() => return Err(Stop::Stream),
        }
    }
}

/// Until the server's end of file.
async fn receive_all(channel: &Channel, writer: &mut (impl AsyncWrite + Unpin)) -> Result<(), Stop> {
    loop {
        match channel.next().await {
            Some(Incoming::Data { bytes, .. }) => {
                let mut chunks = vec![bytes];
                chunks.extend(channel.waiting_data(CHUNK));
                write_all(writer, &chunks).await.map_err(|_| Stop::Stream)?;
            }
            Some(Incoming::Eof) => return writer.shutdown().await.map_err(|_| Stop::Stream),
            Some(Incoming::Overflow(_)) => return Err(Stop::Stream),
            Some(_) => {}
            None => return Err(Stop::Channel),
        }
    }
}

/// Writes all chunks, in as few writes as may be: each one wakes whoever reads.
async fn write_all(writer: &mut (impl AsyncWrite + Unpin), chunks: &[Bytes]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = chunks.iter().map(|chunk| IoSlice::new(chunk)).collect();
    let mut rest = slices.as_mut_slice();
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        match writer.write_vectored(rest).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => IoSlice::advance_slices(&mut rest, written),
        }
    }
    Ok(())
}

/// A byte stream over a channel. It ends with the channel; dropping it closes the channel.
pub(crate) fn stream(channel: Channel) -> ChannelStream {
    let (stream, far_end) = duplex(STREAM_BUFFER);
    let broken = Arc::new(AtomicBool::new(false));
    let found = Arc::clone(&broken);
    tokio::spawn(async move {
        let (mut reader, mut writer) = split(far_end);
        let relayed = relay(channel, &mut reader, &mut writer).await;
        // Before the far end goes: whoever reads the end looks here.
        found.store(relayed == Relayed::Broken, Ordering::Release);
    });
    ChannelStream { stream, broken }
}

/// A byte stream over a channel. Reading from one that was cut short fails, where it would otherwise look as if all had
/// been said.
pub(crate) struct ChannelStream {
    stream: DuplexStream,
    broken: Arc<AtomicBool>,
}

impl AsyncRead for ChannelStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(pin!(&mut self.stream).poll_read(cx, buf))?;
        let at_end = buf.filled().len() == before && buf.remaining() > 0;
        if at_end && self.broken.load(Ordering::Acquire) {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::ConnectionReset,
                "the connection was lost",
            )));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ChannelStream {
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
    use super::*;

    #[tokio::test]
    async fn chunks_are_written_whole_and_in_order_however_little_the_writer_takes() {
        let (mut writer, mut reader) = duplex(3);
        let chunks: Vec<Bytes> = ["", "one", "", "two and more", "3", ""].map(Bytes::from).into();
        let writing = async {
            write_all(&mut writer, &chunks).await.unwrap();
            drop(writer);
        };
        let mut read = String::new();
        let (_, outcome) = tokio::join!(writing, reader.read_to_string(&mut read));
        outcome.unwrap();
        assert_eq!(read, "onetwo and more3");
    }
}
