//! The settings of an executor over SSH.

use std::path::{Path, PathBuf};

use super::executor::SshExecutor;
use crate::auth::AuthConfig;
use crate::config::paths::expand_path;
use crate::connection::{Connection, ConnectionBuilder, KeepaliveConfig};
use crate::error::{Error, ErrorKind, Result};
use crate::sandbox::look::Look;

/// How many connections there are at most, unless the settings say otherwise.
const DEFAULT_POOL_SIZE: usize = 5;

/// The largest pool that may be asked for.
const LARGEST_POOL: usize = 100;

/// What an [`SshExecutor`] is to be made with; see [`SshExecutor::builder`].
#[derive(Clone)]
#[must_use]
pub struct SshExecutorBuilder {
    connection: ConnectionBuilder,
    key_file: Option<PathBuf>,
    pool_size: usize,
    known_hosts: Option<PathBuf>,
    accept_any_host_key: bool,
    bwrap_path: Option<String>,
}

impl SshExecutorBuilder {
    pub(super) fn new(host: impl Into<String>) -> Self {
        Self {
            connection: Connection::builder(host).keepalive(KeepaliveConfig::default()),
            key_file: None,
            pool_size: DEFAULT_POOL_SIZE,
            known_hosts: None,
            accept_any_host_key: false,
            bwrap_path: None,
        }
    }

    /// Who logs in, unless the host was given as `user@host`. Default: the user who runs this program.
    ///
    /// A login as root is possible: the sandbox then drops to an unprivileged user before anything else.
    pub fn username(mut self, username: impl Into<String>) -> Self {
        self.connection = self.connection.username(username);
        self
    }

    /// The private key to log in with; `~` is the home directory. Default: the agent and the default key files.
    pub fn key_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.key_file = Some(path.into());
        self
    }

    /// The port, unless the host was given with one. Default 22.
    pub fn port(mut self, port: u16) -> Self {
        self.connection = self.connection.port(port);
        self
    }

    /// How many connections there are at most, from 1 to 100. Default 5.
    ///
    /// Each carries several commands at once, one less than the server's MaxSessions. Another connection is made only when all
    /// are full.
    pub fn connection_pool_size(mut self, connections: usize) -> Self {
        self.pool_size = connections;
        self
    }

    /// The known_hosts file that has to hold the host's key; `~` is the home directory. Default: the user's and the system's.
    pub fn known_hosts(mut self, path: impl Into<PathBuf>) -> Self {
        self.known_hosts = Some(path.into());
        self
    }

    /// Accepts whatever key the host has, unless [`known_hosts`](Self::known_hosts) names a file, which then has the last word. Anyone
    /// between here and there can then read and change everything. It is `strict_host_key = false`.
    pub fn danger_accept_any_host_key(mut self) -> Self {
        self.accept_any_host_key = true;
        self
    }

    /// Where bubblewrap is on the host, an absolute path. Default: in one of the system's directories, or where the account's `PATH`
    /// leads.
    pub fn bwrap_path(mut self, path: impl Into<String>) -> Self {
        self.bwrap_path = Some(path.into());
        self
    }

    /// Changes any other setting of the connections: jump hosts, time limits, credentials, events.
    ///
    /// ```
    /// use std::time::Duration;
    /// use sternline::sandbox::SshExecutor;
    ///
    /// # fn example() -> sternline::Result<()> {
    /// let executor = SshExecutor::builder("db-1.internal")
    ///     .configure(|connection| connection.jump(["ops@bastion"]).connect_timeout(Duration::from_secs(10)))
    ///     .build()?;
    /// # Ok(()) }
    /// ```
    pub fn configure(mut self, change: impl FnOnce(ConnectionBuilder) -> ConnectionBuilder) -> Self {
        self.connection = change(self.connection);
        self
    }

    /// The executor. Nothing is connected yet.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a host, user or port that cannot be one, a size that is no pool's, or a path that leads nowhere.
    pub fn build(self) -> Result<SshExecutor> {
        if !(1..=LARGEST_POOL).contains(&self.pool_size) {
            return Err(Error::new(
                ErrorKind::Invalid,
                format!(
                    "connection_pool_size must be between 1 and {LARGEST_POOL}, got {}",
                    self.pool_size
                ),
            ));
        }
        let look = self.bwrap_path.map(Look::at).transpose()?.unwrap_or_default();
        let (host, port, username) = self.connection.leads_to()?;
        let env = self.connection.environment();
        let expanded = |path: &Path| {
            expand_path(&env, path).map_err(|problem| Error::new(ErrorKind::Invalid, problem.to_string()))
        };
        let mut connection = self.connection;
        let key_file = self.key_file.as_deref().map(expanded).transpose()?;
        if let Some(path) = &key_file {
            connection = connection.auth([AuthConfig::key(path.clone())]);
        }
        match self.known_hosts.as_deref().map(expanded).transpose()? {
            Some(path) => connection = connection.known_hosts([path]),
            None if self.accept_any_host_key => connection = connection.danger_accept_any_host_key(),
            None => {}
        }
        Ok(SshExecutor::new(
            connection,
            self.pool_size,
            (host, port, username),
            key_file,
            look,
        ))
    }
}
