//! `sternline run`: a Starlark script, from its file to its end.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use sternline_script::{Source, Stop};

use crate::script::{Running, ScriptOptions, Written, read, status};
use crate::ui::{Failure, Signals, Ui};

/// How a script's end is told, for the help of all verbs that run some.
pub(crate) const EXIT: &str = "\
Exit status: what the script gives to exit(), else 0; 1 when it failed or is no script; 2 when the command line makes no sense or \
the script cannot be read; 124 when --timeout passed; 130, 143 and 129 for Ctrl-C, SIGTERM and SIGHUP. A script that is ended \
so has its commands ended on the hosts, then its deferred functions called. A second signal does not wait for that.";

/// Run a Starlark script
///
/// The script finds the modules of Sternline, such as ssh, without loading them. What it prints goes to standard output,
/// messages go to standard error. ARGS are what args() returns; those that begin with a dash stand behind `--`.
///
/// A script whose first line is `#!/usr/bin/env -S sternline run` can be started by its own name.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT)]
pub(crate) struct Args {
    /// The script; `-` reads it from standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The script's own arguments
    #[arg(value_name = "ARGS")]
    arguments: Vec<String>,

    #[command(flatten)]
    options: ScriptOptions,
}

pub(crate) async fn run(args: Args, ui: &Ui) -> Result<ExitCode, Failure> {
    let source = read(&args.file)?;
    run_source(source, &args.arguments, &args.options, ui).await
}

/// Runs a script to its end.
async fn run_source(
    source: Source,
    arguments: &[String],
    options: &ScriptOptions,
    ui: &Ui,
) -> Result<ExitCode, Failure> {
    let mut signals =
        Signals::new().map_err(|error| Failure::local(format!("cannot listen to signals: {error}")))?;
    let stop = Stop::default();
    let written = Arc::new(Written::new(&stop, ui)?);
    let session = options.session(&source.text, arguments, &stop, &written, ui)?;
    let running = Running {
        stop: &stop,
        signals: &mut signals,
        limit: options.timeout,
    };
    let outcome = running.until_end(sternline_script::run(session, source)).await?;
    status(outcome, &written, ui)
}
