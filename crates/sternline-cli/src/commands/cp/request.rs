//! From one copy of a plan to a request of the library.

use sternline::Transfer;
use sternline::transfer::{Source, Symlinks, Target};

use super::args::{Args, SymlinkChoice};
use super::plan::{Copy, Goal, Sources};

/// The request for a copy.
pub(super) fn request(copy: &Copy, args: &Args) -> Transfer {
    let target = match &copy.target {
        Goal::Stdout => Target::stream(tokio::io::stdout()),
        Goal::Path { path, directory, .. } => Target::Path(directory_path(path, *directory)),
    };
    let (first, more) = match &copy.sources {
        // By its name, for a path is read once for several hosts.
        Sources::Stdin => (Source::from("/dev/stdin"), &[][..]),
        Sources::Paths { first, more } => (Source::Path(first.clone()), more.as_slice()),
    };
    let transfer = match copy.from {
        // Patterns in local names are the shell's business.
        Some(_) => Transfer::download(first, target).glob(true),
        None => Transfer::upload(first, target),
    };
    let transfer = with_options(more.iter().cloned().fold(transfer, Transfer::source), args);
    match &copy.target {
        Goal::Path { host: Some(host), .. } => transfer.named_after(host),
        Goal::Path { host: None, .. } | Goal::Stdout => transfer,
    }
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
    if let Some(way) = options.forced_way() {
        transfer = transfer.way(way);
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
