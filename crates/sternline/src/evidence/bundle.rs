//! The bundle: one session's evidence, and how it is written.

use std::path::Path;

use serde_json::{Map, Value};
use sternline_proto::evidence::{BUNDLE_VERSION, RecordedCommand};

use super::facts::{AlgorithmInfo, HostInfo, TimingInfo};
use super::file::write_private;
use super::transcript::Transcript;
use crate::error::{DisconnectReason, Result};
use crate::event::Event;

/// What is taken out of a bundle when it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Redaction {
    /// Secrets, and the host's name and address wherever they stand. What the seed calls `redact=True`.
    #[default]
    SecretsAndHost,
    /// Secrets only.
    Secrets,
    /// Nothing.
    DangerNothing,
}

/// How a bundle is laid out in a file. [`EvidenceBundle::from_text`] reads them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum BundleFormat {
    /// One JSON object, indented by two spaces.
    #[default]
    Json,
    /// One JSON object on one line.
    JsonCompact,
    /// JSON lines: a header, then a line for each event, each step of the transcript and each command.
    JsonLines,
}

/// Everything that is known of one session.
#[derive(Debug, Clone, PartialEq)]
pub struct EvidenceBundle {
    /// What happened, oldest first.
    pub events: Vec<Event>,
    /// The automated dialogue, if there was one.
    pub transcript: Option<Transcript>,
    /// The negotiated algorithms and the server's identity.
    pub algorithms: AlgorithmInfo,
    /// Why the connection ended, or was never made.
    pub disconnect_reason: DisconnectReason,
    /// When what happened, and how long each phase took.
    pub timing: TimingInfo,
    /// Which host it was.
    pub host_info: Option<HostInfo>,
    /// The last failure, as `Error::to_dict` has it, with its `hint`; empty where nothing failed.
    pub error_context: Map<String, Value>,
    /// The settings in force that decide about the outcome, by name, each with where it comes from if that is known.
    pub configuration: Map<String, Value>,
    /// The commands with their output, where they were recorded.
    pub commands: Vec<RecordedCommand>,
    /// The version of the format: [`EvidenceBundle::VERSION`] for bundles made here.
    pub version: String,
    /// When the bundle was made, in milliseconds since the Unix epoch.
    pub created_ms: f64,
}

impl EvidenceBundle {
    /// The version of the format that is written.
    pub const VERSION: &'static str = BUNDLE_VERSION;

    /// A JSON object: `version`, `created_ms`, `events`, `algorithms`, `disconnect_reason`, `timing`, `error_context`,
    /// `configuration`, and where there are any `transcript`, `host_info` and `commands`.
    #[must_use]
    pub fn to_dict(&self, redaction: Redaction) -> Map<String, Value> {
        let bundle = self.redacted(redaction);
        let mut dict = bundle.header();
        let events = bundle.events.iter().map(Event::to_dict).collect();
        dict.shift_insert(2, "events".to_owned(), events);
        let host_info = dict.shift_remove("host_info");
        if let Some(transcript) = &bundle.transcript {
            dict.insert("transcript".to_owned(), transcript.danger_to_dict().into());
        }
        if let Some(host_info) = host_info {
            dict.insert("host_info".to_owned(), host_info);
        }
        if !bundle.commands.is_empty() {
            let commands = bundle.commands.iter().map(RecordedCommand::to_dict);
            dict.insert("commands".to_owned(), commands.collect());
        }
        dict
    }

    /// [`EvidenceBundle::to_dict`] as text, indented by two spaces.
    #[must_use]
    pub fn to_json(&self, redaction: Redaction) -> String {
        format!("{:#}", Value::Object(self.to_dict(redaction)))
    }

    /// JSON lines, without a newline behind the last one. The first is the header, with `"type": "bundle_header"`; then come
    /// the events, the steps of the transcript and the commands, as `event`, `transcript_entry` and `command`.
    #[must_use]
    pub fn to_jsonl(&self, redaction: Redaction) -> String {
        let bundle = self.redacted(redaction);
        let mut header = Map::new();
        header.insert("type".to_owned(), "bundle_header".into());
        header.append(&mut bundle.header());
        if let Some(transcript) = &bundle.transcript {
            header.insert("transcript_start_ms".to_owned(), transcript.start_ms().into());
        }
        let mut lines = vec![Value::Object(header).to_string()];
        for event in &bundle.events {
            let mut line = event.to_dict();
            line.insert("type".to_owned(), "event".into());
            lines.push(Value::Object(line).to_string());
        }
        for entry in bundle.transcript.iter().flat_map(Transcript::entries) {
            let mut line = entry.to_dict();
            // The name is taken by the type of the line; inserting keeps its place.
            line.insert("type".to_owned(), "transcript_entry".into());
            line.insert(
                "interaction_type".to_owned(),
                entry.interaction_type.as_str().into(),
            );
            lines.push(Value::Object(line).to_string());
        }
        for command in &bundle.commands {
            let mut line = Map::new();
            line.insert("type".to_owned(), "command".into());
            line.append(&mut command.to_dict());
            lines.push(Value::Object(line).to_string());
        }
        lines.join("\n")
    }

    /// The bundle as text in this format, as [`EvidenceBundle::to_file`] writes it: with a newline behind the last line.
    #[must_use]
    pub fn to_text(&self, format: BundleFormat, redaction: Redaction) -> String {
        let mut text = match format {
            BundleFormat::Json => self.to_json(redaction),
            BundleFormat::JsonCompact => Value::Object(self.to_dict(redaction)).to_string(),
            BundleFormat::JsonLines => self.to_jsonl(redaction),
        };
        text.push('\n');
        text
    }

    /// Writes the bundle to a file with mode 0600, which replaces what stands there as a whole; see
    /// [`write_private`](super::write_private).
    ///
    /// # Errors
    /// [`ErrorKind::LocalFile`](crate::ErrorKind::LocalFile) with what the system says.
    pub fn to_file(&self, path: impl AsRef<Path>, format: BundleFormat, redaction: Redaction) -> Result<()> {
        write_private(path.as_ref(), self.to_text(format, redaction).as_bytes())
    }

    /// What there is once.
    fn header(&self) -> Map<String, Value> {
        let mut header = Map::new();
        header.insert("version".to_owned(), self.version.clone().into());
        header.insert("created_ms".to_owned(), self.created_ms.into());
        header.insert("algorithms".to_owned(), self.algorithms.to_dict().into());
        header.insert(
            "disconnect_reason".to_owned(),
            self.disconnect_reason.as_str().into(),
        );
        header.insert("timing".to_owned(), self.timing.to_dict().into());
        header.insert("error_context".to_owned(), self.error_context.clone().into());
        header.insert("configuration".to_owned(), self.configuration.clone().into());
        if let Some(host_info) = &self.host_info {
            header.insert("host_info".to_owned(), host_info.to_dict(false).into());
        }
        header
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::tests::sample;
    use serde_json::json;

    fn keys(value: &Value) -> Vec<&str> {
        value.as_object().unwrap().keys().map(String::as_str).collect()
    }

    #[test]
    fn the_keys_of_a_bundle_stand_in_their_order() {
        let dict = Value::Object(sample().to_dict(Redaction::DangerNothing));
        let expected = [
            "version",
            "created_ms",
            "events",
            "algorithms",
            "disconnect_reason",
            "timing",
            "error_context",
            "configuration",
            "transcript",
            "host_info",
            "commands",
        ];
        assert_eq!(keys(&dict), expected);
        assert_eq!(keys(&dict["events"][0]), ["event_type", "timestamp", "data"]);
        let empty = EvidenceBundle {
            transcript: None,
            host_info: None,
            commands: Vec::new(),
            ..sample()
        };
        let dict = Value::Object(empty.to_dict(Redaction::DangerNothing));
        assert_eq!(keys(&dict), expected[..8]);
    }

    #[test]
    fn json_lines_begin_with_a_header_and_say_what_each_line_is() {
        let text = sample().to_jsonl(Redaction::DangerNothing);
        let lines: Vec<Value> = text
            .split('\n')
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let header = [
            "type",
            "version",
            "created_ms",
            "algorithms",
            "disconnect_reason",
            "timing",
            "error_context",
            "configuration",
            "host_info",
            "transcript_start_ms",
        ];
        assert_eq!(keys(&lines[0]), header);
        assert_eq!(keys(&lines[1]), ["event_type", "timestamp", "data", "type"]);
        assert_eq!(
            keys(&lines[3]),
            [
                "timestamp_ms",
                "type",
                "content",
                "duration_ms",
                "metadata",
                "interaction_type"
            ]
        );
        let types: Vec<&Value> = lines.iter().map(|line| &line["type"]).collect();
        let expected =
            ["bundle_header", "event", "event", "transcript_entry", "command"].map(|name| json!(name));
        assert_eq!(types, expected.iter().collect::<Vec<_>>());
    }

    #[test]
    fn an_indented_bundle_has_two_spaces_and_a_compact_one_a_single_line() {
        let json = sample().to_json(Redaction::Secrets);
        assert!(
            json.starts_with("{\n  \"version\": \"1.0\",\n  \"created_ms\":"),
            "{json}"
        );
        let compact = sample().to_text(BundleFormat::JsonCompact, Redaction::Secrets);
        assert_eq!(compact.matches('\n').count(), 1);
    }
}
