//! One connection, from accept to its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use russh::{Disconnect, server};
use tokio::io::{BufReader, DuplexStream};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::debug;

use crate::lifetime::{Alive, Stop};
use crate::protocol::config::Protocol;
use crate::protocol::handler::ConnectionHandler;

/// How long a client may take to close its side after our disconnect message.
pub(crate) const CLOSING: Duration = Duration::from_millis(500);

/// Serves one client until it leaves, does not log in in time, or the server stops. The session may then still be
/// closing; it ends with its stream.
pub(crate) async fn serve(
    protocol: Arc<Protocol>,
    stream: DuplexStream,
    (peer, local): (SocketAddr, SocketAddr),
    mut stop: Stop,
    alive: Alive,
) {
    let deadline = Instant::now() + protocol.limits.login_grace_time;
    let (authenticated, mut login) = oneshot::channel();
    let handler = ConnectionHandler::new(protocol.clone(), peer, local, authenticated, stop.clone(), alive);
    // The protocol crate reads each packet's length and body separately; the buffer makes that one system call.
    let buffered = BufReader::with_capacity(16 * 1024, stream);
    let starting = server::run_stream(protocol.config.clone(), buffered, handler);
    let mut session = tokio::select! {
        started = timeout_at(deadline, starting) => match started {
            Ok(Ok(session)) => session,
            Ok(Err(error)) => return debug!(%peer, %error, "the client did not start the protocol"),
            Err(_) => return debug!(%peer, "the client did not speak in time"),
        },
        () = stop.requested() => return,
    };
    let mut logged_in = false;
    let reason = loop {
        tokio::select! {
            ended = &mut session => {
                return match ended {
                    Ok(()) => debug!(%peer, "connection closed"),
                    Err(error) => debug!(%peer, %error, "connection ended"),
                };
            }
            // An error means that the session has ended, which the first branch sees.
            _ = &mut login, if !logged_in => logged_in = true,
            () = tokio::time::sleep_until(deadline), if !logged_in => break "login took too long",
            () = stop.requested() => break "the server is shutting down",
        }
    };
    debug!(%peer, reason, "closing the connection");
    let handle = session.handle();
    let _ = timeout(CLOSING, async {
        let _ = handle
            .disconnect(Disconnect::ByApplication, reason.to_owned(), String::new())
            .await;
        let _ = (&mut session).await;
    })
    .await;
}
