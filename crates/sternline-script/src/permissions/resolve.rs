//! Where the name of a file leads, so that neither `..` nor a link gets round a rule.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// As many links as Linux follows for one name.
const MAX_LINKS: usize = 40;

enum Step {
    Root,
    Up,
    Name(OsString),
}

/// An absolute name without links, `.` and `..`. What does not exist is kept as it is written, so the name may be of a file that
/// is yet to be made; a link that leads nowhere is followed all the same.
pub(crate) fn resolve(path: &Path) -> PathBuf {
    let mut ahead: VecDeque<Step> = steps(path).collect();
    let mut at = PathBuf::new();
    let mut links = 0;
    while let Some(step) = ahead.pop_front() {
        match step {
            Step::Root => at = PathBuf::from("/"),
            Step::Up => {
                at.pop();
            }
            Step::Name(name) => {
                let next = at.join(name);
                match std::fs::read_link(&next) {
                    Ok(target) if links < MAX_LINKS => {
                        links += 1;
                        for step in steps(&target).collect::<Vec<_>>().into_iter().rev() {
                            ahead.push_front(step);
                        }
                    }
                    _ => at = next,
                }
            }
        }
    }
    at
}

/// As [`resolve`], but of the thing itself that has this name, which may be a link: for what removes, renames or reads links.
pub(crate) fn resolve_parent(path: &Path) -> PathBuf {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => resolve(parent).join(name),
        _ => resolve(path),
    }
}

/// A name without `.` and `..`, by the text alone.
pub(crate) fn lexical(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if out.file_name().is_some() => {
                out.pop();
            }
            Component::ParentDir if out.has_root() => {}
            other => out.push(other),
        }
    }
    out
}

fn steps(path: &Path) -> impl Iterator<Item = Step> + '_ {
    path.components().filter_map(|component| match component {
        Component::RootDir => Some(Step::Root),
        Component::ParentDir => Some(Step::Up),
        Component::Normal(name) => Some(Step::Name(name.to_owned())),
        Component::CurDir | Component::Prefix(_) => None,
    })
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_followed_to_where_they_lead() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("real/sub")).unwrap();
        symlink("real", root.join("link")).unwrap();
        symlink(root.join("real/sub"), root.join("absolute")).unwrap();
        symlink("../nowhere/file", root.join("real/dangling")).unwrap();
        for (name, leads_to) in [
            ("link/new", "real/new"),
            ("absolute/../x", "real/x"),
            ("link/dangling", "nowhere/file"),
            ("./real/./sub", "real/sub"),
            ("missing/../real", "real"),
        ] {
            assert_eq!(resolve(&root.join(name)), root.join(leads_to), "{name}");
        }
        assert_eq!(
            resolve_parent(&root.join("link/dangling")),
            root.join("real/dangling")
        );
    }

    #[test]
    fn a_circle_of_links_comes_to_an_end() {
        let dir = tempfile::tempdir().unwrap();
        symlink("b", dir.path().join("a")).unwrap();
        symlink("a", dir.path().join("b")).unwrap();
        resolve(&dir.path().join("a/x"));
    }

    #[test]
    fn nothing_is_above_the_root() {
        assert_eq!(resolve(Path::new("/../../etc/..")), Path::new("/"));
        assert_eq!(lexical(Path::new("/../../a/./b/../c")), Path::new("/a/c"));
        assert_eq!(lexical(Path::new("../a")), Path::new("../a"));
    }
}
