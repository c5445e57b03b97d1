//! What has arrived on a channel and was not read yet: a bounded amount in memory, the rest in a file, in order.
//!
//! The protocol crate re-opens a channel's window when data arrives, not when it is read, and one channel that
//! nobody empties stops the whole connection. So a pump always empties it, into here.

mod state;

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use state::{Front, Item, State};

use super::spill::{Spill, SpillTo};
use crate::event::unix_millis;

/// Bytes of one channel that are kept in memory before the file takes over.
const MEMORY_LIMIT: usize = 1024 * 1024;

/// What one message costs beside its bytes.
const MESSAGE_COST: usize = 96;

/// How long a reader may take in all to make room before the file takes over. It is given anew as the reader takes what waits, and
/// when everything that has arrived is in the queue again. Meanwhile the rest waits in the protocol crate's own queue; only when that is full too the session
/// loop waits with us.
const PATIENCE: Duration = Duration::from_millis(20);

/// Runs of spilled data that are remembered: bounds the memory of a stream that changes sides with every byte.
const RUN_LIMIT: usize = 16 * 1024;

/// How many messages beside data may wait: an answer for each variable, and the exit.
const OTHERS_LIMIT: usize = 16 * 1024;

/// How much is read back from the file at once.
const READ_BACK: usize = 256 * 1024;

/// Which of a command's two output streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Something that arrived on a channel.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Incoming {
    Data {
        stream: OutputStream,
        bytes: Bytes,
        /// Unix milliseconds.
        at: f64,
    },
    /// The answer to the oldest unanswered request.
    Reply(bool),
    ExitStatus(u32),
    ExitSignal {
        name: String,
        core_dumped: bool,
        message: String,
    },
    Eof,
    /// More had to be kept than may be: what followed is lost, and the reason says why.
    Overflow(String),
}

#[derive(Debug)]
pub(super) struct Queue {
    spill_to: SpillTo,
    state: Mutex<State>,
    arrived: Notify,
    /// The reader has made room again, or has gone.
    room: Notify,
}

impl Queue {
    pub(super) fn new(spill_to: SpillTo) -> Self {
        Self {
            spill_to,
            state: Mutex::new(State {
                items: VecDeque::new(),
                in_memory: 0,
                spill: None,
                written: 0,
                unread: 0,
                writing: false,
                patience: PATIENCE,
                overflowed: false,
                reader_gone: false,
                discards: false,
                finished: false,
            }),
            arrived: Notify::new(),
            room: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds what is not data: always in memory, there are only a few of these. A server that sends them without end
    /// overflows the queue.
    pub(super) fn push(&self, incoming: Incoming) {
        let mut state = self.lock();
        if state.reader_gone || state.finished {
            return;
        }
        if state.items.len() < RUN_LIMIT + OTHERS_LIMIT {
            state.items.push_back(Item::Here(incoming));
        } else if !state.overflowed {
            state.overflowed = true;
            let reason = "the server sends answers that nobody asked for".to_owned();
            state.items.push_back(Item::Here(Incoming::Overflow(reason)));
        }
        drop(state);
        self.arrived.notify_one();
    }

    /// Adds data. Waits for the disk, and for a moment for a reader who only needs his turn; called by the channel's pump
    /// alone.
    pub(super) async fn push_data(&self, stream: OutputStream, bytes: Bytes) {
        let at = unix_millis(SystemTime::now());
        let cost = bytes.len() + MESSAGE_COST;
        self.let_reader_make_room(cost).await;
        let target = {
            let mut state = self.lock();
            if state.takes_no_data() {
                return;
            }
            if state.unread == 0 && state.has_room(cost) {
                state.in_memory += cost;
                state
                    .items
                    .push_back(Item::Here(Incoming::Data { stream, bytes, at }));
                drop(state);
                self.arrived.notify_one();
                return;
            }
            self.prepare_spill(&mut state, bytes.len() as u64)
        };
        let length = bytes.len() as u64;
        let outcome = match target {
            Ok((spill, offset)) => spill
                .write(offset, bytes)
                .await
                .map(|()| offset)
                .map_err(|error| {
                    format!(
                        "cannot write unread output to {}: {error}",
                        self.spill_to.dir.display()
                    )
                }),
            Err(reason) => Err(reason),
        };
        let mut state = self.lock();
        state.writing = false;
        match outcome {
            _ if state.takes_no_data() => {}
            Ok(offset) => {
                state.written = offset + length;
                state.unread += length;
                state.add_run(stream, offset, length, at);
            }
            Err(reason) => {
                state.overflowed = true;
                state.items.push_back(Item::Here(Incoming::Overflow(reason)));
            }
        }
        drop(state);
        self.arrived.notify_one();
    }

    /// The session loop hands over much at once, and a reader whose own peer is busy for a moment is no slow one. Never
    /// waits while the file is in use.
    async fn let_reader_make_room(&self, cost: usize) {
        loop {
            let patience = {
                let state = self.lock();
                if !state.is_about_to_spill(cost) || state.patience.is_zero() {
                    return;
                }
                state.patience
            };
            let since = Instant::now();
            let _ = timeout(patience, self.room.notified()).await;
            let mut state = self.lock();
            state.patience = state.patience.saturating_sub(since.elapsed());
        }
    }

    /// Everything that has arrived is in the queue: its reader keeps up.
    pub(super) fn caught_up(&self) {
        self.lock().patience = PATIENCE;
    }

    /// Much room at once is better than a little each time: each side then works for longer.
    fn tell_of_room(&self, state: &State) {
        if state.in_memory <= MEMORY_LIMIT / 2 {
            self.room.notify_one();
        }
    }

    /// The file and the offset for the next `length` bytes, or why they cannot be kept.
    fn prepare_spill(&self, state: &mut State, length: u64) -> Result<(Spill, u64), String> {
        if state.unread + length > self.spill_to.limit || state.items.len() >= RUN_LIMIT {
            return Err(format!(
                "more than {} bytes of output are waiting to be read",
                state.unread
            ));
        }
        let spill = match &state.spill {
            Some(spill) => spill.clone(),
            None => {
                let spill = Spill::create(&self.spill_to.dir).map_err(|error| {
                    format!(
                        "cannot keep unread output in {}: {error}",
                        self.spill_to.dir.display()
                    )
                })?;
                state.written = 0;
                state.spill = Some(spill.clone());
                spill
            }
        };
        state.writing = true;
        Ok((spill, state.written))
    }

    /// Whether something has arrived that was not read yet.
    pub(super) fn has_unread(&self) -> bool {
        let state = self.lock();
        state.writing || !state.items.is_empty()
    }

    /// Nothing is added any more.
    pub(super) fn finish(&self) {
        self.lock().finished = true;
        self.arrived.notify_one();
        self.room.notify_one();
    }

    /// Nobody will read any more: what waits and what still comes is dropped.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        state.reader_gone = true;
        state.items.clear();
        state.forget_data();
        drop(state);
        self.room.notify_one();
    }

    /// The reader wants no data any more, only what comes beside it.
    pub(super) fn discard(&self) {
        let mut state = self.lock();
        state.discards = true;
        state.items.retain(
            |item| matches!(item, Item::Here(incoming) if !matches!(incoming, Incoming::Data { .. })),
        );
        state.forget_data();
        drop(state);
        self.room.notify_one();
    }

    /// Data that waits in memory, as far as nothing else comes in between, for a reader that takes several messages at
    /// once: at least one if there is any, and no more than `limit` bytes beyond it.
    pub(super) fn waiting_data(&self, limit: usize) -> Vec<Bytes> {
        let mut state = self.lock();
        let (mut taken, mut total) = (Vec::new(), 0);
        while total < limit
            && let Some(bytes) = state.take_data()
        {
            total += bytes.len();
            taken.push(bytes);
        }
        self.tell_of_room(&state);
        taken
    }

    /// The next item, or `None` when the channel has ended and everything was read. One reader at a time.
    ///
    /// Cancel-safe: an item is only taken out once it is in hand.
    pub(super) async fn next(&self) -> Option<Incoming> {
        loop {
            let front = {
                let mut state = self.lock();
                let front = state.front();
                self.tell_of_room(&state);
                front
            };
            let (spill, offset, length) = match front {
                Front::Here(incoming) => return Some(incoming),
                Front::Spilled {
                    spill,
                    offset,
                    length,
                } => (spill, offset, length),
                Front::Finished => return None,
                Front::Nothing => {
                    self.arrived.notified().await;
                    continue;
                }
            };
            let read = match spill {
                Some(spill) => spill.read(offset, length).await,
                None => Err(std::io::ErrorKind::NotFound.into()),
            };
            let mut state = self.lock();
            return match read {
                Ok(bytes) => state.take_spilled(bytes),
                Err(error) => {
                    state.items.clear();
                    state.overflowed = true;
                    Some(Incoming::Overflow(format!(
                        "cannot read back unread output: {error}"
                    )))
                }
            };
        }
    }
}

#[cfg(test)]
mod tests;
