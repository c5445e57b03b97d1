//! The page of results: `docs/benchmarks.md`, its plots, and the table in the README, all made from
//! `docs/benchmarks/results.json` and from nothing else.

mod document;
mod plot;
mod readme;
mod verdict;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use crate::results::Results;

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The files that show the results, by their paths, with what has to stand in them.
///
/// # Errors
/// When the README cannot be read, or has no place for its table.
pub fn files(results: &Results) -> Result<BTreeMap<PathBuf, String>, Box<dyn Error>> {
    let (docs, readme) = (root().join("docs"), root().join("README.md"));
    let mut files = BTreeMap::new();
    files.insert(docs.join("benchmarks.md"), document::document(results));
    for work in &results.works {
        let path = docs.join("benchmarks").join(format!("{}.svg", work.name));
        files.insert(path, plot::plot(work));
    }
    let text = readme::with_table(&fs::read_to_string(&readme)?, results)?;
    files.insert(readme, text);
    Ok(files)
}

/// Plots that stand in the folder and show nothing any more.
///
/// # Errors
/// When the folder cannot be read.
pub fn stale(files: &BTreeMap<PathBuf, String>) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut stale = Vec::new();
    for entry in fs::read_dir(root().join("docs/benchmarks"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "svg") && !files.contains_key(&path) {
            stale.push(path);
        }
    }
    Ok(stale)
}

/// Writes all files, and takes away plots that show nothing any more.
///
/// # Errors
/// When the results cannot be read, or a file cannot be written.
pub fn write() -> Result<(), Box<dyn Error>> {
    let files = files(&Results::read(&Results::path())?)?;
    for path in stale(&files)? {
        fs::remove_file(path)?;
    }
    for (path, text) in files {
        fs::write(path, text)?;
    }
    Ok(())
}

/// A value with about three significant digits.
fn figure(value: f64) -> String {
    crate::results::figure(value)
}
