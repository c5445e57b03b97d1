//! What became of files and copies, as text and as JSON.

use std::time::Duration;

use serde_json::{Map, Value};
use sternline::fleet::Skipped;
use sternline::proto::text::escape_bytes;
use sternline::transfer::{FileOutcome, FileResult};
use sternline::{Error, TransferResult};

use crate::ui::figures::size;

/// The name and version of the JSON objects. It changes when a field changes its meaning or goes.
const SCHEMA: &str = "sternline.cp/1";

/// One file's result as one JSON object on one line.
pub(super) fn file_json(name: &str, result: &FileResult) -> String {
    object("file", name, result.to_dict())
}

/// One copy's result as one JSON object on one line.
pub(super) fn host_json(name: &str, result: &TransferResult) -> String {
    object("host", name, result.to_dict())
}

/// A copy that could not begin, as one JSON object on one line.
pub(super) fn refused_json(name: &str, error: &Error) -> String {
    let mut fields = Map::new();
    fields.insert("ok".into(), false.into());
    fields.insert("error".into(), Value::Object(error.to_dict()));
    object("host", name, fields)
}

/// A copy that was not begun, as one JSON object on one line.
pub(super) fn skipped_json(name: &str, why: Skipped) -> String {
    let mut fields = Map::new();
    fields.insert("ok".into(), false.into());
    fields.insert("not_begun".into(), why.as_str().into());
    object("host", name, fields)
}

fn object(event: &str, name: &str, fields: Map<String, Value>) -> String {
    let mut object = Map::new();
    object.insert("schema".into(), SCHEMA.into());
    object.insert("event".into(), event.into());
    object.insert("host".into(), name.into());
    for (key, value) in fields {
        // The host's name is the one that stands on the command line.
        if key != "host" {
            object.insert(key, value);
        }
    }
    Value::Object(object).to_string()
}

/// What became of a file, as one line.
pub(super) fn file_line(name: &str, result: &FileResult) -> String {
    let (src, dst) = (escape_bytes(&result.src), escape_bytes(&result.dst));
    let what = match &result.outcome {
        FileOutcome::Copied => format!("copy {src} to {dst}"),
        FileOutcome::Made => format!("make {dst}"),
        FileOutcome::Skipped(reason) => format!("skip {src}: {reason}"),
        FileOutcome::Removed => format!("remove {dst}"),
        FileOutcome::Failed(_) => format!("fail {src}"),
        _ => format!("{src} to {dst}"),
    };
    format!("{name}: {what}")
}

/// What all copies came to together.
#[derive(Debug, Default)]
pub(super) struct Totals {
    copied: u64,
    skipped: u64,
    removed: u64,
    failed: u64,
    bytes: u64,
    /// The longest of them: they run side by side.
    duration: Duration,
}

impl Totals {
    pub(super) fn add(&mut self, result: &TransferResult) {
        self.copied += result.copied;
        self.skipped += result.skipped;
        self.removed += result.removed;
        self.failed += result.failed;
        self.bytes += result.bytes;
        self.duration = self.duration.max(result.duration);
    }

    /// One line that stays when the progress has gone.
    pub(super) fn line(&self, dry_run: bool) -> String {
        let files = |count: u64| {
            if count == 1 {
                "1 file".to_owned()
            } else {
                format!("{count} files")
            }
        };
        let mut line = if dry_run {
            format!("would copy {}", files(self.copied))
        } else {
            format!("copied {}, {}", files(self.copied), size(self.bytes))
        };
        let millis = u64::try_from(self.duration.as_millis()).unwrap_or(u64::MAX);
        if let Some(rate) = self
            .bytes
            .saturating_mul(1000)
            .checked_div(millis)
            .filter(|_| !dry_run)
        {
            line.push_str(&format!(
                " in {:.1} s, {}/s",
                self.duration.as_secs_f64(),
                size(rate)
            ));
        }
        for (count, what) in [
            (self.skipped, "skipped"),
            (self.removed, "removed"),
            (self.failed, "failed"),
        ] {
            if count > 0 {
                line.push_str(&format!("; {count} {what}"));
            }
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_says_what_came_of_everything() {
        let totals = Totals {
            copied: 3,
            bytes: 5 * 1024 * 1024,
            duration: Duration::from_secs(2),
            ..Totals::default()
        };
        assert_eq!(totals.line(false), "copied 3 files, 5.0 MiB in 2.0 s, 2.5 MiB/s");
        let totals = Totals {
            copied: 1,
            removed: 2,
            failed: 1,
            ..totals
        };
        assert_eq!(totals.line(true), "would copy 1 file; 2 removed; 1 failed");
    }
}
