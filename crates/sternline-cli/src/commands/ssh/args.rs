//! The options of `sternline ssh`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, ArgGroup};

use crate::connect::{ConnectOptions, parse_duration};
use crate::fleet::FleetOptions;

const AFTER: &str = "\
Exit status:
  one host       the command's own status; 128 and a signal's
                 number if one ended it; 124 when --timeout passed;
                 255 when connecting failed, the connection was
                 lost, or the output could not be written
  several hosts  0 when the command succeeded on all, else 1
  130, 143       Ctrl-C or SIGTERM came: the command was ended on
                 the hosts too; a second one does not wait for that.
                 With hosts still to come the first Ctrl-C begins no
                 further one and lets the others end; the second
                 ends them
  2              the command line makes no sense

-o obeys AddressFamily, BatchMode, BindAddress, CertificateFile, Ciphers,
ConnectTimeout, GlobalKnownHostsFile, HashKnownHosts, HostKeyAlgorithms,
HostKeyAlias, HostName, IdentitiesOnly, IdentityAgent, IdentityFile,
IgnoreUnknown, KbdInteractiveAuthentication, KexAlgorithms, MACs,
NumberOfPasswordPrompts, PasswordAuthentication, Port,
PreferredAuthentications, ProxyCommand, ProxyJump, PubkeyAuthentication,
RevokedHostKeys, ServerAliveCountMax, ServerAliveInterval,
StrictHostKeyChecking, User and UserKnownHostsFile. Of the other options of
ssh_config those are refused without which a connection would be less secure
or lead elsewhere; the rest is named and ignored.

JSON, one object a line: schema (sternline.exec/1), host, ok, exit_code, signal,
stdout, stderr, duration_ms (connecting included), attempts, error. Output that is
not UTF-8 stands in stdout_base64 and stderr_base64 as well. A host on which
nothing was begun has skipped: stopped, canary, failures or deadline.

In a shell, at the beginning of a line: ~. disconnects, ~~ sends one ~, ~? lists
these.";

/// Run a command on one or several hosts, or open a shell on one
///
/// The words of COMMAND are joined by blanks and run by the account's shell, as with ssh. Standard input reaches the
/// command when there is one host. With several hosts each line of output carries the name of its host, and what failed is told
/// at the end.
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER, group = ArgGroup::new("task").args(["command", "script"]).multiple(true))]
pub(crate) struct Args {
    /// A comma list of [user@]host[:port], IPv6 addresses, and ranges such as web-[01-20]; with an inventory (-I) a selection,
    /// such as 'web:!canary'
    #[arg(value_name = "HOSTS")]
    pub(crate) hosts: String,

    /// The command, or the arguments of the --script; without either, a shell is opened on a single host
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) command: Vec<OsString>,

    #[command(flatten)]
    pub(crate) run: RunOptions,

    #[command(flatten)]
    pub(crate) show: ShowOptions,

    #[command(flatten)]
    pub(crate) fleet: FleetOptions,

    #[command(flatten)]
    pub(crate) connect: ConnectOptions,
}

/// How the command is run.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Command")]
pub(crate) struct RunOptions {
    /// Run the command in a terminal; twice: even if standard input is none
    #[arg(short = 't', action = ArgAction::Count, conflicts_with = "no_terminal")]
    pub(crate) terminal: u8,

    /// Ask for no terminal, not even for a shell
    #[arg(short = 'T')]
    pub(crate) no_terminal: bool,

    /// Give the command no input
    #[arg(short = 'n', conflicts_with = "stdin")]
    pub(crate) no_stdin: bool,

    /// Run this local script on each host, with COMMAND as its arguments. Its `#!` line names who reads it there [default: sh];
    /// nothing is left behind
    #[arg(long, value_name = "FILE", conflicts_with_all = ["stdin", "terminal"])]
    pub(crate) script: Option<PathBuf>,

    /// Run the command through sudo, which fails instead of asking for a password; with --ask-password it is answered
    #[arg(long, requires = "task")]
    pub(crate) sudo: bool,

    /// Run the command as this user, through sudo as with --sudo
    #[arg(long, value_name = "USER", requires = "task")]
    pub(crate) as_user: Option<String>,

    /// Run the command in this directory
    #[arg(long, value_name = "DIR", requires = "task")]
    pub(crate) cwd: Option<OsString>,

    /// Set a variable for the command; may be given several times
    #[arg(long, value_name = "NAME=VALUE", requires = "task")]
    pub(crate) env: Vec<OsString>,

    /// Give the command this file as its input, on every host
    #[arg(long, value_name = "FILE", requires = "task")]
    pub(crate) stdin: Option<PathBuf>,

    /// Record what the command writes too, up to 1 MiB of each stream: of several hosts, and of one of an inventory (-I), in the
    /// history, and with --evidence in the evidence, which also gets the SHA-256 of what it reads. `sternline serve --replay` answers from that
    #[arg(long, requires = "command")]
    pub(crate) record_output: bool,
}

/// How the run on several hosts is shown, and how long it may take.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Several hosts")]
pub(crate) struct ShowOptions {
    /// Show equal results once, with their hosts, when all have ended: those of the most hosts first
    #[arg(long, requires = "task", conflicts_with = "json")]
    pub(crate) group_output: bool,

    /// Write what each host writes into files in this new directory, HOST.stdout and HOST.stderr, and lists of the hosts into
    /// `succeeded` and `failed`
    #[arg(long, value_name = "DIR", requires = "task", conflicts_with_all = ["json", "group_output"])]
    pub(crate) output_dir: Option<PathBuf>,

    /// How long the whole run may take, such as 10m; then what runs is ended, and nothing further begun [default: no limit]
    #[arg(long, value_name = "TIME", requires = "task", value_parser = parse_duration)]
    pub(crate) deadline: Option<Duration>,
}
