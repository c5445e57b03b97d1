//! One file: what is to be done about it, and doing it so that nothing half-written is ever seen.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use sha2::Digest as _;
use sternline_proto::files::is_partial_of;
use sternline_proto::sftp::StatusCode;
use sternline_proto::text::escape_bytes;
use tokio::time::Instant;

use super::ahead::most;
use super::commit::{change, looks_unchanged, usual_mode, wanted_mode};
use super::content::Content;
use super::path::{join, name, parent};
use super::report::Report;
use super::run::Run;
use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, Result, SendState};
use crate::transfer::place::{Change, Entry, Kind, Meta, Place};
use crate::transfer::result::{FileOutcome, FileResult, SkipReason};

/// A file to copy.
pub(super) struct FileJob {
    /// The receiving side, confined to the tree that the file is in.
    pub(super) to: Place,
    /// Where it is read from.
    pub(super) src: Vec<u8>,
    /// Where it is to be.
    pub(super) dst: Vec<u8>,
    /// The same, as people know it: `dst` may lie in a directory that has not got its name yet.
    pub(super) shown: Vec<u8>,
    /// What was seen of the source.
    pub(super) meta: Meta,
    /// What is there already; a symbolic link itself.
    pub(super) existing: Option<Meta>,
    /// Whether nobody can see the directory yet, so that the file is written under its own name.
    pub(super) unseen: bool,
    /// Whether what is there has an access control list that renaming would lose.
    pub(super) keeps_acl: bool,
    /// What earlier transfers left of this file, where that is known.
    pub(super) partials: Option<Vec<Entry>>,
    /// What it holds, where that was read ahead.
    pub(super) data: Option<Bytes>,
}

/// What became of a file, but for the time it took.
pub(super) struct Done {
    pub(super) bytes: u64,
    pub(super) outcome: FileOutcome,
    pub(super) warning: Option<String>,
}

impl Done {
    pub(super) fn skipped(reason: SkipReason) -> Self {
        Self::of(FileOutcome::Skipped(reason), 0)
    }

    pub(super) fn copied(bytes: u64) -> Self {
        Self::of(FileOutcome::Copied, bytes)
    }

    fn of(outcome: FileOutcome, bytes: u64) -> Self {
        Self {
            bytes,
            outcome,
            warning: None,
        }
    }

    pub(super) fn warning(mut self, warning: Option<String>) -> Self {
        self.warning = warning.or(self.warning);
        self
    }
}

/// Copies a file of the sending place, and reports what became of it.
pub(super) async fn copy_file(run: &Run, job: FileJob) {
    let begun = Instant::now();
    let mut number = None;
    let done = copy(run, &job, None, &mut number).await;
    report(run, &job.src, &job.shown, number, begun, done);
}

/// Copies what is no file of a place, and reports what became of it.
pub(super) async fn copy_content(run: &Run, job: FileJob, content: Content) {
    let begun = Instant::now();
    let mut number = None;
    let done = copy(run, &job, Some(content), &mut number).await;
    report(run, &job.src, &job.shown, number, begun, done);
}

/// Writes a small file whose content is here already, and reports what became of it.
pub(super) async fn put_file(run: &Run, job: FileJob, data: Bytes, begun: Instant) {
    let done = async {
        let (dst, existing) = followed(&job).await?;
        let target = TargetFile {
            run,
            job: &job,
            dst,
            existing,
            closed: AtomicBool::new(false),
        };
        let (mode, change) = target.look().await?;
        target.write_small(data, mode, change).await
    };
    report(run, &job.src, &job.shown, None, begun, done.await);
}

/// Tells what became of a file. What concerns all files ends the transfer.
pub(super) fn report(
    run: &Run,
    src: &[u8],
    dst: &[u8],
    number: Option<u64>,
    begun: Instant,
    done: Result<Done>,
) {
    let done = done.unwrap_or_else(|error| {
        if Report::is_final(&error) {
            run.stop(error.clone());
        }
        Done::of(FileOutcome::Failed(with_target(error, dst)), 0)
    });
    let result = FileResult {
        src: src.to_vec(),
        dst: dst.to_vec(),
        bytes: done.bytes,
        duration: begun.elapsed(),
        outcome: done.outcome,
        warning: done.warning,
    };
    run.report.ended(number, result);
}

/// An error that speaks of a temporary name says as well whose it is.
fn with_target(error: Error, dst: &[u8]) -> Error {
    let (said, dst) = (error.to_string(), escape_bytes(dst));
    if said.contains(".sternline-part") && !said.contains(&format!(" {dst}")) {
        error.within(&format!("cannot copy to {dst}"))
    } else {
        error
    }
}

async fn copy(run: &Run, job: &FileJob, content: Option<Content>, number: &mut Option<u64>) -> Result<Done> {
    let (dst, existing) = followed(job).await?;
    if let Some(existing) = &existing {
        if existing.kind == Kind::Directory {
            return Err(refuse(&dst, "is a directory, and the source is a file"));
        }
        if content.is_none() && is_unchanged(run, job, &dst, existing).await? {
            return Ok(Done::skipped(SkipReason::Unchanged));
        }
    }
    if run.options.dry_run {
        return Ok(Done::copied(0));
    }
    let target = TargetFile {
        run,
        job,
        dst,
        existing,
        closed: AtomicBool::new(false),
    };
    if target
        .existing
        .as_ref()
        .is_some_and(|existing| existing.kind == Kind::Other)
    {
        let done = Box::pin(target.write_in_place(content, number)).await?;
        return Ok(done.warning(Some("is no regular file, so it was written in place".to_owned())));
    }
    let can_be_read_again = content.is_none();
    match target.replace(content, number).await {
        Err(error) if can_be_read_again && target.existing.is_some() && target.is_closed() => {
            // The directory may be closed to us while the file itself is not.
            let done = Box::pin(target.write_in_place(None, number)).await;
            let done = done.map_err(|failed| if is_denied(&failed) { error } else { failed })?;
            Ok(done.warning(Some(
                "no file can be made beside it, so it was written in place: an interruption would have left it half-written"
                    .to_owned(),
            )))
        }
        done => done,
    }
}

/// Where a file really goes: a target that is a symbolic link is followed.
async fn followed(job: &FileJob) -> Result<(Vec<u8>, Option<Meta>)> {
    match &job.existing {
        Some(existing) if existing.kind == Kind::Symlink => {
            let Some(meta) = job.to.stat(&job.dst).await? else {
                return Err(refuse(&job.dst, "is a symbolic link that leads nowhere")
                    .with_hint("remove the link, or make what it leads to"));
            };
            // What /dev/stdout leads to has no path of its own, and nothing is made beside it.
            if meta.kind == Kind::Other {
                return Ok((job.dst.clone(), Some(meta)));
            }
            Ok((job.to.real_path(&job.dst).await?, Some(meta)))
        }
        existing => Ok((job.dst.clone(), existing.clone())),
    }
}

async fn is_unchanged(run: &Run, job: &FileJob, dst: &[u8], existing: &Meta) -> Result<bool> {
    let options = &run.options;
    if existing.kind != Kind::File || existing.size != job.meta.size || job.unseen {
        return Ok(false);
    }
    if options.skip_unchanged && !options.checksum {
        return Ok(looks_unchanged(&job.meta, existing));
    }
    // A file that an interrupted transfer has completed need not be copied again; a small one is as quickly copied.
    let was_completed = options.resume && existing.size >= run.from.chunk() as u64;
    if !options.skip_unchanged && !was_completed {
        return Ok(false);
    }
    same_content(run, job, dst, job.meta.size).await
}

/// Whether both sides begin with the same bytes, this many.
pub(super) async fn same_content(run: &Run, job: &FileJob, path: &[u8], length: u64) -> Result<bool> {
    let _hashing = run.hashing(length);
    let (ours, theirs) = tokio::join!(run.from.sha256(&job.src, length), job.to.sha256(path, length));
    let ours = ours?;
    Ok(ours.is_some() && ours == theirs?)
}

/// A file on the receiving side.
pub(super) struct TargetFile<'a> {
    pub(super) run: &'a Run,
    pub(super) job: &'a FileJob,
    /// Where it is to be, links followed.
    pub(super) dst: Vec<u8>,
    pub(super) existing: Option<Meta>,
    /// Whether the receiving side has refused to make, change or rename a file beside it.
    closed: AtomicBool,
}

impl TargetFile<'_> {
    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Notes whether the receiving side has refused something for want of permission.
    pub(super) fn noted<T>(&self, done: Result<T>) -> Result<T> {
        if done.as_ref().is_err_and(is_denied) {
            self.closed.store(true, Ordering::Relaxed);
        }
        done
    }

    /// Writes a new file beside the target, and has it take the target's place.
    async fn replace(&self, content: Option<Content>, number: &mut Option<u64>) -> Result<Done> {
        let (run, job) = (self.run, self.job);
        let (first_mode, change) = self.noted(self.look().await)?;
        let mut left = self.noted(self.left().await)?;
        let chunk = run.from.chunk().min(run.to.chunk());
        if job.meta.size < chunk as u64 {
            // It is written anew as quickly as it is compared.
            for (partial, _) in std::mem::take(&mut left) {
                job.to.remove(&partial).await?;
            }
        }
        // A pipe says nothing of its size, and cannot be read twice.
        if content.is_none() && job.meta.kind == Kind::File && job.meta.size < chunk as u64 {
            // Ahead of reading it: what a server is asked for is on its way then.
            run.pace(usize::try_from(job.meta.size).unwrap_or(chunk)).await;
            let data = match &job.data {
                Some(data) => data.clone(),
                None => run.from.read_small(&job.src, most(job)).await?,
            };
            if data.len() < most(job) {
                return self.write_small(data, first_mode, change).await;
            }
        }
        Box::pin(self.write_large(content, first_mode, change, left, number)).await
    }

    /// With which mode the file is made, and what is changed when it is complete.
    async fn look(&self) -> Result<(u32, Change)> {
        let (run, job) = (self.run, self.job);
        // In a directory that nobody sees there is nothing but what an interrupted transfer has left.
        let existing = self.existing.as_ref().filter(|_| !job.unseen);
        let mode = wanted_mode(&run.options, &job.meta, existing);
        // In a directory that nobody can see a new file may have its mode at once, and the system applies the umask.
        let (first_mode, mode) = match (job.unseen, mode) {
            (true, None) => (usual_mode(&job.meta), None),
            (false, None) => (
                0o600,
                Some(usual_mode(&job.meta) & !run.made(&self.dst).await?.umask),
            ),
            (_, Some(mode)) => (0o600, Some(mode)),
        };
        let mut change = change(&run.options, &job.meta, existing, mode);
        if change.owner.is_some() && change.owner == run.made(&self.dst).await?.owner {
            change.owner = None;
        }
        Ok((first_mode, change))
    }

    /// What an earlier transfer has left of this file, the largest first, if it is to be used.
    async fn left(&self) -> Result<Vec<(Vec<u8>, u64)>> {
        if !self.run.options.resume {
            return Ok(Vec::new());
        }
        if self.job.unseen {
            let existing = self.existing.as_ref();
            return Ok(existing
                .map(|meta| (self.dst.clone(), meta.size))
                .into_iter()
                .collect());
        }
        let beside = parent(&self.dst);
        let found = match &self.job.partials {
            Some(partials) => partials
                .iter()
                .map(|entry| (join(beside, &entry.name), entry.meta.clone()))
                .collect(),
            None => partials_of(&self.job.to, &self.dst, Kind::File).await?,
        };
        let own = Box::pin(self.run.own(found, &self.dst)).await?;
        let mut found: Vec<(Vec<u8>, u64)> = own.into_iter().map(|(path, meta)| (path, meta.size)).collect();
        found.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
        Ok(found)
    }

    async fn write_small(&self, data: Bytes, mode: u32, change: Change) -> Result<Done> {
        let (run, job, length) = (self.run, self.job, data.len() as u64);
        let digest = run.options.checksum.then(|| sha2::Sha256::digest(&data));
        let partial = self.partial()?;
        let fsync = run.options.fsync;
        let name = (digest.is_none() && !job.unseen && !job.keeps_acl).then_some(self.dst.as_slice());
        let write = |change| {
            let (partial, data) = (partial.as_slice(), data.clone());
            async move {
                match name {
                    Some(name) => {
                        job.to
                            .replace_small(partial, name, mode, data, change, fsync)
                            .await
                    }
                    None => job.to.write_small(partial, mode, data, change, fsync).await,
                }
            }
        };
        let finished = async {
            match write(change).await {
                Err(error) if change.owner.is_some() && is_denied(&error) => {
                    write(Change {
                        owner: None,
                        ..change
                    })
                    .await?;
                }
                written => written?,
            }
            if name.is_some() {
                return Ok(());
            }
            self.verify(&partial, length, digest.as_ref().map(|digest| digest.as_slice()))
                .await?;
            self.commit(&partial).await
        };
        self.settled(&partial, finished.await).await?;
        run.report.count(length);
        Ok(Done::copied(length))
    }

    /// Where the file is written: beside its target, or in its place where nobody sees it.
    pub(super) fn partial(&self) -> Result<Vec<u8>> {
        if self.job.unseen {
            self.run.watch_over(&self.dst, false);
            return Ok(self.dst.clone());
        }
        self.run.partial(&self.dst, false)
    }

    pub(super) async fn verify(&self, partial: &[u8], length: u64, digest: Option<&[u8]>) -> Result<()> {
        let Some(digest) = digest else {
            return Ok(());
        };
        let _hashing = self.run.hashing(length);
        let written = self.job.to.sha256(partial, length).await?;
        if written.as_ref().map(|written| written.as_slice()) == Some(digest) {
            return Ok(());
        }
        let message = format!(
            "what was written of {} differs from what was read (SHA-256)",
            escape_bytes(&self.job.shown)
        );
        Err(Error::new(ErrorKind::Local, message)
            .in_phase(Phase::Transfer)
            .with_sent(SendState::Ran)
            .with_hint("copy it again; if it happens again, suspect the disks or the memory of one side"))
    }

    /// The new file takes its place.
    pub(super) async fn commit(&self, partial: &[u8]) -> Result<()> {
        if self.job.unseen {
            return Ok(());
        }
        if self.job.keeps_acl {
            self.keep_acl(partial).await?;
        }
        self.noted(self.job.to.rename(partial, &self.dst).await)
    }

    /// With the list come the permission bits; those that were asked for are set again.
    async fn keep_acl(&self, partial: &[u8]) -> Result<()> {
        if let Err(error) = self.job.to.keep_acl(&self.dst, partial).await {
            tracing::debug!(%error, "the access control list is not kept");
        }
        let mode = self.run.options.mode;
        if mode.is_none() {
            return Ok(());
        }
        let change = Change {
            mode,
            ..Change::default()
        };
        self.job.to.change(partial, change).await
    }

    pub(super) async fn settled<T>(&self, partial: &[u8], done: Result<T>) -> Result<T> {
        match &done {
            Ok(_) => self.run.settle(partial),
            // Without a connection nothing can be removed now; perhaps it can later.
            Err(error) if Report::is_final(error) => {}
            Err(_) => self.run.give_up(partial).await,
        }
        done
    }
}

/// What earlier transfers have left beside a path.
pub(super) async fn partials_of(place: &Place, path: &[u8], kind: Kind) -> Result<Vec<(Vec<u8>, Meta)>> {
    let beside = parent(path);
    let entries = place.list(beside).await?;
    Ok(entries
        .into_iter()
        .flatten()
        .filter(|entry| entry.meta.kind == kind && is_partial_of(&entry.name, name(path)))
        .map(|entry| (join(beside, &entry.name), entry.meta))
        .collect())
}

pub(super) fn refuse(path: &[u8], what: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("{} {what}", escape_bytes(path))).in_phase(Phase::Transfer)
}

pub(super) fn is_denied(error: &Error) -> bool {
    use std::io::ErrorKind as Io;
    matches!(
        error.kind(),
        ErrorKind::RemoteFile(StatusCode::PermissionDenied) | ErrorKind::LocalFile(Io::PermissionDenied)
    )
}
