//! A finding as a person reads it.

use super::finding::{Finding, State};
use crate::ui::Failure;
use crate::ui::report::{Report, phase_name, time};

/// One line for each phase, more where there is more to tell. The error itself is left to the caller.
pub(crate) fn show(report: &Report, finding: &Finding) -> Result<(), Failure> {
    for step in &finding.steps {
        let state = match step.state {
            State::Ok => report.good("ok"),
            State::Failed => report.bad("FAIL"),
            State::NotReached => continue,
        };
        let took = step.took.map(time).unwrap_or_default();
        report.row(
            &[
                (&state, 4),
                (&phase_name(step.phase), 8),
                (&format!("{took:>9}"), 9),
            ],
            &step.details,
        )?;
    }
    let left: Vec<String> = finding
        .steps
        .iter()
        .filter(|step| step.state == State::NotReached)
        .map(|step| phase_name(step.phase))
        .collect();
    if !left.is_empty() {
        report.row(&[("-", 4)], &[format!("not reached: {}", left.join(", "))])?;
    }
    report.line("")?;
    if finding.error.is_none() {
        report.line(&format!(
            "All is well: connected and ran a command in {}.",
            time(finding.took())
        ))?;
    }
    Ok(())
}
