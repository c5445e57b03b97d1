//! Where each source goes.

use sternline_proto::files::{Filter, host_target};

use super::file::refuse;
use super::path::{join, means_contents, name, parent, without_slashes};
use super::run::Run;
use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, Result};
use crate::transfer::place::{Kind, Place};
use sternline_proto::text::escape_bytes;

/// The path for the place. On a server `~user` at its beginning is the home directory of that user, as with scp(1); a name
/// that begins so is written `./~name`.
pub(super) async fn from_home(place: &Place, path: &[u8]) -> Result<Vec<u8>> {
    if place.host().is_none() {
        return Ok(path.to_vec());
    }
    let end = path.iter().position(|byte| *byte == b'/').unwrap_or(path.len());
    match path.split_at(end) {
        ([b'~', _, ..], below) => {
            let home = place.home_of(path.get(..end).unwrap_or_default()).await;
            let home = home.map_err(|error| match error.kind() {
                ErrorKind::RemoteFile(_) | ErrorKind::Invalid => error.with_hint(
                    "check the name of the user; a path that begins with ~ itself is written ./~NAME",
                ),
                _ => error,
            })?;
            Ok([home.as_slice(), below].concat())
        }
        _ => Ok(from_home_there(path)),
    }
}

/// The path for a server on which nobody can be asked about other users: a home directory is where one begins anyway.
pub(super) fn from_home_there(path: &[u8]) -> Vec<u8> {
    match path {
        b"" | b"~" | b"~/" => b".".to_vec(),
        _ if path.starts_with(b"~/") => {
            let below = path.get(2..).unwrap_or_default();
            let slashes = below.iter().take_while(|byte| **byte == b'/').count();
            below.get(slashes..).unwrap_or_default().to_vec()
        }
        _ => path.to_vec(),
    }
}

/// What a target says of itself and of what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Landing {
    /// Every source becomes an entry of the directory.
    Into,
    /// The one source becomes the target itself.
    As,
}

/// Whether sources go into the target or become it (scp(1), cp(1)).
pub(super) fn landing(target: &[u8], sources: usize, is_directory: bool) -> Landing {
    if is_directory || sources > 1 || target.last() == Some(&b'/') || means_contents(target) {
        Landing::Into
    } else {
        Landing::As
    }
}

/// The path that a source gets; `host` tells it from those of other hosts.
pub(super) fn destination(landing: Landing, target: &[u8], source: &[u8], host: Option<&str>) -> Vec<u8> {
    match (landing, host) {
        (_, Some(host)) => host_target(target, landing == Landing::Into, source, host),
        (Landing::Into, None) => join(target, name(source)),
        (Landing::As, None) => without_slashes(target).to_vec(),
    }
}

/// Makes a directory and those above it, as far as they are missing.
pub(super) async fn make_directories(run: &Run, path: &[u8]) -> Result<()> {
    if run.options.dry_run {
        return Ok(());
    }
    let mut missing = Vec::new();
    let mut path = path;
    loop {
        match run.to.stat(path).await? {
            Some(meta) if meta.kind == Kind::Directory => break,
            Some(_) => return Err(refuse(path, "is no directory, and files are to be put into it")),
            None => missing.push(path.to_vec()),
        }
        let above = parent(path);
        if above == path || path == b"." {
            break;
        }
        path = above;
    }
    while let Some(path) = missing.pop() {
        run.to.mkdir(&path, 0o777).await?;
    }
    Ok(())
}

/// The sources that a name with `*`, `?`, `[..]` or `\` stands for, in order; the name itself where something has it.
pub(super) async fn expand(place: &Place, pattern: &[u8]) -> Result<Vec<Vec<u8>>> {
    let is_pattern = |text: &[u8]| text.iter().any(|byte| b"*?[\\".contains(byte));
    if !is_pattern(pattern) || place.lstat(pattern).await?.is_some() {
        return Ok(vec![pattern.to_vec()]);
    }
    let begin = if pattern.first() == Some(&b'/') {
        b"/".to_vec()
    } else {
        Vec::new()
    };
    let mut found = vec![begin];
    for component in pattern
        .split(|byte| *byte == b'/')
        .filter(|component| !component.is_empty())
    {
        if !is_pattern(component) {
            for path in &mut found {
                *path = join(path, component);
            }
            continue;
        }
        // As in the shell, what makes no pattern is a name: of something that is not there.
        let Ok(matching) = matching(component) else {
            return Ok(vec![pattern.to_vec()]);
        };
        let mut next = Vec::new();
        for path in found {
            let directory = if path.is_empty() { b"." } else { path.as_slice() };
            if place
                .stat(directory)
                .await?
                .is_none_or(|meta| meta.kind != Kind::Directory)
            {
                continue;
            }
            let entries = place.list(directory).await?.into_iter().flatten();
            next.extend(
                entries
                    .filter(|entry| is_visible(&entry.name, component) && matching.decide(&entry.name, false))
                    .map(|entry| join(&path, &entry.name)),
            );
        }
        found = next;
    }
    let mut there = Vec::new();
    for path in found {
        if place.lstat(&path).await?.is_some() {
            there.push(path);
        }
    }
    if there.is_empty() {
        let place = if place.host().is_some() {
            "the server"
        } else {
            "this machine"
        };
        return Err(Error::new(
            ErrorKind::Invalid,
            format!("nothing on {place} matches {}", escape_bytes(pattern)),
        )
        .in_phase(Phase::Transfer)
        .with_hint("check the pattern; quote it if your shell has expanded it"));
    }
    there.sort();
    Ok(there)
}

/// Names that begin with a dot have to be asked for.
fn is_visible(name: &[u8], pattern: &[u8]) -> bool {
    name.first() != Some(&b'.') || pattern.first() == Some(&b'.')
}

fn matching(component: &[u8]) -> Result<Filter> {
    let filter = Filter::new()
        .include(join(b"/", component))
        .and_then(|filter| filter.exclude("*"));
    filter.map_err(|error| Error::new(ErrorKind::Invalid, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_goes_into_a_directory_or_becomes_the_target() {
        for (target, sources, is_directory, source, expected) in [
            ("new", 1, false, "a/file", "new"),
            ("dir", 1, true, "a/file", "dir/file"),
            ("dir/", 1, false, "a/file", "dir/file"),
            ("dir", 2, false, "a/file", "dir/file"),
            (".", 1, true, "/a/file", "./file"),
            // What is in a directory goes into the target.
            ("dir", 1, true, "a/.", "dir"),
            ("dir", 1, true, "a/", "dir/a"),
        ] {
            let landing = landing(target.as_bytes(), sources, is_directory);
            let path = destination(landing, target.as_bytes(), source.as_bytes(), None);
            assert_eq!(String::from_utf8_lossy(&path), expected);
        }
    }

    #[test]
    fn hidden_names_match_only_patterns_that_ask_for_them() {
        assert!(is_visible(b"a", b"*") && is_visible(b".a", b".*") && !is_visible(b".a", b"*"));
    }
}
