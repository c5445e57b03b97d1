//! The settings of a guest client.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sternline_proto::guest::ShellKind;
use sternline_proto::target::Target;

use super::client::GuestClient;
use super::host_key::{Given, Trust};
use crate::auth::AuthConfig;
use crate::config::Env;
use crate::connection::{Connection, ConnectionBuilder, KeepaliveConfig};
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

/// How long [`GuestClient::wait_ready`] waits: 60 seconds.
pub const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

/// Between two looks at a guest that does not answer yet, in [`GuestClient::wait_ready`]: 0.1 seconds.
pub const WAIT_INTERVAL: Duration = Duration::from_millis(100);

/// A guest that answers nothing for three quarters of a minute, because it was reset or restored say, is given up:
/// the next call connects anew.
const KEEPALIVE: KeepaliveConfig = KeepaliveConfig {
    interval: Duration::from_secs(15),
    max_count: 3,
    progress_timeout: None,
};

/// What a guest client is to be made with; see [`GuestClient::builder`].
///
/// Nothing is read from the user's `~/.ssh`, but the default keys where neither key nor password is given.
#[derive(Debug, Clone)]
#[must_use]
pub struct GuestClientBuilder {
    host: String,
    user: String,
    port: u16,
    key_path: Option<PathBuf>,
    password: Option<Secret>,
    connect_timeout: Duration,
    auth_grace: Duration,
    shell_kind: ShellKind,
    env: Option<Arc<Env>>,
    known_hosts: Option<PathBuf>,
    host_keys: Vec<String>,
    danger_accept_any_host_key: bool,
    shell_session: bool,
}

/// What was checked.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) target: Target,
    pub(super) key_path: Option<PathBuf>,
    auth: Vec<AuthConfig>,
    pub(super) connect_timeout: Duration,
    pub(super) auth_grace: Duration,
    pub(super) shell_kind: ShellKind,
    env: Option<Arc<Env>>,
    pub(super) trust: Trust,
    pub(super) shell_session: bool,
}

impl GuestClientBuilder {
    pub(super) fn new(host: String) -> Self {
        Self {
            host,
            user: "root".to_owned(),
            port: 22,
            key_path: None,
            password: None,
            connect_timeout: Duration::from_secs(10),
            auth_grace: Duration::from_secs(10),
            shell_kind: ShellKind::default(),
            env: None,
            known_hosts: None,
            host_keys: Vec::new(),
            danger_accept_any_host_key: false,
            shell_session: false,
        }
    }

    /// Who logs in. Default `root`.
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = user.into();
        self
    }

    /// The port. Default 22.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// The private key to log in with; `~` is expanded. It alone is used then: neither the password nor the agent.
    pub fn key_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.key_path = Some(path.into());
        self
    }

    /// The password to log in with, where no key is given. Without either, the agent and the default keys are used. An
    /// empty one is none.
    pub fn password(mut self, password: impl Into<Secret>) -> Self {
        let password = password.into();
        self.password = (!password.expose().is_empty()).then_some(password);
        self
    }

    /// How long one attempt to connect may take, from the TCP connection to the end of the login. Default 10 seconds,
    /// at least one.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// For how long [`GuestClient::wait_for_ssh`] takes a refused login for a guest that has not set up its account
    /// yet, from the first refusal. Default 10 seconds; zero makes the first refusal final.
    pub fn auth_grace(mut self, grace: Duration) -> Self {
        self.auth_grace = grace;
        self
    }

    /// What the guest's login shell is. Default [`ShellKind::Sh`].
    pub fn shell_kind(mut self, kind: ShellKind) -> Self {
        self.shell_kind = kind;
        self
    }

    /// Runs commands one after another through one POSIX shell that is kept open, instead of each on a channel of its own: short ones are
    /// several times as fast. See [`ShellSession`](crate::ShellSession) for what is different; text of raw commands is text for
    /// `/bin/sh` then. Without meaning for [`ShellKind::PowerShell`] and [`ShellKind::Cmd`], and for a guest without such a shell. Default: no.
    pub fn shell_session(mut self) -> Self {
        self.shell_session = true;
        self
    }

    /// Replaces the process environment, which is looked at for the agent and the default keys.
    pub fn env(mut self, env: impl Into<Arc<Env>>) -> Self {
        self.env = Some(env.into());
        self
    }

    /// Keeps the guest's host key in this file: the one of its first login is written there, unless it is known there
    /// already, and another one is refused from then on. Default: it is kept in memory, for as long as this client
    /// and its clones live.
    pub fn known_hosts(mut self, file: impl Into<PathBuf>) -> Self {
        self.known_hosts = Some(file.into());
        self
    }

    /// A host key that the guest may have: its fingerprint (`SHA256:...`) or the key itself, as a `.pub` file or a
    /// known_hosts line holds it. May be called several times. No other key is taken then, not even at the first
    /// login, and [`Self::known_hosts`] is not looked at. A fingerprint costs one more look at the guest before the
    /// first login.
    pub fn host_key(mut self, key: impl Into<String>) -> Self {
        self.host_keys.push(key.into());
        self
    }

    /// Accepts whatever host key the guest has, each time. Whoever can stand in between reads and changes everything,
    /// passwords included.
    pub fn danger_accept_any_host_key(mut self) -> Self {
        self.danger_accept_any_host_key = true;
        self
    }

    /// The client. Nothing is connected yet.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for an empty host or user, port 0, a `connect_timeout` of less than a second, and a
    /// host key that cannot be read. They are looked at in this order.
    pub fn build(self) -> Result<GuestClient> {
        let invalid = |message: &str| Error::new(ErrorKind::Invalid, message);
        if self.host.trim().is_empty() {
            return Err(invalid("host cannot be empty"));
        }
        if self.user.trim().is_empty() {
            return Err(invalid("user cannot be empty"));
        }
        if self.port == 0 {
            return Err(invalid("port must be 1-65535, got 0"));
        }
        if self.connect_timeout < Duration::from_secs(1) {
            return Err(invalid("connect_timeout must be >= 1"));
        }
        let target = Target::new(self.host.as_str())
            .and_then(|target| target.with_user(self.user))
            .and_then(|target| target.with_port(self.port))
            .map_err(|error| invalid(&error.to_string()))?;
        let given: Vec<Given> = self
            .host_keys
            .iter()
            .map(|text| Given::parse(text))
            .collect::<Result<_>>()?;
        let trust = match (self.danger_accept_any_host_key, given.is_empty()) {
            (true, _) => Trust::DangerAny,
            (false, false) => Trust::Given(given),
            (false, true) => Trust::FirstUse(self.known_hosts),
        };
        let auth = match (&self.key_path, self.password) {
            (Some(path), _) => vec![AuthConfig::key(path)],
            (None, Some(password)) => vec![AuthConfig::password(password)],
            (None, None) => Vec::new(),
        };
        Ok(GuestClient::with(Settings {
            target,
            key_path: self.key_path,
            auth,
            connect_timeout: self.connect_timeout,
            auth_grace: self.auth_grace,
            shell_kind: self.shell_kind,
            env: self.env,
            trust,
            shell_session: self.shell_session,
        }))
    }
}

impl Settings {
    pub(super) fn host(&self) -> &str {
        self.target.host()
    }

    pub(super) fn port(&self) -> u16 {
        self.target.port().unwrap_or(22)
    }

    /// `HOST:PORT`, as operations are named.
    pub(super) fn place(&self) -> String {
        match self.host().contains(':') {
            true => format!("[{}]:{}", self.host(), self.port()),
            false => format!("{}:{}", self.host(), self.port()),
        }
    }

    /// The environment that was given, or else that of the process as it is now.
    pub(super) fn environment(&self) -> Arc<Env> {
        self.env.clone().unwrap_or_else(|| Arc::new(Env::system()))
    }

    /// A connection that trusts no host key yet, with at most this long to be made.
    pub(super) fn builder(&self, limit: Duration) -> ConnectionBuilder {
        let deadlines = crate::Deadlines::all_within(self.connect_timeout.min(limit));
        let builder = Connection::builder(self.target.to_string())
            .deadlines(deadlines)
            .keepalive(KEEPALIVE)
            .auth(self.auth.iter().cloned());
        match &self.env {
            Some(env) => builder.env(Arc::clone(env)),
            None => builder,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_that_callers_know() {
        let guest = GuestClient::new("guest").unwrap();
        let settings = guest.settings();
        assert_eq!(settings.target.to_string(), "root@guest:22");
        assert_eq!(settings.connect_timeout, Duration::from_secs(10));
        assert_eq!(settings.auth_grace, Duration::from_secs(10));
        assert_eq!(settings.shell_kind, ShellKind::Sh);
        assert_eq!(WAIT_TIMEOUT, Duration::from_secs(60));
        assert_eq!(WAIT_INTERVAL, Duration::from_millis(100));
        assert!(!guest.connected());
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_the_text_that_callers_know() {
        let builder = || GuestClient::builder("guest");
        for (built, expected) in [
            (GuestClient::builder(" ").user("").port(0), "host cannot be empty"),
            (builder().user("").port(0), "user cannot be empty"),
            (
                builder().port(0).connect_timeout(Duration::ZERO),
                "port must be 1-65535, got 0",
            ),
            (
                builder().connect_timeout(Duration::from_millis(999)),
                "connect_timeout must be >= 1",
            ),
        ] {
            let error = built.build().unwrap_err();
            assert_eq!(
                (error.kind(), error.to_string().as_str()),
                (&ErrorKind::Invalid, expected)
            );
        }
        for host in ["ann@guest", "two words", "-oProxyCommand=x"] {
            let error = GuestClient::new(host).unwrap_err();
            assert_eq!(error.kind(), &ErrorKind::Invalid, "{host}");
        }
    }

    #[test]
    fn a_key_goes_before_a_password_and_that_before_the_agent() {
        let auth = |builder: GuestClientBuilder| {
            let guest = builder.build().unwrap();
            let methods = guest.settings().auth.iter().map(|auth| auth.method().as_str());
            methods.collect::<Vec<_>>().join(",")
        };
        let builder = || GuestClient::builder("guest");
        assert_eq!(auth(builder().password("x").key_path("/k")), "private_key");
        assert_eq!(auth(builder().password("x")), "password");
        assert_eq!(auth(builder().password("")), "", "the agent and the default keys");
        assert_eq!(auth(builder()), "");
        let shown = format!("{:?}", builder().password("hunter2"));
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn an_ipv6_guest_is_named_with_brackets_where_its_port_follows() {
        let guest = GuestClient::builder("fe80::2").port(2222).build().unwrap();
        assert_eq!(guest.settings().place(), "[fe80::2]:2222");
    }
}
