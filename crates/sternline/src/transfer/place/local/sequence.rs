//! Files that have no positions: pipes, terminals and other devices. They are read and written in order, and once.

use std::fs::File;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::{FileType, OFlags, fcntl_getfl, fcntl_setfl};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::unix::pipe;
use tokio::sync::{Mutex, watch};

use super::system;
use super::threads::Threads;

pub(super) type Reader = Pin<Box<dyn AsyncRead + Send>>;
pub(super) type Writer = Pin<Box<dyn AsyncWrite + Send>>;

/// Reads what was opened without blocking. Waiting for the other end of a pipe can be cancelled.
pub(super) fn reader(file: File) -> io::Result<Reader> {
    Ok(if system::file_type(&file)? == FileType::Fifo {
        Box::pin(pipe::Receiver::from_file(file)?)
    } else {
        Box::pin(tokio::fs::File::from_std(blocking(file)?))
    })
}

/// Writes to what was opened without blocking.
pub(super) fn writer(file: File) -> io::Result<Writer> {
    Ok(if system::file_type(&file)? == FileType::Fifo {
        Box::pin(pipe::Sender::from_file(file)?)
    } else {
        Box::pin(tokio::fs::File::from_std(blocking(file)?))
    })
}

fn blocking(file: File) -> io::Result<File> {
    fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    Ok(file)
}

/// How far a sequence has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    At(u64),
    Ended,
    /// A step has failed or was given up half-way: nobody knows where it stands.
    Broken,
}

/// Something to read or write in order. Those who come too early wait for their turn.
struct Sequence<T> {
    end: Mutex<T>,
    progress: watch::Sender<Progress>,
}

/// One step. Unless it is finished the sequence is broken.
struct Step<'a> {
    progress: &'a watch::Sender<Progress>,
    then: Progress,
}

impl Drop for Step<'_> {
    fn drop(&mut self) {
        self.progress.send_replace(self.then);
    }
}

impl<T> Sequence<T> {
    fn new(end: T) -> Self {
        Self {
            end: Mutex::new(end),
            progress: watch::Sender::new(Progress::At(0)),
        }
    }

    /// Waits until everything before `offset` is done. `None`: the sequence has ended before.
    async fn turn(&self, offset: u64) -> io::Result<Option<tokio::sync::MutexGuard<'_, T>>> {
        let mut progress = self.progress.subscribe();
        let reached = |progress: &Progress| !matches!(progress, Progress::At(at) if *at < offset);
        // The sender is in `self`.
        let _ = progress.wait_for(reached).await;
        let end = self.end.lock().await;
        let now = *self.progress.borrow();
        match now {
            Progress::At(at) if at == offset => Ok(Some(end)),
            Progress::Ended => Ok(None),
            Progress::At(at) => Err(io::Error::other(format!(
                "it is read or written in order, and has come to byte {at} already"
            ))),
            Progress::Broken => Err(io::Error::other("an earlier part of it has failed")),
        }
    }

    fn step(&self) -> Step<'_> {
        Step {
            progress: &self.progress,
            then: Progress::Broken,
        }
    }
}

/// Something that is read in order.
pub(super) struct Stream(Sequence<Reader>);

impl Stream {
    pub(super) fn new(reader: Reader) -> Self {
        Self(Sequence::new(reader))
    }

    /// Reads `length` bytes, or fewer at the end. Everything before `offset` is read by others.
    pub(super) async fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let Some(mut reader) = self.0.turn(offset).await? else {
            return Ok(Bytes::new());
        };
        let mut step = self.0.step();
        let mut buffer = Vec::with_capacity(length);
        step.then = if fill(&mut reader, &mut buffer, length).await? {
            Progress::At(offset + buffer.len() as u64)
        } else {
            Progress::Ended
        };
        drop(step);
        Ok(buffer.into())
    }
}

/// Reads until there are `length` bytes in all. `false`: it has ended before.
async fn fill(reader: &mut Reader, buffer: &mut Vec<u8>, length: usize) -> io::Result<bool> {
    while buffer.len() < length {
        let mut rest = reader.take((length - buffer.len()) as u64);
        if rest.read_buf(buffer).await? == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Something that is written in order.
pub(super) struct Sink(Sequence<Writer>);

impl Sink {
    pub(super) fn new(writer: Writer) -> Self {
        Self(Sequence::new(writer))
    }

    /// Writes all of the data. Everything before `offset` is written by others.
    pub(super) async fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let Some(mut writer) = self.0.turn(offset).await? else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let mut step = self.0.step();
        writer.write_all(data).await?;
        writer.flush().await?;
        step.then = Progress::At(offset + data.len() as u64);
        drop(step);
        Ok(())
    }
}

/// A stream that several read, each at its own pace: it is read once, into a file without a name.
pub(in crate::transfer) struct Spool {
    input: Mutex<Input>,
    /// How many bytes the file has, and whether that is all.
    have: watch::Sender<(u64, bool)>,
    file: Arc<File>,
    threads: Arc<Threads>,
}

struct Input {
    reader: Reader,
    /// What was read and may not be in the file yet, should somebody have given up between the two.
    chunk: Vec<u8>,
    failed: Option<String>,
}

/// How much is read at once.
const CHUNK: usize = 256 * 1024;

impl Spool {
    /// The file stands in `directory`, and is gone when the last reader is.
    pub(super) async fn new(
        reader: Reader,
        directory: std::path::PathBuf,
        threads: Arc<Threads>,
    ) -> io::Result<Self> {
        let file = threads.run(move || tempfile::tempfile_in(directory)).await?;
        Ok(Self {
            input: Mutex::new(Input {
                reader,
                chunk: Vec::new(),
                failed: None,
            }),
            have: watch::Sender::new((0, false)),
            file: Arc::new(file),
            threads,
        })
    }

    /// Reads `length` bytes, or fewer at the end. Cancel-safe.
    pub(super) async fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let enough = |(have, ended): (u64, bool)| ended || have >= offset.saturating_add(length as u64);
        while !enough(*self.have.borrow()) {
            let mut input = self.input.lock().await;
            if !enough(*self.have.borrow()) {
                self.advance(&mut input).await?;
            }
        }
        let file = Arc::clone(&self.file);
        self.threads
            .run(move || system::read_at(&file, offset, length))
            .await
    }

    async fn advance(&self, input: &mut Input) -> io::Result<()> {
        if let Some(reason) = &input.failed {
            return Err(io::Error::other(reason.clone()));
        }
        let outcome = self.try_advance(input).await;
        if let Err(error) = &outcome {
            input.failed = Some(error.to_string());
        }
        outcome
    }

    async fn try_advance(&self, input: &mut Input) -> io::Result<()> {
        let (at, _) = *self.have.borrow();
        if input.chunk.is_empty() {
            input.chunk.reserve(CHUNK);
            if input.reader.read_buf(&mut input.chunk).await? == 0 {
                self.have.send_replace((at, true));
                return Ok(());
            }
        }
        let (file, data) = (Arc::clone(&self.file), input.chunk.clone());
        let write = move || std::os::unix::fs::FileExt::write_all_at(&*file, &data, at);
        self.threads.run(write).await?;
        self.have.send_replace((at + input.chunk.len() as u64, false));
        input.chunk.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(content: &'static [u8]) -> Reader {
        Box::pin(content)
    }

    #[tokio::test]
    async fn whoever_comes_too_early_waits_for_its_turn() {
        let stream = Stream::new(stream(b"abcdefgh"));
        let (third, second, first) =
            tokio::join!(stream.read_at(6, 3), stream.read_at(3, 3), stream.read_at(0, 3));
        assert_eq!(
            (&first.unwrap()[..], &second.unwrap()[..], &third.unwrap()[..]),
            (&b"abc"[..], &b"def"[..], &b"gh"[..])
        );
        assert!(stream.read_at(9, 3).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn what_was_read_once_is_not_given_again() {
        let stream = Stream::new(stream(b"abcdefgh"));
        stream.read_at(0, 3).await.unwrap();
        let error = stream.read_at(0, 3).await.unwrap_err();
        assert!(
            error.to_string().contains("has come to byte 3 already"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_read_that_is_given_up_half_way_leaves_nobody_waiting() {
        let (mut feeder, reader) = tokio::io::duplex(64);
        let stream = Arc::new(Stream::new(Box::pin(reader)));
        let first = tokio::spawn({
            let stream = Arc::clone(&stream);
            async move { stream.read_at(0, 8).await }
        });
        feeder.write_all(b"abc").await.unwrap();
        let second = tokio::spawn({
            let stream = Arc::clone(&stream);
            async move { stream.read_at(8, 8).await }
        });
        tokio::task::yield_now().await;
        first.abort();
        let error = second.await.unwrap().unwrap_err();
        assert!(error.to_string().contains("an earlier part"), "{error}");
    }

    #[tokio::test]
    async fn a_sink_gets_everything_in_order() {
        let (writer, mut out) = tokio::io::duplex(64);
        let sink = Sink::new(Box::pin(writer));
        let (second, first) = tokio::join!(sink.write_at(3, b"def"), sink.write_at(0, b"abc"));
        first.and(second).unwrap();
        drop(sink);
        let mut all = String::new();
        out.read_to_string(&mut all).await.unwrap();
        assert_eq!(all, "abcdef");
    }

    #[tokio::test]
    async fn several_read_a_stream_that_comes_once() {
        let folder = tempfile::tempdir().unwrap();
        let content: &'static [u8] = vec![7; CHUNK * 3 + 5].leak();
        let spool = Spool::new(stream(content), folder.path().into(), Arc::default())
            .await
            .unwrap();
        let (a, b, c, d) = tokio::join!(
            spool.read_at(0, CHUNK),
            spool.read_at(CHUNK as u64 * 3, CHUNK),
            spool.read_at(10, CHUNK),
            spool.read_at(1 << 40, 1),
        );
        let lengths = [a, b, c, d].map(|read| read.unwrap().len());
        assert_eq!(lengths, [CHUNK, 5, CHUNK, 0]);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_stream_that_fails_fails_for_everybody() {
        let folder = tempfile::tempdir().unwrap();
        let reader = Box::pin(io::Cursor::new(b"abc").chain(Failing));
        let spool = Spool::new(reader, folder.path().into(), Arc::default())
            .await
            .unwrap();
        assert_eq!(&spool.read_at(0, 3).await.unwrap()[..], b"abc");
        for _ in 0..2 {
            let error = spool.read_at(0, 9).await.unwrap_err();
            assert!(error.to_string().contains("the cable was cut"), "{error}");
        }
    }

    struct Failing;

    impl AsyncRead for Failing {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            _: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            std::task::Poll::Ready(Err(io::Error::other("the cable was cut")))
        }
    }
}
