//! What is kept of a connection while it goes on, so that there is a bundle at any time.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use data_encoding::HEXLOWER;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use sternline_proto::evidence::{RecordedCommand, RecordedInput, RecordedOutput};
use sternline_proto::redact::Redactor;

use super::bundle::EvidenceBundle;
use super::story::Story;
use super::transcript::Transcript;
use crate::error::Error;
use crate::event::{Event, unix_millis};

/// Keeps the events and facts of one connection, or of all that a supervisor makes to one host. Clones share what is kept.
///
/// Give it to [`ConnectionBuilder::evidence`](crate::ConnectionBuilder::evidence), and ask it for a bundle at any time,
/// also when connecting has failed and there is no connection to ask:
///
/// ```no_run
/// # async fn example() -> sternline::Result<()> {
/// use sternline::Connection;
/// use sternline::evidence::{BundleFormat, EvidenceRecorder, Redaction};
///
/// let recorder = EvidenceRecorder::new();
/// if let Err(error) = Connection::builder("web").evidence(&recorder).connect().await {
///     eprintln!("{error}");
///     recorder.bundle(None).to_file("web.json", BundleFormat::Json, Redaction::default())?;
/// }
/// # Ok(()) }
/// ```
///
/// Memory is bounded: of many events those at the beginning and the latest are kept, 10,000 or 36 MiB of them, and the
/// bundle's configuration says under `events_dropped` how many are missing.
#[derive(Clone, Default)]
pub struct EvidenceRecorder(Arc<Mutex<State>>);

/// How much is recorded of what commands read and write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordOutput {
    /// How many bytes are kept of each stream of each command, from its beginning. Default 1 MiB.
    pub limit: usize,
    /// How many bytes are kept of all commands together. Default 64 MiB.
    pub total: usize,
}

impl Default for RecordOutput {
    fn default() -> Self {
        Self {
            limit: 1024 * 1024,
            total: 64 * 1024 * 1024,
        }
    }
}

/// Events that are kept from the beginning: how the connection was made.
const FIRST: usize = 1000;

/// What those may take all together, in bytes.
const FIRST_BYTES: usize = 4 * 1024 * 1024;

/// The latest events that are kept beside them.
const LATEST: usize = 9000;

/// What the latest events may take all together, in bytes.
const LATEST_BYTES: usize = 32 * 1024 * 1024;

/// The most commands that are recorded.
const COMMANDS: usize = 10_000;

#[derive(Default)]
struct State {
    first: Vec<Event>,
    first_bytes: usize,
    latest: VecDeque<(Event, usize)>,
    latest_bytes: usize,
    events_dropped: u64,
    story: Story,
    configuration: Map<String, Value>,
    /// Knows the secrets of the connection.
    redactor: Redactor,
    /// What was added to it, which later connections do not replace.
    noted: Map<String, Value>,
    sources: Map<String, Value>,
    output: Option<RecordOutput>,
    output_bytes: usize,
    commands: Vec<RecordedCommand>,
    commands_dropped: u64,
}

impl EvidenceRecorder {
    /// A recorder that has heard nothing yet, and records no output.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Records from now on what commands read and write: their input by its size and SHA-256, their output up to these
    /// limits. It costs memory and what it takes to hash the input. How commands run does not change.
    ///
    /// Output may hold anything. What the connection knows to be secret, its passwords for example, is never in a bundle. What
    /// looks like a secret is taken out when the bundle is written, unless
    /// [`Redaction::DangerNothing`](super::Redaction::DangerNothing) is asked for; a secret without a sign of one stays.
    pub fn record_output(&self, limits: RecordOutput) {
        self.lock().output = Some(limits);
    }

    /// Everything that is known at this moment, with the transcript of a dialogue if there was one.
    #[must_use]
    pub fn bundle<'a>(&self, transcript: impl Into<Option<&'a Transcript>>) -> EvidenceBundle {
        let state = self.lock();
        let events = state
            .first
            .iter()
            .chain(state.latest.iter().map(|(event, _)| event));
        let now_ms = unix_millis(SystemTime::now());
        let mut bundle = state
            .story
            .clone()
            .bundle(events.cloned().collect(), transcript.into(), now_ms);
        bundle.commands = state.commands.clone();
        bundle.configuration = state.configuration();
        let redactor = state.redactor.clone();
        drop(state);
        bundle.masked_by(&redactor)
    }

    /// Takes an error into the evidence of which no event tells, such as one of the program that uses the connection.
    pub fn failed(&self, error: &Error) {
        self.lock().story.error_context = error.to_dict();
    }

    /// Adds an event of something beside the connection, such as a jump host on the way to it. It is kept, and changes nothing
    /// of what is known of the connection.
    pub fn add_event(&self, event: &Event) {
        self.hear(event, false);
    }

    /// Adds a setting to the bundle's configuration, with where it comes from if that is known.
    pub fn note(&self, name: &str, value: impl Into<Value>, source: Option<&str>) {
        self.lock().noted.insert(name.to_owned(), setting(value, source));
    }

    /// Says where a setting comes from that the library tells itself: a file and line, for example.
    pub fn note_source(&self, name: &str, source: &str) {
        self.lock().sources.insert(name.to_owned(), source.into());
    }

    /// Takes an event. `is_about_it` says whether the connection itself is meant, or one for its sake.
    pub(crate) fn hear(&self, event: &Event, is_about_it: bool) {
        let mut state = self.lock();
        if is_about_it {
            state.story.hear(event);
        }
        let size = size_of(&event.data);
        let is_early = state.latest.is_empty() && state.events_dropped == 0;
        if is_early && state.first.len() < FIRST && state.first_bytes + size <= FIRST_BYTES {
            state.first_bytes += size;
            state.first.push(event.clone());
            return;
        }
        state.latest_bytes += size;
        state.latest.push_back((event.clone(), size));
        while state.latest.len() > LATEST || (state.latest_bytes > LATEST_BYTES && state.latest.len() > 1) {
            if let Some((_, size)) = state.latest.pop_front() {
                state.latest_bytes -= size;
                state.events_dropped += 1;
            }
        }
    }

    /// Takes the settings of a connection that is about to be made, and the filter that knows its secrets.
    pub(crate) fn configured(&self, configuration: Map<String, Value>, redactor: &Redactor) {
        let mut state = self.lock();
        state.configuration = configuration;
        state.redactor = redactor.clone();
    }

    /// Begins to record a command; `None` where output is not to be recorded.
    pub(crate) fn command(&self, line: &[u8]) -> Option<Recording> {
        let limits = self.lock().output?;
        Some(Recording {
            recorder: self.clone(),
            limit: limits.limit,
            command: String::from_utf8_lossy(line).into_owned(),
            started_ms: unix_millis(SystemTime::now()),
            started: Instant::now(),
            stdin: RecordedStdin::default(),
            stdout: RecordedOutput::default(),
            stderr: RecordedOutput::default(),
        })
    }

    /// How many of these bytes may be kept.
    fn reserve(&self, bytes: usize) -> usize {
        let mut state = self.lock();
        let total = state.output.map_or(0, |output| output.total);
        let granted = bytes.min(total.saturating_sub(state.output_bytes));
        state.output_bytes += granted;
        granted
    }

    fn recorded(&self, command: RecordedCommand) {
        let mut state = self.lock();
        if state.commands.len() < COMMANDS {
            state.commands.push(command);
        } else {
            state.commands_dropped += 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn configuration(&self) -> Map<String, Value> {
        let mut all = self.configuration.clone();
        all.extend(self.noted.clone());
        for (name, source) in &self.sources {
            if let Some(Value::Object(setting)) = all.get_mut(name) {
                setting.insert("source".to_owned(), source.clone());
            }
        }
        for (name, dropped) in [
            ("events_dropped", self.events_dropped),
            ("commands_dropped", self.commands_dropped),
        ] {
            if dropped > 0 {
                all.insert(name.to_owned(), setting(dropped, None));
            }
        }
        all
    }
}

/// A setting as the configuration of a bundle has it.
pub(crate) fn setting(value: impl Into<Value>, source: Option<&str>) -> Value {
    match source {
        Some(source) => json!({ "value": value.into(), "source": source }),
        None => json!({ "value": value.into() }),
    }
}

/// About how many bytes these details take.
fn size_of(data: &Map<String, Value>) -> usize {
    fn value_size(value: &Value) -> usize {
        match value {
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(value_size).sum(),
            Value::Object(fields) => size_of(fields),
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        }
    }
    data.iter()
        .map(|(name, value)| 48 + name.len() + value_size(value))
        .sum()
}

impl fmt::Debug for EvidenceRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("EvidenceRecorder")
            .field("events", &(state.first.len() + state.latest.len()))
            .field("commands", &state.commands.len())
            .field("output", &state.output)
            .finish_non_exhaustive()
    }
}

/// One command while it is being recorded. Its end has to be told.
pub(crate) struct Recording {
    recorder: EvidenceRecorder,
    limit: usize,
    command: String,
    started_ms: f64,
    started: Instant,
    stdin: RecordedStdin,
    stdout: RecordedOutput,
    stderr: RecordedOutput,
}

impl Recording {
    /// What is told of the command's input, wherever that is sent.
    pub(crate) fn stdin(&self) -> RecordedStdin {
        self.stdin.clone()
    }

    pub(crate) fn stdout(&mut self, bytes: &[u8]) {
        keep(&self.recorder, self.limit, &mut self.stdout, bytes);
    }

    pub(crate) fn stderr(&mut self, bytes: &[u8]) {
        keep(&self.recorder, self.limit, &mut self.stderr, bytes);
    }

    /// The command failed to start or to end by itself. The error's class stands first, so that a replay can do the same.
    pub(crate) fn failed(self, error: &Error) {
        self.end(None, None, Some(format!("{}: {error}", error.error_type())));
    }

    /// The command has ended, or was given up for a reason.
    pub(crate) fn end(self, exit_code: Option<u32>, signal: Option<String>, error: Option<String>) {
        let recorded = RecordedCommand {
            command: self.command,
            started_ms: self.started_ms,
            duration_ms: self.started.elapsed().as_secs_f64() * 1000.0,
            stdin: self.stdin.digest(),
            stdout: self.stdout,
            stderr: self.stderr,
            exit_code,
            signal,
            error,
        };
        self.recorder.recorded(recorded);
    }
}

/// Keeps the beginning of a stream, and counts all of it.
fn keep(recorder: &EvidenceRecorder, limit: usize, output: &mut RecordedOutput, bytes: &[u8]) {
    // Once something is missing, what follows would stand in the wrong place.
    if !output.is_truncated() {
        let room = limit.saturating_sub(output.data.len()).min(bytes.len());
        let kept = if room > 0 { recorder.reserve(room) } else { 0 };
        output
            .data
            .extend_from_slice(bytes.get(..kept).unwrap_or_default());
    }
    output.bytes += bytes.len() as u64;
}

/// Hashes what a command is given to read. Clones go on with the same input.
#[derive(Clone, Default)]
pub(crate) struct RecordedStdin(Arc<Mutex<(Sha256, u64)>>);

impl RecordedStdin {
    pub(crate) fn take(&self, bytes: &[u8]) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.0.update(bytes);
        state.1 += bytes.len() as u64;
    }

    fn digest(&self) -> RecordedInput {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        RecordedInput {
            bytes: state.1,
            sha256: (state.1 > 0).then(|| HEXLOWER.encode(&state.0.clone().finalize())),
        }
    }
}

impl fmt::Debug for RecordedStdin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecordedStdin")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::event::EventType;

    fn event(number: usize, text: &str) -> Event {
        let mut data = Map::new();
        data.insert("number".into(), number.into());
        data.insert("command".into(), text.into());
        Event::now(EventType::Exec, data)
    }

    #[test]
    fn of_many_events_the_first_and_the_latest_are_kept_and_the_others_counted() {
        let recorder = EvidenceRecorder::new();
        for number in 0..12_000 {
            recorder.hear(&event(number, ""), true);
        }
        let bundle = recorder.bundle(None);
        assert_eq!(bundle.events.len(), FIRST + LATEST);
        let number = |index: usize| bundle.events[index].data["number"].as_u64().unwrap();
        assert_eq!((number(999), number(1000)), (999, 3000));
        assert_eq!(number(9999), 11_999);
        assert_eq!(bundle.configuration["events_dropped"], json!({ "value": 2000 }));
    }

    #[test]
    fn large_events_are_bounded_by_their_size() {
        let recorder = EvidenceRecorder::new();
        let text = "x".repeat(200 * 1024);
        for number in 0..FIRST {
            recorder.hear(&event(number, ""), true);
        }
        for number in 0..1000 {
            recorder.hear(&event(number, &text), true);
        }
        let kept = recorder.bundle(None).events.len() - FIRST;
        assert!(kept * text.len() <= LATEST_BYTES && kept > 100, "{kept}");
    }

    #[test]
    fn output_is_kept_up_to_the_limits_and_counted_beyond_them() {
        let recorder = EvidenceRecorder::new();
        assert!(recorder.command(b"ls").is_none(), "only when it is asked for");
        recorder.record_output(RecordOutput { limit: 4, total: 7 });
        let mut first = recorder.command(b"one \xff").unwrap();
        first.stdout(b"abc");
        first.stdout(b"def");
        first.stdout(b"ghi");
        first.stderr(b"xy");
        first.stdin().take(b"hel");
        first.stdin().take(b"lo");
        first.end(Some(3), None, None);
        let mut second = recorder.command(b"two").unwrap();
        second.stdout(b"12345");
        second.end(None, Some("TERM".into()), Some("lost".into()));
        let commands = recorder.bundle(None).commands;
        assert_eq!(commands[0].command, "one \u{fffd}");
        assert_eq!(commands[0].stdout.data, b"abcd");
        assert_eq!(commands[0].stdout.bytes, 9);
        assert_eq!(commands[0].stderr.data, b"xy");
        assert_eq!(commands[0].stdin.bytes, 5);
        let hello = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        assert_eq!(commands[0].stdin.sha256.as_deref(), Some(hello));
        assert_eq!(commands[0].exit_code, Some(3));
        assert_eq!(commands[1].stdout.data, b"1", "the total is spent");
        assert!(commands[1].stdout.is_truncated());
        assert_eq!(commands[1].stdin, RecordedInput::default());
        assert_eq!(commands[1].signal.as_deref(), Some("TERM"));
    }

    #[test]
    fn settings_have_their_sources_and_an_error_can_be_told() {
        let recorder = EvidenceRecorder::new();
        recorder.note("verb", "ssh", None);
        recorder.note_source("port", "/home/ann/.ssh/config:7");
        recorder.note_source("absent", "nowhere");
        let mut configuration = Map::new();
        configuration.insert("port".into(), setting(2222, None));
        recorder.configured(configuration, &Redactor::new());
        recorder.failed(&Error::new(ErrorKind::Local, "the disk is full"));
        let bundle = recorder.bundle(None);
        assert_eq!(
            Value::Object(bundle.configuration),
            json!({ "port": {"value": 2222, "source": "/home/ann/.ssh/config:7"}, "verb": {"value": "ssh"} })
        );
        assert_eq!(bundle.error_context["message"], "the disk is full");
    }

    #[test]
    fn a_connection_for_the_sake_of_another_tells_events_and_no_facts() {
        let recorder = EvidenceRecorder::new();
        let mut data = Map::new();
        for (name, value) in [
            ("status", json!("initiating")),
            ("host", json!("jump")),
            ("port", json!(22)),
        ] {
            data.insert(name.into(), value);
        }
        recorder.hear(&Event::now(EventType::Connect, data), false);
        let bundle = recorder.bundle(None);
        assert_eq!((bundle.events.len(), bundle.host_info), (1, None));
    }
}
