//! From options and ssh_config to the settings of each host's connection.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use sternline::config::{Env, SshConfig, paths};
use sternline::connection::JumpHost;
use sternline::host_key::KnownHosts;
use sternline::proto::ssh_config::{
    ConfigError, IdentityAgent, Options, Proxy, Source, StrictHostKeyChecking,
};
use sternline::proto::target::Target;
use sternline::proto::text::escape;
use sternline::{Deadlines, HostKeyPolicy, KeepaliveConfig};

use super::host::{HostSettings, Listeners, Way};
use super::options::ConnectOptions;
use super::origins::{origins, sources};
use crate::exit;
use crate::ui::prompter::can_ask;
use crate::ui::{Failure, Ui};

/// The interval at which ssh asks three times before it gives up (ServerAliveCountMax in ssh_config(5)).
const ALIVE_COUNT_MAX: u32 = 3;

/// How many jump hosts may lie on the way to a host. Nobody needs as many, unless they lead back to where they began.
const MAX_HOPS: usize = 16;

/// Settles how to connect to each host. Files are read once, however many hosts there are.
pub(crate) struct Connector {
    options: ConnectOptions,
    env: Env,
    config: SshConfig,
    /// One host and a person at a terminal: questions may be asked.
    interactive: bool,
    known_hosts: HashMap<Vec<PathBuf>, KnownHosts>,
    /// Jump hosts by their names, with those before them: hosts behind the same ones share their connections.
    jumps: HashMap<String, (JumpHost, Listeners)>,
    /// There is one host only.
    single: bool,
    /// What was said already, for it holds for many hosts and is worth saying once.
    told: HashSet<String>,
    ui: Ui,
}

/// What of the command line holds for a host.
#[derive(Default)]
struct Given {
    login: Option<String>,
    port: Option<u16>,
    identities: Vec<PathBuf>,
    /// The values of `-o`.
    options: Vec<String>,
    /// Nobody is to be asked, whatever the configuration says.
    batch: bool,
    /// The hosts behind this one, if it is a jump host, up to the one at the end.
    behind: Vec<String>,
}

impl Connector {
    /// Reads the configuration files. `single` says that there is one host only.
    pub(crate) fn new(options: &ConnectOptions, single: bool, ui: &Ui) -> Result<Self, Failure> {
        let env = Env::system();
        let config = match &options.config {
            None => SshConfig::load(&env),
            Some(path) if path.as_os_str() == "none" => Ok(SshConfig::empty(&env)),
            Some(path) => SshConfig::load_file(&env, path),
        };
        let config = config.map_err(|error| {
            Failure::usage(error.to_string())
                .with_hint("name another file with -F, or `-F none` to read none")
        })?;
        Ok(Self {
            options: options.clone(),
            env,
            config,
            interactive: single && can_ask(),
            known_hosts: HashMap::new(),
            jumps: HashMap::new(),
            single,
            told: HashSet::new(),
            ui: *ui,
        })
    }

    /// The settings of a host that no configuration singles out, for the files that hold for all.
    pub(crate) fn any_host(&mut self) -> Result<HostSettings, Failure> {
        // A name that RFC 2606 keeps free of hosts.
        let target = Target::new("any.invalid").map_err(|error| Failure::usage(error.to_string()))?;
        let given = self.given();
        self.settle(&target, given)
    }

    /// The settings of one host.
    pub(crate) fn settings(&mut self, target: &Target) -> Result<HostSettings, Failure> {
        let given = self.given();
        let mut settings = self.settle(target, given)?;
        if let Some(file) = &self.options.evidence {
            let host = target.to_string();
            let recorder = self.options.recorded.begin(file, &host, self.single)?;
            for (name, place) in &settings.sources {
                recorder.note_source(name, place);
            }
            let files = settings
                .known_hosts_files
                .iter()
                .map(|file| file.to_string_lossy());
            let place = settings.sources.get("known_hosts_files");
            recorder.note(
                "known_hosts_files",
                files.collect::<Vec<_>>(),
                place.map(String::as_str),
            );
            for listeners in &settings.listeners {
                let mut listeners = listeners.lock().unwrap_or_else(PoisonError::into_inner);
                listeners.push(recorder.clone());
            }
            settings.evidence = Some(recorder);
        }
        Ok(settings)
    }

    fn given(&self) -> Given {
        // The first value wins, so -J comes before what -o says.
        let jump = self.options.jump.as_ref();
        let jump = jump.map(|hops| format!("ProxyJump={hops}"));
        Given {
            login: self.options.login.clone(),
            port: self.options.port,
            identities: self.options.identities.clone(),
            options: jump.into_iter().chain(self.options.options.clone()).collect(),
            ..Given::default()
        }
    }

    fn settle(&mut self, target: &Target, given: Given) -> Result<HostSettings, Failure> {
        let user = target.user().or(given.login.as_deref());
        let port = target.port().or(given.port);
        let known = self.options.hosts.settings(target)?;
        // As with Ansible, ssh_config is asked about the address, which may be a name that it knows.
        let name = known
            .address
            .as_ref()
            .map_or(target.host(), |address| &address.value);
        let found = self
            .config
            .resolve_with_inventory(name, user, port, &given.options, &known.lines)
            .map_err(|error| refused(&error))?;
        for ignored in &found.ignored {
            let text = format!(
                "note: {} in {} is ignored",
                escape(&ignored.value),
                ignored.source
            );
            if self.told.insert(text.clone()) {
                self.ui.note(&text);
            }
        }
        let batch = found.batch_mode.as_ref().is_some_and(|batch| batch.value);
        let batch = batch || given.batch;
        let asks = self.interactive && !batch;
        let (known_hosts, known_hosts_files) = self.known_hosts(&found)?;
        let invalid =
            |error: &dyn std::fmt::Display| Failure::usage(error.to_string()).with_hint("correct the name");
        let mut full = Target::new(target.host()).map_err(|error| invalid(&error))?;
        if let Some(user) = user.or(found.user.as_ref().map(|user| user.value.as_str())) {
            full = full.with_user(user).map_err(|error| invalid(&error))?;
        }
        if let Some(port) = port.or(found.port.as_ref().map(|port| port.value)) {
            full = full.with_port(port).map_err(|error| invalid(&error))?;
        }
        let mut env = self.env.clone();
        match found.identity_agent.as_ref().map(|agent| &agent.value) {
            None => {}
            Some(IdentityAgent::Disabled) => env.agent_socket = None,
            Some(IdentityAgent::Socket(path)) => env.agent_socket = Some(path.into()),
            Some(IdentityAgent::Variable(name)) => {
                env.agent_socket = env.vars.get(name).map(PathBuf::from);
            }
        }
        let configured = found.identity_files.as_ref();
        let identities = given.identities.iter().cloned();
        let identities: Vec<_> = identities
            .chain(
                configured
                    .into_iter()
                    .flatten()
                    .map(|file| PathBuf::from(&file.value)),
            )
            .collect();
        let (way, listeners) = self.way(&found, &full, given.behind, batch)?;
        Ok(HostSettings {
            target: full,
            way,
            address: found.host_name.value.clone(),
            no_default_keys: identities.is_empty() && configured.is_some(),
            identities,
            identities_only: found.identities_only.as_ref().is_some_and(|only| only.value),
            env,
            known_hosts,
            record_path: known_hosts_files.first().cloned(),
            known_hosts_files,
            policy: self.policy(&found, asks),
            asks,
            password: None,
            deadlines: deadlines(self.options.connect_timeout, &found),
            keepalive: keepalive(&found),
            events: self.options.events.clone(),
            evidence: None,
            listeners,
            origins: origins(&found, known.address.as_ref()),
            sources: sources(&found, known.address.as_ref()),
        })
    }

    /// The way to a host: `ProxyJump` with what the configuration says of each jump host, or `ProxyCommand`.
    fn way(
        &mut self,
        found: &Options,
        target: &Target,
        mut behind: Vec<String>,
        batch: bool,
    ) -> Result<(Option<Way>, Vec<Listeners>), Failure> {
        let nobody = Vec::new();
        let hops = match found.proxy.as_ref().map(|proxy| &proxy.value) {
            None => return Ok((None, nobody)),
            Some(Proxy::Command(command)) => return Ok((Some(Way::Command(command.clone())), nobody)),
            Some(Proxy::Jump(hops)) => hops,
        };
        let repeated = behind.contains(&target.to_string());
        behind.push(target.to_string());
        if repeated || behind.len() > MAX_HOPS {
            return Err(going_round(&behind));
        }
        let Some((last, before)) = hops.split_last() else {
            return Ok((None, nobody));
        };
        // As with ssh, the list says how the last one is reached, and only the first one's own jump hosts count.
        let before: Vec<String> = before.iter().map(Target::to_string).collect();
        let options = match before.is_empty() {
            true => Vec::new(),
            false => vec![format!("ProxyJump={}", before.join(","))],
        };
        let given = Given {
            options,
            batch,
            behind,
            ..Given::default()
        };
        let mut hop = self.settle(last, given)?;
        let name = match &hop.way {
            None => hop.target.to_string(),
            Some(Way::Command(command)) => format!("{command}\n{}", hop.target),
            Some(Way::Jump(jump)) => format!("{jump},{}", hop.target),
        };
        let (jump, own) = match self.jumps.entry(name) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(slot) => slot.insert(jump_host(&hop)).clone(),
        };
        hop.listeners.push(own);
        Ok((Some(Way::Jump(jump)), hop.listeners))
    }

    /// What to do about unknown hosts: whatever was configured, else to ask where that is possible, else to refuse.
    fn policy(&mut self, found: &Options, asks: bool) -> HostKeyPolicy {
        let configured = found.strict_host_key_checking.as_ref();
        match configured.map_or(StrictHostKeyChecking::Ask, |checking| checking.value) {
            StrictHostKeyChecking::Yes => HostKeyPolicy::Strict,
            StrictHostKeyChecking::AcceptNew => HostKeyPolicy::AcceptNew,
            StrictHostKeyChecking::Ask if asks => HostKeyPolicy::Ask,
            StrictHostKeyChecking::Ask => HostKeyPolicy::Strict,
            StrictHostKeyChecking::Off => {
                let text = "host keys are not checked (StrictHostKeyChecking no): whoever is between here and the host \
                            can read and change everything, passwords included";
                if self.told.insert(text.to_owned()) {
                    self.ui.warning(text);
                }
                HostKeyPolicy::DangerAcceptAny
            }
        }
    }

    /// The known hosts of the configured files, which are read once, and the files: new hosts are recorded in the first one.
    fn known_hosts(&mut self, found: &Options) -> Result<(KnownHosts, Vec<PathBuf>), Failure> {
        let mut files = match (&self.options.known_hosts, &found.user_known_hosts_files) {
            (Some(file), _) => vec![file.clone()],
            (None, Some(files)) => files.value.iter().map(PathBuf::from).collect(),
            (None, None) => paths::known_hosts_path(&self.env).into_iter().collect(),
        };
        if self.options.known_hosts.is_none() {
            files.push(paths::system_known_hosts_path(&self.env));
        }
        let known_hosts = match self.known_hosts.entry(files.clone()) {
            Entry::Occupied(read) => read.get().clone(),
            Entry::Vacant(slot) => {
                let known_hosts = KnownHosts::load(slot.key()).map_err(|error| {
                    Failure::local(error.to_string())
                        .with_hint("mend the file, or name another one with --known-hosts")
                        .with_status(exit::CONNECTION)
                })?;
                for bad in known_hosts.bad_lines() {
                    self.ui.warning(&format!("skipped a line of known_hosts: {bad}"));
                }
                slot.insert(known_hosts).clone()
            }
        };
        Ok((known_hosts, files))
    }
}

/// A jump host, of which all are told who have evidence of a host behind it.
fn jump_host(hop: &HostSettings) -> (JumpHost, Listeners) {
    let listeners = Listeners::default();
    let heard_by = Arc::clone(&listeners);
    let builder = hop.builder().on_event(move |event| {
        for recorder in &*heard_by.lock().unwrap_or_else(PoisonError::into_inner) {
            recorder.add_event(event);
        }
    });
    (JumpHost::new(builder), listeners)
}

/// The configuration leads through a host to reach it.
fn going_round(behind: &[String]) -> Failure {
    let way: Vec<String> = behind.iter().map(|host| escape(host)).collect();
    Failure::usage(format!("the jump hosts lead round and round: {}", way.join(" through ")))
        .with_status(exit::CONNECTION)
        .with_hint("give the first jump host a block of its own with `ProxyJump none`, before the one that sets ProxyJump")
}

fn refused(error: &ConfigError) -> Failure {
    let (status, hint) = match error.place {
        Source::CommandLine => (
            exit::USAGE,
            "see its `--help`, and `sternline ssh --help` for the options that -o takes",
        ),
        Source::File { .. } => (
            exit::CONNECTION,
            "correct the line; -F names another ssh_config or `none`, -I another inventory",
        ),
    };
    Failure::usage(error.to_string())
        .with_status(status)
        .with_hint(hint)
}

/// Somebody who says how long connecting may take means all of it: then no phase has a shorter limit of its own.
fn deadlines(flag: Option<Duration>, found: &Options) -> Deadlines {
    let configured = found.connect_timeout.as_ref().map(|timeout| timeout.value);
    let mut deadlines = Deadlines::default();
    if let Some(overall) = flag.or(configured.filter(|timeout| !timeout.is_zero())) {
        deadlines.overall = overall;
        deadlines.resolve = None;
        deadlines.tcp = None;
        deadlines.banner = None;
        deadlines.kex = None;
    }
    deadlines
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
