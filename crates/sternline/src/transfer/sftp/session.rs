//! The requests that are on their way, and who waits for their answers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use sternline_proto::sftp::{ClientPacket, Request, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::connection::Connection;
use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, Result, SendState};

/// What may be on its way at once, in bytes: data in both directions, and [`REQUEST_COST`] for each request. Enough for
/// 256 reads of 255 KiB, or for 4,096 requests without data.
const IN_FLIGHT: usize = 64 * 1024 * 1024;

/// What a request counts beside its data.
const REQUEST_COST: usize = 16 * 1024;

/// What an answer with entries of a directory is expected to hold.
const ENTRIES_COST: usize = 48 * 1024;

/// One SFTP channel, as those see it who ask. The driver sends what is posted here, and delivers the answers.
pub(super) struct Session {
    connection: Connection,
    /// Whole packets, in order.
    queue: mpsc::UnboundedSender<Bytes>,
    /// Of this channel, or of several that one caller works with.
    in_flight: Arc<Semaphore>,
    /// Has no permits, and is closed when the channel has ended.
    open: Semaphore,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last_id: u32,
    waiting: HashMap<u32, Waiter>,
    /// Why nothing can be asked any more.
    ended: Option<Error>,
}

struct Waiter {
    answer: oneshot::Sender<Answer>,
    /// Given back when the answer is here, even if nobody waits for it any more.
    _in_flight: Option<OwnedSemaphorePermit>,
}

/// What the server has answered.
#[derive(Debug)]
pub(super) enum Answer {
    /// Something is open now. If nobody takes this, it is closed again.
    Opened(OpenHandle),
    /// Anything else.
    Response(Response),
}

impl Session {
    /// What is on its way counts against one bound together with that of the sessions `beside` this one.
    pub(super) fn new(
        connection: Connection,
        queue: mpsc::UnboundedSender<Bytes>,
        beside: Option<&Self>,
    ) -> Arc<Self> {
        let in_flight = match beside {
            Some(other) => Arc::clone(&other.in_flight),
            None => Arc::new(Semaphore::new(IN_FLIGHT)),
        };
        Arc::new(Self {
            connection,
            queue,
            in_flight,
            open: Semaphore::new(0),
            state: Mutex::default(),
        })
    }

    /// Has less than [`IN_FLIGHT`] on its way at once.
    pub(super) fn bound_in_flight(&self, bytes: usize) {
        self.in_flight.forget_permits(IN_FLIGHT.saturating_sub(bytes));
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Sends a request, as soon as there is room for it. The answer can be waited for at any time.
    ///
    /// Cancel-safe: the request is sent entirely or not at all.
    pub(super) async fn begin(self: &Arc<Self>, request: Request) -> Result<Pending> {
        let cost = cost(&request);
        let room = Arc::clone(&self.in_flight).acquire_many_owned(cost);
        tokio::select! {
            biased;
            Ok(permit) = room => self.post(request, Some(permit)),
            _ = self.open.acquire() => Err(self.why_ended(SendState::NotSent)),
        }
    }

    /// Sends a request and waits for its answer. Cancel-safe as [`Session::begin`]; the answer is then lost.
    pub(super) async fn ask(self: &Arc<Self>, request: Request) -> Result<Answer> {
        self.begin(request).await?.answer().await
    }

    fn post(self: &Arc<Self>, request: Request, permit: Option<OwnedSemaphorePermit>) -> Result<Pending> {
        let (sender, answer) = oneshot::channel();
        let id = {
            let mut state = self.lock();
            if state.ended.is_some() {
                drop(state);
                return Err(self.why_ended(SendState::NotSent));
            }
            let id = state.free_id();
            let waiter = Waiter {
                answer: sender,
                _in_flight: permit,
            };
            state.waiting.insert(id, waiter);
            id
        };
        let mut packet = BytesMut::new();
        if let Err(error) = (ClientPacket::Request { id, request }).encode(&mut packet) {
            self.lock().waiting.remove(&id);
            return Err(Error::new(ErrorKind::Invalid, error.to_string()));
        }
        // If the driver has gone, the waiter went with it, and says why.
        let _ = self.queue.send(packet.freeze());
        Ok(Pending {
            answer,
            session: Arc::clone(self),
        })
    }

    /// Hands an answer to whoever waits for it. `false`: nobody has asked.
    pub(super) fn deliver(self: &Arc<Self>, id: u32, response: Response) -> bool {
        let Some(waiter) = self.lock().waiting.remove(&id) else {
            return false;
        };
        let answer = match response {
            Response::Handle(handle) => Answer::Opened(OpenHandle {
                handle,
                session: Arc::clone(self),
            }),
            response => Answer::Response(response),
        };
        // One that nobody takes is dropped here, and closes what it has opened.
        let _ = waiter.answer.send(answer);
        true
    }

    /// Nothing will be answered any more.
    pub(super) fn end(&self, error: Error) {
        let mut state = self.lock();
        state.ended.get_or_insert(error);
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        self.open.close();
        drop(waiting);
    }

    fn why_ended(&self, sent: SendState) -> Error {
        let ended = self.lock().ended.clone();
        let ended = ended.unwrap_or_else(|| {
            Error::new(ErrorKind::Connection, "the SFTP channel has ended").in_phase(Phase::Transfer)
        });
        ended.with_sent(sent)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn free_id(&mut self) -> u32 {
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            if !self.waiting.contains_key(&self.last_id) {
                return self.last_id;
            }
        }
    }
}

/// A request that was sent.
pub(super) struct Pending {
    answer: oneshot::Receiver<Answer>,
    session: Arc<Session>,
}

impl Pending {
    /// The answer, once. Cancel-safe: it is still there afterwards.
    pub(super) async fn answer(&mut self) -> Result<Answer> {
        (&mut self.answer)
            .await
            .map_err(|_| self.session.why_ended(SendState::MayHaveRun))
    }
}

/// A file or directory that is open on the server; dropping it closes it there.
pub(super) struct OpenHandle {
    /// Empty once it was closed.
    handle: Bytes,
    session: Arc<Session>,
}

impl OpenHandle {
    pub(super) fn bytes(&self) -> Bytes {
        self.handle.clone()
    }

    /// Closes it, and gives the answer to that.
    pub(super) fn close(mut self) -> Result<Pending> {
        let handle = std::mem::take(&mut self.handle);
        self.session.post(Request::Close { handle }, None)
    }
}

impl Drop for OpenHandle {
    fn drop(&mut self) {
        let handle = std::mem::take(&mut self.handle);
        if !handle.is_empty() {
            // Nobody waits for the answer, and there is none once the session has ended.
            let _ = self.session.post(Request::Close { handle }, None);
        }
    }
}

impl std::fmt::Debug for OpenHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("OpenHandle").field(&self.handle).finish()
    }
}

/// How much of [`IN_FLIGHT`] a request takes.
fn cost(request: &Request) -> u32 {
    let data = match request {
        Request::Read { length, .. } => usize::try_from(*length).unwrap_or(IN_FLIGHT),
        Request::Write { data, .. } => data.len(),
        Request::ReadDir { .. } => ENTRIES_COST,
        _ => 0,
    };
    u32::try_from((REQUEST_COST + data).min(IN_FLIGHT)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_counts_in_both_directions() {
        let handle = Bytes::from_static(b"h");
        let read = |length| Request::Read {
            handle: handle.clone(),
            offset: 0,
            length,
        };
        let write = Request::Write {
            handle: handle.clone(),
            offset: 0,
            data: vec![0; 1000].into(),
        };
        assert_eq!(cost(&read(1000)), 16 * 1024 + 1000);
        assert_eq!(cost(&write), 16 * 1024 + 1000);
        assert_eq!(
            cost(&Request::FStat {
                handle: handle.clone()
            }),
            16 * 1024
        );
        // What is more than everything has to wait until nothing else is on its way, but not for ever.
        assert_eq!(cost(&read(u32::MAX)), 64 * 1024 * 1024);
    }

    #[test]
    fn a_number_in_use_is_not_given_again() {
        let mut state = State {
            last_id: u32::MAX - 1,
            ..State::default()
        };
        for used in [u32::MAX, 0, 1] {
            let waiter = Waiter {
                answer: oneshot::channel().0,
                _in_flight: None,
            };
            state.waiting.insert(used, waiter);
        }
        assert_eq!(state.free_id(), 2);
        assert_eq!(state.free_id(), 3);
    }
}
