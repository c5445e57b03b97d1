//! Forgetting runs.

use std::process::ExitCode;

use sternline_history::{History, Run};

use super::args::{RemoveArgs, found};
use crate::history::trouble;
use crate::ui::{Failure, Ui};

pub(super) fn run(history: &mut History, args: &RemoveArgs, ui: &Ui) -> Result<ExitCode, Failure> {
    let count = if args.all {
        history.clear().map_err(|error| trouble(&error))?
    } else {
        // All of them are found before the first one goes: `last` would mean another one then.
        let runs = args.runs.iter().map(|run| found(history, run));
        let mut runs = runs.collect::<Result<Vec<Run>, Failure>>()?;
        runs.sort_by(|a, b| a.id.cmp(&b.id));
        runs.dedup_by(|a, b| a.id == b.id);
        for run in &runs {
            history.remove(run).map_err(|error| trouble(&error))?;
        }
        runs.len()
    };
    ui.line(&match count {
        1 => "1 run forgotten".to_owned(),
        count => format!("{count} runs forgotten"),
    });
    Ok(ExitCode::SUCCESS)
}
