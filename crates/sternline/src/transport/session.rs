//! An authenticated connection: opens channels, has the server listen, answers whether the server is alive, and ends.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use russh::{ChannelOpenFailure, Disconnect, client};
use sternline_proto::forward::ConnectAddress;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::channel::Channel;
use super::handler::ClientHandler;
use super::link::{AbortOnDrop, Link};
use super::listener::{Bind, Listener, Listeners};
pub(crate) use super::spill::SpillTo;
use crate::error::{Error, Result};

/// Why a channel was not opened.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// The server said no.
    Refused(OpenFailure),
    /// The connection has ended.
    Lost(Error),
}

/// A server's reason for not opening a channel (RFC 4254 section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OpenFailure {
    AdministrativelyProhibited,
    /// What a forward's target answers with; sshd says it for MaxSessions too.
    ConnectFailed,
    UnknownChannelType,
    ResourceShortage,
    /// A reason that no RFC defines.
    Other,
}

impl OpenFailure {
    fn of(reason: &ChannelOpenFailure) -> Self {
        match reason {
            ChannelOpenFailure::AdministrativelyProhibited => Self::AdministrativelyProhibited,
            ChannelOpenFailure::ConnectFailed => Self::ConnectFailed,
            ChannelOpenFailure::UnknownChannelType => Self::UnknownChannelType,
            ChannelOpenFailure::ResourceShortage => Self::ResourceShortage,
            ChannelOpenFailure::Other { .. } => Self::Other,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::AdministrativelyProhibited => "administratively prohibited",
            Self::ConnectFailed => "connect failed",
            Self::UnknownChannelType => "unknown channel type",
            Self::ResourceShortage => "resource shortage",
            Self::Other => "a reason that no RFC defines",
        }
    }
}

/// Clones share the connection, which ends when the last one is dropped.
#[derive(Clone)]
pub(crate) struct Session {
    handle: Arc<client::Handle<ClientHandler>>,
    link: Arc<Link>,
    listeners: Arc<Listeners>,
    runtime: Handle,
    _abort: Arc<AbortOnDrop>,
}

impl Session {
    pub(super) fn new(
        handle: client::Handle<ClientHandler>,
        link: Arc<Link>,
        listeners: Arc<Listeners>,
        abort: AbortOnDrop,
    ) -> Self {
        Self {
            handle: Arc::new(handle),
            link,
            listeners,
            runtime: Handle::current(),
            _abort: Arc::new(abort),
        }
    }

    /// Where what belongs to the connection runs. A caller's own runtime may end before the next caller comes.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// Opens a session channel. `until_closed` is dropped when the server has closed it, or has refused.
    ///
    /// The request is on its way before the future is first polled. Cancel-safe: a channel that opens after its caller
    /// has gone is closed again.
    pub(crate) fn open_session<G: Send + 'static>(
        &self,
        spill_to: SpillTo,
        until_closed: G,
    ) -> impl Future<Output = std::result::Result<Channel, OpenError>> + use<G> {
        let handle = Arc::clone(&self.handle);
        self.opened(
            async move { handle.channel_open_session().await },
            spill_to,
            until_closed,
        )
    }

    /// Has the server connect to something and opens a channel to it. `originator` is who asked, for the server's
    /// log. Cancel-safe, as [`open_session`](Self::open_session) is.
    pub(crate) fn open_direct(
        &self,
        to: ConnectAddress,
        originator: Option<SocketAddr>,
        spill_to: SpillTo,
    ) -> impl Future<Output = std::result::Result<Channel, OpenError>> + use<> {
        let handle = Arc::clone(&self.handle);
        // What OpenSSH's client sends where nobody in particular asked.
        let originator = originator.unwrap_or(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0));
        let opening = async move {
            match to {
                ConnectAddress::Tcp { host, port } => {
                    handle
                        .channel_open_direct_tcpip(
                            host,
                            port.into(),
                            originator.ip().to_string(),
                            originator.port().into(),
                        )
                        .await
                }
                ConnectAddress::Unix { path } => handle.channel_open_direct_streamlocal(path).await,
            }
        };
        self.opened(opening, spill_to, ())
    }

    /// Finishes opening a channel in the background, so that a caller who goes away leaves none open.
    fn opened<F, G>(
        &self,
        opening: F,
        spill_to: SpillTo,
        until_closed: G,
    ) -> impl Future<Output = std::result::Result<Channel, OpenError>> + use<F, G>
    where
        F: Future<Output = std::result::Result<russh::Channel<client::Msg>, russh::Error>> + Send + 'static,
        G: Send + 'static,
    {
        let link = Arc::clone(&self.link);
        let (answer, opened) = oneshot::channel();
        self.runtime.spawn(async move {
            let outcome = opening.await;
            let _ =
                answer.send(outcome.map(|channel| Channel::start(channel, spill_to, Box::new(until_closed))));
        });
        async move {
            match opened.await {
                Ok(Ok(channel)) => Ok(channel),
                Ok(Err(russh::Error::ChannelOpenFailure(reason))) => {
                    Err(OpenError::Refused(OpenFailure::of(&reason)))
                }
                Ok(Err(_)) | Err(_) => Err(OpenError::Lost(link.settled_loss().await)),
            }
        }
    }

    /// Has the server listen for us (RFC 4254 section 7.1). What connects there comes out of the listener.
    ///
    /// Cancel-safe: a server that agrees after its caller has gone is told to stop again.
    pub(crate) async fn listen(
        &self,
        bind: Bind,
        spill_to: SpillTo,
    ) -> std::result::Result<Listener, OpenError> {
        let listening = self.listeners.expect(bind.clone(), spill_to);
        let handle = Arc::clone(&self.handle);
        let (answer, answered) = oneshot::channel();
        self.runtime.spawn(async move {
            let outcome = request_listener(&handle, &bind).await;
            let _ = answer.send(outcome.map(|port| listening.established(port, handle)));
        });
        match answered.await {
            Ok(Ok(listener)) => Ok(listener),
            Ok(Err(russh::Error::RequestDenied)) => {
                Err(OpenError::Refused(OpenFailure::AdministrativelyProhibited))
            }
            Ok(Err(russh::Error::Inconsistent)) => Err(OpenError::Refused(OpenFailure::Other)),
            Ok(Err(_)) | Err(_) => Err(OpenError::Lost(self.link.settled_loss().await)),
        }
    }

    /// Asks the server for any answer (`keepalive@openssh.com`) and returns how long it took. No deadline: the caller
    /// sets one. The future does not keep the connection open.
    pub(crate) fn ping(&self) -> impl Future<Output = Result<Duration>> + Send + use<> {
        let (handle, link) = (Arc::clone(&self.handle), Arc::clone(&self.link));
        async move {
            let asked = Instant::now();
            let outcome = handle.send_ping().await;
            if outcome.is_err() || link.has_ended() {
                return Err(link.settled_loss().await);
            }
            Ok(asked.elapsed())
        }
    }

    /// Says goodbye and waits until the connection has ended, which is made to happen if it does not in a moment.
    /// Harmless when it already has.
    pub(crate) async fn close(&self) {
        const PATIENCE: Duration = Duration::from_secs(1);
        self.link.set_closing();
        let goodbye = async {
            let _ = self.handle.disconnect(Disconnect::ByApplication, "", "").await;
            self.link.ended().await
        };
        if timeout(PATIENCE, goodbye).await.is_err() {
            self.link.give_up();
        }
    }
}

/// Asks the server to listen, and gives the port on which it does. A server that was to choose one and names none that
/// there is gives [`russh::Error::Inconsistent`]: what comes in could not be told from what nobody asked for.
async fn request_listener(
    handle: &client::Handle<ClientHandler>,
    bind: &Bind,
) -> std::result::Result<u16, russh::Error> {
    match bind {
        Bind::Tcp { address, port } => {
            let chosen = handle.tcpip_forward(address.as_str(), (*port).into()).await?;
            // The answer names a port only where the server was to choose one.
            if *port != 0 {
                return Ok(*port);
            }
            let chosen = u16::try_from(chosen).ok().filter(|chosen| *chosen != 0);
            chosen.ok_or(russh::Error::Inconsistent)
        }
        Bind::Unix { path } => handle.streamlocal_forward(path.as_str()).await.map(|()| 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::test_server::{Says, connect};

    #[tokio::test]
    async fn a_server_that_claims_to_have_chosen_a_port_that_cannot_exist_is_not_believed() {
        let (mut login, _log) = connect(|_| Says::Yes).await;
        login.none("u").await.unwrap();
        let session = login.into_session();
        let listen = async |port| {
            let bind = Bind::Tcp {
                address: "localhost".to_owned(),
                port,
            };
            let spill_to = SpillTo {
                dir: std::env::temp_dir(),
                limit: 0,
            };
            session
                .listen(bind, spill_to)
                .await
                .map(|listener| listener.port())
        };
        assert!(matches!(
            listen(0).await,
            Err(OpenError::Refused(OpenFailure::Other))
        ));
        assert_eq!(listen(2200).await.unwrap(), 2200);
    }
}
