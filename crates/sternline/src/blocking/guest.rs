//! The guest of a virtual machine monitor.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::connection::{Close, Owned};
use super::runtime::Runtime;
use crate::error::Result;
use crate::guest::{
    CommandResult, EnvValue, GuestClient as Asynchronous, GuestCommand,
    GuestEnvironment as AsynchronousEnvironment, ShellKind,
};

/// [`sternline::GuestClient`](crate::GuestClient), for callers that wait.
///
/// Clones share it, and may be used by many threads at once. Its connection is closed when the last clone is dropped.
///
/// ```no_run
/// # fn example() -> sternline::Result<()> {
/// use std::time::Duration;
/// use sternline::blocking::GuestClient;
///
/// let guest = sternline::GuestClient::builder("172.16.0.2").key_path("~/.ssh/guest_key").build()?;
/// let guest = GuestClient::new(guest)?;
/// guest.wait_for_ssh(Duration::from_secs(60), Duration::from_millis(100))?;
/// println!("{}", guest.run("uname -r")?.output());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct GuestClient {
    owned: Arc<Owned<Asynchronous>>,
}

impl Close for Asynchronous {
    async fn end(self) {
        self.close().await;
    }
}

impl GuestClient {
    /// A client with these settings: see [`GuestClient::builder`](crate::GuestClient::builder). Nothing is connected yet.
    ///
    /// # Errors
    /// When its thread cannot be started.
    pub fn new(settings: Asynchronous) -> Result<Self> {
        let runtime = Runtime::start()?;
        Ok(Self {
            owned: Owned::new(settings, runtime),
        })
    }

    fn inner(&self) -> &Asynchronous {
        &self.owned.inner
    }

    fn runtime(&self) -> &Runtime {
        &self.owned.runtime
    }

    fn wait<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.runtime().wait(work)
    }

    same! { GuestClient:
        fn host(&self) -> &str;
        fn port(&self) -> u16;
        fn user(&self) -> &str;
        fn shell_kind(&self) -> ShellKind;
        fn connected(&self) -> bool;
    }

    waiting! { GuestClient:
        fn wait_ready(&self) -> Result<()>;
        fn wait_for_ssh(&self, timeout: Duration, interval: Duration) -> Result<()>;
        fn run(&self, command: impl Into<GuestCommand>) -> Result<CommandResult>;
        fn sync(&self) -> Result<()>;
        fn put_file(&self, local: impl AsRef<Path>, remote: impl AsRef<str>) -> Result<()>;
        fn get_file(&self, remote: impl AsRef<str>, local: impl AsRef<Path>) -> Result<PathBuf>;
    }

    /// The variables that login shells of the guest find: see [`GuestClient::environment`](crate::GuestClient::environment).
    #[must_use]
    pub fn environment(&self) -> GuestEnvironment<'_> {
        GuestEnvironment {
            inner: self.inner().environment(),
            runtime: self.runtime(),
        }
    }

    /// Ends the connection, if there is one; the next call connects again.
    ///
    /// # Errors
    /// Only within an async runtime; nothing was done then.
    pub fn close(&self) -> Result<()> {
        self.runtime().run(self.inner().close())
    }

    /// Forgets the host key that was kept in memory: see [`GuestClient::forget_host_key`](crate::GuestClient::forget_host_key).
    ///
    /// # Errors
    /// Only within an async runtime; nothing was done then.
    pub fn forget_host_key(&self) -> Result<()> {
        self.runtime().run(self.inner().forget_host_key())
    }
}

impl fmt::Debug for GuestClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner().fmt(f)
    }
}

/// [`GuestEnvironment`](crate::guest::GuestEnvironment), for callers that wait.
#[derive(Debug)]
pub struct GuestEnvironment<'a> {
    inner: AsynchronousEnvironment<'a>,
    runtime: &'a Runtime,
}

impl GuestEnvironment<'_> {
    /// Keeps the files of a POSIX guest in this directory.
    #[must_use]
    pub fn in_directory(mut self, directory: impl Into<String>) -> Self {
        self.inner = self.inner.in_directory(directory);
        self
    }

    /// Sets variables, beside those that were set before: see
    /// [`GuestEnvironment::inject`](crate::guest::GuestEnvironment::inject).
    ///
    /// # Errors
    /// As there.
    pub fn inject<N: Into<String>, V: Into<EnvValue>>(
        &self,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Vec<String>> {
        self.runtime.wait(self.inner.inject(variables))
    }

    /// Sets variables in place of those that were set before: see
    /// [`GuestEnvironment::replace`](crate::guest::GuestEnvironment::replace).
    ///
    /// # Errors
    /// As there.
    pub fn replace<N: Into<String>, V: Into<EnvValue>>(
        &self,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Vec<String>> {
        self.runtime.wait(self.inner.replace(variables))
    }

    /// Removes variables, and returns what they were: see
    /// [`GuestEnvironment::remove`](crate::guest::GuestEnvironment::remove).
    ///
    /// # Errors
    /// As there.
    pub fn remove<N: AsRef<str>>(
        &self,
        names: impl IntoIterator<Item = N>,
    ) -> Result<BTreeMap<String, EnvValue>> {
        self.runtime.wait(self.inner.remove(names))
    }

    /// The variables that were set from here.
    ///
    /// # Errors
    /// As [`GuestEnvironment::inject`].
    pub fn read(&self) -> Result<BTreeMap<String, EnvValue>> {
        self.runtime.wait(self.inner.read())
    }
}
