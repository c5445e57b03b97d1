//! What is recorded of a run, and what is read of it later.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::id::RunId;
use crate::stream::StreamRecord;

/// A run that begins. All texts are redacted before they are written.
#[derive(Debug, Clone, Default)]
pub struct NewRun {
    /// The subcommand: `ssh` or `cp`.
    pub verb: String,
    /// What is run on each host, or what is copied.
    pub command: String,
    /// The arguments of the program, quoted for a shell.
    pub command_line: String,
    /// The options that matter, by name.
    pub options: Map<String, Value>,
    /// Who runs it, on this machine.
    pub user: String,
    /// The name of this machine.
    pub machine: String,
    /// The version of the program.
    pub version: String,
    /// Whether output is kept.
    pub records_output: bool,
    /// When it began, in milliseconds since 1970.
    pub begun_ms: u64,
    /// All hosts of the run, in their order.
    pub hosts: Vec<NewHost>,
}

/// A host of a run that begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHost {
    /// What it is called in messages.
    pub name: String,
    /// The host as it was named, with which it resolves as it did.
    pub target: String,
}

/// What became of a host.
#[derive(Debug, Clone)]
pub struct HostRecord {
    /// Its place in the list of hosts.
    pub index: usize,
    /// In a word.
    pub outcome: Outcome,
    /// The command's exit code.
    pub exit_code: Option<u32>,
    /// The signal that ended it, without `SIG`.
    pub signal: Option<String>,
    /// Why there is no result.
    pub error: Option<HostError>,
    /// Why it was not begun, in a word.
    pub skipped: Option<String>,
    /// How long it took, connecting included.
    pub duration: Duration,
    /// How often it was tried.
    pub attempts: u32,
    /// Standard output; `None` where there is none, as in a copy.
    pub stdout: Option<StreamRecord>,
    /// Standard error.
    pub stderr: Option<StreamRecord>,
}

/// What became of a host, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The command returned 0, or everything was copied.
    Ok,
    /// Anything else.
    Failed,
    /// It was not begun.
    Skipped,
}

impl Outcome {
    /// The name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Ok, Self::Failed, Self::Skipped]
            .into_iter()
            .find(|outcome| outcome.as_str() == name)
    }
}

/// Why a host has no result, in the words of the library's errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostError {
    /// The class of the error, such as `ConnectionRefused`.
    pub error_type: String,
    /// What happened.
    pub message: String,
    /// In which phase.
    pub phase: Option<String>,
    /// How far the request got: `not_sent`, `may_have_run` or `ran`.
    pub sent: String,
}

/// How a run came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By itself.
    Finished,
    /// Somebody or something stopped it.
    Interrupted,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It came to its end.
    Finished,
    /// It was stopped before its end.
    Interrupted,
    /// Its end is not recorded, and some process is still at it.
    Running,
    /// Its end is not recorded, and nobody is at it any more: it was killed, or its end could not be written.
    Unfinished,
}

impl State {
    /// The name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Interrupted => "interrupted",
            Self::Running => "running",
            Self::Unfinished => "unfinished",
        }
    }
}

/// A recorded run.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    pub(crate) seq: i64,
    /// Its name.
    pub id: RunId,
    /// How far it is.
    pub state: State,
    /// When it began, in milliseconds since 1970.
    pub begun_ms: u64,
    /// When it ended.
    pub ended_ms: Option<u64>,
    /// The subcommand.
    pub verb: String,
    /// What was run on each host, or what was copied.
    pub command: String,
    /// The arguments of the program, quoted for a shell.
    pub command_line: String,
    /// The options that mattered.
    pub options: Map<String, Value>,
    /// Who ran it.
    pub user: String,
    /// On which machine.
    pub machine: String,
    /// With which version of the program.
    pub version: String,
    /// Whether output was kept.
    pub records_output: bool,
    /// How many hosts it had.
    pub hosts: u64,
    /// On how many of them it went well.
    pub ok: u64,
    /// On how many it did not.
    pub failed: u64,
    /// How many were not begun.
    pub skipped: u64,
}

impl Run {
    /// Of how many hosts nothing is recorded.
    #[must_use]
    pub fn unknown(&self) -> u64 {
        let known = self.ok.saturating_add(self.failed).saturating_add(self.skipped);
        self.hosts.saturating_sub(known)
    }

    /// How long it took; `None` where its end is not recorded.
    #[must_use]
    pub fn duration(&self) -> Option<Duration> {
        let ended = self.ended_ms?;
        Some(Duration::from_millis(ended.saturating_sub(self.begun_ms)))
    }
}

/// A host of a recorded run.
#[derive(Debug, Clone, PartialEq)]
pub struct Host {
    /// Its place in the list of hosts.
    pub index: u64,
    /// What it was called in messages.
    pub name: String,
    /// The host as it was named.
    pub target: String,
    /// What became of it; `None` where that is not recorded.
    pub outcome: Option<Outcome>,
    /// The command's exit code.
    pub exit_code: Option<u32>,
    /// The signal that ended it, without `SIG`.
    pub signal: Option<String>,
    /// Why there is no result.
    pub error: Option<HostError>,
    /// Why it was not begun.
    pub skipped: Option<String>,
    /// How long it took.
    pub duration: Option<Duration>,
    /// How often it was tried.
    pub attempts: u32,
    /// Standard output.
    pub stdout: Option<Stream>,
    /// Standard error.
    pub stderr: Option<Stream>,
}

/// A stream of output that was not necessarily kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    /// Its length.
    pub bytes: u64,
    /// Equal where the content was equal, within one database: HMAC-SHA256 of its SHA-256, with the database's own key.
    pub hash: Vec<u8>,
}

/// Output that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// What was written, redacted.
    pub data: Vec<u8>,
    /// Whether there was more.
    pub cut: bool,
}
