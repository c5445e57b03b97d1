//! What is known of one failure, for all who have to say something about it.

use super::failure::Failure;
use super::progress::{connected, failed_phase};
use crate::event::{Event, EventType};
use crate::evidence::RecordedCommand;
use crate::evidence::bundle::EvidenceBundle;
use crate::evidence::reading::{Facts, millis, sentence, shown};

/// One bundle and the failure that it is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) bundle: &'a EvidenceBundle,
    pub(super) failure: &'a Failure,
}

impl<'a> Case<'a> {
    pub(super) fn facts(self) -> Facts<'a> {
        self.failure.facts()
    }

    /// The phase in which it failed.
    pub(super) fn phase(self) -> Option<String> {
        failed_phase(self.bundle, self.failure)
    }

    pub(super) fn is_in(self, phase: &str) -> bool {
        self.phase().as_deref() == Some(phase)
    }

    /// Whether there was a connection before it failed.
    pub(super) fn was_connected(self) -> bool {
        connected(self.events_before())
    }

    /// The jump host at which it failed, as `user@host:port`.
    pub(super) fn hop(self) -> Option<String> {
        self.facts().text("hop")
    }

    /// `jump host 1 of 2 (ops@bastion:22)`.
    pub(super) fn hop_in_words(self) -> Option<String> {
        let hop = self.hop()?;
        Some(
            match (self.facts().count("hop_number"), self.facts().count("hop_count")) {
                (Some(number), Some(count)) => format!("jump host {number} of {count} ({hop})"),
                _ => format!("jump host {hop}"),
            },
        )
    }

    /// The host that is spoken of: the jump host, where it failed there.
    pub(super) fn host(self) -> String {
        self.hop_in_words().unwrap_or_else(|| self.destination())
    }

    /// The host at the end of the way.
    pub(super) fn destination(self) -> String {
        let info = self.bundle.host_info.as_ref();
        self.facts()
            .text("host")
            .or_else(|| info.map(|info| shown(&info.host)))
            .unwrap_or_else(|| "the host".to_owned())
    }

    /// `web-1 port 22`, or the jump host, which names its port itself.
    pub(super) fn place(self) -> String {
        if let Some(hop) = self.hop_in_words() {
            return hop;
        }
        match self.port() {
            Some(port) => format!("{} port {port}", self.destination()),
            None => self.destination(),
        }
    }

    /// The port, as far as it is that of the host which failed.
    pub(super) fn port(self) -> Option<u64> {
        if let Some(hop) = self.hop() {
            return hop.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        }
        let info = self.bundle.host_info.as_ref();
        self.facts()
            .count("port")
            .or_else(|| info.map(|info| u64::from(info.port)))
    }

    /// Who was logging in.
    pub(super) fn username(self) -> Option<String> {
        if let Some(hop) = self.hop() {
            return hop.rsplit_once('@').map(|(user, _)| user.to_owned());
        }
        let info = self.bundle.host_info.as_ref();
        self.facts()
            .text("username")
            .or_else(|| info.and_then(|info| info.username.as_deref()).map(shown))
    }

    /// The failure in its own words, as the end of a sentence; without the name of the jump host, which stands elsewhere.
    pub(super) fn message(self) -> String {
        let message = self.failure.message().unwrap_or_default();
        match self.hop_in_words().map(|hop| format!("{hop}: ")) {
            Some(prefix) => message.strip_prefix(&prefix).unwrap_or(&message).to_owned(),
            None => message,
        }
    }

    /// What to do, as the program said when it failed, as a sentence. Empty where the bundle has none.
    pub(super) fn hint(self) -> String {
        self.facts()
            .text("hint")
            .map(|hint| sentence(&hint))
            .unwrap_or_default()
    }

    /// A setting that was in force, whether it stands there by itself or beside the place that it comes from.
    pub(super) fn setting(self, name: &str) -> Option<String> {
        setting(self.bundle, name)
    }

    pub(super) fn events_before(self) -> &'a [Event] {
        let end = self
            .failure
            .event
            .map_or(self.bundle.events.len(), |index| index + 1);
        self.bundle.events.get(..end).unwrap_or_default()
    }

    /// The events of the attempt to connect that failed, or of the connection that did.
    pub(super) fn attempt(self) -> &'a [Event] {
        let events = self.events_before();
        let start = events.iter().rposition(|event| {
            event.event_type == EventType::Connect && Facts(&event.data).is("status", "initiating")
        });
        events.get(start.unwrap_or_default()..).unwrap_or_default()
    }

    /// The last event of a type before it failed.
    pub(super) fn last(self, event_type: EventType) -> Option<&'a Event> {
        self.events_before()
            .iter()
            .rev()
            .find(|event| event.event_type == event_type)
    }

    /// What a command wrote, where that was recorded.
    pub(super) fn recorded(self, command: &str) -> Option<&'a RecordedCommand> {
        let commands = self.bundle.commands.iter().rev();
        commands.into_iter().find(|recorded| is_same(recorded, command))
    }

    /// How long the phase had taken when it failed.
    pub(super) fn took(self, phase: &str) -> Option<String> {
        super::progress::took(self.bundle, Some(self.failure), phase).map(millis)
    }
}

/// Whether this is what was recorded of a command that an event tells of, escaped. A value that was taken out stands in quotes in
/// the one and not in the other.
pub(super) fn is_same(recorded: &RecordedCommand, command: &str) -> bool {
    let plain = |text: &str| text.replace("'[REDACTED]'", "[REDACTED]");
    plain(&shown(&recorded.command)) == plain(command)
}

/// A setting of a bundle; see [`Case::setting`].
pub(super) fn setting(bundle: &EvidenceBundle, name: &str) -> Option<String> {
    let value = bundle.configuration.get(name)?;
    let value = value
        .as_object()
        .and_then(|held| held.get("value"))
        .unwrap_or(value);
    Some(crate::evidence::reading::plain(value)).filter(|text| !text.is_empty())
}
