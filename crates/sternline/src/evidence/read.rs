//! Reading a bundle.

use std::path::Path;
use std::str::FromStr;

use serde_json::{Map, Value};
use sternline_proto::evidence::{
    BundleRecord, BundleTextError, Place, RecordKind, RecordedCommand, read_bundle,
};

use super::bundle::EvidenceBundle;
use super::entry::TranscriptEntry;
use super::facts::{AlgorithmInfo, HostInfo, TimingInfo};
use super::file::{invalid, read_text};
use super::transcript::Transcript;
use crate::error::{DisconnectReason, Result};
use crate::event::Event;

impl EvidenceBundle {
    /// The most bytes that [`EvidenceBundle::from_file`] reads: 256 MiB.
    pub const MAX_FILE_BYTES: u64 = 256 * 1024 * 1024;

    /// Reads a bundle in any of the formats, compact or indented. Keys that are not known are left out.
    ///
    /// # Errors
    /// Says what is wrong and where. A bundle with another number in front of the dot of its version is refused.
    pub fn from_text(text: &str) -> Result<Self, BundleTextError> {
        let mut records = read_bundle(text)?.into_iter();
        let header = records.next().ok_or(BundleTextError::Empty)?;
        let mut events = Vec::new();
        let mut entries = Vec::new();
        let mut commands = Vec::new();
        for BundleRecord { kind, fields, place } in records {
            let malformed = |what: String| BundleTextError::Malformed { place, what };
            match kind {
                // Only the first record is one.
                RecordKind::Header => {}
                RecordKind::Event => {
                    events.push(Event::from_dict(&fields).map_err(|error| malformed(error.to_string()))?)
                }
                RecordKind::TranscriptEntry => {
                    let entry = TranscriptEntry::from_dict(&fields);
                    entries.push(entry.map_err(|error| malformed(error.to_string()))?);
                }
                RecordKind::Command => commands
                    .push(RecordedCommand::from_dict(&fields).map_err(|error| malformed(error.to_string()))?),
            }
        }
        let place = header.place;
        let header = Header {
            fields: &header.fields,
            place,
        };
        let first_entry = entries.first().map(|entry| entry.timestamp_ms);
        let transcript_start = header.number("transcript_start_ms")?.or(first_entry);
        let reason = header
            .text("disconnect_reason")?
            .ok_or_else(|| header.unusable("disconnect_reason"))?;
        Ok(Self {
            events,
            transcript: transcript_start.map(|start| Transcript::from_entries(start, entries)),
            algorithms: AlgorithmInfo::from_dict(&header.object("algorithms")?),
            disconnect_reason: DisconnectReason::from_name(reason)
                .ok_or_else(|| header.unusable("disconnect_reason"))?,
            timing: TimingInfo::from_dict(&header.object("timing")?),
            host_info: match header.fields.get("host_info") {
                None | Some(Value::Null) => None,
                Some(_) => Some(
                    HostInfo::from_dict(&header.object("host_info")?)
                        .ok_or_else(|| header.unusable("host_info"))?,
                ),
            },
            error_context: header.object("error_context")?,
            configuration: header.object("configuration")?,
            commands,
            version: header.text("version")?.unwrap_or(Self::VERSION).to_owned(),
            created_ms: header
                .number("created_ms")?
                .ok_or_else(|| header.unusable("created_ms"))?,
        })
    }

    /// Reads what [`EvidenceBundle::to_file`] wrote, whatever its format.
    ///
    /// # Errors
    /// [`ErrorKind::LocalFile`](crate::ErrorKind::LocalFile) where the file cannot be read, and
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) where it holds no bundle, or more than
    /// [`EvidenceBundle::MAX_FILE_BYTES`]. The message names file and line; they are `path` and `line` in the context too.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = read_text(path, Self::MAX_FILE_BYTES)?;
        Self::from_text(&text).map_err(|error| {
            let mut located = invalid(path, &error.to_string()).with_hint(match error {
                BundleTextError::Version { .. } => "read it with a newer version of this program",
                _ => "check that it is a bundle, and that it was copied completely",
            });
            if let Some(line) = error.line() {
                located = located.with_extra("line", line);
            }
            located
        })
    }
}

impl FromStr for EvidenceBundle {
    type Err = BundleTextError;

    fn from_str(text: &str) -> Result<Self, BundleTextError> {
        Self::from_text(text)
    }
}

/// The header, whose fields are looked up one by one. What is missing or `null` is `None` or empty.
struct Header<'a> {
    fields: &'a Map<String, Value>,
    place: Place,
}

impl Header<'_> {
    fn text(&self, name: &str) -> Result<Option<&str>, BundleTextError> {
        match self.fields.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_str().map(Some).ok_or_else(|| self.unusable(name)),
        }
    }

    fn number(&self, name: &str) -> Result<Option<f64>, BundleTextError> {
        match self.fields.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_f64().map(Some).ok_or_else(|| self.unusable(name)),
        }
    }

    fn object(&self, name: &str) -> Result<Map<String, Value>, BundleTextError> {
        match self.fields.get(name) {
            None | Some(Value::Null) => Ok(Map::new()),
            Some(Value::Object(fields)) => Ok(fields.clone()),
            Some(_) => Err(self.unusable(name)),
        }
    }

    fn unusable(&self, name: &str) -> BundleTextError {
        BundleTextError::Malformed {
            place: self.place,
            what: format!("there is no usable {name:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::evidence::tests::{any_bundle, sample};
    use crate::evidence::{BundleFormat, Redaction};
    use proptest::prelude::*;
    use serde_json::json;

    const FORMATS: [BundleFormat; 3] = [
        BundleFormat::Json,
        BundleFormat::JsonCompact,
        BundleFormat::JsonLines,
    ];

    #[test]
    fn a_bundle_comes_back_from_a_file_of_any_format() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bundle");
        for format in FORMATS {
            sample().to_file(&path, format, Redaction::DangerNothing).unwrap();
            assert_eq!(EvidenceBundle::from_file(&path).unwrap(), sample(), "{format:?}");
        }
    }

    #[test]
    fn an_error_of_a_file_names_the_file_and_the_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bun\ndle");
        let mut text = sample().to_jsonl(Redaction::DangerNothing);
        text.push_str("\n{\"type\": \"event\", \"event_type\": \"EXEC\", \"timestamp\": 0}");
        std::fs::write(&path, text).unwrap();
        let error = EvidenceBundle::from_file(&path).unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Invalid);
        assert!(
            error
                .to_string()
                .ends_with("bun\\ndle: line 6: the event has no usable \"timestamp\""),
            "{error}"
        );
        assert_eq!(error.to_dict().get("line"), Some(&json!(6)));
    }

    #[test]
    fn a_later_version_is_refused_only_where_it_cannot_be_read() {
        let mut dict = sample().to_dict(Redaction::DangerNothing);
        dict.insert("version".into(), "1.9".into());
        dict.insert("new".into(), "key".into());
        let text = Value::Object(dict.clone()).to_string();
        assert_eq!(EvidenceBundle::from_text(&text).unwrap().version, "1.9");
        dict.insert("version".into(), "2.0".into());
        let error = EvidenceBundle::from_text(&Value::Object(dict).to_string()).unwrap_err();
        assert_eq!(error, BundleTextError::Version { found: "2.0".into() });
    }

    #[test]
    fn what_a_bundle_must_have_is_asked_for() {
        for (name, value) in [
            ("created_ms", None),
            ("created_ms", Some(json!("1"))),
            ("disconnect_reason", None),
            ("disconnect_reason", Some(json!("boredom"))),
            ("algorithms", Some(json!([]))),
            ("timing", Some(json!(1))),
            ("host_info", Some(json!({"host": "h"}))),
        ] {
            let mut dict = sample().to_dict(Redaction::DangerNothing);
            match value {
                None => dict.shift_remove(name),
                Some(value) => dict.insert(name.into(), value),
            };
            let error = EvidenceBundle::from_text(&Value::Object(dict).to_string()).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("the bundle: there is no usable {name:?}")
            );
        }
    }

    proptest! {
        #[test]
        fn every_bundle_comes_back_from_every_format_as_it_was(bundle in any_bundle()) {
            for format in FORMATS {
                let text = bundle.to_text(format, Redaction::DangerNothing);
                prop_assert_eq!(&EvidenceBundle::from_text(&text).unwrap(), &bundle);
            }
            // The lines may be indented as well.
            let jsonl = bundle.to_jsonl(Redaction::DangerNothing);
            let indented: Vec<String> = jsonl
                .lines()
                .map(|line| format!("{:#}", serde_json::from_str::<Value>(line).unwrap()))
                .collect();
            prop_assert_eq!(&EvidenceBundle::from_text(&indented.join("\n")).unwrap(), &bundle);
        }

        #[test]
        fn no_text_makes_reading_panic(text in ".*", cut in any::<prop::sample::Index>(), bundle in any_bundle()) {
            let _ = EvidenceBundle::from_text(&text);
            let jsonl = bundle.to_jsonl(Redaction::DangerNothing);
            let cut = jsonl.floor_char_boundary(cut.index(jsonl.len()));
            let _ = EvidenceBundle::from_text(&jsonl[..cut]);
        }
    }
}
