//! One forward, as its users hold it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use sternline_proto::forward::ForwardIntent;
use sternline_proto::text::escape;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::manager::Shared;

/// A forward that was asked for. Clones stand for the same one.
///
/// It stays until it is closed, by [`ForwardHandle::close`] or with its manager; dropping a handle does nothing. When a
/// supervised connection is lost and comes back, the forward comes back with it, on the same port and under the same
/// handle.
#[derive(Clone)]
pub struct ForwardHandle {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    intent: ForwardIntent,
    status: watch::Receiver<Status>,
    signals: Arc<Signals>,
    traffic: Arc<Traffic>,
    task: Mutex<Option<JoinHandle<()>>>,
    manager: Weak<Shared>,
}

/// What a forward's task is told.
#[derive(Debug, Default)]
pub(super) struct Signals {
    /// To try again at once where the server refused.
    pub(super) retry: Notify,
    /// To stop listening and end.
    pub(super) close: Notify,
}

/// How a forward stands.
#[derive(Debug, Clone)]
pub(super) enum Status {
    /// There is a listener, on this port; 0 for a unix socket.
    Established(u16),
    /// The server does not listen at the moment: there is no connection, or it refused.
    Down { port: u16, error: Option<String> },
}

impl Status {
    fn port(&self) -> u16 {
        match self {
            Self::Established(port) | Self::Down { port, .. } => *port,
        }
    }
}

/// What has gone through a forward.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    open: AtomicU64,
    total: AtomicU64,
}

impl Traffic {
    /// Counts a connection, as open until the guard falls.
    pub(super) fn begin(self: &Arc<Self>) -> impl Drop + Send + use<> {
        self.total.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        OpenConnection(Arc::clone(self))
    }
}

struct OpenConnection(Arc<Traffic>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl ForwardHandle {
    pub(super) fn new(
        intent: ForwardIntent,
        status: watch::Receiver<Status>,
        signals: Arc<Signals>,
        traffic: Arc<Traffic>,
        task: JoinHandle<()>,
        manager: Weak<Shared>,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                intent,
                status,
                signals,
                traffic,
                task: Mutex::new(Some(task)),
                manager,
            }),
        }
    }

    /// What was asked for.
    #[must_use]
    pub fn intent(&self) -> &ForwardIntent {
        &self.inner.intent
    }

    /// The port that is listened on, also where the intent says 0; of a remote forward it is the server's port. 0 for
    /// a unix socket.
    #[must_use]
    pub fn local_port(&self) -> u16 {
        self.inner.status.borrow().port()
    }

    /// Whether something listens. A remote forward is inactive while its connection is lost; every forward is once it
    /// is closed.
    #[must_use]
    pub fn is_active(&self) -> bool {
        !self.is_closed() && matches!(*self.inner.status.borrow(), Status::Established(_))
    }

    /// Why a remote forward is not active at the moment, where the server gave a reason.
    #[must_use]
    pub fn last_error(&self) -> Option<String> {
        match &*self.inner.status.borrow() {
            Status::Established(_) => None,
            Status::Down { error, .. } => error.clone(),
        }
    }

    /// How many connections go through it at the moment.
    #[must_use]
    pub fn open_connections(&self) -> u64 {
        self.inner.traffic.open.load(Ordering::Relaxed)
    }

    /// How many connections have gone through it so far.
    #[must_use]
    pub fn total_connections(&self) -> u64 {
        self.inner.traffic.total.load(Ordering::Relaxed)
    }

    /// Stops listening, for good. Connections that are open stay open, as with `ssh -O cancel`. Returns when the port is
    /// free again; does nothing the second time.
    pub async fn close(&self) {
        /// For a server that does not answer.
        const PATIENCE: Duration = Duration::from_secs(5);
        let Some(mut task) = self.take_task() else {
            return;
        };
        self.inner.signals.close.notify_one();
        if timeout(PATIENCE, &mut task).await.is_err() {
            task.abort();
        }
        if let Some(manager) = self.inner.manager.upgrade() {
            manager.forget(self);
        }
    }

    fn is_closed(&self) -> bool {
        let task = self.inner.task.lock().unwrap_or_else(PoisonError::into_inner);
        task.as_ref().is_none_or(JoinHandle::is_finished)
    }

    fn take_task(&self) -> Option<JoinHandle<()>> {
        self.inner
            .task
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Makes a forward that is down try again now, and waits for what comes of it.
    pub(super) async fn replay(&self) {
        let mut status = self.inner.status.clone();
        if self.is_closed() || matches!(*status.borrow_and_update(), Status::Established(_)) {
            return;
        }
        /// The connection may be lost in this moment, and then nothing comes of it for long.
        const PATIENCE: Duration = Duration::from_secs(30);
        self.inner.signals.retry.notify_one();
        let _ = timeout(PATIENCE, status.changed()).await;
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl fmt::Debug for ForwardHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let active = if self.is_active() { "active" } else { "inactive" };
        write!(
            f,
            "ForwardHandle({} {}, {active})",
            self.inner.intent.option(),
            escape(&self.inner.intent.to_string())
        )
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let task = self.task.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = task.take() {
            task.abort();
        }
    }
}
