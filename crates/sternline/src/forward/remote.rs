//! Forwards that the server listens for: this side connects.

use std::sync::Arc;
use std::time::Duration;

use sternline_proto::forward::{ForwardIntent, ListenAddress};
use sternline_proto::text::escape;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::handle::{Signals, Status, Traffic};
use super::join::LocalStream;
use super::report;
use super::socks;
use super::source::Source;
use crate::connection::Connection;
use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Emitter;
use crate::transport::link::Link;
use crate::transport::listener::{Bind, Incoming, Listener};
use crate::transport::session::{OpenError, OpenFailure};

/// How long the server may take to answer whether it listens.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// How long to wait before a server that refused is asked again. A connection that was lost without a word often keeps
/// its port until the server notices.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// A remote forward and what it needs to come back by itself.
pub(super) struct Remote {
    pub(super) intent: ForwardIntent,
    pub(super) source: Source,
    pub(super) traffic: Arc<Traffic>,
    pub(super) signals: Arc<Signals>,
    pub(super) emitter: Emitter,
}

impl Remote {
    /// Has the server listen for the first time, and then whenever there is a new connection.
    pub(super) async fn start(self) -> Result<(watch::Receiver<Status>, JoinHandle<()>)> {
        let (connection, listener) = self.first().await?;
        let (status, established) = watch::channel(Status::Established(listener.port()));
        let task = tokio::spawn(async move {
            self.run(connection, listener, status).await;
            report::forward(&self.emitter, &self.intent, "closed", &[]);
        });
        Ok((established, task))
    }

    /// A connection that is lost before it has answered is no answer: the next one is asked.
    async fn first(&self) -> Result<(Connection, Listener)> {
        let mut reason = Error::new(ErrorKind::Connection, "there is no connection to forward over")
            .with_hint("wait until the supervisor is connected");
        loop {
            let Some(connection) = self.source.connection().await else {
                return Err(reason);
            };
            match listen(&connection, bind(&self.intent, None)).await {
                Ok(listener) => return Ok((connection, listener)),
                Err(error) if connection.is_connected() => return Err(error),
                Err(error) => reason = error,
            }
        }
    }

    async fn run(&self, connection: Connection, listener: Listener, status: watch::Sender<Status>) {
        let port = listener.port();
        let mut current = (connection, listener);
        loop {
            let (connection, mut listener) = current;
            let closed = tokio::select! {
                () = self.serve(&connection, &mut listener) => false,
                () = self.signals.close.notified() => true,
            };
            if closed {
                return listener.close().await;
            }
            status.send_replace(Status::Down { port, error: None });
            let next = tokio::select! {
                next = self.come_back(port, &status) => next,
                () = self.signals.close.notified() => None,
            };
            let Some(next) = next else {
                return;
            };
            current = next;
            status.send_replace(Status::Established(port));
            let port = [("actual_port", port.into())];
            report::forward(&self.emitter, &self.intent, "established", &port);
        }
    }

    /// Until the connection ends.
    async fn serve(&self, connection: &Connection, listener: &mut Listener) {
        loop {
            let incoming = tokio::select! {
                incoming = listener.accept() => incoming,
                _ = connection.ended() => None,
            };
            let Some(incoming) = incoming else {
                return;
            };
            let (intent, open) = (self.intent.clone(), self.traffic.begin());
            let link = Arc::clone(connection.link());
            tokio::spawn(async move {
                lead(incoming, &intent, &link).await;
                drop(open);
            });
        }
    }

    /// The next connection, with the server listening on the same port as before. Tried until it works: `None` when
    /// there will be no connection any more.
    async fn come_back(&self, port: u16, status: &watch::Sender<Status>) -> Option<(Connection, Listener)> {
        let mut pause = FIRST_PAUSE;
        loop {
            let connection = self.source.next().await?;
            match listen(&connection, bind(&self.intent, Some(port))).await {
                Ok(listener) => return Some((connection, listener)),
                Err(error) => {
                    let error = error.to_string();
                    let fields = [("error", error.as_str().into())];
                    report::forward(&self.emitter, &self.intent, "replay_failed", &fields);
                    status.send_replace(Status::Down {
                        port,
                        error: Some(error),
                    });
                    tokio::select! {
                        () = sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                        () = self.signals.retry.notified() => {}
                        _ = connection.ended() => pause = FIRST_PAUSE,
                    }
                }
            }
        }
    }
}

/// What the server is asked for. `port` is the one it listened on before.
fn bind(intent: &ForwardIntent, port: Option<u16>) -> Bind {
    match &intent.listen {
        ListenAddress::Tcp { bind, port: asked } => Bind::Tcp {
            address: bind.in_request().to_owned(),
            port: port.unwrap_or(*asked),
        },
        ListenAddress::Unix { path } => Bind::Unix { path: path.clone() },
    }
}

async fn listen(connection: &Connection, bind: Bind) -> Result<Listener> {
    let sessions = connection.sessions();
    let asking = sessions.session().listen(bind.clone(), sessions.spill_to());
    let error = match timeout(ANSWER_LIMIT, asking).await {
        Ok(Ok(listener)) => return Ok(listener),
        Ok(Err(OpenError::Refused(failure))) => refused(&bind, failure),
        Ok(Err(OpenError::Lost(error))) => error.in_phase(Phase::Channel),
        Err(_) => Error::phase_timeout(Phase::Channel, ANSWER_LIMIT, false),
    };
    Err(connection.locate(error))
}

fn refused(bind: &Bind, failure: OpenFailure) -> Error {
    let place = match bind {
        Bind::Tcp { address, port } if address.is_empty() => format!("all interfaces port {port}"),
        Bind::Tcp { address, port } => format!("{} port {port}", escape(address)),
        Bind::Unix { path } => format!("the socket {}", escape(path)),
    };
    let hint = match bind {
        Bind::Tcp { .. } => {
            "something may listen there already, or the server's configuration forbids it: see AllowTcpForwarding, GatewayPorts \
             and PermitListen"
        }
        Bind::Unix { .. } => {
            "the socket may be left from an earlier connection, which sshd replaces only with StreamLocalBindUnlink yes in \
             sshd_config, or AllowStreamLocalForwarding forbids it"
        }
    };
    Error::new(
        ErrorKind::Channel,
        format!("the server does not listen on {place}: {}", failure.as_str()),
    )
    .in_phase(Phase::Channel)
    .with_hint(hint)
}

/// Connects to the target first, so that whoever connected to the server learns when that fails.
async fn lead(incoming: Incoming, intent: &ForwardIntent, link: &Link) {
    let Some(to) = &intent.connect else {
        return socks::lead_remote(incoming, link).await;
    };
    let connected = tokio::select! {
        connected = LocalStream::connect(to) => connected,
        _ = link.ended() => return,
    };
    match connected {
        Ok(stream) => stream.join(incoming.accept().await, Vec::new()).await,
        Err(error) => {
            tracing::debug!(%error, "the target of a remote forward cannot be reached");
            incoming.refuse().await;
        }
    }
}
