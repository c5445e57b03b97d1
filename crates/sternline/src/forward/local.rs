//! Forwards that listen here: the server connects.

use std::net::SocketAddr;
use std::sync::Arc;

use sternline_proto::forward::ConnectAddress;

use super::handle::{Signals, Traffic};
use super::join::LocalStream;
use super::listen::LocalListener;
use super::socks;
use super::source::Source;
use crate::connection::DirectError;
use crate::transport::channel::Channel;

/// Serves a listener until nobody can connect any more. `to` is missing where clients say it by SOCKS.
pub(super) async fn serve(
    listener: LocalListener,
    to: Option<ConnectAddress>,
    source: Source,
    traffic: Arc<Traffic>,
    signals: Arc<Signals>,
) {
    loop {
        let (stream, from) = tokio::select! {
            accepted = listener.accept() => accepted,
            () = source.closed() => return,
            () = signals.close.notified() => return,
        };
        let (to, source, open) = (to.clone(), source.clone(), traffic.begin());
        tokio::spawn(async move {
            match to {
                Some(to) => lead(stream, from, to, &source).await,
                None => socks::lead(stream, from, &source).await,
            }
            drop(open);
        });
    }
}

async fn lead(stream: LocalStream, from: Option<SocketAddr>, to: ConnectAddress, source: &Source) {
    let opened = tokio::select! {
        biased;
        opened = open(source, to, from) => opened,
        // Nobody is left to open it for.
        () = stream.was_reset() => return,
    };
    match opened {
        Ok(channel) => stream.join(channel, Vec::new()).await,
        Err(refused) => {
            if let Some(refused) = refused {
                tracing::debug!(error = %refused.error, "a forwarded connection was refused");
            }
            stream.reset();
        }
    }
}

/// A channel to the target. As long as none has been opened nothing is lost with a connection, so the next one is
/// tried; `Err(None)` when there is none.
pub(super) async fn open(
    source: &Source,
    to: ConnectAddress,
    from: Option<SocketAddr>,
) -> Result<Channel, Option<DirectError>> {
    loop {
        let Some(connection) = source.connection().await else {
            return Err(None);
        };
        match connection.open_direct(to.clone(), from).await {
            Ok(channel) => return Ok(channel),
            Err(_) if !connection.is_connected() => {}
            Err(error) => return Err(Some(error)),
        }
    }
}
