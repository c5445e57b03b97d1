//! Files of this machine for a server's `scp -t`, one after another.

use bytes::Bytes;
use sternline_proto::scp::{Name, Record};
use sternline_proto::sftp::Times;
use sternline_proto::text::escape_bytes;
use tokio::time::Instant;

use super::super::commit::usual_mode;
use super::super::content::Content;
use super::super::file::{Done, refuse, report};
use super::super::operand::{Landing, destination, from_home_there, landing};
use super::super::path::{join, means_contents, name};
use super::super::run::Run;
use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, Result, SendState};
use crate::transfer::place::{Entry, Kind, Meta};
use crate::transfer::request::{Source, Symlinks};
use crate::transfer::result::{FileOutcome, SkipReason};
use crate::transfer::scp::{Answer, Dialog, How, ScpServer};
use crate::transfer::sftp::Tried;
use crate::transfer::shell::status;

/// How deep a tree may be. The stack of directories that are being sent is as deep.
const DEEPEST: usize = 200;

/// Sends the sources into the target, which is written in place.
pub(crate) async fn upload(run: &Run, server: &ScpServer, sources: &[Source], target: &[u8]) -> Result<()> {
    let target = from_home_there(target);
    // Whether it is a directory is for the server to find out.
    let landing = landing(&target, sources.len(), false);
    let how = How {
        recursive: run.options.recursive,
        preserve: run.options.preserve || run.options.mode.is_some(),
        directory: landing == Landing::Into,
    };
    let mut dialog = server.sink(&target, how).await?;
    if let Answer::Refused(said) = dialog.answer().await? {
        let tried = Tried::new("write to", &target);
        return Err(server.connection().locate(tried.refused(&status(&said))));
    }
    run.report
        .warn("scp writes in place: an interruption would have left a half-written file on the server");
    let mut upload = Upload {
        run,
        server,
        dialog: &mut dialog,
    };
    for source in sources {
        let begun = Instant::now();
        let shown = destination(landing, &target, source.path(), None);
        if let Err(error) = upload.one(source, shown.clone()).await {
            report(run, source.path(), &shown, None, begun, Err(error));
        }
    }
    dialog.finish().await
}

struct Upload<'a> {
    run: &'a Run,
    server: &'a ScpServer,
    dialog: &'a mut Dialog,
}

/// A directory that is being sent.
struct Open {
    src: Vec<u8>,
    shown: Vec<u8>,
    /// Below the root of the tree.
    relative: Vec<u8>,
    /// What is still to be sent.
    left: std::vec::IntoIter<Result<Entry>>,
}

impl Upload<'_> {
    async fn one(&mut self, source: &Source, shown: Vec<u8>) -> Result<()> {
        let src = source.path();
        match source {
            Source::Path(_) => {
                let meta = self.run.from.stat(src).await?.ok_or_else(|| {
                    refuse(src, "does not exist on this machine").with_hint("check the path")
                })?;
                match meta.kind {
                    Kind::Directory if !self.run.options.recursive => {
                        Err(refuse(src, "is a directory")
                            .with_hint("copy it with all it holds (recursive, -r)"))
                    }
                    Kind::Directory => self.tree(src, shown, &meta).await,
                    _ => {
                        self.file(src, &shown, name(src), &meta).await;
                        Ok(())
                    }
                }
            }
            Source::Bytes { content, .. } => {
                let meta = Meta {
                    kind: Kind::File,
                    size: content.len() as u64,
                    mode: None,
                    times: None,
                    owner: None,
                    sparse: false,
                };
                let begun = Instant::now();
                let mut number = None;
                let content = Content::Memory(content.clone());
                let done = self
                    .send(src, &shown, name(src), &meta, content, &mut number)
                    .await;
                report(self.run, src, &shown, number, begun, done);
                Ok(())
            }
            Source::Stream { .. } => Err(without_size(src)),
        }
    }

    async fn tree(&mut self, src: &[u8], shown: Vec<u8>, meta: &Meta) -> Result<()> {
        if means_contents(src) {
            return Err(refuse(src, "has no name that scp could send").with_hint("name the directory itself"));
        }
        let mut stack = Vec::new();
        stack.extend(
            self.enter(src.to_vec(), shown, Vec::new(), name(src), meta)
                .await?,
        );
        while let Some(open) = stack.last_mut() {
            let Some(entry) = open.left.next() else {
                stack.pop();
                self.dialog.send(&Record::EndDirectory).await?;
                self.expect_go_on().await?;
                continue;
            };
            let begun = Instant::now();
            let (above, shown_above) = (open.src.clone(), open.shown.clone());
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    report(self.run, &above, &shown_above, None, begun, Err(error));
                    continue;
                }
            };
            let (src, shown) = (join(&above, &entry.name), join(&shown_above, &entry.name));
            let relative = join(&open.relative, &entry.name);
            let depth = stack.len();
            match self.step(&above, &src, &shown, relative, entry, depth).await {
                Ok(next) => stack.extend(next),
                Err(error) => report(self.run, &src, &shown, None, begun, Err(error)),
            }
        }
        Ok(())
    }

    /// Sends one entry of a directory. A directory is only begun.
    async fn step(
        &mut self,
        above: &[u8],
        src: &[u8],
        shown: &[u8],
        relative: Vec<u8>,
        entry: Entry,
        depth: usize,
    ) -> Result<Option<Open>> {
        let run = self.run;
        let skip = |reason| {
            report(run, src, shown, None, Instant::now(), Ok(Done::skipped(reason)));
            Ok(None)
        };
        let mut meta = entry.meta;
        if !run.options.filter.decide(&relative, meta.kind == Kind::Directory) {
            return skip(SkipReason::Excluded);
        }
        if meta.kind == Kind::Symlink {
            match run.options.symlinks {
                Symlinks::Skip => return skip(SkipReason::Symlink),
                Symlinks::Keep => {
                    return Err(refuse(src, "is a symbolic link, and scp's protocol has none")
                        .with_hint("have links followed or left out (--symlinks follow, --symlinks skip)"));
                }
                Symlinks::Follow => {
                    let led_to = run.from.stat(src).await?;
                    meta = led_to.ok_or_else(|| refuse(src, "is a symbolic link that leads nowhere"))?;
                    if meta.kind == Kind::Directory {
                        let (real, above) =
                            (run.from.real_path(src).await?, run.from.real_path(above).await?);
                        if above == real || above.starts_with(&join(&real, b"/")) {
                            return Err(refuse(src, "is a symbolic link to a directory that it lies in"));
                        }
                    }
                }
            }
        }
        match meta.kind {
            Kind::File => {
                self.file(src, shown, &entry.name, &meta).await;
                Ok(None)
            }
            Kind::Directory if depth >= DEEPEST => Err(refuse(src, "lies too deep in its tree")),
            Kind::Directory => {
                self.enter(src.to_vec(), shown.to_vec(), relative, &entry.name, &meta)
                    .await
            }
            Kind::Symlink | Kind::Other => skip(SkipReason::Special),
        }
    }

    /// Begins a directory, unless the server refuses it.
    async fn enter(
        &mut self,
        src: Vec<u8>,
        shown: Vec<u8>,
        relative: Vec<u8>,
        called: &[u8],
        meta: &Meta,
    ) -> Result<Option<Open>> {
        let left = self.run.from.list(&src).await?.into_iter();
        self.times(meta).await?;
        let record = Record::Directory {
            mode: match self.run.options.preserve {
                true => meta.mode.unwrap_or(0o755),
                false => usual_mode(meta),
            },
            name: sendable(&src, called)?,
        };
        self.dialog.send(&record).await?;
        match self.dialog.answer().await? {
            Answer::GoOn => Ok(Some(Open {
                src,
                shown,
                relative,
                left,
            })),
            Answer::Refused(said) => Err(self.refused("make the directory", &shown, &said)),
        }
    }

    async fn file(&mut self, src: &[u8], shown: &[u8], called: &[u8], meta: &Meta) {
        let begun = Instant::now();
        let mut number = None;
        let sent = async {
            if meta.kind == Kind::Other {
                return Err(without_size(src));
            }
            let reading = self.run.from.open(src, meta.size).await?;
            // Files that the system makes up say that they have nothing in them.
            if meta.size == 0 && !reading.read_at(0, 1).await?.is_empty() {
                return Err(without_size(src));
            }
            let content = Content::File(reading);
            self.send(src, shown, called, meta, content, &mut number).await
        };
        let done = sent.await;
        report(self.run, src, shown, number, begun, done);
    }

    async fn send(
        &mut self,
        src: &[u8],
        shown: &[u8],
        called: &[u8],
        meta: &Meta,
        content: Content,
        number: &mut Option<u64>,
    ) -> Result<Done> {
        let run = self.run;
        let name = sendable(src, called)?;
        self.times(meta).await?;
        let kept = run.options.preserve.then_some(meta.mode).flatten();
        let mode = run.options.mode.or(kept).unwrap_or_else(|| usual_mode(meta));
        let size = meta.size;
        self.dialog.send(&Record::File { mode, size, name }).await?;
        if let Answer::Refused(said) = self.dialog.answer().await? {
            return Err(self.refused("write", shown, &said));
        }
        let file = run.report.started(src, shown, Some(size));
        *number = Some(file);
        let read = self.content(file, &content, size).await?;
        // What is missing was sent as zeros, because the server counts.
        let last = match &read {
            Ok(()) => Record::Ok,
            Err(error) => Record::Warning(Bytes::from(error.to_string())),
        };
        self.dialog.send(&last).await?;
        let answer = self.dialog.answer().await?;
        read?;
        match answer {
            Answer::GoOn => Ok(Done {
                bytes: size,
                outcome: FileOutcome::Copied,
                warning: None,
            }),
            Answer::Refused(said) => Err(self.refused("write", shown, &said)),
        }
    }

    /// Sends as many bytes as were promised, and says whether they were all the file's.
    async fn content(&mut self, file: u64, content: &Content, size: u64) -> Result<Result<()>> {
        const ZEROS: &[u8] = &[0; 64 * 1024];
        let run = self.run;
        let chunk = run.from.chunk();
        let part = |at: u64| usize::try_from(size - at).unwrap_or(chunk).min(chunk);
        let mut at = 0;
        let mut next = content.read_at(0, part(0)).await;
        let failed = loop {
            let data = match next {
                _ if at == size => return Ok(Ok(())),
                Ok(data) if !data.is_empty() => data,
                Ok(_) => break shorter(at, size),
                Err(error) => break error,
            };
            run.pace(data.len()).await;
            let length = data.len() as u64;
            at += length;
            let (sent, read) = tokio::join!(self.dialog.write(data.into()), content.read_at(at, part(at)));
            sent?;
            run.report.progress(file, length);
            next = read;
        };
        while at < size {
            let length = ZEROS.len().min(part(at));
            let zeros = ZEROS.get(..length).unwrap_or(ZEROS);
            self.dialog.write(Bytes::from_static(zeros)).await?;
            at += zeros.len() as u64;
        }
        Ok(Err(failed))
    }

    /// Sends the times of what comes next.
    async fn times(&mut self, meta: &Meta) -> Result<()> {
        let Some(Times { atime, mtime }) = meta.times.filter(|_| self.run.options.preserve) else {
            return Ok(());
        };
        let record = Record::Times {
            mtime: mtime.into(),
            atime: atime.into(),
        };
        self.dialog.send(&record).await?;
        self.expect_go_on().await
    }

    async fn expect_go_on(&mut self) -> Result<()> {
        match self.dialog.answer().await? {
            Answer::GoOn => Ok(()),
            Answer::Refused(said) => Err(self.dialog.given_up(&said)),
        }
    }

    fn refused(&self, what: &'static str, path: &[u8], said: &[u8]) -> Error {
        let error = Tried::new(what, path).refused(&status(said));
        self.server.connection().locate(error)
    }
}

fn shorter(at: u64, size: u64) -> Error {
    Error::new(
        ErrorKind::Local,
        format!("it became shorter while it was read: {at} bytes of {size}"),
    )
    .in_phase(Phase::Transfer)
    .with_sent(SendState::MayHaveRun)
    .with_hint("copy it again when nothing writes to it; what is on the server now ends in zeros")
}

/// A pipe, or anything else of which nobody knows how much comes out of it.
fn without_size(src: &[u8]) -> Error {
    refuse(
        src,
        "does not say how long it is, and scp has to know that before it sends any of it",
    )
    .with_hint("write it to a file first, and copy that")
}

fn sendable(src: &[u8], called: &[u8]) -> Result<Name> {
    Name::new(Bytes::copy_from_slice(called)).map_err(|error| {
        Error::new(ErrorKind::Invalid, format!("{}: {error}", escape_bytes(src)))
            .in_phase(Phase::Transfer)
            .with_hint("rename it, or use a server with SFTP")
    })
}
