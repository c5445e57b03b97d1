//! What is told of a command in a shell: the same event as of any other, and the same evidence.

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::connection::Connection;
use crate::error::{Error, ErrorKind};
use crate::event::EventType;
use crate::evidence::Recording;
use crate::exec::{Command, ExecResult, ExitStatus, error_fields};
use crate::transport::channel::OutputStream;

/// Tells once how the command has ended; dropped before, that it was cancelled.
pub(super) struct Telling {
    connection: Connection,
    command: String,
    started: Instant,
    recording: Option<Recording>,
    /// How many bytes of both outputs were passed on before the end.
    passed: (usize, usize),
    told: bool,
}

impl Telling {
    pub(super) fn begin(connection: &Connection, command: &Command, started: Instant) -> Self {
        Self {
            connection: connection.clone(),
            command: command.describe(),
            started,
            recording: None,
            passed: (0, 0),
            told: false,
        }
    }

    /// The command's line is known, and it is about to be sent.
    pub(super) fn record(&mut self, line: &[u8], input: &[u8]) {
        self.recording = self
            .connection
            .recorder()
            .and_then(|recorder| recorder.command(line));
        if let Some(recording) = self.recording.as_ref().filter(|_| !input.is_empty()) {
            recording.stdin().take(input);
        }
    }

    /// This was passed on before the end, and is in no result.
    pub(super) fn passed(&mut self, stream: OutputStream, bytes: &[u8]) {
        let (count, record): (_, fn(&mut Recording, &[u8])) = match stream {
            OutputStream::Stdout => (&mut self.passed.0, Recording::stdout),
            OutputStream::Stderr => (&mut self.passed.1, Recording::stderr),
        };
        *count += bytes.len();
        if let Some(recording) = &mut self.recording {
            record(recording, bytes);
        }
    }

    pub(super) fn succeeded(&mut self, result: &ExecResult) {
        let mut data = self.data(&result.stdout, &result.stderr);
        let (code, signal) = match &result.status {
            ExitStatus::Code(code) => (Some(*code), None),
            ExitStatus::Signal { name, .. } => (None, Some(name.clone())),
        };
        put(&mut data, "exit_code", code);
        if let Some(signal) = &signal {
            put(&mut data, "signal", signal.clone());
        }
        self.tell(data, false);
        if let Some(recording) = self.recorded(&result.stdout, &result.stderr) {
            recording.end(code, signal, None);
        }
    }

    pub(super) fn failed(&mut self, error: &Error) {
        let (stdout, stderr) = match error.partial_output() {
            Some(partial) => (partial.stdout.clone(), partial.stderr.clone()),
            None => Default::default(),
        };
        let mut data = self.data(&stdout, &stderr);
        for (name, value) in error_fields(error) {
            put(&mut data, &name, value);
        }
        self.tell(data, false);
        if let Some(recording) = self.recorded(&stdout, &stderr) {
            recording.failed(error);
        }
    }

    fn recorded(&mut self, stdout: &Bytes, stderr: &Bytes) -> Option<Recording> {
        let mut recording = self.recording.take()?;
        recording.stdout(stdout);
        recording.stderr(stderr);
        Some(recording)
    }

    fn data(&self, stdout: &Bytes, stderr: &Bytes) -> Value {
        let (stdout, stderr) = (self.passed.0 + stdout.len(), self.passed.1 + stderr.len());
        json!({ "command": self.command, "stdout_len": stdout, "stderr_len": stderr, "exit_code": null })
    }

    fn tell(&mut self, mut data: Value, cancelled: bool) {
        self.told = true;
        put(&mut data, "cancelled", cancelled);
        put(
            &mut data,
            "duration_ms",
            self.started.elapsed().as_secs_f64() * 1000.0,
        );
        self.connection.emit(EventType::Exec, data);
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        if self.told {
            return;
        }
        let data = self.data(&Bytes::new(), &Bytes::new());
        self.tell(data, true);
        if let Some(recording) = self.recording.take() {
            let error = format!("{}: it was cancelled", ErrorKind::Cancelled.as_str());
            recording.end(None, None, Some(error));
        }
    }
}

fn put(data: &mut Value, name: &str, value: impl Into<Value>) {
    if let Some(fields) = data.as_object_mut() {
        fields.insert(name.to_owned(), value.into());
    }
}
