//! One JSON object per host and line, in the order of the hosts.

use std::collections::BTreeMap;

use bytes::Bytes;
use data_encoding::BASE64;
use serde_json::{Map, Value};
use sternline::fleet::{Collector, Outcome};

use crate::ui::{Failure, Sink};

/// The name and version of the JSON objects. It changes when a field changes its meaning or goes.
const SCHEMA: &str = "sternline.exec/1";

/// Keeps what hosts wrote until their turn has come: little in memory, much in a file.
#[derive(Debug)]
pub(in crate::commands::ssh) struct Json {
    labels: Vec<String>,
    pub(super) collector: Collector,
    /// Hosts that have ended, and wait for an earlier one.
    waiting: BTreeMap<usize, Outcome>,
    /// The host that is next.
    next: usize,
}

impl Json {
    pub(in crate::commands::ssh) fn new(labels: &[String]) -> Self {
        Self {
            labels: labels.to_vec(),
            collector: Collector::default(),
            waiting: BTreeMap::new(),
            next: 0,
        }
    }

    pub(super) fn done(&mut self, index: usize, outcome: Outcome) {
        self.waiting.insert(index, outcome);
    }

    pub(super) async fn next(&mut self) -> Result<Option<(Sink, Bytes)>, Failure> {
        let Some(outcome) = self.waiting.remove(&self.next) else {
            return Ok(None);
        };
        let label = self.labels.get(self.next).map(String::as_str).unwrap_or_default();
        self.next += 1;
        let (stdout, stderr) = (outcome.stdout.read_all().await?, outcome.stderr.read_all().await?);
        let mut line = json_line(label, &outcome, &stdout, &stderr);
        line.push('\n');
        Ok(Some((Sink::Stdout, line.into())))
    }
}

/// One host's result as one JSON object on one line.
///
/// Output that is not UTF-8 stands in `stdout` and `stderr` with U+FFFD for what is not, and in full, as base64, in
/// `stdout_base64` and `stderr_base64`, which are there only then. `duration_ms` counts from the beginning of
/// connecting. `skipped` is there only where nothing was begun, and says why.
fn json_line(label: &str, outcome: &Outcome, stdout: &[u8], stderr: &[u8]) -> String {
    let result = outcome.result.as_ref();
    let mut object = Map::new();
    object.insert("schema".into(), SCHEMA.into());
    object.insert("host".into(), label.into());
    object.insert("ok".into(), outcome.ok().into());
    if let Some(skipped) = outcome.skipped() {
        object.insert("skipped".into(), skipped.as_str().into());
    }
    object.insert(
        "exit_code".into(),
        result.ok().and_then(|result| result.exit_code()).into(),
    );
    object.insert(
        "signal".into(),
        result.ok().and_then(|result| result.signal()).into(),
    );
    for (name, bytes) in [("stdout", stdout), ("stderr", stderr)] {
        let text = String::from_utf8_lossy(bytes);
        let is_exact = matches!(text, std::borrow::Cow::Borrowed(_));
        object.insert(name.into(), text.into());
        if !is_exact {
            object.insert(format!("{name}_base64"), BASE64.encode(bytes).into());
        }
    }
    let millis = outcome.duration.as_secs_f64() * 1000.0;
    object.insert("duration_ms".into(), ((millis * 1000.0).round() / 1000.0).into());
    object.insert("attempts".into(), outcome.attempts.into());
    let error = result.err().map(|error| Value::Object(error.to_dict()));
    object.insert("error".into(), error.unwrap_or(Value::Null));
    Value::Object(object).to_string()
}
