//! A large file: part by part, anew or from where an earlier transfer has left it, and what is written in its place.

use sha2::Digest as _;
use sternline_proto::text::escape_bytes;

use super::content::Content;
use super::file::{Done, TargetFile, is_denied, same_content};
use super::pump::{Moved, Part, pump};
use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, Result, SendState};
use crate::transfer::place::{Change, How, Kind, Meta, Place, Writing};

/// How much of an incomplete file is taken for certain when its whole length does not agree: parts that were on their way
/// together may have left gaps in its last 64 MiB.
const CERTAIN: u64 = 64 * 1024 * 1024;

impl TargetFile<'_> {
    /// Writes it beside its target and has it take that place: once more as often as the connection is lost that it is written
    /// through, where another one follows and it can be read again.
    pub(super) async fn write_large(
        &self,
        mut content: Option<Content>,
        mode: u32,
        change: Change,
        mut left: Vec<(Vec<u8>, u64)>,
        number: &mut Option<u64>,
    ) -> Result<Done> {
        let (run, to) = (self.run, &self.job.to);
        let memory = match &content {
            Some(Content::Memory(all)) => Some(all.clone()),
            _ => None,
        };
        let can_be_read_again = content.is_none() || memory.is_some();
        let mut partial = None;
        loop {
            let session = to.session().filter(|_| can_be_read_again);
            match self
                .write_once(content.take(), mode, change, &mut left, number, &mut partial)
                .await
            {
                Err(error) => to.wait_for_next(session, error).await?,
                done => return done,
            }
            // Whatever writes to it on the lost connection is not to write to what follows: that is another file, even under
            // the same name.
            if let Some(partial) = partial.take() {
                to.remove(&partial).await?;
                run.settle(&partial);
            }
            content = memory.clone().map(Content::Memory);
        }
    }

    /// One attempt at that. `incomplete` becomes the name of what it writes to, and what is done with goes out of `left`.
    async fn write_once(
        &self,
        content: Option<Content>,
        mode: u32,
        change: Change,
        left: &mut Vec<(Vec<u8>, u64)>,
        number: &mut Option<u64>,
        incomplete: &mut Option<Vec<u8>>,
    ) -> Result<Done> {
        let (run, job) = (self.run, self.job);
        let is_place = content.is_none();
        let size = self.size(content.as_ref());
        let content = match content {
            Some(content) => content,
            None => Content::File(run.from.open(&job.src, job.meta.size).await?),
        };
        let file = match *number {
            Some(file) => {
                run.report.started_anew(file, &job.src, &job.shown, size);
                file
            }
            None => run.report.started(&job.src, &job.shown, size),
        };
        *number = Some(file);
        let mut begun = None;
        if is_place && !left.is_empty() {
            let (partial, have) = left.remove(0);
            run.watch_over(&partial, false);
            *incomplete = Some(partial.clone());
            let from = self.agreed(&partial, have.min(job.meta.size)).await?;
            if from > 0 {
                begun = Some((partial, have, from));
            } else {
                // It may be another name of a file that has nothing to do with this one: it is not written to.
                job.to.remove(&partial).await?;
                run.settle(&partial);
            }
        }
        let (partial, from, writing) = match begun {
            Some((partial, have, from)) => {
                let writing = job.to.create(&partial, How::Continue, job.meta.size).await?;
                if have > job.meta.size || from < have {
                    writing.set_length(from).await?;
                }
                (partial, from, writing)
            }
            None => {
                let partial = self.partial()?;
                *incomplete = Some(partial.clone());
                let writing = job
                    .to
                    .create(&partial, How::New(mode), size.unwrap_or_default())
                    .await;
                match self.noted(writing) {
                    Ok(writing) => (partial, 0, writing),
                    Err(error) => {
                        run.settle(&partial);
                        return Err(error);
                    }
                }
            }
        };
        let written = async {
            let part = Part {
                content: &content,
                from,
                to: size,
                sparse: job.meta.sparse,
                leave_holes: from == 0 && (job.meta.sparse || matches!(job.to, Place::Local(_))),
            };
            let moved = pump(run, file, part, &writing, run.options.checksum && from == 0).await?;
            let warning = self.unchanged_meanwhile(&content, size, &moved).await?;
            // What it was read through is free then: hashing may need it, where a server has few sessions.
            drop(content);
            self.noted(self.finish(writing, change).await)?;
            let hashing = run.hashing(moved.end);
            let digest = match moved.sha256 {
                Some(digest) => Some(digest.finalize().to_vec()),
                None if run.options.checksum && is_place => run
                    .from
                    .sha256(&job.src, moved.end)
                    .await?
                    .map(|digest| digest.to_vec()),
                None => None,
            };
            drop(hashing);
            self.verify(&partial, moved.end, digest.as_deref()).await?;
            self.commit(&partial).await?;
            Ok((moved.end - from, warning))
        };
        let written = written.await;
        let (bytes, warning) = self.settled(&partial, written).await?;
        for (other, _) in std::mem::take(left) {
            job.to.remove(&other).await?;
        }
        Ok(Done::copied(bytes).warning(warning))
    }

    /// Writes into the file that is there, because it is none that could be replaced.
    pub(super) async fn write_in_place(
        &self,
        content: Option<Content>,
        number: &mut Option<u64>,
    ) -> Result<Done> {
        let (run, job) = (self.run, self.job);
        let size = self.size(content.as_ref());
        let content = match content {
            Some(content) => content,
            None => Content::File(run.from.open(&job.src, job.meta.size).await?),
        };
        let file = run.report.started(&job.src, &job.shown, size);
        *number = Some(file);
        let writing = job
            .to
            .create(&self.dst, How::InPlace, size.unwrap_or_default())
            .await?;
        let part = Part {
            content: &content,
            from: 0,
            to: size,
            leave_holes: false,
            sparse: false,
        };
        let written = async {
            let moved = pump(run, file, part, &writing, false).await?;
            let warning = self.unchanged_meanwhile(&content, size, &moved).await?;
            // Nothing was cut off before: it may be the source itself, by another way.
            let before = self
                .existing
                .as_ref()
                .filter(|existing| existing.kind == Kind::File);
            if before.is_some_and(|before| before.size > moved.end) {
                writing.set_length(moved.end).await?;
            }
            writing.close().await?;
            Ok(Done::copied(moved.end).warning(warning))
        };
        let written: Result<Done> = written.await;
        written.map_err(|error| {
            error.within(&format!(
                "{} was being written in place and is incomplete",
                escape_bytes(&job.shown)
            ))
        })
    }

    /// How much is to be copied, where that is known: files of /proc and the like say 0 and have more.
    fn size(&self, content: Option<&Content>) -> Option<u64> {
        match content {
            None => {
                (self.job.meta.kind == Kind::File && self.job.meta.size > 0).then_some(self.job.meta.size)
            }
            Some(Content::Memory(all)) => Some(all.len() as u64),
            // Where a stream comes from may know how long it is.
            Some(_) => (self.job.meta.size > 0).then_some(self.job.meta.size),
        }
    }

    /// How much of an incomplete file is right: it was compared.
    async fn agreed(&self, partial: &[u8], have: u64) -> Result<u64> {
        for length in [have, have.saturating_sub(CERTAIN)] {
            if length > 0 && same_content(self.run, self.job, partial, length).await? {
                return Ok(length);
            }
        }
        Ok(0)
    }

    /// Whether the source has stayed as it was: one that has lost something is an error, one that has grown is not.
    async fn unchanged_meanwhile(
        &self,
        content: &Content,
        size: Option<u64>,
        moved: &Moved,
    ) -> Result<Option<String>> {
        let Some(size) = size else {
            return Ok(None);
        };
        let src = &self.job.src;
        if moved.end < size {
            let message = format!(
                "{} became shorter while it was read: {} bytes of {size}",
                escape_bytes(src),
                moved.end
            );
            return Err(Error::new(ErrorKind::Local, message)
                .in_phase(Phase::Transfer)
                .with_sent(SendState::MayHaveRun)
                .with_hint("copy it again when nothing writes to it; what was there before is unchanged"));
        }
        let Content::File(reading) = content else {
            return Ok(None);
        };
        let now = reading.stat().await?;
        let written = |meta: &Meta| meta.times.map(|times| times.mtime);
        Ok(if now.size > size {
            Some(format!(
                "the source grew to {} bytes while it was read; its first {size} bytes were copied",
                now.size
            ))
        } else if written(&now) != written(&self.job.meta) {
            Some("the source was written to while it was read".to_owned())
        } else {
            None
        })
    }

    /// Mode, owner and times, then stable storage.
    async fn finish(&self, writing: Writing, change: Change) -> Result<()> {
        match writing.change(change).await {
            Err(error) if change.owner.is_some() && is_denied(&error) => {
                writing
                    .change(Change {
                        owner: None,
                        ..change
                    })
                    .await?;
            }
            changed => changed?,
        }
        if self.run.options.fsync {
            writing.fsync().await?;
        }
        writing.close().await
    }
}
