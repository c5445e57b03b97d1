//! The connections, those who wait for one, and what is done about it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, interval};

use super::lease::Lease;
use super::plan::{SOON, Standing, attempts};
use crate::connection::{Connection, ConnectionBuilder};
use crate::error::{Error, ErrorKind, Result};

/// How long no further connection is tried after one has failed, as long as others are open.
const AFTER_FAILURE: Duration = Duration::from_secs(2);

/// How long closing waits for commands that are being ended.
const PATIENCE: Duration = Duration::from_secs(6);

/// At most `size` connections made with the same settings. It is made without any: the first command makes the first.
///
/// Dropping it gives up what is being connected; a connection ends with the last command on it.
pub(in crate::sandbox) struct Pool {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    settings: ConnectionBuilder,
    size: usize,
    state: Mutex<State>,
    /// Whether the pool was closed, and how many places on connections are in use.
    watched: watch::Sender<Watched>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Watched {
    closed: bool,
    busy: usize,
}

#[derive(Default)]
struct State {
    next_id: u64,
    open: Vec<Open>,
    connecting: Vec<Connecting>,
    /// First come, first served.
    waiting: VecDeque<oneshot::Sender<Result<Lease>>>,
    failed_at: Option<Instant>,
    /// How many connections were found to have died.
    lost: u64,
    closed: bool,
}

struct Open {
    id: u64,
    connection: Connection,
    /// How many commands have a place on it.
    busy: usize,
}

struct Connecting {
    id: u64,
    since: Instant,
    task: AbortHandle,
}

impl Pool {
    pub(in crate::sandbox) fn new(settings: ConnectionBuilder, size: usize) -> Self {
        Self {
            shared: Arc::new(Shared {
                settings,
                size,
                state: Mutex::default(),
                watched: watch::Sender::default(),
            }),
        }
    }

    /// A place on a connection, waited for if need be. Cancel-safe: whoever gives up leaves the queue.
    ///
    /// # Errors
    /// Why connecting has failed, where nothing else is open or on its way; and after [`Pool::close`].
    pub(in crate::sandbox) async fn lease(&self) -> Result<Lease> {
        let (sender, mut receiver) = oneshot::channel();
        {
            let mut state = self.shared.lock();
            if state.closed {
                return Err(closed());
            }
            state.waiting.push_back(sender);
            self.shared.serve(&mut state);
        }
        // What only time brings about: an attempt is slow now, or the time after a failure is over.
        let mut again = interval(SOON);
        again.tick().await;
        loop {
            tokio::select! {
                biased;
                answer = &mut receiver => return answer.unwrap_or_else(|_| Err(closed())),
                _ = again.tick() => self.shared.serve(&mut self.shared.lock()),
            }
        }
    }

    /// How many connections have died so far. What was learned about the host before the last one did may not hold any more.
    pub(in crate::sandbox) fn lost(&self) -> u64 {
        self.shared.lock().lost
    }

    /// Waits until the pool is closed. Cancel-safe.
    pub(in crate::sandbox) async fn closed(&self) -> Error {
        let mut watched = self.shared.watched.subscribe();
        // The sender lives in `self`, so waiting can only end with the closing.
        let _ = watched.wait_for(|watched| watched.closed).await;
        closed()
    }

    /// Closes all connections, once the commands on them have been ended, and gives up what is being connected. Does nothing the
    /// second time.
    pub(in crate::sandbox) async fn close(&self) {
        let mut watched = self.shared.watched.subscribe();
        let connections: Vec<Connection> = {
            let mut state = self.shared.lock();
            state.closed = true;
            for connecting in state.connecting.drain(..) {
                connecting.task.abort();
            }
            for waiting in state.waiting.drain(..) {
                let _ = waiting.send(Err(closed()));
            }
            // They stay in the list, so that places are given back as ever.
            state.open.iter().map(|open| open.connection.clone()).collect()
        };
        self.shared.watched.send_modify(|watched| watched.closed = true);
        let _ = tokio::time::timeout(PATIENCE, watched.wait_for(|watched| watched.busy == 0)).await;
        // This waits until dropped commands have been ended on the server.
        join_all(connections.iter().map(Connection::close)).await;
        self.shared.lock().open.clear();
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closed = true;
        for connecting in state.connecting.drain(..) {
            connecting.task.abort();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn give_back(self: &Arc<Self>, id: u64) {
        let mut state = self.lock();
        if let Some(open) = state.open.iter_mut().find(|open| open.id == id) {
            open.busy = open.busy.saturating_sub(1);
        }
        self.serve(&mut state);
    }

    /// Gives places to those who wait, and begins to connect where there are too few.
    fn serve(self: &Arc<Self>, state: &mut State) {
        let before = state.open.len();
        state.open.retain(|open| open.connection.is_connected());
        state.lost += (before - state.open.len()) as u64;
        state.waiting.retain(|waiting| !waiting.is_closed());
        if !state.closed {
            self.give(state);
            self.connect(state);
        }
        let busy = state.open.iter().map(|open| open.busy).sum();
        self.watched.send_if_modified(|watched| {
            let changed = watched.busy != busy;
            watched.busy = busy;
            changed
        });
    }

    fn give(self: &Arc<Self>, state: &mut State) {
        while !state.waiting.is_empty() {
            let roomy = state
                .open
                .iter_mut()
                .filter(|open| open.busy < limit(&open.connection));
            let Some(open) = roomy.min_by_key(|open| open.busy) else {
                return;
            };
            let lease = Lease::new(open.connection.clone(), open.id, Arc::downgrade(self));
            let Some(waiting) = state.waiting.pop_front() else {
                return;
            };
            match waiting.send(Ok(lease)) {
                Ok(()) => open.busy += 1,
                Err(Ok(lease)) => drop(lease.forget()),
                Err(Err(_)) => {}
            }
        }
    }

    fn connect(self: &Arc<Self>, state: &mut State) {
        let slow = state
            .connecting
            .iter()
            .filter(|one| one.since.elapsed() >= SOON)
            .count();
        let wanted = attempts(&Standing {
            waiting: state.waiting.len(),
            open: state.open.len(),
            promising: state.connecting.len() - slow,
            slow,
            capacity: state
                .open
                .first()
                .map_or(self.expected(), |open| limit(&open.connection)),
            size: self.size,
            failed_just_now: state.failed_at.is_some_and(|at| at.elapsed() < AFTER_FAILURE),
        });
        // Outside of a runtime, where a place may be given back too, those who wait see to it: they look again soon.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        for _ in 0..wanted {
            let id = state.next_id;
            state.next_id += 1;
            // It keeps the settings and not the pool, which may be dropped meanwhile.
            let (pool, settings) = (Arc::downgrade(self), self.settings.clone());
            let task = runtime.spawn(async move {
                let outcome = settings.connect().await;
                if let Some(pool) = pool.upgrade() {
                    pool.connected(id, outcome);
                }
            });
            state.connecting.push(Connecting {
                id,
                since: Instant::now(),
                task: task.abort_handle(),
            });
        }
    }

    fn connected(self: &Arc<Self>, id: u64, outcome: Result<Connection>) {
        let mut state = self.lock();
        state.connecting.retain(|connecting| connecting.id != id);
        if state.closed {
            return;
        }
        match outcome {
            Ok(connection) => {
                state.failed_at = None;
                state.open.push(Open {
                    id,
                    connection,
                    busy: 0,
                });
            }
            Err(error) => {
                tracing::info!(%error, "a connection of the sandbox's pool could not be made");
                state.failed_at = Some(Instant::now());
                state.open.retain(|open| open.connection.is_connected());
                // Nobody else can serve those who wait.
                if state.open.is_empty() && state.connecting.is_empty() {
                    for waiting in state.waiting.drain(..) {
                        let _ = waiting.send(Err(error.clone()));
                    }
                }
            }
        }
        self.serve(&mut state);
    }

    /// How many commands a connection is believed to carry before there is one.
    fn expected(&self) -> usize {
        self.settings.command_limit()
    }
}

fn limit(connection: &Connection) -> usize {
    connection.command_limit().max(1) as usize
}

fn closed() -> Error {
    Error::new(ErrorKind::Cancelled, "the sandbox's executor was closed")
        .with_hint("make another executor: one that was closed runs nothing any more")
}
