//! What was said in an automated dialogue, in order.

use std::io;
use std::path::Path;
use std::time::SystemTime;

use serde_json::{Map, Value};
use sternline_proto::expect::ExpectResult;
use sternline_proto::redact::{REDACTED, Redactor};

use super::entry::{InteractionType, Stream, TranscriptEntry, TranscriptParseError};
use super::private_file::write_private;
use crate::event::unix_millis;
use crate::secret::Secret;

/// The steps of a dialogue.
///
/// It is bounded: beyond its limit, steps from the middle are left out, so that the beginning and what happened last
/// remain; one entry in their place says how much is missing. Secrets that it was told of are masked from the moment
/// an entry is added, everything else that looks like a secret when it is written.
#[derive(Debug, Clone)]
pub struct Transcript {
    start_ms: f64,
    entries: Vec<TranscriptEntry>,
    limit: usize,
    /// The weight of all entries.
    size: usize,
    gap: Option<Gap>,
    secrets: Vec<Secret>,
    /// What is written passes this.
    redactor: Redactor,
}

/// What was left out of the middle.
#[derive(Debug, Clone, Copy)]
struct Gap {
    /// The place of the entry that stands for it.
    at: usize,
    entries: u64,
    bytes: u64,
}

/// Two transcripts are equal that say the same. How much they may still take does not matter.
impl PartialEq for Transcript {
    fn eq(&self, other: &Self) -> bool {
        self.start_ms == other.start_ms && self.entries == other.entries
    }
}

impl Default for Transcript {
    fn default() -> Self {
        Self::new()
    }
}

impl Transcript {
    /// How many bytes are kept by default: 4 MiB.
    pub const DEFAULT_LIMIT: usize = 4 * 1024 * 1024;

    /// An empty transcript that begins now.
    #[must_use]
    pub fn new() -> Self {
        Self::from_entries(unix_millis(SystemTime::now()), Vec::new())
    }

    /// A transcript that began then, with these steps, oldest first.
    #[must_use]
    pub fn from_entries(start_ms: f64, entries: Vec<TranscriptEntry>) -> Self {
        Self {
            start_ms,
            size: entries.iter().map(TranscriptEntry::weight).sum(),
            entries,
            limit: Self::DEFAULT_LIMIT,
            gap: None,
            secrets: Vec::new(),
            redactor: Redactor::new(),
        }
    }

    /// Has what is written pass this filter, and marks secrets there too.
    pub(crate) fn redacted_by(mut self, redactor: Redactor) -> Self {
        for secret in &self.secrets {
            redactor.mark(secret.expose());
        }
        self.redactor = redactor;
        self
    }

    /// How many bytes are kept from now on; about, as an entry counts a little more than its text.
    #[must_use]
    pub fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// When it began, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn start_ms(&self) -> f64 {
        self.start_ms
    }

    /// The time from the beginning to the last step.
    #[must_use]
    pub fn duration_ms(&self) -> f64 {
        self.entries
            .last()
            .map_or(0.0, |last| (last.timestamp_ms - self.start_ms).max(0.0))
    }

    /// The steps, oldest first.
    #[must_use]
    pub fn entries(&self) -> &[TranscriptEntry] {
        &self.entries
    }

    /// How many steps there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing has happened.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The steps one by one.
    pub fn iter(&self) -> std::slice::Iter<'_, TranscriptEntry> {
        self.entries.iter()
    }

    /// Masks this text in every entry that is added from now on, wherever it stands. Its other forms, such as base64, are
    /// masked when the transcript is written.
    pub fn mark_secret(&mut self, secret: &Secret) {
        self.redactor.mark(secret.expose());
        let is_same = |marked: &Secret| marked.expose() == secret.expose();
        if !secret.expose().is_empty() && !self.secrets.iter().any(is_same) {
            self.secrets.push(secret.clone());
            // One that holds another has to be masked first.
            self.secrets
                .sort_by_key(|secret| std::cmp::Reverse(secret.expose().len()));
        }
    }

    /// The text with the marked secrets masked.
    #[must_use]
    pub fn masked(&self, text: &str) -> String {
        let mut masked = text.to_owned();
        for secret in &self.secrets {
            if masked.contains(secret.expose()) {
                masked = masked.replace(secret.expose(), REDACTED);
            }
        }
        masked
    }

    /// Records what came of waiting for a pattern: the text that matched, or else the pattern.
    pub fn add_expect(&mut self, result: &ExpectResult) -> TranscriptEntry {
        let kind = match result.timed_out {
            true => InteractionType::Timeout,
            false => InteractionType::Expect,
        };
        let content = match result.matched {
            true => &result.match_text,
            false => result.pattern.pattern(),
        };
        self.add(TranscriptEntry {
            duration_ms: result.duration_ms,
            metadata: result.to_dict(),
            ..TranscriptEntry::now(kind, content)
        })
    }

    /// Records that something was sent.
    pub fn add_send(&mut self, text: &str, metadata: Option<Map<String, Value>>) -> TranscriptEntry {
        self.add(TranscriptEntry {
            metadata: metadata.unwrap_or_default(),
            ..TranscriptEntry::now(InteractionType::Send, text)
        })
    }

    /// Records that a secret was sent, and nothing else about it. Where the other side shows it, it is masked.
    pub fn add_secret_send(&mut self, secret: &Secret) -> TranscriptEntry {
        self.mark_secret(secret);
        let mut metadata = Map::new();
        metadata.insert("secret".to_owned(), true.into());
        self.add_send(REDACTED, Some(metadata))
    }

    /// Records output. Where it came from stands in the metadata, as `stream`.
    pub fn add_output(&mut self, text: &str, stream: Stream) -> TranscriptEntry {
        self.add(Self::output(
            unix_millis(SystemTime::now()),
            text.to_owned(),
            stream,
        ))
    }

    /// As [`Transcript::add_output`], for what came at another moment, in milliseconds since the Unix epoch.
    pub(crate) fn add_output_at(&mut self, timestamp_ms: f64, text: String, stream: Stream) {
        self.push(Self::output(timestamp_ms, text, stream));
    }

    fn output(timestamp_ms: f64, text: String, stream: Stream) -> TranscriptEntry {
        let mut metadata = Map::new();
        metadata.insert("stream".to_owned(), stream.as_str().into());
        TranscriptEntry {
            timestamp_ms,
            interaction_type: InteractionType::Output,
            content: text,
            duration_ms: 0.0,
            metadata,
        }
    }

    /// Records any step, and gives it as it was recorded.
    pub fn add(&mut self, entry: TranscriptEntry) -> TranscriptEntry {
        let entry = self.shortened(self.masked_entry(entry));
        self.keep(entry.clone());
        entry
    }

    fn push(&mut self, entry: TranscriptEntry) {
        let entry = self.shortened(self.masked_entry(entry));
        self.keep(entry);
    }

    fn keep(&mut self, entry: TranscriptEntry) {
        self.make_room(entry.weight());
        self.size += entry.weight();
        self.entries.push(entry);
    }

    fn masked_entry(&self, mut entry: TranscriptEntry) -> TranscriptEntry {
        if self.secrets.is_empty() {
            return entry;
        }
        entry.content = self.masked(&entry.content);
        entry.metadata = self.masked_fields(entry.metadata);
        entry
    }

    fn masked_fields(&self, fields: Map<String, Value>) -> Map<String, Value> {
        fields
            .into_iter()
            .map(|(name, value)| (name, self.masked_value(value)))
            .collect()
    }

    fn masked_value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => self.masked(&text).into(),
            Value::Array(items) => items.into_iter().map(|item| self.masked_value(item)).collect(),
            Value::Object(fields) => Value::Object(self.masked_fields(fields)),
            Value::Number(_) | Value::Bool(_) | Value::Null => value,
        }
    }

    /// Keeps the end of a text that would take more than its share.
    fn shortened(&self, mut entry: TranscriptEntry) -> TranscriptEntry {
        let share = self.limit / 4;
        if entry.content.len() > share {
            let cut = ceil_char_boundary(&entry.content, entry.content.len() - share);
            entry.content.drain(..cut);
            entry.metadata.insert("omitted_bytes".to_owned(), cut.into());
        }
        entry
    }

    /// Leaves out steps behind the first quarter, more than needed, so that it is not done for every step.
    fn make_room(&mut self, needed: usize) {
        if self.size + needed <= self.limit {
            return;
        }
        let mut gap = match self.gap.take() {
            Some(gap) => gap,
            None => self.open_gap(),
        };
        let target = (self.limit / 4 * 3).saturating_sub(needed);
        let mut dropped = 0;
        let mut size = self.size;
        for entry in self.entries.iter().skip(gap.at + 1) {
            if size <= target {
                break;
            }
            size -= entry.weight();
            dropped += 1;
            gap.entries += 1;
            gap.bytes += entry.content.len() as u64;
        }
        self.size = size;
        self.entries.drain(gap.at + 1..gap.at + 1 + dropped);
        if let Some(entry) = self.entries.get_mut(gap.at) {
            entry
                .metadata
                .insert("omitted_entries".to_owned(), gap.entries.into());
            entry
                .metadata
                .insert("omitted_bytes".to_owned(), gap.bytes.into());
        }
        self.gap = Some(gap);
    }

    fn open_gap(&mut self) -> Gap {
        let mut room = self.limit / 4;
        let kept = self.entries.iter().take_while(|entry| {
            let fits = entry.weight() <= room;
            room = room.saturating_sub(entry.weight());
            fits
        });
        let at = kept.count();
        let mut entry = TranscriptEntry::now(InteractionType::Output, "");
        if let Some(next) = self.entries.get(at) {
            entry.timestamp_ms = next.timestamp_ms;
        }
        self.size += entry.weight();
        self.entries.insert(at, entry);
        Gap {
            at,
            entries: 0,
            bytes: 0,
        }
    }

    /// A JSON object with the keys `start_ms`, `duration_ms`, `entry_count` and `entries`. Redacted.
    #[must_use]
    pub fn to_dict(&self) -> Map<String, Value> {
        match self
            .redactor
            .redact_secrets(&Value::Object(self.danger_to_dict()))
        {
            Value::Object(dict) => dict,
            _ => Map::new(),
        }
    }

    /// The text without secrets, as it is written.
    pub(super) fn redacted(&self, text: &str) -> String {
        self.redactor.redact_string(text).into_owned()
    }

    /// As [`Transcript::to_dict`], with only the marked secrets masked.
    #[must_use]
    pub fn danger_to_dict(&self) -> Map<String, Value> {
        let entries = self.entries.iter().map(|entry| Value::Object(entry.to_dict()));
        let mut dict = Map::new();
        dict.insert("start_ms".to_owned(), self.start_ms.into());
        dict.insert("duration_ms".to_owned(), self.duration_ms().into());
        dict.insert("entry_count".to_owned(), self.entries.len().into());
        dict.insert("entries".to_owned(), entries.collect());
        dict
    }

    /// Reads what [`Transcript::to_dict`] gave. The duration and the count follow from the entries.
    ///
    /// # Errors
    /// Names the first key that is missing or holds something else.
    pub fn from_dict(dict: &Map<String, Value>) -> Result<Self, TranscriptParseError> {
        let start_ms = dict.get("start_ms").and_then(Value::as_f64);
        let entries = dict
            .get("entries")
            .and_then(Value::as_array)
            .ok_or(TranscriptParseError::Field("entries"))?;
        let entries = entries
            .iter()
            .map(|entry| {
                let entry = entry.as_object().ok_or(TranscriptParseError::Field("entries"))?;
                TranscriptEntry::from_dict(entry)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let start_ms = start_ms.ok_or(TranscriptParseError::Field("start_ms"))?;
        Ok(Self::from_entries(start_ms, entries))
    }

    /// One JSON object a line for each step, without a line break at the end. Redacted.
    #[must_use]
    pub fn to_jsonl(&self) -> String {
        let lines = self.entries.iter().map(|entry| {
            self.redactor
                .redact_secrets(&Value::Object(entry.to_dict()))
                .to_string()
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Reads what [`Transcript::to_jsonl`] gave. The first step counts as the beginning. Blank lines are passed over.
    ///
    /// # Errors
    /// When a line is no JSON object, or lacks a key.
    pub fn from_jsonl(text: &str) -> Result<Self, TranscriptParseError> {
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        let entries = lines
            .map(|line| TranscriptEntry::from_dict(&serde_json::from_str(line)?))
            .collect::<Result<Vec<_>, _>>()?;
        let start_ms = entries.first().map_or(0.0, |first| first.timestamp_ms);
        Ok(Self::from_entries(start_ms, entries))
    }

    /// Writes [`Transcript::to_jsonl`] to a file that is there completely or not at all, and that only its owner may
    /// read. What stood there before is replaced. Missing parent directories are made.
    ///
    /// # Errors
    /// What the operating system answers.
    pub fn to_file(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let mut text = self.to_jsonl();
        if !text.is_empty() {
            text.push('\n');
        }
        write_private(path.as_ref(), text.as_bytes())
    }
}

impl<'a> IntoIterator for &'a Transcript {
    type Item = &'a TranscriptEntry;
    type IntoIter = std::slice::Iter<'a, TranscriptEntry>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The first boundary between characters at or after this place.
fn ceil_char_boundary(text: &str, at: usize) -> usize {
    (at..text.len())
        .find(|&place| text.is_char_boundary(place))
        .unwrap_or(text.len())
}

#[cfg(test)]
mod tests;
