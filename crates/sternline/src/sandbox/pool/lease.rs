//! A place on a connection, for one command.

use std::sync::Weak;

use super::state::Shared;
use crate::connection::Connection;

/// A connection with room for one command, until it is dropped.
pub(in crate::sandbox) struct Lease {
    connection: Connection,
    id: u64,
    pool: Weak<Shared>,
}

impl Lease {
    pub(super) fn new(connection: Connection, id: u64, pool: Weak<Shared>) -> Self {
        Self { connection, id, pool }
    }

    pub(in crate::sandbox) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Nobody has taken it: the pool, which is being looked at, gives the place back by itself.
    pub(super) fn forget(mut self) -> u64 {
        self.pool = Weak::new();
        self.id
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.give_back(self.id);
        }
    }
}
