//! From one copy of a plan to a request of the library.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use sternline::proto::files::{base_name, host_target};
use sternline::transfer::{FileType, Source, Symlinks, Target};
use sternline::{Connection, Transfer};

use super::args::{Args, SymlinkChoice};
use super::plan::{Copy, Goal, Sources};

/// The request for a copy; `None` for one without a source, which no plan has. Where its target carries a host, it looks at what is
/// there already.
pub(super) async fn request(
    copy: &Copy,
    from: Option<&Connection>,
    to: Option<&Connection>,
    args: &Args,
) -> Option<Transfer> {
    let (mut sources, target) = match &copy.target {
        Goal::Stdout => (copy.sources.clone(), Target::stream(tokio::io::stdout())),
        Goal::Path {
            path,
            directory,
            host,
        } => {
            let (sources, path) = match host {
                None => (copy.sources.clone(), directory_path(path, *directory)),
                Some(host) => for_host(&copy.sources, path, *directory, host, to).await,
            };
            (sources, Target::Path(path))
        }
    };
    let mut sources = match &mut sources {
        Sources::Stdin => vec![Source::stream("stdin", tokio::io::stdin())],
        Sources::Paths(paths) => std::mem::take(paths).into_iter().map(Source::Path).collect(),
    }
    .into_iter();
    let first = sources.next()?;
    let transfer = match from {
        Some(_) => Transfer::download(first, target),
        None => Transfer::upload(first, target),
    };
    let transfer = sources.fold(transfer, Transfer::source);
    // Patterns in local names are the shell's business.
    Some(with_options(transfer, args).glob(from.is_some()))
}

fn with_options(transfer: Transfer, args: &Args) -> Transfer {
    let options = &args.copy;
    let mut transfer = transfer
        .recursive(options.recursive)
        .preserve(options.preserve)
        .symlinks(match options.symlinks {
            SymlinkChoice::Keep => Symlinks::Keep,
            SymlinkChoice::Follow => Symlinks::Follow,
            SymlinkChoice::Skip => Symlinks::Skip,
        })
        .filter(args.patterns.filter.clone())
        .delete(options.delete)
        .allow_empty(options.allow_empty)
        .resume(options.resume)
        .checksum(options.checksum)
        .skip_unchanged(options.skip_unchanged)
        .dry_run(options.dry_run)
        .fsync(options.fsync);
    if let Some(mode) = options.mode {
        transfer = transfer.mode(mode);
    }
    if let Some(rate) = options.bytes_per_second() {
        transfer = transfer.limit(rate);
    }
    if let Some(limit) = options.progress_timeout {
        transfer = transfer.progress_timeout(limit);
    }
    transfer
}

/// A path that has to be a directory ends with a slash. The home directory is one anyway.
fn directory_path(path: &[u8], directory: bool) -> Vec<u8> {
    let mut path = path.to_vec();
    if directory && !matches!(path.last(), None | Some(b'/')) {
        path.push(b'/');
    }
    path
}

/// The source and the target of a copy that carries its host's name.
async fn for_host(
    sources: &Sources,
    target: &[u8],
    directory: bool,
    host: &str,
    to: Option<&Connection>,
) -> (Sources, Vec<u8>) {
    let Sources::Paths(paths) = sources else {
        return (sources.clone(), target.to_vec());
    };
    let source = paths.first().map(Vec::as_slice).unwrap_or_default();
    let into =
        directory || base_name(target).is_none() || target.ends_with(b"/") || is_directory(target, to).await;
    // What a pattern stands for has names of its own: each host gets a directory.
    let is_pattern = source.iter().any(|byte| b"*?[".contains(byte));
    if is_pattern {
        let path = host_target(target, into, b"", host);
        return (sources.clone(), directory_path(&path, true));
    }
    let path = host_target(target, into, source, host);
    if !is_directory(&path, to).await {
        return (sources.clone(), path);
    }
    // It is there from an earlier time: the tree goes on in it, and not below it under its own name.
    let contents = match source {
        b"" => b".".to_vec(),
        source => [source, b"/."].concat(),
    };
    (Sources::Paths(vec![contents]), path)
}

/// Whether there is a directory. What cannot be looked at is none: the copy itself will say what is wrong.
async fn is_directory(path: &[u8], place: Option<&Connection>) -> bool {
    match place {
        None => Path::new(OsStr::from_bytes(path)).is_dir(),
        Some(connection) => {
            let path = match path.strip_prefix(b"~/") {
                Some(below) => below,
                None if path == b"~" => b"",
                None => path,
            };
            if path.is_empty() {
                return true;
            }
            let looked = async { connection.sftp().await?.stat(path).await };
            looked
                .await
                .is_ok_and(|attributes| attributes.file_type() == Some(FileType::Directory))
        }
    }
}
