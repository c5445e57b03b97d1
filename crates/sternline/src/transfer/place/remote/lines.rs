//! The connection of each moment, and how another one takes its place.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sternline_proto::files::Direction;
use tokio::sync::OnceCell;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::line::Line;
use crate::connection::{Connection, Supervisor};
use crate::error::{Error, Result};
use crate::transfer::renewal::{Renewed, next};

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

/// The connection that is used at the moment.
#[derive(Debug)]
pub(super) struct Lines {
    next: Next,
    lines: Renewed<Line>,
    /// How much was to be moved so far, in bytes.
    asked: AtomicU64,
    /// Set once a connection for much data was made, or could not be.
    bulk: OnceCell<()>,
}

impl Lines {
    pub(super) async fn open(origin: Origin) -> Result<Self> {
        let line = match &origin {
            Origin::Connection(connection) => Line::open(connection).await?,
            Origin::Supervisor(supervisor) => next_line(supervisor).await?,
        };
        Ok(Self {
            next: match origin {
                Origin::Connection(_) => Next::Given(Arc::clone(&line)),
                Origin::Supervisor(supervisor) => Next::Of(supervisor),
            },
            lines: Renewed::new(line),
            asked: AtomicU64::new(0),
            bulk: OnceCell::new(),
        })
    }

    pub(super) fn current(&self) -> Arc<Line> {
        self.lines.current()
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
            Ok(Some(own)) => self.lines.replace(&line, &own).await,
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
        // In a box, since it is rare, and made the future of every operation larger.
        let next = Box::pin(async {
            match &self.next {
                Next::Given(given) => Ok(Arc::clone(given)),
                Next::Of(supervisor) => next_line(supervisor).await,
            }
        });
        self.lines.after(line, &error, next).await
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
async fn next_line(supervisor: &Supervisor) -> Result<Arc<Line>> {
    next(
        supervisor,
        |connection| async move { Line::open(&connection).await },
    )
    .await
}
