//! The text of a bundle in either of its forms, cut into records.
//!
//! A bundle is one JSON object, or JSON lines of which the first is the header. Which of the two a text is follows from
//! the values in it, not from how they are laid out: both may be compact or indented.

use std::fmt;

use serde_json::{Deserializer, Map, Value};
use thiserror::Error;

/// The version of the format that is written. What is read has the same number in front of the dot.
pub const BUNDLE_VERSION: &str = "1.0";

/// One part of a bundle.
#[derive(Debug, Clone, PartialEq)]
pub struct BundleRecord {
    /// Which part it is.
    pub kind: RecordKind,
    /// Its fields, by the names of the form that is one JSON object, whichever form it came from. The header may have a
    /// `transcript_start_ms` beside the fields of that object.
    pub fields: Map<String, Value>,
    /// Where it stands, for messages.
    pub place: Place,
}

/// The parts of a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordKind {
    /// Everything that there is once. The first record, and the only one of its kind.
    Header,
    /// An event.
    Event,
    /// A step of the transcript.
    TranscriptEntry,
    /// A recorded command.
    Command,
}

/// Where in a bundle's text something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// At the top of the one object.
    Top,
    /// In the JSON value that begins on this line, counted from 1.
    Line(usize),
    /// In this item, counted from 0, of a list in the one object.
    Item(&'static str, usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Top => f.write_str("the bundle"),
            Self::Line(line) => write!(f, "line {line}"),
            Self::Item(list, index) => write!(f, "{list}[{index}]"),
        }
    }
}

/// Why a text is no bundle.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BundleTextError {
    /// There is nothing in it.
    #[error("there is nothing in it")]
    Empty,
    /// It is not JSON.
    #[error("line {line}, column {column}: this is not JSON: {reason}")]
    Json {
        /// The line, counted from 1.
        line: usize,
        /// The column, counted from 1.
        column: usize,
        /// What the parser says.
        reason: String,
    },
    /// It is JSON, but not as a bundle has it.
    #[error("{place}: {what}")]
    Malformed {
        /// Where.
        place: Place,
        /// What is wrong there; foreign text in it is escaped.
        what: String,
    },
    /// It has another version.
    #[error("it has version {found} of the format, and this program reads version {BUNDLE_VERSION}")]
    Version {
        /// The version it has, escaped.
        found: String,
    },
}

impl BundleTextError {
    /// The line that is meant, counted from 1, where it is known.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        match self {
            Self::Json { line, .. }
            | Self::Malformed {
                place: Place::Line(line),
                ..
            } => Some(*line),
            _ => None,
        }
    }

    fn malformed(place: Place, what: impl Into<String>) -> Self {
        Self::Malformed {
            place,
            what: what.into(),
        }
    }
}

/// Cuts the text of a bundle into its records, the header first.
///
/// Keys and records that are not known are left alone, for a later version with the same number in front of the dot may
/// have written them: keys stay in their record, records of an unknown type are left out.
///
/// # Errors
/// Says what is wrong and where.
pub fn read_bundle(text: &str) -> Result<Vec<BundleRecord>, BundleTextError> {
    let values = values(text.strip_prefix('\u{feff}').unwrap_or(text))?;
    let mut values = values.into_iter();
    let (line, first) = values.next().ok_or(BundleTextError::Empty)?;
    let first = object(first, Place::Line(line))?;
    if first.get("type").and_then(Value::as_str) == Some("bundle_header") {
        from_lines(line, first, values)
    } else if let Some((line, _)) = values.next() {
        Err(BundleTextError::malformed(
            Place::Line(line),
            "a second value begins here, but the first one is no header of a bundle in JSON lines",
        ))
    } else {
        from_object(first)
    }
}

/// The JSON values in a text, each with the line on which it begins.
fn values(text: &str) -> Result<Vec<(usize, Value)>, BundleTextError> {
    let mut found = Vec::new();
    let mut stream = Deserializer::from_str(text).into_iter::<Value>();
    let (mut line, mut counted) = (1, 0);
    loop {
        // Up to where the next value begins: behind the white space.
        let rest = text.get(stream.byte_offset()..).unwrap_or_default();
        let begin = text.len() - rest.trim_start().len();
        let between = text.as_bytes().get(counted..begin).unwrap_or_default();
        line += between.iter().filter(|byte| **byte == b'\n').count();
        counted = begin;
        match stream.next() {
            None => return Ok(found),
            Some(Ok(value)) => found.push((line, value)),
            Some(Err(error)) => {
                let reason = error.to_string();
                let position = format!(" at line {} column {}", error.line(), error.column());
                return Err(BundleTextError::Json {
                    line: error.line(),
                    column: error.column(),
                    reason: reason.strip_suffix(&position).unwrap_or(&reason).to_owned(),
                });
            }
        }
    }
}

fn from_lines(
    line: usize,
    mut header: Map<String, Value>,
    others: impl Iterator<Item = (usize, Value)>,
) -> Result<Vec<BundleRecord>, BundleTextError> {
    let place = Place::Line(line);
    header.shift_remove("type");
    check_version(&header, place)?;
    let mut records = vec![BundleRecord {
        kind: RecordKind::Header,
        fields: header,
        place,
    }];
    for (line, value) in others {
        let place = Place::Line(line);
        let mut fields = object(value, place)?;
        let kind = match fields.shift_remove("type") {
            Some(Value::String(name)) => name,
            _ => return Err(BundleTextError::malformed(place, "the record has no \"type\"")),
        };
        let kind = match kind.as_str() {
            "event" => RecordKind::Event,
            "transcript_entry" => {
                // In the other form, which knows from the list what it is, this stands under `type`.
                if let Some(interaction) = fields.shift_remove("interaction_type") {
                    fields.insert("type".to_owned(), interaction);
                }
                RecordKind::TranscriptEntry
            }
            "command" => RecordKind::Command,
            "bundle_header" => {
                return Err(BundleTextError::malformed(place, "a second bundle begins here"));
            }
            _ => continue,
        };
        records.push(BundleRecord { kind, fields, place });
    }
    Ok(records)
}

fn from_object(mut header: Map<String, Value>) -> Result<Vec<BundleRecord>, BundleTextError> {
    check_version(&header, Place::Top)?;
    let mut items = Vec::new();
    let mut take = |kind, list: &'static str, value: Option<Value>| match value {
        None | Some(Value::Null) => Ok(()),
        Some(Value::Array(values)) => {
            for (index, value) in values.into_iter().enumerate() {
                let place = Place::Item(list, index);
                let fields = object(value, place)?;
                items.push(BundleRecord { kind, fields, place });
            }
            Ok(())
        }
        Some(_) => Err(BundleTextError::malformed(
            Place::Top,
            format!("{list:?} is no list"),
        )),
    };
    take(RecordKind::Event, "events", header.shift_remove("events"))?;
    match header.shift_remove("transcript") {
        None | Some(Value::Null) => {}
        Some(Value::Object(mut transcript)) => {
            if let Some(start) = transcript.shift_remove("start_ms") {
                header.insert("transcript_start_ms".to_owned(), start);
            }
            let entries = transcript.shift_remove("entries");
            take(RecordKind::TranscriptEntry, "transcript.entries", entries)?;
        }
        Some(_) => {
            return Err(BundleTextError::malformed(
                Place::Top,
                "\"transcript\" is no object",
            ));
        }
    }
    take(RecordKind::Command, "commands", header.shift_remove("commands"))?;
    let mut records = vec![BundleRecord {
        kind: RecordKind::Header,
        fields: header,
        place: Place::Top,
    }];
    records.append(&mut items);
    Ok(records)
}

fn object(value: Value, place: Place) -> Result<Map<String, Value>, BundleTextError> {
    match value {
        Value::Object(fields) => Ok(fields),
        _ => Err(BundleTextError::malformed(place, "this is no JSON object")),
    }
}

fn check_version(header: &Map<String, Value>, place: Place) -> Result<(), BundleTextError> {
    let Some(version) = header.get("version").and_then(Value::as_str) else {
        return Err(BundleTextError::malformed(
            place,
            "this is no bundle: it has no \"version\"",
        ));
    };
    let major = |version: &str| version.split('.').next().map(str::to_owned);
    if major(version) == major(BUNDLE_VERSION) {
        Ok(())
    } else {
        Err(BundleTextError::Version {
            found: crate::text::escape(version),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn kinds(text: &str) -> Vec<(RecordKind, String)> {
        let records = read_bundle(text).unwrap();
        records
            .into_iter()
            .map(|record| (record.kind, record.place.to_string()))
            .collect()
    }

    #[test]
    fn both_forms_compact_or_indented_are_told_apart_by_what_they_hold() {
        let object = json!({
            "version": "1.0", "note": "\"type\": \"bundle_header\"", "events": [{"event_type": "EXEC"}],
            "transcript": {"start_ms": 5.0, "entries": [{"type": "send"}]}, "commands": [{"command": "ls"}],
        });
        let expected = [
            (RecordKind::Header, "the bundle"),
            (RecordKind::Event, "events[0]"),
            (RecordKind::TranscriptEntry, "transcript.entries[0]"),
            (RecordKind::Command, "commands[0]"),
        ]
        .map(|(kind, place)| (kind, place.to_owned()));
        assert_eq!(kinds(&object.to_string()), expected);
        assert_eq!(kinds(&format!("\u{feff}{object:#}\n")), expected);

        let lines = [
            json!({"type": "bundle_header", "version": "1.7", "transcript_start_ms": 5.0}),
            json!({"event_type": "EXEC", "type": "event"}),
            json!({"type": "of a later version"}),
            json!({"type": "transcript_entry", "interaction_type": "send"}),
            json!({"type": "command", "command": "ls"}),
        ];
        let compact = lines.each_ref().map(Value::to_string).join("\n");
        let indented = lines.each_ref().map(|line| format!("{line:#}")).join("\n\n");
        for (text, places) in [(compact, [1, 2, 4, 5]), (indented, [1, 7, 16, 21])] {
            let expected: Vec<_> = expected
                .iter()
                .zip(places)
                .map(|((kind, _), line)| (*kind, format!("line {line}")))
                .collect();
            assert_eq!(kinds(&text), expected);
            let records = read_bundle(&text).unwrap();
            assert_eq!(records[2].fields.get("type"), Some(&json!("send")));
            assert_eq!(records[0].fields.get("transcript_start_ms"), Some(&json!(5.0)));
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let header = r#"{"type":"bundle_header","version":"1.0"}"#;
        for (text, message) in [
            ("", "there is nothing in it"),
            (" \n\t", "there is nothing in it"),
            ("[]", "line 1: this is no JSON object"),
            ("\n\nnope", "line 3, column 2: this is not JSON: expected ident"),
            (
                "{\"version\": \"1.0\",",
                "line 1, column 18: this is not JSON: EOF while parsing a value",
            ),
            ("{}", "the bundle: this is no bundle: it has no \"version\""),
            (
                "{\"version\": 1}",
                "the bundle: this is no bundle: it has no \"version\"",
            ),
            (
                "{\"version\": \"2.0\\u001b\"}",
                "it has version 2.0\\x1b of the format, and this program reads version 1.0",
            ),
            (
                "{\"version\": \"1.0\", \"events\": {}}",
                "the bundle: \"events\" is no list",
            ),
            (
                "{\"version\": \"1.0\", \"events\": [{}, 1]}",
                "events[1]: this is no JSON object",
            ),
            (
                "{\"version\": \"1.0\", \"transcript\": 1}",
                "the bundle: \"transcript\" is no object",
            ),
            (
                "{\"version\": \"1.0\"}\n{}",
                "line 2: a second value begins here, but the first one is no header of a bundle in JSON lines",
            ),
            (
                &format!("{header}\n\n{{\"x\": 1}}"),
                "line 3: the record has no \"type\"",
            ),
            (
                &format!("{header}\n{header}"),
                "line 2: a second bundle begins here",
            ),
        ] {
            let error = read_bundle(text).unwrap_err();
            assert_eq!(error.to_string(), message, "{text}");
        }
    }
}
