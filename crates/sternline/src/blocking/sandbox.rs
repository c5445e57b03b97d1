//! Commands in sandboxes.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::connection::{Close, Owned};
use super::runtime::Runtime;
use crate::error::Result;
use crate::sandbox::{
    Attempt, ProcessResult, SandboxExecutor as Asynchronous, SandboxProfile, SandboxRequest, verify,
};

/// Any [`sandbox::SandboxExecutor`](crate::sandbox::SandboxExecutor), for callers that wait: over SSH, or on this machine.
///
/// Clones share it, and may be used by many threads at once. When the last clone is dropped, what runs is ended and what is open is
/// closed, also for clones of the executor that it was made of.
///
/// ```no_run
/// # fn example() -> sternline::Result<()> {
/// use sternline::blocking::SandboxExecutor;
/// use sternline::sandbox::{LoadProfile, SandboxProfile, SshExecutor};
///
/// let executor = SandboxExecutor::new(SshExecutor::builder("admin@prod-server.example.com").build()?)?;
/// let profile = SandboxProfile::load("minimal.json")?;
/// print!("{}", executor.run_command(&profile, ["ls", "/"])?.stdout_text());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct SandboxExecutor {
    owned: Arc<Owned<Shared>>,
}

#[derive(Clone)]
struct Shared(Arc<dyn Asynchronous>);

impl Close for Shared {
    async fn end(self) {
        self.0.cleanup().await;
    }
}

impl SandboxExecutor {
    /// Nothing is connected yet.
    ///
    /// # Errors
    /// When its thread cannot be started.
    pub fn new(executor: impl Asynchronous + 'static) -> Result<Self> {
        let runtime = Runtime::start()?;
        Ok(Self {
            owned: Owned::new(Shared(Arc::new(executor)), runtime),
        })
    }

    fn inner(&self) -> &dyn Asynchronous {
        &*self.owned.inner.0
    }

    /// Runs a command under a profile and waits for its end: see
    /// [`SshExecutor::run_command`](crate::sandbox::SshExecutor::run_command).
    ///
    /// # Errors
    /// As there.
    pub fn run_command(
        &self,
        profile: &SandboxProfile,
        request: impl Into<SandboxRequest>,
    ) -> Result<ProcessResult> {
        self.owned.runtime.wait(self.inner().run(profile, request.into()))
    }

    /// What a file in the sandbox holds: see [`SshExecutor::read_file`](crate::sandbox::SshExecutor::read_file).
    ///
    /// # Errors
    /// As there.
    pub fn read_file(&self, profile: &SandboxProfile, path: &str) -> Result<Bytes> {
        self.owned.runtime.wait(self.inner().read_file(profile, path))
    }

    /// Tries to get out of the profile's sandbox, and tells of each attempt: see [`verify`].
    ///
    /// # Errors
    /// As there.
    pub fn verify(&self, profile: &SandboxProfile) -> Result<Vec<Attempt>> {
        self.owned.runtime.wait(verify(self.inner(), profile))
    }

    /// Ends what runs and closes what is open. Nothing can be run afterwards.
    ///
    /// # Errors
    /// Only within an async runtime; nothing was done then.
    pub fn cleanup(&self) -> Result<()> {
        self.owned.runtime.run(self.inner().cleanup())
    }
}

impl fmt::Debug for SandboxExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SandboxExecutor")
    }
}
