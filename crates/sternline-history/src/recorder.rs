//! The thread that writes a run while it goes on.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use sternline_proto::redact::Redactor;

use crate::error::HistoryError;
use crate::history::{History, Limits};
use crate::id::RunId;
use crate::record::{End, HostRecord, NewRun};
use crate::write::{Writing, now_ms};

/// How many hosts are written in one transaction.
const BATCH: usize = 512;

/// How long a result waits for others, and is lost if the program is killed meanwhile.
const WAIT: Duration = Duration::from_millis(200);

/// How much output may wait for a slow disk. What comes on top is not kept.
const WAITING: usize = 64 * 1024 * 1024;

/// Records a run.
///
/// Nothing here blocks or fails until [`Recorder::finish`] says what became of it. Dropped without that, the run stays as
/// what it is: unfinished.
#[derive(Debug)]
pub struct Recorder {
    sender: Sender<Message>,
    ended: Receiver<Result<Recorded, HistoryError>>,
    /// Bytes of output on their way to the thread.
    waiting: Arc<AtomicUsize>,
}

/// How a run was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recorded {
    /// Its name.
    pub id: RunId,
    /// The name that a damaged database was given; escaped.
    pub set_aside: Option<String>,
}

#[derive(Debug)]
enum Message {
    Host(Box<HostRecord>),
    End(End, u64),
}

impl Recorder {
    /// Begins to record a run in the database of this directory. `redactor` knows what is secret in it.
    #[must_use]
    pub fn start(folder: PathBuf, limits: Limits, run: NewRun, redactor: Redactor) -> Self {
        let (sender, receiver) = channel();
        let (done, ended) = channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&waiting);
        let failed = done.clone();
        let started = thread::Builder::new().name("history".to_owned()).spawn(move || {
            let _ = done.send(write(&folder, limits, &run, redactor, &receiver, &counter));
        });
        if let Err(error) = started {
            let _ = failed.send(Err(HistoryError::Thread(error.to_string())));
        }
        Self {
            sender,
            ended,
            waiting,
        }
    }

    /// Records what became of a host.
    pub fn host(&self, mut record: HostRecord) {
        for stream in [&mut record.stdout, &mut record.stderr].into_iter().flatten() {
            let length = stream.kept.as_ref().map_or(0, Vec::len);
            if self.waiting.fetch_add(length, Ordering::Relaxed) > WAITING {
                self.waiting.fetch_sub(length, Ordering::Relaxed);
                stream.kept = Some(Vec::new());
            }
        }
        // Where the thread has ended, it has said why.
        let _ = self.sender.send(Message::Host(Box::new(record)));
    }

    /// Records that the run has come to its end, and waits until all is written, but no longer than `patience`.
    ///
    /// # Errors
    /// Whatever has kept the run from being recorded.
    pub fn finish(self, end: End, patience: Duration) -> Result<Recorded, HistoryError> {
        let _ = self.sender.send(Message::End(end, now_ms()));
        match self.ended.recv_timeout(patience) {
            Ok(outcome) => outcome,
            Err(RecvTimeoutError::Timeout) => Err(HistoryError::TooSlow),
            Err(RecvTimeoutError::Disconnected) => Err(HistoryError::Thread("its thread ended".to_owned())),
        }
    }
}

/// Writes a run until its end; the work of the thread.
fn write(
    folder: &std::path::Path,
    limits: Limits,
    run: &NewRun,
    redactor: Redactor,
    receiver: &Receiver<Message>,
    waiting: &AtomicUsize,
) -> Result<Recorded, HistoryError> {
    let (mut history, mut writing) = begin(folder, limits, run, redactor)?;
    let sign = history.place.show_going_on(&writing.id);
    let mut end = None;
    while end.is_none() {
        let Ok(first) = receiver.recv() else { break };
        let give_up = Instant::now() + WAIT;
        let mut batch = Vec::new();
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Host(record) => batch.push(*record),
                Message::End(how, at_ms) => {
                    end = Some((how, at_ms));
                    break;
                }
            }
            next = match batch.len() < BATCH {
                true => receiver
                    .recv_timeout(give_up.saturating_duration_since(Instant::now()))
                    .ok(),
                false => None,
            };
        }
        if !batch.is_empty() {
            history.add(&mut writing, &batch)?;
            let kept = batch.iter().flat_map(|record| [&record.stdout, &record.stderr]);
            let kept = kept.flatten().filter_map(|stream| stream.kept.as_ref());
            waiting.fetch_sub(kept.map(Vec::len).sum(), Ordering::Relaxed);
        }
    }
    if let Some((how, at_ms)) = end {
        history.end(&writing, how, at_ms)?;
    }
    drop(sign);
    Ok(Recorded {
        id: writing.id,
        set_aside: history.set_aside().map(str::to_owned),
    })
}

/// Opens the database and begins the run. A damage that shows only now is no reason not to record it, either.
fn begin(
    folder: &std::path::Path,
    limits: Limits,
    run: &NewRun,
    redactor: Redactor,
) -> Result<(History, Writing), HistoryError> {
    let mut history = History::open(folder, limits)?;
    match history.begin(run, redactor.clone()) {
        Ok(writing) => Ok((history, writing)),
        Err(HistoryError::Damaged { .. }) => {
            let mut history = history.begin_anew()?;
            let writing = history.begin(run, redactor)?;
            Ok((history, writing))
        }
        Err(error) => Err(error),
    }
}
