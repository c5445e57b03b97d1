//! What is told of a streamed command: its event, and its end in the evidence.

use serde_json::{Map, Value, json};

use super::StreamExec;
use crate::error::{Error, ErrorKind};
use crate::event::EventType;
use crate::exec::item::Exit;
use crate::exec::result::ExitStatus;

/// What the events say about this command.
#[derive(Debug, Clone)]
pub(in crate::exec) struct Label {
    pub(in crate::exec) event: EventType,
    pub(in crate::exec) command: String,
    pub(in crate::exec) streaming: bool,
    pub(in crate::exec) term: Option<String>,
    pub(in crate::exec) env_count: usize,
}

impl StreamExec {
    pub(super) fn end_recording(&mut self, exit: Option<&Exit>) {
        let Some(recording) = self.recording.take() else {
            return;
        };
        match exit {
            Some(Exit::Status(ExitStatus::Code(code))) => recording.end(Some(*code), None, None),
            Some(Exit::Status(ExitStatus::Signal { name, .. })) => {
                recording.end(None, Some(name.clone()), None);
            }
            Some(Exit::Failed(error)) => recording.failed(error),
            Some(Exit::Cancelled(_)) | None => {
                let error = format!("{}: it was cancelled", ErrorKind::Cancelled.as_str());
                recording.end(None, None, Some(error));
            }
        }
    }

    pub(super) fn report(&self, exit: Option<&Exit>) {
        let label = &self.label;
        let mut data = json!({ "command": label.command });
        if label.event == EventType::Shell {
            data = json!({ "status": "completed" });
        }
        let Some(fields) = data.as_object_mut() else {
            return;
        };
        let mut put = |name: &str, value: Value| {
            fields.insert(name.to_owned(), value);
        };
        if label.streaming {
            put("streaming", true.into());
            put("bytes_stdout", self.bytes_stdout.into());
            put("bytes_stderr", self.bytes_stderr.into());
        } else {
            put("stdout_len", self.bytes_stdout.into());
            put("stderr_len", self.bytes_stderr.into());
        }
        if let Some(term) = &label.term {
            put("term_type", term.clone().into());
        }
        if label.env_count > 0 {
            put("env_count", label.env_count.into());
        }
        let (code, signal, error) = match exit {
            Some(Exit::Status(ExitStatus::Code(code))) => (Some(*code), None, None),
            Some(Exit::Status(ExitStatus::Signal { name, .. })) => (None, Some(name.clone()), None),
            Some(Exit::Failed(error)) => (None, None, Some(error)),
            Some(Exit::Cancelled(_)) | None => (None, None, None),
        };
        put("exit_code", code.into());
        if let Some(signal) = signal {
            put("signal", signal.into());
        }
        if let Some(error) = error {
            for (name, value) in error_fields(error) {
                put(&name, value);
            }
        }
        put(
            "cancelled",
            matches!(exit, Some(Exit::Cancelled(_)) | None).into(),
        );
        put(
            "duration_ms",
            (self.started.elapsed().as_secs_f64() * 1000.0).into(),
        );
        self.connection.emit(label.event, data);
    }
}

/// What an event says of the error of a command.
pub(crate) fn error_fields(error: &Error) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    put("error", error.to_string().into());
    put("error_type", error.error_type().into());
    put("sent", error.sent().as_str().into());
    put("hint", error.hint().into());
    if let Some(phase) = error.phase() {
        put("phase", phase.as_str().into());
    }
    for name in ["reason", "remote_process_may_survive"] {
        if let Some(value) = error.context().extra().get(name) {
            put(name, value.clone());
        }
    }
    fields
}
