//! What the script's thread is asked to do, in order.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use super::{Completion, Reply};

/// Something to do, and where its result goes.
pub(super) enum Request {
    Evaluate(String, oneshot::Sender<Reply>),
    Complete(String, oneshot::Sender<Completion>),
    Variables(oneshot::Sender<Vec<(String, String)>>),
    End(oneshot::Sender<()>),
}

/// Requests that wait. To wait for one takes none away, so that a wait that is given up loses none.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    requests: VecDeque<Request>,
    closed: bool,
}

impl Queue {
    /// Hands a request over. Once the queue is closed it is dropped, as its sender sees.
    pub(super) fn push(&self, request: Request) {
        let mut state = self.lock();
        if !state.closed {
            state.requests.push_back(request);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// The next one, if one waits.
    pub(super) fn pop(&self) -> Option<Request> {
        self.lock().requests.pop_front()
    }

    /// Whether one waits.
    pub(super) fn has_some(&self) -> bool {
        !self.lock().requests.is_empty()
    }

    /// Waits until a request waits; `false` when none will come any more. Cancel-safe.
    pub(super) async fn ready(&self) -> bool {
        loop {
            {
                let state = self.lock();
                if !state.requests.is_empty() {
                    return true;
                }
                if state.closed {
                    return false;
                }
            }
            self.changed.notified().await;
        }
    }

    /// Takes no further requests, and drops those that wait.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.requests.clear();
        drop(state);
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
