//! The client itself, and its one connection.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sternline_proto::guest::ShellKind;
use sternline_proto::key::PublicKey;
use tokio::time::{Instant, timeout};

use super::builder::{GuestClientBuilder, Settings};
use crate::connection::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::shell_session::ShellSession;

/// How often others get their turn before a connection is taken for one that is open. It costs a few microseconds.
const TURNS: u32 = 4;

/// A client for one guest, with at most one connection to it.
///
/// The connection is made when it is first needed, and made again by the next call when it was lost. A command is
/// never run again by itself. Clones share the connection, and any number of tasks and threads may call at once:
/// whoever comes while it is being made waits for it.
#[derive(Clone)]
pub struct GuestClient {
    inner: Arc<Inner>,
}

struct Inner {
    settings: Settings,
    current: Mutex<Option<Connection>>,
    /// Held while a connection is being made, which is when host keys are learned.
    connecting: tokio::sync::Mutex<Pin>,
    /// The shell through which commands go, and the connection that it is on; only where that was asked for.
    pub(super) shell: tokio::sync::Mutex<Option<(Connection, ShellSession)>>,
    /// Held while the guest's variables are changed: they are read before they are written.
    pub(super) environment: tokio::sync::Mutex<()>,
}

/// What is called when a server turns out to be there.
pub(super) type Begins = Arc<dyn Fn() + Send + Sync>;

/// What whoever connects has to know of the attempts before.
#[derive(Debug, Default)]
pub(super) struct Pin {
    key: Mutex<Option<PublicKey>>,
    refusal: Mutex<Option<(Instant, Error)>>,
}

impl Pin {
    /// The host key that the guest has to have from now on, where it is known here.
    pub(super) fn key(&self) -> Option<PublicKey> {
        self.key.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, key: Option<PublicKey>) {
        *self.key.lock().unwrap_or_else(PoisonError::into_inner) = key;
    }

    /// When the last attempt began whose login was refused, and how it was.
    pub(super) fn refusal(&self) -> Option<(Instant, Error)> {
        self.refusal
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn refused(&self, began: Instant, error: &Error) {
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some((began, error.clone()));
    }
}

impl GuestClient {
    /// A client with the defaults: user `root`, port 22, the agent and the default keys. Nothing is connected yet.
    ///
    /// # Errors
    /// As [`GuestClientBuilder::build`].
    pub fn new(host: impl Into<String>) -> Result<Self> {
        Self::builder(host).build()
    }

    /// Begins a client for the guest at this name or address.
    pub fn builder(host: impl Into<String>) -> GuestClientBuilder {
        GuestClientBuilder::new(host.into())
    }

    pub(super) fn with(settings: Settings) -> Self {
        Self {
            inner: Arc::new(Inner {
                settings,
                current: Mutex::default(),
                connecting: tokio::sync::Mutex::default(),
                shell: tokio::sync::Mutex::default(),
                environment: tokio::sync::Mutex::default(),
            }),
        }
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// The guest's name or address.
    #[must_use]
    pub fn host(&self) -> &str {
        self.settings().host()
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.settings().port()
    }

    /// Who logs in.
    #[must_use]
    pub fn user(&self) -> &str {
        self.settings().target.user().unwrap_or_default()
    }

    /// What the guest's login shell is.
    #[must_use]
    pub fn shell_kind(&self) -> ShellKind {
        self.settings().shell_kind
    }

    /// Whether there is a connection and it is open, as far as is known without asking. A guest that stopped
    /// answering is noticed within a minute.
    #[must_use]
    pub fn connected(&self) -> bool {
        self.current().is_some()
    }

    /// Ends the connection in good order, if there is one; commands that still run lose it. The client can be used
    /// on: the next call connects again. A connection that is just being made is not waited for.
    pub async fn close(&self) {
        let current = self.slot().take();
        // One that somebody is just starting ends with its connection.
        if let Ok(mut shell) = self.inner.shell.try_lock() {
            *shell = None;
        }
        if let Some(connection) = current {
            connection.close().await;
        }
    }

    /// Forgets the host key that was kept in memory, because the guest was made anew: the key of the next login is
    /// kept then. The connection is closed. One that was given, or stands in a file, stays.
    pub async fn forget_host_key(&self) {
        self.close().await;
        self.inner.connecting.lock().await.set(None);
    }

    fn slot(&self) -> MutexGuard<'_, Option<Connection>> {
        self.inner.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection, if there is one that is open.
    pub(super) fn current(&self) -> Option<Connection> {
        self.slot().clone().filter(Connection::is_connected)
    }

    pub(super) fn keep(&self, connection: &Connection) {
        *self.slot() = Some(connection.clone());
    }

    /// The shell of this connection, started if there is none; `None` where commands get channels of their own.
    pub(super) async fn shell_on(&self, connection: &Connection) -> Result<Option<ShellSession>> {
        if !self.settings().shell_session || self.shell_kind() != ShellKind::Sh {
            return Ok(None);
        }
        let mut slot = self.inner.shell.lock().await;
        let shell = match &*slot {
            Some((on, shell)) if on.is_same(connection) => shell.clone(),
            _ => {
                let shell = connection.shell_session().await?;
                *slot = Some((connection.clone(), shell.clone()));
                shell
            }
        };
        Ok(shell.fallback().is_none().then_some(shell))
    }

    /// Drops this connection, if it is still the one that is kept.
    pub(super) fn drop_stale(&self, stale: &Connection) {
        let mut slot = self.slot();
        if slot.as_ref().is_some_and(|kept| kept.is_same(stale)) {
            *slot = None;
        }
    }

    /// The right to connect, once nobody else does; `None` when the time has passed before.
    pub(super) async fn turn(&self, limit: Duration) -> Option<tokio::sync::MutexGuard<'_, Pin>> {
        timeout(limit, self.inner.connecting.lock()).await.ok()
    }

    pub(super) async fn environment_turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.inner.environment.lock().await
    }

    /// The connection, made if there is none. Cancel-safe.
    ///
    /// # Errors
    /// Why it cannot be made within this time and within `connect_timeout`.
    pub(super) async fn connection(&self, limit: Duration) -> Result<Connection> {
        // A loss may have arrived that nobody has had the time to notice, where the caller's thread is the only one:
        // the reader of the socket gets its turn first, and then what waits for it.
        for _ in 0..TURNS {
            if self.current().is_some() {
                tokio::task::yield_now().await;
            }
        }
        if let Some(connection) = self.current() {
            return Ok(connection);
        }
        let begun = Instant::now();
        let Some(pin) = self.turn(limit).await else {
            return Err(self.locate(Error::new(
                ErrorKind::ConnectionTimeout,
                "another call was still connecting to the guest",
            )));
        };
        if let Some(connection) = self.current() {
            return Ok(connection);
        }
        self.connect(&pin, limit.saturating_sub(begun.elapsed()), None)
            .await
    }

    /// Makes the connection and keeps it. `begins` is called when the server begins with the key exchange.
    pub(super) async fn connect(
        &self,
        pin: &Pin,
        limit: Duration,
        begins: Option<Begins>,
    ) -> Result<Connection> {
        let settings = self.settings();
        let builder = settings.trust.apply(settings, pin, limit, begins).await?;
        let connection = builder
            .connect()
            .await
            .map_err(|error| settings.trust.explain(error))?;
        if let Err(error) = settings.trust.keep(settings, pin, &connection).await {
            connection.close().await;
            return Err(self.locate(error));
        }
        self.keep(&connection);
        Ok(connection)
    }

    pub(super) fn locate(&self, error: Error) -> Error {
        error.at(self.host(), self.port(), self.user())
    }
}

impl fmt::Debug for GuestClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GuestClient({})", self.settings().target)
    }
}
