//! A command as it was recorded: what went in, what came out, how it ended.

use data_encoding::BASE64;
use serde_json::{Map, Value};
use thiserror::Error;

/// One command of a session that was recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedCommand {
    /// The command line that the server was given, as text.
    pub command: String,
    /// When it was sent, in milliseconds since the Unix epoch.
    pub started_ms: f64,
    /// How long it took, in milliseconds.
    pub duration_ms: f64,
    /// What it was given to read, without the content.
    pub stdin: RecordedInput,
    /// Its standard output.
    pub stdout: RecordedOutput,
    /// Its standard error.
    pub stderr: RecordedOutput,
    /// Its exit code, where it returned one.
    pub exit_code: Option<u32>,
    /// The name of the signal that ended it (RFC 4254 section 6.10, without `SIG`).
    pub signal: Option<String>,
    /// Why there is neither: the class of an error such as `CommandTimeout`, a colon, and its message.
    pub error: Option<String>,
}

/// What a command read: how much, and its SHA-256 in lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecordedInput {
    /// The number of bytes.
    pub bytes: u64,
    /// Of all of them; `None` where nothing was read.
    pub sha256: Option<String>,
}

/// What a command wrote.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecordedOutput {
    /// What was kept: the first part, up to the limit of the recording.
    pub data: Vec<u8>,
    /// The number of bytes in all, kept or not.
    pub bytes: u64,
}

impl RecordedOutput {
    /// Whether more was written than was kept.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.bytes > self.data.len() as u64
    }
}

/// Why JSON is no [`RecordedCommand`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the recorded command has no usable {0:?}")]
pub struct RecordedCommandError(pub &'static str);

impl RecordedCommand {
    /// Whether the connection was lost before the command's end was known.
    #[must_use]
    pub fn lost_connection(&self) -> bool {
        self.error_type()
            .is_some_and(|name| ["SSHConnectionError", "ConnectionTimeout"].contains(&name))
    }

    /// Whether the client did not wait for the command's end: at a time limit, or because it was told to stop.
    #[must_use]
    pub fn was_given_up(&self) -> bool {
        ["CommandTimeout", "ProgressTimeout", "Cancelled", "OutputOverflow"]
            .iter()
            .any(|name| self.error_type() == Some(name))
    }

    /// The class of the error, which stands in front of its message.
    fn error_type(&self) -> Option<&str> {
        self.error.as_deref()?.split(':').next()
    }

    /// A JSON object. Output that is UTF-8 stands as text under `stdout` and `stderr`, other output as base64 under
    /// `stdout_base64` and `stderr_base64`, and so does what would be more than twice as long in JSON because of its control
    /// characters. What is `None` is left out.
    #[must_use]
    pub fn to_dict(&self) -> Map<String, Value> {
        let mut dict = Map::new();
        let mut put = |name: &str, value: Value| dict.insert(name.to_owned(), value);
        put("command", self.command.clone().into());
        put("started_ms", self.started_ms.into());
        put("duration_ms", self.duration_ms.into());
        put("stdin_bytes", self.stdin.bytes.into());
        if let Some(sha256) = &self.stdin.sha256 {
            put("stdin_sha256", sha256.clone().into());
        }
        for (name, output) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            match readable(&output.data) {
                Some(text) => put(name, text.into()),
                None => put(&format!("{name}_base64"), BASE64.encode(&output.data).into()),
            };
            put(&format!("{name}_bytes"), output.bytes.into());
        }
        if let Some(code) = self.exit_code {
            put("exit_code", code.into());
        }
        if let Some(signal) = &self.signal {
            put("signal", signal.clone().into());
        }
        if let Some(error) = &self.error {
            put("error", error.clone().into());
        }
        dict
    }

    /// Reads what [`RecordedCommand::to_dict`] gave.
    ///
    /// # Errors
    /// Names the first key that is missing or holds something else.
    pub fn from_dict(dict: &Map<String, Value>) -> Result<Self, RecordedCommandError> {
        let text = |name: &'static str| match dict.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(RecordedCommandError(name)),
        };
        let millis = |name: &'static str| {
            let value = dict.get(name).and_then(Value::as_f64);
            value.ok_or(RecordedCommandError(name))
        };
        let output = |name: &'static str, encoded: &'static str, bytes: &'static str| {
            let data = match (text(name)?, text(encoded)?) {
                (Some(text), None) => text.into_bytes(),
                (None, Some(encoded_data)) => BASE64
                    .decode(encoded_data.as_bytes())
                    .map_err(|_| RecordedCommandError(encoded))?,
                (None, None) => Vec::new(),
                (Some(_), Some(_)) => return Err(RecordedCommandError(encoded)),
            };
            let bytes = dict.get(bytes).and_then(Value::as_u64);
            Ok(RecordedOutput {
                bytes: bytes.unwrap_or(data.len() as u64),
                data,
            })
        };
        let exit_code = match dict.get("exit_code") {
            None | Some(Value::Null) => None,
            Some(code) => Some(
                code.as_u64()
                    .and_then(|code| u32::try_from(code).ok())
                    .ok_or(RecordedCommandError("exit_code"))?,
            ),
        };
        Ok(Self {
            command: text("command")?.ok_or(RecordedCommandError("command"))?,
            started_ms: millis("started_ms")?,
            duration_ms: millis("duration_ms")?,
            stdin: RecordedInput {
                bytes: dict
                    .get("stdin_bytes")
                    .and_then(Value::as_u64)
                    .unwrap_or_default(),
                sha256: text("stdin_sha256")?,
            },
            stdout: output("stdout", "stdout_base64", "stdout_bytes")?,
            stderr: output("stderr", "stderr_base64", "stderr_bytes")?,
            exit_code,
            signal: text("signal")?,
            error: text("error")?,
        })
    }
}

/// The text that bytes are, if it is one that JSON can hold in about its length.
fn readable(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    // JSON writes six characters for each of them, and for the others two at most.
    let short = [b'\n', b'\r', b'\t'];
    let long = text
        .bytes()
        .filter(|byte| *byte < b' ' && !short.contains(byte))
        .count();
    (long <= text.len() / 5).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn text_stays_readable_and_other_bytes_are_base64() {
        let command = RecordedCommand {
            command: "cat logo".into(),
            started_ms: 1.5,
            duration_ms: 2.25,
            stdin: RecordedInput::default(),
            stdout: RecordedOutput {
                data: vec![0xff, 0],
                bytes: 9,
            },
            stderr: RecordedOutput {
                data: b"oops\n".to_vec(),
                bytes: 5,
            },
            exit_code: Some(3),
            signal: None,
            error: None,
        };
        assert_eq!(
            Value::Object(command.to_dict()),
            json!({
                "command": "cat logo", "started_ms": 1.5, "duration_ms": 2.25, "stdin_bytes": 0,
                "stdout_base64": "/wA=", "stdout_bytes": 9, "stderr": "oops\n", "stderr_bytes": 5, "exit_code": 3,
            })
        );
        assert!(command.stdout.is_truncated());
        assert!(!command.stderr.is_truncated());
    }

    #[test]
    fn what_json_would_make_much_longer_is_base64_and_a_coloured_text_stays_readable() {
        for (data, is_text) in [
            ("a\n\t\r\n".repeat(9), true),
            ("\x1b[1;31mred\x1b[0m and more\n".to_owned(), true),
            ("\0\x01ab".repeat(3), false),
            ("\0".repeat(1000), false),
            (String::new(), true),
        ] {
            assert_eq!(readable(data.as_bytes()).is_some(), is_text, "{data:?}");
            let written = serde_json::to_string(&readable(data.as_bytes())).unwrap();
            assert!(written.len() <= 2 * data.len() + 4, "{data:?}");
        }
    }

    #[test]
    fn what_is_missing_or_mistyped_is_named() {
        for (value, name) in [
            (json!({}), "command"),
            (json!({"command": 1}), "command"),
            (json!({"command": "a", "started_ms": "x"}), "started_ms"),
            (json!({"command": "a", "started_ms": 1}), "duration_ms"),
            (
                json!({"command": "a", "started_ms": 1, "duration_ms": 1, "stdout_base64": "?"}),
                "stdout_base64",
            ),
            (
                json!({"command": "a", "started_ms": 1, "duration_ms": 1, "exit_code": -1}),
                "exit_code",
            ),
        ] {
            let found = RecordedCommand::from_dict(value.as_object().unwrap());
            assert_eq!(found, Err(RecordedCommandError(name)));
        }
    }

    proptest! {
        #[test]
        fn a_command_comes_back_from_json_as_it_was(
            command in ".*",
            stdout in proptest::collection::vec(any::<u8>(), 0..40),
            more in 0u64..100,
            exit_code in proptest::option::of(any::<u32>()),
            signal in proptest::option::of("[A-Z]{3,4}"),
        ) {
            let recorded = RecordedCommand {
                command,
                started_ms: 1_700_000_000_000.125,
                duration_ms: 0.1,
                stdin: RecordedInput { bytes: 3, sha256: Some("ab".into()) },
                stdout: RecordedOutput { bytes: stdout.len() as u64 + more, data: stdout },
                stderr: RecordedOutput::default(),
                exit_code,
                signal,
                error: None,
            };
            let text = Value::Object(recorded.to_dict()).to_string();
            let read: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(RecordedCommand::from_dict(read.as_object().unwrap()), Ok(recorded));
        }
    }
}
