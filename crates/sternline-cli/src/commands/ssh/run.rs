//! From options to a run.

use std::process::ExitCode;

use super::args::Args;
use crate::ui::{Failure, Ui};

pub(crate) async fn run(args: Args, _ui: &Ui) -> Result<ExitCode, Failure> {
    Err(Failure::usage(format!("{args:?}")))
}
