//! Starting what is to be driven.

use super::engine::AutomationEngine;
use crate::connection::{Connection, Pty, Supervisor};
use crate::error::Result;
use crate::exec::{ExecRequest, Stdin};

impl Connection {
    /// Starts a command in order to talk to it. Its input is the engine's, whatever the request says about it.
    ///
    /// Most programs that ask for a password want a terminal: give the request a [`Pty`].
    ///
    /// # Errors
    /// As [`Connection::stream_exec`].
    ///
    /// ```no_run
    /// # async fn example(connection: &sternline::Connection, password: sternline::Secret) -> sternline::Result<()> {
    /// use std::time::Duration;
    /// use sternline::exec::{ExecRequest, Pty};
    ///
    /// let request = ExecRequest::new("mysql -u root -p").pty(Pty::default());
    /// let mut mysql = connection.automate(request).await?;
    /// mysql.expect("Enter password: ", Duration::from_secs(10)).await?;
    /// mysql.send_secret(&password).await?;
    /// mysql.expect("mysql> ", Duration::from_secs(10)).await?;
    /// mysql.send_line("SELECT VERSION();").await?;
    /// # Ok(()) }
    /// ```
    pub async fn automate(&self, request: impl Into<ExecRequest>) -> Result<AutomationEngine> {
        let request = request.into().stdin(Stdin::Piped);
        Ok(AutomationEngine::new(self.stream_exec(request).await?))
    }

    /// Starts the user's login shell in order to talk to it, in a terminal or, with `None`, without one.
    ///
    /// # Errors
    /// As [`Connection::shell`].
    pub async fn automate_shell(&self, pty: impl Into<Option<Pty>>) -> Result<AutomationEngine> {
        Ok(AutomationEngine::new(self.shell(pty).await?))
    }
}

impl Supervisor {
    /// Starts a command on the connection of this moment, or the next one, in order to talk to it: see
    /// [`Connection::automate`]. A dialogue is never begun again: when the connection is lost, it has failed.
    ///
    /// # Errors
    /// As [`Supervisor::stream_exec`].
    pub async fn automate(&self, request: impl Into<ExecRequest>) -> Result<AutomationEngine> {
        let request = request.into().stdin(Stdin::Piped);
        Ok(AutomationEngine::new(self.stream_exec(request).await?))
    }
}
