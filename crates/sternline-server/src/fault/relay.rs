//! Passes the bytes of one connection on, as its condition allows.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep, sleep_until};

use crate::fault::condition::{Ending, Step};
use crate::fault::control::Link;
use crate::fault::name::Direction;

/// Bytes read at a time, at most.
const CHUNK: usize = 64 * 1024;

/// What was read, and when it is due on the other side.
struct Item {
    due: Option<Instant>,
    /// Or that reading failed.
    data: Result<BytesMut, ()>,
}

/// When a connection is over that nothing has ended by force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    /// When both directions have ended, as TCP has it.
    BothEnded,
    /// When the server has ended its direction.
    ServerEnded,
}

/// Passes everything on between a client and the server that `connect` leads to, until the connection is over.
///
/// Dropping the future ends the connection.
pub(crate) async fn relay<S>(
    mut client: TcpStream,
    connect: impl Future<Output = io::Result<S>>,
    over: Over,
    link: Link,
) where
    S: AsyncRead + AsyncWrite,
{
    // An error means that the client has gone, which reading shows.
    let _ = client.set_nodelay(true);
    let ending = tokio::select! {
        biased;
        ending = link.ending() => ending,
        ending = both_ways(&mut client, connect, over, &link) => ending,
    };
    match ending {
        Ending::Close => {
            // Before the close, so that what the client has not been read of does not turn it into a reset.
            let _ = client.shutdown().await;
        }
        Ending::Reset => {
            let _ = socket2::SockRef::from(&client).set_linger(Some(std::time::Duration::ZERO));
        }
    }
    // The counters say that the connection is over once it is.
    drop(client);
    drop(link);
}

async fn both_ways<S>(
    client: &mut TcpStream,
    connect: impl Future<Output = io::Result<S>>,
    over: Over,
    link: &Link,
) -> Ending
where
    S: AsyncRead + AsyncWrite,
{
    // The sender lives as long as the link.
    let _ = link.watch().wait_for(|condition| condition.connects()).await;
    let latency = link.watch().borrow().latency();
    if let Some(latency) = latency {
        // The way of TCP's first segment, and of the answer to it.
        sleep(latency * 2).await;
    }
    let Ok(server) = connect.await else {
        return Ending::Reset;
    };
    let (client_out, client_in) = client.split();
    let (server_out, server_in) = split(server);
    let to_server = one_way(client_out, server_in, Direction::ToServer, link);
    let to_client = one_way(server_out, client_in, Direction::ToClient, link);
    let ended = match over {
        Over::BothEnded => tokio::try_join!(to_server, to_client).map(|_| ()),
        Over::ServerEnded => {
            let to_server = async {
                to_server.await?;
                std::future::pending().await
            };
            tokio::select! {
                ended = to_client => ended,
                ended = to_server => ended,
            }
        }
    };
    ended.err().unwrap_or(Ending::Close)
}

/// Returns when the direction has ended properly, or how the connection has to end.
async fn one_way(
    from: impl AsyncRead + Unpin,
    to: impl AsyncWrite + Unpin,
    direction: Direction,
    link: &Link,
) -> Result<(), Ending> {
    let (sender, queue) = mpsc::unbounded_channel();
    let room = Room::default();
    let take = async {
        take(from, sender, &room, link).await;
        // What was read has still to be written.
        std::future::pending().await
    };
    tokio::select! {
        ended = give(queue, to, direction, &room, link) => ended,
        ended = take => ended,
    }
}

/// How much of one direction was read and is not written yet, in bytes. One side waits for room, the other one makes it.
#[derive(Default)]
struct Room {
    taken: AtomicUsize,
    made: Notify,
}

impl Room {
    /// Cancel-safe.
    async fn wait(&self, link: &Link) {
        let condition = link.watch();
        while self.taken.load(Ordering::Acquire) >= condition.borrow().room() {
            self.made.notified().await;
        }
    }

    fn take(&self, bytes: usize) {
        self.taken.fetch_add(bytes, Ordering::AcqRel);
    }

    fn make(&self, bytes: usize) {
        self.taken.fetch_sub(bytes, Ordering::AcqRel);
        self.made.notify_one();
    }
}

async fn take(
    mut from: impl AsyncRead + Unpin,
    queue: mpsc::UnboundedSender<Item>,
    room: &Room,
    link: &Link,
) {
    let changes = link.watch();
    let mut buffer = BytesMut::new();
    loop {
        room.wait(link).await;
        // What is left of the last chunk serves small reads: many of them must not hold much more than they are.
        if buffer.capacity() < CHUNK / 2 {
            buffer.reserve(CHUNK);
        }
        let read = from.read_buf(&mut buffer).await;
        let due = changes.borrow().latency().map(|latency| Instant::now() + latency);
        let data = match read {
            Ok(0) => return,
            Ok(count) => {
                room.take(count);
                Ok(buffer.split())
            }
            Err(_) => Err(()),
        };
        let failed = data.is_err();
        if queue.send(Item { due, data }).is_err() || failed {
            return;
        }
    }
}

async fn give(
    mut queue: mpsc::UnboundedReceiver<Item>,
    mut to: impl AsyncWrite + Unpin,
    direction: Direction,
    room: &Room,
    link: &Link,
) -> Result<(), Ending> {
    let mut changes = link.watch();
    while let Some(item) = queue.recv().await {
        if let Some(due) = item.due {
            sleep_until(due).await;
        }
        let Ok(mut data) = item.data else {
            let _ = changes.wait_for(|condition| condition.passes()).await;
            return Err(Ending::Reset);
        };
        while !data.is_empty() {
            changes.mark_unchanged();
            let pass = match link.step(direction, &data) {
                Step::Pass(pass) => pass,
                Step::Hold => {
                    let _ = changes.changed().await;
                    continue;
                }
            };
            if let Some(byte) = pass.flip.and_then(|index| data.get_mut(index)) {
                *byte ^= 1;
            }
            let chunk = data.get(..pass.count).unwrap_or(&data);
            to.write_all(chunk).await.map_err(|_| Ending::Reset)?;
            data.advance(pass.count);
            room.make(pass.count);
            link.passed(direction, pass.count, pass.fires());
            if let Some(ending) = pass.ending {
                return Err(ending);
            }
            if let Some(pause) = pass.pause {
                tokio::select! {
                    () = sleep(pause) => {}
                    _ = changes.changed() => {}
                }
            }
        }
    }
    let _ = changes.wait_for(|condition| condition.passes()).await;
    // An error means that this side has gone, which the other direction sees.
    let _ = to.shutdown().await;
    Ok(())
}
