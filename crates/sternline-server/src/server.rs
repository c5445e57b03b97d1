//! A running server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sternline_proto::key::PublicKey;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, Semaphore, watch};
use tracing::debug;

use crate::builder::ServerBuilder;
use crate::lifetime::{Alive, Everyone, Stop};
use crate::log::LogEntry;
use crate::protocol::config::Protocol;
use crate::protocol::connection::serve;

/// Connections served at a time; further ones wait in the listen queue.
const MAX_CONNECTIONS: usize = 2048;
/// How long [`Server::shutdown`] waits at most.
const SHUTDOWN: Duration = Duration::from_secs(5);
/// The pause after an accept that failed, which it does when the process has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A running SSH server.
///
/// Cheap to clone. It stops, and ends every connection and command, at [`Server::shutdown`] or when the last clone is
/// dropped.
#[derive(Debug, Clone)]
pub struct Server(Arc<Inner>);

struct Inner {
    addr: SocketAddr,
    host_key: PublicKey,
    protocol: Arc<Protocol>,
    stop: watch::Sender<bool>,
    everyone: Mutex<Everyone>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("addr", &self.addr)
            .field("host_key", &self.host_key)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Describes a server; [`ServerBuilder::bind`] starts it.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    pub(crate) fn start(
        listener: TcpListener,
        addr: SocketAddr,
        host_key: PublicKey,
        protocol: Protocol,
    ) -> Self {
        let protocol = Arc::new(protocol);
        let (sender, stop) = Stop::new();
        let (alive, everyone) = Everyone::new();
        tokio::spawn(accept(listener, protocol.clone(), stop, alive));
        debug!(%addr, host_key = host_key.fingerprint(), "server listens");
        Self(Arc::new(Inner {
            addr,
            host_key,
            protocol,
            stop: sender,
            everyone: Mutex::new(everyone),
        }))
    }

    /// The address that the server listens on.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.0.addr
    }

    /// The port that the server listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.addr.port()
    }

    /// The first host key.
    #[must_use]
    pub fn host_key(&self) -> &PublicKey {
        &self.0.host_key
    }

    /// The line of a known_hosts file that names this server and its first host key, without newline (sshd(8),
    /// "SSH_KNOWN_HOSTS FILE FORMAT").
    #[must_use]
    pub fn known_hosts_line(&self) -> String {
        let Inner { addr, host_key, .. } = &*self.0;
        let host = match addr.port() {
            22 => addr.ip().to_string(),
            port => format!("[{}]:{port}", addr.ip()),
        };
        format!("{host} {} {}", host_key.algorithm(), host_key.to_base64())
    }

    /// What clients asked to run, oldest first; the last 10,000 are kept. An entry's exit is known here before the
    /// client learns of it.
    #[must_use]
    pub fn log(&self) -> Vec<LogEntry> {
        self.0.protocol.log.entries()
    }

    /// Stops listening, ends every connection and every command, and waits until they have gone: usually some
    /// milliseconds, never more than 5 seconds. Real processes are killed. Calling it again is harmless.
    ///
    /// Once this future has been polled, the shutdown goes on even when the future is dropped.
    pub async fn shutdown(&self) {
        self.0.stop.send_replace(true);
        let gone = async { self.0.everyone.lock().await.gone().await };
        if tokio::time::timeout(SHUTDOWN, gone).await.is_err() {
            debug!(addr = %self.0.addr, "shutdown stopped waiting for commands that do not end");
        }
    }
}

async fn accept(listener: TcpListener, protocol: Arc<Protocol>, mut stop: Stop, alive: Alive) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let next = async {
            let slot = slots.clone().acquire_owned().await;
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            next = next => next,
            () = stop.requested() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = serve(protocol.clone(), stream, peer, stop.clone(), alive.clone());
                tokio::spawn(async move {
                    connection.await;
                    drop(slot);
                });
            }
            Err(error) => {
                debug!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
