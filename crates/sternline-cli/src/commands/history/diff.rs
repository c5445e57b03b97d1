//! What came out differently.

use std::collections::HashMap;
use std::process::ExitCode;

use sternline_history::{Change, History, Host, Outcome, Run, What, diff};

use super::args::{DiffArgs, found};
use super::json::diff_json;
use super::words::{command, end, hosts, name, when};
use crate::exit;
use crate::history::trouble;
use crate::ui::Failure;
use crate::ui::report::{Report, write_lines};

/// How much of a command the heads show.
const COMMAND: usize = 100;

pub(super) fn run(history: &History, args: &DiffArgs) -> Result<ExitCode, Failure> {
    let (before, after) = (found(history, &args.before)?, found(history, &args.after)?);
    let hosts_of = |run: &Run| history.hosts(run).map_err(|error| trouble(&error));
    let (first, second) = (hosts_of(&before)?, hosts_of(&after)?);
    let changes = diff(&first, &second);
    if args.json {
        write_lines([diff_json(&before, &after, &changes).to_string()])?;
    } else {
        show(&before, &after, &changes, first.len())?;
    }
    Ok(match changes.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(exit::FAILED),
    })
}

fn show(before: &Run, after: &Run, changes: &[Change], count: usize) -> Result<(), Failure> {
    let report = Report::fitting(usize::MAX);
    for (sign, run) in [("-", before), ("+", after)] {
        let line = format!("{}, {}, {}", run.id, when(run.begun_ms), command(run, COMMAND));
        report.row(&[(sign, 1)], &[line])?;
    }
    for kind in Kind::ALL {
        let of_kind: Vec<&Change> = changes.iter().filter(|change| kind_of(change) == kind).collect();
        if of_kind.is_empty() {
            continue;
        }
        report.line("")?;
        let heading = format!("{}: {}", kind.heading(), hosts(of_kind.len()));
        report.line(&match kind {
            Kind::Broken => report.bad(&heading),
            Kind::Mended => report.good(&heading),
            _ => report.bold(&heading),
        })?;
        for (words, labels) in grouped(&of_kind) {
            let text = match words.is_empty() {
                true => labels.join(", "),
                false => format!("{words}: {}", labels.join(", ")),
            };
            report.row(&[("", 0)], &[text])?;
        }
    }
    let only_first = |change: &&Change| change.after.is_none() || change.before.is_some();
    let same = count - changes.iter().filter(only_first).count();
    if same == 0 && !changes.is_empty() {
        return Ok(());
    }
    report.line("")?;
    report.line(&match changes.is_empty() {
        true => format!("No difference on {}.", hosts(same)),
        false => format!("The same on {}.", hosts(same)),
    })
}

/// What is most worth knowing of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Broken,
    Mended,
    Outcome,
    Exit,
    Error,
    Output,
    OnlyBefore,
    OnlyAfter,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Broken,
        Self::Mended,
        Self::Outcome,
        Self::Exit,
        Self::Error,
        Self::Output,
        Self::OnlyBefore,
        Self::OnlyAfter,
    ];

    fn heading(self) -> &'static str {
        match self {
            Self::Broken => "Succeeded before, and not any more",
            Self::Mended => "Succeeded now, and not before",
            Self::Outcome => "Another outcome",
            Self::Exit => "Another exit status",
            Self::Error => "Another error",
            Self::Output => "Another output",
            Self::OnlyBefore => "Only in the first run",
            Self::OnlyAfter => "Only in the second run",
        }
    }
}

fn kind_of(change: &Change) -> Kind {
    let (before, after) = match (&change.before, &change.after) {
        (Some(before), Some(after)) => (before.outcome, after.outcome),
        (Some(_), None) => return Kind::OnlyBefore,
        (None, _) => return Kind::OnlyAfter,
    };
    match change.what.first() {
        Some(What::Outcome) if before == Some(Outcome::Ok) => Kind::Broken,
        Some(What::Outcome) if after == Some(Outcome::Ok) => Kind::Mended,
        Some(What::Outcome) => Kind::Outcome,
        Some(What::Exit) => Kind::Exit,
        Some(What::Error) => Kind::Error,
        _ => Kind::Output,
    }
}

/// The hosts of which the same is to be said together, in the order of the first of them.
fn grouped(changes: &[&Change]) -> Vec<(String, Vec<String>)> {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for change in changes {
        let words = words(change);
        let place = *places.entry(words.clone()).or_insert(groups.len());
        match groups.get_mut(place) {
            Some((_, labels)) => labels.push(label(change)),
            None => groups.push((words, vec![label(change)])),
        }
    }
    groups
}

fn label(change: &Change) -> String {
    let host = change.before.as_ref().or(change.after.as_ref());
    host.map(name).unwrap_or_default()
}

/// `exit status 0 -> exit status 3; stdout differs (12 and 0 bytes)`.
fn words(change: &Change) -> String {
    let ended = |host: &Host| match end(host) {
        text if text.is_empty() => "ok".to_owned(),
        text => text,
    };
    let (before, after) = match (&change.before, &change.after) {
        (Some(before), Some(after)) => (before, after),
        (Some(host), None) | (None, Some(host)) => return ended(host),
        (None, None) => return String::new(),
    };
    let mut parts = Vec::new();
    if change
        .what
        .iter()
        .any(|what| !matches!(what, What::Stdout | What::Stderr))
    {
        parts.push(format!("{} -> {}", ended(before), ended(after)));
    }
    for (what, name, first, second) in [
        (What::Stdout, "stdout", &before.stdout, &after.stdout),
        (What::Stderr, "stderr", &before.stderr, &after.stderr),
    ] {
        if change.what.contains(&what) {
            let bytes = [first, second].map(|stream| stream.as_ref().map_or(0, |stream| stream.bytes));
            let [first, second] = bytes;
            parts.push(format!("{name} differs ({first} and {second} bytes)"));
        }
    }
    parts.join("; ")
}
