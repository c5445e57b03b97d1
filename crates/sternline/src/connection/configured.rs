//! What the options of ssh_config come to, for a connection.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use sternline_proto::ssh_config::{
    AddressFamily, AlgorithmList, IdentityAgent, Options, Source, Sourced, StrictHostKeyChecking,
};
use sternline_proto::text::escape;

use super::builder::ConnectionBuilder;
use super::keepalive::KeepaliveConfig;
use crate::auth::Wire;
use crate::config::{Env, paths};
use crate::deadline::Deadlines;
use crate::error::{Error, ErrorKind, Result};
use crate::transport::algorithms::AlgorithmChoice;

/// The interval at which ssh asks three times before it gives up (ServerAliveCountMax in ssh_config(5)).
const ALIVE_COUNT_MAX: u32 = 3;

/// What [`SshConfig::resolve`](crate::config::SshConfig::resolve) has found about a host, as settings of a connection.
///
/// Its user and port, the way to it, and what is to be done about unknown host keys are left to the caller.
///
/// ```no_run
/// # fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use sternline::Connection;
/// use sternline::config::{Env, SshConfig};
/// use sternline::connection::Configured;
///
/// let found = SshConfig::load(&Env::system())?.resolve("web", None, None, &[])?;
/// let builder = Configured::of(&found)?.apply(Connection::builder("web"));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Configured {
    /// The name or address to connect to (`HostName`).
    pub address: String,
    /// The name under which the host's key is known, if it is another one (`HostKeyAlias`).
    pub alias: Option<String>,
    /// The address to connect from; one that is not specified says which family to use (`BindAddress`, `AddressFamily`).
    pub bind: Option<IpAddr>,
    /// Keys (`IdentityFile`); empty after `none`: then default key files are not to be tried either.
    pub identities: Option<Vec<PathBuf>>,
    /// Certificates for these keys, or for the agent's (`CertificateFile`).
    pub certificates: Vec<PathBuf>,
    /// Whether only keys that were named are offered (`IdentitiesOnly`).
    pub identities_only: bool,
    /// The agent (`IdentityAgent`), if it is another one.
    pub agent: Option<IdentityAgent>,
    /// The methods by which to log in, in order, if not all.
    pub methods: Option<Vec<Wire>>,
    /// How often a person is asked (`NumberOfPasswordPrompts`).
    pub password_prompts: Option<u32>,
    /// The algorithms that may be used.
    pub algorithms: AlgorithmChoice,
    /// Whether the names of hosts are hashed when they are recorded (`HashKnownHosts`).
    pub hash_known_hosts: bool,
    /// The user's files of known hosts, if they are other ones (`UserKnownHostsFile`).
    pub user_known_hosts: Option<Vec<PathBuf>>,
    /// The system's files of known hosts, if they are other ones (`GlobalKnownHostsFile`).
    pub system_known_hosts: Option<Vec<PathBuf>>,
    /// A file of keys that no host may have (`RevokedHostKeys`).
    pub revoked_keys: Option<PathBuf>,
    /// How strict to be about host keys (`StrictHostKeyChecking`).
    pub checking: Option<StrictHostKeyChecking>,
    /// How long connecting may take (`ConnectTimeout`).
    pub connect_timeout: Option<Duration>,
    /// Probes that tell a dead connection from a quiet one (`ServerAliveInterval`, `ServerAliveCountMax`).
    pub keepalive: Option<KeepaliveConfig>,
}

impl Configured {
    /// # Errors
    /// When the options leave no algorithm or no way to log in, or contradict each other.
    pub fn of(found: &Options) -> Result<Self> {
        let paths = |files: &[Sourced<String>]| -> Vec<PathBuf> {
            files.iter().map(|file| PathBuf::from(&file.value)).collect()
        };
        let lists = |files: &Option<Sourced<Vec<String>>>| {
            let files = files.as_ref()?;
            Some(files.value.iter().map(PathBuf::from).collect::<Vec<_>>())
        };
        let is_set = |switch: &Option<Sourced<bool>>| switch.as_ref().is_some_and(|switch| switch.value);
        Ok(Self {
            address: found.host_name.value.clone(),
            alias: found.host_key_alias.as_ref().map(|alias| alias.value.clone()),
            bind: bind(found)?,
            identities: found.identity_files.as_deref().map(paths),
            certificates: paths(&found.certificate_files),
            identities_only: is_set(&found.identities_only),
            agent: found.identity_agent.as_ref().map(|agent| agent.value.clone()),
            methods: methods(found)?,
            password_prompts: found.number_of_password_prompts.as_ref().map(|times| times.value),
            algorithms: algorithms(found)?,
            hash_known_hosts: is_set(&found.hash_known_hosts),
            user_known_hosts: lists(&found.user_known_hosts_files),
            system_known_hosts: lists(&found.global_known_hosts_files),
            revoked_keys: found
                .revoked_host_keys
                .as_ref()
                .map(|file| PathBuf::from(&file.value)),
            checking: found
                .strict_host_key_checking
                .as_ref()
                .map(|checking| checking.value),
            connect_timeout: found
                .connect_timeout
                .as_ref()
                .map(|timeout| timeout.value)
                .filter(|timeout| !timeout.is_zero()),
            keepalive: keepalive(found),
        })
    }

    /// Gives a connection these settings, but for its files of known hosts and its time limits.
    pub fn apply(&self, builder: ConnectionBuilder) -> ConnectionBuilder {
        let mut builder = builder
            .address(&self.address)
            .identity_files(self.identities.iter().flatten().cloned())
            .certificate_files(self.certificates.iter().cloned())
            .identities_only(self.identities_only)
            .algorithms(self.algorithms.clone())
            .hash_known_hosts(self.hash_known_hosts);
        if let Some(alias) = &self.alias {
            builder = builder.host_key_alias(alias);
        }
        if let Some(address) = self.bind {
            builder = builder.bind_address(address);
        }
        if let Some(methods) = &self.methods {
            builder = builder.auth_methods(methods.iter().copied());
        }
        if let Some(times) = self.password_prompts {
            builder = builder.password_prompts(times);
        }
        if let Some(keepalive) = self.keepalive {
            builder = builder.keepalive(keepalive);
        }
        builder
    }

    /// The files that say which hosts are known. New hosts are recorded in the first one.
    #[must_use]
    pub fn known_hosts_files(&self, env: &Env) -> Vec<PathBuf> {
        let mut files = match &self.user_known_hosts {
            Some(files) => files.clone(),
            None => paths::known_hosts_path(env).into_iter().collect(),
        };
        match &self.system_known_hosts {
            Some(system) => files.extend(system.iter().cloned()),
            None => files.push(paths::system_known_hosts_path(env)),
        }
        files
    }

    /// The time limits of connecting. Somebody who says how long it may take means all of it: then no phase has a shorter limit
    /// of its own. `limit` comes before what is configured.
    #[must_use]
    pub fn deadlines(&self, limit: Option<Duration>) -> Deadlines {
        limit
            .or(self.connect_timeout)
            .map_or_else(Deadlines::default, Deadlines::all_within)
    }
}

/// An environment with the agent that is configured.
#[must_use]
pub fn with_agent(env: &Env, agent: &IdentityAgent) -> Env {
    let mut env = env.clone();
    env.agent_socket = match agent {
        IdentityAgent::Disabled => None,
        IdentityAgent::Socket(path) => Some(path.into()),
        IdentityAgent::Variable(name) => env.vars.get(name).map(PathBuf::from),
    };
    env
}

/// The algorithms that may be used. It is an error if none is left.
fn algorithms(found: &Options) -> Result<AlgorithmChoice> {
    let list = |list: &Option<Sourced<AlgorithmList>>| list.as_ref().map(|list| list.value.clone());
    let choice = AlgorithmChoice {
        kex: list(&found.kex_algorithms),
        host_key: list(&found.host_key_algorithms),
        cipher: list(&found.ciphers),
        mac: list(&found.macs),
    };
    let Some((option, supported)) = choice.leaves_nothing() else {
        return Ok(choice);
    };
    let shown = found.shown().into_iter().find(|shown| shown.keyword == option);
    let (value, place) = shown
        .map(|shown| (shown.value, shown.source.to_string()))
        .unwrap_or_default();
    let message = format!(
        "{place}: {option} {} leaves no algorithm that Sternline has",
        escape(&value)
    );
    Err(Error::new(ErrorKind::Invalid, message).with_hint(format!("name one of {}", supported.join(", "))))
}

/// The methods by which to log in, in order, if not all. It is an error if none is left.
fn methods(found: &Options) -> Result<Option<Vec<Wire>>> {
    let switches = [
        (Wire::PublicKey, &found.pubkey_authentication),
        (Wire::KeyboardInteractive, &found.kbd_interactive_authentication),
        (Wire::Password, &found.password_authentication),
    ];
    let off = |wire: &Wire| {
        let switch = switches.iter().find(|(other, _)| other == wire);
        switch.is_some_and(|(_, switch)| switch.as_ref().is_some_and(|switch| !switch.value))
    };
    let preferred = found.preferred_authentications.as_ref();
    let mut methods: Vec<Wire> = match preferred {
        None => Wire::ALL.to_vec(),
        Some(names) => {
            let named = names.value.iter();
            named
                .filter_map(|name| Wire::ALL.into_iter().find(|wire| wire.as_str() == name))
                .collect()
        }
    };
    methods.retain(|wire| !off(wire));
    if methods.is_empty() {
        let switched_off = switches
            .iter()
            .filter_map(|(_, switch)| switch.as_ref())
            .map(|switch| &switch.source);
        let places = preferred
            .map(|names| &names.source)
            .into_iter()
            .chain(switched_off);
        let mut places: Vec<String> = places.map(Source::to_string).collect();
        places.dedup();
        let message = format!("no way to log in is left ({})", places.join(", "));
        return Err(Error::new(ErrorKind::Invalid, message)
            .with_hint("allow one of publickey, keyboard-interactive and password"));
    }
    Ok((preferred.is_some() || methods.len() < Wire::ALL.len()).then_some(methods))
}

/// The address to connect from. One that is not specified is of the family to use.
fn bind(found: &Options) -> Result<Option<IpAddr>> {
    let family = found
        .address_family
        .as_ref()
        .and_then(|family| match family.value {
            AddressFamily::Any => None,
            AddressFamily::Inet => Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            AddressFamily::Inet6 => Some(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
        });
    match (&found.bind_address, family) {
        (Some(bind), Some(family)) if bind.value.is_ipv4() != family.is_ipv4() => {
            let message = format!(
                "BindAddress {} ({}) is not of the AddressFamily that is set",
                bind.value, bind.source
            );
            Err(Error::new(ErrorKind::Invalid, message).with_hint("leave out one of the two"))
        }
        (Some(bind), _) => Ok(Some(bind.value)),
        (None, family) => Ok(family),
    }
}

fn keepalive(found: &Options) -> Option<KeepaliveConfig> {
    let interval = found.server_alive_interval.as_ref()?.value;
    let max_count = found
        .server_alive_count_max
        .as_ref()
        .map_or(ALIVE_COUNT_MAX, |count| count.value);
    (!interval.is_zero()).then_some(KeepaliveConfig {
        interval,
        // Zero means that the connection is never given up.
        max_count: if max_count == 0 { u32::MAX } else { max_count },
        progress_timeout: None,
    })
}
