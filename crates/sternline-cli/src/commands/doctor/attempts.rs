//! The attempts to log in, from their events.

use std::fmt;

use serde_json::{Value, json};
use sternline::Event;
use sternline::proto::text::escape;

/// One AUTH event.
#[derive(Debug)]
pub(crate) struct Attempt {
    method: String,
    /// The key file, or the fingerprint of an agent's key.
    key: Option<String>,
    accepted: bool,
    partial: bool,
    message: Option<String>,
    duration_ms: f64,
}

pub(crate) fn attempts(events: &[Event]) -> Vec<Attempt> {
    let attempt = |event: &Event| {
        let text = |name: &str| event.data.get(name).and_then(Value::as_str).map(escape);
        Attempt {
            method: text("method").unwrap_or_default(),
            key: text("key_path").or_else(|| text("fingerprint")),
            accepted: text("status").as_deref() == Some("success"),
            partial: event
                .data
                .get("partial")
                .and_then(Value::as_bool)
                .unwrap_or_default(),
            message: text("error_message"),
            duration_ms: event
                .data
                .get("duration_ms")
                .and_then(Value::as_f64)
                .unwrap_or_default(),
        }
    };
    events.iter().map(attempt).collect()
}

impl Attempt {
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "method": self.method,
            "key": self.key,
            "accepted": self.accepted,
            "partial": self.partial,
            "message": self.message,
            "duration_ms": self.duration_ms,
        })
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let took = self.duration_ms;
        if let (false, Some(message)) = (self.accepted, &self.message) {
            return write!(f, "{message} ({took:.1} ms)");
        }
        let what = match self.method.as_str() {
            "private_key" => "key",
            "ssh_agent" => "agent key",
            "keyboard_interactive" => "the server's questions",
            other => other,
        };
        f.write_str(what)?;
        if let Some(key) = &self.key {
            write!(f, " {key}")?;
        }
        let outcome = match (self.accepted, self.partial) {
            (true, false) => "accepted",
            (true, true) => "accepted, and another factor is wanted",
            (false, _) => "refused",
        };
        write!(f, " {outcome} ({took:.1} ms)")
    }
}
