//! What has arrived on a channel and was not read yet: a bounded amount in memory, the rest in a file, in order.
//!
//! The protocol crate re-opens a channel's window when data arrives, not when it is read, and one channel that
//! nobody empties stops the whole connection. So a pump always empties it, into here.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

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
enum Item {
    Here(Incoming),
    Spilled {
        stream: OutputStream,
        offset: u64,
        length: u64,
        at: f64,
    },
}

#[derive(Debug)]
pub(super) struct Queue {
    spill_to: SpillTo,
    state: Mutex<State>,
    arrived: Notify,
    /// The reader has made room again, or has gone.
    room: Notify,
}

#[derive(Debug)]
struct State {
    items: VecDeque<Item>,
    in_memory: usize,
    spill: Option<Spill>,
    /// End of what was written to the file, and how much of it is unread.
    written: u64,
    unread: u64,
    /// The pump is writing: the file must stay.
    writing: bool,
    /// What is left of [`PATIENCE`].
    patience: Duration,
    overflowed: bool,
    reader_gone: bool,
    /// The reader wants no data any more.
    discards: bool,
    finished: bool,
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

/// What a reader finds at the front.
enum Front {
    Here(Incoming),
    Spilled {
        spill: Option<Spill>,
        offset: u64,
        length: usize,
    },
    Nothing,
    Finished,
}

impl State {
    fn has_room(&self, cost: usize) -> bool {
        self.in_memory + cost <= MEMORY_LIMIT
    }

    fn takes_no_data(&self) -> bool {
        self.reader_gone || self.discards || self.overflowed || self.finished
    }

    fn is_about_to_spill(&self, cost: usize) -> bool {
        self.unread == 0 && !self.has_room(cost) && !self.takes_no_data()
    }

    /// There is no data any more, neither in memory nor in the file.
    fn forget_data(&mut self) {
        self.in_memory = 0;
        self.spill = None;
        self.unread = 0;
    }

    /// Takes what is in memory; what is in the file is only pointed out.
    fn front(&mut self) -> Front {
        match self.items.front() {
            Some(Item::Here(_)) => self.take_here().map_or(Front::Nothing, Front::Here),
            Some(Item::Spilled { offset, length, .. }) => Front::Spilled {
                spill: self.spill.clone(),
                offset: *offset,
                length: usize::try_from(*length).map_or(READ_BACK, |length| length.min(READ_BACK)),
            },
            None if self.finished => Front::Finished,
            None => Front::Nothing,
        }
    }

    /// Appends to the last run where possible: one entry for any number of bytes.
    fn add_run(&mut self, stream: OutputStream, offset: u64, length: u64, at: f64) {
        if let Some(Item::Spilled {
            stream: last,
            offset: start,
            length: run,
            ..
        }) = self.items.back_mut()
            && *last == stream
            && *start + *run == offset
        {
            *run += length;
            return;
        }
        self.items.push_back(Item::Spilled {
            stream,
            offset,
            length,
            at,
        });
    }

    /// A reader that takes a mebibyte in the time of two patiences is as fast as most links are: it never has to be spared the
    /// waiting by way of the file. A slower one runs out of patience after a while, one that pauses at once.
    fn regain_patience(&mut self, taken: usize) {
        let regained = PATIENCE.mul_f64(taken as f64 / (MEMORY_LIMIT / 2) as f64);
        self.patience = PATIENCE.min(self.patience + regained);
    }

    fn take_data(&mut self) -> Option<Bytes> {
        if !matches!(self.items.front(), Some(Item::Here(Incoming::Data { .. }))) {
            return None;
        }
        match self.take_here() {
            Some(Incoming::Data { bytes, .. }) => Some(bytes),
            _ => None,
        }
    }

    fn take_here(&mut self) -> Option<Incoming> {
        let Some(Item::Here(incoming)) = self.items.pop_front() else {
            return None;
        };
        if let Incoming::Data { bytes, .. } = &incoming {
            self.in_memory = self.in_memory.saturating_sub(bytes.len() + MESSAGE_COST);
            self.regain_patience(bytes.len());
        }
        Some(incoming)
    }

    /// Takes what was just read back off the first run; gives the file up once all of it was read.
    fn take_spilled(&mut self, bytes: Bytes) -> Option<Incoming> {
        let Some(Item::Spilled {
            stream,
            offset,
            length,
            at,
        }) = self.items.front_mut()
        else {
            return None;
        };
        let (stream, at) = (*stream, *at);
        let taken = bytes.len() as u64;
        *offset += taken;
        *length = length.saturating_sub(taken);
        if *length == 0 {
            self.items.pop_front();
        }
        self.unread = self.unread.saturating_sub(taken);
        if self.unread == 0 && !self.writing {
            self.spill = None;
        }
        Some(Incoming::Data { stream, bytes, at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use OutputStream::{Stderr, Stdout};

    fn queue(limit: u64) -> (tempfile::TempDir, Queue) {
        let dir = tempfile::tempdir().unwrap();
        let queue = Queue::new(SpillTo {
            dir: dir.path().to_owned(),
            limit,
        });
        (dir, queue)
    }

    fn chunk(n: usize) -> Bytes {
        Bytes::from(vec![(n % 251) as u8; 32 * 1024])
    }

    #[tokio::test]
    async fn everything_comes_back_in_order_whether_it_was_spilled_or_not() {
        let (_dir, queue) = queue(u64::MAX);
        let mut sent = Vec::new();
        for n in 0..200 {
            let stream = if n % 3 == 0 { Stderr } else { Stdout };
            queue.push_data(stream, chunk(n)).await;
            sent.push((stream, chunk(n)));
        }
        queue.push(Incoming::ExitStatus(7));
        queue.finish();
        let mut received: Vec<(OutputStream, Vec<u8>)> = Vec::new();
        let mut exit = None;
        while let Some(incoming) = queue.next().await {
            match incoming {
                Incoming::Data { stream, bytes, .. } => match received.last_mut() {
                    Some((last, data)) if *last == stream => data.extend_from_slice(&bytes),
                    _ => received.push((stream, bytes.to_vec())),
                },
                Incoming::ExitStatus(code) => exit = Some(code),
                other => panic!("unexpected {other:?}"),
            }
        }
        let mut expected: Vec<(OutputStream, Vec<u8>)> = Vec::new();
        for (stream, bytes) in sent {
            match expected.last_mut() {
                Some((last, data)) if *last == stream => data.extend_from_slice(&bytes),
                _ => expected.push((stream, bytes.to_vec())),
            }
        }
        assert_eq!(exit, Some(7));
        assert!(received == expected);
    }

    #[tokio::test]
    async fn memory_stays_bounded_and_the_file_goes_when_it_was_read() {
        let (_dir, queue) = queue(u64::MAX);
        for n in 0..320 {
            queue.push_data(Stdout, chunk(n)).await;
        }
        assert!(queue.lock().in_memory <= MEMORY_LIMIT);
        assert!(queue.lock().spill.is_some());
        let mut total = 0;
        while total < 320 * 32 * 1024 {
            match queue.next().await {
                Some(Incoming::Data { bytes, .. }) => total += bytes.len(),
                other => panic!("unexpected {other:?}"),
            }
        }
        assert!(queue.lock().spill.is_none());
    }

    #[tokio::test]
    async fn a_reader_that_only_needs_its_turn_keeps_everything_out_of_the_file() {
        let (_dir, queue) = queue(u64::MAX);
        let writing = async {
            for n in 0..320 {
                queue.push_data(Stdout, chunk(n)).await;
            }
            queue.finish();
        };
        let reading = async {
            let mut total = 0;
            while let Some(incoming) = queue.next().await {
                match incoming {
                    Incoming::Data { bytes, .. } => total += bytes.len(),
                    other => panic!("unexpected {other:?}"),
                }
            }
            total
        };
        let ((), total) = tokio::join!(writing, reading);
        assert_eq!(total, 320 * 32 * 1024);
        assert_eq!(queue.lock().written, 0);
    }

    /// How long a writer of 10 MiB is held up by a reader who takes so much every five milliseconds, and how much goes to the file.
    async fn held_up(reader_takes: usize) -> (Duration, u64) {
        let (_dir, queue) = queue(u64::MAX);
        let started = Instant::now();
        let writing = async {
            for n in 0..320 {
                queue.push_data(Stdout, chunk(n)).await;
            }
        };
        let reading = async {
            loop {
                tokio::time::sleep(PATIENCE / 4).await;
                queue.waiting_data(reader_takes);
            }
        };
        tokio::select! {
            () = writing => {}
            () = reading => {}
        }
        (started.elapsed(), queue.lock().written)
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_is_too_slow_holds_nothing_up_for_long() {
        for takes in [1, 64 * 1024] {
            let (elapsed, written) = held_up(takes).await;
            // Timers count whole milliseconds.
            assert!(elapsed < PATIENCE * 2 && written > 0, "{takes}: {elapsed:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_as_fast_as_a_fast_link_is_waited_for() {
        assert_eq!(held_up(MEMORY_LIMIT / 2).await.1, 0);
    }

    #[tokio::test]
    async fn a_reader_that_wants_no_data_gets_the_rest_at_once() {
        let (_dir, queue) = queue(u64::MAX);
        for n in 0..100 {
            queue.push_data(Stdout, chunk(n)).await;
        }
        queue.push(Incoming::Reply(true));
        queue.discard();
        assert!(queue.lock().spill.is_none());
        for n in 0..100 {
            queue.push_data(Stdout, chunk(n)).await;
        }
        queue.push(Incoming::ExitStatus(0));
        queue.finish();
        assert_eq!(queue.next().await, Some(Incoming::Reply(true)));
        assert_eq!(queue.next().await, Some(Incoming::ExitStatus(0)));
        assert_eq!(queue.next().await, None);
    }

    #[tokio::test]
    async fn what_comes_after_the_end_is_dropped_and_what_came_before_is_kept() {
        let (_dir, queue) = queue(u64::MAX);
        for n in 0..100 {
            queue.push_data(Stdout, chunk(n)).await;
        }
        queue.finish();
        queue.push_data(Stdout, chunk(100)).await;
        queue.push(Incoming::Eof);
        let mut total = 0;
        while let Some(incoming) = queue.next().await {
            match incoming {
                Incoming::Data { bytes, .. } => total += bytes.len(),
                other => panic!("unexpected {other:?}"),
            }
        }
        assert_eq!(total, 100 * 32 * 1024);
    }

    #[tokio::test]
    async fn waiting_data_ends_before_what_is_no_data_and_soon_after_the_limit() {
        let (_dir, queue) = queue(u64::MAX);
        for n in 0..6 {
            queue.push_data(Stdout, chunk(n)).await;
        }
        queue.push(Incoming::Eof);
        queue.push_data(Stdout, chunk(6)).await;
        assert_eq!(queue.waiting_data(96 * 1024), [chunk(0), chunk(1), chunk(2)]);
        assert_eq!(queue.waiting_data(usize::MAX), [chunk(3), chunk(4), chunk(5)]);
        assert!(queue.waiting_data(usize::MAX).is_empty());
        assert_eq!(queue.next().await, Some(Incoming::Eof));
        assert_eq!(queue.waiting_data(usize::MAX), [chunk(6)]);
        assert_eq!(queue.lock().in_memory, 0);
    }

    #[tokio::test]
    async fn a_server_that_answers_without_end_overflows_and_fills_no_memory() {
        let (_dir, queue) = queue(u64::MAX);
        for _ in 0..100_000 {
            queue.push(Incoming::Reply(true));
        }
        assert!(queue.lock().items.len() <= RUN_LIMIT + OTHERS_LIMIT + 1);
        queue.finish();
        let mut last = None;
        while let Some(incoming) = queue.next().await {
            last = Some(incoming);
        }
        assert!(matches!(last, Some(Incoming::Overflow(_))), "{last:?}");
    }

    #[tokio::test]
    async fn past_the_limit_the_stream_ends_with_the_reason_and_keeps_what_came_before() {
        let (_dir, queue) = queue(64 * 1024);
        for n in 0..100 {
            queue.push_data(Stdout, chunk(n)).await;
        }
        queue.finish();
        let mut total = 0;
        let mut overflow = None;
        while let Some(incoming) = queue.next().await {
            match incoming {
                Incoming::Data { bytes, .. } if overflow.is_none() => total += bytes.len(),
                Incoming::Overflow(reason) => overflow = Some(reason),
                other => panic!("unexpected {other:?}"),
            }
        }
        assert!(overflow.unwrap().contains("waiting to be read"));
        assert!(total >= MEMORY_LIMIT);
    }

    #[tokio::test]
    async fn a_cancelled_read_loses_nothing() {
        let (_dir, queue) = queue(u64::MAX);
        for n in 0..100 {
            queue.push_data(Stdout, chunk(n)).await;
        }
        queue.finish();
        let mut total = 0;
        loop {
            // Polled once and dropped: the read may or may not have begun.
            let mut next = Box::pin(queue.next());
            let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(next.as_mut().poll(cx))).await;
            drop(next);
            let incoming = match polled {
                std::task::Poll::Ready(incoming) => incoming,
                std::task::Poll::Pending => queue.next().await,
            };
            match incoming {
                Some(Incoming::Data { bytes, .. }) => total += bytes.len(),
                Some(other) => panic!("unexpected {other:?}"),
                None => break,
            }
        }
        assert_eq!(total, 100 * 32 * 1024);
    }

    #[tokio::test]
    async fn an_unusable_directory_is_reported_as_the_reason() {
        let queue = Queue::new(SpillTo {
            dir: "/nonexistent/dir".into(),
            limit: u64::MAX,
        });
        for n in 0..40 {
            queue.push_data(Stdout, chunk(n)).await;
        }
        queue.finish();
        let mut last = None;
        while let Some(incoming) = queue.next().await {
            last = Some(incoming);
        }
        assert!(matches!(last, Some(Incoming::Overflow(reason)) if reason.contains("/nonexistent/dir")));
    }
}
