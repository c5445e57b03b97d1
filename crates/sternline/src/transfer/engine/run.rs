//! One transfer that is running: its two ends, its options, and what must not be left behind.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sternline_proto::files::{PARTIAL_RANDOM, partial_name};
use sternline_proto::sftp::Owner;
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit, watch};
use tokio::task::JoinError;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::path::{join, name, parent};
use super::remove::remove_tree;
use super::report::Report;
use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, Result, SendState, seconds};
use crate::transfer::place::{How, Meta, Place};
use crate::transfer::request::Options;

/// How many files are on their way at once. sftp-server refuses more than a hundred handles, and needs some itself.
pub(super) const FILES: usize = 64;

/// How many parts of large files may be in memory at least, each of 255 KiB at most.
const PARTS: usize = 64;

/// How long removing what is incomplete may take at the end of a transfer that has failed.
const CLEANING: Duration = Duration::from_secs(10);

/// What a new file is like.
#[derive(Debug, Clone, Copy)]
pub(super) struct Made {
    /// The permission bits that it does not get.
    pub(super) umask: u32,
    pub(super) owner: Option<Owner>,
}

/// A transfer that is running.
pub(super) struct Run {
    pub(super) from: Place,
    pub(super) to: Place,
    pub(super) options: Options,
    pub(super) report: Report,
    pub(super) files: Arc<Semaphore>,
    /// Parts of large files that may be in memory.
    room: Semaphore,
    /// How many permits `room` has in all.
    roomy: AtomicUsize,
    /// Large files whose content may be on its way.
    turns: Semaphore,
    pace: Option<Pace>,
    made: OnceCell<Made>,
    /// What is incomplete on the receiving side, and whether it is a directory.
    incomplete: Mutex<HashMap<Vec<u8>, bool>>,
    /// Why everything has to stop.
    stopped: watch::Sender<Option<Error>>,
    /// How many bytes of content are being hashed, during which nothing is seen to move.
    hashing: AtomicU64,
}

/// While it is held, content is being hashed.
pub(super) struct Hashing<'a> {
    run: &'a Run,
    bytes: u64,
}

impl Drop for Hashing<'_> {
    fn drop(&mut self) {
        self.run.hashing.fetch_sub(self.bytes, Ordering::Relaxed);
        self.run.report.moved();
    }
}

impl Run {
    pub(super) fn new(from: Place, to: Place, options: Options, report: Report) -> Self {
        let turns = from.streams().unwrap_or(FILES).min(to.streams().unwrap_or(FILES));
        Self {
            from,
            to,
            turns: Semaphore::new(turns),
            pace: options.limit.map(Pace::new),
            options,
            report,
            files: Arc::new(Semaphore::new(FILES)),
            room: Semaphore::new(PARTS),
            roomy: AtomicUsize::new(PARTS),
            made: OnceCell::new(),
            incomplete: Mutex::default(),
            stopped: watch::Sender::new(None),
            hashing: AtomicU64::new(0),
        }
    }

    /// To be held while either side computes the SHA-256 of so many bytes. It takes its time, and says nothing meanwhile.
    pub(super) fn hashing(&self, bytes: u64) -> Hashing<'_> {
        self.hashing.fetch_add(bytes, Ordering::Relaxed);
        Hashing { run: self, bytes }
    }

    /// A random name beside a path, for what is incomplete. It is removed at the end unless it has been settled.
    pub(super) fn partial(&self, path: &[u8], is_directory: bool) -> Result<Vec<u8>> {
        let mut random = [0; PARTIAL_RANDOM];
        getrandom::fill(&mut random).map_err(|error| {
            Error::new(ErrorKind::Local, "the system gives no random numbers").with_source_text(&error)
        })?;
        let partial = join(parent(path), &partial_name(name(path), &random));
        self.watch_over(&partial, is_directory);
        Ok(partial)
    }

    /// Has something removed at the end unless it is settled before.
    pub(super) fn watch_over(&self, path: &[u8], is_directory: bool) {
        self.incomplete().insert(path.to_vec(), is_directory);
    }

    /// What was incomplete has got its name, or is gone.
    pub(super) fn settle(&self, partial: &[u8]) {
        self.incomplete().remove(partial);
    }

    /// What cannot be completed is removed, unless it is kept for another time. Nobody needs to hear that it failed: there
    /// is a first failure already.
    pub(super) async fn give_up(&self, partial: &[u8]) {
        if !self.options.resume {
            self.to.given_up_commands_end().await;
            let _ = self.to.remove(partial).await;
        }
        self.settle(partial);
    }

    /// Removes what is left incomplete. A place that has stalled is not waited for any longer than it was before.
    pub(super) async fn clean(&self, ended: Option<&Error>) {
        let left = std::mem::take(&mut *self.incomplete());
        if self.options.resume || left.is_empty() {
            return;
        }
        let cleaning = async {
            self.to.given_up_commands_end().await;
            for (path, is_directory) in left {
                let removed = if is_directory {
                    remove_tree(&self.to, &path).await
                } else {
                    self.to.remove(&path).await
                };
                if let Err(error) = removed {
                    tracing::debug!(%error, "an incomplete file stays behind");
                }
            }
        };
        let has_stalled = ended.is_some_and(|error| error.kind() == &ErrorKind::ProgressTimeout);
        let patience = match self.options.progress_timeout {
            Some(limit) if has_stalled => limit.min(CLEANING),
            _ => CLEANING,
        };
        let _ = timeout(patience, cleaning).await;
    }

    /// Ends the whole transfer. The first reason stays.
    pub(super) fn stop(&self, error: Error) {
        self.stopped.send_if_modified(|stopped| {
            let first = stopped.is_none();
            stopped.get_or_insert(error);
            first
        });
    }

    /// Takes what a task has come to. One that was interrupted by a defect of ours ends the transfer: nobody would hear of its files.
    pub(super) fn ended<T>(&self, task: std::result::Result<T, JoinError>) -> Option<T> {
        task.inspect_err(|error| {
            self.stop(
                Error::new(ErrorKind::Local, "a part of the transfer was interrupted")
                    .with_source_text(error),
            );
        })
        .ok()
    }

    /// Waits until the transfer has to stop.
    pub(super) async fn stopped(&self) -> Error {
        let mut stopped = self.stopped.subscribe();
        loop {
            if let Some(error) = &*stopped.borrow_and_update() {
                return error.clone();
            }
            if stopped.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until nothing has moved for as long as it may.
    pub(super) async fn stalled(&self) -> Error {
        let Some(limit) = self.options.progress_timeout else {
            return std::future::pending().await;
        };
        let (mut moves, mut since) = (self.report.moves(), Instant::now());
        loop {
            sleep((limit / 10).max(Duration::from_millis(1))).await;
            let now = self.report.moves();
            if now != moves {
                (moves, since) = (now, Instant::now());
            } else if since.elapsed() >= limit + hashing_time(self.hashing.load(Ordering::Relaxed)) {
                return Error::new(
                    ErrorKind::ProgressTimeout,
                    format!("nothing of the transfer has moved for {}", seconds(limit)),
                )
                .in_phase(Phase::Transfer)
                .with_sent(SendState::MayHaveRun)
                .with_hint("find out what the server or the network waits for, or raise the limit; resume goes on from here");
            }
        }
    }

    /// Waits until the content of one more large file may be on its way. Only then may room be taken for it: where files wait
    /// for one of few streams, those that have none would otherwise take all the room from those that have one, for ever.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.turns.acquire().await.ok()
    }

    /// As many parts of large files may be in memory as the one that needs most of them has on its way.
    pub(super) fn make_room(&self, parts: usize) {
        let before = self.roomy.fetch_max(parts, Ordering::Relaxed);
        self.room.add_permits(parts.saturating_sub(before));
    }

    /// Waits until one more part may be in memory.
    pub(super) async fn room(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.room.acquire().await.ok()
    }

    /// Waits until this much more may be moved.
    pub(super) async fn pace(&self, bytes: usize) {
        if let Some(pace) = &self.pace {
            pace.take(bytes).await;
        }
    }

    /// What a new file on the receiving side is like: found out by making an empty one, for nothing tells it.
    pub(super) async fn made(&self, beside: &[u8]) -> Result<Made> {
        let found = self.made.get_or_try_init(|| async {
            let probe = self.partial(beside, false)?;
            let file = self.to.create(&probe, How::New(0o777), 0).await?;
            let closed = file.close().await;
            let meta = self.to.lstat(&probe).await;
            self.to.remove(&probe).await?;
            self.settle(&probe);
            closed?;
            let meta = meta?;
            let mode = meta.as_ref().and_then(|meta| meta.mode);
            Ok(Made {
                umask: 0o777 & !mode.unwrap_or(0o700),
                owner: meta.and_then(|meta| meta.owner),
            })
        });
        found.await.copied()
    }

    /// Of what earlier transfers have left, what belongs to us: anybody can make something of such a name where everybody
    /// may write, and would own the file in the end.
    pub(super) async fn own(
        &self,
        mut left: Vec<(Vec<u8>, Meta)>,
        beside: &[u8],
    ) -> Result<Vec<(Vec<u8>, Meta)>> {
        if !left.is_empty() {
            let uid = |owner: Option<Owner>| owner.map(|owner| owner.uid);
            let ours = uid(self.made(beside).await?.owner);
            left.retain(|(_, meta)| uid(meta.owner) == ours);
        }
        Ok(left)
    }

    fn incomplete(&self) -> MutexGuard<'_, HashMap<Vec<u8>, bool>> {
        self.incomplete.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long the slowest machine that is worth waiting for takes to hash so many bytes.
fn hashing_time(bytes: u64) -> Duration {
    const BYTES_PER_MILLISECOND: u64 = 20_000;
    Duration::from_millis(bytes / BYTES_PER_MILLISECOND)
}

impl Drop for Run {
    fn drop(&mut self) {
        let left = std::mem::take(&mut *self.incomplete());
        if self.options.resume || left.is_empty() {
            return;
        }
        // The caller has dropped the transfer; what can still be done is done in the background.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let to = self.to.clone();
            runtime.spawn(async move {
                to.given_up_commands_end().await;
                for (path, is_directory) in left {
                    let _ = if is_directory {
                        remove_tree(&to, &path).await
                    } else {
                        to.remove(&path).await
                    };
                }
            });
        }
    }
}

/// Keeps a rate: whoever moves something waits until what was moved before has had its time.
struct Pace {
    bytes_per_second: u64,
    /// When everything so far has had its time.
    free: Mutex<Instant>,
}

impl Pace {
    fn new(bytes_per_second: u64) -> Self {
        Self {
            bytes_per_second,
            free: Mutex::new(Instant::now()),
        }
    }

    async fn take(&self, bytes: usize) {
        let at = {
            let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
            let at = (*free).max(Instant::now());
            *free = at + Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
            at
        };
        sleep_until(at).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Emitter;
    use crate::transfer::place::LocalFiles;
    use tokio::task::JoinSet;

    #[tokio::test]
    async fn a_task_that_was_interrupted_ends_the_transfer() {
        let place = Place::Local(LocalFiles::default());
        let report = Report::new("here", Emitter::default(), None);
        let run = Run::new(place.clone(), place, Options::default(), report);
        let mut tasks = JoinSet::new();
        tasks.spawn(async { true });
        assert_eq!(run.ended(tasks.join_next().await.unwrap()), Some(true));
        tasks.spawn(std::future::pending());
        tasks.abort_all();
        assert_eq!(run.ended(tasks.join_next().await.unwrap()), None);
        assert!(run.stopped().await.to_string().contains("was interrupted"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_is_kept_over_everybody_together() {
        let pace = Pace::new(1000);
        let begun = Instant::now();
        for _ in 0..5 {
            tokio::join!(pace.take(100), pace.take(100));
        }
        // What is taken last has its time afterwards.
        assert_eq!(begun.elapsed().as_millis(), 900);
    }
}
