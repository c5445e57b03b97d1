//! `--evidence`: one bundle for each host, written at the end of the program, whatever the end is.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sternline::event::{Event, EventType};
use sternline::evidence::{BundleFormat, EvidenceRecorder, RecordOutput, Redaction, check_private};
use sternline::proto::text::escape;
use sternline::{Error, ErrorKind, SendState};

use crate::ui::{Failure, Ui};

/// What is recorded of the hosts of this run. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Evidence(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// Whether commands are recorded too.
    output: bool,
    hosts: Vec<Recorded>,
}

#[derive(Debug)]
struct Recorded {
    path: PathBuf,
    recorder: EvidenceRecorder,
}

impl Evidence {
    /// Records what commands read and write too, from now on.
    pub(crate) fn record_output(&self) {
        self.lock().output = true;
    }

    /// Begins to record a host, once it is sure that its bundle can be written. `file` is what `--evidence` names, `single`
    /// says that there is no other host.
    pub(super) fn begin(&self, file: &Path, host: &str, single: bool) -> Result<EvidenceRecorder, Failure> {
        if file == Path::new("-") {
            return Err(Failure::usage("evidence is written to a file, and `-` is none")
                .with_hint("name a file with --evidence; ./- is one, should you mean that"));
        }
        let mut state = self.lock();
        let taken = |path: &Path| state.hosts.iter().any(|other| other.path == path);
        // Somebody who ends a name with a slash means a directory.
        let is_directory = file.is_dir() || file.as_os_str().as_encoded_bytes().ends_with(b"/");
        let path = bundle_path(file, host, single, is_directory, taken);
        check_private(&path).map_err(|error| {
            Failure::from(&error).with_hint("name a file that can be written with --evidence")
        })?;
        let recorder = EvidenceRecorder::new();
        if state.output {
            recorder.record_output(RecordOutput::default());
        }
        state.hosts.push(Recorded {
            path,
            recorder: recorder.clone(),
        });
        Ok(recorder)
    }

    /// Writes all bundles and says where they are. `failure` is how the program ends, if it ends badly.
    pub(crate) fn write(&self, failure: Option<&Failure>, ui: &Ui) {
        let state = self.lock();
        let mut written = Vec::new();
        for host in &state.hosts {
            let mut bundle = host.recorder.bundle(None);
            if let Some(failure) = failure.filter(|_| bundle.error_context.is_empty()) {
                host.recorder.failed(&told(failure));
                bundle = host.recorder.bundle(None);
                // That error knows nothing of the request, which was on its way where an event tells of it.
                if bundle.events.iter().any(tells_of_a_request) {
                    let sent = SendState::MayHaveRun.as_str();
                    bundle.error_context.insert("sent".to_owned(), sent.into());
                }
            }
            match bundle.to_file(&host.path, format_of(&host.path), Redaction::Secrets) {
                Ok(()) => written.push(escape(&host.path.to_string_lossy())),
                // Not "run it again": what was asked for has been done.
                Err(error) => ui.error(&Failure::from(&error)),
            }
        }
        match written.as_slice() {
            [] => {}
            [one] => ui.line(&format!("evidence: {one}")),
            [first, .., last] => ui.line(&format!("evidence: {} files, {first} to {last}", written.len())),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tells_of_a_request(event: &Event) -> bool {
    matches!(
        event.event_type,
        EventType::Exec | EventType::Shell | EventType::Transfer | EventType::Forward
    )
}

/// The error that stands for an end of which no event tells.
fn told(failure: &Failure) -> Error {
    match failure.signal() {
        Some(signal) => Error::new(
            ErrorKind::Cancelled,
            format!("the program was asked to stop by signal {signal}"),
        ),
        None => Error::new(ErrorKind::Local, failure.headline()),
    }
}

fn format_of(path: &Path) -> BundleFormat {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("jsonl") => BundleFormat::JsonLines,
        _ => BundleFormat::Json,
    }
}

/// Where the bundle of a host goes: to the file itself where there is one host, else beside it with the host's name before
/// the extension, and in a directory as `HOST.json`.
fn bundle_path(
    file: &Path,
    host: &str,
    single: bool,
    is_directory: bool,
    taken: impl Fn(&Path) -> bool,
) -> PathBuf {
    if single && !is_directory {
        return file.to_owned();
    }
    let host: String = host
        .chars()
        .map(|c| {
            if c.is_alphanumeric() || matches!(c, '.' | '-' | '@') {
                c
            } else {
                '_'
            }
        })
        .collect();
    let (folder, stem, extension) = match is_directory {
        true => (file.to_owned(), String::new(), "json".to_owned()),
        false => {
            let text =
                |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
            let folder = file.parent().unwrap_or(Path::new("")).to_owned();
            (
                folder,
                format!("{}.", text(file.file_stem())),
                text(file.extension()),
            )
        }
    };
    let name = |number: usize| {
        let number = if number == 1 {
            String::new()
        } else {
            format!("_{number}")
        };
        let dot = if extension.is_empty() { "" } else { "." };
        folder.join(format!("{stem}{host}{number}{dot}{extension}"))
    };
    let mut number = 1;
    while taken(&name(number)) {
        number += 1;
    }
    name(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_host_has_a_file_of_its_own() {
        let free = |_: &Path| false;
        for (file, host, single, is_directory, expected) in [
            ("run.json", "web", true, false, "run.json"),
            ("run.json", "web", false, false, "run.web.json"),
            (
                "out/run.x.jsonl",
                "ann@web:22",
                false,
                false,
                "out/run.x.ann@web_22.jsonl",
            ),
            ("run", "::1", false, false, "run.__1"),
            ("out", "web", true, true, "out/web.json"),
            ("out", "../etc/passwd", false, true, "out/.._etc_passwd.json"),
        ] {
            let path = bundle_path(Path::new(file), host, single, is_directory, free);
            assert_eq!(path, Path::new(expected));
        }
        let taken = |path: &Path| path == Path::new("run.a_b.json");
        let path = bundle_path(Path::new("run.json"), "a_b", false, false, taken);
        assert_eq!(path, Path::new("run.a_b_2.json"));
    }
}
