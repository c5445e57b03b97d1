//! Finding files: by pattern, and all below a directory.

use std::io;
use std::path::{Path, PathBuf};

use super::problem::reason;
use crate::glob::{Glob, at_slash};
use crate::stop::Stop;

/// One directory: its name, and the names of the directories and of the files in it, sorted.
pub(super) type Directory = (String, Vec<String>, Vec<String>);

/// The names that match a pattern, sorted, as the pattern writes them: relative ones where it is relative to `base`.
pub(super) fn glob(base: &Path, pattern: &str, stop: &Stop) -> anyhow::Result<Vec<String>> {
    let mut steps = Vec::new();
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        let glob =
            Glob::new(part).map_err(|error| anyhow::anyhow!("glob {pattern:?}: the pattern has {error}"))?;
        steps.push(match glob.literal() {
            Some(literal) => Step::Name(literal),
            None if part == "**" => Step::Deep,
            None => Step::Glob(glob),
        });
    }
    let (at, shown) = if pattern.starts_with('/') {
        (PathBuf::from("/"), "/")
    } else {
        (base.to_owned(), "")
    };
    let mut search = Search {
        found: Vec::new(),
        stop,
    };
    search.step(&at, shown, &steps);
    search.found.sort();
    search.found.dedup();
    Ok(search.found)
}

enum Step {
    Name(String),
    Glob(Glob),
    /// `**`: this directory and all below it.
    Deep,
}

struct Search<'a> {
    found: Vec<String>,
    stop: &'a Stop,
}

impl Search<'_> {
    fn step(&mut self, at: &Path, shown: &str, steps: &[Step]) {
        if self.stop.why().is_some() {
            return;
        }
        let Some((step, rest)) = steps.split_first() else {
            if !shown.is_empty() {
                self.found.push(shown.to_owned());
            }
            return;
        };
        let below = |name: &str| match shown {
            "" => name.to_owned(),
            "/" => format!("/{name}"),
            _ => format!("{shown}/{name}"),
        };
        match step {
            Step::Name(name) => {
                let next = at.join(name);
                let is_there = if rest.is_empty() {
                    next.symlink_metadata().is_ok()
                } else {
                    next.is_dir()
                };
                if is_there {
                    self.step(&next, &below(name), rest);
                }
            }
            Step::Glob(glob) => {
                for (name, _) in entries(at) {
                    let next = at.join(&name);
                    if glob.matches(&name, at_slash) && (rest.is_empty() || next.is_dir()) {
                        self.step(&next, &below(&name), rest);
                    }
                }
            }
            Step::Deep => {
                self.step(at, shown, rest);
                for (name, is_dir) in entries(at) {
                    let next = at.join(&name);
                    // Links are not followed, or a circle of them would have no end.
                    if is_dir {
                        self.step(&next, &below(&name), steps);
                    } else if rest.is_empty() {
                        self.found.push(below(&name));
                    }
                }
            }
        }
    }
}

/// The names in a directory, and whether each is a directory and no link to one. What cannot be read has none, as in shells. Names that
/// are not UTF-8 are left out, for no string of a script could name them.
fn entries(directory: &Path) -> Vec<(String, bool)> {
    list(directory).unwrap_or_default()
}

fn list(directory: &Path) -> io::Result<Vec<(String, bool)>> {
    let mut entries = Vec::new();
    for entry in directory.read_dir()? {
        let entry = entry?;
        if let Ok(name) = entry.file_name().into_string() {
            entries.push((name, entry.file_type()?.is_dir()));
        }
    }
    entries.sort();
    Ok(entries)
}

/// The names in a directory, sorted.
pub(super) fn names(directory: &Path) -> io::Result<Vec<String>> {
    Ok(list(directory)?.into_iter().map(|(name, _)| name).collect())
}

/// A directory and all below it, each before what is in it. Links are not followed.
pub(super) fn walk(at: &Path, shown: &str, stop: &Stop) -> anyhow::Result<Vec<Directory>> {
    let mut found = Vec::new();
    let mut ahead = vec![(at.to_owned(), shown.to_owned())];
    while let Some((at, shown)) = ahead.pop() {
        if stop.why().is_some() {
            break;
        }
        let entries = list(&at).map_err(|error| anyhow::anyhow!("walk {shown}: {}", reason(&error)))?;
        let (mut dirs, mut files) = (Vec::new(), Vec::new());
        for (name, is_dir) in entries {
            if is_dir { dirs.push(name) } else { files.push(name) }
        }
        for name in dirs.iter().rev() {
            ahead.push((at.join(name), super::lexical::join(&shown, name)));
        }
        found.push((shown, dirs, files));
    }
    Ok(found)
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for path in [
            "logs/a.log",
            "logs/b.txt",
            "logs/old/c.log",
            "src/main.rs",
            ".hidden/x.log",
        ] {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        std::os::unix::fs::symlink("..", dir.path().join("logs/up")).unwrap();
        dir
    }

    #[test]
    fn patterns_find_files() {
        let tree = tree();
        for (pattern, found) in [
            ("logs/*.log", vec!["logs/a.log"]),
            ("logs/*/*.log", vec!["logs/old/c.log"]),
            ("**/*.log", vec![".hidden/x.log", "logs/a.log", "logs/old/c.log"]),
            ("logs/old/**", vec!["logs/old", "logs/old/c.log"]),
            ("logs/a.log", vec!["logs/a.log"]),
            ("logs/[ab].*", vec!["logs/a.log", "logs/b.txt"]),
            ("nothing/*", vec![]),
            ("logs/a.log/*", vec![]),
        ] {
            assert_eq!(
                glob(tree.path(), pattern, &Stop::default()).unwrap(),
                found,
                "{pattern}"
            );
        }
        let absolute = format!("{}/src/*", tree.path().display());
        let found = glob(Path::new("/"), &absolute, &Stop::default()).unwrap();
        assert_eq!(found, [absolute.replace('*', "main.rs")]);
        assert!(glob(tree.path(), "[a", &Stop::default()).is_err());
    }

    #[test]
    fn a_walk_goes_into_every_directory_and_no_link() {
        let tree = tree();
        let found = walk(&tree.path().join("logs"), "logs", &Stop::default()).unwrap();
        let expected = [
            ("logs", vec!["old"], vec!["a.log", "b.txt", "up"]),
            ("logs/old", vec![], vec!["c.log"]),
        ];
        assert_eq!(found.len(), expected.len());
        for ((dir, dirs, files), (wanted, wanted_dirs, wanted_files)) in found.iter().zip(expected) {
            assert_eq!(
                (dir.as_str(), dirs.len(), files.len()),
                (wanted, wanted_dirs.len(), wanted_files.len())
            );
        }
        assert!(walk(&tree.path().join("none"), "none", &Stop::default()).is_err());
    }
}
