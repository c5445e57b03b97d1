//! What is told while a transfer runs, and what is counted for its result.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use sternline_proto::text::escape_bytes;

use crate::error::Error;
use crate::event::{Emitter, EventType};
use crate::transfer::event::TransferEvent;
use crate::transfer::request::Listener;
use crate::transfer::result::{FileOutcome, FileResult, TransferResult};

/// How many failures and warnings are kept. All of them are told as they happen.
const KEPT: usize = 1000;

/// Tells and counts.
pub(super) struct Report {
    listener: Option<Listener>,
    emitter: Emitter,
    host: String,
    next: AtomicU64,
    /// Grows whenever anything gets on.
    moves: AtomicU64,
    totals: Mutex<Totals>,
}

/// What was moved of a large file.
#[derive(Default)]
struct Moving {
    bytes: u64,
    /// The most that it has ever been.
    most: u64,
}

/// What is counted.
#[derive(Default)]
pub(super) struct Totals {
    pub(super) bytes: u64,
    /// Of these, what belongs to each of the large files that have not ended.
    moving: HashMap<u64, Moving>,
    pub(super) copied: u64,
    pub(super) directories: u64,
    pub(super) skipped: u64,
    pub(super) removed: u64,
    pub(super) failed: u64,
    pub(super) failures: Vec<FileResult>,
    pub(super) warnings: Vec<String>,
}

impl Report {
    pub(super) fn new(host: &str, emitter: Emitter, listener: Option<Listener>) -> Self {
        Self {
            listener,
            emitter,
            host: host.to_owned(),
            next: AtomicU64::new(0),
            moves: AtomicU64::new(0),
            totals: Mutex::default(),
        }
    }

    /// How often something has got on.
    pub(super) fn moves(&self) -> u64 {
        self.moves.load(Ordering::Relaxed)
    }

    /// Something has got on.
    pub(super) fn moved(&self) {
        self.moves.fetch_add(1, Ordering::Relaxed);
    }

    /// A file is begun; its number.
    pub(super) fn started(&self, src: &[u8], dst: &[u8], size: Option<u64>) -> u64 {
        let file = self.next.fetch_add(1, Ordering::Relaxed);
        self.tell_started(file, src, dst, size);
        file
    }

    /// A file is begun once more: what was moved of it so far was lost.
    pub(super) fn started_anew(&self, file: u64, src: &[u8], dst: &[u8], size: Option<u64>) {
        {
            let mut totals = self.totals();
            let moving = totals.moving.entry(file).or_default();
            let lost = std::mem::take(&mut moving.bytes);
            totals.bytes = totals.bytes.saturating_sub(lost);
        }
        self.tell_started(file, src, dst, size);
    }

    fn tell_started(&self, file: u64, src: &[u8], dst: &[u8], size: Option<u64>) {
        if self.listener.is_some() {
            self.tell(&TransferEvent::Started {
                file,
                src: Arc::from(src),
                dst: Arc::from(dst),
                size,
            });
        }
    }

    /// Bytes of a file are where they should be.
    pub(super) fn progress(&self, file: u64, bytes: u64) {
        {
            let mut totals = self.totals();
            totals.bytes += bytes;
            let moving = totals.moving.entry(file).or_default();
            moving.bytes += bytes;
            // A file that begins anew again and again does not get on.
            if moving.bytes > moving.most {
                moving.most = moving.bytes;
                self.moved();
            }
        }
        self.tell(&TransferEvent::Progress { file, bytes });
    }

    /// Bytes of a small file, which is not told of by itself.
    pub(super) fn count(&self, bytes: u64) {
        self.moved();
        self.totals().bytes += bytes;
    }

    pub(super) fn found(&self, files: u64, bytes: u64, complete: bool) {
        self.tell(&TransferEvent::Found {
            files,
            bytes,
            complete,
        });
    }

    pub(super) fn ended(&self, file: Option<u64>, mut result: FileResult) {
        self.moved();
        result.outcome = match result.outcome {
            FileOutcome::Failed(error) => FileOutcome::Failed(self.without_secrets(error)),
            other => other,
        };
        result.warning = result.warning.map(|warning| self.redacted(&warning));
        self.emitter.emit_with(EventType::Transfer, || {
            let mut dict = result.to_dict();
            dict.insert("event".into(), "file".into());
            dict.insert("host".into(), self.host.clone().into());
            Value::Object(dict)
        });
        {
            let mut totals = self.totals();
            if let Some(file) = file {
                totals.moving.remove(&file);
            }
            match &result.outcome {
                FileOutcome::Copied => totals.copied += 1,
                FileOutcome::Made => totals.directories += 1,
                FileOutcome::Skipped(_) => totals.skipped += 1,
                FileOutcome::Removed => totals.removed += 1,
                FileOutcome::Failed(_) => {
                    totals.failed += 1;
                    if totals.failures.len() < KEPT {
                        totals.failures.push(result.clone());
                    }
                }
            }
            if let Some(warning) = &result.warning
                && totals.warnings.len() < KEPT
            {
                totals
                    .warnings
                    .push(format!("{}: {warning}", escape_bytes(&result.dst)));
            }
        }
        self.tell(&TransferEvent::Ended { file, result });
    }

    /// What is worth a warning about the transfer as a whole.
    pub(super) fn warn(&self, warning: &str) {
        let warning = self.redacted(warning);
        self.totals().warnings.push(warning);
    }

    /// An error as it may be told: what the connection knows to be secret is masked.
    pub(super) fn without_secrets(&self, error: Error) -> Error {
        error.redacted_by(self.emitter.redactor())
    }

    fn redacted(&self, text: &str) -> String {
        self.emitter.redactor().redact_string(text).into_owned()
    }

    pub(super) fn begun(&self, src: &[u8], dst: &[u8]) {
        self.emitter.emit_with(EventType::Transfer, || {
            serde_json::json!({
                "event": "started",
                "host": self.host,
                "src": escape_bytes(src),
                "dst": escape_bytes(dst),
            })
        });
    }

    /// The whole transfer has ended.
    pub(super) fn finished(&self, result: &TransferResult) {
        self.emitter.emit_with(EventType::Transfer, || {
            let mut dict = result.to_dict();
            dict.insert("event".into(), "ended".into());
            Value::Object(dict)
        });
    }

    pub(super) fn take_totals(&self) -> Totals {
        std::mem::take(&mut *self.totals())
    }

    /// Whether everything went well so far.
    pub(super) fn is_clean(&self) -> bool {
        self.totals().failed == 0
    }

    /// Whether an error is about the transfer as a whole, so that nothing else can go on either.
    pub(super) fn is_final(error: &Error) -> bool {
        use crate::error::ErrorKind;
        error.kind().is_connection()
            || matches!(
                error.kind(),
                ErrorKind::Channel
                    | ErrorKind::Cancelled
                    | ErrorKind::ProgressTimeout
                    | ErrorKind::OutputOverflow
                    | ErrorKind::AuthFailed
                    | ErrorKind::HostKeyMismatch
            )
    }

    fn tell(&self, event: &TransferEvent) {
        if let Some(listener) = &self.listener {
            listener(event);
        }
    }

    fn totals(&self) -> MutexGuard<'_, Totals> {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
