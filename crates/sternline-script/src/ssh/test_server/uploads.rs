//! Which files of a test server clients have put there.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sternline_server::{FileAction, FileEntry};

/// The paths of what clients have uploaded and not removed since.
#[derive(Debug, Default)]
pub(super) struct Uploads(Mutex<BTreeSet<Vec<u8>>>);

impl Uploads {
    /// Notes what a client has done.
    pub(super) fn note(&self, entry: &FileEntry) {
        let path = normal(&entry.path);
        match &entry.action {
            FileAction::Uploaded { .. } => {
                self.lock().insert(path);
            }
            FileAction::Renamed { to } => self.renamed(&path, &normal(to)),
            FileAction::Removed => {
                self.lock().remove(&path);
            }
            _ => {}
        }
    }

    /// A whole directory is renamed with what is in it.
    fn renamed(&self, from: &[u8], to: &[u8]) {
        let mut paths = self.lock();
        let (moved, mut left): (BTreeSet<_>, BTreeSet<_>) = std::mem::take(&mut *paths)
            .into_iter()
            .partition(|path| is_below(path, from));
        left.retain(|path| !is_below(path, to));
        for path in moved {
            left.insert([to, path.get(from.len()..).unwrap_or_default()].concat());
        }
        *paths = left;
    }

    /// The script itself has put something there.
    pub(super) fn forget(&self, path: &str) {
        self.lock().remove(&normal(path.as_bytes()));
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.lock().contains(&normal(path.as_bytes()))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_below(path: &[u8], directory: &[u8]) -> bool {
    path.strip_prefix(directory)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// A path from the root, by its names alone.
fn normal(path: &[u8]) -> Vec<u8> {
    let mut names: Vec<&[u8]> = Vec::new();
    for name in path.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => {
                names.pop();
            }
            name => names.push(name),
        }
    }
    names.into_iter().flat_map(|name| [b"/", name].concat()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_known_however_it_is_written() {
        for path in ["/a/b", "a/b", "./a//b/", "/a/../a/b"] {
            assert_eq!(normal(path.as_bytes()), b"/a/b", "{path}");
        }
        assert_eq!(normal(b"../.."), b"");
    }

    #[test]
    fn what_is_renamed_is_known_by_its_new_name_with_all_that_is_in_it() {
        let uploads = Uploads::default();
        for path in ["/new/x", "/new/d/y", "/newer", "/old/z"] {
            uploads.lock().insert(path.into());
        }
        uploads.renamed(b"/new", b"/old");
        let left: Vec<_> = uploads.lock().iter().cloned().collect();
        assert_eq!(
            left,
            [b"/newer".to_vec(), b"/old/d/y".to_vec(), b"/old/x".to_vec()]
        );
    }
}
