//! Many commands through one remote shell.

use std::fmt;

use super::connection::Connection;
use crate::error::Result;
use crate::exec::{ExecRequest, ExecResult};
use crate::shell_session::ShellSession as Asynchronous;

/// [`sternline::ShellSession`](crate::ShellSession), for callers that wait. Clones share the shell, and calls from several threads
/// queue.
///
/// ```no_run
/// # fn example(connection: &sternline::blocking::Connection) -> sternline::Result<()> {
/// let session = connection.shell_session()?;
/// for unit in ["nginx", "postgresql", "cron"] {
///     let state = session.run(format!("systemctl is-active {unit}"))?;
///     println!("{unit}: {}", state.stdout_text().trim());
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct ShellSession {
    inner: Asynchronous,
    connection: Connection,
}

impl Connection {
    /// Starts a shell that runs one command after another: see
    /// [`Connection::shell_session`](crate::Connection::shell_session).
    ///
    /// # Errors
    /// As there.
    pub fn shell_session(&self) -> Result<ShellSession> {
        Ok(ShellSession {
            inner: self.runtime().wait(self.inner().shell_session())?,
            connection: self.clone(),
        })
    }
}

impl ShellSession {
    fn inner(&self) -> &Asynchronous {
        &self.inner
    }

    same! { ShellSession:
        fn fallback(&self) -> Option<&str>;
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

    /// Ends the shell: see [`ShellSession::close`](crate::ShellSession::close).
    ///
    /// # Errors
    /// Only within an async runtime; nothing was done then.
    pub fn close(&self) -> Result<()> {
        self.connection.runtime().run(self.inner.close())
    }
}

impl fmt::Debug for ShellSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
