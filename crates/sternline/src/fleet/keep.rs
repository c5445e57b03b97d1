//! Connections that outlive the runs of a fleet.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::open::close_all;
use crate::connection::Connection;

/// The connections of a fleet, kept from one run to the next: see [`Fleet::keep`](super::Fleet::keep). Clones share them.
///
/// Dropping the last clone closes the connections in the background.
#[derive(Debug, Clone, Default)]
pub struct Keep(Arc<Mutex<HashMap<usize, Connection>>>);

impl Keep {
    /// None so far.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many are open, as far as is known without asking.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.lock()
            .values()
            .filter(|connection| connection.is_connected())
            .count()
    }

    /// Ends all of them in good order. Commands that are running lose theirs. The next run makes new ones.
    pub async fn close(&self) {
        let connections: Vec<_> = self.lock().drain().map(|(_, connection)| connection).collect();
        close_all(connections).await;
    }

    pub(super) fn slot(&self, index: usize) -> Slot {
        Slot {
            keep: self.clone(),
            index,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<usize, Connection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one host's connection.
pub(super) struct Slot {
    keep: Keep,
    index: usize,
}

impl Slot {
    /// The connection, if there is one and it is open as far as is known.
    pub(super) fn open(&self) -> Option<Connection> {
        let mut kept = self.keep.lock();
        let connection = kept.get(&self.index)?;
        if connection.is_connected() {
            return Some(connection.clone());
        }
        kept.remove(&self.index);
        None
    }

    pub(super) fn put(&self, connection: &Connection) {
        self.keep.lock().insert(self.index, connection.clone());
    }

    /// It turned out to be lost.
    pub(super) fn forget(&self) {
        self.keep.lock().remove(&self.index);
    }
}
