//! Which files are tests.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sternline::proto::text::escape;
use thiserror::Error;

/// What files of tests are called in a directory.
const TESTS: &str = "_test.star";

/// Why files of tests could not be found.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DiscoverError {
    /// What was named is not there, or cannot be looked at.
    #[error("cannot read {}: {source}", shown(path))]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What was named is a file of another kind.
    #[error("{} is not a .star file", shown(path))]
    NotAScript {
        /// The file.
        path: PathBuf,
    },
}

/// The files of tests that are meant: each file that is named, and below each directory all that are called `*_test.star`, by name.
/// Hidden directories and symbolic links to directories are left out below one that is named. What is named twice comes once.
///
/// # Errors
/// When something is not there, cannot be read, or is not a `.star` file.
pub fn discover(paths: &[PathBuf]) -> Result<Vec<PathBuf>, DiscoverError> {
    let mut found = Vec::new();
    for path in paths {
        let unreadable = |source| DiscoverError::Unreadable {
            path: path.clone(),
            source,
        };
        if fs::metadata(path).map_err(unreadable)?.is_dir() {
            search(path, &mut found)?;
        } else if path.extension().is_some_and(|extension| extension == "star") {
            found.push(path.clone());
        } else {
            return Err(DiscoverError::NotAScript { path: path.clone() });
        }
    }
    let mut seen = HashSet::new();
    found.retain(|path| seen.insert(path.clone()));
    Ok(found)
}

fn search(directory: &Path, found: &mut Vec<PathBuf>) -> Result<(), DiscoverError> {
    let unreadable = |source| DiscoverError::Unreadable {
        path: directory.to_owned(),
        source,
    };
    let entries = fs::read_dir(directory).map_err(unreadable)?;
    let mut entries = entries.collect::<io::Result<Vec<_>>>().map_err(unreadable)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let kind = entry.file_type().map_err(unreadable)?;
        if kind.is_dir() {
            if !name.starts_with('.') {
                search(&entry.path(), found)?;
            }
        } else if name.ends_with(TESTS) && entry.path().is_file() {
            // Without the `./` of the current directory.
            let path = entry.path();
            found.push(path.strip_prefix(".").map(Path::to_owned).unwrap_or(path));
        }
    }
    Ok(())
}

fn shown(path: &Path) -> String {
    escape(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(root: &Path, paths: &[&str]) -> Result<Vec<String>, DiscoverError> {
        let paths: Vec<PathBuf> = paths.iter().map(|path| root.join(path)).collect();
        let found = discover(&paths)?;
        let below = |path: &PathBuf| path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        Ok(found.iter().map(below).collect())
    }

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        root
    }

    #[test]
    fn a_directory_gives_its_test_files_by_name_and_no_hidden_ones() {
        let root = tree(&[
            "b_test.star",
            "a/z_test.star",
            "a/helper.star",
            "a_test.star",
            ".git/x_test.star",
            "x_test.py",
        ]);
        assert_eq!(
            names(root.path(), &[""]).unwrap(),
            ["a/z_test.star", "a_test.star", "b_test.star"]
        );
    }

    #[test]
    fn a_file_that_is_named_may_have_any_name_of_a_script_and_comes_once() {
        let root = tree(&["deploy.star", "a_test.star", "notes.txt"]);
        let found = names(root.path(), &["deploy.star", "a_test.star", "deploy.star"]).unwrap();
        assert_eq!(found, ["deploy.star", "a_test.star"]);
        let error = names(root.path(), &["notes.txt"]).unwrap_err().to_string();
        assert!(error.ends_with("notes.txt is not a .star file"), "{error}");
        let error = names(root.path(), &["none"]).unwrap_err().to_string();
        assert!(error.contains("none: "), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_a_directory_above_does_not_lead_round_in_circles() {
        let root = tree(&["d/a_test.star"]);
        std::os::unix::fs::symlink(root.path(), root.path().join("d/up")).unwrap();
        assert_eq!(names(root.path(), &[""]).unwrap(), ["d/a_test.star"]);
    }
}
