//! From what `ssh.config` was told to a fleet: the files are read here, once, and every host gets its connection's settings.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use sternline::config::{Env, paths};
use sternline::connection::{Configured, ConnectionBuilder, JumpHost, with_agent};
use sternline::fleet::Keep;
use sternline::host_key::KnownHosts;
use sternline::proto::ssh_config::{Proxy, StrictHostKeyChecking};
use sternline::proto::target::Target;
use sternline::proto::text::escape;
use sternline::{AuthConfig, Connection, Deadlines, Fleet, HostKeyPolicy};

use super::connect_config::Files;
use super::hosts::Login;
use super::permit;
use super::settings::{Checking, ConfigFiles, Settings};
use crate::session::Session;

/// How many jump hosts may lie on the way to a host.
const MAX_HOPS: usize = 16;

/// The fleet of a client. Blocks while it reads files.
///
/// # Errors
/// When a file cannot be read or used, or the way to a host leads in a circle.
pub(super) fn fleet(settings: &Settings, session: &Session, keep: &Keep) -> anyhow::Result<Fleet> {
    let mut making = Making {
        settings,
        session,
        env: Arc::new(environment(session, settings.agent)),
        config: Files::read(&settings.ssh_config, session)?,
        known_hosts: HashMap::new(),
        jumps: HashMap::new(),
    };
    let mut builders = HashMap::new();
    for host in &settings.hosts {
        let name = host.target.to_string();
        let builder = making.builder(&host.target, &host.login, Given::all(settings), &[])?;
        builders.insert(name, builder);
    }
    let targets: Vec<String> = settings
        .hosts
        .iter()
        .map(|host| host.target.to_string())
        .collect();
    let mut fleet = Fleet::new(targets)
        .keep(keep)
        .configure(move |name, builder| builders.get(name).cloned().unwrap_or(builder));
    if let Some(password) = &settings.defaults.sudo_password {
        fleet = fleet.sudo_password(password.clone());
    }
    Ok(fleet)
}

/// The environment as the script has made it.
fn environment(session: &Session, agent: Option<bool>) -> Env {
    const SOCKET: &str = "SSH_AUTH_SOCK";
    let mut env = Env::clone(session.env());
    let vars = session.vars().clone();
    if vars.get(SOCKET) != env.vars.get(SOCKET) {
        let socket = vars.get(SOCKET).filter(|socket| !socket.is_empty());
        env.agent_socket = socket.map(PathBuf::from);
    }
    if agent == Some(false) {
        env.agent_socket = None;
    }
    env.vars = vars;
    env
}

/// What the script says of a host beside the host itself.
#[derive(Clone, Copy)]
struct Given<'a> {
    user: Option<&'a str>,
    port: Option<u16>,
    login: Option<&'a Login>,
}

impl<'a> Given<'a> {
    fn all(settings: &'a Settings) -> Self {
        Self {
            user: settings.user.as_deref(),
            port: settings.port,
            login: Some(&settings.login),
        }
    }

    /// A jump host of ssh_config has what that says of it, and nothing else.
    const NOTHING: Self = Self {
        user: None,
        port: None,
        login: None,
    };
}

/// The files that say which hosts are known, and the one with keys that no host may have.
type KnownHostsFiles = (Vec<PathBuf>, Option<PathBuf>);

struct Making<'a> {
    settings: &'a Settings,
    session: &'a Session,
    env: Arc<Env>,
    config: Option<Files>,
    known_hosts: HashMap<KnownHostsFiles, KnownHosts>,
    /// Jump hosts by the way to them: hosts behind the same ones share their connections.
    jumps: HashMap<String, JumpHost>,
}

impl<'a> Making<'a> {
    fn builder(
        &mut self,
        target: &Target,
        own: &Login,
        given: Given<'a>,
        behind: &[String],
    ) -> anyhow::Result<ConnectionBuilder> {
        let user = target.user().or(given.user);
        let port = target.port().or(given.port);
        let found = match &self.config {
            Some(config) => Some(config.resolve(target, user, port, self.session)?),
            None => None,
        };
        let (user, port) = match &found {
            Some((options, _)) => (
                options.user.as_ref().map(|user| user.value.as_str()).or(user),
                options.port.as_ref().map(|port| port.value).or(port),
            ),
            None => (user, port),
        };
        let mut configured = found.as_ref().map(|(_, configured)| configured.clone());
        if let (true, Some(configured)) = (self.is_config_of_script(), &configured) {
            self.permit_configured(target, configured)?;
        }
        let mut builder = Connection::builder(target.to_string());
        if let Some(user) = user {
            builder = builder.username(user);
        }
        if let Some(port) = port {
            builder = builder.port(port);
        }
        let chain = self.chain(own, given.login)?;
        if let (false, Some(configured)) = (chain.is_empty(), &mut configured) {
            // Who names keys or a password means these.
            configured.identities = None;
        }
        builder = builder.env(self.env_of(configured.as_ref()));
        if let Some(configured) = &configured {
            builder = configured.apply(builder);
            if configured.identities.as_ref().is_some_and(Vec::is_empty) {
                builder = builder.auth([AuthConfig::agent()]);
            }
        }
        builder = builder.auth(chain);
        builder = self.keep_alive(builder, configured.as_ref());
        builder = builder.deadlines(match (&configured, self.settings.timeout) {
            (Some(configured), limit) => configured.deadlines(limit),
            (None, Some(limit)) => Deadlines::all_within(limit),
            (None, None) => Deadlines::default(),
        });
        builder = self.host_keys(builder, configured.as_ref())?;
        let jump = own
            .jump
            .as_deref()
            .or(given.login.and_then(|login| login.jump.as_deref()));
        self.way(
            builder,
            target,
            jump,
            found.and_then(|(options, _)| options.proxy),
            behind,
        )
    }

    /// Whether the script has chosen what ssh_config says: then that may do no more than the script itself.
    fn is_config_of_script(&self) -> bool {
        matches!(self.settings.ssh_config, ConfigFiles::This(_)) && !self.session.guard().allows_all()
    }

    fn permit_configured(&self, target: &Target, configured: &Configured) -> anyhow::Result<()> {
        if !configured.address.eq_ignore_ascii_case(target.host()) {
            permit::reach(self.session, &configured.address)?;
        }
        let keys = configured
            .identities
            .iter()
            .flatten()
            .chain(&configured.certificates);
        for path in keys {
            permit::read(self.session, "key", &path.to_string_lossy())?;
        }
        let hosts = [&configured.user_known_hosts, &configured.system_known_hosts];
        let hosts = hosts
            .into_iter()
            .flatten()
            .flatten()
            .chain(&configured.revoked_keys);
        for path in hosts {
            permit::read(self.session, "known_hosts", &path.to_string_lossy())?;
        }
        Ok(())
    }

    /// The credentials that were named, in order.
    fn chain(&self, own: &Login, all: Option<&Login>) -> anyhow::Result<Vec<AuthConfig>> {
        let none = Login::default();
        let all = all.unwrap_or(&none);
        let keys_of = match own.key.is_some() || !own.identities.is_empty() {
            true => own,
            false => all,
        };
        let passphrase = keys_of.passphrase.as_ref().or(all.passphrase.as_ref());
        let mut chain = Vec::new();
        if let Some(path) = &keys_of.key {
            let key = AuthConfig::key(self.key(path)?);
            chain.push(match passphrase {
                Some(passphrase) => key.passphrase(passphrase.clone()),
                None => key,
            });
        }
        for path in &keys_of.identities {
            chain.push(AuthConfig::key(self.key(path)?));
        }
        let names_keys = !chain.is_empty();
        chain.extend(
            own.password
                .as_ref()
                .or(all.password.as_ref())
                .cloned()
                .map(AuthConfig::password),
        );
        if !chain.is_empty() && self.settings.agent.unwrap_or(!names_keys) {
            chain.push(AuthConfig::agent());
        }
        Ok(chain)
    }

    /// A key that the script names, if it may read it.
    fn key(&self, path: &str) -> anyhow::Result<PathBuf> {
        super::permit::read(self.session, "key", path)
    }

    fn env_of(&self, configured: Option<&Configured>) -> Arc<Env> {
        match configured.and_then(|configured| configured.agent.as_ref()) {
            Some(agent) if self.settings.agent != Some(false) => Arc::new(with_agent(&self.env, agent)),
            _ => Arc::clone(&self.env),
        }
    }

    fn keep_alive(&self, builder: ConnectionBuilder, configured: Option<&Configured>) -> ConnectionBuilder {
        let is_configured = configured.is_some_and(|configured| configured.keepalive.is_some());
        match self.settings.keepalive {
            Some(keepalive) if self.settings.keepalive_is_given || !is_configured => {
                builder.keepalive(keepalive)
            }
            _ => builder,
        }
    }

    fn host_keys(
        &mut self,
        builder: ConnectionBuilder,
        configured: Option<&Configured>,
    ) -> anyhow::Result<ConnectionBuilder> {
        let accepts_new =
            configured.and_then(|configured| configured.checking) == Some(StrictHostKeyChecking::AcceptNew);
        let policy = match self.settings.checking {
            Checking::Off => {
                let builder = builder.known_hosts_parsed(KnownHosts::empty(), None);
                return Ok(builder.danger_accept_any_host_key());
            }
            Checking::AcceptNew => HostKeyPolicy::AcceptNew,
            Checking::Strict if accepts_new => HostKeyPolicy::AcceptNew,
            // What ssh_config says about not checking at all is no decision of the script's.
            Checking::Strict => HostKeyPolicy::Strict,
        };
        let files = match (&self.settings.known_hosts_file, configured) {
            (Some(file), _) => vec![permit::read(self.session, "known_hosts", file)?],
            (None, Some(configured)) => configured.known_hosts_files(&self.env),
            (None, None) => {
                let own = paths::known_hosts_path(&self.env);
                own.into_iter()
                    .chain([paths::system_known_hosts_path(&self.env)])
                    .collect()
            }
        };
        let record = files.first().cloned();
        let is_of_script = self.settings.known_hosts_file.is_some()
            || (self.is_config_of_script()
                && configured.is_some_and(|configured| configured.user_known_hosts.is_some()));
        if let (HostKeyPolicy::AcceptNew, true, Some(file)) = (policy, is_of_script, &record) {
            permit::record(self.session, &file.to_string_lossy())?;
        }
        let revoked = configured.and_then(|configured| configured.revoked_keys.clone());
        let known_hosts = self.known_hosts((files, revoked), policy)?;
        Ok(builder
            .known_hosts_parsed(known_hosts, record)
            .host_key_policy(policy))
    }

    fn known_hosts(&mut self, files: KnownHostsFiles, policy: HostKeyPolicy) -> anyhow::Result<KnownHosts> {
        if let Some(known) = self.known_hosts.get(&files) {
            return Ok(known.clone());
        }
        if let (Some(named), [file]) = (&self.settings.known_hosts_file, files.0.as_slice())
            && policy == HostKeyPolicy::Strict
            && !file.exists()
        {
            return Err(anyhow::anyhow!(
                "ssh.config: known_hosts_file: there is no file {}: correct the path, or say host_key_check=\"accept-new\" to have \
                 new hosts recorded in it",
                escape(named)
            ));
        }
        let loaded = match &files.1 {
            None => KnownHosts::load(&files.0),
            Some(keys) => KnownHosts::load_with_revoked(&files.0, keys),
        };
        let known = loaded.map_err(|error| anyhow::anyhow!("ssh.config: {error}"))?;
        for bad in known.bad_lines() {
            self.session
                .warn_once(&format!("warning: skipped a line of known_hosts: {bad}"));
        }
        self.known_hosts.insert(files, known.clone());
        Ok(known)
    }

    /// The way to a host: what the script says, else what ssh_config says.
    fn way(
        &mut self,
        builder: ConnectionBuilder,
        target: &Target,
        jump: Option<&str>,
        proxy: Option<sternline::proto::ssh_config::Sourced<Proxy>>,
        behind: &[String],
    ) -> anyhow::Result<ConnectionBuilder> {
        let mut behind = behind.to_vec();
        let name = target.to_string();
        if behind.contains(&name) || behind.len() >= MAX_HOPS {
            behind.push(name);
            return Err(anyhow::anyhow!(
                "ssh.config: the jump hosts lead round and round: {}",
                escape(&behind.join(" through "))
            ));
        }
        behind.push(name);
        let (hops, given) = match (jump, proxy.map(|proxy| proxy.value)) {
            (Some("none"), _) | (None, None) => return Ok(builder),
            (Some(hops), _) => {
                let wrong = |error| anyhow::anyhow!("ssh.config: jump_host: {error}");
                let hops = hops
                    .split(',')
                    .map(|hop| hop.trim().parse::<Target>().map_err(wrong));
                (
                    hops.collect::<anyhow::Result<Vec<_>>>()?,
                    Given::all(self.settings),
                )
            }
            (None, Some(Proxy::Command(command))) => {
                if self.is_config_of_script() {
                    permit::process(self.session, &command)?;
                }
                return Ok(builder.proxy_command(command));
            }
            (None, Some(Proxy::Jump(hops))) => (hops, Given::NOTHING),
        };
        // A jump host is reached by itself: what the client says of the way is said of the hosts behind it.
        let login = given.login.map(|login| Login {
            jump: Some("none".to_owned()),
            ..login.clone()
        });
        let mut way = match given.login {
            Some(_) => "given".to_owned(),
            None => "configured".to_owned(),
        };
        if given.login.is_some() || self.is_config_of_script() {
            for hop in &hops {
                permit::reach(self.session, hop.host())?;
            }
        }
        let mut before: Option<JumpHost> = None;
        for (index, hop) in hops.iter().enumerate() {
            way = format!("{way},{hop}");
            let known = self.jumps.get(&way).cloned();
            let jump = match known {
                Some(jump) => jump,
                None => {
                    let mut own = login.clone().unwrap_or_default();
                    if index > 0 || given.login.is_some() {
                        own.jump = Some("none".to_owned());
                    }
                    let mut builder = self.builder(hop, &own, given, &behind)?;
                    if let Some(before) = &before {
                        builder = builder.jump_through(before);
                    }
                    JumpHost::new(builder)
                }
            };
            self.jumps.insert(way.clone(), jump.clone());
            before = Some(jump);
        }
        Ok(match before {
            Some(jump) => builder.jump_through(&jump),
            None => builder,
        })
    }
}
