//! The options of `sternline sandbox`, and who does the work.

use std::num::NonZeroUsize;
use std::process::ExitCode;

use super::{profiles, run as execute, show, verify};
use crate::connect::ConnectOptions;
use crate::ui::{Failure, Ui};

/// Run commands that are not trusted, in sandboxes of bubblewrap
///
/// A profile says what a command may see, run and use up; the host needs nothing but bubblewrap.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Run(RunArgs),
    Verify(VerifyArgs),
    Profiles(ProfilesArgs),
    Show(ShowArgs),
}

impl Args {
    /// The options of an action that connects.
    pub(crate) fn connect(&self) -> Option<&ConnectOptions> {
        match &self.action {
            Action::Run(args) => Some(&args.connect),
            Action::Verify(args) => Some(&args.connect),
            Action::Show(args) => Some(&args.connect),
            Action::Profiles(_) => None,
        }
    }
}

const RUN: &str = "\
HOSTS are hosts as with `sternline ssh`; or `local`, which is this machine; or the name of an executor in \
~/.config/sternline/config.toml, whose `default_executor` is taken where HOSTS is left out.

The command is a list of words that no shell reads. It gets no input without --stdin. What it writes is shown when it has ended; \
on a terminal control characters are shown instead of obeyed.

Exit status:
  one host       the command's own status, 128 and a signal's number if one ended it; 124 when the time was over; 125 when there \
was no sandbox to run it in; 126 when the profile does not allow it; 255 when connecting failed or the connection was lost
  several hosts  0 when the command succeeded on all, else 1
  130, 143       Ctrl-C or SIGTERM came: the command was ended on the hosts too
  2              the command line, the profile or config.toml makes no sense

JSON, one object a line: schema (sternline.sandbox.run/1), host, profile, ok, returncode, signal, timed_out, side (command, or bubblewrap \
where that did not start it), stdout, stderr, duration_ms, error. Output that is not UTF-8 stands in stdout_base64 and stderr_base64 as \
well.";

/// Run a command in a sandbox on one or several hosts
#[derive(Debug, clap::Args)]
#[command(
    after_help = RUN,
    mut_arg("timeout", |arg| arg.help("How long the command may take on a host, connecting included, such as 1m30s; then it is ended \
                                       there too [default: 30s]")),
)]
pub(super) struct RunArgs {
    /// Hosts, `local`, or the name of an executor
    #[arg(value_name = "HOSTS")]
    pub(super) hosts: Option<String>,

    /// The program and its arguments, behind `--`
    #[arg(value_name = "ARGV", last = true, required = true)]
    pub(super) argv: Vec<String>,

    /// A bundled profile (minimal, readonly, diagnostics, systemd), or a file, JSON or .toml, written with a / or its extension
    /// [default: the executor's, that of config.toml, or minimal]
    #[arg(long, value_name = "PROFILE")]
    pub(super) profile: Option<String>,

    /// Give the command our standard input, on every host
    #[arg(long)]
    pub(super) stdin: bool,

    /// How many hosts are worked on at once
    #[arg(long, value_name = "N", default_value = "16")]
    pub(super) forks: NonZeroUsize,

    #[command(flatten)]
    pub(super) connect: ConnectOptions,
}

const VERIFY: &str = "\
Each attempt is made in a sandbox of its own and does no harm if it succeeds. What the kernel has to hold is tried by a shell, with every \
command allowed and all else as in the profile; what the profile allows is tried with the profile itself.

Exit status: 0 when nothing got out; 1 when something did; 125 when no sandbox can be made there; 255 when connecting failed; 2 when \
the command line makes no sense.

JSON, one object: schema (sternline.sandbox.verify/1), host, profile, ok, held, escaped, not_tried, attempts (name, tried, outcome, \
detail).";

/// Try to get out of the sandbox on a host, and report each attempt
#[derive(Debug, clap::Args)]
#[command(
    after_help = VERIFY,
    mut_arg("timeout", |arg| arg.hide(true)),
)]
pub(super) struct VerifyArgs {
    /// A host, `local`, or the name of an executor
    #[arg(value_name = "HOST")]
    pub(super) host: Option<String>,

    /// A bundled profile, or a file [default: the executor's, that of config.toml, or minimal]
    #[arg(long, value_name = "PROFILE")]
    pub(super) profile: Option<String>,

    #[command(flatten)]
    pub(super) connect: ConnectOptions,
}

/// List the bundled profiles, or print one to begin another with
#[derive(Debug, clap::Args)]
#[command(after_help = "\
JSON, one object a line: schema (sternline.sandbox.profiles/1), name, allowed_commands, binds, network, environment.")]
pub(super) struct ProfilesArgs {
    /// Print this bundled profile as it would stand in a file
    #[arg(value_name = "NAME", conflicts_with = "json")]
    pub(super) name: Option<String>,

    /// Print one JSON object per profile and line on standard output
    #[arg(long)]
    pub(super) json: bool,
}

const SHOW: &str = "\
The host is asked what it has, as for a run, and nothing else is done there. What is printed is bubblewrap's command, which stands \
behind what drops root's rights and keeps the time. With -v the request and the whole script are told as well.

Exit status: 0; 125 when no sandbox can be made there; 126 when the profile does not allow the command; 255 when connecting failed; \
2 when the command line makes no sense.

JSON, one object: schema (sternline.sandbox.show/1), host, profile, argv, request, script, weaknesses.";

/// Print the exact command that would be run on a host
#[derive(Debug, clap::Args)]
#[command(
    after_help = SHOW,
    mut_arg("timeout", |arg| arg.hide(true)),
)]
pub(super) struct ShowArgs {
    /// A host, `local`, or the name of an executor
    #[arg(value_name = "HOST")]
    pub(super) host: Option<String>,

    /// The program and its arguments, behind `--`
    #[arg(value_name = "ARGV", last = true, required = true)]
    pub(super) argv: Vec<String>,

    /// A bundled profile, or a file [default: the executor's, that of config.toml, or minimal]
    #[arg(long, value_name = "PROFILE")]
    pub(super) profile: Option<String>,

    #[command(flatten)]
    pub(super) connect: ConnectOptions,
}

pub(crate) async fn run(args: Args, ui: &Ui) -> Result<ExitCode, Failure> {
    match args.action {
        Action::Run(args) => execute::run(args, ui).await,
        Action::Verify(args) => verify::run(args, ui).await,
        Action::Profiles(args) => profiles::run(&args),
        Action::Show(args) => show::run(args, ui).await,
    }
}
