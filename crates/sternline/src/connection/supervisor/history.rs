//! What is remembered of each connection that a supervisor made: the stuff that evidence is made of.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::connection::{Algorithms, Connection};
use crate::deadline::Phase;
use crate::error::{DisconnectReason, Error};
use crate::event::unix_millis;
use crate::host_key::VerifiedHostKey;

/// How many connections are remembered.
const KEPT: usize = 32;

/// One connection of a supervisor, present or past.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ConnectionRecord {
    /// When it was there to be used, in milliseconds since the Unix epoch.
    pub connected_ms: f64,
    /// How long each phase of connecting took, in order.
    pub timings: Vec<(Phase, Duration)>,
    /// The address of the other end, where the connection runs over TCP.
    pub peer: Option<SocketAddr>,
    /// The host key and why it was trusted.
    pub host_key: VerifiedHostKey,
    /// The method that let us in; see [`Connection::auth_method`].
    pub auth_method: String,
    /// The negotiated algorithms.
    pub algorithms: Option<Algorithms>,
    /// How it ended; `None` while it is open.
    pub end: Option<ConnectionEnd>,
}

/// How a connection of a supervisor ended.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ConnectionEnd {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: f64,
    /// The reason, as its DISCONNECT event has it.
    pub reason: DisconnectReason,
    /// What was found wrong with it, which is nothing after a close.
    pub error: Option<Error>,
}

/// The latest connections, oldest first. Clones share one list.
#[derive(Debug, Clone, Default)]
pub(super) struct History(Arc<Mutex<VecDeque<ConnectionRecord>>>);

impl History {
    pub(super) fn began(&self, connection: &Connection) {
        let mut records = self.lock();
        if records.len() == KEPT {
            records.pop_front();
        }
        records.push_back(ConnectionRecord {
            connected_ms: unix_millis(SystemTime::now()),
            timings: connection.timings().to_vec(),
            peer: connection.peer_address(),
            host_key: connection.host_key().clone(),
            auth_method: connection.auth_method().to_owned(),
            algorithms: connection.algorithms().cloned(),
            end: None,
        });
    }

    /// The latest one has ended.
    pub(super) fn ended(&self, reason: DisconnectReason, error: Option<&Error>) {
        if let Some(record) = self.lock().back_mut() {
            record.end = Some(ConnectionEnd {
                at_ms: unix_millis(SystemTime::now()),
                reason,
                error: error.cloned(),
            });
        }
    }

    pub(super) fn records(&self) -> Vec<ConnectionRecord> {
        self.lock().iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<ConnectionRecord>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
