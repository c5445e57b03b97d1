//! `sternline man`: the manual pages, made from the same definitions that read the command line.

use std::path::PathBuf;
use std::process::ExitCode;

use sternline::proto::text::escape;

use crate::cli;
use crate::ui::{Failure, Ui};

/// Options of `sternline man`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Read a page with: man -l DIR/sternline-ssh.1")]
pub(crate) struct Args {
    /// The directory to write to; it is created if it is missing
    dir: PathBuf,
}

pub(crate) fn run(args: &Args, ui: &Ui) -> Result<ExitCode, Failure> {
    let failed = |error: std::io::Error| {
        let dir = escape(&args.dir.to_string_lossy());
        Failure::local(format!("cannot write the manual pages to {dir}: {error}"))
            .with_hint("name a directory that you may write to")
    };
    std::fs::create_dir_all(&args.dir).map_err(failed)?;
    clap_mangen::generate_to(cli::command(), &args.dir).map_err(failed)?;
    ui.note(&format!(
        "wrote the manual pages to {}",
        escape(&args.dir.to_string_lossy())
    ));
    Ok(ExitCode::SUCCESS)
}
