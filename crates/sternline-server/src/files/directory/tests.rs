use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use sternline_proto::sftp::{Attributes, FileType, OpenFlags, Times};
use tempfile::TempDir;

use super::ConfinedDirectory;
use crate::files::tree::{FileTree, Links};

const NEW: OpenFlags = OpenFlags(OpenFlags::WRITE.0 | OpenFlags::CREATE.0 | OpenFlags::EXCLUSIVE.0);
const WRITE: OpenFlags = OpenFlags(OpenFlags::WRITE.0 | OpenFlags::CREATE.0 | OpenFlags::TRUNCATE.0);

/// A directory that is served, beside one with a secret.
struct Fixture {
    dir: TempDir,
    tree: ConfinedDirectory,
}

impl Fixture {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        fs::create_dir(dir.path().join("root")).unwrap();
        fs::create_dir(dir.path().join("outside")).unwrap();
        fs::write(dir.path().join("outside/secret"), "secret").unwrap();
        let tree = ConfinedDirectory::open(&dir.path().join("root")).unwrap();
        Self { dir, tree }
    }

    fn root(&self, path: &str) -> PathBuf {
        self.dir.path().join("root").join(path)
    }

    fn outside(&self, path: &str) -> PathBuf {
        self.dir.path().join("outside").join(path)
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, ErrorKind> {
        let open = self.tree.open(path.as_bytes(), OpenFlags::READ, 0);
        let file = open.map_err(|error| error.kind())?;
        let mut buffer = vec![0; 100];
        let count = file.read_at(0, &mut buffer).unwrap();
        buffer.truncate(count);
        Ok(buffer)
    }

    fn write(&self, path: &str, flags: OpenFlags) -> Result<(), ErrorKind> {
        let open = self.tree.open(path.as_bytes(), flags, 0o644);
        open.and_then(|file| file.write_at(0, b"written"))
            .map_err(|error| error.kind())
    }
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn no_link_and_no_dots_lead_outside() {
    let f = Fixture::new();
    let outside = f.outside("").canonicalize().unwrap();
    symlink(&outside, f.root("absolute")).unwrap();
    symlink("../outside", f.root("relative")).unwrap();
    symlink("../outside/secret", f.root("to-secret")).unwrap();
    symlink(outside.join("made"), f.root("dangling")).unwrap();
    symlink("/etc", f.root("etc-link")).unwrap();
    fs::create_dir(f.root("sub")).unwrap();
    symlink("../../../../outside", f.root("sub/up")).unwrap();
    for path in [
        "../outside/secret",
        "/../outside/secret",
        "sub/../../outside/secret",
        "absolute/secret",
        "relative/secret",
        "to-secret",
        "sub/up/secret",
        "etc-link/passwd",
        "/etc/passwd",
    ] {
        assert_eq!(f.read(path), Err(ErrorKind::NotFound), "{path}");
        assert!(f.tree.stat(path.as_bytes(), Links::Follow).is_err(), "{path}");
        assert!(
            f.tree.remove_file(path.as_bytes()).is_err() || path == "to-secret",
            "{path}"
        );
    }
    for path in ["absolute", "relative", "etc-link", "sub/up", "../outside"] {
        assert!(f.tree.open_dir(path.as_bytes()).is_err(), "{path}");
        let below = format!("{path}/new");
        assert!(f.write(&below, WRITE).is_err() && f.write(&below, NEW).is_err());
        assert!(f.tree.make_dir(below.as_bytes(), 0o755).is_err());
        assert!(f.tree.symlink(b"x", below.as_bytes()).is_err());
        assert!(
            f.tree
                .hard_link(format!("{path}/secret").as_bytes(), b"stolen")
                .is_err()
        );
        assert!(
            f.tree
                .rename(format!("{path}/secret").as_bytes(), b"stolen", true)
                .is_err()
        );
    }
    assert_eq!(f.write("dangling", WRITE), Err(ErrorKind::NotFound));
    let names: Vec<_> = fs::read_dir(f.outside("")).unwrap().collect();
    assert_eq!(names.len(), 1);
    assert_eq!(fs::read(f.outside("secret")).unwrap(), b"secret");

    // As after chroot: what is meant absolutely starts at the root of what is served.
    fs::create_dir(f.root("etc")).unwrap();
    f.write("etc-link/passwd", WRITE).unwrap();
    assert_eq!(fs::read(f.root("etc/passwd")).unwrap(), b"written");
    assert_eq!(
        f.tree.real_path(b"sub/../etc-link/passwd").unwrap(),
        "/etc/passwd"
    );
    assert_eq!(f.read("../../etc/passwd").unwrap(), b"written");
}

#[test]
fn what_is_swapped_for_a_link_during_the_walk_leads_nowhere_else() {
    let f = Fixture::new();
    fs::create_dir(f.root("dir")).unwrap();
    fs::write(f.root("dir/secret"), "harmless").unwrap();
    symlink(f.outside(""), f.root("link")).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // `name` is now the directory and now the link.
            while !stop.load(Ordering::Relaxed) {
                for real in ["dir", "link"] {
                    fs::rename(f.root(real), f.root("name")).unwrap();
                    fs::rename(f.root("name"), f.root(real)).unwrap();
                }
            }
        });
        let mut seen = 0;
        while seen < 200 {
            match f.read("name/secret") {
                Ok(content) => {
                    assert_eq!(content, b"harmless");
                    seen += 1;
                }
                Err(_) => {
                    let _ = f.write("name/new", WRITE);
                }
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(!f.outside("new").exists());
    assert_eq!(fs::read(f.outside("secret")).unwrap(), b"secret");
}

#[test]
fn what_is_made_has_the_mode_that_was_asked_for_whatever_the_umask() {
    let f = Fixture::new();
    for wanted in [0o666, 0o777, 0o600, 0o4711, 0o000] {
        f.tree.open(b"file", NEW, wanted).unwrap();
        assert_eq!(mode(&f.root("file")), wanted);
        fs::remove_file(f.root("file")).unwrap();
        f.tree.make_dir(b"dir", wanted).unwrap();
        assert_eq!(mode(&f.root("dir")), wanted);
        fs::remove_dir(f.root("dir")).unwrap();
    }
    fs::write(f.root("old"), "a longer text").unwrap();
    fs::set_permissions(f.root("old"), fs::Permissions::from_mode(0o640)).unwrap();
    f.write("old", WRITE).unwrap();
    assert_eq!(
        (mode(&f.root("old")), fs::read(f.root("old")).unwrap()),
        (0o640, b"written".to_vec())
    );
}

#[test]
fn attributes_are_set_on_the_file_or_on_the_link_itself() {
    let f = Fixture::new();
    fs::write(f.root("file"), "12345").unwrap();
    symlink("file", f.root("link")).unwrap();
    let times = |mtime| Attributes {
        times: Some(Times { atime: 7, mtime }),
        ..Attributes::default()
    };
    f.tree.set(b"link", Links::Follow, &times(1_000_000_000)).unwrap();
    f.tree.set(b"link", Links::Keep, &times(1_100_000_000)).unwrap();
    let permissions = Attributes {
        size: Some(3),
        permissions: Some(0o100_400),
        ..Attributes::default()
    };
    f.tree.set(b"link", Links::Follow, &permissions).unwrap();
    let refused = f.tree.set(b"link", Links::Keep, &permissions).unwrap_err();
    assert!(
        refused.raw_os_error().is_some() || refused.kind() == ErrorKind::Unsupported,
        "{refused}"
    );
    let file = f.tree.stat(b"link", Links::Follow).unwrap();
    assert_eq!((file.size, file.permissions), (Some(3), Some(0o100_400)));
    assert_eq!(
        f.tree.stat(b"link", Links::Keep).unwrap().times.unwrap().mtime,
        1_100_000_000
    );
    f.tree.set(b"file", Links::Follow, &times(u32::MAX)).unwrap();
    assert_eq!(
        f.tree.stat(b"file", Links::Follow).unwrap().times.unwrap().mtime,
        u32::MAX
    );
    assert!(f.tree.space(b"file").unwrap().blocks > 0);
}

#[test]
fn a_new_name_must_be_free_unless_it_is_to_be_replaced() {
    let f = Fixture::new();
    for name in ["a", "b"] {
        fs::write(f.root(name), name).unwrap();
    }
    assert_eq!(f.write("a", NEW), Err(ErrorKind::AlreadyExists));
    let taken = f.tree.rename(b"a", b"b", false).unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::AlreadyExists);
    f.tree.rename(b"a", b"c", false).unwrap();
    f.tree.rename(b"c", b"b", true).unwrap();
    assert_eq!(fs::read(f.root("b")).unwrap(), b"a");
    assert!(f.tree.remove_dir(b"/").is_err() && f.tree.rename(b"/", b"x", true).is_err());
}

#[test]
fn only_regular_files_are_opened_and_a_pipe_is_not_waited_for() {
    let f = Fixture::new();
    fs::create_dir(f.root("dir")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        f.root("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    assert!(f.read("pipe").is_err() && f.read("dir").is_err());
    assert!(f.write("dir", WRITE).is_err());
    let mut dir = f.tree.open_dir(b"/").unwrap();
    let mut entries = dir.next(1).unwrap();
    entries.extend(dir.next(10).unwrap());
    assert!(dir.next(10).unwrap().is_empty());
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    let kinds: Vec<_> = entries
        .iter()
        .map(|(name, found)| (&name[..], found.file_type()))
        .collect();
    let expected = [
        (&b"dir"[..], Some(FileType::Directory)),
        (b"pipe", Some(FileType::Fifo)),
    ];
    assert_eq!(kinds, expected);
}

#[test]
fn appended_data_goes_to_the_end_and_reading_beyond_it_gives_nothing() {
    let f = Fixture::new();
    f.write("log", WRITE).unwrap();
    let file = f
        .tree
        .open(b"log", OpenFlags::WRITE | OpenFlags::APPEND, 0)
        .unwrap();
    file.write_at(0, b" more").unwrap();
    assert_eq!(f.read("log").unwrap(), b"written more");
    let file = f.tree.open(b"log", OpenFlags::READ, 0).unwrap();
    assert_eq!(file.read_at(u64::MAX, &mut [0; 10]).unwrap(), 0);
    assert!(file.write_at(0, b"x").is_err());
}
