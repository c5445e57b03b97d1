//! From a path to a directory and a name in it, without leaving the root.

use std::collections::VecDeque;
use std::io;

use bytes::Bytes;

use super::tree::Links;

/// Symbolic links that are followed on one path, as on Linux (path_resolution(7)).
const MAX_LINKS: usize = 40;
/// Directories between the root and a file. A real one holds a descriptor for each while it walks.
const MAX_DEPTH: usize = 256;
/// Bytes of a path, as on Linux.
const MAX_PATH: usize = 4096;

/// What a directory holds under a name.
pub(super) enum Look<D> {
    Directory(D),
    Symlink(Bytes),
    Other,
    Missing,
}

/// Where a path leads.
pub(super) struct Place<D> {
    /// The directories from the root on, each with its name. The root has none, and is always there.
    above: Vec<(Bytes, D)>,
    /// The last of them, which holds the name.
    pub(super) dir: D,
    /// The name in it, which need not exist. `None` when the path leads to the directory itself: it is the root, or ends
    /// in `.` or `..`.
    pub(super) name: Option<Bytes>,
    dir_name: Bytes,
}

impl<D> Place<D> {
    /// The path from the root.
    pub(super) fn path(&self) -> Bytes {
        let above = self.above.iter().map(|(name, _)| name);
        let names = above.chain([&self.dir_name]).chain(&self.name);
        let mut path = Vec::new();
        for name in names.filter(|name| !name.is_empty()) {
            path.push(b'/');
            path.extend_from_slice(name);
        }
        if path.is_empty() {
            path.push(b'/');
        }
        path.into()
    }

    /// The directories that hold the name, the nearest first.
    pub(super) fn dirs(&self) -> impl Iterator<Item = &D> {
        let above = self.above.iter().rev().map(|(_, dir)| dir);
        [&self.dir].into_iter().chain(above)
    }
}

/// Walks a path from `root`, asking `look` for each name. `..` goes back to where the walk came from, and stays at the
/// root; a symbolic link that begins with a slash starts at the root again.
pub(super) fn walk<D>(
    root: D,
    path: &[u8],
    links: Links,
    mut look: impl FnMut(&D, &[u8]) -> io::Result<Look<D>>,
) -> io::Result<Place<D>> {
    let mut place = Place {
        above: Vec::new(),
        dir: root,
        name: None,
        dir_name: Bytes::new(),
    };
    let mut pending = components(path)?;
    let mut followed = 0;
    while let Some(name) = pending.pop_front() {
        if name == ".." {
            if let Some((name, dir)) = place.above.pop() {
                (place.dir_name, place.dir) = (name, dir);
            }
            continue;
        }
        let last = pending.is_empty();
        if last && links == Links::Keep {
            place.name = Some(name);
            break;
        }
        match look(&place.dir, &name)? {
            Look::Symlink(target) => {
                followed += 1;
                if followed > MAX_LINKS {
                    return Err(io::Error::other("too many levels of symbolic links"));
                }
                if target.starts_with(b"/") && !place.above.is_empty() {
                    let (name, dir) = place.above.swap_remove(0);
                    place.above.clear();
                    (place.dir_name, place.dir) = (name, dir);
                }
                for component in components(&target)?.into_iter().rev() {
                    pending.push_front(component);
                }
            }
            _ if last => place.name = Some(name),
            Look::Directory(_) if place.above.len() == MAX_DEPTH => {
                return Err(io::ErrorKind::InvalidFilename.into());
            }
            Look::Directory(dir) => {
                let above = (
                    std::mem::replace(&mut place.dir_name, name),
                    std::mem::replace(&mut place.dir, dir),
                );
                place.above.push(above);
            }
            Look::Other => return Err(io::ErrorKind::NotADirectory.into()),
            Look::Missing => return Err(io::ErrorKind::NotFound.into()),
        }
    }
    Ok(place)
}

fn components(path: &[u8]) -> io::Result<VecDeque<Bytes>> {
    if path.is_empty() {
        return Err(io::ErrorKind::NotFound.into());
    }
    if path.len() > MAX_PATH || path.contains(&0) {
        return Err(io::ErrorKind::InvalidFilename.into());
    }
    let components = path.split(|&byte| byte == b'/');
    Ok(components
        .filter(|component| !component.is_empty() && *component != b".")
        .map(Bytes::copy_from_slice)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A tree by paths: `/a/b` is a directory, `/f` a file, and some symbolic links.
    fn look(dir: &String, name: &[u8]) -> io::Result<Look<String>> {
        let path = format!("{dir}/{}", String::from_utf8_lossy(name));
        Ok(match path.as_str() {
            "/a" | "/a/b" => Look::Directory(path),
            "/f" | "/a/b/g" => Look::Other,
            "/to-b" => Look::Symlink("a/b".into()),
            "/a/up" => Look::Symlink("../../../..".into()),
            "/a/absolute" => Look::Symlink("/a/b".into()),
            "/a/etc" => Look::Symlink("/etc/passwd".into()),
            "/a/self" => Look::Symlink("/a/self".into()),
            "/dangling" => Look::Symlink("a/new".into()),
            _ => Look::Missing,
        })
    }

    fn walked(path: &str, links: Links) -> Result<String, io::ErrorKind> {
        let place = walk(String::new(), path.as_bytes(), links, look).map_err(|error| error.kind())?;
        // What the walk holds and what it says are the same.
        let held = match &place.name {
            Some(name) => format!("{}/{}", place.dir, String::from_utf8_lossy(name)),
            None => place.dir.clone(),
        };
        let path = String::from_utf8_lossy(&place.path()).into_owned();
        assert_eq!(path.trim_end_matches('/'), held);
        Ok(path)
    }

    #[test]
    fn a_path_stays_below_the_root_whatever_it_holds() {
        for (path, there) in [
            ("/", "/"),
            (".", "/"),
            ("..", "/"),
            ("/../../..", "/"),
            ("f", "/f"),
            ("/f", "/f"),
            ("//a//./b//g", "/a/b/g"),
            ("/a/b/", "/a/b"),
            ("/a/b/..", "/a"),
            ("/a/../../f", "/f"),
            ("/new", "/new"),
            ("/a/new", "/a/new"),
            ("/to-b/g", "/a/b/g"),
            ("/to-b/..", "/a"),
            ("/to-b/../../../..", "/"),
            ("/a/up/f", "/f"),
            ("/a/absolute/g", "/a/b/g"),
            ("/a/b/../absolute/../up/a", "/a"),
            ("/dangling", "/a/new"),
        ] {
            assert_eq!(walked(path, Links::Follow), Ok(there.to_owned()), "{path}");
        }
        assert_eq!(walked("/to-b", Links::Follow), Ok("/a/b".into()));
        assert_eq!(walked("/to-b", Links::Keep), Ok("/to-b".into()));
        assert_eq!(walked("/to-b/g", Links::Keep), Ok("/a/b/g".into()));
    }

    #[test]
    fn what_leads_nowhere_is_an_error() {
        use io::ErrorKind::{InvalidFilename, NotADirectory, NotFound, Other};
        for (path, kind) in [
            ("", NotFound),
            ("/missing/f", NotFound),
            // The root has no /etc: an absolute link starts at the root, as after chroot(2).
            ("/a/etc", NotFound),
            ("/f/x", NotADirectory),
            ("/a/self", Other),
            ("/a\0b", InvalidFilename),
            (&"x".repeat(5000), InvalidFilename),
        ] {
            assert_eq!(walked(path, Links::Follow), Err(kind), "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_path_leads_above_the_root(path in "(/|a|b|f|up|\\.\\.|self|to-b|absolute|etc){1,12}") {
            if let Ok(path) = walked(&path, Links::Follow) {
                prop_assert!(path.starts_with('/') && path.split('/').all(|name| name != ".."));
            }
        }
    }
}
