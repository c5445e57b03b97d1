//! The options of every verb that connects.

use std::path::PathBuf;
use std::time::Duration;

use super::duration::parse_duration;
use super::evidence::Evidence;
use super::inventory::HostOptions;

/// One group of options for every verb that connects.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectOptions {
    #[command(flatten)]
    pub(crate) hosts: HostOptions,

    /// The port, for hosts that name none
    #[arg(short, long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: Option<u16>,

    /// Who logs in, on hosts that name nobody
    #[arg(short, long, value_name = "USER")]
    pub(crate) login: Option<String>,

    /// A private key to offer before others; may be given several times
    #[arg(short, long = "identity", value_name = "FILE")]
    pub(crate) identities: Vec<PathBuf>,

    /// Go through these hosts, the nearest first: a comma list of [user@]host[:port]. Their users, keys and other
    /// settings come from ~/.ssh/config; -l, -p, -i and -o are for the hosts at the end
    #[arg(short = 'J', long = "jump", value_name = "HOSTS")]
    pub(crate) jump: Option<String>,

    /// An option in the form that ssh_config has, such as StrictHostKeyChecking=accept-new
    #[arg(short, value_name = "KEY=VALUE")]
    pub(crate) options: Vec<String>,

    /// Read this instead of ~/.ssh/config and the system's ssh_config; `none` reads no file
    #[arg(short = 'F', value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// The known_hosts file to read and to record in, instead of the user's and the system's; for jump hosts too
    #[arg(long, value_name = "FILE")]
    pub(crate) known_hosts: Option<PathBuf>,

    /// Ask once for a password, before anything is connected: it is given to hosts at the end whose login no key opens, and to
    /// sudo where a command is run through it
    #[arg(long)]
    pub(crate) ask_password: bool,

    /// How long connecting may take, jump hosts included, such as 10s; time spent answering questions does not count
    /// [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) connect_timeout: Option<Duration>,

    /// How long the command may take, such as 1m30s; then it is ended on the host too [default: no limit]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) timeout: Option<Duration>,

    /// Append every event to this file, one JSON object a line
    #[arg(long, value_name = "FILE")]
    pub(crate) events: Option<PathBuf>,

    /// At the end write all that is known about the connection to this file, readable by you only, with secrets taken out:
    /// its events, algorithms, times, settings and errors. With several hosts each has a file of its own, with its name
    /// before the extension, or in FILE if that is a directory; .jsonl makes it JSON lines
    #[arg(long, value_name = "FILE")]
    pub(crate) evidence: Option<PathBuf>,

    /// What is recorded for that.
    #[arg(skip)]
    pub(crate) recorded: Evidence,

    /// Print one JSON object per host and line on standard output
    #[arg(long)]
    pub(crate) json: bool,
}
