//! The options of `sternline ssh`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::ArgAction;

use crate::connect::ConnectOptions;

const AFTER: &str = "\
Exit status:
  one host       the command's own status; 128 and a signal's
                 number if one ended it; 124 when --timeout passed;
                 255 when connecting failed, the connection was
                 lost, or the output could not be written
  several hosts  0 when the command succeeded on all, else 1
  130, 143       Ctrl-C or SIGTERM came: the command was ended on
                 the hosts too; a second one does not wait for that
  2              the command line makes no sense

-o takes HostName, User, Port, IdentityFile, IdentitiesOnly,
IdentityAgent, UserKnownHostsFile, StrictHostKeyChecking, BatchMode,
ConnectTimeout, ServerAliveInterval, ServerAliveCountMax, ProxyJump and
ProxyCommand.

JSON, one object a line: schema (sternline.exec/1), host, ok, exit_code, signal,
stdout, stderr, duration_ms (connecting included), error. Output that is not
UTF-8 stands in stdout_base64 and stderr_base64 as well.

In a shell, at the beginning of a line: ~. disconnects, ~~ sends one ~, ~? lists
these.";

/// Run a command on one or several hosts, or open a shell on one
///
/// The words of COMMAND are joined by blanks and run by the account's shell, as with ssh. Standard input reaches the
/// command when there is one host. With several hosts each line of output carries the name of its host.
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER)]
pub(crate) struct Args {
    /// A comma list of [user@]host[:port], IPv6 addresses, and ranges such as web-[01-20]; with an inventory (-I) a selection,
    /// such as 'web:!canary'
    #[arg(value_name = "HOSTS")]
    pub(crate) hosts: String,

    /// The command; without one, a shell is opened on a single host
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) command: Vec<OsString>,

    #[command(flatten)]
    pub(crate) run: RunOptions,

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

    /// Run the command through sudo, which fails instead of asking for a password; with --ask-password it is answered
    #[arg(long, requires = "command")]
    pub(crate) sudo: bool,

    /// Run the command as this user, through sudo as with --sudo
    #[arg(long, value_name = "USER", requires = "command")]
    pub(crate) as_user: Option<String>,

    /// Run the command in this directory
    #[arg(long, value_name = "DIR", requires = "command")]
    pub(crate) cwd: Option<OsString>,

    /// Set a variable for the command; may be given several times
    #[arg(long, value_name = "NAME=VALUE", requires = "command")]
    pub(crate) env: Vec<OsString>,

    /// Give the command this file as its input, on every host
    #[arg(long, value_name = "FILE", requires = "command")]
    pub(crate) stdin: Option<PathBuf>,

    /// Record what the command writes too, up to 1 MiB of each stream: of several hosts in the history, and with --evidence in
    /// the evidence, which also gets the SHA-256 of what it reads. `sternline serve --replay` answers from that
    #[arg(long, requires = "command")]
    pub(crate) record_output: bool,
}
