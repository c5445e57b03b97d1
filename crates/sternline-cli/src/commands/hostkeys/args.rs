//! The options of `sternline hostkeys`, and who does the work.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use sternline::proto::target::Target;

use super::{add, list, remove};
use crate::connect::{ConnectOptions, Connector, HostOptions, HostSettings};
use crate::ui::{Failure, Ui};

/// Options of `sternline hostkeys`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

impl Args {
    /// The options of the one that connects.
    pub(crate) fn connect(&self) -> Option<&ConnectOptions> {
        match &self.action {
            Action::Add(args) => Some(&args.connect),
            Action::List(_) | Action::Remove(_) => None,
        }
    }
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    List(ListArgs),
    Add(Box<AddArgs>),
    Remove(RemoveArgs),
}

/// Which files, and how a host's name is looked up.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Files {
    /// The port, for hosts that name none
    #[arg(short, long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,

    /// The known_hosts file, instead of the user's and the system's
    #[arg(long, value_name = "FILE")]
    known_hosts: Option<PathBuf>,

    /// Read this instead of ~/.ssh/config and the system's ssh_config; `none` reads no file
    #[arg(short = 'F', value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(flatten)]
    pub(super) hosts: HostOptions,
}

impl Files {
    pub(super) fn connector(&self, ui: &Ui) -> Result<Connector, Failure> {
        let options = ConnectOptions {
            port: self.port,
            known_hosts: self.known_hosts.clone(),
            config: self.config.clone(),
            hosts: self.hosts.clone(),
            ..ConnectOptions::default()
        };
        Connector::new(&options, true, ui)
    }
}

/// List the known keys, of all hosts or of one
///
/// One a line: hosts, type, fingerprint, place.
#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// Only the lines that speak of this host, hashed ones included
    pub(super) host: Option<String>,

    #[command(flatten)]
    pub(super) files: Files,
}

/// Record the keys of hosts, after their fingerprints were compared
///
/// Connects as far as the host keys and shows the fingerprints. Nobody is logged in. One key is recorded for each host:
/// of a type that is known already, else of the type that both sides like best. A key that has changed or is revoked is
/// refused. Without a terminal, say by --fingerprint which key is right, or by --yes that any is.
#[derive(Debug, clap::Args)]
// Nobody is logged in, so there is nothing to give a password to.
#[command(mut_arg("ask_password", |arg| arg.hide(true)))]
pub(super) struct AddArgs {
    /// A comma list of host[:port], IPv6 addresses, and ranges such as web-[01-20]
    pub(super) hosts: String,

    /// Record only a key with this fingerprint, SHA256:..., without asking; may be given several times
    #[arg(long, value_name = "SHA256:...", conflicts_with_all = ["from_ca", "yes"])]
    pub(super) fingerprint: Vec<String>,

    /// Record an authority instead: certificates signed by this key, a file or a line of one, are accepted for HOSTS,
    /// which may hold * and ?
    #[arg(long, value_name = "KEY", conflicts_with_all = ["hash", "yes"])]
    pub(super) from_ca: Option<String>,

    /// Hash the hosts' names, so that the file does not tell which hosts you visit
    #[arg(long)]
    pub(super) hash: bool,

    /// Record whatever key a host offers, without asking. Whoever stands in between now will be trusted from now on
    #[arg(long)]
    pub(super) yes: bool,

    #[command(flatten)]
    pub(super) connect: ConnectOptions,
}

/// Remove the keys of hosts
///
/// What the known_hosts file says about them under their own names goes; patterns and markers stay.
#[derive(Debug, clap::Args)]
pub(super) struct RemoveArgs {
    /// A comma list of host[:port], IPv6 addresses, and ranges such as web-[01-20]
    pub(super) hosts: String,

    #[command(flatten)]
    pub(super) files: Files,
}

pub(crate) async fn run(args: Args, ui: &Ui) -> Result<ExitCode, Failure> {
    match args.action {
        Action::List(args) => list::run(&args, ui),
        Action::Add(args) => add::run(*args, ui).await,
        Action::Remove(args) => remove::run(&args, ui),
    }
}

/// The file to change.
pub(super) fn record_path(settings: &HostSettings) -> Result<PathBuf, Failure> {
    settings.record_path.clone().ok_or_else(|| {
        Failure::local(
            "there is no known_hosts file to change: neither a home directory nor a file is configured",
        )
        .with_hint("name a file with --known-hosts")
    })
}

/// Reads HOSTS into settings.
pub(super) fn resolve(connector: &mut Connector, targets: &[Target]) -> Result<Vec<HostSettings>, Failure> {
    targets.iter().map(|target| connector.settings(target)).collect()
}

/// One line of data.
pub(super) fn print(line: &str) -> Result<(), Failure> {
    std::io::stdout()
        .write_all(format!("{line}\n").as_bytes())
        .map_err(|error| Failure::output(&error))
}
