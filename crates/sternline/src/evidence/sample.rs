//! Made-up bundles for tests.

use serde_json::{Map, Value};

use super::bundle::EvidenceBundle;
use super::facts::{AlgorithmInfo, HostInfo, TimingInfo};
use crate::error::DisconnectReason;
use crate::event::{Event, EventType};

/// One in which nothing has happened.
pub(super) fn bundle() -> EvidenceBundle {
    EvidenceBundle {
        events: Vec::new(),
        transcript: None,
        algorithms: AlgorithmInfo::default(),
        disconnect_reason: DisconnectReason::Normal,
        timing: TimingInfo::default(),
        host_info: Some(HostInfo {
            host: "web-1".to_owned(),
            port: 22,
            username: Some("ann".to_owned()),
            redacted: false,
        }),
        error_context: Map::new(),
        configuration: Map::new(),
        commands: Vec::new(),
        version: EvidenceBundle::VERSION.to_owned(),
        created_ms: 1000.0,
    }
}

/// The fields of a JSON object.
pub(super) fn map(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().expect("an object")
}

/// An event at a time.
pub(super) fn event(event_type: EventType, timestamp: f64, data: &Value) -> Event {
    Event {
        event_type,
        timestamp,
        data: map(data),
    }
}
