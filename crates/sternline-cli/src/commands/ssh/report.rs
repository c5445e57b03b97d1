//! What became of each host: as JSON, and as a summary.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use serde_json::{Map, Value};
use sternline::fleet::Outcome;
use sternline::proto::quoting::quote_str;
use sternline::proto::text::escape;

use crate::connect::HostSettings;
use crate::ui::{Failure, Ui};

/// The name and version of the JSON objects. It changes when a field changes its meaning or goes.
const SCHEMA: &str = "sternline.exec/1";

/// One host's result as one JSON object on one line.
///
/// Output that is not UTF-8 stands in `stdout` and `stderr` with U+FFFD for what is not, and in full, as base64, in
/// `stdout_base64` and `stderr_base64`, which are there only then. `duration_ms` counts from the beginning of
/// connecting.
pub(super) fn json_line(label: &str, outcome: &Outcome, stdout: &[u8], stderr: &[u8]) -> String {
    let result = outcome.result.as_ref();
    let mut object = Map::new();
    object.insert("schema".into(), SCHEMA.into());
    object.insert("host".into(), label.into());
    object.insert("ok".into(), outcome.ok().into());
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
    let error = result.err().map(|error| Value::Object(error.to_dict()));
    object.insert("error".into(), error.unwrap_or(Value::Null));
    Value::Object(object).to_string()
}

/// The known_hosts file, and the jump hosts on the way.
type Named = (Option<PathBuf>, Option<String>);

/// The hosts that did not succeed, and why; gathered for the end of a run.
#[derive(Debug, Default)]
pub(super) struct Summary {
    ok: usize,
    /// By the host's place in the list.
    failed: BTreeMap<usize, String>,
    /// The hosts to record, with what has to be named: the file and the jump hosts.
    unknown: BTreeMap<usize, (Named, String)>,
    hints: Vec<String>,
}

impl Summary {
    /// Takes in what became of a host. `index` is its place in the list.
    pub(super) fn add(&mut self, index: usize, label: &str, settings: &HostSettings, outcome: &Outcome) {
        let reason = match &outcome.result {
            Ok(result) if result.ok() => {
                self.ok += 1;
                return;
            }
            Ok(result) => result.status.to_string(),
            Err(error) => {
                let reason = error.context().extra().get("host_key_reason");
                let of_host = error.context().hop.is_none();
                if of_host && reason.is_some_and(|reason| reason == "unknown") {
                    let named = (settings.named_file().map(Path::to_owned), settings.jump());
                    self.unknown.insert(index, (named, settings.known_as()));
                } else if !self.hints.iter().any(|told| told == error.hint()) {
                    self.hints.push(error.hint().to_owned());
                }
                Failure::from(error).headline()
            }
        };
        self.failed.insert(index, format!("{label}: {reason}"));
    }

    /// Whether all hosts succeeded.
    pub(super) fn all_ok(&self) -> bool {
        self.failed.is_empty()
    }

    /// Tells what failed and what to try, and how many succeeded.
    pub(super) fn show(&self, ui: &Ui) {
        for failed in self.failed.values() {
            ui.failed_host(failed);
        }
        let mut by_named: BTreeMap<&Named, Vec<&str>> = BTreeMap::new();
        for (named, host) in self.unknown.values() {
            by_named.entry(named).or_default().push(host);
        }
        for ((file, jump), hosts) in by_named {
            let mut options = String::new();
            if let Some(jump) = jump {
                options.push_str(&format!("-J {} ", escape(jump)));
            }
            if let Some(Ok(file)) = file.as_ref().map(|file| quote_str(&file.to_string_lossy())) {
                options.push_str(&format!("--known-hosts {} ", escape(&file)));
            }
            ui.hint(&format!(
                "record the unknown hosts' keys, after comparing the fingerprints, with `sternline hostkeys add {options}{}`",
                hosts.join(",")
            ));
        }
        for hint in &self.hints {
            ui.hint(hint);
        }
        let hosts = self.ok + self.failed.len();
        ui.line(&format!(
            "{hosts} hosts: {} ok, {} failed",
            self.ok,
            self.failed.len()
        ));
    }
}
