//! What has become of a transfer, in total and file by file.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value};
use sternline_proto::text::escape_bytes;

use super::request::{Target, Transfer};
use crate::error::{Error, Result};

/// What has become of one transfer with one host.
#[derive(Debug)]
#[non_exhaustive]
pub struct TransferResult {
    /// The host, as it was named.
    pub host: String,
    /// The first source, as it was given.
    pub src: Vec<u8>,
    /// The target, as it was given.
    pub dst: Vec<u8>,
    /// How many bytes of content were moved; those that were there already are not counted.
    pub bytes: u64,
    /// From the beginning to the end.
    pub duration: Duration,
    /// How many attempts there were, connecting included where a fleet does that; 0 for a host that was never begun.
    pub attempts: u32,
    /// Whether nothing was changed because nothing was to be changed.
    pub dry_run: bool,
    /// How many files and symbolic links are in their place now because of this transfer.
    pub copied: u64,
    /// How many directories were made.
    pub directories: u64,
    /// How many files were left out; an excluded directory counts once.
    pub skipped: u64,
    /// How many entries were removed, each with all that it held.
    pub removed: u64,
    /// How many entries failed.
    pub failed: u64,
    /// The first thousand of them, each with its reason.
    pub failures: Vec<FileResult>,
    /// What was worth a warning: the first thousand.
    pub warnings: Vec<String>,
    /// What was received, where the target was [`Target::Memory`](super::Target::Memory).
    pub content: Option<Bytes>,
    /// What ended the transfer as a whole, if something did.
    pub error: Option<Error>,
}

/// What has become of one file, directory or link.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FileResult {
    /// The path on the sending side; empty for what was removed.
    pub src: Vec<u8>,
    /// The path on the receiving side.
    pub dst: Vec<u8>,
    /// How many bytes were moved for it.
    pub bytes: u64,
    /// How long that took.
    pub duration: Duration,
    /// What became of it.
    pub outcome: FileOutcome,
    /// What was worth a warning.
    pub warning: Option<String>,
}

/// What has become of a file.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum FileOutcome {
    /// It is in its place.
    Copied,
    /// The directory was made.
    Made,
    /// It was left out.
    Skipped(SkipReason),
    /// The source does not have it, so it was removed.
    Removed,
    /// It is not there, or it is still the old one.
    Failed(Error),
}

/// Why a file was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SkipReason {
    /// The target is the same already.
    Unchanged,
    /// The filter excludes it.
    Excluded,
    /// It is a device, a pipe or a socket.
    Special,
    /// It is a symbolic link, and they were to be left out.
    Symlink,
}

impl TransferResult {
    /// Of a transfer that could not begin.
    pub(crate) fn failed(host: &str, transfer: &Transfer, error: Error) -> Self {
        let src = transfer.sources.first().map(|source| source.path().to_vec());
        Self {
            host: host.to_owned(),
            src: src.unwrap_or_default(),
            dst: match &transfer.target {
                Target::Path(path) => path.clone(),
                Target::Memory | Target::Stream(_) => Vec::new(),
            },
            bytes: 0,
            duration: Duration::ZERO,
            attempts: 1,
            dry_run: transfer.options.dry_run,
            copied: 0,
            directories: 0,
            skipped: 0,
            removed: 0,
            failed: 0,
            failures: Vec::new(),
            warnings: Vec::new(),
            content: None,
            error: Some(error),
        }
    }

    /// Whether everything is where it should be.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.error.is_none() && self.failed == 0
    }

    /// The result itself if everything is where it should be.
    ///
    /// # Errors
    /// What ended the transfer, or why the first of the files failed.
    pub fn success(self) -> Result<Self> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let mut failed = self.failures.iter().filter_map(FileResult::error);
        match failed.next() {
            None => Ok(self),
            Some(first) if self.failed == 1 => Err(first.clone()),
            Some(first) => Err(first
                .clone()
                .within(&format!("{} files failed; the first", self.failed))),
        }
    }

    /// The result as JSON: `host`, `ok`, `bytes`, `src`, `dst`, `seconds`, `attempts`, `dry_run`, the counts, `warnings`, and `error`.
    /// Paths are text, escaped where they are none.
    #[must_use]
    pub fn to_dict(&self) -> Map<String, Value> {
        let mut dict = Map::new();
        let mut put = |name: &str, value: Value| dict.insert(name.to_owned(), value);
        put("host", self.host.clone().into());
        put("ok", self.ok().into());
        put("bytes", self.bytes.into());
        put("src", escape_bytes(&self.src).into());
        put("dst", escape_bytes(&self.dst).into());
        put("seconds", self.duration.as_secs_f64().into());
        put("attempts", self.attempts.into());
        put("dry_run", self.dry_run.into());
        put("copied", self.copied.into());
        put("directories", self.directories.into());
        put("skipped", self.skipped.into());
        put("removed", self.removed.into());
        put("failed", self.failed.into());
        put("warnings", self.warnings.clone().into());
        let error = self.error.as_ref().map(|error| Value::Object(error.to_dict()));
        put("error", error.unwrap_or_default());
        dict
    }
}

impl FileResult {
    /// Why it failed, if it did.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        match &self.outcome {
            FileOutcome::Failed(error) => Some(error),
            _ => None,
        }
    }

    /// The result as JSON: `ok`, `src`, `dst`, `bytes`, `seconds`, `outcome`, and where there is one `reason`, `warning`,
    /// `error`.
    #[must_use]
    pub fn to_dict(&self) -> Map<String, Value> {
        let mut dict = Map::new();
        let mut put = |name: &str, value: Value| dict.insert(name.to_owned(), value);
        put("ok", self.error().is_none().into());
        put("src", escape_bytes(&self.src).into());
        put("dst", escape_bytes(&self.dst).into());
        put("bytes", self.bytes.into());
        put("seconds", self.duration.as_secs_f64().into());
        put("outcome", self.outcome.as_str().into());
        if let FileOutcome::Skipped(reason) = self.outcome {
            put("reason", reason.as_str().into());
        }
        if let Some(warning) = &self.warning {
            put("warning", warning.clone().into());
        }
        if let Some(error) = self.error() {
            put("error", error.to_dict().into());
        }
        dict
    }
}

impl FileOutcome {
    /// The name in JSON.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Copied => "copied",
            Self::Made => "made",
            Self::Skipped(_) => "skipped",
            Self::Removed => "removed",
            Self::Failed(_) => "failed",
        }
    }
}

impl SkipReason {
    /// The name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Excluded => "excluded",
            Self::Special => "special",
            Self::Symlink => "symlink",
        }
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unchanged => "unchanged",
            Self::Excluded => "excluded",
            Self::Special => "neither file nor directory",
            Self::Symlink => "a symbolic link",
        })
    }
}
