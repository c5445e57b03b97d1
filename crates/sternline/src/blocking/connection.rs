//! A connection.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::direct::DirectStream;
use super::expect::AutomationEngine;
use super::runtime::Runtime;
use super::sftp::Sftp;
use super::stream::StreamExec;
use crate::connection::{
    Algorithms, Connection as Asynchronous, ConnectionBuilder, OfferedHostKey, Pty, ReadinessPolicy,
};
use crate::deadline::Phase;
use crate::error::{DisconnectReason, Error, ErrorKind, Result, seconds};
use crate::evidence::{EvidenceBundle, Transcript};
use crate::exec::{ExecRequest, ExecResult, Stdin};
use crate::host_key::VerifiedHostKey;
use crate::transfer::{Source, Target, Transfer, TransferResult};

/// [`sternline::Connection`](crate::Connection), for callers that wait.
///
/// Clones share it. It is closed when the last clone, and the last [`StreamExec`], [`Sftp`] or [`AutomationEngine`] on it,
/// is dropped.
#[derive(Clone)]
pub struct Connection {
    owned: Arc<Owned<Asynchronous>>,
}

impl Connection {
    /// The settings of a connection, for [`Connection::connect`]: see
    /// [`sternline::Connection::builder`](crate::Connection::builder).
    pub fn builder(target: impl Into<String>) -> ConnectionBuilder {
        Asynchronous::builder(target)
    }

    /// Connects, verifies the host key and logs in: see [`ConnectionBuilder::connect`]. A target as text is settings, too.
    ///
    /// # Errors
    /// As there; when the thread for the connection cannot be started.
    pub fn connect(settings: impl Into<ConnectionBuilder>) -> Result<Self> {
        let runtime = Runtime::start()?;
        let connection = runtime.wait(settings.into().connect())?;
        Ok(Self::owning(connection, runtime))
    }

    /// Connects again and again until the host accepts: see [`ConnectionBuilder::connect_when_ready`].
    ///
    /// # Errors
    /// As there; when the thread for the connection cannot be started.
    pub fn connect_when_ready(
        settings: impl Into<ConnectionBuilder>,
        policy: ReadinessPolicy,
        tell: impl FnMut(&Error),
    ) -> Result<Self> {
        let runtime = Runtime::start()?;
        let connection = runtime.wait(settings.into().connect_when_ready(policy, tell))?;
        Ok(Self::owning(connection, runtime))
    }

    /// Connects as far as the host key and hangs up: see [`ConnectionBuilder::fetch_host_key`].
    ///
    /// # Errors
    /// As there.
    pub fn fetch_host_key(settings: impl Into<ConnectionBuilder>) -> Result<OfferedHostKey> {
        Runtime::start()?.wait(settings.into().fetch_host_key())
    }

    fn owning(connection: Asynchronous, runtime: Runtime) -> Self {
        Self {
            owned: Owned::new(connection, runtime),
        }
    }

    /// A connection that somebody else closes.
    pub(super) fn borrowed(connection: Asynchronous, runtime: &Runtime) -> Self {
        Self {
            owned: Owned::borrowed(connection, runtime.clone()),
        }
    }

    pub(super) fn inner(&self) -> &Asynchronous {
        &self.owned.inner
    }

    pub(super) fn runtime(&self) -> &Runtime {
        &self.owned.runtime
    }

    /// Keeps the connection from being closed.
    pub(super) fn keep(&self) -> Keep {
        self.owned.clone()
    }

    fn wait<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.runtime().wait(work)
    }

    same! { Connection:
        fn host(&self) -> &str;
        fn port(&self) -> u16;
        fn username(&self) -> &str;
        fn peer_address(&self) -> Option<SocketAddr>;
        fn host_key(&self) -> &VerifiedHostKey;
        fn auth_method(&self) -> &str;
        fn auth_methods_offered(&self) -> &[String];
        fn login_needed_person(&self) -> bool;
        fn timings(&self) -> &[(Phase, Duration)];
        fn server_identification(&self) -> &str;
        fn auth_banner(&self) -> String;
        fn algorithms(&self) -> Option<&Algorithms>;
        fn command_limit(&self) -> u32;
        fn is_connected(&self) -> bool;
        fn disconnect_reason(&self) -> Option<DisconnectReason>;
    }

    /// See [`Connection::evidence_bundle`](crate::Connection::evidence_bundle).
    #[must_use]
    pub fn evidence_bundle<'a>(&self, transcript: impl Into<Option<&'a Transcript>>) -> EvidenceBundle {
        self.inner().evidence_bundle(transcript)
    }

    /// See [`Connection::jump_host`](crate::Connection::jump_host). Dropping it does not close it.
    #[must_use]
    pub fn jump_host(&self) -> Option<Self> {
        let jump = self.inner().jump_host()?;
        Some(Self::borrowed(jump, self.runtime()))
    }

    /// Runs a command and waits for its end, or its time limit: see [`Connection::exec`](crate::Connection::exec).
    ///
    /// # Errors
    /// As there.
    pub fn exec(&self, request: impl Into<ExecRequest>) -> Result<ExecResult> {
        self.wait(self.inner().exec(request))
    }

    /// Starts a command and gives its output as it comes: see [`Connection::stream_exec`](crate::Connection::stream_exec).
    ///
    /// # Errors
    /// As there.
    pub fn stream_exec(&self, request: impl Into<ExecRequest>) -> Result<StreamExec> {
        let stream = self.wait(self.inner().stream_exec(request))?;
        Ok(StreamExec::new(stream, self.runtime(), self.keep()))
    }

    /// Starts the user's login shell: see [`Connection::shell`](crate::Connection::shell).
    ///
    /// # Errors
    /// As there.
    pub fn shell(&self, pty: impl Into<Option<Pty>>) -> Result<StreamExec> {
        let stream = self.wait(self.inner().shell(pty))?;
        Ok(StreamExec::new(stream, self.runtime(), self.keep()))
    }

    /// Starts a command in order to talk to it: see [`Connection::automate`](crate::Connection::automate).
    ///
    /// # Errors
    /// As there.
    pub fn automate(&self, request: impl Into<ExecRequest>) -> Result<AutomationEngine> {
        let request = request.into().stdin(Stdin::Piped);
        let stream = self.wait(self.inner().stream_exec(request))?;
        Ok(AutomationEngine::new(stream, self.runtime(), self.keep()))
    }

    /// Starts the user's login shell in order to talk to it: see
    /// [`Connection::automate_shell`](crate::Connection::automate_shell).
    ///
    /// # Errors
    /// As there.
    pub fn automate_shell(&self, pty: impl Into<Option<Pty>>) -> Result<AutomationEngine> {
        let stream = self.wait(self.inner().shell(pty))?;
        Ok(AutomationEngine::new(stream, self.runtime(), self.keep()))
    }

    /// Moves files: see [`Connection::transfer`](crate::Connection::transfer). Whatever goes wrong is in the result.
    #[must_use]
    pub fn transfer(&self, transfer: Transfer) -> TransferResult {
        let request = transfer.clone();
        let result = self.runtime().run(self.inner().transfer(transfer));
        result.unwrap_or_else(|error| TransferResult::failed(self.host(), &request, error))
    }

    /// Copies a file of this machine to the server: see [`Connection::upload`](crate::Connection::upload).
    ///
    /// # Errors
    /// As there.
    pub fn upload(&self, source: impl Into<Source>, target: impl Into<Target>) -> Result<TransferResult> {
        self.wait(self.inner().upload(source, target))
    }

    /// Copies a file of the server to this machine: see [`Connection::download`](crate::Connection::download).
    ///
    /// # Errors
    /// As there.
    pub fn download(&self, source: impl Into<Source>, target: impl Into<Target>) -> Result<TransferResult> {
        self.wait(self.inner().download(source, target))
    }

    /// Copies files of this server to another one: see [`Connection::transfer_to`](crate::Connection::transfer_to).
    #[must_use]
    pub fn transfer_to(&self, other: &Self, transfer: Transfer) -> TransferResult {
        let request = transfer.clone();
        let moving = self.inner().transfer_to(other.inner(), transfer);
        let result = self.runtime().run(moving);
        result.unwrap_or_else(|error| TransferResult::failed(other.host(), &request, error))
    }

    /// Starts SFTP: see [`Connection::sftp`](crate::Connection::sftp).
    ///
    /// # Errors
    /// As there.
    pub fn sftp(&self) -> Result<Sftp> {
        let sftp = self.wait(self.inner().sftp())?;
        Ok(Sftp::new(sftp, self.clone()))
    }

    /// Has the server connect to a host and port, within this time, and gives the byte stream to there: see
    /// [`Connection::direct_tcpip`](crate::Connection::direct_tcpip).
    ///
    /// # Errors
    /// As there, and a [`ErrorKind::ConnectionTimeout`] when the time is over.
    pub fn direct_tcpip(&self, host: &str, port: u16, limit: Duration) -> Result<DirectStream> {
        let stream = self.wait(self.within(limit, self.inner().direct_tcpip(host, port)))?;
        Ok(DirectStream::new(stream, self.runtime()))
    }

    /// The same for a unix socket on the server: see
    /// [`Connection::direct_streamlocal`](crate::Connection::direct_streamlocal).
    ///
    /// # Errors
    /// As [`Connection::direct_tcpip`].
    pub fn direct_streamlocal(&self, path: &str, limit: Duration) -> Result<DirectStream> {
        let stream = self.wait(self.within(limit, self.inner().direct_streamlocal(path)))?;
        Ok(DirectStream::new(stream, self.runtime()))
    }

    /// Asks the server for a sign of life, and returns how long it took: see [`Connection::ping`](crate::Connection::ping).
    ///
    /// # Errors
    /// When the connection has ended, and a [`ErrorKind::ConnectionTimeout`] without an answer in time. The connection stays as it is then.
    pub fn ping(&self, limit: Duration) -> Result<Duration> {
        self.wait(self.within(limit, self.inner().ping()))
    }

    /// Waits until the connection has ended and gives the reason; `None` when the time was over before. Without a limit
    /// it waits for ever.
    ///
    /// # Errors
    /// Only within an async runtime.
    pub fn ended(&self, limit: impl Into<Option<Duration>>) -> Result<Option<Error>> {
        let limit = limit.into();
        self.runtime().run(async {
            match limit {
                Some(limit) => tokio::time::timeout(limit, self.inner().ended()).await.ok(),
                None => Some(self.inner().ended().await),
            }
        })
    }

    /// Ends the connection in good order: see [`Connection::close`](crate::Connection::close). Does nothing the second
    /// time.
    ///
    /// # Errors
    /// Only within an async runtime; nothing was done then.
    pub fn close(&self) -> Result<()> {
        self.runtime().run(self.inner().close())
    }

    async fn within<T>(&self, limit: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
            let message = format!("the server did not answer within {}", seconds(limit));
            let error = Error::new(ErrorKind::ConnectionTimeout, message)
                .in_phase(Phase::Channel)
                .with_hint("find out whether the server hangs, or raise the time limit");
            Err(self.inner().locate(error))
        })
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner().fmt(f)
    }
}

/// Whatever has to stay open for as long as this exists.
pub(super) type Keep = Arc<dyn Send + Sync>;

/// Something that is closed when it is dropped, and the thread that it needs for that.
pub(super) struct Owned<T: Close> {
    pub(super) inner: T,
    pub(super) runtime: Runtime,
    is_ours: bool,
}

/// What can be ended in good order.
pub(super) trait Close: Clone + Send + Sync + 'static {
    fn end(self) -> impl Future<Output = ()> + Send;
}

impl Close for Asynchronous {
    async fn end(self) {
        self.close().await;
    }
}

impl<T: Close> Owned<T> {
    pub(super) fn new(inner: T, runtime: Runtime) -> Arc<Self> {
        Arc::new(Self {
            inner,
            runtime,
            is_ours: true,
        })
    }

    fn borrowed(inner: T, runtime: Runtime) -> Arc<Self> {
        Arc::new(Self {
            inner,
            runtime,
            is_ours: false,
        })
    }
}

impl<T: Close> Drop for Owned<T> {
    fn drop(&mut self) {
        if self.is_ours {
            self.runtime.finish(self.inner.clone().end());
        }
    }
}
