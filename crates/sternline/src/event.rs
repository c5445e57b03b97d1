//! Facts, told where they happen: events, the collector that keeps them, and the JSONL log.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};
use sternline_proto::redact::Redactor;
use thiserror::Error;

/// The kinds of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventType {
    /// A connection is being opened, or was.
    Connect,
    /// One authentication attempt ended.
    Auth,
    /// A command ended, or could not be run.
    Exec,
    /// An interactive shell began or ended.
    Shell,
    /// A connection ended.
    Disconnect,
    /// Something failed.
    Error,
    /// A keepalive probe was sent.
    KeepaliveSent,
    /// A keepalive probe was answered.
    KeepaliveReceived,
    /// Too many keepalive probes stayed unanswered.
    KeepaliveTimeout,
    /// Nothing has moved for a while.
    ProgressWarning,
    /// A supervised connection changed its state.
    StateChange,
    /// A port forward was established, failed or closed.
    Forward,
    /// A transfer has begun or ended, or one of its files has.
    Transfer,
}

impl EventType {
    /// The name in JSON, for example `KEEPALIVE_SENT`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::Auth => "AUTH",
            Self::Exec => "EXEC",
            Self::Shell => "SHELL",
            Self::Disconnect => "DISCONNECT",
            Self::Error => "ERROR",
            Self::KeepaliveSent => "KEEPALIVE_SENT",
            Self::KeepaliveReceived => "KEEPALIVE_RECEIVED",
            Self::KeepaliveTimeout => "KEEPALIVE_TIMEOUT",
            Self::ProgressWarning => "PROGRESS_WARNING",
            Self::StateChange => "STATE_CHANGE",
            Self::Forward => "FORWARD",
            Self::Transfer => "TRANSFER",
        }
    }

    /// The type with this JSON name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        const ALL: [EventType; 13] = [
            EventType::Connect,
            EventType::Auth,
            EventType::Exec,
            EventType::Shell,
            EventType::Disconnect,
            EventType::Error,
            EventType::KeepaliveSent,
            EventType::KeepaliveReceived,
            EventType::KeepaliveTimeout,
            EventType::ProgressWarning,
            EventType::StateChange,
            EventType::Forward,
            EventType::Transfer,
        ];
        ALL.into_iter().find(|event_type| event_type.as_str() == name)
    }
}

/// One fact: what kind, when, and the details.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// What kind of fact.
    pub event_type: EventType,
    /// When, in milliseconds since the Unix epoch.
    pub timestamp: f64,
    /// The details, by name.
    pub data: Map<String, Value>,
}

/// Why a line is not an [`Event`].
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EventParseError {
    /// Not JSON at all.
    #[error("the event is not valid JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A key is missing or holds the wrong type.
    #[error("the event has no usable {0:?}")]
    Field(&'static str),
    /// The type is not one of [`EventType`].
    #[error("unknown event type {0:?}")]
    UnknownType(String),
}

impl Event {
    /// An event of this moment.
    #[must_use]
    pub fn now(event_type: EventType, data: Map<String, Value>) -> Self {
        Self {
            event_type,
            timestamp: unix_millis(SystemTime::now()),
            data,
        }
    }

    /// One line of JSON with the keys `event_type`, `timestamp` and `data`, in this order.
    #[must_use]
    pub fn to_json(&self) -> String {
        Value::Object(self.to_dict()).to_string()
    }

    /// Reads what [`Event::to_json`] wrote. `data` may be missing.
    ///
    /// # Errors
    /// When the text is not JSON, a key is missing or mistyped, the type is unknown, or the time is not positive.
    pub fn from_json(json: &str) -> Result<Self, EventParseError> {
        match serde_json::from_str(json)? {
            Value::Object(dict) => Self::from_dict(&dict),
            _ => Err(EventParseError::Field("event_type")),
        }
    }

    /// The JSON object with the keys `event_type`, `timestamp` and `data`, in this order.
    #[must_use]
    pub fn to_dict(&self) -> Map<String, Value> {
        let mut dict = Map::new();
        dict.insert("event_type".into(), self.event_type.as_str().into());
        dict.insert("timestamp".into(), self.timestamp.into());
        dict.insert("data".into(), Value::Object(self.data.clone()));
        dict
    }

    /// Reads what [`Event::to_dict`] gave. `data` may be missing.
    ///
    /// # Errors
    /// When a key is missing or mistyped, the type is unknown, or the time is not positive.
    pub fn from_dict(dict: &Map<String, Value>) -> Result<Self, EventParseError> {
        let name = dict
            .get("event_type")
            .and_then(Value::as_str)
            .ok_or(EventParseError::Field("event_type"))?;
        let event_type =
            EventType::from_name(name).ok_or_else(|| EventParseError::UnknownType(name.to_owned()))?;
        let timestamp = dict
            .get("timestamp")
            .and_then(Value::as_f64)
            .filter(|millis| *millis > 0.0)
            .ok_or(EventParseError::Field("timestamp"))?;
        let data = match dict.get("data") {
            None => Map::new(),
            Some(Value::Object(data)) => data.clone(),
            Some(_) => return Err(EventParseError::Field("data")),
        };
        Ok(Self {
            event_type,
            timestamp,
            data,
        })
    }
}

/// Milliseconds since the Unix epoch, with the fraction.
pub(crate) fn unix_millis(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64() * 1000.0)
}

/// Keeps events in memory. Clones share one list.
#[derive(Debug, Clone, Default)]
pub struct EventCollector {
    events: Arc<Mutex<Vec<Event>>>,
}

impl EventCollector {
    /// An empty collector.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an event.
    pub fn emit(&self, event: Event) {
        self.lock().push(event);
    }

    /// A copy of what was collected, oldest first.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.lock().clone()
    }

    /// A copy of the events of one type, oldest first.
    #[must_use]
    pub fn by_type(&self, event_type: EventType) -> Vec<Event> {
        self.lock()
            .iter()
            .filter(|event| event.event_type == event_type)
            .cloned()
            .collect()
    }

    /// Forgets everything collected so far.
    pub fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Event>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Appends events to a file, one JSON object a line, flushed one by one.
///
/// A new file gets mode 0600, its missing parent directories 0700. Clones write to the same file.
#[derive(Debug, Clone)]
pub struct EventLog {
    file: Arc<Mutex<File>>,
    path: PathBuf,
}

impl EventLog {
    /// Opens the file for appending, creating it and its parents where they are missing.
    ///
    /// # Errors
    /// What the operating system answers.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = private_append(path)?;
        Ok(Self {
            file: Arc::new(Mutex::new(file)),
            path: path.to_owned(),
        })
    }

    /// The file's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes one line. A failure is returned, not hidden; the emitter reports the first one.
    fn write(&self, event: &Event) -> io::Result<()> {
        let mut line = event.to_json();
        line.push('\n');
        self.file
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .write_all(line.as_bytes())
    }
}

#[cfg(unix)]
fn private_append(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(parent)?;
    }
    // A pipe that nobody reads would keep this waiting; so it is an error instead (open(2), ENXIO).
    let flags = rustix::fs::OFlags::NONBLOCK;
    let file = File::options()
        .create(true)
        .append(true)
        .mode(0o600)
        .custom_flags(i32::try_from(flags.bits()).map_err(io::Error::other)?)
        .open(path)?;
    rustix::fs::fcntl_setfl(&file, rustix::fs::fcntl_getfl(&file)? - flags)?;
    Ok(file)
}

#[cfg(not(unix))]
fn private_append(path: &Path) -> io::Result<File> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent)?;
    }
    File::options().create(true).append(true).open(path)
}

/// Hands each event to everyone who asked for events: collectors, the log file, and `tracing`.
///
/// Every event passes the redaction filter once, here, so that no sink can forget it.
#[derive(Clone, Default)]
pub(crate) struct Emitter {
    redactor: Redactor,
    collectors: Vec<EventCollector>,
    logs: Vec<EventLog>,
    listeners: Vec<EventListener>,
}

/// Called with each event.
pub(crate) type EventListener = Arc<dyn Fn(&Event) + Send + Sync>;

impl Emitter {
    /// Tells nobody yet. The filter may know secrets already, and more of them later.
    pub(crate) fn new(redactor: Redactor) -> Self {
        Self {
            redactor,
            ..Self::default()
        }
    }

    /// The filter that events pass, for whatever else leaves the library. What is marked here is masked in all events
    /// from then on.
    pub(crate) fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    pub(crate) fn add_collector(&mut self, collector: EventCollector) {
        self.collectors.push(collector);
    }

    pub(crate) fn add_log(&mut self, log: EventLog) {
        self.logs.push(log);
    }

    pub(crate) fn add_listener(&mut self, listener: EventListener) {
        self.listeners.push(listener);
    }

    /// Emits an event of this moment. `fields` is a JSON object; anything else is an event without details.
    pub(crate) fn emit(&self, event_type: EventType, fields: Value) {
        self.emit_with(event_type, || fields);
    }

    /// As [`Emitter::emit`], for details that cost something to put together: only if anybody wants them.
    pub(crate) fn emit_with(&self, event_type: EventType, fields: impl FnOnce() -> Value) {
        let traced = tracing::enabled!(target: "sternline::event", tracing::Level::DEBUG);
        if !traced && self.collectors.is_empty() && self.logs.is_empty() && self.listeners.is_empty() {
            return;
        }
        let data = match self.redactor.redact_secrets(&fields()) {
            Value::Object(data) => data,
            _ => Map::new(),
        };
        tracing::debug!(target: "sternline::event", event_type = event_type.as_str(), data = %serde_json::Value::Object(data.clone()));
        let event = Event::now(event_type, data);
        for log in &self.logs {
            if let Err(error) = log.write(&event) {
                tracing::warn!(path = %log.path.display(), %error, "cannot write to the event log");
            }
        }
        for listener in &self.listeners {
            listener(&event);
        }
        for collector in &self.collectors {
            collector.emit(event.clone());
        }
    }
}

impl fmt::Debug for Emitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emitter")
            .field("logs", &self.logs)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sample() -> Event {
        let Value::Object(data) = json!({"host": "h", "port": 22, "nested": {"a": [1, null, "ü"]}}) else {
            unreachable!()
        };
        Event {
            event_type: EventType::Connect,
            timestamp: 1_700_000_000_123.5,
            data,
        }
    }

    #[test]
    fn an_event_is_written_with_three_keys_in_order_and_read_back() {
        let json = sample().to_json();
        assert!(
            json.starts_with(r#"{"event_type":"CONNECT","timestamp":1700000000123.5,"data":{"#),
            "{json}"
        );
        assert_eq!(Event::from_json(&json).unwrap(), sample());
    }

    #[test]
    fn every_event_type_has_a_name_that_leads_back_to_it() {
        for name in [
            "CONNECT",
            "AUTH",
            "EXEC",
            "SHELL",
            "DISCONNECT",
            "ERROR",
            "KEEPALIVE_SENT",
            "KEEPALIVE_RECEIVED",
            "KEEPALIVE_TIMEOUT",
            "PROGRESS_WARNING",
            "STATE_CHANGE",
            "FORWARD",
        ] {
            assert_eq!(EventType::from_name(name).map(EventType::as_str), Some(name));
        }
    }

    #[test]
    fn broken_events_are_refused_with_the_reason() {
        for (json, reason) in [
            ("", "not valid JSON"),
            ("{}", "event_type"),
            (r#"{"event_type":"NOPE","timestamp":1}"#, "NOPE"),
            (r#"{"event_type":"EXEC"}"#, "timestamp"),
            (r#"{"event_type":"EXEC","timestamp":0}"#, "timestamp"),
            (r#"{"event_type":"EXEC","timestamp":1,"data":[]}"#, "data"),
        ] {
            let error = Event::from_json(json).unwrap_err().to_string();
            assert!(error.contains(reason), "{json}: {error}");
        }
        assert!(
            Event::from_json(r#"{"event_type":"EXEC","timestamp":1}"#)
                .unwrap()
                .data
                .is_empty()
        );
    }

    #[test]
    fn a_collector_filters_by_type_and_clears() {
        let collector = EventCollector::new();
        collector.emit(sample());
        collector.clone().emit(Event {
            event_type: EventType::Auth,
            ..sample()
        });
        assert_eq!(collector.events().len(), 2);
        assert_eq!(collector.by_type(EventType::Auth).len(), 1);
        collector.clear();
        assert!(collector.events().is_empty());
    }

    #[test]
    fn a_listener_is_called_with_every_event_as_it_happens() {
        let heard = Arc::<Mutex<Vec<EventType>>>::default();
        let hearing = Arc::clone(&heard);
        let mut emitter = Emitter::default();
        emitter.add_listener(Arc::new(move |event| {
            hearing.lock().unwrap().push(event.event_type)
        }));
        emitter.emit(EventType::Forward, json!({}));
        assert_eq!(*heard.lock().unwrap(), [EventType::Forward]);
    }

    #[test]
    fn the_log_appends_json_lines_that_only_the_owner_can_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/events.jsonl");
        for _ in 0..2 {
            let mut emitter = Emitter::default();
            emitter.add_log(EventLog::open(&path).unwrap());
            emitter.emit(EventType::Exec, json!({"command": "mysql --password=hunter2"}));
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert!(!text.contains("hunter2"), "{text}");
        assert!(text.lines().all(|line| Event::from_json(line).is_ok()));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(
                std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                0o600
            );
        }
    }
}
