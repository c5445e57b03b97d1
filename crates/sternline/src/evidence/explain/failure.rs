//! Which failure a bundle is about.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::error::DisconnectReason;
use crate::event::{Event, EventType};
use crate::evidence::bundle::EvidenceBundle;
use crate::evidence::reading::Facts;

/// The failure that decided.
#[derive(Debug)]
pub(super) struct Failure {
    /// The class name of its error; `None` where only the end of the connection is known.
    pub(super) error_type: Option<String>,
    /// All that is told of it, by name.
    fields: Map<String, Value>,
    pub(super) at_ms: Option<f64>,
    /// The event that tells of it, as its place among the events.
    pub(super) event: Option<usize>,
}

impl Failure {
    pub(super) fn facts(&self) -> Facts<'_> {
        Facts(&self.fields)
    }

    /// What went wrong, in its own words.
    pub(super) fn message(&self) -> Option<String> {
        let facts = self.facts();
        ["message", "error_message", "error"]
            .into_iter()
            .find_map(|name| facts.text(name))
    }
}

/// The failure that decided how it ended; `None` where nothing failed, or what failed was made good.
pub(super) fn find(bundle: &EvidenceBundle) -> Option<Failure> {
    let context = Facts(&bundle.error_context);
    if let Some(error_type) = context.text("error_type") {
        let event = event_of(bundle, context);
        let overcome = match event {
            Some(index) => made_good(bundle, index),
            // A supervisor keeps its last error even when that was overcome.
            None => context.is("supervisor_state", "connected"),
        };
        if overcome {
            return None;
        }
        if let Some(index) = event.and_then(|index| cut_off(bundle, index)) {
            return of_event(bundle, index);
        }
        let told = event.and_then(|index| bundle.events.get(index));
        // The event knows which command it was.
        let mut fields = told.map(|event| event.data.clone()).unwrap_or_default();
        fields.extend(bundle.error_context.clone());
        match told.map(|event| (event.event_type, event.data.get("sent"))) {
            // It is about the connection, and nothing was to be sent.
            Some((EventType::Disconnect, _)) => {
                fields.remove("sent");
            }
            // The same words may stand for the end of the connection; how far the command got only its own event knows.
            Some((_, Some(sent))) => {
                fields.insert("sent".to_owned(), sent.clone());
            }
            _ => {}
        }
        return Some(Failure {
            error_type: Some(error_type),
            fields,
            at_ms: told.map(|event| event.timestamp),
            event,
        });
    }
    if let Some(index) = last_failure(bundle) {
        return of_event(bundle, index);
    }
    if bundle.disconnect_reason == DisconnectReason::Normal {
        return None;
    }
    let end = bundle.events.iter().rposition(|event| {
        event.event_type == EventType::Disconnect && !Facts(&event.data).is("reason", "normal")
    });
    if end.is_some_and(|index| made_good(bundle, index)) {
        return None;
    }
    let told = end.and_then(|index| bundle.events.get(index));
    Some(Failure {
        error_type: None,
        fields: Map::new(),
        at_ms: told.map(|event| event.timestamp).or(bundle.timing.disconnect_ms),
        event: end,
    })
}

/// The failure that an event tells of.
fn of_event(bundle: &EvidenceBundle, index: usize) -> Option<Failure> {
    let event = bundle.events.get(index)?;
    Some(Failure {
        error_type: Facts(&event.data).text("error_type"),
        fields: event.data.clone(),
        at_ms: Some(event.timestamp),
        event: Some(index),
    })
}

/// The command that the end of a connection cut off, where the end is what is told of: what became of the command matters
/// more.
fn cut_off(bundle: &EvidenceBundle, index: usize) -> Option<usize> {
    let event = bundle.events.get(index)?;
    if event.event_type != EventType::Disconnect {
        return None;
    }
    let began = bundle
        .events
        .iter()
        .take(index)
        .rposition(is_connected)
        .unwrap_or_default();
    let after = bundle.events.iter().enumerate().skip(began);
    let of_this = after.take_while(|(place, event)| *place <= index || !is_connected(event));
    let lost = |event: &Event| {
        matches!(event.event_type, EventType::Exec | EventType::Shell)
            && tells_failure(event)
            && Facts(&event.data).is("error_type", "SSHConnectionError")
    };
    of_this
        .filter(|(_, event)| lost(event))
        .map(|(place, _)| place)
        .last()
}

fn is_connected(event: &Event) -> bool {
    event.event_type == EventType::Connect && Facts(&event.data).is("status", "connected")
}

/// Whether an event tells of a failure of a whole request.
fn tells_failure(event: &Event) -> bool {
    let facts = Facts(&event.data);
    match event.event_type {
        EventType::Error => true,
        EventType::Exec | EventType::Shell => facts.text("error").is_some(),
        EventType::StateChange => facts.is("to_state", "failed"),
        _ => false,
    }
}

/// The last event that tells of a failure which nothing after it undid: the same command was answered, or, where the
/// connection failed, there was another one.
fn last_failure(bundle: &EvidenceBundle) -> Option<usize> {
    let mut later = Later::default();
    for (index, event) in bundle.events.iter().enumerate().rev() {
        if tells_failure(event) && !later.undid(event) {
            return Some(index);
        }
        later.hear(event);
    }
    None
}

/// Whether something after an event undid the failure that it tells of.
fn made_good(bundle: &EvidenceBundle, index: usize) -> bool {
    let mut later = Later::default();
    bundle
        .events
        .iter()
        .skip(index + 1)
        .for_each(|event| later.hear(event));
    bundle.events.get(index).is_some_and(|event| later.undid(event))
}

/// What went well after a moment.
#[derive(Default)]
struct Later<'a> {
    connected: bool,
    answered: HashSet<&'a str>,
}

impl<'a> Later<'a> {
    fn hear(&mut self, event: &'a Event) {
        self.connected |= is_connected(event);
        let answered = event.data.get("exit_code").is_some_and(Value::is_number);
        if event.event_type == EventType::Exec && answered {
            self.answered
                .extend(event.data.get("command").and_then(Value::as_str));
        }
    }

    fn undid(&self, event: &Event) -> bool {
        match event.event_type {
            EventType::Exec => {
                let command = event.data.get("command").and_then(Value::as_str);
                command.is_some_and(|command| self.answered.contains(command))
            }
            EventType::Error | EventType::StateChange | EventType::Disconnect => self.connected,
            _ => false,
        }
    }
}

/// The event that tells of the bundle's error, by its words.
fn event_of(bundle: &EvidenceBundle, context: Facts<'_>) -> Option<usize> {
    let message = context.0.get("message")?.as_str()?;
    bundle.events.iter().rposition(|event| {
        let facts = Facts(&event.data);
        ["message", "error", "error_message"]
            .into_iter()
            .any(|name| facts.is(name, message))
    })
}
