//! Attempts to log in, as events tell of them.

use super::reading::Facts;
use crate::event::Event;

/// One attempt to log in, as its event tells of it.
pub(super) struct Attempt {
    pub(super) at_ms: f64,
    pub(super) method: String,
    /// The key by path and fingerprint, as far as they are known.
    pub(super) key: Option<String>,
    pub(super) accepted: bool,
    pub(super) partial: bool,
    pub(super) error_type: Option<String>,
    pub(super) message: Option<String>,
    /// What the server still offers after it.
    pub(super) offered: Vec<String>,
}

impl Attempt {
    /// From an AUTH event.
    pub(super) fn of(event: &Event) -> Self {
        let facts = Facts(&event.data);
        let path = facts.text("key_path").or_else(|| facts.text("comment"));
        let kind = facts.text("key_type").or_else(|| facts.text("key_algorithm"));
        let fingerprint = match (kind, facts.text("fingerprint")) {
            (Some(kind), Some(fingerprint)) => Some(format!("{kind} {fingerprint}")),
            (kind, fingerprint) => fingerprint.or(kind),
        };
        let key = match (path, fingerprint) {
            (Some(path), Some(fingerprint)) => Some(format!("{path} ({fingerprint})")),
            (path, fingerprint) => path.or(fingerprint),
        };
        let offered = [
            "methods_offered",
            "methods_remaining",
            "server_offers",
            "methods_after",
        ];
        Self {
            at_ms: event.timestamp,
            method: facts.text("method").unwrap_or_else(|| "unknown".to_owned()),
            key,
            accepted: facts.is("status", "success"),
            partial: facts.flag("partial").unwrap_or_default(),
            error_type: facts.text("error_type"),
            message: facts.text("error_message"),
            offered: offered
                .into_iter()
                .map(|name| facts.texts(name))
                .find(|list| !list.is_empty())
                .unwrap_or_default(),
        }
    }

    /// What was offered: `the key /home/ann/.ssh/id_ed25519 (SHA256:...)`, `a password`.
    pub(super) fn what(&self) -> String {
        let key = self.key.as_deref();
        match (self.method.as_str(), key) {
            ("private_key", Some(key)) => format!("the key {key}"),
            ("private_key", None) => "a key".to_owned(),
            ("ssh_agent", Some(key)) => format!("the agent's key {key}"),
            ("ssh_agent", None) => "a key of the agent".to_owned(),
            ("password", _) => "a password".to_owned(),
            ("keyboard_interactive", _) => "answers to the server's questions".to_owned(),
            ("none", _) => "no credential".to_owned(),
            (other, _) => other.to_owned(),
        }
    }

    /// Whether the server saw it and said no.
    pub(super) fn was_refused(&self) -> bool {
        let ours = ["KeyLoadError", "AgentError", "LocalError", "Cancelled"];
        !self.accepted
            && !self
                .error_type
                .as_deref()
                .is_some_and(|kind| ours.contains(&kind))
    }

    pub(super) fn is_key(&self) -> bool {
        ["private_key", "ssh_agent"].contains(&self.method.as_str())
    }

    pub(super) fn is_typed(&self) -> bool {
        ["password", "keyboard_interactive"].contains(&self.method.as_str())
    }

    /// As a sentence.
    pub(super) fn in_words(&self) -> String {
        let what = self.what();
        match (self.accepted, self.partial) {
            (true, true) => format!("The server accepted {what} as one factor of several."),
            (true, false) => format!("The server accepted {what}."),
            (false, _) if self.was_refused() => match self.note() {
                Some(note) => format!("The server refused {what} ({note})."),
                None => format!("The server refused {what}."),
            },
            (false, _) => match &self.message {
                Some(message) => format!("Could not offer {what}: {message}."),
                None => format!("Could not offer {what}."),
            },
        }
    }

    /// What the program noted in brackets about a refusal.
    fn note(&self) -> Option<&str> {
        let message = self.message.as_deref()?;
        let (_, note) = message.split_once(" refused (")?;
        note.strip_suffix(')')
    }
}
