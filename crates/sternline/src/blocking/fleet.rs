//! Several hosts.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use super::connection::{Close, Connection, Keep, Owned};
use super::output::Outcome;
use super::run::{FleetRun, FleetTransfer};
use super::runtime::Runtime;
use crate::error::{Error, Result};
use crate::exec::{Command, ExecRequest, Script};
use crate::fleet::{Fleet as Asynchronous, OpenFleet as AsynchronousOpen};
use crate::transfer::{Source, Target, Transfer, TransferResult};

/// [`sternline::Fleet`](crate::Fleet), for callers that wait. One thread works for all of its hosts.
///
/// ```no_run
/// # fn example() -> sternline::Result<()> {
/// use sternline::blocking;
///
/// let hosts = sternline::Fleet::new(["web-1", "web-2"]).parallel(8);
/// let fleet = blocking::Fleet::new(hosts)?;
/// for outcome in fleet.exec("uptime")? {
///     match &outcome.result {
///         Ok(result) => println!("{}: {}: {}", outcome.host, result.status, outcome.stdout.text()?),
///         Err(error) => println!("{}: {error}", outcome.host),
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Fleet {
    inner: Asynchronous,
    runtime: Runtime,
}

impl Fleet {
    /// The hosts and their rules: see [`sternline::Fleet::new`](crate::Fleet::new). Nothing is connected to yet.
    ///
    /// # Errors
    /// When its thread cannot be started.
    pub fn new(settings: Asynchronous) -> Result<Self> {
        Ok(Self {
            inner: settings,
            runtime: Runtime::start()?,
        })
    }

    fn inner(&self) -> &Asynchronous {
        &self.inner
    }

    fn wait<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.runtime.wait(work)
    }

    same! { Fleet:
        fn hosts(&self) -> &[String];
    }

    /// Runs a command on all hosts and waits for the last one: see [`Fleet::exec`](crate::Fleet::exec).
    ///
    /// # Errors
    /// As there.
    pub fn exec(&self, command: impl Into<Command>) -> Result<Vec<Outcome>> {
        let outcomes = self.wait(self.inner.exec(command))?;
        let outcomes = outcomes.into_iter();
        Ok(outcomes
            .map(|outcome| Outcome::new(outcome, &self.runtime))
            .collect())
    }

    /// Runs a script of this machine on all hosts: see [`Fleet::script`](crate::Fleet::script).
    ///
    /// # Errors
    /// As there.
    pub fn script(&self, script: &Script) -> Result<Vec<Outcome>> {
        let outcomes = self.wait(self.inner.script(script))?;
        let outcomes = outcomes.into_iter();
        Ok(outcomes
            .map(|outcome| Outcome::new(outcome, &self.runtime))
            .collect())
    }

    /// Starts a command on all hosts, and gives what happens as it happens: see [`Fleet::start`](crate::Fleet::start).
    /// `request` is called on the fleet's thread.
    ///
    /// # Errors
    /// As there.
    pub fn start(&self, request: impl Fn(&str) -> ExecRequest + Send + 'static) -> Result<FleetRun> {
        let run = self.wait(async { self.inner.start(request) })?;
        Ok(FleetRun::new(run, &self.runtime, Arc::new(())))
    }

    /// Copies a file of this machine to all hosts: see [`Fleet::upload`](crate::Fleet::upload).
    ///
    /// # Errors
    /// As there.
    pub fn upload(
        &self,
        source: impl Into<Source>,
        target: impl Into<Target>,
    ) -> Result<Vec<TransferResult>> {
        self.wait(self.inner.upload(source, target))
    }

    /// Copies a file of all hosts to this machine: see [`Fleet::download`](crate::Fleet::download).
    ///
    /// # Errors
    /// As there.
    pub fn download(
        &self,
        source: impl Into<Source>,
        target: impl Into<Target>,
    ) -> Result<Vec<TransferResult>> {
        self.wait(self.inner.download(source, target))
    }

    /// Moves files to or from all hosts, and waits for the last one: see [`Fleet::transfer`](crate::Fleet::transfer).
    ///
    /// # Errors
    /// As there.
    pub fn transfer(&self, transfer: Transfer) -> Result<Vec<TransferResult>> {
        self.wait(self.inner.transfer(transfer))
    }

    /// Starts moving files, and gives each host's result when it is there: see
    /// [`Fleet::start_transfer`](crate::Fleet::start_transfer). `request` is called on the fleet's thread.
    ///
    /// # Errors
    /// As there.
    pub fn start_transfer(
        &self,
        request: impl Fn(usize) -> Transfer + Send + 'static,
    ) -> Result<FleetTransfer> {
        let run = self.wait(async { self.inner.start_transfer(request) })?;
        Ok(FleetTransfer::new(run, &self.runtime, Arc::new(())))
    }

    /// Connects to all hosts, and keeps the connections for any number of runs: see
    /// [`Fleet::connect`](crate::Fleet::connect).
    ///
    /// # Errors
    /// As there.
    pub fn connect(&self) -> Result<OpenFleet> {
        let open = self.wait(self.inner.connect())?;
        Ok(OpenFleet {
            owned: Owned::new(open, self.runtime.clone()),
        })
    }

    /// A connection to one host, by its place in the list: see [`Fleet::connection`](crate::Fleet::connection). It ends in the
    /// background when it is dropped, unless a [`Keep`](crate::fleet::Keep) has it.
    ///
    /// # Errors
    /// As there.
    pub fn connection(&self, index: usize) -> Result<Connection> {
        let connection = self.wait(self.inner.connection(index))?;
        Ok(Connection::borrowed(connection, &self.runtime))
    }

    /// Ends all connections that were kept, in good order: see [`Keep::close`](crate::fleet::Keep::close).
    ///
    /// # Errors
    /// Only within an async runtime; nothing was done then.
    pub fn close_kept(&self, keep: &crate::fleet::Keep) -> Result<()> {
        self.runtime.run(keep.close())
    }
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// [`OpenFleet`](crate::fleet::OpenFleet), for callers that wait. Its connections are closed when the last clone, and the last
/// run that it has started, is dropped.
#[derive(Clone)]
pub struct OpenFleet {
    owned: Arc<Owned<AsynchronousOpen>>,
}

impl Close for AsynchronousOpen {
    async fn end(self) {
        self.close().await;
    }
}

impl OpenFleet {
    fn inner(&self) -> &AsynchronousOpen {
        &self.owned.inner
    }

    fn runtime(&self) -> &Runtime {
        &self.owned.runtime
    }

    fn keep(&self) -> Keep {
        self.owned.clone()
    }

    /// As [`Fleet::exec`].
    ///
    /// # Errors
    /// As [`Fleet::exec`].
    pub fn exec(&self, command: impl Into<Command>) -> Result<Vec<Outcome>> {
        let outcomes = self.runtime().wait(self.inner().exec(command))?.into_iter();
        Ok(outcomes
            .map(|outcome| Outcome::new(outcome, self.runtime()))
            .collect())
    }

    /// As [`Fleet::script`].
    ///
    /// # Errors
    /// As [`Fleet::script`].
    pub fn script(&self, script: &Script) -> Result<Vec<Outcome>> {
        let outcomes = self.runtime().wait(self.inner().script(script))?.into_iter();
        Ok(outcomes
            .map(|outcome| Outcome::new(outcome, self.runtime()))
            .collect())
    }

    /// As [`Fleet::start`].
    ///
    /// # Errors
    /// As [`Fleet::start`].
    pub fn start(&self, request: impl Fn(&str) -> ExecRequest + Send + 'static) -> Result<FleetRun> {
        let run = self.runtime().wait(async { self.inner().start(request) })?;
        Ok(FleetRun::new(run, self.runtime(), self.keep()))
    }

    /// As [`Fleet::transfer`].
    ///
    /// # Errors
    /// As [`Fleet::transfer`].
    pub fn transfer(&self, transfer: Transfer) -> Result<Vec<TransferResult>> {
        self.runtime().wait(self.inner().transfer(transfer))
    }

    /// As [`Fleet::start_transfer`].
    ///
    /// # Errors
    /// As [`Fleet::start_transfer`].
    pub fn start_transfer(
        &self,
        request: impl Fn(usize) -> Transfer + Send + 'static,
    ) -> Result<FleetTransfer> {
        let run = self
            .runtime()
            .wait(async { self.inner().start_transfer(request) })?;
        Ok(FleetTransfer::new(run, self.runtime(), self.keep()))
    }

    /// The connection to each host, or why there is none; in the order of the hosts. Dropping one does not close it.
    #[must_use]
    pub fn connections(&self) -> Vec<(String, Result<Connection>)> {
        let connections = self.inner().connections();
        connections
            .map(|(host, connection)| {
                let connection = connection
                    .map(|connection| Connection::borrowed(connection.clone(), self.runtime()))
                    .map_err(Error::clone);
                (host.to_owned(), connection)
            })
            .collect()
    }

    /// Ends all connections in good order, for all clones. Commands that are running lose theirs.
    ///
    /// # Errors
    /// Only within an async runtime; nothing was done then.
    pub fn close(&self) -> Result<()> {
        self.runtime().run(self.inner().close())
    }
}

impl fmt::Debug for OpenFleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner().fmt(f)
    }
}
