//! What lasts as long as its connection, and how another one takes its place.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::time::timeout;

use crate::connection::{Connection, Supervisor};
use crate::error::{Error, ErrorKind, Result};

/// How long a connection may take to be known to be lost after something on it has failed for that reason.
pub(super) const MOMENT: Duration = Duration::from_millis(500);

/// Something on a connection. When that is lost it is replaced by the same on the next one: once, however many have
/// noticed.
#[derive(Debug)]
pub(super) struct Renewed<T> {
    current: RwLock<Arc<T>>,
    /// Held while another one is made. Why there will be none any more, once that is known.
    given_up: tokio::sync::Mutex<Option<Error>>,
}

impl<T> Renewed<T> {
    pub(super) fn new(first: Arc<T>) -> Self {
        Self {
            current: RwLock::new(first),
            given_up: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn current(&self) -> Arc<T> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn put(&self, one: &Arc<T>) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(one);
    }

    /// Has another one take the place of this one, unless it was lost meanwhile.
    pub(super) async fn replace(&self, one: &Arc<T>, by: &Arc<T>) {
        let _one_at_a_time = self.given_up.lock().await;
        if Arc::ptr_eq(one, &self.current()) {
            self.put(by);
        }
    }

    /// What is there instead of the one that was lost with this error; `next` makes it, where nobody has done so yet.
    /// Cancel-safe.
    ///
    /// # Errors
    /// Why there will be no other one, once that is known.
    pub(super) async fn after(
        &self,
        lost: &Arc<T>,
        error: &Error,
        next: impl Future<Output = Result<Arc<T>>>,
    ) -> Result<Arc<T>> {
        let mut given_up = self.given_up.lock().await;
        let current = self.current();
        if !Arc::ptr_eq(&current, lost) {
            return Ok(current);
        }
        if let Some(reason) = &*given_up {
            return Err(about_the_same(error, reason));
        }
        tracing::debug!(%error, "waiting for the next connection");
        match next.await {
            Ok(next) => {
                self.put(&next);
                Ok(next)
            }
            Err(reason) => {
                *given_up = Some(reason.clone());
                Err(about_the_same(error, &reason))
            }
        }
    }
}

/// Whether an operation has failed because its connection was lost, and for no reason of its own.
pub(super) fn was_lost(connection: &Connection, error: &Error) -> bool {
    let of_its_own = matches!(
        error.kind(),
        ErrorKind::RemoteFile(_) | ErrorKind::LocalFile(_) | ErrorKind::Invalid
    );
    !of_its_own && !connection.is_connected()
}

/// As [`was_lost`], where the failure may be noticed before the loss.
pub(super) async fn was_lost_after_all(connection: &Connection, error: &Error) -> bool {
    if error.kind() == &ErrorKind::Channel {
        let _ = timeout(MOMENT, connection.ended()).await;
    }
    was_lost(connection, error)
}

/// The supervisor's connection, waited for if need be, with what `open` makes on it. Cancel-safe if that is.
///
/// # Errors
/// That of `open`, unless the connection was lost meanwhile. Why there will be no connection any more.
pub(super) async fn next<T, F>(supervisor: &Supervisor, open: impl Fn(Connection) -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
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
        match open(connection.clone()).await {
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
