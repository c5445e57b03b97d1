//! What is moved, and what has become of it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use sternline::proto::files::is_partial;
use sternline_server::fault::FaultPlan;

/// A file has one entry, with an empty path.
pub(crate) type Digests = BTreeMap<PathBuf, String>;

/// A file, or a tree of files: paths, lengths, and the seed of what they hold.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    files: BTreeMap<PathBuf, (usize, u64)>,
}

impl Content {
    pub(crate) fn file(length: usize, seed: u64) -> Self {
        Self {
            files: BTreeMap::from([(PathBuf::new(), (length, seed))]),
        }
    }

    pub(crate) fn tree(files: impl IntoIterator<Item = (PathBuf, usize)>, seed: u64) -> Self {
        let numbered = files.into_iter().zip(0..);
        Self {
            files: numbered
                .map(|((path, length), number)| (path, (length, seed ^ (number << 32))))
                .collect(),
        }
    }

    pub(crate) fn is_tree(&self) -> bool {
        !self.files.contains_key(Path::new(""))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.files.values().map(|(length, _)| length).sum()
    }

    pub(crate) fn count(&self) -> usize {
        self.files.len()
    }

    pub(crate) fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        self.files.keys()
    }

    /// With what is only in the older one.
    pub(crate) fn over(mut self, older: &Self) -> Self {
        for (path, content) in &older.files {
            self.files.entry(path.clone()).or_insert(*content);
        }
        self
    }

    pub(crate) fn write(&self, at: &Path) {
        for (path, (length, seed)) in &self.files {
            let path = place(at, path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, noise(*length, *seed)).unwrap();
        }
    }

    pub(crate) fn digests(&self) -> Digests {
        let digest = |(length, seed): &(usize, u64)| hex(&noise(*length, *seed));
        self.files
            .iter()
            .map(|(path, content)| (path.clone(), digest(content)))
            .collect()
    }
}

fn place(root: &Path, path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() {
        root.to_owned()
    } else {
        root.join(path)
    }
}

fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut plan = FaultPlan::from_seed(seed);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&plan.draw(u64::MAX).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(bytes))
}

/// All files at and below a path.
pub(crate) fn contents(at: &Path) -> Digests {
    let mut found = Digests::new();
    let mut left = vec![at.to_owned()];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if let Ok(bytes) = fs::read(&path) {
            let below = path.strip_prefix(at).unwrap();
            found.insert(below.to_owned(), hex(&bytes));
        }
    }
    found
}

/// Every file has what it had, or what it is to have; and every one that was there still is.
pub(crate) fn expect_whole(at: &Path, old: Option<&Content>, new: &Content, after: &str) {
    let old = old.map(Content::digests).unwrap_or_default();
    let new = new.digests();
    let found = contents(at);
    for (path, digest) in &found {
        let name = path.file_name().map_or(&b""[..], |name| name.as_bytes());
        let whole = old.get(path) == Some(digest) || new.get(path) == Some(digest);
        assert!(
            whole || is_partial(name),
            "after {after}: {path:?} is half-written"
        );
    }
    for path in old.keys() {
        assert!(found.contains_key(path), "after {after}: {path:?} is gone");
    }
}
