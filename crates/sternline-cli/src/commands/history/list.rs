//! The list of runs.

use std::process::ExitCode;

use sternline_history::{Filter, History, State};

use super::args::ListArgs;
use super::json::run_json;
use super::words::{command, counts, took, when};
use crate::history::trouble;
use crate::ui::Failure;
use crate::ui::report::{Report, write_lines};

/// How much of a command the list shows.
const COMMAND: usize = 100;

pub(super) fn run(history: &History, args: &ListArgs) -> Result<ExitCode, Failure> {
    let filter = Filter {
        host: args.host.clone(),
        failed: args.failed,
        since_ms: args.since.map(|since| since.0),
        limit: usize::try_from(args.limit).ok(),
    };
    let runs = history.list(&filter).map_err(|error| trouble(&error))?;
    if args.json {
        write_lines(
            runs.iter()
                .map(|run| run_json(run, "sternline.history/1").to_string()),
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    let report = Report::fitting(usize::MAX);
    let rows: Vec<[String; 4]> = runs
        .iter()
        .map(|run| [run.id.to_string(), when(run.begun_ms), counts(run), took(run)])
        .collect();
    let heads = ["RUN", "BEGUN", "HOSTS", "TOOK"];
    let widths: Vec<usize> = heads
        .iter()
        .enumerate()
        .map(|(column, head)| {
            let cells = rows.iter().filter_map(|row| row.get(column)).map(String::len);
            cells.max().unwrap_or_default().max(head.len())
        })
        .collect();
    let row = |cells: &[String], last: String| {
        let columns: Vec<(&str, usize)> = cells
            .iter()
            .map(String::as_str)
            .zip(widths.iter().copied())
            .collect();
        report.row(&columns, &[last])
    };
    if !rows.is_empty() {
        row(&heads.map(|head| report.faint(head)), report.faint("COMMAND"))?;
    }
    for (run, cells) in runs.iter().zip(&rows) {
        let mut cells = cells.clone();
        let went_well = run.state == State::Finished && run.ok == run.hosts;
        if let Some(hosts) = cells.get_mut(2).filter(|_| !went_well) {
            *hosts = report.warning(hosts);
        }
        row(&cells, command(run, COMMAND))?;
    }
    Ok(ExitCode::SUCCESS)
}
