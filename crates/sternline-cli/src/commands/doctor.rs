//! `sternline doctor`.

use std::process::ExitCode;

use crate::connect::ConnectOptions;
use crate::ui::{Failure, Ui};

/// Options of `sternline doctor`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The host: [user@]host[:port]
    host: String,

    #[command(flatten)]
    connect: ConnectOptions,
}

pub(crate) async fn run(args: Args, _ui: &Ui) -> Result<ExitCode, Failure> {
    let _ = (&args.host, &args.connect);
    Err(Failure::local("not written yet"))
}
