//! A proxy in front of any server.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::{AbortHandle, JoinSet};
use tracing::debug;

use crate::door::Door;
use crate::fault::control::Faults;
use crate::fault::relay::{Over, relay};

/// The pause after an accept that failed, which it does when the process has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A TCP proxy on loopback that passes everything on until it is given a [`crate::fault::Fault`].
///
/// It knows nothing of SSH but where a server's identification line ends. Its port stays the same until it is dropped,
/// which ends all its connections. Each connection holds at most 2 MiB that one side has not taken yet, and 128
/// MiB with [`crate::fault::Fault::Latency`].
#[derive(Debug)]
pub struct FaultProxy {
    faults: Faults,
    task: AbortHandle,
}

impl FaultProxy {
    /// Listens on a free port of 127.0.0.1 for connections to `upstream`, to which each of them gets a connection of its
    /// own. The upstream server need not listen yet: a connection that cannot be passed on is reset.
    ///
    /// # Errors
    /// When the system gives no port.
    ///
    /// # Panics
    /// Outside a tokio runtime, as everything of tokio does.
    pub async fn start(upstream: SocketAddr) -> io::Result<Self> {
        let faults = Faults::new(Door::open(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?);
        debug!(addr = %faults.addr(), %upstream, "fault proxy listens");
        let task = tokio::spawn(accept(faults.clone(), upstream)).abort_handle();
        Ok(Self { faults, task })
    }

    /// The address that clients connect to.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.faults.addr()
    }

    /// The faults of this proxy, and its counters.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.faults
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.faults.door().let_go();
        // The connections are in it.
        self.task.abort();
    }
}

async fn accept(faults: Faults, upstream: SocketAddr) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = faults.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((client, peer, link)) => {
                let connect = async move {
                    let connected = TcpStream::connect(upstream).await;
                    let server = connected.inspect_err(
                        |error| debug!(%peer, %upstream, %error, "a connection cannot be passed on"),
                    )?;
                    server.set_nodelay(true)?;
                    Ok(server)
                };
                connections.spawn(relay(client, connect, Over::BothEnded, link));
            }
            Err(error) => {
                debug!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
