//! How far connecting got.

use super::explanation::{Step, StepState};
use super::failure::Failure;
use crate::deadline::Phase;
use crate::event::{Event, EventType};
use crate::evidence::bundle::EvidenceBundle;
use crate::evidence::reading::{Facts, listed, millis};

/// The phases of connecting, in order.
const CONNECTING: [Phase; 7] = [
    Phase::Proxy,
    Phase::Resolve,
    Phase::Tcp,
    Phase::Banner,
    Phase::Kex,
    Phase::HostKey,
    Phase::Auth,
];

/// Whether these events tell of a connection.
pub(super) fn connected(events: &[Event]) -> bool {
    events.iter().any(|event| {
        event.event_type == EventType::Connect && Facts(&event.data).is("status", "connected")
            || matches!(
                event.event_type,
                EventType::Exec | EventType::Shell | EventType::Disconnect | EventType::KeepaliveSent
            )
    })
}

/// Whether these events tell of a server that was only asked for its host key, and showed it.
pub(super) fn only_host_key(events: &[Event]) -> bool {
    let seen = |event: &Event| {
        event.event_type == EventType::Connect && Facts(&event.data).is("status", "host_key_seen")
    };
    events.iter().any(seen) && !connected(events)
}

/// The phase in which it failed: as the failure says; otherwise as follows from what kind of failure it is.
pub(super) fn failed_phase(bundle: &EvidenceBundle, failure: &Failure) -> Option<String> {
    if let Some(phase) = failure.facts().text("phase") {
        return Some(phase);
    }
    let phase = match failure.error_type.as_deref()? {
        "ConnectionRefused" => Phase::Tcp,
        "NoMutualKex" => Phase::Kex,
        "HostKeyMismatch" => Phase::HostKey,
        "AuthFailed" | "KeyLoadError" | "AgentError" | "authentication_failed" => Phase::Auth,
        "CommandTimeout" | "ProgressTimeout" | "NoExitStatus" | "OutputOverflow" => Phase::Exec,
        _ => {
            let event = bundle.events.get(failure.event?)?;
            matches!(event.event_type, EventType::Exec | EventType::Shell).then_some(Phase::Exec)?
        }
    };
    Some(phase.as_str().to_owned())
}

/// How long a phase took, in milliseconds.
pub(super) fn took(bundle: &EvidenceBundle, failure: Option<&Failure>, phase: &str) -> Option<f64> {
    let told = failure
        .and_then(|failure| failure.facts().facts("timings_ms"))
        .and_then(|timings| timings.number(phase));
    told.or_else(|| {
        let mut phases = bundle.timing.phases.iter().rev();
        phases
            .find(|timing| timing.phase == phase)
            .map(|timing| timing.duration_ms)
    })
}

/// Each phase of connecting that the bundle says something about, or that follows from what it says.
pub(super) fn steps(bundle: &EvidenceBundle, failure: Option<&Failure>) -> Vec<Step> {
    let failed = failure.and_then(|failure| match failure.facts().text("hop") {
        // What failed at a jump host is a phase of the way there, and not of the host's own connection.
        Some(_) => Some(Phase::Proxy.as_str().to_owned()),
        None => failed_phase(bundle, failure),
    });
    let failed_at = failed.as_deref().and_then(position);
    let connected = connected(&bundle.events) || bundle.timing.auth_end_ms.is_some() && failed_at.is_none();
    if failed_at.is_none() && !connected && bundle.timing.phases.is_empty() {
        return Vec::new();
    }
    let over_something = |name: &str| {
        took(bundle, failure, "proxy").is_some()
            || failed.as_deref() == Some("proxy")
            || bundle.events.iter().any(|event| event.data.contains_key(name))
    };
    let indirect = over_something("proxy_jump") || over_something("proxy_command");
    let state = |place: usize| match failed_at {
        Some(failed) if place < failed => StepState::Passed,
        Some(failed) if place == failed => StepState::Failed,
        Some(_) => StepState::NotReached,
        None if connected => StepState::Passed,
        None => StepState::NotKnown,
    };
    let steps = CONNECTING.iter().enumerate().map(|(place, phase)| {
        let duration_ms = took(bundle, failure, phase.as_str());
        let state = match state(place) {
            StepState::NotKnown if duration_ms.is_some() => StepState::Passed,
            state => state,
        };
        Step {
            phase: phase.as_str().to_owned(),
            state,
            duration_ms: duration_ms.filter(|_| state != StepState::NotReached),
        }
    });
    steps
        .filter(|step| match step.phase.as_str() {
            "proxy" => indirect,
            "resolve" | "tcp" => !indirect || step.duration_ms.is_some() || step.state == StepState::Failed,
            _ => true,
        })
        .collect()
}

fn position(phase: &str) -> Option<usize> {
    CONNECTING.iter().position(|known| known.as_str() == phase)
}

/// The same in one sentence.
pub(super) fn how_far(bundle: &EvidenceBundle, failure: Option<&Failure>, steps: &[Step]) -> String {
    let name = |step: &&Step| step.phase.replace('_', " ");
    let passed: Vec<&Step> = steps
        .iter()
        .filter(|step| step.state == StepState::Passed)
        .collect();
    let all: f64 = passed.iter().filter_map(|step| step.duration_ms).sum();
    let names: Vec<String> = passed.iter().map(name).collect();
    let failed = steps.iter().find(|step| step.state == StepState::Failed);
    let left: Vec<String> = steps
        .iter()
        .filter(|step| step.state == StepState::NotReached)
        .map(|step| step.phase.replace('_', " "))
        .collect();
    match failed {
        Some(step) => {
            let mut text = match names.as_slice() {
                [] => "Connecting failed at its first step".to_owned(),
                names => format!("{} went well", capital(&listed(names))),
            };
            let place = step.phase.replace('_', " ");
            let after = step
                .duration_ms
                .map(|took| format!(" after {}", millis(took)))
                .unwrap_or_default();
            text.push_str(&match names.is_empty() {
                true => format!(", {place}{after}"),
                false => format!("; it failed in {place}{after}"),
            });
            if !left.is_empty() {
                text.push_str(&format!("; {} {} not reached", listed(&left), was(&left)));
            }
            text + "."
        }
        None if passed.is_empty() => "The bundle does not say how far it got.".to_owned(),
        None if failure.is_none() && only_host_key(&bundle.events) => {
            format!("{} went well; a login was not tried.", capital(&listed(&names)))
        }
        None if connected(&bundle.events) || failure.is_none() => {
            let sent = failure.and_then(|failure| failure.facts().text("sent"));
            let connecting = match all > 0.0 {
                true => format!(
                    "The connection was made and the login went well, in {}",
                    millis(all)
                ),
                false => "The connection was made and the login went well".to_owned(),
            };
            let ran = match sent.as_deref() {
                Some("not_sent") => "; the request was never sent, so it is safe to send it again",
                Some("may_have_run") => "; the request was sent, and nothing says whether it took effect",
                Some("ran") => "; the server did begin to carry out the request",
                _ => "",
            };
            format!("{connecting}{ran}.")
        }
        None => format!("{} went well.", capital(&listed(&names))),
    }
}

fn was(items: &[String]) -> &'static str {
    if items.len() == 1 { "was" } else { "were" }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map(|first| first.to_uppercase().chain(chars).collect())
        .unwrap_or_default()
}
