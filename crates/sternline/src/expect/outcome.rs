//! What waiting came to, in words.

use std::time::Duration;

use sternline_proto::expect::{
    ExpectPattern, ExpectResult, Found, Matcher, Nearest, seen_last, shown_pattern,
};
use sternline_proto::text::escape;

use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, SendState, seconds};

/// Uses up the output through a match.
pub(super) fn matched(matcher: &mut Matcher, found: &Found, took: Duration) -> ExpectResult {
    let consumed = matcher.consume(found);
    ExpectResult {
        matched: true,
        pattern: found.pattern.clone(),
        match_text: consumed.match_text,
        groups: consumed.groups,
        buffer: consumed.buffer,
        duration_ms: took.as_secs_f64() * 1000.0,
        timed_out: false,
        nearest: None,
    }
}

/// `first` is the first of the patterns.
pub(super) fn unmatched(
    patterns: &[ExpectPattern],
    first: &ExpectPattern,
    matcher: &Matcher,
    took: Duration,
    timed_out: bool,
) -> ExpectResult {
    let buffer = matcher.remaining().into_owned();
    let nearest = Nearest::find(patterns, &buffer, &matcher.used());
    ExpectResult {
        matched: false,
        pattern: nearest.as_ref().map_or(first, |nearest| &nearest.pattern).clone(),
        match_text: String::new(),
        groups: Vec::new(),
        buffer,
        duration_ms: took.as_secs_f64() * 1000.0,
        timed_out,
        nearest,
    }
}

/// The time is over. `masked` takes the secrets out of a text.
pub(super) fn timeout(
    patterns: &[ExpectPattern],
    result: &ExpectResult,
    limit: Duration,
    masked: impl Fn(&str) -> String,
) -> Error {
    let names: Vec<String> = patterns
        .iter()
        .map(|pattern| format!("\"{}\"", shown_pattern(pattern)))
        .collect();
    let seen = masked(&result.buffer);
    let mut message = format!(
        "no output matched {} within {}; {}",
        masked(&names.join(" or ")),
        seconds(limit),
        last(&seen)
    );
    let mut error_hint = None;
    let nearest = result
        .nearest
        .as_ref()
        .map(|nearest| masked(&nearest.to_string()));
    if let Some(nearest) = &nearest {
        message.push_str("; ");
        message.push_str(nearest);
        error_hint = result.nearest.as_ref().and_then(Nearest::hint);
    }
    let mut error = Error::new(ErrorKind::ExpectTimeout, message)
        .in_phase(Phase::Exec)
        .with_sent(SendState::Ran)
        .with_extra("pattern", masked(result.pattern.pattern()))
        .with_extra("timeout_sec", limit.as_secs_f64())
        .with_extra("buffer_tail", tail(&seen));
    if let Some(nearest) = nearest {
        error = error.with_extra("nearest", nearest);
    }
    match error_hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// The time for the end is over; `seen` has no secrets in it.
pub(super) fn no_end(limit: Duration, seen: &str) -> Error {
    let message = format!(
        "the program did not end within {}; {}",
        seconds(limit),
        last(seen)
    );
    Error::new(ErrorKind::ExpectTimeout, message)
        .in_phase(Phase::Exec)
        .with_sent(SendState::Ran)
        .with_extra("timeout_sec", limit.as_secs_f64())
        .with_extra("buffer_tail", tail(seen))
        .with_hint("it may wait for input: send what ends it, or the end of its input, or cancel it")
}

/// The end of the output, escaped and otherwise as it was.
fn tail(seen: &str) -> String {
    const LENGTH: usize = 1000;
    let skipped = seen.chars().count().saturating_sub(LENGTH);
    escape(&seen.chars().skip(skipped).collect::<String>())
}

fn last(seen: &str) -> String {
    match seen_last(seen).as_str() {
        "" => "there was no output since the match before".to_owned(),
        seen => format!("the output ended with \"{seen}\""),
    }
}
