//! How many connections are being made to one server at the same time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::connection::ConnectionBuilder;

/// Clients that have not logged in yet, by the server that has them.
#[derive(Debug)]
pub(super) struct Pace {
    at_once: usize,
    servers: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// A connection may be made as long as this is held.
#[derive(Debug)]
pub(super) struct Turn(
    #[allow(dead_code, reason = "it counts as long as it is there")] Vec<(String, OwnedSemaphorePermit)>,
);

impl Pace {
    pub(super) fn new(at_once: usize) -> Self {
        Self {
            at_once: at_once.clamp(1, Semaphore::MAX_PERMITS),
            servers: Mutex::default(),
        }
    }

    /// Waits until each server that is asked on the way has few enough clients. Cancel-safe.
    ///
    /// While one waits for a jump host to have room, another one may have opened it for all: so the way is looked at again
    /// after each wait. Nearer servers are waited for first, so that no two wait for each other.
    pub(super) async fn turn(&self, builder: &ConnectionBuilder) -> Turn {
        let mut held: Vec<(String, OwnedSemaphorePermit)> = Vec::new();
        loop {
            let asked = builder.startups();
            held.retain(|(server, _)| asked.contains(server));
            let next = asked
                .into_iter()
                .find(|server| !held.iter().any(|(known, _)| known == server));
            let Some(server) = next else { return Turn(held) };
            // It is never closed.
            let Ok(permit) = self.server(&server).acquire_owned().await else {
                return Turn(held);
            };
            held.push((server, permit));
        }
    }

    fn server(&self, name: &str) -> Arc<Semaphore> {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = servers.get(name) {
            return Arc::clone(server);
        }
        let server = Arc::new(Semaphore::new(self.at_once));
        servers.insert(name.to_owned(), Arc::clone(&server));
        server
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::Connection;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn one_server_has_as_many_clients_as_it_may_and_another_one_its_own() {
        let pace = Pace::new(2);
        let turn = |target: &str| pace.turn(&Connection::builder(target)).now_or_never();
        let (first, second) = (turn("ann@h"), turn("ben@h:22"));
        assert!(first.is_some() && second.is_some());
        assert!(turn("h").is_none());
        assert!(turn("h:23").is_some() && turn("other").is_some());
        drop(first);
        assert!(turn("h").is_some());
    }

    #[tokio::test]
    async fn hosts_behind_jump_hosts_of_their_own_are_counted_where_these_lead() {
        let pace = Pace::new(2);
        let behind = |host: &str| {
            let bastion = Connection::builder("bastion").username("ops");
            Connection::builder(host).jump([bastion])
        };
        let turns: Vec<_> = ["a", "b", "c"]
            .into_iter()
            .map(|host| pace.turn(&behind(host)).now_or_never())
            .collect();
        assert_eq!(turns.iter().flatten().count(), 2);
    }
}
