//! A running server.

use std::future::ready;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sternline_proto::key::PublicKey;
use tokio::io::duplex;
use tokio::net::TcpStream;
use tokio::sync::{Mutex, Semaphore, watch};
use tokio::time::timeout;
use tracing::debug;

use crate::builder::{BindError, ServerBuilder};
use crate::credential::{Credential, Users};
use crate::fault::control::Link;
use crate::fault::relay::{Over, relay};
use crate::fault::{Faults, ServerFault};
use crate::files::FileEntry;
use crate::lifetime::{Alive, Everyone, Stop};
use crate::log::LogEntry;
use crate::protocol::config::Protocol;
use crate::protocol::connection::{CLOSING, serve};
use crate::protocol::key::KeyPair;

/// How long [`Server::shutdown`] waits at most.
const SHUTDOWN: Duration = Duration::from_secs(5);
/// Bytes on their way between the link and the protocol, in each direction.
const PIPE: usize = 256 * 1024;
/// The pause after an accept that failed, which it does when the process has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A running SSH server.
///
/// Cheap to clone. It stops, and ends every connection and command, at [`Server::shutdown`] or when the last clone is
/// dropped.
#[derive(Debug, Clone)]
pub struct Server(Arc<Inner>);

struct Inner {
    faults: Faults,
    host_key: PublicKey,
    protocol: Arc<Protocol>,
    stop: watch::Sender<bool>,
    everyone: Mutex<Everyone>,
    /// Whether a later server has the port.
    handed_over: AtomicBool,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("addr", &self.faults.addr())
            .field("host_key", &self.host_key)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Describes a server; [`ServerBuilder::bind`] starts it.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    pub(crate) fn start(faults: Faults, host_key: PublicKey, protocol: Protocol) -> Self {
        let protocol = Arc::new(protocol);
        let (sender, stop) = Stop::new();
        let (alive, everyone) = Everyone::new();
        tokio::spawn(accept(faults.clone(), protocol.clone(), stop, alive));
        debug!(addr = %faults.addr(), host_key = host_key.fingerprint(), "server listens");
        Self(Arc::new(Inner {
            faults,
            host_key,
            protocol,
            stop: sender,
            everyone: Mutex::new(everyone),
            handed_over: AtomicBool::new(false),
        }))
    }

    /// The address that the server listens on.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.0.faults.addr()
    }

    /// The port that the server listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.addr().port()
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
        let (addr, host_key) = (self.addr(), self.host_key());
        let host = match addr.port() {
            22 => addr.ip().to_string(),
            port => format!("[{}]:{port}", addr.ip()),
        };
        format!("{host} {} {}", host_key.algorithm(), host_key.to_base64())
    }

    /// Lets only these users log in from now on, each with any one of the credentials that stand beside the name. Who is logged
    /// in stays. It holds for what [`Server::restart`] makes of this server, too.
    pub fn set_users(&self, users: impl IntoIterator<Item = (String, Credential)>) {
        let mut all = Users::default();
        for (name, credential) in users {
            all.add(name, credential);
        }
        self.0.protocol.users.set(all);
    }

    /// What clients asked to run, oldest first; the last 10,000 are kept. An entry's exit is known here before the
    /// client learns of it.
    #[must_use]
    pub fn log(&self) -> Vec<LogEntry> {
        self.0.protocol.log.entries()
    }

    /// What clients did to the files, oldest first; the last 10,000 entries are kept. An entry is here before the client
    /// learns that it is done.
    #[must_use]
    pub fn file_log(&self) -> Vec<FileEntry> {
        let served = self.0.protocol.served.as_ref();
        served.map(|served| served.log.entries()).unwrap_or_default()
    }

    /// The faults of the link to this server, and what has passed it. Every connection is behind it from its start.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.0.faults
    }

    /// Lets the server fail: one of its link for the connections that are open and those to come, as [`Faults::set`], its
    /// files, or refusals beside it. Faults of files do nothing where none are served.
    pub fn set_fault(&self, fault: impl Into<ServerFault>) {
        let refusals = &self.0.protocol.refusals;
        match fault.into() {
            ServerFault::Link(fault) => self.0.faults.set(fault),
            ServerFault::Files(fault) => {
                if let Some(served) = &self.0.protocol.served {
                    served.faults.set(fault);
                }
            }
            ServerFault::RefuseAuth(times) => refusals.refuse_auth(times),
            ServerFault::RefuseChannels { reason, times } => refusals.refuse_channels(reason, times),
        }
    }

    /// Takes all faults away, the link's too.
    pub fn heal(&self) {
        self.0.protocol.refusals.heal();
        if let Some(served) = &self.0.protocol.served {
            served.faults.heal();
        }
        self.0.faults.heal();
    }

    /// Stops the server as [`Server::shutdown`] does, and starts it again on the same port with the same host keys, users,
    /// commands, log and faults. While it stops, connections are refused and nobody else gets the port. Returns the server
    /// that runs now; this one and its clones are those of a server that has stopped.
    ///
    /// # Errors
    /// When this server has been shut down or restarted before, or the port was lost.
    pub async fn restart(&self) -> Result<Self, BindError> {
        self.restarted(self.0.host_key.clone(), self.0.protocol.as_ref().clone())
            .await
    }

    /// As [`Server::restart`], with `key` as the only host key, as if somebody else had taken the server's place.
    ///
    /// # Errors
    /// As [`Server::restart`].
    pub async fn restart_with_host_key(&self, key: KeyPair) -> Result<Self, BindError> {
        let host_key = key.public_key().clone();
        let protocol = self.0.protocol.with_host_keys(&[key]);
        self.restarted(host_key, protocol).await
    }

    async fn restarted(&self, host_key: PublicKey, protocol: Protocol) -> Result<Self, BindError> {
        let failed = |source| BindError::Listen {
            addr: self.addr(),
            source,
        };
        if *self.0.stop.borrow() || self.0.handed_over.swap(true, Ordering::SeqCst) {
            return Err(failed(io::Error::other(
                "this server has stopped already, so it cannot be restarted",
            )));
        }
        let faults = self.0.faults.clone();
        faults.door().close().map_err(failed)?;
        self.stop().await;
        faults.reopen().map_err(failed)?;
        Ok(Self::start(faults, host_key, protocol))
    }

    /// Stops listening, ends every connection and every command, and waits until they have gone: usually some
    /// milliseconds, never more than 5 seconds. Real processes are killed. Calling it again is harmless.
    ///
    /// Once this future has been polled, the shutdown goes on even when the future is dropped.
    pub async fn shutdown(&self) {
        self.0.let_go();
        self.stop().await;
    }

    async fn stop(&self) {
        self.0.stop.send_replace(true);
        let gone = async { self.0.everyone.lock().await.gone().await };
        if timeout(SHUTDOWN, gone).await.is_err() {
            debug!(addr = %self.addr(), "shutdown stopped waiting for commands that do not end");
        }
    }
}

impl Inner {
    /// Lets the port go, unless it is another server's by now.
    fn let_go(&self) {
        if !self.handed_over.load(Ordering::SeqCst) {
            self.faults.door().let_go();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.let_go();
    }
}

async fn accept(faults: Faults, protocol: Arc<Protocol>, mut stop: Stop, alive: Alive) {
    let slots = Arc::new(Semaphore::new(protocol.limits.max_connections));
    loop {
        let next = async {
            let slot = slots.clone().acquire_owned().await;
            (slot, faults.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            next = next => next,
            () = stop.requested() => return,
        };
        match accepted {
            Ok((stream, peer, link)) => {
                let connection =
                    connection(protocol.clone(), stream, peer, link, stop.clone(), alive.clone());
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

/// One connection behind its link.
async fn connection(
    protocol: Arc<Protocol>,
    stream: TcpStream,
    peer: SocketAddr,
    link: Link,
    stop: Stop,
    alive: Alive,
) {
    let local = match stream.local_addr() {
        Ok(local) => local,
        Err(error) => return debug!(%peer, %error, "connection lost before it began"),
    };
    let (near, far) = duplex(PIPE);
    let relay = relay(stream, ready(Ok(near)), Over::ServerEnded, link);
    let session = serve(protocol, far, (peer, local), stop, alive.clone());
    tokio::pin!(relay, session);
    tokio::select! {
        () = &mut relay => session.await,
        () = &mut session => {
            // The last words; then the socket is closed, whatever the client does.
            let _ = timeout(CLOSING, relay).await;
        }
    }
    drop(alive);
}
