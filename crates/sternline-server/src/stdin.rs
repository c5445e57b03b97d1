//! Standard input of a command, or what is forwarded to a socket: what the client has sent and nobody has read yet.
//!
//! The protocol crate re-opens a channel's window when data arrives, not when it is read, so a client may go on
//! sending to a command that does not read. Blocking the connection's loop instead would stop every other channel,
//! and would deadlock with a client that must get output before it reads on. So unread input is kept: a little in
//! memory, the rest in an unlinked file. Only beyond [`UNREAD_LIMIT`] does the connection wait.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::Notify;

/// Bytes kept in memory per command.
const MEMORY_LIMIT: usize = 1 << 20;
/// Unread bytes per command, memory and file together, beyond which the whole connection waits.
const UNREAD_LIMIT: u64 = 1 << 30;

/// Standard input of one command. Reads give what the client sent, in order, and end at its EOF.
///
/// A client may send without being read: up to 1 MiB waits in memory, up to 1 GiB more in an unlinked temporary
/// file, and beyond that the client's connection is not read any further.
#[derive(Debug)]
pub struct Stdin(Arc<Shared>);

/// Where the connection puts what it receives. Dropping it ends the input.
#[derive(Debug)]
pub(crate) struct StdinSender(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Told when the reader has taken something.
    room: Notify,
}

#[derive(Debug, Default)]
struct State {
    memory: VecDeque<Bytes>,
    in_memory: usize,
    overflow: Overflow,
    end: Option<End>,
    reader: Option<Waker>,
    reader_gone: bool,
}

#[derive(Debug, Clone, Copy)]
enum End {
    Eof,
    /// Unread input could not be kept.
    Lost(io::ErrorKind),
}

/// The part that did not fit into memory.
#[derive(Debug, Default)]
struct Overflow {
    file: Option<File>,
    read: u64,
    written: u64,
}

pub(crate) fn stdin() -> (StdinSender, Stdin) {
    let shared = Arc::new(Shared::default());
    (StdinSender(shared.clone()), Stdin(shared))
}

impl StdinSender {
    /// Adds what the client sent; waits only when [`UNREAD_LIMIT`] is reached. Returns at once when nobody reads.
    pub(crate) async fn push(&self, data: &[u8]) {
        while self.0.lock().is_full() {
            self.0.room.notified().await;
        }
        self.0.lock().push(data);
    }

    /// Whether the next push would wait.
    pub(crate) fn is_full(&self) -> bool {
        self.0.lock().is_full()
    }

    /// The client's EOF: reads end after what was pushed before.
    pub(crate) fn end(&self) {
        self.0.lock().finish(End::Eof);
    }
}

impl Drop for StdinSender {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_full(&self) -> bool {
        !self.reader_gone && self.overflow.unread() >= UNREAD_LIMIT
    }

    fn push(&mut self, data: &[u8]) {
        if self.reader_gone || self.end.is_some() {
            return;
        }
        // Order: once something waits in the file, what follows goes there too.
        if self.overflow.unread() == 0 && self.in_memory + data.len() <= MEMORY_LIMIT {
            self.in_memory += data.len();
            self.memory.push_back(Bytes::copy_from_slice(data));
        } else if let Err(error) = self.overflow.append(data) {
            return self.finish(End::Lost(error.kind()));
        }
        self.wake();
    }

    fn finish(&mut self, end: End) {
        self.end.get_or_insert(end);
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    /// Copies unread input into `buf`; false when there is none now.
    fn read(&mut self, buf: &mut ReadBuf<'_>) -> io::Result<bool> {
        if self.memory.is_empty() && self.overflow.unread() > 0 {
            let chunk = self.overflow.take(MEMORY_LIMIT)?;
            self.in_memory += chunk.len();
            self.memory.push_back(chunk);
        }
        let mut any = false;
        while let Some(chunk) = self.memory.front_mut() {
            let count = chunk.len().min(buf.remaining());
            if count == 0 {
                break;
            }
            buf.put_slice(&chunk.split_to(count));
            self.in_memory -= count;
            any = true;
            if !chunk.has_remaining() {
                self.memory.pop_front();
            }
        }
        Ok(any)
    }
}

impl Overflow {
    fn unread(&self) -> u64 {
        self.written - self.read
    }

    fn append(&mut self, data: &[u8]) -> io::Result<()> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => tempfile::tempfile()?,
        };
        file.seek(SeekFrom::Start(self.written))?;
        file.write_all(data)?;
        self.written += data.len() as u64;
        self.file = Some(file);
        Ok(())
    }

    /// The oldest bytes, at most `limit` of them. The file shrinks to nothing when all has been read.
    fn take(&mut self, limit: usize) -> io::Result<Bytes> {
        let count = usize::try_from(self.unread()).unwrap_or(limit).min(limit);
        let mut chunk = vec![0; count];
        if let Some(file) = &mut self.file {
            file.seek(SeekFrom::Start(self.read))?;
            file.read_exact(&mut chunk)?;
            self.read += count as u64;
            if self.read == self.written {
                file.set_len(0)?;
                (self.read, self.written) = (0, 0);
            }
        }
        Ok(chunk.into())
    }
}

impl AsyncRead for Stdin {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.lock();
        if buf.remaining() == 0 || state.read(buf)? {
            self.0.room.notify_one();
            return Poll::Ready(Ok(()));
        }
        match state.end {
            Some(End::Eof) => Poll::Ready(Ok(())),
            Some(End::Lost(kind)) => Poll::Ready(Err(io::Error::new(
                kind,
                "unread standard input could not be kept in a temporary file; see that the disk has room",
            ))),
            None => {
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Stdin {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.reader_gone = true;
        state.memory = VecDeque::new();
        state.overflow = Overflow::default();
        self.0.room.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio::io::AsyncReadExt as _;

    fn pattern(from: usize, count: usize) -> Vec<u8> {
        (from..from + count).map(|i| (i * 31 % 251) as u8).collect()
    }

    #[tokio::test]
    async fn input_far_beyond_memory_is_kept_in_order_while_nobody_reads() {
        let (sender, mut stdin) = stdin();
        let data = pattern(0, 5 * MEMORY_LIMIT + 17);
        for chunk in data.chunks(32_000) {
            sender.push(chunk).await;
        }
        assert!(sender.0.lock().in_memory <= MEMORY_LIMIT);
        drop(sender);
        let mut read = Vec::new();
        stdin.read_to_end(&mut read).await.unwrap();
        assert!(read == data);
    }

    #[tokio::test]
    async fn input_for_a_command_that_has_gone_is_dropped() {
        let (sender, stdin) = stdin();
        drop(stdin);
        sender.push(&pattern(0, 10)).await;
        assert_eq!(sender.0.lock().memory.len(), 0);
    }

    #[tokio::test]
    async fn a_full_queue_waits_for_the_reader_and_lets_go_when_it_leaves() {
        let (sender, stdin) = stdin();
        sender.0.lock().overflow.written = UNREAD_LIMIT;
        let pushed = tokio::spawn(async move { sender.push(b"more").await });
        tokio::task::yield_now().await;
        assert!(!pushed.is_finished());
        drop(stdin);
        pushed.await.unwrap();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn any_interleaving_of_pushes_and_reads_gives_the_same_bytes(
            steps in proptest::collection::vec((any::<bool>(), 1usize..700_000), 1..24)
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let (sender, mut stdin) = stdin();
                let (mut pushed, mut read) = (0, Vec::new());
                for (is_push, count) in steps {
                    if is_push {
                        sender.push(&pattern(pushed, count)).await;
                        pushed += count;
                    } else if pushed > read.len() {
                        let mut chunk = vec![0; count];
                        let n = stdin.read(&mut chunk).await.unwrap();
                        read.extend_from_slice(&chunk[..n]);
                    }
                }
                sender.end();
                stdin.read_to_end(&mut read).await.unwrap();
                assert!(read == pattern(0, pushed));
            });
        }
    }
}
