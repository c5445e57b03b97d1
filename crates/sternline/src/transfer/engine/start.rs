//! A transfer from its request to its result.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{FuturesOrdered, StreamExt as _};
use sternline_proto::files::Direction;
use sternline_proto::sftp::Pieces;
use sternline_proto::text::escape_bytes;
use tokio::io::AsyncWriteExt as _;
use tokio::time::Instant;

use super::content::Content;
use super::file::{Done, FileJob, copy_content, copy_file, refuse, report};
use super::operand::{Landing, destination, expand, from_home, landing, make_directories};
use super::path::{means_contents, parent};
use super::report::Report;
use super::run::Run;
use super::scp::{download, upload};
use super::tree::{Tree, copy_tree, count_tree};
use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Emitter;
use crate::transfer::place::{Kind, Meta, Place};
use crate::transfer::request::{BoxedWriter, Source, Target, Transfer};
use crate::transfer::result::{FileOutcome, TransferResult};
use crate::transfer::scp::ScpServer;

/// Moves what the request says from one place to the other.
pub(crate) async fn run_transfer(
    from: Place,
    to: Place,
    host: &str,
    emitter: Emitter,
    transfer: Transfer,
) -> TransferResult {
    conduct(from, to, None, host, emitter, transfer).await
}

/// Moves what the request says between this machine and a server that has nothing but scp.
pub(crate) async fn run_scp(
    local: Place,
    server: &ScpServer,
    emitter: Emitter,
    transfer: Transfer,
) -> TransferResult {
    let host = server.connection().host();
    conduct(local.clone(), local, Some(server), host, emitter, transfer).await
}

/// Of a server with scp both places are this machine: what is said of the other end is the server's business.
async fn conduct(
    from: Place,
    to: Place,
    scp: Option<&ScpServer>,
    host: &str,
    emitter: Emitter,
    transfer: Transfer,
) -> TransferResult {
    let begun = Instant::now();
    let report = Report::new(host, emitter, transfer.listener.clone());
    let run = Arc::new(Run::new(from, to, transfer.options.clone(), report));
    let src = transfer.sources.first().map(|source| source.path().to_vec());
    let src = src.unwrap_or_default();
    let dst = match &transfer.target {
        Target::Path(path) => path.clone(),
        Target::Memory | Target::Stream(_) => Vec::new(),
    };
    run.report.begun(&src, &dst);
    let mut content = None;
    let ended = tokio::select! {
        biased;
        error = run.stopped() => Err(error),
        error = transfer.until_cancelled() => Err(error),
        error = run.stalled() => Err(error),
        // What is awaited below is large, and whoever calls may have little stack.
        ended = Box::pin(all(&run, &transfer, scp, &mut content)) => ended,
    };
    run.clean(ended.as_ref().err()).await;
    let totals = run.report.take_totals();
    let result = TransferResult {
        host: host.to_owned(),
        src,
        dst,
        bytes: totals.bytes,
        duration: begun.elapsed(),
        attempts: 1,
        dry_run: run.options.dry_run,
        copied: totals.copied,
        directories: totals.directories,
        skipped: totals.skipped,
        removed: totals.removed,
        failed: totals.failed,
        failures: totals.failures,
        warnings: totals.warnings,
        content,
        error: ended.err().map(|error| run.report.without_secrets(error)),
    };
    run.report.finished(&result);
    result
}

async fn all(
    run: &Arc<Run>,
    transfer: &Transfer,
    scp: Option<&ScpServer>,
    content: &mut Option<Bytes>,
) -> Result<()> {
    if let (Some(server), Direction::Download) = (scp, transfer.direction) {
        return download(run, server, &transfer.sources, &transfer.target, content).await;
    }
    let sources = sources(run, transfer).await?;
    match &transfer.target {
        Target::Path(target) if let Some(server) = scp => upload(run, server, &sources, target).await,
        Target::Path(target) => {
            let counting = async {
                if run.options.totals {
                    count(run, &sources).await;
                }
                Ok(())
            };
            tokio::try_join!(into_path(run, &sources, target), counting)?;
            Ok(())
        }
        Target::Memory => {
            let mut all = Vec::new();
            into_stream(run, &sources, &mut all).await?;
            *content = Some(all.into());
            Ok(())
        }
        Target::Stream(writer) => {
            let mut writer: BoxedWriter = writer
                .take()
                .ok_or_else(|| refuse(b"the target", "is a stream that was used before"))?;
            into_stream(run, &sources, &mut writer).await
        }
    }
}

/// The sources, patterns expanded.
async fn sources(run: &Run, transfer: &Transfer) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for source in &transfer.sources {
        match source {
            Source::Path(path) if path.contains(&0) => {
                return Err(refuse(path, "has a zero byte in its name, as no file has"));
            }
            Source::Path(path) => {
                let path = from_home(&run.from, path).await?;
                if run.options.glob {
                    sources.extend(expand(&run.from, &path).await?.into_iter().map(Source::Path));
                } else {
                    sources.push(Source::Path(path));
                }
            }
            other => sources.push(other.clone()),
        }
    }
    Ok(sources)
}

async fn into_path(run: &Arc<Run>, sources: &[Source], target: &[u8]) -> Result<()> {
    if target.is_empty() && run.to.host().is_none() {
        return Err(refuse(target, "the target has no name"));
    }
    let target = from_home(&run.to, target).await?;
    let there = run.to.stat(&target).await?;
    let is_directory = there.is_some_and(|meta| meta.kind == Kind::Directory);
    let landing = landing(&target, sources.len(), is_directory);
    if run.options.delete {
        refuse_overlap(run, sources, landing, &target)?;
    }
    if !is_directory {
        let directory = if landing == Landing::Into {
            target.as_slice()
        } else {
            parent(&target)
        };
        make_directories(run, directory).await?;
    }
    for source in sources {
        let begun = Instant::now();
        let dst = destination(landing, &target, source.path(), run.options.host_name.as_deref());
        if let Err(error) = one(run, source, dst.clone()).await {
            report(run, source.path(), &dst, None, begun, Err(error));
        }
    }
    Ok(())
}

/// Where one source lands in what another one becomes, each would remove what the other has brought.
fn refuse_overlap(run: &Run, sources: &[Source], landing: Landing, target: &[u8]) -> Result<()> {
    let host = run.options.host_name.as_deref();
    let mut all: Vec<_> = sources
        .iter()
        .map(|source| destination(landing, target, source.path(), host))
        .collect();
    // Components compare one by one, so that what lies in a directory follows right behind it.
    all.sort_by(|one, other| components(one).cmp(components(other)));
    let mut pairs = all.iter().zip(all.iter().skip(1));
    let overlap = pairs.find(|(one, other)| {
        let mut below = components(other);
        components(one).all(|name| below.next() == Some(name))
    });
    match overlap {
        None => Ok(()),
        Some((one, _)) => Err(refuse(
            one,
            "is where several of the sources go, and each would remove what the others bring",
        )
        .with_hint("give these sources different names or targets, or copy them without removing anything (--delete)")),
    }
}

fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/')
        .filter(|name| !matches!(*name, b"" | b"."))
}

/// Copies one source, whatever it is.
async fn one(run: &Arc<Run>, source: &Source, dst: Vec<u8>) -> Result<()> {
    let (src, content, meta) = match source {
        Source::Path(src) => {
            let mut meta = run.from.stat(src).await?.ok_or_else(|| missing(&run.from, src))?;
            // Who may read a pipe, and when that was decided, says nothing about what comes out of it.
            if meta.kind == Kind::Other {
                (meta.mode, meta.times) = (None, None);
            }
            (src, None, meta)
        }
        Source::Bytes { name, content } => (
            name,
            Some(Content::Memory(content.clone())),
            made_up(content.len() as u64),
        ),
        Source::Stream { name, reader } => {
            let reader = reader
                .take()
                .ok_or_else(|| refuse(name, "is a stream that was used before"))?;
            let content = Content::Stream {
                name: name.clone(),
                reader: reader.into(),
            };
            (name, Some(content), made_up(0))
        }
    };
    if meta.kind == Kind::File {
        run.from.prepare(Direction::Download, meta.size);
        run.to.prepare(Direction::Upload, meta.size);
    }
    if meta.kind == Kind::Directory {
        if !run.options.recursive {
            return Err(refuse(src, "is a directory").with_hint("copy it with all it holds (recursive, -r)"));
        }
        return copy_tree(
            run,
            Tree {
                src: src.clone(),
                meta,
                dst,
            },
        )
        .await;
    }
    if means_contents(&dst) {
        return Err(refuse(src, "has no name that its copy could have"));
    }
    let existing = run.to.lstat(&dst).await?;
    let job = FileJob {
        to: run.to.clone(),
        src: src.clone(),
        shown: dst.clone(),
        keeps_acl: existing.is_some() && !run.options.dry_run && !run.to.extended_acls(&dst).await.is_empty(),
        existing,
        dst,
        meta,
        unseen: false,
        partials: None,
        data: None,
    };
    match content {
        None => copy_file(run, job).await,
        Some(content) => copy_content(run, job, content).await,
    }
    Ok(())
}

/// What is known of content that is no file.
pub(super) fn made_up(size: u64) -> Meta {
    Meta {
        kind: Kind::File,
        size,
        mode: None,
        times: None,
        owner: None,
        sparse: false,
    }
}

fn missing(place: &Place, path: &[u8]) -> Error {
    use sternline_proto::sftp::StatusCode;
    let (kind, on) = match place.host() {
        Some(_) => (ErrorKind::RemoteFile(StatusCode::NoSuchFile), "on the server"),
        None => (
            ErrorKind::LocalFile(std::io::ErrorKind::NotFound),
            "on this machine",
        ),
    };
    Error::new(kind, format!("there is no {} {on}", escape_bytes(path))).in_phase(Phase::Transfer)
}

/// Writes sources one after another to a stream.
async fn into_stream<W: tokio::io::AsyncWrite + Unpin>(
    run: &Run,
    sources: &[Source],
    writer: &mut W,
) -> Result<()> {
    for source in sources {
        let begun = Instant::now();
        let src = source.path();
        let mut number = None;
        let done = async {
            let Source::Path(_) = source else {
                return Err(refuse(src, "is no file of the server"));
            };
            let meta = run.from.stat(src).await?.ok_or_else(|| missing(&run.from, src))?;
            if meta.kind == Kind::Directory {
                return Err(refuse(src, "is a directory, and the target is a stream"));
            }
            let bytes = stream_file(run, src, &meta, writer, &mut number).await?;
            Ok(Done {
                bytes,
                outcome: FileOutcome::Copied,
                warning: None,
            })
        };
        let done = done.await;
        report(run, src, b"", number, begun, done);
    }
    Ok(())
}

async fn stream_file<W: tokio::io::AsyncWrite + Unpin>(
    run: &Run,
    src: &[u8],
    meta: &Meta,
    writer: &mut W,
    number: &mut Option<u64>,
) -> Result<u64> {
    let reading = &run.from.open(src, meta.size).await?;
    let file = run.report.started(src, b"", (meta.size > 0).then_some(meta.size));
    *number = Some(file);
    let chunk = run.from.chunk();
    // Beyond the size that it had, one part at a time until the file ends.
    let at_once = |next: u64| if next < meta.size { reading.depth() } else { 1 };
    let (mut next, mut written) = (0_u64, 0_u64);
    let mut reads = FuturesOrdered::new();
    loop {
        while reads.len() < at_once(next) {
            let offset = next;
            reads.push_back(async move { reading.read_at(offset, chunk).await });
            next += chunk as u64;
        }
        let Some(data) = reads.next().await else {
            return Ok(written);
        };
        let data: Pieces = data?;
        run.pace(data.len()).await;
        for piece in data.iter() {
            let written = writer.write_all(piece).await;
            written.map_err(|error| cannot_write(&error))?;
        }
        written += data.len() as u64;
        run.report.progress(file, data.len() as u64);
        if data.len() < chunk {
            writer.flush().await.map_err(|error| cannot_write(&error))?;
            return Ok(written);
        }
    }
}

pub(super) fn cannot_write(error: &std::io::Error) -> Error {
    Error::new(
        ErrorKind::LocalFile(error.kind()),
        format!("cannot write to the stream: {error}"),
    )
    .in_phase(Phase::Transfer)
}

/// Counts what there is to copy. What cannot be looked at is told by whoever copies it.
async fn count(run: &Run, sources: &[Source]) {
    let mut so_far = (0, 0);
    for source in sources {
        match source {
            Source::Path(path) => match run.from.stat(path).await {
                Ok(Some(meta)) if meta.kind == Kind::Directory => {
                    let _ = count_tree(run, &run.from, path, &mut so_far).await;
                }
                Ok(Some(meta)) => {
                    so_far.0 += 1;
                    so_far.1 += meta.size;
                }
                Ok(None) | Err(_) => {}
            },
            Source::Bytes { content, .. } => {
                so_far.0 += 1;
                so_far.1 += content.len() as u64;
            }
            Source::Stream { .. } => so_far.0 += 1,
        }
    }
    run.report.found(so_far.0, so_far.1, true);
}
