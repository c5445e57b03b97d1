//! An authenticated connection: opens channels, answers whether the server is alive, and ends.

use std::sync::Arc;
use std::time::Duration;

use russh::{ChannelOpenFailure, Disconnect, client};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::channel::Channel;
use super::handler::ClientHandler;
use super::link::{AbortOnDrop, Link};
pub(crate) use super::spill::SpillTo;
use crate::error::{Error, Result};

/// Why a channel was not opened.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// The server said no, with the reason of RFC 4254 section 5.1. sshd says `ConnectFailed` for MaxSessions too.
    Refused(&'static str),
    /// The connection has ended.
    Lost(Error),
}

/// Clones share the connection, which ends when the last one is dropped.
#[derive(Clone)]
pub(crate) struct Session {
    handle: Arc<client::Handle<ClientHandler>>,
    link: Arc<Link>,
    _abort: Arc<AbortOnDrop>,
}

impl Session {
    pub(super) fn new(handle: client::Handle<ClientHandler>, link: Arc<Link>, abort: AbortOnDrop) -> Self {
        Self {
            handle: Arc::new(handle),
            link,
            _abort: Arc::new(abort),
        }
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
        let (handle, link) = (Arc::clone(&self.handle), Arc::clone(&self.link));
        let (answer, opened) = oneshot::channel();
        tokio::spawn(async move {
            let outcome = handle.channel_open_session().await;
            let _ =
                answer.send(outcome.map(|channel| Channel::start(channel, spill_to, Box::new(until_closed))));
        });
        async move {
            match opened.await {
                Ok(Ok(channel)) => Ok(channel),
                Ok(Err(russh::Error::ChannelOpenFailure(reason))) => Err(OpenError::Refused(match reason {
                    ChannelOpenFailure::AdministrativelyProhibited => "administratively prohibited",
                    ChannelOpenFailure::ConnectFailed => "connect failed",
                    ChannelOpenFailure::UnknownChannelType => "unknown channel type",
                    ChannelOpenFailure::ResourceShortage => "resource shortage",
                    ChannelOpenFailure::Other { .. } => "a reason that no RFC defines",
                })),
                Ok(Err(_)) | Err(_) => Err(OpenError::Lost(link.settled_loss().await)),
            }
        }
    }

    /// Asks the server for any answer and returns how long it took. No deadline: the caller sets one.
    pub(crate) async fn ping(&self) -> Result<Duration> {
        let asked = Instant::now();
        let outcome = self.handle.send_ping().await;
        if outcome.is_err() || self.link.has_ended() {
            return Err(self.link.settled_loss().await);
        }
        Ok(asked.elapsed())
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
