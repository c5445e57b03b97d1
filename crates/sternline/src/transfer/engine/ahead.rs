//! Small files of this machine, read several in one step: a step costs two switches of threads, more than to read one.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use tokio::task::JoinSet;

use super::file::{FileJob, copy_file};
use super::run::{FILES, Run};
use crate::transfer::place::Place;

/// What is larger is no small file.
pub(super) const SMALL: u64 = 64 * 1024;

/// How many files are read in one step at most: one half is read while the other is on its way.
const TOGETHER: usize = FILES / 2;

/// How many bytes are read in one step at most.
const BYTES: u64 = 2 * SMALL;

/// Files that are read in one step.
#[derive(Default)]
pub(super) struct Group {
    jobs: Vec<FileJob>,
    bytes: u64,
}

impl Group {
    /// Takes a file; gives those before it when they are enough.
    pub(super) fn add(&mut self, job: FileJob) -> Option<Vec<FileJob>> {
        let size = job.meta.size;
        let is_full = self.jobs.len() >= TOGETHER || self.bytes + size > BYTES;
        let full = (is_full && !self.jobs.is_empty()).then(|| self.take());
        self.bytes += size;
        self.jobs.push(job);
        full
    }

    /// Gives what it has.
    pub(super) fn take(&mut self) -> Vec<FileJob> {
        self.bytes = 0;
        std::mem::take(&mut self.jobs)
    }
}

/// Files in groups.
pub(super) fn groups(jobs: Vec<FileJob>) -> Vec<Vec<FileJob>> {
    let mut group = Group::default();
    let mut groups: Vec<_> = jobs.into_iter().filter_map(|job| group.add(job)).collect();
    groups.push(group.take());
    groups
}

/// Whether a file is read before it is known whether anything else stands in its way, which nearly always is nothing.
pub(super) fn is_read_ahead(run: &Run, job: &FileJob) -> bool {
    let options = &run.options;
    matches!(run.from, Place::Local(_))
        && job.meta.size <= SMALL
        && job.meta.size < run.to.chunk() as u64
        && !(options.dry_run || options.skip_unchanged || options.resume)
}

/// The files of a directory that are on their way.
#[derive(Default)]
pub(super) struct Going {
    pub(super) tasks: JoinSet<()>,
    group: Group,
}

impl Going {
    /// Begins with a file as soon as fewer than [`FILES`] are on their way, or later together with others.
    pub(super) async fn copy(&mut self, run: &Arc<Run>, job: FileJob) {
        if !is_read_ahead(run, &job) {
            let permit = Arc::clone(&run.files).acquire_owned().await;
            let run = Arc::clone(run);
            self.tasks.spawn(async move {
                let _permit = permit;
                copy_file(&run, job).await;
            });
        } else if let Some(jobs) = self.group.add(job) {
            self.copy_together(run, jobs).await;
        }
    }

    /// Waits for all of them.
    pub(super) async fn finish(mut self, run: &Arc<Run>) {
        let rest = self.group.take();
        if !rest.is_empty() {
            self.copy_together(run, rest).await;
        }
        while let Some(ended) = self.tasks.join_next().await {
            run.ended(ended);
        }
    }

    async fn copy_together(&mut self, run: &Arc<Run>, mut jobs: Vec<FileJob>) {
        let count = u32::try_from(jobs.len()).unwrap_or(u32::MAX);
        // It is never closed.
        let Ok(mut permits) = Arc::clone(&run.files).acquire_many_owned(count).await else {
            return;
        };
        let run = Arc::clone(run);
        self.tasks.spawn(async move {
            let read = read_together(&run, &jobs).await;
            for (job, data) in jobs.iter_mut().zip(read) {
                job.data = data;
            }
            stream::iter(jobs)
                .for_each_concurrent(None, |job| {
                    let permit = permits.split(1);
                    let run = &run;
                    async move {
                        let _permit = permit;
                        copy_file(run, job).await;
                    }
                })
                .await;
        });
    }
}

/// The content of small files, each as far as [`most`] goes. What cannot be read, or not quickly, is `None`.
pub(super) async fn read_together(run: &Run, jobs: &[FileJob]) -> Vec<Option<Bytes>> {
    match &run.from {
        Place::Local(place) => {
            let files = jobs.iter().map(|job| (job.src.clone(), most(job))).collect();
            place.read_several(files).await
        }
        _ => vec![None; jobs.len()],
    }
}

/// How much of a small file is read: one more than there was, to see whether there is more by now.
pub(super) fn most(job: &FileJob) -> usize {
    usize::try_from(job.meta.size).unwrap_or_default() + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::engine::start::made_up;
    use crate::transfer::place::LocalFiles;

    fn job(size: u64) -> FileJob {
        FileJob {
            to: Place::Local(LocalFiles::default()),
            src: size.to_string().into_bytes(),
            dst: Vec::new(),
            shown: Vec::new(),
            meta: made_up(size),
            existing: None,
            unseen: false,
            keeps_acl: false,
            partials: None,
            data: None,
        }
    }

    #[test]
    fn files_are_grouped_in_order_by_number_and_by_size() {
        let sizes = |sizes: &[u64]| -> Vec<Vec<u64>> {
            let groups = groups(sizes.iter().map(|size| job(*size)).collect());
            groups
                .iter()
                .map(|group| group.iter().map(|job| job.meta.size).collect())
                .collect()
        };
        assert_eq!(sizes(&[1, 2, 3]), [[1, 2, 3]]);
        assert_eq!(sizes(&[SMALL; 5]), [&[SMALL; 2][..], &[SMALL; 2], &[SMALL]]);
        assert_eq!(sizes(&[BYTES, 0, 1]), [&[BYTES, 0][..], &[1]]);
        assert_eq!(sizes(&[BYTES + 1, 1]), [[BYTES + 1], [1]]);
        let lengths: Vec<usize> = sizes(&[1; TOGETHER * 2 + 1]).iter().map(Vec::len).collect();
        assert_eq!(lengths, [TOGETHER, TOGETHER, 1]);
    }
}
