//! Where commands are run: hosts, executors by their names, and this machine.

use std::sync::Arc;

use sternline::config::Env;
use sternline::config::paths::expand_path;
use sternline::proto::sandbox::{ExecutorConfig, SshExecutorConfig};
use sternline::proto::target::Target;
use sternline::sandbox::{LocalExecutor, SandboxExecutor, SandboxProfile, SshExecutor};

use super::configuration::Configuration;
use crate::connect::{ConnectOptions, Connector, ask_password, labels, parse_hosts};
use crate::ui::{Failure, Signals, Ui};

/// This machine's name among hosts.
const LOCAL: &str = "local";

/// One place with what runs commands there.
pub(super) struct Place {
    pub(super) label: String,
    pub(super) executor: Arc<dyn SandboxExecutor>,
}

/// The places that are named, and the profile for them.
pub(super) struct Places {
    pub(super) list: Vec<Place>,
    pub(super) profile: SandboxProfile,
}

impl Places {
    /// Finds what `named` names; `profile` is that of the command line.
    pub(super) async fn find(
        named: Option<&str>,
        profile: Option<&str>,
        options: &ConnectOptions,
        signals: &mut Signals,
        ui: &Ui,
    ) -> Result<Self, Failure> {
        let configuration = Configuration::load()?;
        let Some(named) = named.or(configuration.config.default_executor.as_deref()) else {
            return Err(
                Failure::usage("no host is named, and config.toml has no default_executor")
                    .with_hint("name hosts before `--`, or `local` for this machine"),
            );
        };
        let executor = configuration.config.executors.get(named);
        let profile = configuration.profile(profile, executor)?;
        let list = match executor {
            _ if named == LOCAL => vec![here(named)],
            Some(ExecutorConfig::Local { .. }) => vec![here(named)],
            Some(ExecutorConfig::Ssh(ssh)) => of_config(named, ssh, options, signals, ui).await?,
            _ => {
                let targets = parse_hosts(named, &options.hosts, ui)?;
                let names = labels(&targets);
                over_ssh(&targets, names, options, None, signals, ui).await?
            }
        };
        Ok(Self { list, profile })
    }

    /// The only place.
    pub(super) fn only(mut self, does: &str) -> Result<(Place, SandboxProfile), Failure> {
        let places = self.list.len();
        match (self.list.pop(), places) {
            (Some(place), 1) => Ok((place, self.profile)),
            _ => Err(Failure::usage(format!("{does} one host, and {places} are named"))
                .with_hint("call it once for each of them")),
        }
    }
}

fn here(label: &str) -> Place {
    Place {
        label: label.to_owned(),
        executor: Arc::new(LocalExecutor::new()),
    }
}

/// An executor of `config.toml`: its settings stand where the command line's are missing.
async fn of_config(
    name: &str,
    ssh: &SshExecutorConfig,
    options: &ConnectOptions,
    signals: &mut Signals,
    ui: &Ui,
) -> Result<Vec<Place>, Failure> {
    let wrong = |error: &dyn std::fmt::Display| {
        Failure::usage(format!("executor {name}: {error}")).with_hint("correct config.toml")
    };
    let mut options = options.clone();
    let mut target = Target::new(&ssh.host).map_err(|error| wrong(&error))?;
    if let Some(user) = ssh.username.as_ref().filter(|_| options.login.is_none()) {
        target = target.with_user(user).map_err(|error| wrong(&error))?;
    }
    if let Some(port) = ssh.port.filter(|_| options.port.is_none()) {
        target = target.with_port(port).map_err(|error| wrong(&error))?;
    }
    let file = |path: &Option<String>| {
        let found = path.as_ref().map(|path| expand_path(&Env::system(), path));
        found.transpose().map_err(|error| wrong(&error))
    };
    options.identities.extend(file(&ssh.key_file)?);
    if options.known_hosts.is_none() {
        options.known_hosts = file(&ssh.known_hosts)?;
    }
    // As with the file that is named: it has the last word.
    if !ssh.strict_host_key && options.known_hosts.is_none() {
        options.options.push("StrictHostKeyChecking=no".to_owned());
    }
    let labels = vec![name.to_owned()];
    over_ssh(&[target], labels, &options, ssh.connection_pool_size, signals, ui).await
}

async fn over_ssh(
    targets: &[Target],
    labels: Vec<String>,
    options: &ConnectOptions,
    pool: Option<usize>,
    signals: &mut Signals,
    ui: &Ui,
) -> Result<Vec<Place>, Failure> {
    let mut connector = Connector::new(options, targets.len() == 1, ui)?;
    let hosts: Result<Vec<_>, _> = targets.iter().map(|target| connector.settings(target)).collect();
    let mut hosts = hosts?;
    ask_password(options, &mut hosts, false, signals).await?;
    let mut list = Vec::with_capacity(hosts.len());
    for (settings, label) in hosts.into_iter().zip(labels) {
        let mut builder = SshExecutor::builder(settings.target().to_string());
        builder = builder.configure(|connection| settings.apply(connection));
        if let Some(connections) = pool {
            builder = builder.connection_pool_size(connections);
        }
        list.push(Place {
            label,
            executor: Arc::new(builder.build()?),
        });
    }
    Ok(list)
}
