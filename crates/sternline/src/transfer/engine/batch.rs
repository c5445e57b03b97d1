//! Small files of a tree in batches, each of them one stream of tar, where the way to the server is long.
//!
//! It is a shortcut and nothing more: whatever goes wrong with a batch, its files are copied one by one after all.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use sternline_proto::files::Direction;
use sternline_proto::tar::Header;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::ahead::{SMALL, groups, most, read_together};
use super::commit::{usual_mode, wanted_mode};
use super::file::{Done, FileJob, copy_file, put_file, report};
use super::run::Run;
use super::tree::Node;
use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, Result};
use crate::transfer::batch::{Fetched, Item, fetch, send};
use crate::transfer::place::{Kind, Place, Shortcut};
use crate::transfer::renewal::was_lost_after_all;
use crate::transfer::result::FileOutcome;

/// How many small files of a tree go one by one before the rest is worth a start.
const BEFORE: usize = 256;

/// How many files a batch has at most.
const FILES: usize = 1000;

/// How many bytes a batch has at most, in memory while it is received.
const BYTES: u64 = 4 * 1024 * 1024;

/// How many batches are on their way at once, so that none waits for the end of another.
const AT_ONCE: usize = 3;

/// How many files wait between those who read and those who send.
const WAITING: usize = 32;

/// How many steps of reading are ahead of what is sent.
const AHEAD: usize = 2;

/// How many names are settled at once when their content is there.
const NAMES: usize = 64;

/// The small files of a tree that wait for their batch.
pub(super) struct Batches {
    shortcut: Shortcut,
    /// The roots of the tree on the sending and the receiving side.
    src: Vec<u8>,
    dst: Vec<u8>,
    slots: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    seen: usize,
    waiting: Vec<Small>,
    bytes: u64,
    running: JoinSet<()>,
}

/// A small file, and the directory that is not complete without it.
struct Small {
    job: FileJob,
    node: Arc<Node>,
}

impl Batches {
    /// Where batches are of use: over a long way, and for what needs no look at single files.
    pub(super) async fn wanted(run: &Run, src: &[u8], dst: &[u8]) -> Option<Self> {
        let options = &run.options;
        if options.dry_run || options.resume || options.checksum || options.fsync || options.limit.is_some() {
            return None;
        }
        let (server, direction) = match (&run.from, &run.to) {
            (Place::Local(_), server) => (server, Direction::Upload),
            (server, Place::Local(_)) => (server, Direction::Download),
            _ => return None,
        };
        if direction == Direction::Upload && server.go_on() {
            // What a lost connection still has on its way may arrive late, and tar would write it over what took its place.
            return None;
        }
        Some(Self {
            shortcut: server.shortcut(direction).await?,
            src: src.to_vec(),
            dst: dst.to_vec(),
            slots: Arc::new(Semaphore::new(AT_ONCE)),
            state: Mutex::default(),
        })
    }

    /// Takes a file for a batch, or gives it back.
    pub(super) async fn take(
        self: &Arc<Self>,
        run: &Arc<Run>,
        job: FileJob,
        node: &Arc<Node>,
    ) -> Option<FileJob> {
        if job.meta.size > SMALL || !goes_together(run, &job).await {
            return Some(job);
        }
        let batch = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.seen += 1;
            if state.seen <= BEFORE {
                return Some(job);
            }
            node.hold();
            state.bytes += job.meta.size;
            state.waiting.push(Small {
                job,
                node: Arc::clone(node),
            });
            (state.waiting.len() >= FILES || state.bytes >= BYTES).then(|| state.cut())
        };
        if let Some(batch) = batch {
            self.start(run, batch).await;
        }
        None
    }

    /// Sends off what waits, and waits for all of it.
    pub(super) async fn finish(self: &Arc<Self>, run: &Arc<Run>) {
        let (batch, mut running) = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            (state.cut(), std::mem::take(&mut state.running))
        };
        if !batch.is_empty() {
            self.carry(run, batch).await;
        }
        while let Some(ended) = running.join_next().await {
            run.ended(ended);
        }
    }

    async fn start(self: &Arc<Self>, run: &Arc<Run>, batch: Vec<Small>) {
        let slot = Arc::clone(&self.slots).acquire_owned().await;
        let (batches, run) = (Arc::clone(self), Arc::clone(run));
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(ended) = state.running.try_join_next() {
            run.ended(ended);
        }
        state.running.spawn(async move {
            let _slot = slot;
            batches.carry(&run, batch).await;
        });
    }

    /// Copies a batch, and whatever of it could not go together one by one.
    async fn carry(&self, run: &Run, batch: Vec<Small>) {
        let begun = Instant::now();
        let (jobs, nodes): (Vec<FileJob>, Vec<Arc<Node>>) =
            batch.into_iter().map(|small| (small.job, small.node)).unzip();
        let left = match &run.from {
            Place::Local(_) => self.send(run, jobs, begun).await,
            _ => self.fetch(run, jobs, begun).await,
        };
        stream::iter(left)
            .for_each_concurrent(NAMES, |job| async move {
                let _permit = run.files.acquire().await;
                copy_file(run, job).await;
            })
            .await;
        for node in nodes {
            if let Err(error) = node.done(&run.to).await {
                report(run, &self.src, &self.dst, None, begun, Err(error));
            }
        }
    }

    /// Gives what is to be copied one by one.
    async fn send(&self, run: &Run, jobs: Vec<FileJob>, begun: Instant) -> Vec<FileJob> {
        let (items, receiver) = mpsc::channel(WAITING);
        let sending = send(
            &self.shortcut.connection,
            &self.dst,
            run.options.preserve,
            receiver,
        );
        let (sent, feeding) = tokio::join!(sending, self.feed(run, jobs, items));
        let Feeding { fed, mut left } = feeding;
        if let Err(error) = sent {
            let connection = &self.shortcut.connection;
            if was_lost_after_all(connection, &error).await {
                // As above: nothing is written under these names any more.
                run.stop(connection.ended().await.in_phase(Phase::Transfer));
                return Vec::new();
            }
            tracing::debug!(%error, "a batch of small files goes one by one");
            run.to.given_up_commands_end().await;
            for (job, path, _) in fed {
                let _ = run.to.remove(&path).await;
                run.settle(&path);
                left.push(job);
            }
            return left;
        }
        stream::iter(fed)
            .for_each_concurrent(NAMES, |(job, path, bytes)| async move {
                let placed = if job.unseen {
                    Ok(())
                } else {
                    run.to.rename(&path, &job.dst).await
                };
                match &placed {
                    Ok(()) => {
                        run.settle(&path);
                        run.report.count(bytes);
                    }
                    Err(_) => run.give_up(&path).await,
                }
                let done = placed.map(|()| copied(bytes));
                report(run, &job.src, &job.shown, None, begun, done);
            })
            .await;
        left
    }

    /// Reads the files and hands them over.
    async fn feed(&self, run: &Run, jobs: Vec<FileJob>, items: mpsc::Sender<Item>) -> Feeding {
        let reading = stream::iter(groups(jobs)).map(|jobs| async move {
            let mut read = read_together(run, &jobs).await;
            let missing = jobs.iter().zip(&mut read).filter(|(_, data)| data.is_none());
            join_all(missing.map(|(job, data)| async move {
                // What cannot be read even so is left, and says why when its turn comes.
                *data = run.from.read_small(&job.src, most(job)).await.ok();
            }))
            .await;
            stream::iter(jobs.into_iter().zip(read))
        });
        let mut reading = std::pin::pin!(reading.buffered(AHEAD).flatten());
        let mut feeding = Feeding {
            fed: Vec::new(),
            left: Vec::new(),
        };
        while let Some((job, data)) = reading.next().await {
            let data = data.filter(|data| data.len() < most(&job));
            let prepared = match data {
                Some(data) => self
                    .prepare(run, &job)
                    .await
                    .ok()
                    .map(|(path, header)| (path, Item { header, data })),
                None => None,
            };
            let Some((path, item)) = prepared else {
                feeding.left.push(job);
                continue;
            };
            let bytes = item.data.len() as u64;
            // When nobody takes it any more the batch has failed, and all of it is done again.
            let _ = items.send(item).await;
            feeding.fed.push((job, path, bytes));
        }
        feeding
    }

    /// Where a file is written, and what the archive says of it.
    async fn prepare(&self, run: &Run, job: &FileJob) -> Result<(Vec<u8>, Header)> {
        let path = if job.unseen {
            run.watch_over(&job.dst, false);
            job.dst.clone()
        } else {
            run.partial(&job.dst, false)?
        };
        let mode = match wanted_mode(&run.options, &job.meta, job.existing.as_ref()) {
            Some(mode) => mode,
            None => usual_mode(&job.meta) & !run.made(&job.dst).await?.umask,
        };
        let mtime = job.meta.times.map_or(0, |times| times.mtime.into());
        let name = below(&self.dst, &path)?;
        Ok((path, Header { name, mode, mtime }))
    }

    /// Gives what is to be copied one by one.
    async fn fetch(&self, run: &Run, jobs: Vec<FileJob>, begun: Instant) -> Vec<FileJob> {
        let mut arrived: Vec<Option<Fetched>> = jobs.iter().map(|_| None).collect();
        let wanted: Result<Vec<Vec<u8>>> = jobs.iter().map(|job| below(&self.src, &job.src)).collect();
        let fetching = async {
            let wanted = wanted?;
            let (files, mut receiver) = mpsc::channel(WAITING);
            let Shortcut { connection, tar, .. } = &self.shortcut;
            let fetching = async {
                // The receiver has to learn of the end.
                let files = files;
                fetch(connection, *tar, &self.src, &wanted, limit(), &files).await
            };
            let receiving = async {
                while let Some(fetched) = receiver.recv().await {
                    if let Some(slot) = arrived.get_mut(fetched.index) {
                        run.report.moved();
                        *slot = Some(fetched);
                    }
                }
            };
            let (missed, ()) = tokio::join!(fetching, receiving);
            missed
        };
        match fetching.await {
            Ok(missed) => {
                for missed in missed {
                    if let Some(slot) = arrived.get_mut(missed.index) {
                        *slot = None;
                    }
                }
            }
            Err(error) => {
                tracing::debug!(%error, "a batch of small files goes one by one");
                return jobs;
            }
        }
        let mut left = Vec::new();
        let mut whole = Vec::new();
        for (job, fetched) in jobs.into_iter().zip(arrived) {
            match fetched {
                Some(fetched) => whole.push((job, fetched)),
                None => left.push(job),
            }
        }
        stream::iter(whole)
            .for_each_concurrent(NAMES, |(job, fetched)| async move {
                put_file(run, job, fetched.data, begun).await;
            })
            .await;
        left
    }
}

impl State {
    fn cut(&mut self) -> Vec<Small> {
        self.bytes = 0;
        std::mem::take(&mut self.waiting)
    }
}

/// What has become of the files that were to be sent.
struct Feeding {
    /// With where they were written, and how large they are.
    fed: Vec<(FileJob, Vec<u8>, u64)>,
    left: Vec<FileJob>,
}

/// Whether nothing of what is there has to be looked at, or kept, that a stream cannot keep.
async fn goes_together(run: &Run, job: &FileJob) -> bool {
    let Some(existing) = &job.existing else {
        return true;
    };
    let is_plain = existing.kind == Kind::File && !job.keeps_acl && !run.options.skip_unchanged;
    is_plain
        && run
            .made(&job.dst)
            .await
            .is_ok_and(|made| made.owner == existing.owner)
}

fn copied(bytes: u64) -> Done {
    Done {
        bytes,
        outcome: FileOutcome::Copied,
        warning: None,
    }
}

/// What a file may have grown to until it is read.
fn limit() -> usize {
    usize::try_from(SMALL).unwrap_or(usize::MAX) * 2
}

/// The rest of a path below a directory.
fn below(root: &[u8], path: &[u8]) -> Result<Vec<u8>> {
    let rest = path.strip_prefix(root).map(|rest| {
        let slashes = rest.iter().take_while(|byte| **byte == b'/').count();
        rest.get(slashes..).unwrap_or_default().to_vec()
    });
    rest.filter(|rest| !rest.is_empty())
        .ok_or_else(|| Error::new(ErrorKind::Invalid, "a file lies outside of its tree"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_a_path_begins_behind_the_root() {
        for (root, path, expected) in [
            ("/a", "/a/b/c", Some("b/c")),
            (".", "./b", Some("b")),
            ("/", "/b", Some("b")),
            ("/a", "/a", None),
            ("/a", "/b/c", None),
        ] {
            let rest = below(root.as_bytes(), path.as_bytes()).ok();
            assert_eq!(rest.as_deref(), expected.map(str::as_bytes), "{root} {path}");
        }
    }
}
