//! One step of a dialogue, and its form in JSON.

use std::time::SystemTime;

use serde_json::{Map, Value};
use thiserror::Error;

use crate::event::unix_millis;

/// What an entry of a transcript is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InteractionType {
    /// A pattern was waited for, and found or not.
    Expect,
    /// Something was sent.
    Send,
    /// Output arrived.
    Output,
    /// A pattern was waited for, and the time was over.
    Timeout,
}

impl InteractionType {
    /// The name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expect => "expect",
            Self::Send => "send",
            Self::Output => "output",
            Self::Timeout => "timeout",
        }
    }

    /// The type with this JSON name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Expect, Self::Send, Self::Output, Self::Timeout]
            .into_iter()
            .find(|kind| kind.as_str() == name)
    }
}

/// Which of a program's outputs a text came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Stream {
    /// Standard output, which in a terminal is all output.
    #[default]
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// The name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// One step of a dialogue.
#[derive(Debug, Clone, PartialEq)]
pub struct TranscriptEntry {
    /// When, in milliseconds since the Unix epoch.
    pub timestamp_ms: f64,
    /// What it was.
    pub interaction_type: InteractionType,
    /// The text: what matched (or the pattern, where nothing did), what was sent, what arrived.
    pub content: String,
    /// How long it took, in milliseconds.
    pub duration_ms: f64,
    /// Further facts, by name.
    pub metadata: Map<String, Value>,
}

/// Why JSON is no entry of a transcript, or no transcript.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TranscriptParseError {
    /// Not JSON at all.
    #[error("the transcript is not valid JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A key is missing or holds something else.
    #[error("the transcript has no usable {0:?}")]
    Field(&'static str),
}

impl TranscriptEntry {
    /// An entry of this moment, without metadata.
    #[must_use]
    pub fn now(interaction_type: InteractionType, content: impl Into<String>) -> Self {
        Self {
            timestamp_ms: unix_millis(SystemTime::now()),
            interaction_type,
            content: content.into(),
            duration_ms: 0.0,
            metadata: Map::new(),
        }
    }

    /// A JSON object with the keys `timestamp_ms`, `type`, `content`, `duration_ms` and `metadata`, in this order.
    /// Nothing is redacted.
    #[must_use]
    pub fn to_dict(&self) -> Map<String, Value> {
        let mut dict = Map::new();
        dict.insert("timestamp_ms".to_owned(), self.timestamp_ms.into());
        dict.insert("type".to_owned(), self.interaction_type.as_str().into());
        dict.insert("content".to_owned(), self.content.clone().into());
        dict.insert("duration_ms".to_owned(), self.duration_ms.into());
        dict.insert("metadata".to_owned(), Value::Object(self.metadata.clone()));
        dict
    }

    /// Reads what [`TranscriptEntry::to_dict`] gave. The type may also stand under `interaction_type`, as it does in a
    /// bundle's lines; `duration_ms` and `metadata` may be missing.
    ///
    /// # Errors
    /// Names the first key that is missing or holds something else.
    pub fn from_dict(dict: &Map<String, Value>) -> Result<Self, TranscriptParseError> {
        let named = |name: &'static str| dict.get(name).and_then(Value::as_str);
        let metadata = match dict.get("metadata") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(metadata)) => metadata.clone(),
            Some(_) => return Err(TranscriptParseError::Field("metadata")),
        };
        let kind = named("interaction_type").or_else(|| named("type"));
        Ok(Self {
            timestamp_ms: dict
                .get("timestamp_ms")
                .and_then(Value::as_f64)
                .ok_or(TranscriptParseError::Field("timestamp_ms"))?,
            interaction_type: kind
                .and_then(InteractionType::from_name)
                .ok_or(TranscriptParseError::Field("type"))?,
            content: named("content")
                .ok_or(TranscriptParseError::Field("content"))?
                .to_owned(),
            duration_ms: dict
                .get("duration_ms")
                .and_then(Value::as_f64)
                .unwrap_or_default(),
            metadata,
        })
    }

    /// About how much memory it takes.
    pub(super) fn weight(&self) -> usize {
        /// The entry itself and the usual names in its metadata.
        const FIXED: usize = 128;
        FIXED + self.content.len() + self.metadata.values().map(weight).sum::<usize>()
    }
}

fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(weight).sum(),
        Value::Object(fields) => fields.values().map(weight).sum(),
        Value::Number(_) | Value::Bool(_) | Value::Null => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn what_is_missing_or_mistyped_is_named() {
        for (value, name) in [
            (json!({"type": "send", "content": "x"}), "timestamp_ms"),
            (
                json!({"timestamp_ms": 1, "type": "shout", "content": "x"}),
                "type",
            ),
            (json!({"timestamp_ms": 1, "type": "send"}), "content"),
            (
                json!({"timestamp_ms": 1, "type": "send", "content": "x", "metadata": 3}),
                "metadata",
            ),
        ] {
            let found = TranscriptEntry::from_dict(value.as_object().unwrap());
            assert!(matches!(found, Err(TranscriptParseError::Field(field)) if field == name));
        }
    }

    #[test]
    fn the_type_is_found_in_a_line_of_a_bundle_too() {
        let line = json!({
            "timestamp_ms": 5.5, "type": "transcript_entry", "content": "x", "duration_ms": 1.0,
            "metadata": {}, "interaction_type": "timeout",
        });
        let entry = TranscriptEntry::from_dict(line.as_object().unwrap()).unwrap();
        assert_eq!(entry.interaction_type, InteractionType::Timeout);
    }

    proptest! {
        #[test]
        fn an_entry_comes_back_from_json_as_it_was(
            content in ".*",
            kind in prop::sample::select(vec!["expect", "send", "output", "timeout"]),
            timestamp_ms in 0.0..2e12f64,
            duration_ms in 0.0..1e6f64,
        ) {
            let entry = TranscriptEntry {
                timestamp_ms,
                interaction_type: InteractionType::from_name(kind).unwrap(),
                content,
                duration_ms,
                metadata: json!({"stream": "stdout", "groups": ["a", null]}).as_object().unwrap().clone(),
            };
            let text = Value::Object(entry.to_dict()).to_string();
            let read: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(TranscriptEntry::from_dict(read.as_object().unwrap()).unwrap(), entry);
        }
    }
}
