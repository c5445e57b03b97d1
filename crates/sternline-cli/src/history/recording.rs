//! Recording a run. Whatever goes wrong with that is a warning at the end, and changes nothing of the run.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};
use sternline::config::Env;
use sternline::exec::{ExitStatus, OutputStream, RemoteEnd};
use sternline::fleet::{FleetEvent, Outcome as FleetOutcome, Skipped};
use sternline::proto::quoting::quote_str;
use sternline::proto::redact::Redactor;
use sternline::{Error, ErrorKind, SendState, TransferResult};
use sternline_history::{
    End, HostError, HostRecord, Limits, NewHost, NewRun, Outcome, Recorder, StreamRecord,
};

use super::place::folder;
use super::typed::TypedPasswords;
use crate::ui::Ui;

/// How long the end of a program waits for the disk.
const PATIENCE: Duration = Duration::from_secs(10);

/// The same where somebody has asked for the end.
const LESS_PATIENCE: Duration = Duration::from_secs(2);

/// What a run is about.
pub(crate) struct About {
    /// The subcommand.
    pub(crate) verb: &'static str,
    /// What is run on each host, or what is copied.
    pub(crate) command: String,
    /// The options that matter, by name.
    pub(crate) options: Map<String, Value>,
    /// The hosts in their order: what each is called, and how it was named.
    pub(crate) hosts: Vec<(String, String)>,
    /// Whether output is kept.
    pub(crate) output: bool,
    /// Passwords that stand in the names of the hosts.
    pub(crate) typed: TypedPasswords,
    /// Knows the passwords and other secrets of the run.
    pub(crate) redactor: Redactor,
}

/// A run that is being recorded, or one that is not.
#[derive(Default)]
pub(crate) struct Recording(Option<Running>);

struct Running {
    recorder: Recorder,
    output: bool,
    /// What hosts that have not ended have written so far: standard output, and standard error.
    streams: HashMap<usize, [StreamRecord; 2]>,
}

impl Recording {
    /// Whether a run would be recorded.
    pub(crate) fn is_on() -> bool {
        folder(&Env::system()).is_some()
    }

    /// Begins to record a run, unless the history is off.
    pub(crate) fn begin(about: About) -> Self {
        let env = Env::system();
        let Some(folder) = folder(&env) else {
            return Self::default();
        };
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let millis = since.ok().map(|since| since.as_millis());
        let run = NewRun {
            verb: about.verb.to_owned(),
            command: about.typed.hide(&about.command),
            command_line: about.typed.hide(&command_line()),
            options: about.options,
            user: env.user.unwrap_or_default(),
            machine: machine(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            records_output: about.output,
            begun_ms: millis
                .and_then(|millis| u64::try_from(millis).ok())
                .unwrap_or_default(),
            hosts: about
                .hosts
                .into_iter()
                .map(|(name, target)| NewHost {
                    name: about.typed.hide(&name),
                    target: about.typed.hide(&target),
                })
                .collect(),
        };
        Self(Some(Running {
            recorder: Recorder::start(folder, Limits::default(), run, about.redactor),
            output: about.output,
            streams: HashMap::new(),
        }))
    }

    /// Takes in what happened in a fleet.
    pub(crate) fn event(&mut self, event: &FleetEvent) {
        if let FleetEvent::Lines { index, stream, bytes } = event {
            self.output(*index, *stream, bytes);
        }
    }

    /// Takes in what a host has written.
    pub(crate) fn output(&mut self, index: usize, stream: OutputStream, bytes: &[u8]) {
        let Some(running) = &mut self.0 else { return };
        let [stdout, stderr] = running.streams_of(index);
        match stream {
            OutputStream::Stdout => stdout.push(bytes),
            OutputStream::Stderr => stderr.push(bytes),
        }
    }

    /// Takes in what became of a host of a fleet.
    pub(crate) fn done(&mut self, index: usize, outcome: &FleetOutcome) {
        let Some(running) = &mut self.0 else { return };
        let result = match &outcome.result {
            Ok(result) => Ok(&result.status),
            Err(error) => Err(told(error)),
        };
        running.host(
            index,
            result,
            outcome.skipped(),
            outcome.duration,
            outcome.attempts,
        );
    }

    /// Takes in how the command on the only host has ended, or why it did not run.
    pub(crate) fn ended(&mut self, result: Result<&ExitStatus, &Error>, duration: Duration) {
        let Some(running) = &mut self.0 else { return };
        running.host(0, result.map_err(told), None, duration, 1);
    }

    /// Takes in that the command on the only host was cancelled.
    pub(crate) fn cancelled(&mut self, remote: &RemoteEnd, duration: Duration) {
        let Some(running) = &mut self.0 else { return };
        let error = HostError {
            error_type: ErrorKind::Cancelled.as_str().to_owned(),
            message: format!("the run was cancelled while the command was running; {remote}"),
            phase: None,
            sent: SendState::MayHaveRun.as_str().to_owned(),
        };
        running.host(0, Err(error), None, duration, 1);
    }

    /// Takes in what became of a copy.
    pub(crate) fn copied(&self, index: usize, result: &TransferResult) {
        let Some(running) = &self.0 else { return };
        let first = || result.failures.iter().find_map(|file| file.error());
        let error = result.error.as_ref().or_else(first);
        running
            .recorder
            .host(copy(index, error, result.duration, result.attempts));
    }

    /// Takes in that a copy could not begin.
    pub(crate) fn not_copied(&self, index: usize, error: &Error) {
        let Some(running) = &self.0 else { return };
        let attempts = u32::from(Skipped::of(error).is_none());
        running
            .recorder
            .host(copy(index, Some(error), Duration::ZERO, attempts));
    }

    /// The run has come to its end. `whole` says that nobody stopped it before.
    pub(crate) fn finish(self, whole: bool, ui: &Ui) {
        let Some(running) = self.0 else { return };
        let (end, patience) = match whole {
            true => (End::Finished, PATIENCE),
            false => (End::Interrupted, LESS_PATIENCE),
        };
        match running.recorder.finish(end, patience) {
            Ok(recorded) => {
                if let Some(aside) = recorded.set_aside {
                    ui.warning(&format!(
                        "the history was damaged, and begins anew; the old one is {aside}"
                    ));
                }
                ui.note(&format!("history: recorded as {}", recorded.id));
            }
            Err(error) => {
                ui.warning(&format!(
                    "this run is not in the history, or not all of it: {error}"
                ));
                ui.note(&format!("history: {}", error.hint()));
            }
        }
    }
}

impl Running {
    fn streams_of(&mut self, index: usize) -> &mut [StreamRecord; 2] {
        let new = || StreamRecord::new(self.output);
        self.streams.entry(index).or_insert_with(|| [new(), new()])
    }

    fn host(
        &mut self,
        index: usize,
        result: Result<&ExitStatus, HostError>,
        skipped: Option<Skipped>,
        duration: Duration,
        attempts: u32,
    ) {
        self.streams_of(index);
        let [stdout, stderr] = match self.streams.remove(&index) {
            Some([stdout, stderr]) => [Some(stdout), Some(stderr)],
            None => [None, None],
        };
        let (exit_code, signal) = match &result {
            Ok(ExitStatus::Code(code)) => (Some(*code), None),
            Ok(ExitStatus::Signal { name, .. }) => (None, Some(name.clone())),
            Err(_) => (None, None),
        };
        self.recorder.host(HostRecord {
            index,
            outcome: match (skipped, exit_code) {
                (Some(_), _) => Outcome::Skipped,
                (None, Some(0)) => Outcome::Ok,
                (None, _) => Outcome::Failed,
            },
            exit_code,
            signal,
            error: result.err(),
            skipped: skipped.map(|skipped| skipped.as_str().to_owned()),
            duration,
            attempts,
            stdout,
            stderr,
        });
    }
}

/// A time limit among the options of a run.
pub(crate) fn seconds(timeout: Duration) -> (String, Value) {
    ("timeout_s".to_owned(), timeout.as_secs_f64().into())
}

/// What became of one copy.
fn copy(index: usize, error: Option<&Error>, duration: Duration, attempts: u32) -> HostRecord {
    let skipped = error.and_then(Skipped::of);
    HostRecord {
        index,
        outcome: match (skipped, error) {
            (Some(_), _) => Outcome::Skipped,
            (None, Some(_)) => Outcome::Failed,
            (None, None) => Outcome::Ok,
        },
        exit_code: None,
        signal: None,
        error: error.map(told),
        skipped: skipped.map(|skipped| skipped.as_str().to_owned()),
        duration,
        attempts,
        stdout: None,
        stderr: None,
    }
}

/// An error, in the words that it has in JSON.
fn told(error: &Error) -> HostError {
    let dict = error.to_dict();
    let text = |name: &str| dict.get(name).and_then(Value::as_str).map(str::to_owned);
    HostError {
        error_type: error.kind().as_str().to_owned(),
        message: text("message").unwrap_or_default(),
        phase: text("phase"),
        sent: error.sent().as_str().to_owned(),
    }
}

/// The arguments of this program, as a shell would take them.
fn command_line() -> String {
    let words = std::env::args_os().skip(1).map(|word| {
        let word = word.to_string_lossy();
        quote_str(&word).unwrap_or_else(|_| word.into_owned())
    });
    std::iter::once("sternline".to_owned())
        .chain(words)
        .collect::<Vec<_>>()
        .join(" ")
}

fn machine() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
