//! What ran, and how long it all took.

use super::difference::{Area, Difference, Found, Weight};
use crate::event::EventType;
use crate::evidence::RecordedCommand;
use crate::evidence::bundle::EvidenceBundle;
use crate::evidence::reading::{Facts, counted, millis, shown};

/// How much longer has to be to count: so many times, and so many milliseconds.
const TIMES: f64 = 2.0;
const AT_LEAST_MS: f64 = 50.0;

/// How many commands are compared.
const MOST: usize = 1000;

/// A command, which of several equal ones it was, and how it ended.
struct Ran {
    name: String,
    outcome: String,
    good: bool,
    took: Option<f64>,
}

fn ran(bundle: &EvidenceBundle) -> Vec<Ran> {
    let mut all: Vec<Ran> = Vec::new();
    let events = bundle
        .events
        .iter()
        .filter(|event| event.event_type == EventType::Exec);
    let mut seen = std::collections::HashMap::<String, usize>::new();
    for event in events.take(MOST) {
        let facts = Facts(&event.data);
        let command = facts.text("command").unwrap_or_default();
        let number = seen.entry(command.clone()).or_default();
        *number += 1;
        let name = match *number {
            1 => format!("`{command}`"),
            number => format!("`{command}`, run {number}"),
        };
        let (outcome, good) = match (
            facts.text("error"),
            facts.text("signal"),
            facts.count("exit_code"),
        ) {
            (Some(error), ..) => (format!("failed: {error}"), false),
            (None, Some(signal), _) => (format!("signal {signal}"), false),
            (None, None, Some(code)) => (format!("status {code}"), code == 0),
            (None, None, None) => ("no status".to_owned(), false),
        };
        let took = facts.number("duration_ms");
        all.push(Ran {
            name,
            outcome,
            good,
            took,
        });
    }
    all
}

pub(super) fn commands(before: &EvidenceBundle, after: &EvidenceBundle, found: &mut Found) {
    let (were, are) = (ran(before), ran(after));
    if were.is_empty() && are.is_empty() {
        return;
    }
    let by_name: std::collections::HashMap<&str, &Ran> =
        are.iter().map(|ran| (ran.name.as_str(), ran)).collect();
    let mut gone = 0;
    for then in &were {
        match by_name.get(then.name.as_str()) {
            Some(now) => {
                let weight = match then.good == now.good {
                    true => Weight::Notable,
                    false => Weight::Likely,
                };
                let outcome = |ran: &Ran| Some(ran.outcome.clone());
                found.weighed(weight, Area::Commands, &then.name, outcome(then), outcome(now));
            }
            None => gone += 1,
        }
    }
    let known: std::collections::HashSet<&str> = were.iter().map(|ran| ran.name.as_str()).collect();
    let new = are
        .iter()
        .filter(|ran| !known.contains(ran.name.as_str()))
        .count();
    let number = |number: usize| (number > 0).then(|| counted(number, "command", "commands"));
    let by_one = "run by only one of the two";
    let differs = found.weighed(Weight::Minor, Area::Commands, by_one, number(gone), number(new));
    if differs && found.failed_in.is_some() && (gone == 0 || new == 0) {
        found.note("The one that failed did not get as far as running them.");
    }
    outputs(before, after, found);
}

/// The recorded output of commands that both have run.
fn outputs(before: &EvidenceBundle, after: &EvidenceBundle, found: &mut Found) {
    let size = |command: &RecordedCommand| {
        let bytes = command.stdout.bytes + command.stderr.bytes;
        Some(counted(
            usize::try_from(bytes).unwrap_or(usize::MAX),
            "byte",
            "bytes",
        ))
    };
    for then in before.commands.iter().take(MOST) {
        let mut others = after.commands.iter().filter(|now| now.command == then.command);
        let Some(now) = others.next() else {
            continue;
        };
        if (&then.stdout, &then.stderr) == (&now.stdout, &now.stderr) {
            continue;
        }
        let name = format!("output of `{}`", shown(&then.command));
        if found.list.iter().any(|difference| difference.name == name) {
            continue;
        }
        found.add(Difference {
            weight: Weight::Minor,
            area: Area::Commands,
            name,
            before: size(then),
            after: size(now),
            note: first_difference(then, now),
        });
    }
}

/// The first line in which two outputs differ.
fn first_difference(then: &RecordedCommand, now: &RecordedCommand) -> Option<String> {
    let text = |data: &[u8]| String::from_utf8_lossy(data).into_owned();
    for (one, other) in [(&then.stdout, &now.stdout), (&then.stderr, &now.stderr)] {
        let (one, other) = (text(&one.data), text(&other.data));
        let (mut one, mut other) = (one.lines(), other.lines());
        for line in 1.. {
            match (one.next(), other.next()) {
                (None, None) => break,
                (left, right) if left == right => {}
                (left, right) => {
                    let shown = |line: Option<&str>| {
                        line.map_or_else(|| "nothing".to_owned(), |line| format!("\"{}\"", shown(line)))
                    };
                    return Some(format!(
                        "Line {line} was {} and is {}.",
                        shown(left),
                        shown(right)
                    ));
                }
            }
        }
    }
    None
}

pub(super) fn timings(before: &EvidenceBundle, after: &EvidenceBundle, found: &mut Found) {
    let mut names: Vec<&str> = Vec::new();
    for timing in before.timing.phases.iter().chain(&after.timing.phases) {
        if !names.contains(&timing.phase.as_str()) && names.len() < 32 {
            names.push(&timing.phase);
        }
    }
    for name in names {
        let took = |bundle: &EvidenceBundle| {
            let mut phases = bundle.timing.phases.iter().rev();
            phases
                .find(|timing| timing.phase == name)
                .map(|timing| timing.duration_ms)
        };
        if let (Some(one), Some(other)) = (took(before), took(after)) {
            time(&shown(name).replace('_', " "), one, other, found);
        }
    }
    let (were, are) = (ran(before), ran(after));
    let by_name: std::collections::HashMap<&str, f64> = are
        .iter()
        .filter_map(|ran| Some((ran.name.as_str(), ran.took?)))
        .collect();
    for then in &were {
        if let (Some(one), Some(other)) = (then.took, by_name.get(then.name.as_str())) {
            time(&then.name, one, *other, found);
        }
    }
    let whole = |bundle: &EvidenceBundle| bundle.timing.connect_duration_ms();
    if let (Some(one), Some(other)) = (whole(before), whole(after)) {
        time("connecting, all in all", one, other, found);
    }
}

fn time(name: &str, before: f64, after: f64, found: &mut Found) {
    let (less, more) = (before.min(after), before.max(after));
    // Also false for what is no number.
    if !(more - less >= AT_LEAST_MS && more >= TIMES * less) {
        return;
    }
    found.weighed(
        Weight::Notable,
        Area::Timing,
        name,
        Some(millis(before)),
        Some(millis(after)),
    );
    if less > 0.0 {
        let word = if after > before { "slower" } else { "faster" };
        found.note(format!("{:.1} times {word}.", more / less));
    }
}
