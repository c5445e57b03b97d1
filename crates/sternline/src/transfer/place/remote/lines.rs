//! The connection of each moment, and how another one takes its place.

use std::sync::{Arc, PoisonError, RwLock};

use super::line::Line;
use crate::connection::{Connection, Supervisor};
use crate::error::{Error, Result};

/// Where connections come from.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    /// There is one, and when it is lost the transfer has failed.
    Connection(Connection),
    /// When one is lost the next one is waited for: for as long as the supervisor tries, and as often as it succeeds.
    Supervisor(Supervisor),
}

/// The connection that is used at the moment. One that is lost is replaced once, however many have noticed.
#[derive(Debug)]
pub(super) struct Lines {
    origin: Origin,
    current: RwLock<Arc<Line>>,
    /// Held while another one is made. Why there will be none any more, once that is known.
    given_up: tokio::sync::Mutex<Option<Error>>,
}

impl Lines {
    pub(super) async fn open(origin: Origin) -> Result<Self> {
        let line = match &origin {
            Origin::Connection(connection) => Line::open(connection).await?,
            Origin::Supervisor(supervisor) => next(supervisor).await?,
        };
        Ok(Self {
            origin,
            current: RwLock::new(line),
            given_up: tokio::sync::Mutex::default(),
        })
    }

    pub(super) fn current(&self) -> Arc<Line> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether lost connections are replaced.
    pub(super) fn go_on(&self) -> bool {
        matches!(self.origin, Origin::Supervisor(_))
    }

    /// What to try again on after a failure on `line`: the next connection, waited for. Cancel-safe.
    ///
    /// # Errors
    /// The failure itself, unless it comes from the loss of a connection that is going to be replaced. Why there will be
    /// no other connection, once that is known.
    pub(super) async fn after(&self, line: &Arc<Line>, error: Error) -> Result<Arc<Line>> {
        let Origin::Supervisor(supervisor) = &self.origin else {
            return Err(error);
        };
        if !line.was_lost(&error) {
            return Err(error);
        }
        let mut given_up = self.given_up.lock().await;
        let current = self.current();
        if !Arc::ptr_eq(&current, line) {
            return Ok(current);
        }
        if let Some(reason) = &*given_up {
            return Err(about_the_same(&error, reason));
        }
        tracing::debug!(%error, "waiting for the next connection");
        match next(supervisor).await {
            Ok(line) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&line);
                Ok(line)
            }
            Err(reason) => {
                *given_up = Some(reason.clone());
                Err(about_the_same(&error, &reason))
            }
        }
    }
}

/// The supervisor's connection, waited for if need be, with SFTP on it.
async fn next(supervisor: &Supervisor) -> Result<Arc<Line>> {
    let mut status = supervisor.watch();
    loop {
        let found = status.wait_for(|status| status.is_final() || status.open_connection().is_some());
        // It ends with an error when the supervisor has.
        let found = found
            .await
            .ok()
            .and_then(|status| status.open_connection().cloned());
        let Some(connection) = found else {
            return Err(supervisor.refusal());
        };
        match Line::open(&connection).await {
            Err(_) if !connection.is_connected() => {}
            opened => return opened,
        }
    }
}

/// Why nothing goes on, for whoever was at work on something when the connection was lost.
fn about_the_same(lost: &Error, reason: &Error) -> Error {
    let error = reason.clone().with_sent(lost.sent());
    match lost.context().extra().get("path") {
        Some(path) => error.with_extra("path", path.clone()),
        None => error,
    }
}
