//! The settings for one host.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::algorithms::AlgorithmList;
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

/// Which addresses of a name are connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressFamily {
    /// All of them.
    Any,
    /// IPv4 only.
    Inet,
    /// IPv6 only.
    Inet6,
}

/// An option of ssh that applies to the host and is not obeyed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// The option as written.
    pub keyword: String,
    /// Its value, without quotes.
    pub value: String,
    /// Where it concerns security: what happens instead.
    pub instead: Option<&'static str>,
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
    /// `AddressFamily`.
    pub address_family: Option<Sourced<AddressFamily>>,
    /// `BindAddress`: the address of this machine to connect from.
    pub bind_address: Option<Sourced<IpAddr>>,
    /// `ProxyJump` or `ProxyCommand`, whichever came first; absent after `none`.
    pub proxy: Option<Sourced<Proxy>>,
    /// `IdentityFile`: paths of keys in the order to try them, expanded. `Some` and empty after `IdentityFile none`:
    /// then default keys are not to be tried either.
    pub identity_files: Option<Vec<Sourced<String>>>,
    /// `CertificateFile`: paths of certificates for these keys or the agent's, expanded.
    pub certificate_files: Vec<Sourced<String>>,
    /// `IdentitiesOnly`: offer only configured keys, even if an agent has more.
    pub identities_only: Option<Sourced<bool>>,
    /// `IdentityAgent`.
    pub identity_agent: Option<Sourced<IdentityAgent>>,
    /// `PubkeyAuthentication`: whether keys are offered at all.
    pub pubkey_authentication: Option<Sourced<bool>>,
    /// `PasswordAuthentication`.
    pub password_authentication: Option<Sourced<bool>>,
    /// `KbdInteractiveAuthentication`.
    pub kbd_interactive_authentication: Option<Sourced<bool>>,
    /// `PreferredAuthentications`: the methods by their names in the protocol, in order; no others are tried.
    pub preferred_authentications: Option<Sourced<Vec<String>>>,
    /// `NumberOfPasswordPrompts`: how often a person is asked before a method is given up.
    pub number_of_password_prompts: Option<Sourced<u32>>,
    /// `UserKnownHostsFile`: paths, expanded. Empty after `none`.
    pub user_known_hosts_files: Option<Sourced<Vec<String>>>,
    /// `GlobalKnownHostsFile`: paths, expanded. Empty after `none`.
    pub global_known_hosts_files: Option<Sourced<Vec<String>>>,
    /// `RevokedHostKeys`: a file of keys that no host may have. Absent after `none`.
    pub revoked_host_keys: Option<Sourced<String>>,
    /// `HostKeyAlias`: the name under which the host's key is known. In lower case.
    pub host_key_alias: Option<Sourced<String>>,
    /// `HashKnownHosts`: whether the names of hosts are hashed when they are recorded.
    pub hash_known_hosts: Option<Sourced<bool>>,
    /// `StrictHostKeyChecking`.
    pub strict_host_key_checking: Option<Sourced<StrictHostKeyChecking>>,
    /// `BatchMode`: never ask a person.
    pub batch_mode: Option<Sourced<bool>>,
    /// `KexAlgorithms`.
    pub kex_algorithms: Option<Sourced<AlgorithmList>>,
    /// `HostKeyAlgorithms`.
    pub host_key_algorithms: Option<Sourced<AlgorithmList>>,
    /// `Ciphers`.
    pub ciphers: Option<Sourced<AlgorithmList>>,
    /// `MACs`.
    pub macs: Option<Sourced<AlgorithmList>>,
    /// `ConnectTimeout`. Zero means no limit of its own.
    pub connect_timeout: Option<Sourced<Duration>>,
    /// `ServerAliveInterval`. Zero means that no keepalives are sent.
    pub server_alive_interval: Option<Sourced<Duration>>,
    /// `ServerAliveCountMax`: unanswered keepalives before the connection is given up.
    pub server_alive_count_max: Option<Sourced<u32>>,
    /// Options of ssh that apply to the host and are not obeyed, each at the first place where it stands.
    pub ignored: Vec<Sourced<Ignored>>,
}

impl Options {
    /// No settings at all.
    pub(super) fn of(host: &str) -> Self {
        Self {
            host_name: Sourced {
                value: host.to_owned(),
                source: Source::CommandLine,
            },
            user: None,
            port: None,
            address_family: None,
            bind_address: None,
            proxy: None,
            identity_files: None,
            certificate_files: Vec::new(),
            identities_only: None,
            identity_agent: None,
            pubkey_authentication: None,
            password_authentication: None,
            kbd_interactive_authentication: None,
            preferred_authentications: None,
            number_of_password_prompts: None,
            user_known_hosts_files: None,
            global_known_hosts_files: None,
            revoked_host_keys: None,
            host_key_alias: None,
            hash_known_hosts: None,
            strict_host_key_checking: None,
            batch_mode: None,
            kex_algorithms: None,
            host_key_algorithms: None,
            ciphers: None,
            macs: None,
            connect_timeout: None,
            server_alive_interval: None,
            server_alive_count_max: None,
            ignored: Vec::new(),
        }
    }
}
