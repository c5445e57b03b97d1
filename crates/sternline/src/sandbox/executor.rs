//! What runs commands in sandboxes, wherever they are.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use sternline_proto::sandbox::{HostFacts, SandboxProfile};

use super::request::SandboxRequest;
use super::result::ProcessResult;
use crate::error::Result;

/// The future that a [`SandboxExecutor`]'s methods return.
pub type Work<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Runs commands in sandboxes: on this machine or on another one. For programs that are told where at run time; the executors
/// themselves have the same methods, easier to call.
pub trait SandboxExecutor: Send + Sync {
    /// Runs a command under a profile and waits for its end.
    ///
    /// Dropping the future ends the command, in the background.
    ///
    /// # Errors
    /// See [`SshExecutor::run_command`](super::SshExecutor::run_command).
    fn run<'a>(
        &'a self,
        profile: &'a SandboxProfile,
        request: SandboxRequest,
    ) -> Work<'a, Result<ProcessResult>>;

    /// What a file in the sandbox holds, as `cat` sees it, which the profile has to allow.
    ///
    /// # Errors
    /// See [`SshExecutor::read_file`](super::SshExecutor::read_file).
    fn read_file<'a>(&'a self, profile: &'a SandboxProfile, path: &'a str) -> Work<'a, Result<Bytes>> {
        Box::pin(async move {
            let request = super::file::request(path)?;
            super::file::contents(path, self.run(profile, request).await?)
        })
    }

    /// What is known of the host: where its bubblewrap is, what it can do, and what sandboxes lack there. Looked at if need be.
    ///
    /// # Errors
    /// [`ErrorKind::Sandbox`](crate::ErrorKind::Sandbox) where the host cannot have sandboxes, with what to do about it; and whatever
    /// connections fail with.
    fn host_facts(&self) -> Work<'_, Result<Arc<HostFacts>>>;

    /// Ends what runs and closes what is open. Nothing can be run afterwards.
    fn cleanup(&self) -> Work<'_, ()>;
}
