//! Where forwards take the connection from: one that stays, or whichever a supervisor has at the moment.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use crate::connection::Connection;

/// The connection of this moment, if there is one. It ends for good when nobody can put another one in.
#[derive(Clone)]
pub(super) struct Source(watch::Receiver<Option<Connection>>);

/// How long something that wants to go through a forward waits for a lost connection to come back.
const PATIENCE: Duration = Duration::from_secs(30);

impl Source {
    pub(super) fn new(connections: watch::Receiver<Option<Connection>>) -> Self {
        Self(connections)
    }

    /// The connection, or the next one if there is none now. `None` when there will be none in time, or never.
    pub(super) async fn connection(&self) -> Option<Connection> {
        timeout(PATIENCE, self.next()).await.ok().flatten()
    }

    /// The same, however long it takes. `None` when there will never be one.
    pub(super) async fn next(&self) -> Option<Connection> {
        let mut connections = self.0.clone();
        let usable =
            |connection: &Option<Connection>| connection.as_ref().is_some_and(Connection::is_connected);
        let found = connections.wait_for(usable).await.ok()?;
        found.clone()
    }

    /// Whether there is a connection now.
    pub(super) fn is_connected(&self) -> bool {
        self.0.borrow().as_ref().is_some_and(Connection::is_connected)
    }

    /// Whether there will never be a connection again.
    pub(super) fn has_ended(&self) -> bool {
        self.0.has_changed().is_err()
    }

    /// Waits until there will never be a connection again.
    pub(super) async fn closed(&self) {
        let mut connections = self.0.clone();
        while connections.changed().await.is_ok() {}
    }
}
