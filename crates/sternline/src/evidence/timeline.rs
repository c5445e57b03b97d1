//! Everything in a bundle that has a time, in one order.

use std::collections::{HashMap, VecDeque};

use serde_json::Value;
use sternline_proto::evidence::RecordedCommand;

use super::bundle::EvidenceBundle;
use super::entry::{InteractionType, TranscriptEntry};
use super::reading::{Facts, shown};
use super::words::describe;
use crate::event::{Event, EventType};

/// What a moment is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MomentKind {
    /// The event at this place in [`EvidenceBundle::events`].
    Event(usize),
    /// The entry at this place in the transcript.
    Transcript(usize),
    /// The command at this place in [`EvidenceBundle::commands`].
    Command(usize),
}

/// How a moment is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mood {
    /// Something that goes its way.
    Plain,
    /// Something that went well.
    Good,
    /// Something that deserves a look.
    Warning,
    /// Something that went wrong.
    Bad,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Moment {
    /// What it is about.
    pub kind: MomentKind,
    /// When it ended, or happened, in milliseconds since the Unix epoch.
    pub at_ms: f64,
    /// How long it had taken by then, in milliseconds, where that is known.
    pub duration_ms: Option<f64>,
    /// A short name of what kind of thing it was, such as `AUTH`, `send` or `command`.
    pub label: String,
    /// What happened, safe to show.
    pub text: String,
    /// How to take it.
    pub mood: Mood,
    /// The place in [`EvidenceBundle::commands`] of the command that it tells of, where that was recorded.
    pub command: Option<usize>,
}

impl Moment {
    /// When it began.
    #[must_use]
    pub fn start_ms(&self) -> f64 {
        self.at_ms - self.duration_ms.unwrap_or_default()
    }
}

/// Everything that happened, in order; what happened at the same time stands in the order of the bundle. Recorded commands
/// are told of by their events, and stand here by themselves only where there is no such event.
#[must_use]
pub fn timeline(bundle: &EvidenceBundle) -> Vec<Moment> {
    let mut recorded = HashMap::<&str, VecDeque<usize>>::new();
    for (index, command) in bundle.commands.iter().enumerate() {
        recorded.entry(&command.command).or_default().push_back(index);
    }
    let mut moments: Vec<Moment> = bundle
        .events
        .iter()
        .enumerate()
        .map(|(index, event)| {
            let command = match event.event_type {
                EventType::Exec => event.data.get("command").and_then(Value::as_str),
                // What was written to an interactive shell, and what it wrote, is recorded without a command line.
                EventType::Shell => Some("").filter(|_| Facts(&event.data).is("status", "completed")),
                _ => None,
            };
            of_event(
                index,
                event,
                command.and_then(|command| recorded.get_mut(command)?.pop_front()),
            )
        })
        .collect();
    let entries = bundle
        .transcript
        .iter()
        .flat_map(|transcript| transcript.entries());
    moments.extend(entries.enumerate().map(|(index, entry)| of_entry(index, entry)));
    for index in recorded.into_values().flatten() {
        moments.extend(
            bundle
                .commands
                .get(index)
                .map(|command| of_command(index, command)),
        );
    }
    moments.retain(|moment| moment.at_ms.is_finite());
    moments.sort_by(|one, other| one.at_ms.total_cmp(&other.at_ms));
    moments
}

fn of_event(index: usize, event: &Event, command: Option<usize>) -> Moment {
    let facts = Facts(&event.data);
    let duration = facts
        .number("duration_ms")
        .or_else(|| facts.number("round_trip_ms"));
    Moment {
        kind: MomentKind::Event(index),
        at_ms: event.timestamp,
        duration_ms: duration.filter(|duration| *duration >= 0.0),
        label: event.event_type.as_str().to_owned(),
        text: describe(event),
        mood: mood(event.event_type, facts),
        command,
    }
}

fn of_entry(index: usize, entry: &TranscriptEntry) -> Moment {
    let content = shown(&entry.content);
    let (text, mood) = match entry.interaction_type {
        InteractionType::Expect => (format!("saw {content}"), Mood::Good),
        InteractionType::Send => (format!("sent {content}"), Mood::Plain),
        InteractionType::Output => (content, Mood::Plain),
        InteractionType::Timeout => (format!("waited in vain for {content}"), Mood::Bad),
    };
    Moment {
        kind: MomentKind::Transcript(index),
        at_ms: entry.timestamp_ms,
        duration_ms: Some(entry.duration_ms).filter(|took| *took > 0.0 && took.is_finite()),
        label: entry.interaction_type.as_str().to_owned(),
        text,
        mood,
        command: None,
    }
}

fn of_command(index: usize, command: &RecordedCommand) -> Moment {
    let name = match command.command.as_str() {
        "" => "The shell".to_owned(),
        command => format!("`{}`", shown(command)),
    };
    let (how, mood) = match (&command.error, &command.signal, command.exit_code) {
        (Some(error), ..) => (format!("failed: {}", shown(error)), Mood::Bad),
        (None, Some(signal), _) => (format!("was ended by the signal {}", shown(signal)), Mood::Bad),
        (None, None, Some(0)) => ("ended with status 0".to_owned(), Mood::Good),
        (None, None, Some(code)) => (format!("ended with status {code}"), Mood::Warning),
        (None, None, None) => ("was recorded".to_owned(), Mood::Plain),
    };
    Moment {
        kind: MomentKind::Command(index),
        at_ms: command.started_ms + command.duration_ms,
        duration_ms: Some(command.duration_ms).filter(|took| took.is_finite() && *took >= 0.0),
        label: "command".to_owned(),
        text: format!("{name} {how}."),
        mood,
        command: Some(index),
    }
}

fn mood(event_type: EventType, facts: Facts<'_>) -> Mood {
    match event_type {
        EventType::Error | EventType::KeepaliveTimeout => Mood::Bad,
        EventType::ProgressWarning => Mood::Warning,
        EventType::Connect if facts.is("status", "connected") => Mood::Good,
        EventType::Auth if facts.is("status", "success") => Mood::Good,
        EventType::Auth => Mood::Warning,
        EventType::Exec | EventType::Shell => {
            let failed = facts.text("error").is_some() || facts.text("signal").is_some();
            match facts.count("exit_code") {
                _ if failed => Mood::Bad,
                Some(0) => Mood::Good,
                Some(_) => Mood::Warning,
                None => Mood::Plain,
            }
        }
        EventType::Disconnect if facts.is("reason", "normal") => Mood::Plain,
        EventType::Disconnect => Mood::Bad,
        EventType::StateChange => match facts.text("to_state").as_deref() {
            Some("failed") => Mood::Bad,
            Some("reconnecting") => Mood::Warning,
            Some("connected") => Mood::Good,
            _ => Mood::Plain,
        },
        EventType::Forward | EventType::Transfer => match facts.0.get("error") {
            Some(error) if !error.is_null() => Mood::Bad,
            _ => Mood::Plain,
        },
        _ => Mood::Plain,
    }
}

/// A moment as people read it: `2026-11-29 09:50:03 UTC`. `None` where it is none that a calendar has.
#[must_use]
pub fn utc(millis: f64) -> Option<String> {
    if !(0.0..253_402_300_800_000.0).contains(&millis) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
    let seconds = (millis / 1000.0).floor() as i64;
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Years that begin in March have their leap day at the end; 400 of them have the same number of days each time.
    let shifted = days + 719_468;
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, year) = match month {
        0..=9 => (month + 3, year + era * 400),
        _ => (month - 9, year + era * 400 + 1),
    };
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    Some(format!(
        "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::sample::bundle;
    use crate::evidence::{RecordedInput, RecordedOutput};
    use serde_json::json;

    #[test]
    fn moments_stand_in_their_order_and_know_when_they_began() {
        let mut bundle = bundle();
        for (timestamp, data) in [
            (30.0, json!({"command": "b", "exit_code": 1, "duration_ms": 5.0})),
            (10.0, json!({})),
        ] {
            bundle.events.push(Event {
                event_type: EventType::Exec,
                timestamp,
                data: data.as_object().unwrap().clone(),
            });
        }
        let moments = timeline(&bundle);
        let seen: Vec<_> = moments
            .iter()
            .map(|moment| (moment.kind, moment.start_ms(), moment.mood))
            .collect();
        assert_eq!(
            seen,
            [
                (MomentKind::Event(1), 10.0, Mood::Plain),
                (MomentKind::Event(0), 25.0, Mood::Warning)
            ]
        );
    }

    #[test]
    fn what_was_recorded_of_a_shell_belongs_to_its_end() {
        let mut bundle = bundle();
        bundle.commands = vec![RecordedCommand {
            command: String::new(),
            started_ms: 1.0,
            duration_ms: 9.0,
            stdin: RecordedInput::default(),
            stdout: RecordedOutput::default(),
            stderr: RecordedOutput::default(),
            exit_code: None,
            signal: None,
            error: None,
        }];
        for status in ["starting", "completed"] {
            bundle.events.push(Event {
                event_type: EventType::Shell,
                timestamp: 10.0,
                data: json!({"status": status, "exit_code": 5})
                    .as_object()
                    .unwrap()
                    .clone(),
            });
        }
        let commands = |bundle: &EvidenceBundle| {
            let moments = timeline(bundle);
            moments
                .into_iter()
                .map(|moment| moment.command)
                .collect::<Vec<_>>()
        };
        assert_eq!(commands(&bundle), [None, Some(0)]);
        bundle.events.clear();
        assert_eq!(commands(&bundle), [Some(0)]);
        assert_eq!(timeline(&bundle)[0].text, "The shell was recorded.");
    }

    #[test]
    fn moments_are_written_by_the_calendar() {
        for (millis, text) in [
            (0.0, Some("1970-01-01 00:00:00 UTC")),
            (951_782_400_999.0, Some("2000-02-29 00:00:00 UTC")),
            (1_795_945_803_000.0, Some("2026-11-29 09:50:03 UTC")),
            (4_107_542_399_000.0, Some("2100-02-28 23:59:59 UTC")),
            (4_107_542_400_000.0, Some("2100-03-01 00:00:00 UTC")),
            (-1.0, None),
            (f64::NAN, None),
            (1e300, None),
        ] {
            assert_eq!(utc(millis).as_deref(), text);
        }
    }
}
