//! How to connect to one host, once it is settled.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use sternline::config::{Env, paths};
use sternline::connection::{AlgorithmChoice, Configured, JumpHost};
use sternline::evidence::EvidenceRecorder;
use sternline::host_key::{HostKeyRefusal, KnownHosts};
use sternline::prompt::Prompter;
use sternline::proto::quoting::quote_str;
use sternline::proto::target::Target;
use sternline::proto::text::escape;
use sternline::{AuthConfig, Connection, ConnectionBuilder, Deadlines, HostKeyPolicy, SharedSecret};

use crate::ui::prompter::TerminalPrompter;

const DEFAULT_PORT: u16 = 22;

/// The evidence of all hosts behind a jump host.
pub(super) type Listeners = Arc<Mutex<Vec<EvidenceRecorder>>>;

/// The way to a host, where it is not the network itself.
#[derive(Clone)]
pub(super) enum Way {
    Jump(JumpHost),
    Command(String),
}

/// How another command names a host of an inventory, and finds its settings again. Each option has a blank behind it.
#[derive(Clone)]
pub(super) struct InInventory {
    /// The options that name files.
    pub(super) files: String,
    /// What the command line said of the way there.
    pub(super) way: String,
    pub(super) host: String,
}

impl InInventory {
    fn to_add(&self) -> String {
        format!("{}{}{}", self.files, self.way, self.host)
    }

    fn to_remove(&self) -> String {
        format!("{}{}", self.files, self.host)
    }
}

/// How to connect to one host.
#[derive(Clone)]
pub(crate) struct HostSettings {
    pub(super) target: Target,
    /// What ssh_config and options come to. Its keys are those of the command line first.
    pub(super) configured: Configured,
    /// How a host of an inventory is named, if it is one.
    pub(super) in_inventory: Option<InInventory>,
    /// Default key files are not to be tried either (`IdentityFile none`).
    pub(super) no_default_keys: bool,
    pub(super) env: Arc<Env>,
    /// The hosts that are known, shared by all hosts with the same files.
    pub(crate) known_hosts: KnownHosts,
    /// The file in which new hosts are recorded.
    pub(crate) record_path: Option<PathBuf>,
    /// All of the files that say which hosts are known.
    pub(super) known_hosts_files: Arc<[PathBuf]>,
    pub(super) policy: HostKeyPolicy,
    pub(super) asks: bool,
    /// For logins that no key opens.
    pub(super) password: Option<SharedSecret>,
    pub(super) deadlines: Deadlines,
    pub(super) events: Option<PathBuf>,
    pub(super) evidence: Option<EvidenceRecorder>,
    /// Who else wants to hear of it, if it is a jump host, and of the jump hosts before it.
    pub(super) listeners: Vec<Listeners>,
    pub(super) way: Option<Way>,
    /// The settings that files made, with their places.
    pub(crate) origins: Vec<String>,
    /// Where settings come from, by the names that evidence has for them.
    pub(super) sources: BTreeMap<&'static str, String>,
}

impl HostSettings {
    /// The host with user and port as they were settled, for messages.
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// Where settings come from, by the names that evidence has for them.
    pub(crate) fn sources(&self) -> &BTreeMap<&'static str, String> {
        &self.sources
    }

    /// What is connected to.
    pub(crate) fn address(&self) -> &str {
        &self.configured.address
    }

    /// The port.
    pub(crate) fn port(&self) -> u16 {
        self.target.port().unwrap_or(DEFAULT_PORT)
    }

    /// The environment that counts.
    pub(crate) fn env(&self) -> &Env {
        &self.env
    }

    /// The algorithms that may be used.
    pub(crate) fn algorithms(&self) -> &AlgorithmChoice {
        &self.configured.algorithms
    }

    /// The name and port under which the host's key is known. Under an alias the port does not count.
    pub(crate) fn known_name(&self) -> (&str, u16) {
        match &self.configured.alias {
            Some(alias) => (alias, DEFAULT_PORT),
            None => (
                &self.configured.address,
                self.target.port().unwrap_or(DEFAULT_PORT),
            ),
        }
    }

    /// What to do about a host key that was refused.
    pub(crate) fn next_step(&self, refusal: &HostKeyRefusal) -> String {
        let aliased = self.configured.alias.as_ref().map(|_| self.recordable());
        match &self.in_inventory {
            Some(named) => refusal.next_step_for(&named.to_add(), &named.to_remove()),
            None => refusal.next_step(self.named_file(), self.jump().as_deref(), aliased.as_deref()),
        }
    }

    /// What `sternline hostkeys add` is told to record the host: the options, each with a blank behind it, and the host.
    pub(crate) fn to_record(&self) -> (String, String) {
        if let Some(named) = &self.in_inventory {
            return (format!("{}{}", named.files, named.way), named.host.clone());
        }
        let mut options = String::new();
        if let Some(jump) = self.jump() {
            options.push_str(&format!("-J {} ", escape(&jump)));
        }
        if let Some(file) = self.named_file() {
            options.push_str(&option("--known-hosts", &file.to_string_lossy()));
        }
        (options, self.known_as())
    }

    /// What new hosts are recorded with: whether their names are hashed.
    pub(crate) fn hashes_names(&self) -> bool {
        self.configured.hash_known_hosts
    }

    /// The host with its port as they were settled, the way a command line names them.
    pub(crate) fn recordable(&self) -> String {
        self.with_port(self.target.host())
    }

    /// What the host's key is recorded under, as `sternline hostkeys add` takes it without any configuration; only an alias
    /// needs it.
    fn known_as(&self) -> String {
        match &self.configured.alias {
            Some(_) => self.recordable(),
            None => self.with_port(&self.configured.address),
        }
    }

    fn with_port(&self, host: &str) -> String {
        let port = self.target.port().filter(|port| *port != DEFAULT_PORT);
        match (Target::new(host), port) {
            (Ok(host), Some(port)) => host
                .with_port(port)
                .map_or_else(|_| self.target.to_string(), |host| host.to_string()),
            _ => host.to_owned(),
        }
    }

    /// The file that records new hosts, if `sternline hostkeys` has to be told of it.
    fn named_file(&self) -> Option<&Path> {
        let own = paths::known_hosts_path(&self.env);
        self.record_path
            .as_deref()
            .filter(|path| own.as_deref() != Some(path))
    }

    /// The jump hosts on the way, as `-J` takes them.
    fn jump(&self) -> Option<String> {
        match &self.way {
            Some(Way::Jump(jump)) => Some(jump.to_string()),
            _ => None,
        }
    }

    /// The password for logins that no key opens.
    pub(crate) fn password(&self) -> Option<&SharedSecret> {
        self.password.as_ref()
    }

    /// A connection with these settings.
    pub(crate) fn builder(&self) -> ConnectionBuilder {
        self.apply(Connection::builder(self.target.to_string()))
    }

    /// Gives a connection these settings. Its target does not have to name user and port.
    pub(crate) fn apply(&self, builder: ConnectionBuilder) -> ConnectionBuilder {
        let mut builder = self
            .configured
            .apply(builder)
            .env(Arc::clone(&self.env))
            .known_hosts_parsed(self.known_hosts.clone(), self.record_path.clone())
            .host_key_policy(self.policy)
            .deadlines(self.deadlines.clone());
        if let Some(user) = self.target.user() {
            builder = builder.username(user);
        }
        if let Some(port) = self.target.port() {
            builder = builder.port(port);
        }
        if let Some(named) = &self.in_inventory {
            builder = builder.host_key_arguments(named.to_add(), named.to_remove());
        }
        if self.no_default_keys {
            builder = builder.auth([AuthConfig::agent()]);
            if self.password.is_none() {
                builder = builder.auth([AuthConfig::keyboard_interactive(), AuthConfig::ask_password()]);
            }
        }
        if let Some(password) = &self.password {
            builder = builder.fallback_password(password.clone());
        }
        if self.asks {
            let prompter: Arc<dyn Prompter> = Arc::new(TerminalPrompter);
            builder = builder.prompter(prompter);
        }
        if let Some(path) = &self.events {
            builder = builder.event_log_path(path);
        }
        if let Some(recorder) = &self.evidence {
            builder = builder.evidence(recorder);
        }
        match &self.way {
            None => builder,
            Some(Way::Jump(jump)) => builder.jump_through(jump),
            Some(Way::Command(command)) => builder.proxy_command(command.as_str()),
        }
    }
}

/// An option with its value for a person's shell, and a blank; nothing, if no shell could be told of it.
pub(super) fn option(name: &str, value: &str) -> String {
    quote_str(value).map_or_else(|_| String::new(), |value| format!("{name} {} ", escape(&value)))
}
