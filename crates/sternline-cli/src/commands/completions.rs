//! `sternline completions`: completions for a shell, made from the same definitions that read the command line.

use std::io::Write;
use std::process::ExitCode;

use clap_complete::Shell;

use crate::cli;
use crate::ui::Failure;

/// Options of `sternline completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "For bash, add to ~/.bashrc: source <(sternline completions bash)")]
pub(crate) struct Args {
    /// The shell to print completions for
    shell: Shell,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut cli::command(), "sternline", &mut script);
    std::io::stdout()
        .write_all(&script)
        .map_err(|error| Failure::output(&error))?;
    Ok(ExitCode::SUCCESS)
}
