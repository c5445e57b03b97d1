//! A connection that is made again when it is lost.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::connection::{Close, Connection, Keep, Owned};
use super::expect::AutomationEngine;
use super::forward::{ForwardHandle, ForwardManager};
use super::runtime::Runtime;
use super::stream::StreamExec;
use crate::connection::{
    ConnectionBuilder, ConnectionRecord, ConnectionState, Supervisor as Asynchronous, SupervisorBuilder,
    SupervisorStatus,
};
use crate::error::{Error, Result};
use crate::evidence::{EvidenceBundle, Transcript};
use crate::exec::{ExecRequest, ExecResult, Stdin};
use crate::transfer::{Transfer, TransferResult};

/// [`sternline::Supervisor`](crate::Supervisor), for callers that wait.
///
/// Clones share it. It is closed when the last clone, and the last [`StreamExec`] or [`AutomationEngine`] of it, is dropped.
///
/// ```no_run
/// use sternline::RetryPolicy;
/// use sternline::blocking::Supervisor;
///
/// # fn example() -> sternline::Result<()> {
/// let policy = RetryPolicy { max_retries: 5, ..RetryPolicy::default() };
/// let supervisor = Supervisor::start(Supervisor::builder("alice@example.com").retry(policy))?;
/// print!("{}", supervisor.exec("uptime")?.stdout_text());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Supervisor {
    owned: Arc<Owned<Asynchronous>>,
}

impl Close for Asynchronous {
    async fn end(self) {
        self.close().await;
    }
}

impl Supervisor {
    /// The settings of a supervisor, for [`Supervisor::start`]: see
    /// [`sternline::Supervisor::builder`](crate::Supervisor::builder).
    pub fn builder(settings: impl Into<ConnectionBuilder>) -> SupervisorBuilder {
        Asynchronous::builder(settings)
    }

    /// Connects, and tries again as the policy says: see [`SupervisorBuilder::start`].
    ///
    /// # Errors
    /// As there; when its thread cannot be started.
    pub fn start(settings: SupervisorBuilder) -> Result<Self> {
        let runtime = Runtime::start()?;
        let supervisor = runtime.wait(settings.start())?;
        Ok(Self {
            owned: Owned::new(supervisor, runtime),
        })
    }

    /// Begins to connect in the background: see [`SupervisorBuilder::launch`].
    ///
    /// # Errors
    /// As there; when its thread cannot be started.
    pub fn launch(settings: SupervisorBuilder) -> Result<Self> {
        let runtime = Runtime::start()?;
        let supervisor = runtime.wait(async { settings.launch() })?;
        Ok(Self {
            owned: Owned::new(supervisor, runtime),
        })
    }

    fn inner(&self) -> &Asynchronous {
        &self.owned.inner
    }

    fn runtime(&self) -> &Runtime {
        &self.owned.runtime
    }

    fn keep(&self) -> Keep {
        self.owned.clone()
    }

    fn wait<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.runtime().wait(work)
    }

    same! { Supervisor:
        fn state(&self) -> ConnectionState;
        fn is_connected(&self) -> bool;
        fn reconnection_count(&self) -> u32;
        fn last_error(&self) -> Option<Error>;
        fn status(&self) -> SupervisorStatus;
        fn history(&self) -> Vec<ConnectionRecord>;
    }

    /// See [`Supervisor::evidence_bundle`](crate::Supervisor::evidence_bundle).
    #[must_use]
    pub fn evidence_bundle<'a>(&self, transcript: impl Into<Option<&'a Transcript>>) -> EvidenceBundle {
        self.inner().evidence_bundle(transcript)
    }

    /// The connection of this moment: see [`Supervisor::connection`](crate::Supervisor::connection). Dropping it does not
    /// close it.
    #[must_use]
    pub fn connection(&self) -> Option<Connection> {
        let connection = self.inner().connection()?;
        Some(Connection::borrowed(connection, self.runtime()))
    }

    /// Waits until there is a connection: see [`Supervisor::wait_connected`](crate::Supervisor::wait_connected).
    ///
    /// # Errors
    /// Only within an async runtime.
    pub fn wait_connected(&self, timeout: Option<Duration>) -> Result<bool> {
        self.runtime().run(self.inner().wait_connected(timeout))
    }

    /// Waits until its status is as wanted, which may be so at once. `None` when the time is over before, or it was closed and
    /// will not change any more. Without a limit it waits for ever. What changes faster than it is looked at is seen in its latest form only.
    ///
    /// # Errors
    /// Only within an async runtime.
    pub fn wait_until(
        &self,
        timeout: impl Into<Option<Duration>>,
        wanted: impl FnMut(&SupervisorStatus) -> bool,
    ) -> Result<Option<SupervisorStatus>> {
        let timeout = timeout.into();
        let mut status = self.inner().watch();
        self.runtime().run(async move {
            let waiting = async { status.wait_for(wanted).await.ok().map(|status| status.clone()) };
            match timeout {
                Some(limit) => tokio::time::timeout(limit, waiting).await.ok().flatten(),
                None => waiting.await,
            }
        })
    }

    /// Runs a command and waits for its end: see [`Supervisor::exec`](crate::Supervisor::exec).
    ///
    /// # Errors
    /// As there.
    pub fn exec(&self, request: impl Into<ExecRequest>) -> Result<ExecResult> {
        self.wait(self.inner().exec(request))
    }

    /// Starts a command and gives its output as it comes: see [`Supervisor::stream_exec`](crate::Supervisor::stream_exec).
    ///
    /// # Errors
    /// As there.
    pub fn stream_exec(&self, request: impl Into<ExecRequest>) -> Result<StreamExec> {
        let stream = self.wait(self.inner().stream_exec(request))?;
        Ok(StreamExec::new(stream, self.runtime(), self.keep()))
    }

    /// Starts a command in order to talk to it: see [`Supervisor::automate`](crate::Supervisor::automate).
    ///
    /// # Errors
    /// As there.
    pub fn automate(&self, request: impl Into<ExecRequest>) -> Result<AutomationEngine> {
        let request = request.into().stdin(Stdin::Piped);
        let stream = self.wait(self.inner().stream_exec(request))?;
        Ok(AutomationEngine::new(stream, self.runtime(), self.keep()))
    }

    /// Moves files: see [`Supervisor::transfer`](crate::Supervisor::transfer). Whatever goes wrong is in the result.
    #[must_use]
    pub fn transfer(&self, transfer: Transfer) -> TransferResult {
        let request = transfer.clone();
        let result = self.runtime().run(self.inner().transfer(transfer));
        result.unwrap_or_else(|error| TransferResult::failed("", &request, error))
    }

    /// The forwards of this connection: see [`Supervisor::forward_manager`](crate::Supervisor::forward_manager).
    #[must_use]
    pub fn forward_manager(&self) -> ForwardManager {
        ForwardManager::of(self.inner().forward_manager(), self.runtime())
    }

    /// As [`ForwardManager::forward_local`].
    ///
    /// # Errors
    /// When the port cannot be listened on, or the supervisor was closed.
    pub fn forward_local(
        &self,
        local_port: u16,
        remote_host: &str,
        remote_port: u16,
    ) -> Result<ForwardHandle> {
        self.forward_manager()
            .forward_local(local_port, remote_host, remote_port)
    }

    /// As [`ForwardManager::forward_remote`].
    ///
    /// # Errors
    /// When there is no connection in time, the server refuses, or the supervisor was closed.
    pub fn forward_remote(
        &self,
        remote_port: u16,
        local_host: &str,
        local_port: u16,
    ) -> Result<ForwardHandle> {
        self.forward_manager()
            .forward_remote(remote_port, local_host, local_port)
    }

    /// As [`ForwardManager::forward_dynamic`].
    ///
    /// # Errors
    /// When the port cannot be listened on, or the supervisor was closed.
    pub fn forward_dynamic(&self, local_port: u16) -> Result<ForwardHandle> {
        self.forward_manager().forward_dynamic(local_port)
    }

    /// Ends the connection, or the attempt to make one: see [`Supervisor::close`](crate::Supervisor::close).
    ///
    /// # Errors
    /// Only within an async runtime; nothing was done then.
    pub fn close(&self) -> Result<()> {
        self.runtime().run(self.inner().close())
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner().fmt(f)
    }
}
