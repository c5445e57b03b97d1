//! What the events of a connection come to: its facts, found without anything but the events.

use serde_json::{Map, Value};

use super::bundle::EvidenceBundle;
use super::facts::{AlgorithmInfo, HostInfo, PhaseTiming, TimingInfo};
use super::transcript::Transcript;
use crate::error::DisconnectReason;
use crate::event::{Event, EventType};

/// The facts of a connection, learned event by event. A further attempt to connect begins them anew, but for the error.
#[derive(Debug, Clone, Default)]
pub(crate) struct Story {
    pub(crate) algorithms: AlgorithmInfo,
    pub(crate) timing: TimingInfo,
    pub(crate) host_info: Option<HostInfo>,
    /// `None` while nothing has ended.
    pub(crate) disconnect_reason: Option<DisconnectReason>,
    /// The last failure.
    pub(crate) error_context: Map<String, Value>,
}

impl Story {
    /// What a list of events comes to.
    pub(crate) fn of<'a>(events: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut story = Self::default();
        for event in events {
            story.hear(event);
        }
        story
    }

    /// Takes one more event.
    pub(crate) fn hear(&mut self, event: &Event) {
        let data = &event.data;
        let text = |name: &str| data.get(name).and_then(Value::as_str);
        match event.event_type {
            EventType::Connect if text("status") == Some("initiating") => {
                *self = Self {
                    host_info: HostInfo::from_dict(data),
                    error_context: std::mem::take(&mut self.error_context),
                    ..Self::default()
                };
                self.timing.connect_start_ms = Some(event.timestamp);
            }
            EventType::Connect => {
                self.timing.connect_end_ms = Some(event.timestamp);
                self.learn(data);
            }
            EventType::Auth => {
                let took = data
                    .get("duration_ms")
                    .and_then(Value::as_f64)
                    .unwrap_or_default();
                self.timing
                    .auth_start_ms
                    .get_or_insert((event.timestamp - took).max(0.0));
                self.timing.auth_end_ms = Some(event.timestamp);
            }
            EventType::Error => {
                // One that comes while connecting is the end of that.
                if self.timing.connect_start_ms.is_some() && self.timing.connect_end_ms.is_none() {
                    self.timing.connect_end_ms = Some(event.timestamp);
                    self.learn(data);
                    self.disconnect_reason = text("disconnect_reason").and_then(DisconnectReason::from_name);
                }
                self.error_context = data.clone();
            }
            EventType::Disconnect => {
                self.timing.disconnect_ms = Some(event.timestamp);
                self.disconnect_reason = text("reason").and_then(DisconnectReason::from_name);
                if data.contains_key("error_type") {
                    self.error_context = data.clone();
                    self.error_context.shift_remove("reason");
                }
            }
            EventType::Exec | EventType::Shell | EventType::Forward | EventType::Transfer => {
                self.failed(data);
            }
            _ => {}
        }
    }

    /// Takes over what a failed request tells, by the names that an error has.
    fn failed(&mut self, data: &Map<String, Value>) {
        let message = match (data.get("error"), data.get("error_type")) {
            (Some(Value::Object(error)), _) => {
                self.error_context = error.clone();
                return;
            }
            (Some(message @ Value::String(_)), Some(_)) => message,
            _ => return,
        };
        let mut context = Map::new();
        let mut put = |name: &str, value: Option<&Value>| {
            if let Some(value) = value.filter(|value| !value.is_null()) {
                context.insert(name.to_owned(), value.clone());
            }
        };
        put("error_type", data.get("error_type"));
        put("message", Some(message));
        for name in [
            "phase",
            "sent",
            "hint",
            "reason",
            "command",
            "remote_process_may_survive",
        ] {
            put(name, data.get(name));
        }
        if let Some(host) = &self.host_info {
            put("host", Some(&host.host.clone().into()));
            put("port", Some(&host.port.into()));
            put("username", host.username.clone().map(Value::from).as_ref());
        }
        self.error_context = context;
    }

    /// What an event of the end of connecting says about the other side, and about the time.
    fn learn(&mut self, data: &Map<String, Value>) {
        let text =
            |dict: &Map<String, Value>, name: &str| dict.get(name).and_then(Value::as_str).map(str::to_owned);
        if let Some(names) = data.get("algorithms").and_then(Value::as_object) {
            // The cipher is the same in both directions.
            self.algorithms = AlgorithmInfo::from_dict(names).with_cipher(text(names, "cipher"));
        }
        self.algorithms.host_key = self
            .algorithms
            .host_key
            .take()
            .or_else(|| text(data, "host_key_algorithm"));
        self.algorithms.host_key_fingerprint =
            text(data, "host_key_fingerprint").or_else(|| text(data, "offered_fingerprint"));
        self.algorithms.server_version = text(data, "server_identification");
        let timings = data.get("timings_ms").and_then(Value::as_object);
        self.timing.phases = timings
            .into_iter()
            .flatten()
            .filter_map(|(phase, took)| {
                Some(PhaseTiming {
                    phase: phase.clone(),
                    duration_ms: took.as_f64()?,
                })
            })
            .collect();
    }

    /// The bundle of this moment. What only the caller knows is still empty.
    pub(crate) fn bundle(
        self,
        events: Vec<Event>,
        transcript: Option<&Transcript>,
        now_ms: f64,
    ) -> EvidenceBundle {
        EvidenceBundle {
            events,
            transcript: transcript.cloned(),
            algorithms: self.algorithms,
            disconnect_reason: self.disconnect_reason.unwrap_or(DisconnectReason::Normal),
            timing: TimingInfo {
                bundle_created_ms: now_ms,
                ..self.timing
            },
            host_info: self.host_info,
            error_context: self.error_context,
            configuration: Map::new(),
            commands: Vec::new(),
            version: EvidenceBundle::VERSION.to_owned(),
            created_ms: now_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(event_type: EventType, timestamp: f64, data: Value) -> Event {
        Event {
            event_type,
            timestamp,
            data: data.as_object().unwrap().clone(),
        }
    }

    fn initiating() -> Event {
        event(
            EventType::Connect,
            100.0,
            json!({"status": "initiating", "host": "web", "port": 22, "username": "ann"}),
        )
    }

    fn connected() -> Event {
        event(
            EventType::Connect,
            150.0,
            json!({
                "status": "connected", "host": "web", "port": 22, "username": "ann",
                "algorithms": {"kex": "k", "cipher": "c", "mac_cs": "implicit", "mac_sc": "m", "strict_kex": true},
                "host_key_algorithm": "ssh-ed25519", "host_key_fingerprint": "SHA256:x",
                "server_identification": "SSH-2.0-y", "timings_ms": {"tcp": 1.5, "auth": 20.0},
            }),
        )
    }

    fn auth(timestamp: f64) -> Event {
        event(
            EventType::Auth,
            timestamp,
            json!({"status": "failed", "duration_ms": 5.0}),
        )
    }

    #[test]
    fn a_connection_that_was_made_and_closed_has_its_facts_and_its_times() {
        let goodbye = event(EventType::Disconnect, 400.0, json!({"reason": "normal"}));
        let story = Story::of(&[initiating(), auth(130.0), auth(145.0), connected(), goodbye]);
        assert_eq!(story.algorithms.kex.as_deref(), Some("k"));
        assert_eq!(story.algorithms.cipher_cs, story.algorithms.cipher_sc);
        assert_eq!(story.algorithms.cipher_sc.as_deref(), Some("c"));
        assert_eq!(story.algorithms.mac_cs.as_deref(), Some("c"));
        assert_eq!(story.algorithms.mac_sc.as_deref(), Some("m"));
        assert_eq!(story.algorithms.host_key.as_deref(), Some("ssh-ed25519"));
        assert_eq!(story.algorithms.server_version.as_deref(), Some("SSH-2.0-y"));
        assert_eq!(story.timing.connect_duration_ms(), Some(50.0));
        assert_eq!(story.timing.auth_duration_ms(), Some(20.0));
        assert_eq!(story.timing.total_duration_ms(), Some(300.0));
        let phases: Vec<&str> = story
            .timing
            .phases
            .iter()
            .map(|timing| timing.phase.as_str())
            .collect();
        assert_eq!(phases, ["tcp", "auth"]);
        assert_eq!(story.disconnect_reason, Some(DisconnectReason::Normal));
        assert_eq!(story.host_info.unwrap().username.as_deref(), Some("ann"));
        assert!(story.error_context.is_empty());
    }

    #[test]
    fn a_connection_that_was_not_made_says_why_and_how_far_it_got() {
        let failed = event(
            EventType::Error,
            170.0,
            json!({
                "error_type": "AuthFailed", "message": "no", "phase": "auth", "disconnect_reason": "auth_failure",
                "server_identification": "SSH-2.0-y", "timings_ms": {"tcp": 1.0},
            }),
        );
        let story = Story::of(&[initiating(), auth(160.0), failed.clone()]);
        assert_eq!(story.disconnect_reason, Some(DisconnectReason::AuthFailure));
        assert_eq!(story.timing.connect_duration_ms(), Some(70.0));
        assert_eq!(story.timing.phases.len(), 1);
        assert_eq!(story.algorithms.server_version.as_deref(), Some("SSH-2.0-y"));
        assert_eq!(story.error_context, failed.data);
    }

    #[test]
    fn a_further_attempt_begins_anew_and_keeps_the_last_failure() {
        let lost = event(
            EventType::Disconnect,
            300.0,
            json!({"reason": "keepalive_timeout", "error_type": "SSHConnectionError", "message": "gone"}),
        );
        let mut story = Story::of(&[initiating(), connected(), lost]);
        assert_eq!(story.disconnect_reason, Some(DisconnectReason::KeepaliveTimeout));
        story.hear(&initiating());
        assert_eq!(story.disconnect_reason, None);
        assert_eq!(story.timing.disconnect_ms, None);
        assert_eq!(story.algorithms, AlgorithmInfo::default());
        let expected = json!({"error_type": "SSHConnectionError", "message": "gone"});
        assert_eq!(Value::Object(story.error_context), expected);
    }

    #[test]
    fn a_failed_command_is_told_by_the_names_of_an_error() {
        let exec = event(
            EventType::Exec,
            200.0,
            json!({
                "command": "sleep 9", "error": "took too long", "error_type": "CommandTimeout", "sent": "ran",
                "hint": "wait", "phase": "exec", "exit_code": null,
            }),
        );
        let mut story = Story::of(&[initiating(), connected(), exec]);
        assert_eq!(
            Value::Object(story.error_context.clone()),
            json!({
                "error_type": "CommandTimeout", "message": "took too long", "phase": "exec", "sent": "ran",
                "hint": "wait", "command": "sleep 9", "host": "web", "port": 22, "username": "ann",
            })
        );
        let before = story.error_context.clone();
        story.hear(&event(
            EventType::Exec,
            300.0,
            json!({"command": "false", "exit_code": 1}),
        ));
        assert_eq!(story.error_context, before, "a status is no failure");
    }
}
