//! Many commands through one remote shell.

use std::fmt;

use super::connection::Connection;
use crate::error::Result;
use crate::exec::{ExecRequest, ExecResult};
use crate::shell_session::ShellSession as Asynchronous;

/// [`sternline::ShellSession`](crate::ShellSession), for callers that wait.
///
/// Clones share the shell; threads that call at once wait for one another. The connection stays open for as long as one of them exists.
#[derive(Clone)]
pub struct ShellSession {
    inner: Asynchronous,
    connection: Connection,
}

impl ShellSession {
    pub(super) fn new(inner: Asynchronous, connection: Connection) -> Self {
        Self { inner, connection }
    }

    /// Runs a command in a subshell and waits for its end: see [`ShellSession::run`](crate::ShellSession::run).
    ///
    /// # Errors
    /// As there.
    pub fn run(&self, request: impl Into<ExecRequest>) -> Result<ExecResult> {
        self.connection.runtime().wait(self.inner.run(request))
    }

    /// Runs a command in the shell itself, which keeps what it does: see
    /// [`ShellSession::run_and_keep`](crate::ShellSession::run_and_keep).
    ///
    /// # Errors
    /// As there.
    pub fn run_and_keep(&self, request: impl Into<ExecRequest>) -> Result<ExecResult> {
        self.connection.runtime().wait(self.inner.run_and_keep(request))
    }

    /// See [`ShellSession::fallback`](crate::ShellSession::fallback).
    #[must_use]
    pub fn fallback(&self) -> Option<&str> {
        self.inner.fallback()
    }

    /// Ends the shell, once what runs in it has ended: see [`ShellSession::close`](crate::ShellSession::close).
    ///
    /// # Errors
    /// Inside an async runtime; nothing was closed then.
    pub fn close(&self) -> Result<()> {
        self.connection.runtime().run(self.inner.close())
    }
}

impl fmt::Debug for ShellSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
