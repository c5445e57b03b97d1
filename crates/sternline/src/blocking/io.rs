//! Readers and writers of the standard library, where asynchronous ones are wanted, and errors the other way.

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::error::{Error, ErrorKind};

/// How much is read or written at once.
const CHUNK: usize = 64 * 1024;

/// Something that reads and may block, for where an asynchronous reader is wanted: a command's input
/// ([`Stdin::reader`](crate::exec::Stdin::reader)), or the content of a file
/// ([`Source::stream`](crate::transfer::Source::stream)). It is read on a thread of its own, and holds up nothing else.
///
/// A read that has begun cannot be stopped: one that never returns keeps its thread.
///
/// ```no_run
/// # fn example(connection: &sternline::blocking::Connection) -> sternline::Result<()> {
/// use sternline::{ExecRequest, blocking, exec::Stdin};
///
/// let typed = Stdin::reader(blocking::reader(std::io::stdin()));
/// connection.exec(ExecRequest::from("wc -l").stdin(typed))?;
/// # Ok(()) }
/// ```
pub fn reader(reader: impl Read + Send + 'static) -> impl AsyncRead + Send + Unpin + 'static {
    Reader {
        work: Work::Idle(reader),
        left: io::Cursor::new(Vec::new()),
    }
}

/// Something that writes and may block, for where an asynchronous writer is wanted: a download's target
/// ([`Target::stream`](crate::transfer::Target::stream)). It is written to on a thread of its own, and holds up nothing else.
pub fn writer(writer: impl Write + Send + 'static) -> impl AsyncWrite + Send + Unpin + 'static {
    Writer {
        work: Work::Idle(writer),
        is_dirty: false,
    }
}

/// The error as one of the standard library, with itself as the source.
pub(super) fn io_error(error: Error) -> io::Error {
    let kind = match error.kind() {
        ErrorKind::CommandTimeout | ErrorKind::ProgressTimeout | ErrorKind::ConnectionTimeout => {
            io::ErrorKind::TimedOut
        }
        ErrorKind::Connection => io::ErrorKind::ConnectionAborted,
        ErrorKind::Channel => io::ErrorKind::BrokenPipe,
        ErrorKind::Invalid => io::ErrorKind::InvalidInput,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

/// A value of its user's, here or lent to the thread that works with it.
enum Work<T, R> {
    Idle(T),
    Busy(JoinHandle<(T, io::Result<R>)>),
    /// The thread has panicked, and taken the value with it.
    Gone,
}

/// Nothing in it is ever pinned.
impl<T, R> Unpin for Work<T, R> {}

impl<T: Send + 'static, R: Send + 'static> Work<T, R> {
    /// Waits for the work that is going on, if any.
    fn poll_idle(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Option<R>>> {
        match self {
            Self::Idle(_) => Poll::Ready(Ok(None)),
            Self::Gone => Poll::Ready(Err(gone())),
            Self::Busy(task) => match ready!(Pin::new(task).poll(context)) {
                Ok((value, done)) => {
                    *self = Self::Idle(value);
                    Poll::Ready(done.map(Some))
                }
                Err(_) => {
                    *self = Self::Gone;
                    Poll::Ready(Err(gone()))
                }
            },
        }
    }

    /// Begins work; it must be idle.
    fn begin(&mut self, work: impl FnOnce(&mut T) -> io::Result<R> + Send + 'static) {
        if let Self::Idle(mut value) = std::mem::replace(self, Self::Gone) {
            *self = Self::Busy(spawn_blocking(move || {
                let done = work(&mut value);
                (value, done)
            }));
        }
    }
}

fn gone() -> io::Error {
    io::Error::other("the reader or writer has panicked")
}

struct Reader<T> {
    work: Work<T, Vec<u8>>,
    left: io::Cursor<Vec<u8>>,
}

impl<T: Read + Send + 'static> AsyncRead for Reader<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            let length = this.left.read(buffer.initialize_unfilled())?;
            if length > 0 || buffer.remaining() == 0 {
                buffer.advance(length);
                return Poll::Ready(Ok(()));
            }
            match ready!(this.work.poll_idle(context))? {
                Some(read) if read.is_empty() => return Poll::Ready(Ok(())),
                Some(read) => this.left = io::Cursor::new(read),
                None => this.work.begin(|reader| {
                    let mut chunk = vec![0; CHUNK];
                    loop {
                        match reader.read(&mut chunk) {
                            Ok(length) => {
                                chunk.truncate(length);
                                return Ok(chunk);
                            }
                            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                            Err(error) => return Err(error),
                        }
                    }
                }),
            }
        }
    }
}

struct Writer<T> {
    work: Work<T, ()>,
    /// Whether something was written since the last flush.
    is_dirty: bool,
}

impl<T: Write + Send + 'static> AsyncWrite for Writer<T> {
    /// An error of one piece is told with the next one, or with the flush.
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.work.poll_idle(context))?;
        let piece = bytes.get(..CHUNK).unwrap_or(bytes).to_vec();
        let length = piece.len();
        self.is_dirty = true;
        self.work.begin(move |writer| writer.write_all(&piece));
        Poll::Ready(Ok(length))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.work.poll_idle(context))?;
            if !std::mem::take(&mut self.is_dirty) {
                return Poll::Ready(Ok(()));
            }
            self.work.begin(|writer| writer.flush());
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(context)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Gives seven bytes at a time, interrupted in between.
    struct Slow(Vec<u8>, bool);

    impl Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let length = self.0.len().min(7).min(buffer.len());
            buffer[..length].copy_from_slice(&self.0[..length]);
            self.0.drain(..length);
            Ok(length)
        }
    }

    #[tokio::test]
    async fn all_is_read_and_written_in_order() {
        let data: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut read = Vec::new();
        reader(Slow(data[..5000].to_vec(), false))
            .read_to_end(&mut read)
            .await
            .unwrap();
        assert_eq!(read, data[..5000]);

        #[derive(Clone, Default)]
        struct Kept(Arc<Mutex<(Vec<u8>, usize)>>);
        impl Write for Kept {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let length = bytes.len().min(1000);
                self.0.lock().unwrap().0.extend_from_slice(&bytes[..length]);
                Ok(length)
            }
            fn flush(&mut self) -> io::Result<()> {
                let mut kept = self.0.lock().unwrap();
                kept.1 = kept.0.len();
                Ok(())
            }
        }
        let kept = Kept::default();
        let mut writing = writer(kept.clone());
        writing.write_all(&data).await.unwrap();
        writing.shutdown().await.unwrap();
        let kept = kept.0.lock().unwrap();
        assert!(kept.0 == data);
        assert_eq!(kept.1, data.len(), "it was flushed at the end");
    }

    #[tokio::test]
    async fn a_reader_that_fails_or_panics_never_looks_as_if_it_had_come_to_an_end() {
        struct Fails(fn() -> io::Result<usize>);
        impl Read for Fails {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                (self.0)()
            }
        }
        let mut read = Vec::new();
        let failed = reader(Fails(|| Err(io::Error::other("broken"))));
        let error = { failed }.read_to_end(&mut read).await.unwrap_err();
        assert_eq!(error.to_string(), "broken");
        let panics = reader(Fails(|| panic!("as a user's code may")));
        let mut panics = { panics };
        for _ in 0..2 {
            let error = panics.read_to_end(&mut read).await.unwrap_err();
            assert!(error.to_string().contains("panicked"), "{error}");
        }
    }

    #[tokio::test]
    async fn what_could_not_be_written_is_told_at_the_latest_by_the_end() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut writing = writer(Full);
        assert_eq!(writing.write(b"x").await.unwrap(), 1);
        let error = writing.shutdown().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
