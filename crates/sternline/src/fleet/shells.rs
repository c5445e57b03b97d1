//! The shells through which commands go, on connections that are kept.

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::connection::Connection;
use crate::error::{Result, SendState};
use crate::shell_session::ShellSession;

/// One shell for each host: see [`Fleet::shell_session`](super::Fleet::shell_session). Clones share them.
#[derive(Clone)]
pub(super) struct Shells(Arc<[Mutex<Option<ShellSession>>]>);

impl Shells {
    /// None so far.
    pub(super) fn new(hosts: usize) -> Self {
        Self((0..hosts).map(|_| Mutex::default()).collect())
    }

    /// The shell on this host's connection, started if that has none. `None` while another run starts it, and where the server opens no
    /// session for it. Cancel-safe.
    ///
    /// # Errors
    /// When the connection is lost. Nothing of a command was sent then.
    pub(super) async fn on(&self, index: usize, connection: &Connection) -> Result<Option<ShellSession>> {
        let Some(Ok(mut slot)) = self.0.get(index).map(Mutex::try_lock) else {
            return Ok(None);
        };
        if let Some(shell) = slot.as_ref().filter(|shell| shell.is_on(connection)) {
            return Ok(Some(shell.clone()));
        }
        match connection.shell_session().await {
            Ok(shell) => Ok(Some(slot.insert(shell).clone())),
            Err(error) if error.kind().is_connection() => Err(error.with_sent(SendState::NotSent)),
            Err(error) => {
                tracing::info!(%error, "the command gets a channel: no shell could be started");
                Ok(None)
            }
        }
    }
}
