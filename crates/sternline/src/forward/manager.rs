//! All forwards of a connection, plain or supervised.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sternline_proto::forward::{BindAddress, ConnectAddress, ForwardIntent, ListenAddress, Side};
use tokio::sync::watch;

use super::handle::{ForwardHandle, Signals, Status, Traffic};
use super::listen::LocalListener;
use super::remote::Remote;
use super::source::Source;
use super::{local, report};
use crate::connection::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Emitter;

/// Opens forwards and keeps them. Clones share them; they are closed when the last clone and handle are gone, when the
/// connection was closed, or when its supervisor gave up.
#[derive(Clone)]
pub struct ForwardManager {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    source: Source,
    emitter: Emitter,
    forwards: Mutex<Vec<ForwardHandle>>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Vec<ForwardHandle>> {
        self.forwards.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn forget(&self, closed: &ForwardHandle) {
        self.lock().retain(|handle| !handle.is(closed));
    }
}

impl ForwardManager {
    /// Forwards over one connection; they end with it.
    #[must_use]
    pub fn new(connection: &Connection) -> Self {
        let (sender, connections) = watch::channel(Some(connection.clone()));
        // The connection itself would be kept open by this task.
        let link = Arc::clone(connection.sessions().session().link());
        tokio::spawn(async move {
            tokio::select! {
                _ = link.ended() => {}
                () = sender.closed() => {}
            }
        });
        Self::over(connections, connection.emitter().clone())
    }

    /// Forwards over whichever connection there is at the moment.
    pub(crate) fn over(connections: watch::Receiver<Option<Connection>>, emitter: Emitter) -> Self {
        Self {
            shared: Arc::new(Shared {
                source: Source::new(connections),
                emitter,
                forwards: Mutex::default(),
            }),
        }
    }

    /// What was asked for and not closed since.
    #[must_use]
    pub fn intents(&self) -> Vec<ForwardIntent> {
        let forwards = self.shared.lock();
        forwards.iter().map(|handle| handle.intent().clone()).collect()
    }

    /// The forwards that something listens for.
    #[must_use]
    pub fn active_forwards(&self) -> Vec<ForwardHandle> {
        let forwards = self.shared.lock();
        forwards
            .iter()
            .filter(|handle| handle.is_active())
            .cloned()
            .collect()
    }

    /// Listens here, on loopback, and has the server connect to `remote_host` (`ssh -L`). With port 0 the system chooses
    /// one: see [`ForwardHandle::local_port`].
    ///
    /// # Errors
    /// When the port cannot be listened on.
    pub async fn forward_local(
        &self,
        local_port: u16,
        remote_host: &str,
        remote_port: u16,
    ) -> Result<ForwardHandle> {
        self.forward(ForwardIntent {
            listener: Side::Local,
            listen: loopback(local_port),
            connect: Some(tcp(remote_host, remote_port)),
        })
        .await
    }

    /// Has the server listen, on its loopback, and connects here to `local_host` (`ssh -R`). With port 0 the server
    /// chooses one: see [`ForwardHandle::local_port`].
    ///
    /// # Errors
    /// When there is no connection in time, or the server refuses.
    pub async fn forward_remote(
        &self,
        remote_port: u16,
        local_host: &str,
        local_port: u16,
    ) -> Result<ForwardHandle> {
        self.forward(ForwardIntent {
            listener: Side::Remote,
            listen: loopback(remote_port),
            connect: Some(tcp(local_host, local_port)),
        })
        .await
    }

    /// A SOCKS proxy here, on loopback, whose connections the server makes (`ssh -D`): SOCKS 4, 4a and 5, CONNECT without
    /// authentication.
    ///
    /// # Errors
    /// When the port cannot be listened on.
    pub async fn forward_dynamic(&self, local_port: u16) -> Result<ForwardHandle> {
        self.forward(ForwardIntent {
            listener: Side::Local,
            listen: loopback(local_port),
            connect: None,
        })
        .await
    }

    /// Opens any forward: other addresses than loopback, unix sockets, and a SOCKS proxy at the server. Every byte of
    /// memory that its connections take is bounded; what a slow reader leaves goes to a file, up to the connection's
    /// spill limit.
    ///
    /// # Errors
    /// When what is to listen cannot, or, for a remote forward, when there is no connection in time.
    pub async fn forward(&self, intent: ForwardIntent) -> Result<ForwardHandle> {
        let emitter = &self.shared.emitter;
        report::forward(emitter, &intent, "establishing", &[]);
        let outcome = match intent.listener {
            _ if self.shared.source.has_ended() => Err(ended()),
            Side::Local => self.listen_here(&intent).await,
            Side::Remote => self.listen_there(&intent).await,
        };
        match &outcome {
            Ok(handle) => {
                let port = [("actual_port", handle.local_port().into())];
                report::forward(emitter, &intent, "established", &port);
                self.shared.lock().push(handle.clone());
            }
            Err(error) => {
                let error = [
                    ("error", error.to_string().into()),
                    ("error_type", error.error_type().into()),
                    ("hint", error.hint().into()),
                ];
                report::forward(emitter, &intent, "failed", &error);
            }
        }
        outcome
    }

    async fn listen_here(&self, intent: &ForwardIntent) -> Result<ForwardHandle> {
        let listener = LocalListener::open(&intent.listen).await?;
        let (status, established) = watch::channel(Status::Established(listener.port()));
        let (traffic, signals) = (Arc::<Traffic>::default(), Arc::<Signals>::default());
        let serving = local::serve(
            listener,
            intent.connect.clone(),
            self.shared.source.clone(),
            Arc::clone(&traffic),
            Arc::clone(&signals),
        );
        let (emitter, intent_served) = (self.shared.emitter.clone(), intent.clone());
        let task = tokio::spawn(async move {
            serving.await;
            report::forward(&emitter, &intent_served, "closed", &[]);
            drop(status);
        });
        Ok(self.handle(intent, established, signals, traffic, task))
    }

    async fn listen_there(&self, intent: &ForwardIntent) -> Result<ForwardHandle> {
        let (traffic, signals) = (Arc::<Traffic>::default(), Arc::<Signals>::default());
        let remote = Remote {
            intent: intent.clone(),
            source: self.shared.source.clone(),
            traffic: Arc::clone(&traffic),
            signals: Arc::clone(&signals),
            emitter: self.shared.emitter.clone(),
        };
        let (status, task) = remote.start().await?;
        Ok(self.handle(intent, status, signals, traffic, task))
    }

    fn handle(
        &self,
        intent: &ForwardIntent,
        status: watch::Receiver<Status>,
        signals: Arc<Signals>,
        traffic: Arc<Traffic>,
        task: tokio::task::JoinHandle<()>,
    ) -> ForwardHandle {
        let manager = Arc::downgrade(&self.shared);
        ForwardHandle::new(intent.clone(), status, signals, traffic, task, manager)
    }

    /// Makes every forward that is down try again at once, and gives those that then are active. A supervised
    /// connection's forwards come back by themselves; this is for those who cannot wait.
    pub async fn replay_all(&self) -> Vec<ForwardHandle> {
        let forwards = self.shared.lock().clone();
        if self.shared.source.is_connected() {
            for handle in &forwards {
                handle.replay().await;
            }
        }
        self.active_forwards()
    }

    /// Closes all forwards at once. Their connections stay open until they end. Cancel-safe: once begun, it goes on.
    pub async fn close_all(&self) {
        let forwards = std::mem::take(&mut *self.shared.lock());
        let closing: Vec<_> = forwards
            .into_iter()
            .map(|handle| tokio::spawn(async move { handle.close().await }))
            .collect();
        for closed in closing {
            let _ = closed.await;
        }
    }
}

impl fmt::Debug for ForwardManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ForwardManager")
            .field(&*self.shared.lock())
            .finish()
    }
}

fn ended() -> Error {
    Error::new(
        ErrorKind::Connection,
        "there is no connection to forward over, and will be none",
    )
    .with_hint("make another connection, or start another supervisor")
}

fn loopback(port: u16) -> ListenAddress {
    ListenAddress::Tcp {
        bind: BindAddress::Loopback,
        port,
    }
}

fn tcp(host: &str, port: u16) -> ConnectAddress {
    ConnectAddress::Tcp {
        host: host.to_owned(),
        port,
    }
}
