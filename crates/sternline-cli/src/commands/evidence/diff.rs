//! `sternline evidence diff`.

use std::io::Write as _;
use std::process::ExitCode;

use sternline::EvidenceBundle;
use sternline::evidence::{Difference, Weight, diff, differences_to_dict};

use super::head::title;
use crate::exit;
use crate::ui::Failure;
use crate::ui::report::Report;

/// The width of the report where standard output is no terminal.
const ELSEWHERE: usize = 80;

pub(super) fn run(before: &EvidenceBundle, after: &EvidenceBundle, json: bool) -> Result<ExitCode, Failure> {
    let differences = diff(before, after);
    if json {
        let line = format!("{}\n", differences_to_dict(&differences));
        std::io::stdout()
            .write_all(line.as_bytes())
            .map_err(|error| Failure::output(&error))?;
    } else {
        show(before, after, &differences)?;
    }
    Ok(match differences.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(exit::FAILED),
    })
}

fn show(before: &EvidenceBundle, after: &EvidenceBundle, differences: &[Difference]) -> Result<(), Failure> {
    let report = Report::fitting(ELSEWHERE);
    if differences.is_empty() {
        return report.line("No difference that matters: only the times are others.");
    }
    report.row(&[("-", 1)], &[title(before)])?;
    report.row(&[("+", 1)], &[title(after)])?;
    let mut weight = None;
    for difference in differences {
        if weight != Some(difference.weight) {
            weight = Some(difference.weight);
            report.line("")?;
            report.line(&report.bold(heading(difference.weight)))?;
        }
        let area = difference.area.as_str();
        let name = match difference.name == area {
            true => area.to_owned(),
            false => format!("{area}: {}", difference.name),
        };
        report.row(&[("", 0)], &[name])?;
        if let Some(text) = &difference.before {
            report.row(&[("", 2), (&report.bad("-"), 1)], std::slice::from_ref(text))?;
        }
        if let Some(text) = &difference.after {
            report.row(&[("", 2), (&report.good("+"), 1)], std::slice::from_ref(text))?;
        }
        if let Some(note) = &difference.note {
            report.row(&[("", 2), ("", 1)], &[report.faint(note)])?;
        }
    }
    Ok(())
}

fn heading(weight: Weight) -> &'static str {
    match weight {
        Weight::Decisive => "The outcome",
        Weight::Likely => "Likely reasons",
        Weight::Notable => "Worth a look",
        Weight::Minor => "Other differences",
    }
}
