//! `sternline evidence explain`.

use std::io::Write as _;
use std::process::ExitCode;

use sternline::EvidenceBundle;
use sternline::evidence::{Explanation, Outcome, explain, timeline};

use super::head::{origin, since, title, verdict};
use crate::ui::Failure;
use crate::ui::report::Report;

/// The width of the report where standard output is no terminal: it is often pasted into a message.
const ELSEWHERE: usize = 80;

pub(super) fn run(bundle: &EvidenceBundle, json: bool) -> Result<ExitCode, Failure> {
    let explanation = explain(bundle);
    if json {
        let line = format!("{}\n", explanation.to_dict());
        std::io::stdout()
            .write_all(line.as_bytes())
            .map_err(|error| Failure::output(&error))?;
        return Ok(ExitCode::SUCCESS);
    }
    let report = Report::fitting(ELSEWHERE);
    report.row(&[], &[report.bold(&title(bundle))])?;
    report.line("")?;
    report.row(&[], &[coloured(&report, &explanation)])?;
    report.row(&[], std::slice::from_ref(&explanation.cause))?;

    let first = timeline(bundle).first().map(|moment| moment.start_ms());
    let origin = origin(bundle, first);
    if !explanation.facts.is_empty() {
        section(&report, "What supports this")?;
        for fact in &explanation.facts {
            let at = fact.at_ms.map(|at| since(origin, at)).unwrap_or_default();
            report.row(
                &[("", 0), (&format!("{at:>11}"), 11)],
                std::slice::from_ref(&fact.text),
            )?;
        }
    }
    section(&report, "How far it got")?;
    report.row(&[("", 0)], std::slice::from_ref(&explanation.how_far))?;
    if !explanation.next_steps.is_empty() {
        section(&report, "What to do")?;
        for (number, step) in (1..).zip(&explanation.next_steps) {
            report.row(&[("", 0), (&format!("{number}."), 2)], std::slice::from_ref(step))?;
        }
    }
    if !explanation.not_known.is_empty() {
        section(&report, "What is not known")?;
        for text in &explanation.not_known {
            report.row(&[("", 0), ("-", 1)], std::slice::from_ref(text))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The verdict, in the colour that it deserves.
pub(super) fn coloured(report: &Report, explanation: &Explanation) -> String {
    let verdict = verdict(explanation);
    match explanation.outcome {
        Outcome::Succeeded | Outcome::Recovered => report.good(&verdict),
        Outcome::CommandFailed | Outcome::Failed => report.bad(&verdict),
        _ => report.warning(&verdict),
    }
}

fn section(report: &Report, title: &str) -> Result<(), Failure> {
    report.line("")?;
    report.line(&report.bold(title))
}
