//! Files from a server's `scp -f`, each written beside its target and renamed.

use bytes::Bytes;
use sternline_proto::scp::{Name, Record};
use sternline_proto::sftp::Times;
use sternline_proto::text::escape_bytes;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::time::Instant;

use super::super::commit::usual_mode;
use super::super::content::Content;
use super::super::file::{Done, FileJob, copy_content, refuse, report};
use super::super::operand::Landing;
use super::super::operand::{destination, from_home_there, landing, make_directories};
use super::super::path::{join, means_contents, name, parent};
use super::super::run::Run;
use super::super::start::cannot_write;
use super::super::tree::{OWNER, directory_change};
use super::receive::{feed, pipe};
use crate::error::Result;
use crate::transfer::place::{Change, Kind, Meta};
use crate::transfer::request::{Source, Target};
use crate::transfer::result::{FileOutcome, SkipReason};
use crate::transfer::scp::{Dialog, How, ScpServer};
use crate::transfer::sftp::Tried;
use crate::transfer::shell::status;

/// How deep a tree may be, and how long a path in it: a server could go down for ever.
const DEEPEST: usize = 200;

/// Receives the sources.
pub(crate) async fn download(
    run: &Run,
    server: &ScpServer,
    sources: &[Source],
    target: &Target,
    content: &mut Option<Bytes>,
) -> Result<()> {
    match target {
        Target::Path(target) => into_path(run, server, sources, target).await,
        Target::Memory => {
            let mut all = Vec::new();
            into_stream(run, server, sources, &mut all).await?;
            *content = Some(all.into());
            Ok(())
        }
        Target::Stream(writer) => {
            let mut writer = writer
                .take()
                .ok_or_else(|| refuse(b"the target", "is a stream that was used before"))?;
            into_stream(run, server, sources, &mut writer).await
        }
    }
}

async fn into_path(run: &Run, server: &ScpServer, sources: &[Source], target: &[u8]) -> Result<()> {
    if target.is_empty() {
        return Err(refuse(target, "the target has no name"));
    }
    let there = run.to.stat(target).await?;
    let is_directory = there.is_some_and(|meta| meta.kind == Kind::Directory);
    let landing = landing(target, sources.len(), is_directory);
    if !is_directory {
        let directory = match landing {
            Landing::Into => target,
            Landing::As => parent(target),
        };
        make_directories(run, directory).await?;
    }
    for source in sources {
        let begun = Instant::now();
        let host_name = run.options.host_name.as_deref();
        let dst = destination(landing, target, source.path(), host_name);
        if let Err(error) = one(run, server, source.path(), &dst).await {
            report(run, source.path(), &dst, None, begun, Err(error));
        }
    }
    Ok(())
}

async fn begin(run: &Run, server: &ScpServer, src: &[u8]) -> Result<Dialog> {
    if means_contents(src) {
        return Err(refuse(src, "has no name that scp could ask for").with_hint("name the directory itself"));
    }
    let how = How {
        recursive: run.options.recursive,
        preserve: run.options.preserve,
        directory: false,
    };
    let mut dialog = server.source(&from_home_there(src), how).await?;
    dialog.send(&Record::Ok).await?;
    Ok(dialog)
}

/// Where something that arrives comes from and goes to.
struct Item {
    src: Vec<u8>,
    dst: Vec<u8>,
    /// Below what was asked for; empty for that itself.
    relative: Vec<u8>,
    /// Whether nothing of it is kept: it was excluded, or cannot be made.
    ignored: bool,
}

/// A directory that is being received.
struct Open {
    item: Item,
    /// What is set on it when all that it holds is there.
    change: Change,
}

/// What is being received for one source.
struct Download<'a> {
    run: &'a Run,
    server: &'a ScpServer,
    dialog: Dialog,
    src: &'a [u8],
    dst: &'a [u8],
    stack: Vec<Open>,
    /// Of what comes next.
    times: Option<Times>,
    /// Whether what was asked for has come: there is one of it.
    complete: bool,
}

async fn one(run: &Run, server: &ScpServer, src: &[u8], dst: &[u8]) -> Result<()> {
    let mut download = Download {
        run,
        server,
        dialog: begin(run, server, src).await?,
        src,
        dst,
        stack: Vec::new(),
        times: None,
        complete: false,
    };
    while let Some(record) = download.dialog.record().await? {
        run.report.moved();
        download.take(record).await?;
    }
    if !download.complete || !download.stack.is_empty() {
        return Err(download.dialog.cut_short());
    }
    download.dialog.finish().await
}

impl Download<'_> {
    async fn take(&mut self, record: Record) -> Result<()> {
        match record {
            Record::File { mode, size, name } => self.file(mode, size, &name).await,
            Record::Directory { mode, name } => self.enter(mode, &name).await,
            Record::EndDirectory => self.leave().await,
            Record::Times { mtime, atime } => {
                let seconds = |time: u64| u32::try_from(time).unwrap_or(u32::MAX);
                let times = Times {
                    atime: seconds(atime),
                    mtime: seconds(mtime),
                };
                if self.times.replace(times).is_some() {
                    return Err(self
                        .dialog
                        .violation("the server sends times that belong to nothing"));
                }
                self.dialog.send(&Record::Ok).await
            }
            Record::Warning(said) => {
                self.complete |= self.stack.is_empty();
                let error = Tried::new("receive all of", self.src).refused(&status(&said));
                let error = self.server.connection().locate(error);
                report(self.run, self.src, self.dst, None, Instant::now(), Err(error));
                Ok(())
            }
            Record::Fatal(said) => Err(self.dialog.given_up(&said)),
            _ => Err(self
                .dialog
                .violation("the server answers where it has to send files")),
        }
    }

    /// Where something of this name goes. A server may send one thing, which was asked for, and what is in it.
    fn place(&mut self, called: &Name) -> Result<Item> {
        let called = called.as_bytes();
        if let Some(Open { item, .. }) = self.stack.last() {
            if self.stack.len() >= DEEPEST {
                return Err(self.dialog.violation("the server's directories never end"));
            }
            return Ok(Item {
                src: join(&item.src, called),
                dst: join(&item.dst, called),
                relative: join(&item.relative, called),
                ignored: item.ignored,
            });
        }
        if self.complete || called != name(self.src) {
            let what = format!(
                "the server sends {}, and was asked for {}",
                escape_bytes(called),
                escape_bytes(self.src)
            );
            return Err(self.dialog.violation(&what));
        }
        self.complete = true;
        Ok(Item {
            src: self.src.to_vec(),
            dst: self.dst.to_vec(),
            relative: Vec::new(),
            ignored: false,
        })
    }

    /// Whether the filter leaves it out. What was asked for by name is never left out.
    fn is_excluded(&self, item: &Item, is_directory: bool) -> bool {
        !item.relative.is_empty() && !self.run.options.filter.decide(&item.relative, is_directory)
    }

    async fn file(&mut self, mode: u32, size: u64, called: &Name) -> Result<()> {
        let item = self.place(called)?;
        let times = self.times.take();
        self.dialog.send(&Record::Ok).await?;
        let begun = Instant::now();
        if item.ignored {
            feed(self.run, &mut self.dialog, size, None).await?;
        } else if self.is_excluded(&item, false) {
            feed(self.run, &mut self.dialog, size, None).await?;
            let skipped = Done::skipped(SkipReason::Excluded);
            report(self.run, &item.src, &item.dst, None, begun, Ok(skipped));
        } else {
            let meta = meta(Kind::File, size, mode, times);
            self.keep(item.src, item.dst, meta).await?;
        }
        self.dialog.send(&Record::Ok).await
    }

    async fn keep(&mut self, src: Vec<u8>, dst: Vec<u8>, meta: Meta) -> Result<()> {
        let (run, size) = (self.run, meta.size);
        if means_contents(&dst) {
            feed(self.run, &mut self.dialog, size, None).await?;
            return Err(refuse(&src, "has no name that its copy could have"));
        }
        let existing = match run.to.lstat(&dst).await {
            Ok(existing) => existing,
            Err(error) => {
                report(run, &src, &dst, None, Instant::now(), Err(error));
                return feed(self.run, &mut self.dialog, size, None).await;
            }
        };
        let job = FileJob {
            keeps_acl: false,
            to: run.to.clone(),
            shown: dst.clone(),
            existing,
            src: src.clone(),
            dst,
            meta,
            unseen: false,
            partials: None,
            data: None,
        };
        let (to, received) = pipe();
        let content = Content::Stream {
            name: src,
            reader: tokio::sync::Mutex::new(Box::pin(received)),
        };
        let (fed, ()) = tokio::join!(
            feed(run, &mut self.dialog, size, Some(to)),
            Box::pin(copy_content(run, job, content))
        );
        fed
    }

    async fn enter(&mut self, mode: u32, called: &Name) -> Result<()> {
        let mut item = self.place(called)?;
        let (run, begun) = (self.run, Instant::now());
        let meta = meta(Kind::Directory, 0, mode, self.times.take());
        if !run.options.recursive {
            return Err(
                refuse(&item.src, "is a directory").with_hint("copy it with all it holds (recursive, -r)")
            );
        }
        let mut change = Change::default();
        let done = if item.ignored {
            None
        } else if self.is_excluded(&item, true) {
            item.ignored = true;
            Some(Ok(Done::skipped(SkipReason::Excluded)))
        } else {
            match run.to.mkdir(&item.dst, usual_mode(&meta) | OWNER).await {
                Ok(made) => {
                    change = directory_change(run, &meta, made);
                    made.then_some(Ok(Done {
                        bytes: 0,
                        outcome: FileOutcome::Made,
                        warning: None,
                    }))
                }
                Err(error) => {
                    item.ignored = true;
                    Some(Err(error))
                }
            }
        };
        if let Some(done) = done {
            report(run, &item.src, &item.dst, None, begun, done);
        }
        self.stack.push(Open { item, change });
        self.dialog.send(&Record::Ok).await
    }

    async fn leave(&mut self) -> Result<()> {
        let Some(Open { item, change }) = self.stack.pop() else {
            return Err(self
                .dialog
                .violation("the server ends a directory that it has not begun"));
        };
        if !item.ignored
            && !change.is_nothing()
            && let Err(error) = self.run.to.change(&item.dst, change).await
        {
            report(self.run, &item.src, &item.dst, None, Instant::now(), Err(error));
        }
        self.dialog.send(&Record::Ok).await
    }
}

/// Writes sources one after another to a stream.
async fn into_stream<W: AsyncWrite + Unpin>(
    run: &Run,
    server: &ScpServer,
    sources: &[Source],
    writer: &mut W,
) -> Result<()> {
    for source in sources {
        let begun = Instant::now();
        let src = source.path();
        let mut number = None;
        let done = stream(run, server, src, writer, &mut number).await;
        let done = done.map(|bytes| Done {
            bytes,
            outcome: FileOutcome::Copied,
            warning: None,
        });
        report(run, src, b"", number, begun, done);
    }
    Ok(())
}

async fn stream<W: AsyncWrite + Unpin>(
    run: &Run,
    server: &ScpServer,
    src: &[u8],
    writer: &mut W,
    number: &mut Option<u64>,
) -> Result<u64> {
    let mut dialog = begin(run, server, src).await?;
    let size = loop {
        match dialog.record().await? {
            Some(Record::File {
                size, name: called, ..
            }) if called.as_bytes() == name(src) => break size,
            Some(Record::Times { .. }) => dialog.send(&Record::Ok).await?,
            Some(Record::Directory { .. }) => {
                return Err(refuse(src, "is a directory, and the target is a stream"));
            }
            Some(Record::Warning(said) | Record::Fatal(said)) => {
                let error = Tried::new("receive", src).refused(&status(&said));
                return Err(server.connection().locate(error));
            }
            _ => return Err(dialog.violation("the server sends something else than what it was asked for")),
        }
    };
    dialog.send(&Record::Ok).await?;
    let file = run.report.started(src, b"", Some(size));
    *number = Some(file);
    let mut left = size;
    while left > 0 {
        let piece = dialog.content(left).await?;
        run.pace(piece.len()).await;
        writer
            .write_all(&piece)
            .await
            .map_err(|error| cannot_write(&error))?;
        left -= piece.len() as u64;
        run.report.progress(file, piece.len() as u64);
    }
    writer.flush().await.map_err(|error| cannot_write(&error))?;
    match dialog.record().await? {
        Some(Record::Ok) => {}
        Some(Record::Warning(said) | Record::Fatal(said)) => {
            let error = Tried::new("receive all of", src).refused(&status(&said));
            return Err(server.connection().locate(error));
        }
        Some(_) => return Err(dialog.violation("the server does not say whether the file was complete")),
        None => return Err(dialog.cut_short()),
    }
    dialog.send(&Record::Ok).await?;
    if dialog.record().await?.is_some() {
        return Err(dialog.violation("the server sends more than it was asked for"));
    }
    dialog.finish().await?;
    Ok(size)
}

fn meta(kind: Kind, size: u64, mode: u32, times: Option<Times>) -> Meta {
    Meta {
        kind,
        size,
        mode: Some(mode),
        times,
        owner: None,
        sparse: false,
    }
}
