//! The `sternline` command: one file per subcommand, `connect/` for what every connecting verb shares, `ui/` for what
//! people see.

mod cli;
mod commands;
mod connect;
mod exit;
mod fleet;
mod history;
mod limits;
#[cfg(feature = "script")]
mod script;
mod ui;

use std::process::ExitCode;

use cli::{Cli, Verb};
use sternline::proto::text::escape;
use ui::{Failure, Ui};

fn main() -> ExitCode {
    let cli = match cli::parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    keep_freed_memory();
    let ui = Ui::new(cli.quiet, cli.verbose);
    ui::terminal::restore_on_panic();
    ui::log::install(cli.quiet, cli.verbose);
    match run(cli, &ui) {
        Ok(code) => code,
        Err(failure) => {
            ui.error(&failure);
            failure.exit_code()
        }
    }
}

/// Has glibc keep what was freed for what is allocated next. Otherwise it gives memory back as soon as 128 KiB of it are
/// free at its heap's end, and gets new pages a moment later: a fifth of the processor time of a large upload. Once it has
/// freed a large block that it had mapped, it keeps up to twice that size (mallopt(3), M_MMAP_THRESHOLD). The block is never
/// touched, so it takes no memory. Other allocators do not care.
fn keep_freed_memory() {
    // What counts is at most 32 MiB with what the allocator adds.
    const BLOCK: usize = 31 * 1024 * 1024;
    drop(std::hint::black_box(Vec::<u8>::with_capacity(BLOCK)));
}

/// Tells what is wrong with the command line, or shows the help that it asks for. A wrong argument is repeated as it is: if a
/// terminal might obey something in it, it is escaped, with all else.
fn refuse(error: &clap::Error) -> ExitCode {
    if !std::env::args_os().any(|argument| argument.to_string_lossy().contains(char::is_control)) {
        error.exit();
    }
    for line in error.render().to_string().lines() {
        Ui::new(false, 0).line(&escape(line));
    }
    ExitCode::from(exit::USAGE)
}

fn run(cli: Cli, ui: &Ui) -> Result<ExitCode, Failure> {
    // One thread does all the work: on the connections of one program it is faster than several.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::local(format!("cannot start: {error}")))?;
    let evidence = cli.verb.evidence();
    let outcome = runtime.block_on(async {
        match cli.verb {
            Verb::Ssh(args) => commands::ssh::run(args, ui).await,
            Verb::Cp(args) => commands::cp::run(args, ui).await,
            Verb::Tunnel(args) => commands::tunnel::run(args, ui).await,
            Verb::Sandbox(args) => commands::sandbox::run(args, ui).await,
            Verb::Hosts(args) => commands::hosts::run(args, ui),
            Verb::Hostkeys(args) => commands::hostkeys::run(args, ui).await,
            Verb::Serve(args) => commands::serve::run(args, ui).await,
            Verb::Demo(args) => commands::demo::run(args, ui).await,
            Verb::Doctor(args) => commands::doctor::run(args, ui).await,
            Verb::Evidence(args) => commands::evidence::run(&args),
            Verb::History(args) => commands::history::run(&args, ui),
            Verb::Wait(args) => commands::wait::run(args, ui).await,
            #[cfg(feature = "script")]
            Verb::Run(args) => commands::run::run(args, ui).await,
            #[cfg(feature = "script")]
            Verb::Eval(args) => commands::eval::run(args, ui).await,
            #[cfg(feature = "script")]
            Verb::Repl(args) => commands::repl::run(args, ui).await,
            #[cfg(feature = "script")]
            Verb::Test(args) => commands::test::run(args, ui).await,
            #[cfg(feature = "script")]
            Verb::Validate(args) => commands::validate::run(&args, ui),
            #[cfg(feature = "script")]
            Verb::Watch(args) => commands::watch::run(args, ui).await,
            Verb::Config(args) => commands::config::run(&args, ui),
            Verb::Completions(args) => commands::completions::run(&args),
            Verb::Man(args) => commands::man::run(&args, ui),
        }
    });
    if ui::terminal::restore() {
        // A question was left without an answer, and its line without an end.
        ui.line("");
    }
    // A thread may still be waiting for a key press, which must not keep the program.
    runtime.shutdown_background();
    if let Some(evidence) = evidence {
        evidence.write(outcome.as_ref().err(), ui);
    }
    outcome
}
