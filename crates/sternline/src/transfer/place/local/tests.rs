//! The files of this machine, as a transfer uses them.

use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{
    FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink,
};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use sternline_proto::sftp::{Owner, Pieces, Times};

use super::LocalFiles;
use crate::error::{ErrorKind, Result};
use crate::transfer::place::meta::{Change, How, Kind};

const NOTHING: Change = Change {
    mode: None,
    times: None,
    owner: None,
};

fn mode(mode: u32) -> Change {
    Change {
        mode: Some(mode),
        ..NOTHING
    }
}

fn bytes(path: &Path) -> Vec<u8> {
    path.as_os_str().as_bytes().to_vec()
}

fn mode_of(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

fn pipe(folder: &Path) -> PathBuf {
    let path = folder.join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    path
}

fn said<T: std::fmt::Debug>(outcome: Result<T>) -> String {
    outcome.unwrap_err().to_string()
}

#[tokio::test]
async fn a_file_is_written_in_parts_changed_and_renamed_over_another() {
    let folder = tempfile::tempdir().unwrap();
    let (partial, target) = (folder.path().join(".partial"), folder.path().join("target"));
    std::fs::write(&target, "old").unwrap();
    let files = LocalFiles::default();
    let writing = files.create(&bytes(&partial), How::New(0o600), 6).await.unwrap();
    assert_eq!(mode_of(&partial), 0o600);
    let mut pieces = Pieces::default();
    for piece in [&b"d"[..], b"", b"ef"] {
        pieces.push(Bytes::from_static(piece));
    }
    writing.write_at(3, pieces).await.unwrap();
    writing
        .write_at(0, Bytes::from_static(b"abc").into())
        .await
        .unwrap();
    let times = Times {
        atime: 1_000_000_000,
        mtime: 2_000_000_000,
    };
    let change = Change {
        times: Some(times),
        ..mode(0o664)
    };
    writing.change(change).await.unwrap();
    writing.fsync().await.unwrap();
    writing.close().await.unwrap();
    files.rename(&bytes(&partial), &bytes(&target)).await.unwrap();
    let meta = files.stat(&bytes(&target)).await.unwrap().unwrap();
    assert_eq!(
        (meta.kind, meta.size, meta.mode, meta.times),
        (Kind::File, 6, Some(0o664), Some(times))
    );
    assert_eq!(std::fs::read(&target).unwrap(), b"abcdef");
    assert!(files.stat(&bytes(&partial)).await.unwrap().is_none());
}

#[tokio::test]
async fn nothing_is_written_outside_a_root_by_whatever_operation() {
    let folder = tempfile::tempdir().unwrap();
    let (root, outside) = (folder.path().join("root"), folder.path().join("outside"));
    std::fs::create_dir_all(root.join("sub")).unwrap();
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("file"), "mine").unwrap();
    symlink("../outside", root.join("out")).unwrap();
    symlink("../outside/file", root.join("file")).unwrap();
    symlink("sub", root.join("in")).unwrap();
    std::fs::write(root.join("plain"), "x").unwrap();
    let files = LocalFiles::default().beneath(&bytes(&root)).await.unwrap();
    let (out, new, link) = (
        bytes(&root.join("out/file")),
        bytes(&root.join("out/new")),
        bytes(&root.join("file")),
    );
    let plain = bytes(&root.join("plain"));
    let data = || Bytes::from_static(b"evil");
    for refused in [
        said(files.write_small(&new, 0o600, data(), NOTHING, false).await),
        said(files.create(&new, How::New(0o600), 0).await),
        said(files.create(&out, How::Continue, 0).await),
        said(files.create(&out, How::InPlace, 0).await),
        said(files.create(&link, How::InPlace, 0).await),
        said(files.mkdir(&new, 0o777).await),
        said(files.mkdir(&bytes(&root.join("out")), 0o777).await),
        said(files.symlink(b"x", &new).await),
        said(files.rename(&plain, &new).await),
        said(files.rename(&out, &plain).await),
        said(files.remove(&out).await),
        said(files.rmdir(&bytes(&root.join("out/.."))).await),
        said(files.change(&link, mode(0o777)).await),
        said(files.change(&out, mode(0o777)).await),
        said(files.stat(&link).await),
        said(files.list(&bytes(&root.join("out"))).await),
        said(files.read_small(&link, 10).await),
        said(files.sha256(&link, 1).await),
        said(files.open(&link, 1).await),
    ] {
        assert!(refused.contains("leads out of"), "{refused}");
        assert!(refused.contains("the symbolic link "), "{refused}");
        assert!(refused.contains(root.to_str().unwrap()), "{refused}");
    }
    // A link that was begun as a file is nothing to go on with, wherever it leads.
    let continued = files.create(&link, How::Continue, 0).await;
    assert!(said(continued).contains("a symbolic link stands where none may be"));
    assert_eq!(std::fs::read(outside.join("file")).unwrap(), b"mine");
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);

    // What stays inside works, the root and its links included.
    let inside = bytes(&root.join("in/new"));
    files
        .write_small(&inside, 0o600, data(), NOTHING, false)
        .await
        .unwrap();
    assert_eq!(std::fs::read(root.join("sub/new")).unwrap(), b"evil");
    assert!(!files.mkdir(&bytes(&root.join("in")), 0o700).await.unwrap());
    assert!(files.mkdir(&bytes(&root.join("in/deeper")), 0o700).await.unwrap());
    assert_eq!(files.list(&bytes(&root)).await.unwrap().len(), 5);
    files.change(&bytes(&root), mode(0o750)).await.unwrap();
    // A link is replaced, not followed.
    files.rename(&plain, &link).await.unwrap();
    assert_eq!(std::fs::read(root.join("file")).unwrap(), b"x");
    assert_eq!(std::fs::read(outside.join("file")).unwrap(), b"mine");
}

#[tokio::test]
async fn the_mode_is_exact_and_times_reach_directories_and_links() {
    let folder = tempfile::tempdir().unwrap();
    let files = LocalFiles::default();
    let path = |name: &str| bytes(&folder.path().join(name));
    for (name, wanted) in [("a", 0o777), ("b", 0o4711), ("c", 0o000), ("d", 0o1666)] {
        files
            .write_small(&path(name), 0o600, Bytes::new(), mode(wanted), false)
            .await
            .unwrap();
        assert_eq!(mode_of(&folder.path().join(name)), wanted);
    }
    let times = Times { atime: 1, mtime: 2 };
    let change = Change {
        mode: Some(0o311),
        times: Some(times),
        owner: None,
    };
    files.mkdir(&path("directory"), 0o700).await.unwrap();
    files.change(&path("directory"), change).await.unwrap();
    files.symlink(b"a", &path("link")).await.unwrap();
    files.change_link(&path("link"), change).await.unwrap();
    for name in ["directory", "link"] {
        let meta = files.lstat(&path(name)).await.unwrap().unwrap();
        assert_eq!(meta.times, Some(times), "{name}");
    }
    assert_eq!(mode_of(&folder.path().join("directory")), 0o311);
    assert_eq!(
        mode_of(&folder.path().join("a")),
        0o777,
        "a link's mode is nobody's"
    );
}

#[tokio::test]
async fn an_owner_is_kept_where_permitted_and_lends_nothing_where_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let (uid, gid) = (12_345, 54_321);
    let change = Change {
        owner: Some(Owner { uid, gid }),
        ..mode(0o6755)
    };
    let files = LocalFiles::default();
    files
        .write_small(&bytes(&path), 0o600, Bytes::from_static(b"x"), change, false)
        .await
        .unwrap();
    let metadata = std::fs::metadata(&path).unwrap();
    if rustix::process::geteuid().is_root() {
        assert_eq!((metadata.uid(), metadata.gid()), (uid, gid));
        assert_eq!(mode_of(&path), 0o6755);
    } else {
        assert_ne!(metadata.uid(), uid);
        assert_eq!(mode_of(&path), 0o755);
    }
    // Minus one, which the system takes for "no change".
    let nobody = Change {
        owner: Some(Owner {
            uid: u32::MAX,
            gid: u32::MAX,
        }),
        ..mode(0o4755)
    };
    files.change(&bytes(&path), nobody).await.unwrap();
    assert_eq!(mode_of(&path), 0o755);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_replaced_file_leaves_its_access_control_list_to_the_new_one() {
    use rustix::fs::{XattrFlags, lgetxattr, lsetxattr};
    const NAME: &str = "system.posix_acl_access";
    // Version 2; user::rw-, user:1:r--, group::r--, mask::r--, other::---.
    let entry = |tag: u16, rights: u16, id: u32| {
        [&tag.to_le_bytes()[..], &rights.to_le_bytes(), &id.to_le_bytes()].concat()
    };
    let list = [
        2_u32.to_le_bytes().to_vec(),
        entry(1, 6, u32::MAX),
        entry(2, 4, 1),
        entry(4, 4, u32::MAX),
        entry(16, 4, u32::MAX),
        entry(32, 0, u32::MAX),
    ]
    .concat();
    let list_of = |path: &Path| {
        let mut list = Vec::with_capacity(256);
        lgetxattr(path, NAME, rustix::buffer::spare_capacity(&mut list))
            .ok()
            .map(|_| list)
    };
    let folder = tempfile::tempdir().unwrap();
    let (new, old) = (folder.path().join("new"), folder.path().join("old"));
    let everywhere = LocalFiles::default();
    let beneath = everywhere.beneath(&bytes(folder.path())).await.unwrap();
    for files in [everywhere, beneath] {
        std::fs::write(&old, "old").unwrap();
        lsetxattr(&old, NAME, &list, XattrFlags::empty()).unwrap();
        files
            .write_small(&bytes(&new), 0o600, Bytes::new(), mode(0o640), false)
            .await
            .unwrap();
        files.rename(&bytes(&new), &bytes(&old)).await.unwrap();
        assert_eq!(list_of(&old).unwrap(), list);
        assert_eq!(mode_of(&old), 0o640);
        // And the other way round: a list from elsewhere does not come with it.
        std::fs::write(&new, "new").unwrap();
        lsetxattr(&new, NAME, &list, XattrFlags::empty()).unwrap();
        std::fs::remove_file(&old).unwrap();
        std::fs::write(&old, "old").unwrap();
        files.rename(&bytes(&new), &bytes(&old)).await.unwrap();
        assert_eq!(list_of(&old), None);
        assert_eq!(mode_of(&old), 0o640);
        // Where nothing is replaced, the file has what its directory gave it.
        std::fs::write(&new, "new").unwrap();
        lsetxattr(&new, NAME, &list, XattrFlags::empty()).unwrap();
        std::fs::remove_file(&old).unwrap();
        files.rename(&bytes(&new), &bytes(&old)).await.unwrap();
        assert_eq!(list_of(&old).unwrap(), list);
    }
}

#[tokio::test]
async fn a_pipe_is_read_in_order_once_somebody_writes_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = pipe(folder.path());
    let reading = LocalFiles::default().open(&bytes(&path), 0).await.unwrap();
    // Nobody writes yet: whoever waits can give up.
    let waiting = tokio::time::timeout(Duration::from_millis(50), reading.read_at(0, 4)).await;
    assert!(waiting.is_err());
    let reading = LocalFiles::default().open(&bytes(&path), 0).await.unwrap();
    let writer = std::thread::spawn(move || std::fs::write(path, "abcdef").unwrap());
    let (second, first) = tokio::join!(reading.read_at(4, 4), reading.read_at(0, 4));
    assert_eq!(first.unwrap(), "abcd");
    assert_eq!(second.unwrap(), "ef");
    assert!(reading.read_at(6, 4).await.unwrap().is_empty());
    assert_eq!(reading.next_data(6).await.unwrap(), Some(6));
    writer.join().unwrap();
}

#[tokio::test]
async fn a_pipe_is_read_once_for_several_hosts() {
    let folder = tempfile::tempdir().unwrap();
    let path = pipe(folder.path());
    let files = LocalFiles::default().shared(3, folder.path().into());
    let path_of_pipe = path.clone();
    let writer = std::thread::spawn(move || std::fs::write(path_of_pipe, vec![7; 1_000_000]).unwrap());
    for _ in 0..3 {
        let reading = files.clone().open(&bytes(&path), 0).await.unwrap();
        assert_eq!(reading.stat().await.unwrap().kind, Kind::Other);
        assert_eq!(reading.read_at(0, 600_000).await.unwrap(), vec![7; 600_000]);
        assert_eq!(reading.read_at(600_000, 600_000).await.unwrap().len(), 400_000);
    }
    writer.join().unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn hosts_share_what_they_read_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, "before").unwrap();
    let files = LocalFiles::default().shared(2, folder.path().into());
    let first = files.clone().open(&bytes(&path), 6).await.unwrap();
    let second = files.clone().open(&bytes(&path), 6).await.unwrap();
    let one = first.read_at(0, 6).await.unwrap();
    let other = second.read_at(0, 6).await.unwrap();
    assert_eq!(one.as_ptr(), other.as_ptr());
    assert_eq!(other, "before");
}

#[tokio::test]
async fn a_pipe_is_written_in_order_once_somebody_reads_it() {
    use std::io::Read as _;
    let folder = tempfile::tempdir().unwrap();
    let path = pipe(folder.path());
    let files = LocalFiles::default();
    let target = bytes(&path);
    // Nobody reads this one: whoever waits can give up.
    std::fs::create_dir(folder.path().join("other")).unwrap();
    let unread = bytes(&pipe(&folder.path().join("other")));
    let waiting = files.create(&unread, How::InPlace, 0);
    assert!(
        tokio::time::timeout(Duration::from_millis(50), waiting)
            .await
            .is_err()
    );
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        let mut file = std::fs::File::open(path).unwrap();
        file.read_to_end(&mut all).unwrap();
        assert!(file.metadata().unwrap().file_type().is_fifo());
        all
    });
    let writing = files.create(&target, How::InPlace, 0).await.unwrap();
    let large = Bytes::from(vec![7; 200_000]);
    let (second, first) = tokio::join!(
        writing.write_at(200_000, Bytes::from_static(b"end").into()),
        writing.write_at(0, large.clone().into())
    );
    first.and(second).unwrap();
    // All this means nothing to a pipe, and is no error.
    writing.set_length(200_003).await.unwrap();
    writing.change(mode(0o600)).await.unwrap();
    writing.fsync().await.unwrap();
    writing.close().await.unwrap();
    let all = reader.join().unwrap();
    assert_eq!((all.len(), &all[200_000..]), (200_003, &b"end"[..]));
}

#[tokio::test]
async fn a_device_is_written_in_place_and_a_full_one_says_so() {
    let files = LocalFiles::default();
    let null = files.create(b"/dev/null", How::InPlace, 3).await.unwrap();
    null.write_at(0, Bytes::from_static(b"abc").into()).await.unwrap();
    null.close().await.unwrap();
    let full = files.create(b"/dev/full", How::InPlace, 3).await.unwrap();
    let error = full
        .write_at(0, Bytes::from_static(b"abc").into())
        .await
        .unwrap_err();
    assert_eq!(
        *error.kind(),
        ErrorKind::LocalFile(std::io::ErrorKind::StorageFull)
    );
    let said = error.to_string();
    assert!(
        said.contains("cannot write /dev/full on this machine: no space is left"),
        "{said}"
    );
    let zero = files.open(b"/dev/zero", 0).await.unwrap();
    assert_eq!(zero.read_at(0, 5).await.unwrap(), vec![0; 5]);
    assert_eq!(zero.read_at(5, 5).await.unwrap(), vec![0; 5]);
}

#[tokio::test]
async fn a_file_in_place_keeps_its_inode_and_what_is_not_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, "something long").unwrap();
    let before = std::fs::metadata(&path).unwrap().ino();
    let files = LocalFiles::default();
    let writing = files.create(&bytes(&path), How::InPlace, 3).await.unwrap();
    writing
        .write_at(0, Bytes::from_static(b"new").into())
        .await
        .unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"newething long");
    writing.set_length(3).await.unwrap();
    writing.close().await.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"new");
    assert_eq!(std::fs::metadata(&path).unwrap().ino(), before);
}

#[tokio::test]
async fn several_small_files_are_read_in_one_step_and_one_that_is_missing_keeps_none_of_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| bytes(&folder.path().join(name));
    std::fs::write(folder.path().join("a"), b"alpha").unwrap();
    std::fs::write(folder.path().join("b"), b"beta").unwrap();
    let files = LocalFiles::default();
    let read = files
        .read_several(vec![(path("a"), 6), (path("missing"), 6), (path("b"), 2)])
        .await;
    assert_eq!(
        read,
        [
            Some(Bytes::from_static(b"alpha")),
            None,
            Some(Bytes::from_static(b"be"))
        ]
    );
}

#[tokio::test]
async fn what_is_behind_a_file_that_takes_long_is_left_to_others() {
    // No memory is so fast that this is read within a few milliseconds.
    const LENGTH: usize = 128 * 1024 * 1024;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| bytes(&folder.path().join(name));
    let long = std::fs::File::create(folder.path().join("long")).unwrap();
    long.set_len(LENGTH as u64).unwrap();
    std::fs::write(folder.path().join("a"), b"alpha").unwrap();
    let files = LocalFiles::default();
    let read = files
        .read_several(vec![(path("a"), 6), (path("long"), LENGTH), (path("a"), 6)])
        .await;
    let lengths: Vec<_> = read.iter().map(|data| data.as_ref().map(Bytes::len)).collect();
    assert_eq!(lengths, [Some(5), Some(LENGTH), None]);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn files_that_the_system_makes_up_have_content_although_their_size_is_0() {
    let files = LocalFiles::default();
    let path = b"/proc/self/status";
    assert_eq!(files.stat(path).await.unwrap().unwrap().size, 0);
    let small = files.read_small(path, 100_000).await.unwrap();
    assert!(small.starts_with(b"Name:"));
    let reading = files.open(path, 0).await.unwrap();
    let first = reading.read_at(0, 5).await.unwrap();
    let second = reading.read_at(5, 100_000).await.unwrap();
    assert_eq!((&first[..], second.is_empty()), (&b"Name:"[..], false));
}

#[tokio::test]
async fn holes_are_skipped_and_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sparse");
    let files = LocalFiles::default();
    let writing = files.create(&bytes(&path), How::New(0o600), 0).await.unwrap();
    let (at, length) = (64 << 20, 128 << 20);
    writing
        .write_at(at, Bytes::from(vec![7; 1 << 20]).into())
        .await
        .unwrap();
    writing.set_length(length).await.unwrap();
    let meta = files.stat(&bytes(&path)).await.unwrap().unwrap();
    assert_eq!((meta.size, meta.sparse), (length, true));
    let reading = files.open(&bytes(&path), length).await.unwrap();
    assert_eq!(reading.next_data(0).await.unwrap(), Some(at));
    assert_eq!(reading.next_data(at + 5).await.unwrap(), Some(at + 5));
    assert_eq!(reading.next_data(at + (1 << 20)).await.unwrap(), None);
    assert_eq!(reading.next_data(length + 1).await.unwrap(), None);
    assert_eq!(reading.read_at(length - 3, 10).await.unwrap(), vec![0; 3]);
}

#[tokio::test]
async fn the_digest_is_of_exactly_the_bytes_that_were_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let content: Vec<u8> = (0..9_000_000_u32).map(|n| (n >> 3) as u8).collect();
    std::fs::write(&path, &content).unwrap();
    let files = LocalFiles::default();
    for length in [0, 1, 4 << 20, (4 << 20) + 1, content.len()] {
        let digest = files.sha256(&bytes(&path), length as u64).await.unwrap();
        let expected: [u8; 32] = Sha256::digest(&content[..length]).into();
        assert_eq!(digest, Some(expected), "{length}");
    }
    let more = content.len() as u64 + 1;
    assert_eq!(files.sha256(&bytes(&path), more).await.unwrap(), None);
}

#[tokio::test]
async fn what_cannot_be_done_says_what_is_wrong_with_which_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir(path("directory")).unwrap();
    std::fs::write(path("file"), "x").unwrap();
    symlink("circle", path("circle")).unwrap();
    pipe(folder.path());
    let files = LocalFiles::default();
    let long = "n".repeat(300);
    for (outcome, reason) in [
        (
            said(files.read_small(&bytes(&path("directory")), 1).await),
            "it is a directory",
        ),
        (
            said(files.open(&bytes(&path("directory")), 1).await),
            "it is a directory",
        ),
        (
            said(files.create(&bytes(&path("directory")), How::InPlace, 1).await),
            "it is a directory",
        ),
        (
            said(files.open(&bytes(&path("file/x")), 1).await),
            "not a directory",
        ),
        (
            said(files.open(&bytes(&path("circle")), 1).await),
            "links lead in circles",
        ),
        (
            said(files.stat(&bytes(&path(&long))).await),
            "longer than its file system allows",
        ),
        (
            said(files.create(&bytes(&path("file")), How::New(0o600), 1).await),
            "is there already",
        ),
        (
            said(files.mkdir(&bytes(&path("file")), 0o700).await),
            "is there already",
        ),
        (
            said(files.remove(&bytes(&path("directory"))).await),
            "it is a directory",
        ),
        (
            said(files.read_small(&bytes(&path("pipe")), 1).await),
            "no regular file",
        ),
        (
            said(files.open(&bytes(&path("missing")), 1).await),
            "No such file",
        ),
    ] {
        assert!(outcome.contains(reason), "{outcome}");
        assert!(outcome.contains(folder.path().to_str().unwrap()), "{outcome}");
    }
    // What is gone already needs not be removed, and what is not there is no error to look for.
    files.remove(&bytes(&path("missing"))).await.unwrap();
    assert!(files.stat(&bytes(&path("file/x"))).await.unwrap().is_none());
    assert!(files.lstat(&bytes(&path("circle"))).await.unwrap().is_some());
}

#[tokio::test]
async fn a_small_file_that_cannot_be_completed_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let files = LocalFiles::default();
    let path = folder.path().join("file");
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .unwrap();
    let there = files
        .write_small(&bytes(&path), 0o600, Bytes::from_static(b"x"), NOTHING, false)
        .await;
    assert!(said(there).contains("there already"));
    assert!(path.exists(), "what others made is not removed");
}

#[tokio::test]
async fn names_are_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let files = LocalFiles::default()
        .beneath(&bytes(folder.path()))
        .await
        .unwrap();
    let mut names: Vec<&[u8]> = vec![b"-rf", b"a\nb", b"\xff\xfe", b"'\"", b" "];
    for name in &names {
        let path = [&bytes(folder.path())[..], b"/", name].concat();
        files
            .write_small(&path, 0o600, Bytes::new(), NOTHING, true)
            .await
            .unwrap();
    }
    let listed = files.list(&bytes(folder.path())).await.unwrap();
    let mut listed: Vec<Vec<u8>> = listed.into_iter().map(|entry| entry.unwrap().name).collect();
    listed.sort();
    names.sort();
    assert_eq!(listed, names);
}
