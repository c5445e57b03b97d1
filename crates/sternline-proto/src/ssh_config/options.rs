//! The settings for one host.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::target::Target;
use crate::text::escape;

/// Where a setting was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// On the command line: as a flag, in the target, or with `-o`.
    CommandLine,
    /// In a file.
    File {
        /// The file's name, as the caller gave it.
        path: Arc<str>,
        /// The line, counted from 1.
        line: usize,
    },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine => f.write_str("command line"),
            Self::File { path, line } => write!(f, "{}:{line}", escape(path)),
        }
    }
}

/// A value and the place it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// Where it was written.
    pub source: Source,
}

/// What to do about a host key that is not known, or not the known one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StrictHostKeyChecking {
    /// `yes`: connect only to hosts whose key is known.
    Yes,
    /// `accept-new`: record the key of a new host; refuse a changed one.
    AcceptNew,
    /// `ask`: ask a person about a new host; refuse a changed key.
    Ask,
    /// `no` or `off`: connect whatever the key is.
    Off,
}

/// Which agent to ask for keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentityAgent {
    /// `none`: no agent, whatever the environment says.
    Disabled,
    /// The agent whose socket this environment variable names.
    Variable(String),
    /// The agent at this socket.
    Socket(String),
}

/// What the connection runs over, where that is not the network itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proxy {
    /// `ProxyJump`: the hosts to go through, the nearest first. At least one.
    Jump(Vec<Target>),
    /// `ProxyCommand`: a shell command whose standard input and output lead to the host. As written: the tokens are
    /// known to be right, and are left to [`ProxyTokens`](super::ProxyTokens).
    Command(String),
}

/// What the command line and the files say about one host. A setting that nobody made is absent, so that the caller's
/// own default applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The name or address to connect to: `HostName`, or else the host that was looked up. In lower case, unless it is
    /// an IPv6 address.
    pub host_name: Sourced<String>,
    /// `User`: the name to log in with.
    pub user: Option<Sourced<String>>,
    /// `Port`. Never 0.
    pub port: Option<Sourced<u16>>,
    /// `IdentityFile`: paths of keys in the order to try them, expanded. `Some` and empty after `IdentityFile none`:
    /// then default keys are not to be tried either.
    pub identity_files: Option<Vec<Sourced<String>>>,
    /// `IdentitiesOnly`: offer only configured keys, even if an agent has more.
    pub identities_only: Option<Sourced<bool>>,
    /// `IdentityAgent`.
    pub identity_agent: Option<Sourced<IdentityAgent>>,
    /// `UserKnownHostsFile`: paths, expanded. Empty after `none`.
    pub user_known_hosts_files: Option<Sourced<Vec<String>>>,
    /// `StrictHostKeyChecking`.
    pub strict_host_key_checking: Option<Sourced<StrictHostKeyChecking>>,
    /// `BatchMode`: never ask a person.
    pub batch_mode: Option<Sourced<bool>>,
    /// `ConnectTimeout`. Zero means no limit of its own.
    pub connect_timeout: Option<Sourced<Duration>>,
    /// `ServerAliveInterval`. Zero means that no keepalives are sent.
    pub server_alive_interval: Option<Sourced<Duration>>,
    /// `ServerAliveCountMax`: unanswered keepalives before the connection is given up.
    pub server_alive_count_max: Option<Sourced<u32>>,
    /// `ProxyJump` or `ProxyCommand`, whichever came first; absent after `none`.
    pub proxy: Option<Sourced<Proxy>>,
    /// Options of ssh that apply to the host and are not obeyed, as written.
    pub ignored: Vec<Sourced<String>>,
}
