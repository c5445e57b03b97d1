//! `sternline demo`.

use std::process::ExitCode;

use crate::ui::{Failure, Ui};

/// Options of `sternline demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(_args: Args, _ui: &Ui) -> Result<ExitCode, Failure> {
    Err(Failure::local("not written yet"))
}
