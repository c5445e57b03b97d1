//! One run.

use std::process::ExitCode;

use serde_json::Value;
use sternline::proto::text::{escape, escape_bytes};
use sternline_history::{History, Host, Outcome, Output, Run, State};

use super::args::{ShowArgs, found};
use super::json::{host_json, run_json};
use super::words::{counts, effort, end, name, outcome, took, when};
use crate::history::trouble;
use crate::ui::Failure;
use crate::ui::report::{Report, write_lines};

pub(super) fn run(history: &History, args: &ShowArgs) -> Result<ExitCode, Failure> {
    let run = found(history, &args.run)?;
    let mut hosts = history.hosts(&run).map_err(|error| trouble(&error))?;
    if let Some(wanted) = &args.host {
        hosts.retain(|host| host.name == *wanted || host.target == *wanted);
        if hosts.is_empty() {
            return Err(
                Failure::usage(format!("the run {} has no host {}", run.id, escape(wanted)))
                    .with_hint(format!("see `sternline history show {}` for its hosts", run.id)),
            );
        }
    }
    if args.output && !run.records_output {
        return Err(Failure::usage(format!("the run {} kept no output", run.id))
            .with_hint("a run keeps it with --record-output"));
    }
    let output = |host: &Host| match run.records_output {
        true => history.output(&run, host).map_err(|error| trouble(&error)),
        false => Ok([None, None]),
    };
    if args.json {
        let results = hosts.iter().map(|host| Ok(host_json(host, &output(host)?)));
        let mut object = run_json(&run, "sternline.history.show/1");
        if let Value::Object(fields) = &mut object {
            let results = results.collect::<Result<Vec<Value>, Failure>>()?;
            fields.insert("results".to_owned(), results.into());
        }
        write_lines([object.to_string()])?;
        return Ok(ExitCode::SUCCESS);
    }
    let report = Report::fitting(usize::MAX);
    head(&report, &run)?;
    let widest = |cell: fn(&Host) -> String| hosts.iter().map(cell).map(|text| text.chars().count()).max();
    let names = widest(name).unwrap_or_default();
    let efforts = widest(effort).unwrap_or_default();
    for host in &hosts {
        let state = match host.outcome {
            Some(Outcome::Ok) => report.good(outcome(host)),
            Some(Outcome::Failed) => report.bad(outcome(host)),
            _ => report.warning(outcome(host)),
        };
        let mut text = vec![end(host)];
        text.extend(host.error.as_ref().map(|error| escape(&error.message)));
        report.row(
            &[(&state, 7), (&name(host), names), (&effort(host), efforts)],
            &text,
        )?;
        if args.output {
            for (stream, kept) in ["stdout", "stderr"].iter().zip(output(host)?) {
                show_output(&report, stream, kept)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn head(report: &Report, run: &Run) -> Result<(), Failure> {
    let how = match run.state {
        State::Finished => format!("took {}", took(run)),
        State::Interrupted => took(run),
        State::Running => "still going on".to_owned(),
        State::Unfinished => "unfinished: it was killed, or its end could not be recorded".to_owned(),
    };
    report.row(
        &[],
        &[report.bold(&format!("{}, {}, {how}", run.id, when(run.begun_ms)))],
    )?;
    let options: Vec<String> = run
        .options
        .iter()
        .map(|(name, value)| format!("{} {}", escape(name), escape(&plain(value))))
        .collect();
    let by = format!(
        "{} on {} with sternline {}",
        escape(&run.user),
        escape(&run.machine),
        escape(&run.version)
    );
    let word = if run.verb == "ssh" { "command" } else { "copied" };
    for (name, text) in [
        (word, escape(&run.command)),
        ("as typed", escape(&run.command_line)),
        ("options", options.join(", ")),
        ("by", by),
        ("hosts", format!("{}: {}", run.hosts, counts(run))),
    ] {
        if !text.is_empty() {
            report.row(&[(&report.faint(name), 8)], &[text])?;
        }
    }
    report.line("")
}

/// An option's value as one writes it.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// What was kept of a stream, line by line, in a form that no terminal obeys.
fn show_output(report: &Report, stream: &str, kept: Option<Output>) -> Result<(), Failure> {
    let Some(kept) = kept.filter(|kept| !kept.data.is_empty() || kept.cut) else {
        return Ok(());
    };
    let lines = kept.data.split_inclusive(|byte| *byte == b'\n').map(|line| {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        format!("  {} {}", report.faint(&format!("{stream}:")), escape_bytes(line))
    });
    let more = kept
        .cut
        .then(|| format!("  {} there was more", report.faint(&format!("{stream}:"))));
    write_lines(lines.chain(more))
}
