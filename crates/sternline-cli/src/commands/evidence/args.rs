//! The options of `sternline evidence`, and who does the work.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sternline::EvidenceBundle;

use super::{diff, explain, html, show};
use crate::exit;
use crate::ui::Failure;

/// The options of `sternline evidence`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Show(ShowArgs),
    Explain(ExplainArgs),
    Diff(DiffArgs),
    Html(HtmlArgs),
}

const STATUS: &str =
    "Exit status: 0; 2 when FILE cannot be read or is no bundle, or the output cannot be written.";

const DIFF_STATUS: &str = "\
Exit status, as with diff(1): 0 when nothing differs, 1 when something does, 2 when a file cannot be read or is no \
bundle, or the output cannot be written.

That the two were made at different times is no difference. Durations differ when one is at least twice the other and 50 ms \
more.";

/// Show what happened, in order, as a timeline
///
/// Phases of connecting as bars, then every event in plain words with its time, with the transcript and the recorded
/// output in their places.
#[derive(Debug, clap::Args)]
#[command(after_help = STATUS)]
pub(super) struct ShowArgs {
    /// The bundle, as `--evidence FILE` wrote it; `-` reads standard input
    file: PathBuf,
}

/// Say what went wrong, in which phase, why, and what to do
///
/// From the bundle alone: nothing is connected to. What the bundle does not say, the explanation says so.
#[derive(Debug, clap::Args)]
#[command(after_help = STATUS)]
pub(super) struct ExplainArgs {
    /// The bundle, as `--evidence FILE` wrote it; `-` reads standard input
    file: PathBuf,

    /// Print one JSON object: schema (sternline.evidence.explain/1), outcome, error_type, phase, hop, cause, facts,
    /// how_far, steps, next_steps, not_known
    #[arg(long)]
    json: bool,
}

/// Say what is different: it worked yesterday, it fails today
///
/// Server, addresses, algorithms, keys offered, commands, settings, times; what matters most for the outcome comes first.
#[derive(Debug, clap::Args)]
#[command(after_help = DIFF_STATUS)]
pub(super) struct DiffArgs {
    /// The first bundle; `-` reads standard input
    before: PathBuf,

    /// The second bundle; `-` reads standard input
    after: PathBuf,

    /// Print one JSON object: schema (sternline.evidence.diff/1), same, differences
    #[arg(long)]
    json: bool,
}

/// Make one page of it, to look at in a browser or to attach to a report
///
/// The page holds everything, loads nothing, and can be searched. It needs no network, and runs nothing but its own script.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0; 2 when FILE cannot be read, is no bundle, or the page cannot be written."
)]
pub(super) struct HtmlArgs {
    /// The bundle, as `--evidence FILE` wrote it; `-` reads standard input
    file: PathBuf,

    /// Where to write the page, for its owner only; `-` is standard output
    #[arg(short, long, value_name = "PAGE")]
    output: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    // Nothing is connected to, so whatever fails has the one status of failures, but for a reader that has gone.
    act(args).map_err(|failure| match failure.is_silent() {
        true => failure,
        false => failure.with_status(exit::USAGE),
    })
}

fn act(args: &Args) -> Result<ExitCode, Failure> {
    match &args.action {
        Action::Show(args) => show::run(&read(&args.file)?),
        Action::Explain(args) => explain::run(&read(&args.file)?, args.json),
        Action::Diff(args) => {
            if is_stdin(&args.before) && is_stdin(&args.after) {
                return Err(Failure::usage("standard input is one bundle, not two")
                    .with_hint("name a file for at least one of them"));
            }
            diff::run(&read(&args.before)?, &read(&args.after)?, args.json)
        }
        Action::Html(args) => html::run(&read(&args.file)?, &args.output),
    }
}

/// Whether a path stands for a standard stream.
pub(super) fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// The bundle in a file. Whatever is wrong with it ends with the status for trouble.
fn read(path: &Path) -> Result<EvidenceBundle, Failure> {
    const HINT: &str = "name a file that `--evidence FILE` has written";
    if !is_stdin(path) {
        return EvidenceBundle::from_file(path)
            .map_err(|error| Failure::from(&error).with_status(exit::USAGE).with_hint(HINT));
    }
    let trouble = |what: String| {
        Failure::usage(format!("cannot read the bundle from standard input: {what}")).with_hint(HINT)
    };
    let mut content = Vec::new();
    let limit = EvidenceBundle::MAX_FILE_BYTES;
    let mut input = std::io::stdin().lock().take(limit + 1);
    input
        .read_to_end(&mut content)
        .map_err(|error| trouble(error.to_string()))?;
    if content.len() as u64 > limit {
        return Err(trouble(format!(
            "it is longer than {limit} bytes, the most that is read"
        )));
    }
    let text = String::from_utf8(content).map_err(|_| trouble("it is no text in UTF-8".to_owned()))?;
    EvidenceBundle::from_text(&text).map_err(|error| trouble(error.to_string()))
}
