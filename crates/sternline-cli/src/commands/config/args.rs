//! The options of `sternline config`, and who does the work.

use std::process::ExitCode;

use super::show;
use crate::connect::ConnectOptions;
use crate::ui::{Failure, Ui};

const NOTES: &str = "\
A setting is shown with the file and line where it was made, or as one of the command line, or as a default. The first value \
that applies counts, as for ssh: the command line's, then that of ~/.ssh/config and its includes, then that of the system's \
ssh_config. Of the lists of algorithms those are shown that are really offered.

With -v what is not obeyed is listed too, and what happens instead where that concerns security.

Exit status: 0; 255 when a file cannot be used or a line cannot be obeyed; 2 when the command line makes no sense.

JSON, one object: schema (sternline.config/1), host, settings and ignored, each entry with option, value and source.";

/// Options of `sternline config`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Show(Box<ShowArgs>),
}

/// Show every setting of the connection to a host, and where it was made
///
/// Answers what `sternline ssh` would do with the same options, without connecting.
#[derive(Debug, clap::Args)]
#[command(
    after_help = NOTES,
    mut_arg("timeout", |arg| arg.hide(true)),
    mut_arg("events", |arg| arg.hide(true)),
    mut_arg("evidence", |arg| arg.hide(true)),
    mut_arg("ask_password", |arg| arg.hide(true)),
    mut_arg("json", |arg| arg.help("Print one JSON object on standard output")),
)]
pub(super) struct ShowArgs {
    /// The host: [user@]host[:port]
    pub(super) host: String,

    #[command(flatten)]
    pub(super) connect: ConnectOptions,
}

pub(crate) fn run(args: &Args, ui: &Ui) -> Result<ExitCode, Failure> {
    let Action::Show(args) = &args.action;
    show::run(args, ui)
}
