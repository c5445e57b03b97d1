//! The shell of each moment, and how another one takes its place.

use std::sync::Arc;

use bytes::Bytes;

use super::probe::Tools;
use super::server::Server;
use crate::connection::{Connection, Supervisor};
use crate::error::{Error, Result};
use crate::transfer::place::Origin;
use crate::transfer::renewal::{Renewed, next, was_lost_after_all};

/// The shell on a connection, and on the next one of its supervisor when that is lost.
#[derive(Debug)]
pub(super) struct Servers {
    servers: Renewed<Server>,
    supervisor: Option<Supervisor>,
    pub(super) host: Box<str>,
}

impl Servers {
    pub(super) async fn start(origin: Origin, connection: Connection, tools: Tools) -> Result<Self> {
        Ok(Self {
            host: connection.host().into(),
            servers: Renewed::new(Arc::new(Server::start(connection, tools).await?)),
            supervisor: match origin {
                Origin::Connection(_) => None,
                Origin::Supervisor(supervisor) => Some(supervisor),
            },
        })
    }

    /// Whether there may be another connection if the present one is lost.
    pub(super) fn go_on(&self) -> bool {
        self.supervisor.is_some()
    }

    pub(super) fn current(&self) -> Arc<Server> {
        self.servers.current()
    }

    /// What to try again on after a failure on `server`: a shell on the next connection, waited for. Cancel-safe.
    ///
    /// # Errors
    /// The failure itself, unless it comes from the loss of a connection that is going to be replaced. Why there will be
    /// no other connection, once that is known.
    pub(super) async fn after(&self, server: &Arc<Server>, error: Error) -> Result<Arc<Server>> {
        let Some(supervisor) = &self.supervisor else {
            return Err(error);
        };
        if !was_lost_after_all(&server.connection, &error).await {
            return Err(error);
        }
        let start = |connection: Connection| async move {
            let started = Server::start(connection.clone(), server.tools.clone()).await;
            if let Err(error) = &started {
                was_lost_after_all(&connection, error).await;
            }
            started.map(Arc::new)
        };
        // In a box, since it is rare, and made the future of every operation larger.
        let next = Box::pin(next(supervisor, start));
        self.servers.after(server, &error, next).await
    }

    /// Does something, and again on the next connection where one was lost; it is told then that it may have been done.
    pub(super) async fn again<T, F>(&self, work: impl Fn(Arc<Server>, bool) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut server = self.current();
        let mut again = false;
        loop {
            match work(Arc::clone(&server), again).await {
                Err(error) => server = self.after(&server, error).await?,
                done => return done,
            }
            again = true;
        }
    }

    /// [`Server::ask`] for what may be done twice.
    pub(super) async fn ask(&self, what: &'static str, path: &[u8], script: Vec<u8>) -> Result<Bytes> {
        let script = &script;
        self.again(|server, _| async move { server.ask(what, path, script.clone()).await })
            .await
    }
}
