//! Writing runs, and removing them.

use std::time::{Duration, SystemTime};

use hmac::{Hmac, KeyInit, Mac};
use rusqlite::{Connection, ToSql, Transaction, TransactionBehavior, params};
use serde_json::Value;
use sha2::{Digest, Sha256};
use sternline_proto::redact::Redactor;

use crate::error::HistoryError;
use crate::history::{History, int};
use crate::id::RunId;
use crate::record::{End, HostRecord, NewRun, Outcome, Run};
use crate::stream::StreamRecord;

/// A run that is being written.
#[derive(Debug)]
pub(crate) struct Writing {
    pub(crate) id: RunId,
    seq: i64,
    /// What is known to be secret in it.
    redactor: Redactor,
    /// How many bytes of output may still be kept.
    room: u64,
}

impl History {
    /// Writes down that a run begins, with all its hosts, and lets the oldest ones go where there are too many.
    pub(crate) fn begin(&mut self, run: &NewRun, redactor: Redactor) -> Result<Writing, HistoryError> {
        let mut random = [0; 4];
        getrandom::fill(&mut random).map_err(|error| HistoryError::Thread(error.to_string()))?;
        let id = RunId::new(run.begun_ms, u32::from_ne_bytes(random));
        let limits = self.limits;
        let seq = self.transaction(|transaction| {
            let seq = insert(transaction, &id, run, &redactor)?;
            let first_kept = "SELECT min(seq) FROM (SELECT seq FROM run ORDER BY seq DESC LIMIT ?)";
            let first_kept: i64 =
                transaction.query_row(first_kept, [int(limits.runs.max(1))], |row| row.get(0))?;
            delete(transaction, "< ?", first_kept)?;
            Ok(seq)
        })?;
        self.shrink()?;
        Ok(Writing {
            id,
            seq,
            redactor,
            room: limits.output_of_run,
        })
    }

    /// Writes down what became of some hosts. Those of a run that was removed meanwhile are left out.
    pub(crate) fn add(&mut self, writing: &mut Writing, records: &[HostRecord]) -> Result<(), HistoryError> {
        let key = self.key.clone();
        let mut room = writing.room;
        let (seq, redactor) = (writing.seq, &writing.redactor);
        self.transaction(|transaction| {
            let mut update = transaction.prepare(
                "UPDATE host SET outcome = ?, exit_code = ?, signal = ?, error_type = ?, message = ?, phase = ?, sent = ?, \
                 skipped = ?, duration_us = ?, attempts = ?, stdout_bytes = ?, stdout_hash = ?, stderr_bytes = ?, \
                 stderr_hash = ? WHERE run = ? AND position = ? AND outcome IS NULL",
            )?;
            let mut counts = [0_i64; 3];
            for record in records {
                let redacted = |text: &str| redactor.redact_string(text).into_owned();
                let error = record.error.as_ref();
                let (stdout_bytes, stdout_hash) = measured(record.stdout.as_ref(), &key);
                let (stderr_bytes, stderr_hash) = measured(record.stderr.as_ref(), &key);
                let position = int(record.index as u64);
                let values: [&dyn ToSql; 16] = [
                    &record.outcome.as_str(),
                    &record.exit_code,
                    &record.signal.as_deref().map(redacted),
                    &error.map(|error| &error.error_type),
                    &error.map(|error| redacted(&error.message)),
                    &error.and_then(|error| error.phase.as_ref()),
                    &error.map(|error| &error.sent),
                    &record.skipped,
                    &micros(record.duration),
                    &record.attempts,
                    &stdout_bytes,
                    &stdout_hash,
                    &stderr_bytes,
                    &stderr_hash,
                    &seq,
                    &position,
                ];
                if update.execute(values)? == 0 {
                    continue;
                }
                for (outcome, count) in [Outcome::Ok, Outcome::Failed, Outcome::Skipped].iter().zip(&mut counts) {
                    *count += i64::from(record.outcome == *outcome);
                }
                for (name, stream) in [("stdout", &record.stdout), ("stderr", &record.stderr)] {
                    if let Some(stream) = stream {
                        keep(transaction, seq, position, name, stream, redactor, &mut room)?;
                    }
                }
            }
            let [ok, failed, skipped] = counts;
            transaction.execute(
                "UPDATE run SET ok = ok + ?, failed = failed + ?, skipped = skipped + ? WHERE seq = ?",
                params![ok, failed, skipped, seq],
            )?;
            Ok(())
        })?;
        writing.room = room;
        Ok(())
    }

    /// Writes down that a run has come to its end.
    pub(crate) fn end(&mut self, writing: &Writing, end: End, ended_ms: u64) -> Result<(), HistoryError> {
        self.transaction(|transaction| {
            transaction.execute(
                "UPDATE run SET ended_ms = ?, interrupted = ? WHERE seq = ?",
                params![int(ended_ms), end == End::Interrupted, writing.seq],
            )
        })?;
        self.shrink()
    }

    /// Removes a run and all that is recorded of it. What it said is overwritten.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn remove(&mut self, run: &Run) -> Result<(), HistoryError> {
        self.transaction(|transaction| delete(transaction, "= ?", run.seq))?;
        self.give_back()
    }

    /// Removes all runs, and says how many there were.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub fn clear(&mut self) -> Result<usize, HistoryError> {
        let count = self.transaction(|transaction| delete(transaction, "<= ?", i64::MAX))?;
        self.give_back()?;
        Ok(count)
    }

    /// Lets the oldest runs go until the others fit. The latest one stays.
    fn shrink(&mut self) -> Result<(), HistoryError> {
        let limit = int(self.limits.bytes);
        let mut removed = false;
        loop {
            let used = self.written(|connection| {
                connection.query_row(
                    "SELECT (page_count - freelist_count) * page_size \
                     FROM pragma_page_count(), pragma_freelist_count(), pragma_page_size()",
                    [],
                    |row| row.get::<_, i64>(0),
                )
            })?;
            if used <= limit {
                break;
            }
            let oldest = "SELECT min(seq) FROM run WHERE seq < (SELECT max(seq) FROM run)";
            let gone = self.transaction(|transaction| {
                let oldest: Option<i64> = transaction.query_row(oldest, [], |row| row.get(0))?;
                oldest.map_or(Ok(0), |oldest| delete(transaction, "= ?", oldest))
            })?;
            if gone == 0 {
                break;
            }
            removed = true;
        }
        match removed {
            true => self.give_back(),
            false => Ok(()),
        }
    }

    /// Gives the space of what was removed back to the file system, and leaves no trace of it in the write-ahead log, unless
    /// another process is reading: then its next writer does.
    pub(crate) fn give_back(&mut self) -> Result<(), HistoryError> {
        self.written(|connection| {
            // Each row is a step of the work.
            for pragma in ["PRAGMA incremental_vacuum", "PRAGMA wal_checkpoint(TRUNCATE)"] {
                let mut statement = connection.prepare(pragma)?;
                let mut rows = statement.query([])?;
                while rows.next()?.is_some() {}
            }
            Ok(())
        })
    }

    fn transaction<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, HistoryError> {
        let path = self.path.clone();
        let run = || {
            // A transaction that begins by reading could not always write later.
            let transaction = self
                .connection
                .transaction_with_behavior(TransactionBehavior::Immediate)?;
            let result = work(&transaction)?;
            transaction.commit()?;
            Ok(result)
        };
        run().map_err(|error| HistoryError::database(&path, "written", &error))
    }

    fn written<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, HistoryError> {
        work(&self.connection).map_err(|error| HistoryError::database(&self.path, "written", &error))
    }
}

fn insert(
    transaction: &Transaction<'_>,
    id: &RunId,
    run: &NewRun,
    redactor: &Redactor,
) -> rusqlite::Result<i64> {
    let options = redactor.redact_secrets(&Value::Object(run.options.clone()));
    transaction.execute(
        "INSERT INTO run (id, begun_ms, verb, command, command_line, options, user, machine, version, records_output, hosts) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        params![
            id.as_str(),
            int(run.begun_ms),
            run.verb,
            redactor.redact_string(&run.command),
            redactor.redact_string(&run.command_line),
            options.to_string(),
            run.user,
            run.machine,
            run.version,
            run.records_output,
            int(run.hosts.len() as u64),
        ],
    )?;
    let seq = transaction.last_insert_rowid();
    let mut statement =
        transaction.prepare("INSERT INTO host (run, position, name, target) VALUES (?, ?, ?, ?)")?;
    for (position, host) in run.hosts.iter().enumerate() {
        statement.execute(params![seq, int(position as u64), host.name, host.target])?;
    }
    Ok(seq)
}

/// Deletes the runs whose number compares so, and says how many.
fn delete(transaction: &Transaction<'_>, comparison: &str, number: i64) -> rusqlite::Result<usize> {
    transaction.execute(&format!("DELETE FROM output WHERE run {comparison}"), [number])?;
    transaction.execute(&format!("DELETE FROM host WHERE run {comparison}"), [number])?;
    transaction.execute(&format!("DELETE FROM run WHERE seq {comparison}"), [number])
}

/// The length of a stream and its keyed hash. Without the key nobody can try out what a short output may have been.
fn measured(stream: Option<&StreamRecord>, key: &[u8]) -> (Option<i64>, Option<Vec<u8>>) {
    let Some(stream) = stream else {
        return (None, None);
    };
    let hash = Hmac::<Sha256>::new_from_slice(key).ok().map(|mut mac| {
        mac.update(&stream.hash.clone().finalize());
        mac.finalize().into_bytes().to_vec()
    });
    (Some(int(stream.bytes)), hash)
}

/// Keeps the beginning of a stream, redacted, where it is to be kept.
fn keep(
    transaction: &Transaction<'_>,
    seq: i64,
    position: i64,
    name: &str,
    stream: &StreamRecord,
    redactor: &Redactor,
    room: &mut u64,
) -> rusqlite::Result<()> {
    let Some(kept) = &stream.kept else { return Ok(()) };
    let mut data = redactor.redact_bytes(kept);
    let limit = usize::try_from(*room)
        .unwrap_or(usize::MAX)
        .min(StreamRecord::LIMIT);
    let cut = data.len() > limit || stream.bytes > kept.len() as u64;
    data.truncate(limit);
    *room -= data.len() as u64;
    transaction.execute(
        "INSERT INTO output (run, position, stream, data, cut) VALUES (?, ?, ?, ?, ?)",
        params![seq, position, name, data, cut],
    )?;
    Ok(())
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// The time, in milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.ok()
        .and_then(|since| u64::try_from(since.as_millis()).ok())
        .unwrap_or_default()
}
