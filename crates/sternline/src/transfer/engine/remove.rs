//! Removing what the source does not have.

use std::collections::HashSet;

use futures_util::stream::{self, StreamExt as _};

use super::path::join;
use crate::error::Result;
use crate::transfer::place::{Kind, Place};

/// How many entries of a directory are removed at once.
const AT_ONCE: usize = 64;

/// Removes a directory with all that it holds. Symbolic links are removed, and not followed.
pub(super) async fn remove_tree(place: &Place, path: &[u8]) -> Result<()> {
    remove_tree_but(place, path, |_, _| false, false).await?;
    Ok(())
}

/// As [`remove_tree`], but what `is_kept` names stays, and so do the directories that it is in: it is given each path below
/// the directory, and whether that is a directory itself. `false`: something has stayed.
pub(super) async fn remove_tree_but(
    place: &Place,
    path: &[u8],
    is_kept: impl Fn(&[u8], bool) -> bool,
    dry_run: bool,
) -> Result<bool> {
    // Directories are visited twice: to find what they hold, and to be removed when they are empty.
    let mut left = vec![(Vec::new(), false)];
    let mut kept = HashSet::new();
    while let Some((below, is_empty)) = left.pop() {
        let directory = join(path, &below);
        if is_empty {
            if kept.remove(&below) {
                if below.is_empty() {
                    return Ok(false);
                }
                kept.insert(above(&below));
            } else if !dry_run {
                place.rmdir(&directory).await?;
            }
            continue;
        }
        let entries = place.list(&directory).await?;
        left.push((below.clone(), true));
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry?;
            let entry_below = join(&below, &entry.name);
            let is_directory = entry.meta.kind == Kind::Directory;
            if is_kept(&entry_below, is_directory) {
                kept.insert(below.clone());
            } else if is_directory {
                left.push((entry_below, false));
            } else if !dry_run {
                files.push(join(path, &entry_below));
            }
        }
        let mut removals = stream::iter(files)
            .map(|file| async move { place.remove(&file).await })
            .buffer_unordered(AT_ONCE);
        while let Some(removed) = removals.next().await {
            removed?;
        }
    }
    Ok(true)
}

/// The directory that something below a root is in; nothing for the root itself.
fn above(below: &[u8]) -> Vec<u8> {
    let slash = below.iter().rposition(|byte| *byte == b'/');
    let above = slash.and_then(|at| below.get(..at));
    above.unwrap_or_default().to_vec()
}
