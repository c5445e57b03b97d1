//! From options and ssh_config to the settings of each host's connection.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use sternline::HostKeyPolicy;
use sternline::config::{Env, SshConfig, paths};
use sternline::connection::{Configured, JumpHost, with_agent};
use sternline::host_key::KnownHosts;
use sternline::proto::ssh_config::{
    ConfigError, IdentityAgent, Ignored, Options, Proxy, Source, Sourced, StrictHostKeyChecking,
};
use sternline::proto::target::Target;
use sternline::proto::text::escape;

use super::host::{HostSettings, InInventory, Listeners, Way, option};
use super::options::ConnectOptions;
use super::origins::{origins, sources};
use crate::exit;
use crate::ui::prompter::can_ask;
use crate::ui::{Failure, Ui};

/// How many jump hosts may lie on the way to a host. Nobody needs as many, unless they lead back to where they began.
const MAX_HOPS: usize = 16;

/// Settles how to connect to each host. Files are read once, however many hosts there are.
pub(crate) struct Connector {
    options: ConnectOptions,
    env: Arc<Env>,
    /// The environment with another agent, by its name in ssh_config.
    agents: HashMap<String, Arc<Env>>,
    config: SshConfig,
    /// One host and a person at a terminal: questions may be asked.
    interactive: bool,
    known_hosts: HashMap<KnownHostsFiles, (KnownHosts, Arc<[PathBuf]>)>,
    /// Jump hosts by their names, with those before them: hosts behind the same ones share their connections.
    jumps: HashMap<String, (JumpHost, Listeners)>,
    /// There is one host only.
    single: bool,
    /// Somebody wants to know where settings come from.
    explains: bool,
    /// What was said already, for it holds for many hosts and is worth saying once.
    told: HashSet<String>,
    ui: Ui,
}

/// The known_hosts files, and the file of keys that are revoked.
type KnownHostsFiles = (Vec<PathBuf>, Option<PathBuf>);

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
            env: Arc::new(env),
            agents: HashMap::new(),
            config,
            interactive: single && can_ask(),
            known_hosts: HashMap::new(),
            jumps: HashMap::new(),
            single,
            explains: single || options.evidence.is_some(),
            told: HashSet::new(),
            ui: *ui,
        })
    }

    /// Has the settings of every host tell where they come from, which they do otherwise for one host and for evidence.
    pub(crate) fn explaining(mut self) -> Self {
        self.explains = true;
        self
    }

    /// The settings of a host that no configuration singles out, for the files that hold for all.
    pub(crate) fn any_host(&mut self) -> Result<HostSettings, Failure> {
        // A name that RFC 2606 keeps free of hosts.
        let target = Target::new("any.invalid").map_err(|error| Failure::usage(error.to_string()))?;
        let given = self.given();
        self.settle(&target, given)
    }

    /// What the configuration says about one host, and the settings that come of it.
    pub(crate) fn explained(&mut self, target: &Target) -> Result<(Options, HostSettings), Failure> {
        let given = self.given();
        let (mut found, address) = self.find(target, &given)?;
        let settings = self.settle_found(target, given, &found, address.as_ref())?;
        if let (Source::CommandLine, Some(address)) = (&found.host_name.source, address) {
            found.host_name.source = address.source;
        }
        Ok((found, settings))
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
        let (found, address) = self.find(target, &given)?;
        self.settle_found(target, given, &found, address.as_ref())
    }

    /// What the command line, the inventory and the files say, and the address of the inventory.
    fn find(&self, target: &Target, given: &Given) -> Result<(Options, Option<Sourced<String>>), Failure> {
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
            .resolve_with_inventory(name, user, port, &given.options, &known.lines);
        let found = found.map_err(|error| {
            let in_inventory = known.lines.iter().any(|line| line.source == error.place);
            refused(&error, in_inventory)
        })?;
        Ok((found, known.address))
    }

    fn settle_found(
        &mut self,
        target: &Target,
        given: Given,
        found: &Options,
        address: Option<&Sourced<String>>,
    ) -> Result<HostSettings, Failure> {
        for ignored in &found.ignored {
            self.tell_ignored(ignored);
        }
        let mut configured = Configured::of(found).map_err(|error| unusable(&error))?;
        let batch = found.batch_mode.as_ref().is_some_and(|batch| batch.value);
        let batch = batch || given.batch;
        let asks = self.interactive && !batch;
        let (known_hosts, known_hosts_files) = self.known_hosts(found, &configured)?;
        let invalid =
            |error: &dyn std::fmt::Display| Failure::usage(error.to_string()).with_hint("correct the name");
        let mut full = Target::new(target.host()).map_err(|error| invalid(&error))?;
        if let Some(user) = &found.user {
            full = full.with_user(&user.value).map_err(|error| invalid(&error))?;
        }
        if let Some(port) = &found.port {
            full = full.with_port(port.value).map_err(|error| invalid(&error))?;
        }
        let env = self.env_with(configured.agent.as_ref());
        let is_named = configured.identities.is_some();
        let mut identities = given.identities.clone();
        identities.extend(configured.identities.take().unwrap_or_default());
        let no_default_keys = identities.is_empty() && is_named;
        configured.identities = Some(identities);
        let in_inventory = self.in_inventory(target, &given);
        let (way, listeners) = self.way(found, &full, given.behind, batch)?;
        Ok(HostSettings {
            target: full,
            way,
            in_inventory,
            no_default_keys,
            env,
            known_hosts,
            record_path: known_hosts_files.first().cloned(),
            known_hosts_files,
            policy: self.policy(found, asks),
            asks,
            password: None,
            deadlines: configured.deadlines(self.options.connect_timeout),
            configured,
            events: self.options.events.clone(),
            evidence: None,
            listeners,
            origins: match self.explains {
                true => origins(found, address),
                false => Vec::new(),
            },
            sources: match self.explains {
                true => sources(found, address),
                false => BTreeMap::new(),
            },
        })
    }

    /// How a command that records the key of a host of the inventory names it: with what the command line says here, for the
    /// rest of its settings is found again under its name.
    fn in_inventory(&self, target: &Target, given: &Given) -> Option<InInventory> {
        let mut files = self.options.hosts.naming(target)?;
        let named = [
            ("-F", &self.options.config),
            ("--known-hosts", &self.options.known_hosts),
        ];
        for (name, file) in named {
            if let Some(file) = file {
                files.push_str(&option(name, &file.to_string_lossy()));
            }
        }
        // A command may hold a password, and hints are kept in evidence.
        let told = |option: &&String| !option.to_ascii_lowercase().contains("proxycommand");
        let way = given.options.iter().filter(told);
        let way = way.map(|given| match given.strip_prefix("ProxyJump=") {
            Some(hops) => option("-J", hops),
            None => option("-o", given),
        });
        let host = Target::new(target.host()).ok()?;
        let host = match target.port().or(given.port) {
            Some(port) => host.with_port(port).ok()?,
            None => host,
        };
        Some(InInventory {
            files,
            way: way.collect(),
            host: host.to_string(),
        })
    }

    /// The environment with the agent that is configured, shared by all hosts with the same one.
    fn env_with(&mut self, agent: Option<&IdentityAgent>) -> Arc<Env> {
        let Some(agent) = agent else {
            return Arc::clone(&self.env);
        };
        let env = self
            .agents
            .entry(agent.to_string())
            .or_insert_with(|| Arc::new(with_agent(&self.env, agent)));
        Arc::clone(env)
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

    /// Says what is not obeyed, once. What concerns security, or was asked for on the command line, everybody has to know;
    /// but what the system's own file says is no choice of this user.
    fn tell_ignored(&mut self, ignored: &Sourced<Ignored>) {
        let Sourced { value, source } = ignored;
        let option = format!("{} {}", escape(&value.keyword), escape(&value.value));
        let text = match value.instead {
            Some(instead) => format!("note: {option} ({source}) is not obeyed: {instead}"),
            None => format!("note: {option} ({source}) is ignored"),
        };
        let system = paths::system_known_hosts_path(&self.env);
        let is_chosen = match source {
            Source::CommandLine => true,
            Source::File { path, .. } => {
                let of_system = system
                    .parent()
                    .is_some_and(|system| Path::new(&**path).starts_with(system));
                value.instead.is_some() && !of_system
            }
        };
        if self.told.insert(text.clone()) {
            match is_chosen {
                true => self.ui.line(&text),
                false => self.ui.note(&text),
            }
        }
    }

    /// The known hosts of the configured files, which are read once, and the files: new hosts are recorded in the first one.
    fn known_hosts(
        &mut self,
        found: &Options,
        configured: &Configured,
    ) -> Result<(KnownHosts, Arc<[PathBuf]>), Failure> {
        let files = match &self.options.known_hosts {
            Some(file) => vec![file.clone()],
            None => configured.known_hosts_files(&self.env),
        };
        let revoked = found.revoked_host_keys.as_ref();
        match self.known_hosts.entry((files, configured.revoked_keys.clone())) {
            Entry::Occupied(read) => Ok(read.get().clone()),
            Entry::Vacant(slot) => {
                let (files, revoked_keys) = slot.key();
                let loaded = match revoked_keys {
                    None => KnownHosts::load(files),
                    Some(keys) => KnownHosts::load_with_revoked(files, keys),
                };
                let known_hosts = loaded.map_err(|error| {
                    let hint = match revoked {
                        None => "mend the file, or name another one with --known-hosts".to_owned(),
                        Some(keys) => format!(
                            "mend the file; RevokedHostKeys ({}) has to name one with a public key a line",
                            keys.source
                        ),
                    };
                    Failure::local(error.to_string())
                        .with_hint(hint)
                        .with_status(exit::CONNECTION)
                })?;
                for bad in known_hosts.bad_lines() {
                    self.ui.warning(&format!("skipped a line of known_hosts: {bad}"));
                }
                let files = files.as_slice().into();
                Ok(slot.insert((known_hosts, files)).clone())
            }
        }
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

/// The options cannot be obeyed all together.
fn unusable(error: &sternline::Error) -> Failure {
    Failure::usage(error.to_string())
        .with_status(exit::CONNECTION)
        .with_hint(error.hint())
}

/// `in_inventory` says that the line is one of an inventory, which is a part of the command line like HOSTS.
fn refused(error: &ConfigError, in_inventory: bool) -> Failure {
    let (status, hint) = match error.place {
        Source::CommandLine => (
            exit::USAGE,
            "see its `--help`, and `sternline ssh --help` for the options that -o takes",
        ),
        Source::File { .. } if in_inventory => (
            exit::USAGE,
            "correct that line, leave the host out with !HOST, or name another inventory with -I",
        ),
        Source::File { .. } => (
            exit::CONNECTION,
            "correct the line, or name another ssh_config with -F, or `none`",
        ),
    };
    Failure::usage(error.to_string())
        .with_status(status)
        .with_hint(hint)
}
