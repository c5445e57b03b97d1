//! Removing what the source does not have.

use futures_util::stream::{self, StreamExt as _};

use super::path::join;
use crate::error::Result;
use crate::transfer::place::{Kind, Place};

/// How many entries of a directory are removed at once.
const AT_ONCE: usize = 64;

/// Removes a directory with all that it holds. Symbolic links are removed, and not followed.
pub(super) async fn remove_tree(place: &Place, path: &[u8]) -> Result<()> {
    // Directories are visited twice: to find what they hold, and to be removed when they are empty.
    let mut left = vec![(path.to_vec(), false)];
    while let Some((path, is_empty)) = left.pop() {
        if is_empty {
            place.rmdir(&path).await?;
            continue;
        }
        let entries = place.list(&path).await?;
        left.push((path.clone(), true));
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry?;
            let below = join(&path, &entry.name);
            match entry.meta.kind {
                Kind::Directory => left.push((below, false)),
                _ => files.push(below),
            }
        }
        let mut removals = stream::iter(files)
            .map(|file| async move { place.remove(&file).await })
            .buffer_unordered(AT_ONCE);
        while let Some(removed) = removals.next().await {
            removed?;
        }
    }
    Ok(())
}
