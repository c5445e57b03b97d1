//! Where a path leads, and that it leads nowhere else.
//!
//! A server that is downloaded from chooses names and symbolic links. Below a [`Root`] no path is resolved through a link
//! that leads out of it, whoever made the link. Links that stay inside are followed as ever.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, Stat, openat, readlinkat, statat};
use rustix::io::Errno;

use super::error::LeadsOut;

/// As many links as Linux follows for one path.
const LINKS: usize = 40;

#[cfg(target_os = "linux")]
const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
#[cfg(not(target_os = "linux"))]
const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC);

/// A directory that paths stay below.
#[derive(Debug)]
pub(super) struct Root {
    /// As its paths begin, without a slash at the end.
    path: Vec<u8>,
    directory: OwnedFd,
}

/// A name in an open directory, or a path as it is.
#[derive(Debug)]
pub(super) struct At {
    directory: Directory,
    name: Vec<u8>,
    /// Whether a symbolic link of that name is still to be followed.
    follow: bool,
}

#[derive(Debug)]
enum Directory {
    /// The path is resolved by the system, wherever it leads.
    Anywhere,
    Root(Arc<Root>),
    Below(OwnedFd),
}

impl At {
    /// Finds the directory in which the path's last name stands. With `follow` a link of that name is followed as well.
    pub(super) fn find(root: Option<&Arc<Root>>, path: &[u8], follow: bool) -> io::Result<Self> {
        match root {
            Some(root) => root.find(path, follow),
            None => Ok(Self {
                directory: Directory::Anywhere,
                name: path.to_vec(),
                follow,
            }),
        }
    }

    pub(super) fn directory(&self) -> BorrowedFd<'_> {
        match &self.directory {
            Directory::Anywhere => CWD,
            Directory::Root(root) => root.directory.as_fd(),
            Directory::Below(directory) => directory.as_fd(),
        }
    }

    pub(super) fn name(&self) -> &[u8] {
        &self.name
    }

    /// To be given wherever the system would follow a link.
    pub(super) fn flags(&self) -> AtFlags {
        if self.follow {
            AtFlags::empty()
        } else {
            AtFlags::SYMLINK_NOFOLLOW
        }
    }

    pub(super) fn stat(&self) -> io::Result<Stat> {
        Ok(statat(self.directory(), self.name(), self.flags())?)
    }

    pub(super) fn open(&self, mut flags: OFlags, mode: u32) -> io::Result<File> {
        if !self.follow {
            flags |= OFlags::NOFOLLOW;
        }
        flags |= OFlags::CLOEXEC | OFlags::NOCTTY;
        let mode = Mode::from_raw_mode(mode);
        Ok(openat(self.directory(), self.name(), flags, mode)?.into())
    }
}

impl Root {
    /// `path` may lead through any links; only what is below it may not.
    pub(super) fn open(path: &[u8]) -> io::Result<Self> {
        let directory = openat(CWD, path, DIRECTORY, Mode::empty())?;
        let end = path.iter().rposition(|byte| *byte != b'/');
        let path = path.get(..end.map_or(0, |end| end + 1)).unwrap_or_default();
        Ok(Self {
            path: path.to_vec(),
            directory,
        })
    }

    fn find(self: &Arc<Self>, path: &[u8], follow: bool) -> io::Result<At> {
        let below = match path.strip_prefix(self.path.as_slice()) {
            Some(below @ ([] | [b'/', ..])) => below,
            _ => return Err(self.leads_out(None)),
        };
        if let Some(at) = self.find_fast(below, follow) {
            return at;
        }
        self.find_by_steps(below, follow)
    }

    /// As long as no link needs a look, one call of the system does it. `None`: take the steps, which also say what is
    /// wrong. Linux has the call since 5.6.
    #[cfg(target_os = "linux")]
    fn find_fast(self: &Arc<Self>, below: &[u8], follow: bool) -> Option<io::Result<At>> {
        use rustix::fs::{ResolveFlags, openat2};
        let slash = below.iter().rposition(|byte| *byte == b'/')?;
        let (above, name) = below.split_at_checked(slash)?;
        let name = name
            .strip_prefix(b"/")
            .filter(|name| !matches!(*name, b"" | b"." | b".."))?;
        let above = above.strip_prefix(b"/").unwrap_or_default();
        let directory = if above.is_empty() {
            Directory::Root(Arc::clone(self))
        } else {
            let within = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
            match openat2(&self.directory, above, DIRECTORY, Mode::empty(), within) {
                Ok(directory) => Directory::Below(directory),
                Err(error @ Errno::NOENT) => return Some(Err(error.into())),
                Err(_) => return None,
            }
        };
        let at = At {
            directory,
            name: name.to_vec(),
            follow: false,
        };
        if follow && readlinkat(at.directory(), name, Vec::new()).is_ok() {
            return None;
        }
        Some(Ok(at))
    }

    #[cfg(not(target_os = "linux"))]
    fn find_fast(self: &Arc<Self>, _below: &[u8], _follow: bool) -> Option<io::Result<At>> {
        None
    }

    /// One directory after the other, each opened only if it is no link, and what a link says put in its place.
    fn find_by_steps(self: &Arc<Self>, below: &[u8], follow: bool) -> io::Result<At> {
        let mut todo: Vec<Vec<u8>> = Vec::new();
        let push = |todo: &mut Vec<Vec<u8>>, path: &[u8]| {
            let names = path.split(|byte| *byte == b'/').rev();
            todo.extend(
                names
                    .filter(|name| !matches!(*name, b"" | b"."))
                    .map(<[u8]>::to_vec),
            );
        };
        push(&mut todo, below);
        let mut above: Vec<OwnedFd> = Vec::new();
        let mut links = 0;
        let mut last_link = None;
        while let Some(name) = todo.pop() {
            if name == b".." {
                if above.pop().is_none() {
                    return Err(self.leads_out(last_link));
                }
                continue;
            }
            let here = above.last().unwrap_or(&self.directory);
            let last = todo.is_empty();
            if !last || follow {
                match readlinkat(here, name.as_slice(), Vec::new()) {
                    Ok(target) => {
                        let target = target.into_bytes();
                        let outside = target.starts_with(b"/");
                        push(&mut todo, &target);
                        last_link = Some((name, target));
                        links += 1;
                        if outside {
                            return Err(self.leads_out(last_link));
                        }
                        if links > LINKS {
                            return Err(Errno::LOOP.into());
                        }
                        continue;
                    }
                    // It is no link; or it is nothing yet, which opening it finds as well.
                    Err(Errno::INVAL | Errno::NOENT) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            if last {
                return Ok(self.in_directory(above, name));
            }
            let next = openat(here, name.as_slice(), DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?;
            above.push(next);
        }
        Ok(self.in_directory(above, b".".to_vec()))
    }

    fn in_directory(self: &Arc<Self>, mut above: Vec<OwnedFd>, name: Vec<u8>) -> At {
        At {
            directory: match above.pop() {
                Some(directory) => Directory::Below(directory),
                None => Directory::Root(Arc::clone(self)),
            },
            name,
            follow: false,
        }
    }

    fn leads_out(&self, link: Option<(Vec<u8>, Vec<u8>)>) -> io::Error {
        let root = self.path.clone();
        LeadsOut { root, link }.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::{MetadataExt as _, symlink};
    use std::path::Path;

    /// A root beside something that nobody may touch, with links of every kind.
    fn tree() -> (tempfile::TempDir, Arc<Root>) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::create_dir(folder.path().join("outside")).unwrap();
        std::fs::write(folder.path().join("outside/file"), "").unwrap();
        std::fs::write(root.join("a/b/file"), "").unwrap();
        for (target, link) in [
            ("a/b", "inside"),
            ("../b", "a/b/loop-back"),
            ("../outside", "out"),
            ("../root/a", "out-and-in"),
            ("out", "out-by-two"),
            ("../../../outside", "a/b/far-out"),
            ("b/file", "a/to-file"),
            ("../outside/file", "to-outside-file"),
            ("nothing", "dangling"),
            ("circle-b", "circle-a"),
            ("circle-a", "circle-b"),
            ("/proc/self/cwd", "magic"),
        ] {
            symlink(target, root.join(link)).unwrap();
        }
        symlink(root.join("a"), root.join("absolute")).unwrap();
        let opened = Root::open(root.as_os_str().as_bytes()).unwrap();
        (folder, Arc::new(opened))
    }

    fn path(root: &Root, below: &str) -> Vec<u8> {
        [root.path.as_slice(), b"/", below.as_bytes()].concat()
    }

    #[test]
    fn no_path_leads_out_by_whatever_link() {
        let (_folder, root) = tree();
        for (below, follow, link) in [
            ("out/file", false, Some("out -> ../outside")),
            ("out/new", false, Some("out -> ../outside")),
            ("out", true, Some("out -> ../outside")),
            ("out-and-in/b", false, Some("out-and-in -> ../root/a")),
            ("out-by-two/file", false, Some("out -> ../outside")),
            ("a/b/far-out/file", false, Some("far-out -> ../../../outside")),
            ("inside/far-out/x", false, Some("far-out -> ../../../outside")),
            (
                "to-outside-file",
                true,
                Some("to-outside-file -> ../outside/file"),
            ),
            ("magic/x", false, Some("magic -> /proc/self/cwd")),
            ("../outside/file", false, None),
            ("a/../../outside/file", false, None),
            ("..", false, None),
        ] {
            let path = path(&root, below);
            let error = At::find(Some(&root), &path, follow).unwrap_err();
            let said = error.to_string();
            assert!(said.contains("leads out of"), "{below}: {said}");
            assert!(link.is_none_or(|link| said.contains(link)), "{below}: {said}");
        }
        // An absolute link may lead inside today; nobody can tell whether it is meant to.
        let path = path(&root, "absolute/b");
        assert!(At::find(Some(&root), &path, false).is_err());
    }

    #[test]
    fn a_path_that_is_not_below_the_root_is_refused() {
        let (folder, root) = tree();
        for other in ["outside/file", "root-beside", "root2"] {
            let path = folder.path().join(other);
            let error = At::find(Some(&root), path.as_os_str().as_bytes(), false).unwrap_err();
            assert!(error.to_string().contains("leads out of"), "{other}");
        }
        assert!(At::find(Some(&root), b"relative", false).is_err());
    }

    #[test]
    fn a_path_that_stays_inside_leads_to_what_it_always_did() {
        let (folder, root) = tree();
        let real = |below: &str| std::fs::metadata(folder.path().join("root").join(below)).unwrap();
        for (below, follow) in [
            ("", true),
            (".", true),
            ("a", true),
            ("a//b/./file", true),
            ("inside", true),
            ("inside/file", false),
            ("inside/loop-back/file", true),
            ("a/b/loop-back/loop-back/file", false),
            ("a/to-file", true),
            ("a/../a/b/..", true),
        ] {
            let path = path(&root, below);
            for at in [
                At::find(Some(&root), &path, follow),
                root.find_by_steps(below.as_bytes(), follow),
            ] {
                let found = at.and_then(|at| at.stat()).unwrap();
                assert_eq!(found.st_ino, real(below).ino(), "{below}");
            }
        }
        let link = At::find(Some(&root), &path(&root, "a/to-file"), false).unwrap();
        assert_eq!(link.stat().unwrap().st_mode & 0o170_000, 0o120_000);
    }

    #[test]
    fn what_is_not_there_yet_is_found_where_it_will_be() {
        let (folder, root) = tree();
        for (below, there) in [
            ("new", "new"),
            ("inside/new", "a/b/new"),
            ("dangling", "nothing"),
            ("a/b/loop-back/../newer", "a/newer"),
        ] {
            let at = At::find(Some(&root), &path(&root, below), true).unwrap();
            at.open(OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, 0o600)
                .unwrap();
            assert!(folder.path().join("root").join(there).exists(), "{below}");
        }
        for below in ["missing/new", "inside/missing/new"] {
            let error = At::find(Some(&root), &path(&root, below), false).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound, "{below}");
        }
    }

    #[test]
    fn links_in_circles_end() {
        let (_folder, root) = tree();
        for below in ["circle-a", "circle-a/x"] {
            let error = At::find(Some(&root), &path(&root, below), true).unwrap_err();
            assert_eq!(Errno::from_io_error(&error), Some(Errno::LOOP));
        }
    }

    #[test]
    fn the_file_system_itself_can_be_the_root() {
        let root = Arc::new(Root::open(b"/").unwrap());
        let here = Path::new("/proc/version");
        let at = At::find(Some(&root), here.as_os_str().as_bytes(), true).unwrap();
        assert!(at.stat().is_ok());
        assert!(At::find(Some(&root), b"/../x", true).is_err());
    }
}
