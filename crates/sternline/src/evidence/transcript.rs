//! What was said in an automated dialogue, in order.

use std::time::SystemTime;

use serde_json::{Map, Value};

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

/// The steps of a dialogue. Everything in it passes redaction when it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Transcript {
    start_ms: f64,
    entries: Vec<TranscriptEntry>,
}

impl Default for Transcript {
    fn default() -> Self {
        Self::new()
    }
}

impl Transcript {
    /// An empty transcript that begins now.
    #[must_use]
    pub fn new() -> Self {
        Self {
            start_ms: unix_millis(SystemTime::now()),
            entries: Vec::new(),
        }
    }

    /// The steps, oldest first.
    #[must_use]
    pub fn entries(&self) -> &[TranscriptEntry] {
        &self.entries
    }
}
