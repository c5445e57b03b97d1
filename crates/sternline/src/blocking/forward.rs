//! Forwards.

use std::fmt;
use std::future::Future;

use super::connection::Connection;
use super::runtime::Runtime;
use crate::error::Result;
use crate::forward::{ForwardHandle as AsynchronousHandle, ForwardIntent, ForwardManager as Asynchronous};

/// [`sternline::ForwardManager`](crate::ForwardManager), for callers that wait. Its forwards carry connections while nobody
/// waits for anything.
#[derive(Clone)]
pub struct ForwardManager {
    inner: Asynchronous,
    runtime: Runtime,
}

impl ForwardManager {
    /// Forwards over one connection; they end with it, and do not keep it open.
    ///
    /// # Errors
    /// Only within an async runtime.
    pub fn new(connection: &Connection) -> Result<Self> {
        let runtime = connection.runtime();
        let inner = runtime.run(async { Asynchronous::new(connection.inner()) })?;
        Ok(Self::of(inner, runtime))
    }

    pub(super) fn of(inner: Asynchronous, runtime: &Runtime) -> Self {
        Self {
            inner,
            runtime: runtime.clone(),
        }
    }

    fn inner(&self) -> &Asynchronous {
        &self.inner
    }

    fn opened(&self, opening: impl Future<Output = Result<AsynchronousHandle>>) -> Result<ForwardHandle> {
        Ok(self.handle(self.runtime.wait(opening)?))
    }

    fn handle(&self, inner: AsynchronousHandle) -> ForwardHandle {
        ForwardHandle {
            inner,
            runtime: self.runtime.clone(),
        }
    }

    fn handles(&self, found: Vec<AsynchronousHandle>) -> Vec<ForwardHandle> {
        found.into_iter().map(|handle| self.handle(handle)).collect()
    }

    same! { ForwardManager:
        fn intents(&self) -> Vec<ForwardIntent>;
    }

    /// See [`ForwardManager::active_forwards`](crate::ForwardManager::active_forwards).
    #[must_use]
    pub fn active_forwards(&self) -> Vec<ForwardHandle> {
        self.handles(self.inner.active_forwards())
    }

    /// Listens here and has the server connect (`ssh -L`): see
    /// [`ForwardManager::forward_local`](crate::ForwardManager::forward_local).
    ///
    /// # Errors
    /// As there.
    pub fn forward_local(
        &self,
        local_port: u16,
        remote_host: &str,
        remote_port: u16,
    ) -> Result<ForwardHandle> {
        self.opened(self.inner.forward_local(local_port, remote_host, remote_port))
    }

    /// Has the server listen and connects here (`ssh -R`): see
    /// [`ForwardManager::forward_remote`](crate::ForwardManager::forward_remote).
    ///
    /// # Errors
    /// As there.
    pub fn forward_remote(
        &self,
        remote_port: u16,
        local_host: &str,
        local_port: u16,
    ) -> Result<ForwardHandle> {
        self.opened(self.inner.forward_remote(remote_port, local_host, local_port))
    }

    /// A SOCKS proxy here (`ssh -D`): see [`ForwardManager::forward_dynamic`](crate::ForwardManager::forward_dynamic).
    ///
    /// # Errors
    /// As there.
    pub fn forward_dynamic(&self, local_port: u16) -> Result<ForwardHandle> {
        self.opened(self.inner.forward_dynamic(local_port))
    }

    /// Opens any forward: see [`ForwardManager::forward`](crate::ForwardManager::forward).
    ///
    /// # Errors
    /// As there.
    pub fn forward(&self, intent: ForwardIntent) -> Result<ForwardHandle> {
        self.opened(self.inner.forward(intent))
    }

    /// Makes every forward that is down try again at once: see
    /// [`ForwardManager::replay_all`](crate::ForwardManager::replay_all).
    ///
    /// # Errors
    /// Only within an async runtime.
    pub fn replay_all(&self) -> Result<Vec<ForwardHandle>> {
        Ok(self.handles(self.runtime.run(self.inner.replay_all())?))
    }

    /// Closes all forwards at once: see [`ForwardManager::close_all`](crate::ForwardManager::close_all).
    ///
    /// # Errors
    /// Only within an async runtime; nothing was done then.
    pub fn close_all(&self) -> Result<()> {
        self.runtime.run(self.inner.close_all())
    }
}

impl fmt::Debug for ForwardManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// [`sternline::ForwardHandle`](crate::ForwardHandle), for callers that wait.
#[derive(Clone)]
pub struct ForwardHandle {
    inner: AsynchronousHandle,
    runtime: Runtime,
}

impl ForwardHandle {
    fn inner(&self) -> &AsynchronousHandle {
        &self.inner
    }

    same! { ForwardHandle:
        fn intent(&self) -> &ForwardIntent;
        fn local_port(&self) -> u16;
        fn is_active(&self) -> bool;
        fn last_error(&self) -> Option<String>;
        fn open_connections(&self) -> u64;
        fn total_connections(&self) -> u64;
    }

    /// Stops listening, for good: see [`ForwardHandle::close`](crate::ForwardHandle::close).
    ///
    /// # Errors
    /// Only within an async runtime; nothing was done then.
    pub fn close(&self) -> Result<()> {
        self.runtime.run(self.inner.close())
    }
}

impl fmt::Debug for ForwardHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
