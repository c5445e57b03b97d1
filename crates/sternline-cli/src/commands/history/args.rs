//! The options of `sternline history`, and who does the work.

use std::process::ExitCode;

use sternline_history::{History, Run, RunRef};

use super::since::{Since, parse_since};
use super::{diff, list, remove, show};
use crate::exit;
use crate::history::{find, trouble};
use crate::ui::{Failure, Ui};

const STATUS: &str = "\
Exit status: 0; 2 when the history cannot be read, the run is not in it, or the output cannot be written.

JSON, one object a line: schema (sternline.history/1), id, state (finished, interrupted, running, unfinished), verb, command, command_line, \
begun_ms, ended_ms, duration_ms, user, machine, version, options, records_output, and the counts hosts, ok, failed, skipped, unknown.";

const SHOW_STATUS: &str = "\
Exit status: 0; 2 when the history cannot be read, the run or the host is not in it, or the output cannot be written.

JSON, one object: what the list has, with the schema sternline.history.show/1 and results: for each host host, target, outcome (ok, \
failed, skipped, or null where none is recorded), exit_code, signal, error, skipped, duration_ms, attempts, and stdout and stderr, each \
with bytes, hash and what was kept.";

const DIFF_STATUS: &str = "\
Exit status, as with diff(1): 0 when nothing differs, 1 when something does, 2 when the history cannot be read, a run is not in it, \
or the output cannot be written.

How long something took is no difference. Outputs are compared by their hashes, whether or not they were kept.";

/// Show what ran where, when, and with what result
///
/// Runs on several hosts are recorded, the last 100 of them and no more than 1 GiB, in ~/.local/state/sternline/history
/// ($XDG_STATE_HOME/sternline/history), readable by you only. STERNLINE_HISTORY=DIR is another place, and STERNLINE_HISTORY=off
/// records nothing. Without a subcommand the runs are listed. Times are UTC.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, after_help = STATUS)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Option<Action>,

    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Show(ShowArgs),
    Diff(DiffArgs),
    Rm(RemoveArgs),
}

/// Which runs are listed.
#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// List at most so many runs, the latest first
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) limit: u32,

    /// Only runs with this host, called as in the run or by its whole target
    #[arg(long, value_name = "HOST")]
    pub(super) host: Option<String>,

    /// Only runs in which not all hosts succeeded
    #[arg(long)]
    pub(super) failed: bool,

    /// Only runs that began since then: a time ago such as 2h or 7d, or a date such as 2026-11-29 or 2026-11-29T12:30
    #[arg(long, value_name = "WHEN", value_parser = parse_since)]
    pub(super) since: Option<Since>,

    /// Print one JSON object per run and line
    #[arg(long)]
    pub(super) json: bool,
}

/// Show what a run did on each host
#[derive(Debug, clap::Args)]
#[command(after_help = SHOW_STATUS)]
pub(super) struct ShowArgs {
    /// The run: its name or the beginning of it, last, last~1
    #[arg(value_name = "RUN")]
    pub(super) run: RunRef,

    /// Only this host, called as in the run or by its whole target
    #[arg(long, value_name = "HOST")]
    pub(super) host: Option<String>,

    /// Show the output too, if the run kept it (--record-output)
    #[arg(long)]
    pub(super) output: bool,

    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

/// Say on which hosts two runs came out differently
///
/// Outcome, exit status, error, and output, and the hosts that only one of them had.
#[derive(Debug, clap::Args)]
#[command(after_help = DIFF_STATUS)]
pub(super) struct DiffArgs {
    /// The first run
    #[arg(value_name = "BEFORE")]
    pub(super) before: RunRef,

    /// The second run
    #[arg(value_name = "AFTER")]
    pub(super) after: RunRef,

    /// Print one JSON object: schema (sternline.history.diff/1), same, before, after, changes
    #[arg(long)]
    pub(super) json: bool,
}

/// Forget runs
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status: 0; 2 when the history cannot be changed, or a run is not in it.")]
pub(super) struct RemoveArgs {
    /// The runs to forget
    #[arg(value_name = "RUN", required_unless_present = "all", conflicts_with = "all")]
    pub(super) runs: Vec<RunRef>,

    /// Forget all runs
    #[arg(long)]
    pub(super) all: bool,
}

pub(crate) fn run(args: &Args, ui: &Ui) -> Result<ExitCode, Failure> {
    // Nothing is connected to, so whatever fails has the one status of failures, but for a reader that has gone.
    act(args, ui).map_err(|failure| match failure.is_silent() {
        true => failure,
        false => failure.with_status(exit::USAGE),
    })
}

fn act(args: &Args, ui: &Ui) -> Result<ExitCode, Failure> {
    let Some(mut history) = find()? else {
        return match args.action {
            None | Some(Action::Rm(RemoveArgs { all: true, .. })) => {
                ui.line("nothing is recorded yet");
                Ok(ExitCode::SUCCESS)
            }
            Some(_) => Err(Failure::usage("nothing is recorded yet")
                .with_hint("runs on several hosts are, unless STERNLINE_HISTORY=off")),
        };
    };
    match &args.action {
        None => list::run(&history, &args.list),
        Some(Action::Show(args)) => show::run(&history, args),
        Some(Action::Diff(args)) => diff::run(&history, args),
        Some(Action::Rm(args)) => remove::run(&mut history, args, ui),
    }
}

/// The run that is meant.
pub(super) fn found(history: &History, run: &RunRef) -> Result<Run, Failure> {
    history.run(run).map_err(|error| trouble(&error))
}
