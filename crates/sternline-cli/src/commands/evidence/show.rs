//! `sternline evidence show`.

use std::process::ExitCode;

use sternline::EvidenceBundle;
use sternline::evidence::{
    Moment, Mood, RecordedCommand, RecordedOutput, Step, StepState, explain, timeline,
};
use sternline::proto::text::escape_again;

use super::explain::coloured;
use super::head::{origin, since, title, took};
use crate::ui::Failure;
use crate::ui::report::Report;

/// The columns of a bar.
const BAR: usize = 40;

/// How many lines of a recorded output are shown.
const LINES: usize = 12;

pub(super) fn run(bundle: &EvidenceBundle) -> Result<ExitCode, Failure> {
    // Lines that go into a file or through grep are left whole.
    let report = Report::fitting(usize::MAX);
    let explanation = explain(bundle);
    report.row(&[], &[report.bold(&title(bundle))])?;
    report.row(
        &[],
        &[format!(
            "{}. {}",
            coloured(&report, &explanation),
            explanation.cause
        )],
    )?;
    facts(&report, bundle)?;
    if !explanation.steps.is_empty() {
        section(&report, "Phases")?;
        phases(&report, &explanation.steps)?;
    }
    let moments = timeline(bundle);
    if !moments.is_empty() {
        section(&report, "Timeline")?;
        let first = moments.first().map(|moment| moment.start_ms());
        let origin = origin(bundle, first);
        for moment in &moments {
            line(&report, bundle, moment, origin)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn section(report: &Report, title: &str) -> Result<(), Failure> {
    report.line("")?;
    report.line(&report.bold(title))
}

/// The server and the algorithms, in a few lines.
fn facts(report: &Report, bundle: &EvidenceBundle) -> Result<(), Failure> {
    let known = |name: &str| {
        let fields = bundle.algorithms.fields();
        let (_, value) = fields.iter().find(|(field, _)| *field == name)?;
        value.as_deref().map(escape_again)
    };
    let joined = |names: &[&str]| {
        let mut texts: Vec<String> = names.iter().filter_map(|name| known(name)).collect();
        texts.dedup();
        Some(texts.join(", ")).filter(|text| !text.is_empty())
    };
    for (name, text) in [
        ("server", joined(&["server_version"])),
        ("host key", joined(&["host_key", "host_key_fingerprint"])),
        (
            "algorithms",
            joined(&["kex", "cipher_cs", "cipher_sc", "mac_cs", "mac_sc"]),
        ),
        (
            "compression",
            joined(&["compression_cs", "compression_sc"]).filter(|text| text != "none"),
        ),
    ] {
        if let Some(text) = text {
            report.row(&[(&report.faint(name), 11)], &[text])?;
        }
    }
    Ok(())
}

/// Each phase with its duration as a bar; all bars have one scale, and each begins where the one before it ended.
fn phases(report: &Report, steps: &[Step]) -> Result<(), Failure> {
    let durations: Vec<f64> = steps
        .iter()
        .map(|step| {
            step.duration_ms
                .filter(|took| took.is_finite() && *took > 0.0)
                .unwrap_or_default()
        })
        .collect();
    let total: f64 = durations.iter().sum();
    let mut before = 0.0;
    for (step, duration) in steps.iter().zip(durations) {
        let name = step.phase.replace('_', " ");
        let state = match step.state {
            StepState::Passed => report.good("ok"),
            StepState::Failed => report.bad("FAIL"),
            StepState::NotReached => report.faint("-"),
            StepState::NotKnown => "?".to_owned(),
        };
        let time = step.duration_ms.map(took).unwrap_or_default();
        let bar = match total > 0.0 && duration > 0.0 {
            true => bar(before / total, duration / total),
            false => String::new(),
        };
        let bar = match step.state {
            StepState::Failed => report.bad(&bar),
            _ => bar,
        };
        before += duration;
        report.line(&format!(
            "  {state}{} {name:<10} {time:>10}  {bar}",
            " ".repeat(4usize.saturating_sub(plain_width(step.state)))
        ))?;
    }
    Ok(())
}

fn plain_width(state: StepState) -> usize {
    match state {
        StepState::Passed => 2,
        StepState::Failed => 4,
        StepState::NotReached | StepState::NotKnown => 1,
    }
}

/// A bar that begins after a part of the whole and is another part of it long, at least one column.
fn bar(start: f64, part: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a part of BAR"
    )]
    let columns = |part: f64| (part.clamp(0.0, 1.0) * BAR as f64).round() as usize;
    let length = columns(part).max(1);
    let start = columns(start).min(BAR - length);
    format!("{}{}", " ".repeat(start), "=".repeat(length))
}

fn line(report: &Report, bundle: &EvidenceBundle, moment: &Moment, origin: f64) -> Result<(), Failure> {
    let at = since(origin, moment.at_ms);
    let label = match moment.mood {
        Mood::Plain => moment.label.clone(),
        Mood::Good => report.good(&moment.label),
        Mood::Warning => report.warning(&moment.label),
        Mood::Bad => report.bad(&moment.label),
    };
    let time = moment.duration_ms.map(took).unwrap_or_default();
    report.row(
        &[
            (&format!("{at:>11}"), 11),
            (&format!("{time:>9}"), 9),
            (&label, 18),
        ],
        std::slice::from_ref(&moment.text),
    )?;
    match moment.command.and_then(|index| bundle.commands.get(index)) {
        Some(command) => recorded(report, command),
        None => Ok(()),
    }
}

/// What a command read and wrote.
fn recorded(report: &Report, command: &RecordedCommand) -> Result<(), Failure> {
    let indent = " ".repeat(24);
    if command.stdin.bytes > 0 {
        let hash = command.stdin.sha256.as_deref().unwrap_or("not known");
        let text = format!(
            "{indent}read {} bytes (SHA-256 {})",
            command.stdin.bytes,
            escape_again(hash)
        );
        report.line(&report.faint(&text))?;
    }
    for (name, output) in [("stdout", &command.stdout), ("stderr", &command.stderr)] {
        for line in lines(output) {
            report.line(&format!("{indent}{}", report.faint(&format!("{name} | {line}"))))?;
        }
    }
    Ok(())
}

/// The first lines of an output, and how much more there is.
fn lines(output: &RecordedOutput) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.data);
    let mut lines: Vec<String> = text.lines().take(LINES).map(escape_again).collect();
    let more = text.lines().count().saturating_sub(LINES);
    if more > 0 {
        lines.push(format!("... {more} more lines"));
    }
    if output.is_truncated() {
        let kept = output.data.len();
        lines.push(format!(
            "... only the first {kept} of {} bytes were kept",
            output.bytes
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_stay_within_their_columns() {
        assert_eq!(bar(0.0, 1.0), "=".repeat(BAR));
        assert_eq!(bar(0.5, 0.5), format!("{}{}", " ".repeat(20), "=".repeat(20)));
        assert_eq!(bar(1.0, 0.0).len(), BAR);
        assert_eq!(bar(0.0, 0.0001), "=");
    }

    #[test]
    fn long_and_truncated_output_says_so_and_controls_nothing() {
        let output = RecordedOutput {
            data: "a\x1b[2J\n".repeat(20).into_bytes(),
            bytes: 1000,
        };
        let lines = lines(&output);
        assert_eq!(lines.len(), LINES + 2);
        assert_eq!(lines[0], "a\\x1b[2J");
        assert_eq!(lines[LINES], "... 8 more lines");
        assert_eq!(lines[LINES + 1], "... only the first 120 of 1000 bytes were kept");
    }
}
