//! What is said of runs and hosts in words.

use std::time::Duration;

use sternline::evidence::utc;
use sternline::proto::text::{escape, escape_again};
use sternline_history::{Host, Outcome, Run, State};

use crate::ui::report::time;

/// `2026-11-29 12:43:31 UTC`.
pub(super) fn when(millis: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a time is far below 2^53 milliseconds")]
    utc(millis as f64).unwrap_or_else(|| "?".to_owned())
}

/// `18 ok, 1 failed, 1 not begun`, without what there is none of.
pub(super) fn counts(run: &Run) -> String {
    let parts: Vec<String> = [
        (run.ok, "ok"),
        (run.failed, "failed"),
        (run.skipped, "not begun"),
        (run.unknown(), "unknown"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{count} {what}"))
    .collect();
    match parts.is_empty() {
        true => "no hosts".to_owned(),
        false => parts.join(", "),
    }
}

/// How long a run took, or that its end is not known.
pub(super) fn took(run: &Run) -> String {
    let duration = run.duration().map(time).unwrap_or_default();
    match run.state {
        State::Finished => duration,
        State::Interrupted => format!("{duration}, interrupted"),
        State::Running => "going on".to_owned(),
        State::Unfinished => "unfinished".to_owned(),
    }
}

/// What a run was about, in one line of at most `width` characters.
pub(super) fn command(run: &Run, width: usize) -> String {
    // What a copy moves is no command line, so the verb belongs to it.
    let text = match run.verb.as_str() {
        "ssh" => escape(&run.command),
        verb => format!("{} {}", escape(verb), escape(&run.command)),
    };
    match text.char_indices().nth(width) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default().trim_end()),
        None => text,
    }
}

/// A host's name. It was escaped when it was recorded, and again in case somebody else has written the file.
pub(super) fn name(host: &Host) -> String {
    escape_again(&host.name)
}

/// `ok`, `failed`, `skipped`, or `?` where nothing is recorded.
pub(super) fn outcome(host: &Host) -> &'static str {
    host.outcome.map_or("?", Outcome::as_str)
}

/// How it ended on a host: `exit status 3`, `ConnectionRefused in tcp, not sent`.
pub(super) fn end(host: &Host) -> String {
    let error = host.error.as_ref();
    match (&host.outcome, &host.skipped) {
        (None, _) => return "nothing is recorded".to_owned(),
        (Some(Outcome::Skipped), Some(reason)) => return format!("not begun: {}", escape(reason)),
        (Some(Outcome::Skipped), None) => return "not begun".to_owned(),
        (Some(Outcome::Ok | Outcome::Failed), _) => {}
    }
    if let Some(error) = error {
        let phase = error
            .phase
            .as_deref()
            .map(|phase| format!(" in {}", escape(phase).replace('_', " ")));
        let sent = escape(&error.sent).replace('_', " ");
        return format!(
            "{}{}, {sent}",
            escape(&error.error_type),
            phase.unwrap_or_default()
        );
    }
    match (&host.signal, host.exit_code) {
        (Some(signal), _) => format!("signal {}", escape(signal)),
        (None, Some(code)) => format!("exit status {code}"),
        (None, None) => String::new(),
    }
}

/// How long a host took, and how often it was tried if that was more than once.
pub(super) fn effort(host: &Host) -> String {
    let took = host
        .duration
        .filter(|took| *took > Duration::ZERO)
        .map(time)
        .unwrap_or_default();
    match host.attempts {
        0 | 1 => took,
        attempts => format!("{took}, {attempts} attempts"),
    }
}

/// `1 host`, `20 hosts`.
pub(super) fn hosts(count: usize) -> String {
    match count {
        1 => "1 host".to_owned(),
        count => format!("{count} hosts"),
    }
}
