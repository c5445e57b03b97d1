//! A supervised connection, as its users hold it.

use std::any::Any;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::builder::SupervisorBuilder;
use super::history::{ConnectionRecord, History};
use crate::connection::state::ConnectionState;
use crate::connection::{Connection, ConnectionBuilder};
use crate::error::{Error, ErrorKind};
use crate::event::{Emitter, EventCollector};
use crate::evidence::EvidenceRecorder;

/// A connection that is watched all the time and made again when it is lost.
///
/// Network errors are tried again as the [retry policy](SupervisorBuilder::retry) says; a refused login, a host key
/// that is not trusted, or a setting that makes no sense is final at once. A connection that was lost is tried again
/// without delay first. One that breaks within ten seconds of being made, again and again, is tried less and less
/// often.
///
/// When this machine wakes from sleep or its address towards the host changes, the connection is asked for a sign of
/// life, and counts as lost after five seconds without one, or at once where its own address is gone. Where an attempt
/// is being waited for, it is made at once, and all retries are there again. While the machine has no route into the network, it waits for one, which costs no
/// retries; a STATE_CHANGE event with the reason `no_network` says so. Routes and clocks are looked at once a second.
/// Sleep is seen as a leap of the clock: on Linux and Android of `CLOCK_BOOTTIME`, elsewhere of the time of day. What
/// no look can show, such as a broken link further away, is left to the keepalive probes.
///
/// Where a person had to answer a question to log in, the [`Prompter`](crate::prompt::Prompter) asks it again at each
/// reconnect.
///
/// Clones share the connection. It is closed by [`Supervisor::close`], or when the last clone is gone.
#[derive(Clone)]
pub struct Supervisor {
    inner: Arc<Inner>,
}

struct Inner {
    parts: Parts,
    attached: Mutex<Vec<Arc<dyn Attached>>>,
}

/// What a handle shares with the background task.
pub(super) struct Parts {
    pub(super) max_retries: u32,
    pub(super) emitter: Emitter,
    pub(super) recorder: Option<EvidenceRecorder>,
    pub(super) collector: Option<EventCollector>,
    pub(super) status: watch::Receiver<SupervisorStatus>,
    pub(super) connections: watch::Receiver<Option<Connection>>,
    pub(super) history: History,
    /// Asks the task to end, and so does its own end.
    pub(super) closing: watch::Sender<bool>,
    /// Its sender is dropped when the task has ended.
    pub(super) finished: watch::Receiver<()>,
}

/// Something of a higher layer that lives on whichever connection a supervisor has at the moment.
pub(crate) trait Attached: Any + Send + Sync {
    /// Ends it for good, as a part of [`Supervisor::close`]. The connection is being closed meanwhile.
    fn close(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// How a supervised connection is at one moment.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SupervisorStatus {
    /// What it is doing.
    pub state: ConnectionState,
    /// The connection, in [`ConnectionState::Connected`].
    pub connection: Option<Connection>,
    /// How often it was made again after the first time.
    pub reconnection_count: u32,
    /// How many attempts in a row have failed.
    pub failed_attempts: u32,
    /// When the next attempt is due, in [`ConnectionState::Reconnecting`]; `None` where it waits for the network.
    pub retry_at: Option<Instant>,
    /// The latest failure, even where it has been overcome.
    pub last_error: Option<Error>,
}

impl SupervisorStatus {
    pub(super) fn new(state: ConnectionState) -> Self {
        Self {
            state,
            connection: None,
            reconnection_count: 0,
            failed_attempts: 0,
            retry_at: None,
            last_error: None,
        }
    }

    /// The connection, unless it has ended by now.
    #[must_use]
    pub fn open_connection(&self) -> Option<&Connection> {
        self.connection
            .as_ref()
            .filter(|connection| connection.is_connected())
    }

    /// Whether there will be no connection any more.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(
            self.state,
            ConnectionState::Failed | ConnectionState::Disconnected
        )
    }
}

impl Supervisor {
    /// Begins a supervised connection to a target, or with the settings of a [`Connection::builder`].
    ///
    /// Without keepalive settings there, it gets the default ones.
    ///
    /// ```no_run
    /// # async fn example() -> sternline::Result<()> {
    /// use std::time::Duration;
    /// use sternline::{AuthConfig, Connection, RetryPolicy, Supervisor};
    ///
    /// let settings = Connection::builder("alice@example.com").auth([AuthConfig::key("~/.ssh/id_ed25519")]);
    /// let policy = RetryPolicy { max_retries: 5, base_delay: Duration::from_secs(2), ..RetryPolicy::default() };
    /// let supervisor = Supervisor::builder(settings).retry(policy).start().await?;
    /// println!("{}", supervisor.exec("uptime").await?.stdout_text());
    /// supervisor.close().await;
    /// # Ok(()) }
    /// ```
    pub fn builder(settings: impl Into<ConnectionBuilder>) -> SupervisorBuilder {
        SupervisorBuilder::new(settings.into())
    }

    pub(super) fn new(parts: Parts) -> Self {
        Self {
            inner: Arc::new(Inner {
                parts,
                attached: Mutex::default(),
            }),
        }
    }

    /// What it is doing.
    #[must_use]
    pub fn state(&self) -> ConnectionState {
        self.inner.parts.status.borrow().state
    }

    /// Whether there is a connection, as far as is known without asking the server.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.inner.parts.status.borrow().open_connection().is_some()
    }

    /// How often the connection was made again after the first time.
    #[must_use]
    pub fn reconnection_count(&self) -> u32 {
        self.inner.parts.status.borrow().reconnection_count
    }

    /// The connection of this moment. It is not replaced in the caller's hands when it is lost; and closing it there
    /// has the supervisor make another one.
    #[must_use]
    pub fn connection(&self) -> Option<Connection> {
        self.inner.parts.status.borrow().open_connection().cloned()
    }

    /// The latest failure, even where it has been overcome.
    #[must_use]
    pub fn last_error(&self) -> Option<Error> {
        self.inner.parts.status.borrow().last_error.clone()
    }

    /// Everything about this moment.
    #[must_use]
    pub fn status(&self) -> SupervisorStatus {
        self.inner.parts.status.borrow().clone()
    }

    /// Follows the status. What changes faster than it is looked at is seen in its latest form only; the STATE_CHANGE
    /// events tell of every move. Ends with an error once the supervisor is closed and gone.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<SupervisorStatus> {
        self.inner.parts.status.clone()
    }

    /// The latest 32 connections with their facts and how they ended, oldest first.
    #[must_use]
    pub fn history(&self) -> Vec<ConnectionRecord> {
        self.inner.parts.history.records()
    }

    /// Waits until there is a connection, without a limit where `timeout` is `None`. `false`: the time is over, or
    /// there will be none any more, because it was given up or closed. Cancel-safe.
    pub async fn wait_connected(&self, timeout: Option<Duration>) -> bool {
        let mut status = self.watch();
        let settled = status.wait_for(|status| status.open_connection().is_some() || status.is_final());
        let settled = match timeout {
            Some(limit) => tokio::time::timeout(limit, settled).await.ok(),
            None => Some(settled.await),
        };
        matches!(settled, Some(Ok(status)) if !status.is_final())
    }

    /// Ends the connection, or the attempt to make one, and does nothing the second time. In every state the end is
    /// [`ConnectionState::Disconnected`], and nothing is left behind when this returns. Commands that were dropped are
    /// ended on the server first, for at most five seconds; commands that still run lose the connection. Cancel-safe:
    /// once begun, it goes on.
    pub async fn close(&self) {
        let parts = &self.inner.parts;
        parts.closing.send_replace(true);
        let attached = self.attached().clone();
        for attached in attached {
            attached.close().await;
        }
        let mut finished = parts.finished.clone();
        // Nothing is ever sent: what is waited for is the end of the sender.
        while finished.changed().await.is_ok() {}
    }

    /// Why there is no connection and will be none.
    pub(crate) fn refusal(&self) -> Error {
        let status = self.inner.parts.status.borrow();
        match (&status.last_error, status.state) {
            (Some(error), ConnectionState::Failed) => error.clone(),
            _ => Error::new(
                ErrorKind::Connection,
                "the supervised connection was closed by this side",
            )
            .with_hint("start another supervisor to go on"),
        }
    }

    pub(crate) fn max_retries(&self) -> u32 {
        self.inner.parts.max_retries
    }

    /// The connection of each moment. Ends when there will be none any more.
    pub(crate) fn connections(&self) -> watch::Receiver<Option<Connection>> {
        self.inner.parts.connections.clone()
    }

    /// Tells events to everybody who is told those of the connections, and knows the secrets of all of them.
    pub(crate) fn emitter(&self) -> &Emitter {
        &self.inner.parts.emitter
    }

    pub(in crate::connection) fn recorder(&self) -> Option<&EvidenceRecorder> {
        self.inner.parts.recorder.as_ref()
    }

    pub(in crate::connection) fn collector(&self) -> Option<&EventCollector> {
        self.inner.parts.collector.as_ref()
    }

    /// The one `T` that a higher layer keeps with this supervisor, made when it is first asked for. It goes with the
    /// last handle, so it must hold none.
    pub(crate) fn attachment<T: Attached>(&self, init: impl FnOnce() -> T) -> Arc<T> {
        let mut attached = self.attached();
        let found = attached.iter().find_map(|attached| {
            let any: Arc<dyn Any + Send + Sync> = attached.clone();
            any.downcast().ok()
        });
        found.unwrap_or_else(|| {
            let made = Arc::new(init());
            attached.push(made.clone());
            made
        })
    }

    fn attached(&self) -> MutexGuard<'_, Vec<Arc<dyn Attached>>> {
        self.inner.attached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = self.inner.parts.status.borrow();
        f.debug_struct("Supervisor")
            .field("state", &status.state)
            .field("connection", &status.connection)
            .field("reconnection_count", &status.reconnection_count)
            .finish()
    }
}
