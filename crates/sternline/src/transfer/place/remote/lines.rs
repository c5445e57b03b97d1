//! The connection of each moment, and how another one takes its place.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use sternline_proto::files::Direction;
use tokio::sync::OnceCell;
use tokio::task::JoinSet;
use tokio::time::timeout;

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

/// What comes after a connection that was lost.
#[derive(Debug)]
enum Next {
    /// The caller's, if the lost one was made beside it.
    Given(Arc<Line>),
    Of(Supervisor),
}

/// From so many bytes on, in one file or in several, they get a connection of their own.
const BULK: u64 = 32 * 1024 * 1024;

/// How long making that may hold them up.
const BULK_PATIENCE: Duration = Duration::from_secs(3);

/// The connection that is used at the moment. One that is lost is replaced once, however many have noticed.
#[derive(Debug)]
pub(super) struct Lines {
    next: Next,
    current: RwLock<Arc<Line>>,
    /// Held while another one is made. Why there will be none any more, once that is known.
    given_up: tokio::sync::Mutex<Option<Error>>,
    /// How much was to be moved so far, in bytes.
    asked: AtomicU64,
    /// Set once a connection for much data was made, or could not be.
    bulk: OnceCell<()>,
}

impl Lines {
    pub(super) async fn open(origin: Origin) -> Result<Self> {
        let line = match &origin {
            Origin::Connection(connection) => Line::open(connection).await?,
            Origin::Supervisor(supervisor) => next(supervisor).await?,
        };
        Ok(Self {
            next: match origin {
                Origin::Connection(_) => Next::Given(Arc::clone(&line)),
                Origin::Supervisor(supervisor) => Next::Of(supervisor),
            },
            current: RwLock::new(line),
            given_up: tokio::sync::Mutex::default(),
            asked: AtomicU64::new(0),
            bulk: OnceCell::new(),
        })
    }

    pub(super) fn current(&self) -> Arc<Line> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn replace(&self, line: &Arc<Line>) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(line);
    }

    /// The connection for the content of a file of this size.
    pub(super) async fn for_content(&self, size: u64) -> Arc<Line> {
        let asked = self.asked.fetch_add(size, Ordering::Relaxed).saturating_add(size);
        self.for_so_much(asked).await
    }

    /// Where much is moved it is a connection of its own, if that can be had without asking anybody, so that commands need
    /// not wait behind it.
    async fn for_so_much(&self, bytes: u64) -> Arc<Line> {
        if bytes >= BULK {
            self.bulk.get_or_init(|| self.become_bulk()).await;
        }
        self.current()
    }

    async fn become_bulk(&self) {
        let line = self.current();
        match own(line.sftp().connection().clone()).await {
            Ok(Some(own)) => {
                // Only what was not lost meanwhile is replaced by it.
                let _one_at_a_time = self.given_up.lock().await;
                if Arc::ptr_eq(&line, &self.current()) {
                    self.replace(&own);
                }
            }
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "no connection of its own for much data"),
        }
    }

    /// Opens in the background what a file of this size is going to need.
    pub(super) fn prepare(self: &Arc<Self>, direction: Direction, size: u64) {
        if self.current().further_for(direction, size) == 0 {
            return;
        }
        let lines = Arc::clone(self);
        tokio::spawn(async move {
            let line = lines.for_so_much(size).await;
            drop(lines);
            let mut opening = JoinSet::new();
            for which in 0..line.further_for(direction, size) {
                let line = Arc::clone(&line);
                opening.spawn(async move {
                    line.further(which).await;
                });
            }
            opening.join_all().await;
        });
    }

    /// Whether there may be another connection if the present one is lost.
    pub(super) fn go_on(&self) -> bool {
        !self.is_last(&self.current())
    }

    fn is_last(&self, line: &Arc<Line>) -> bool {
        matches!(&self.next, Next::Given(given) if Arc::ptr_eq(given, line))
    }

    /// What to try again on after a failure on `line`: the next connection, waited for. Cancel-safe.
    ///
    /// # Errors
    /// The failure itself, unless it comes from the loss of a connection that is going to be replaced. Why there will be
    /// no other connection, once that is known.
    pub(super) async fn after(&self, line: &Arc<Line>, error: Error) -> Result<Arc<Line>> {
        if !line.was_lost(&error) || self.is_last(line) {
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
        let next = match &self.next {
            Next::Given(given) => Ok(Arc::clone(given)),
            Next::Of(supervisor) => next(supervisor).await,
        };
        match next {
            Ok(line) => {
                self.replace(&line);
                Ok(line)
            }
            Err(reason) => {
                *given_up = Some(reason.clone());
                Err(about_the_same(&error, &reason))
            }
        }
    }
}

/// A connection beside this one, with SFTP on it.
async fn own(beside: Connection) -> Result<Option<Arc<Line>>> {
    // A task of its own: connecting is too deep a call to stand on top of a transfer.
    let mut opening = JoinSet::new();
    opening.spawn(async move {
        match beside.another().await? {
            Some(connection) => Line::open(&connection).await.map(Some),
            None => Ok(None),
        }
    });
    match timeout(BULK_PATIENCE, opening.join_next()).await {
        Ok(Some(Ok(opened))) => opened,
        _ => Ok(None),
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
