//! One channel: its requests, its input, and a pump that always takes what arrives.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::sync::{oneshot, watch};

pub(crate) use super::queue::Incoming;
pub use super::queue::OutputStream;
use super::queue::Queue;
use super::spill::SpillTo;

/// A pseudo-terminal, as a channel requests it (RFC 4254 section 6.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pty {
    /// The terminal's type, as in `TERM`.
    pub term: String,
    /// Width in characters.
    pub columns: u32,
    /// Height in characters.
    pub rows: u32,
}

impl Default for Pty {
    /// An `xterm` of 80 by 24 characters.
    fn default() -> Self {
        Self {
            term: "xterm".to_owned(),
            columns: 80,
            rows: 24,
        }
    }
}

/// The channel has ended, or the whole connection: nothing can be sent on it any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChannelEnded;

/// Something that is given back when a channel has reached a certain point.
pub(crate) type Guard = Box<dyn Send>;

/// Guards that fall when the command has exited, and when the channel has closed. The two can lie far apart, and both
/// are noticed when they arrive, not when somebody reads so far.
struct Guards {
    /// `None` once the moment has come.
    until_exited: Mutex<Option<Vec<Guard>>>,
    until_closed: Mutex<Option<Vec<Guard>>>,
}

/// Keeps a guard, or drops it at once if its moment has already come.
fn keep(guards: &Mutex<Option<Vec<Guard>>>, guard: Guard) {
    if let Some(kept) = guards.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
        kept.push(guard);
    }
}

fn release(guards: &Mutex<Option<Vec<Guard>>>) {
    // Dropped outside the lock: a guard may do anything.
    let released = guards.lock().unwrap_or_else(PoisonError::into_inner).take();
    drop(released);
}

/// An open channel. Dropping it closes it, on the server's side too.
pub(crate) struct Channel {
    queue: Arc<Queue>,
    sender: ChannelSender,
    guards: Arc<Guards>,
    /// Dropped with the channel; the pump then sends the close.
    _close: oneshot::Sender<()>,
}

/// The sending side; clones send on the same channel.
#[derive(Debug, Clone)]
pub(crate) struct ChannelSender {
    write: Arc<ChannelWriteHalf<Msg>>,
    ended: watch::Receiver<Option<End>>,
}

/// How a channel ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// One of the sides closed it.
    Closed,
    /// Its connection was lost.
    Lost,
}

impl Channel {
    /// Takes a freshly opened channel over, with a guard as for [`Channel::hold_until_closed`].
    pub(super) fn start(channel: russh::Channel<Msg>, spill_to: SpillTo, until_closed: Guard) -> Self {
        let (read, write) = channel.split();
        let write = Arc::new(write);
        let queue = Arc::new(Queue::new(spill_to));
        let (close, close_requested) = oneshot::channel();
        let (ended_sender, ended) = watch::channel(None);
        let guards = Arc::new(Guards {
            until_exited: Mutex::new(Some(Vec::new())),
            until_closed: Mutex::new(Some(vec![until_closed])),
        });
        let pump = Pump {
            read,
            write: Arc::clone(&write),
            over: Over {
                queue: Arc::clone(&queue),
                guards: Arc::clone(&guards),
                ended: ended_sender,
                how: End::Lost,
            },
        };
        tokio::spawn(pump.run(close_requested));
        Self {
            queue,
            sender: ChannelSender { write, ended },
            guards,
            _close: close,
        }
    }

    /// Keeps something until the server says that the command has exited, or the channel has closed.
    pub(crate) fn hold_until_exited(&self, guard: Guard) {
        keep(&self.guards.until_exited, guard);
    }

    /// Whether the server has said that the command has exited, or the channel has ended: when it arrived, not when it was read.
    pub(crate) fn has_exited(&self) -> bool {
        let guards = self.guards.until_exited.lock();
        guards.unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Keeps something until the server has closed the channel, however long this side has given it up.
    pub(crate) fn hold_until_closed(&self, guard: Guard) {
        keep(&self.guards.until_closed, guard);
    }

    /// What arrives next; `None` when the channel has ended. Cancel-safe.
    pub(crate) async fn next(&self) -> Option<Incoming> {
        self.queue.next().await
    }

    /// Whether something has arrived that [`Channel::next`] has not given yet.
    pub(crate) fn has_unread(&self) -> bool {
        self.queue.has_unread()
    }

    /// What arrives from now on is dropped: [`Channel::next`] ends once all that has arrived was read.
    pub(crate) fn take_no_more(&self) {
        self.queue.finish();
    }

    /// Drops the data that was not read, and what still arrives of it.
    pub(crate) fn discard(&self) {
        self.queue.discard();
    }

    /// Data that has already arrived behind what was read last: about so many bytes.
    pub(super) fn waiting_data(&self, limit: usize) -> Vec<Bytes> {
        self.queue.waiting_data(limit)
    }

    pub(crate) fn sender(&self) -> &ChannelSender {
        &self.sender
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.queue.abandon();
    }
}

impl ChannelSender {
    /// Sends data, waiting for the server's window. Not cancel-safe: a part may have been sent.
    pub(crate) async fn data(&self, bytes: Bytes) -> Result<(), ChannelEnded> {
        self.send(self.write.data_bytes(bytes)).await
    }

    pub(crate) async fn eof(&self) -> Result<(), ChannelEnded> {
        self.send(self.write.eof()).await
    }

    pub(crate) async fn exec(&self, command: &[u8]) -> Result<(), ChannelEnded> {
        self.send(self.write.exec(true, command)).await
    }

    pub(crate) async fn shell(&self) -> Result<(), ChannelEnded> {
        self.send(self.write.request_shell(true)).await
    }

    pub(crate) async fn subsystem(&self, name: &str) -> Result<(), ChannelEnded> {
        self.send(self.write.request_subsystem(true, name)).await
    }

    pub(crate) async fn env(&self, name: &str, value: &str) -> Result<(), ChannelEnded> {
        self.send(self.write.set_env(true, name, value)).await
    }

    pub(crate) async fn pty(&self, pty: &Pty) -> Result<(), ChannelEnded> {
        self.send(
            self.write
                .request_pty(true, &pty.term, pty.columns, pty.rows, 0, 0, &[]),
        )
        .await
    }

    pub(crate) async fn window_change(&self, columns: u32, rows: u32) -> Result<(), ChannelEnded> {
        self.send(self.write.window_change(columns, rows, 0, 0)).await
    }

    /// Asks the server to signal the command (RFC 4254 section 6.9). There is no answer, and sshd ignores it for root.
    pub(crate) async fn kill(&self) -> Result<(), ChannelEnded> {
        self.send(self.write.signal(Sig::KILL)).await
    }

    /// Whether the channel has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.borrow().is_some()
    }

    /// Whether the channel has ended because its connection was lost.
    pub(crate) fn was_lost(&self) -> bool {
        *self.ended.borrow() == Some(End::Lost)
    }

    /// Waits until the channel has ended. Cancel-safe.
    pub(crate) async fn ended(&self) {
        let mut ended = self.ended.clone();
        // An error means that the pump is gone, which is an end too.
        let _ = ended.wait_for(Option::is_some).await;
    }

    /// A window that never opens again must not hold the sender for ever once the channel is gone.
    async fn send(
        &self,
        sending: impl Future<Output = Result<(), russh::Error>>,
    ) -> Result<(), ChannelEnded> {
        tokio::select! {
            biased;
            sent = sending => sent.map_err(|_| ChannelEnded),
            () = self.ended() => Err(ChannelEnded),
        }
    }
}

/// Moves what arrives into the queue, whatever else happens.
struct Pump {
    read: ChannelReadHalf,
    write: Arc<ChannelWriteHalf<Msg>>,
    over: Over,
}

/// Tells when it is dropped that the channel has ended, so that nobody waits for a pump whose runtime was shut down.
struct Over {
    queue: Arc<Queue>,
    guards: Arc<Guards>,
    ended: watch::Sender<Option<End>>,
    how: End,
}

impl Drop for Over {
    fn drop(&mut self) {
        release(&self.guards.until_exited);
        release(&self.guards.until_closed);
        // Before the queue ends: whoever reads to its end may ask why.
        self.ended.send_replace(Some(self.how));
        self.queue.finish();
    }
}

impl Pump {
    /// Ends when the server has closed the channel, when this side has, or when the connection has ended.
    ///
    /// After this side's close the crate tells nothing more about the channel, not even that the server has closed
    /// it too; so whoever wants to know has to let the server close first. Until the close is on its way reading
    /// goes on: the session loop would wait for room otherwise.
    async fn run(self, close_requested: oneshot::Receiver<()>) {
        let Self {
            mut read,
            write,
            mut over,
        } = self;
        let (queue, guards) = (&over.queue, &over.guards);
        let closing = async {
            let _ = close_requested.await;
            let _ = write.close().await;
        };
        let reading = async {
            while let Some(message) = next(&mut read, queue).await {
                match message {
                    ChannelMsg::Data { data } => queue.push_data(OutputStream::Stdout, data).await,
                    // SSH_EXTENDED_DATA_STDERR is the only type that RFC 4254 defines.
                    ChannelMsg::ExtendedData { data, .. } => {
                        queue.push_data(OutputStream::Stderr, data).await;
                    }
                    ChannelMsg::Success => queue.push(Incoming::Reply(true)),
                    ChannelMsg::Failure => queue.push(Incoming::Reply(false)),
                    ChannelMsg::Eof => queue.push(Incoming::Eof),
                    ChannelMsg::ExitStatus { exit_status } => {
                        release(&guards.until_exited);
                        queue.push(Incoming::ExitStatus(exit_status));
                    }
                    ChannelMsg::ExitSignal {
                        signal_name,
                        core_dumped,
                        error_message,
                        ..
                    } => {
                        release(&guards.until_exited);
                        queue.push(Incoming::ExitSignal {
                            name: signal_text(&signal_name).to_owned(),
                            core_dumped,
                            message: error_message,
                        });
                    }
                    ChannelMsg::Close => return End::Closed,
                    _ => {}
                }
            }
            End::Lost
        };
        let end = tokio::select! {
            end = reading => end,
            () = closing => End::Closed,
        };
        over.how = end;
    }
}

/// The next message, and a word to the queue if none has arrived yet.
async fn next(read: &mut ChannelReadHalf, queue: &Queue) -> Option<ChannelMsg> {
    let mut next = pin!(read.wait());
    poll_fn(|cx| {
        let message = next.as_mut().poll(cx);
        if message.is_pending() {
            queue.caught_up();
        }
        message
    })
    .await
}

/// The signal's name without `SIG`, as RFC 4254 section 6.10 has it.
fn signal_text(signal: &Sig) -> &str {
    match signal {
        Sig::ABRT => "ABRT",
        Sig::ALRM => "ALRM",
        Sig::FPE => "FPE",
        Sig::HUP => "HUP",
        Sig::ILL => "ILL",
        Sig::INT => "INT",
        Sig::KILL => "KILL",
        Sig::PIPE => "PIPE",
        Sig::QUIT => "QUIT",
        Sig::SEGV => "SEGV",
        Sig::TERM => "TERM",
        Sig::USR1 => "USR1",
        Sig::Custom(name) => name,
    }
}
