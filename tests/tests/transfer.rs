//! Moving files to and from a real sshd: over SFTP, and once more through its shell, as part of `transfer_shell.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use sternline::transfer::{
    FileOutcome, Filter, SkipReason, Source, Symlinks, Target, TransferCanceller, TransferEvent,
};
use sternline::{Connection, ErrorKind, Fleet, Transfer, TransferResult};
use sternline_server::fault::{Fault, FaultProxy};
use sternline_tests::sshd::{Settings, Sshd};
use tokio::time::timeout;

/// The server's line about SFTP: commented out where this is a part of another file.
fn subsystem() -> &'static str {
    match module_path!() {
        "transfer" => "Subsystem sftp internal-sftp",
        _ => "#Subsystem none",
    }
}

/// A server, a connection to it, and two empty directories: what is on this side, and what is on the other.
struct Ends {
    server: Sshd,
    connection: Connection,
    here: PathBuf,
    there: PathBuf,
}

impl Ends {
    async fn new() -> Self {
        let addresses = "ListenAddress 127.0.0.2\nListenAddress 127.0.0.3";
        let server = Settings::default()
            .option(&format!("{}\n{addresses}", subsystem()))
            .start();
        let connection = server.builder().connect().await.unwrap();
        let (here, there) = (server.path("here"), server.path("there"));
        fs::create_dir(&here).unwrap();
        fs::create_dir(&there).unwrap();
        Self {
            server,
            connection,
            here,
            there,
        }
    }

    /// Makes a request run in both directions: `source` and `target` are names in the directory of their side.
    async fn both_ways(
        &self,
        source: &str,
        target: &str,
        how: impl Fn(Transfer) -> Transfer,
    ) -> [TransferResult; 2] {
        let up = Transfer::upload(self.here.join(source), self.there.join(target));
        let down = Transfer::download(self.there.join(source), self.here.join(target));
        [
            self.connection.transfer(how(up)).await,
            self.connection.transfer(how(down)).await,
        ]
    }

    fn sides(&self) -> [(&Path, &Path); 2] {
        [(&self.here, &self.there), (&self.there, &self.here)]
    }
}

/// What a tree holds: names below its root, with permission bits and content; directories and links too.
fn tree(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut left = vec![root.to_path_buf()];
    while let Some(path) = left.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
        let mode = meta.mode() & 0o7777;
        let what = if meta.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            format!("directory {mode:o}")
        } else if meta.is_symlink() {
            format!("link to {}", fs::read_link(&path).unwrap().display())
        } else {
            let content = fs::read(&path).unwrap();
            format!(
                "file {mode:o} {} {:?}",
                content.len(),
                &content[..content.len().min(20)]
            )
        };
        found.insert(name, what);
    }
    found
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn content(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(length)
    .collect()
}

#[tokio::test]
async fn files_of_all_sizes_arrive_as_they_are_and_leave_nothing_else_behind() {
    let ends = Ends::new().await;
    for length in [0, 1, 255 * 1024 - 1, 255 * 1024, 255 * 1024 + 1, 5_000_000] {
        let content = content(length);
        for (source, _) in ends.sides() {
            fs::write(source.join("source"), &content).unwrap();
        }
        for result in ends.both_ways("source", "copy", |transfer| transfer).await {
            assert_eq!(result.bytes, length as u64);
            assert_eq!(result.copied, 1);
            result.success().unwrap();
        }
        for (_, target) in ends.sides() {
            assert!(
                fs::read(target.join("copy")).unwrap() == content,
                "{length} bytes"
            );
            assert_eq!(names(target), ["copy", "source"]);
        }
    }
}

#[tokio::test]
async fn a_mode_that_was_asked_for_is_applied_whatever_the_umask_and_one_that_is_there_stays() {
    let ends = Ends::new().await;
    for (side, _) in ends.sides() {
        fs::write(side.join("source"), "new").unwrap();
        set_mode(&side.join("source"), 0o755);
        fs::write(side.join("old"), "old").unwrap();
        set_mode(&side.join("old"), 0o604);
    }
    for (target, how, expected) in [
        ("plain", (None, false), 0o755),
        ("asked", (Some(0o666), false), 0o666),
        ("kept", (None, true), 0o755),
        ("old", (None, false), 0o604),
    ] {
        for result in ends
            .both_ways("source", target, |transfer| {
                let transfer = transfer.preserve(how.1);
                match how.0 {
                    Some(mode) => transfer.mode(mode),
                    None => transfer,
                }
            })
            .await
        {
            result.success().unwrap();
        }
        for (_, side) in ends.sides() {
            let mode = fs::metadata(side.join(target)).unwrap().mode() & 0o7777;
            assert_eq!(mode, expected, "{target}");
            assert_eq!(fs::read(side.join(target)).unwrap(), b"new");
        }
    }
}

/// What the first file of a directory shows of the umask is used for those after it.
#[tokio::test]
async fn every_file_of_a_tree_gets_the_mode_that_was_asked_for() {
    let ends = Ends::new().await;
    for (side, _) in ends.sides() {
        for directory in ["a", "b"] {
            fs::create_dir_all(side.join("tree").join(directory)).unwrap();
            for file in 0..20 {
                fs::write(side.join(format!("tree/{directory}/{file}")), "content").unwrap();
            }
        }
    }
    for mode in [0o640, 0o666, 0o4711] {
        let target = format!("{mode:o}");
        let how = |transfer: Transfer| transfer.recursive(true).mode(mode);
        for result in ends.both_ways("tree", &target, how).await {
            assert_eq!(result.success().unwrap().copied, 40);
        }
        for (_, side) in ends.sides() {
            for directory in ["a", "b"] {
                for file in 0..20 {
                    let path = side.join(format!("{target}/{directory}/{file}"));
                    let found = fs::metadata(path).unwrap().mode() & 0o7777;
                    assert_eq!(found, mode, "{file} in {directory}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_tree_arrives_with_its_directories_links_modes_and_times() {
    let ends = Ends::new().await;
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    for (side, _) in ends.sides() {
        let root = side.join("tree");
        fs::create_dir_all(root.join("a/b/c")).unwrap();
        fs::create_dir(root.join("empty")).unwrap();
        fs::write(root.join("a/b/c/deep"), "deep").unwrap();
        fs::write(root.join("a/ -n 'odd'\n\"name\"*"), "odd").unwrap();
        fs::write(root.join("large"), content(1_000_000)).unwrap();
        symlink("a/b", root.join("link")).unwrap();
        symlink("nowhere", root.join("dangling")).unwrap();
        set_mode(&root.join("a/b/c/deep"), 0o640);
        fs::File::options()
            .write(true)
            .open(root.join("a/b/c/deep"))
            .unwrap()
            .set_modified(long_ago)
            .unwrap();
        fs::File::open(root.join("a/b"))
            .unwrap()
            .set_modified(long_ago)
            .unwrap();
        set_mode(&root.join("empty"), 0o555);
    }
    let result = ends
        .both_ways("tree", "copy", |transfer| transfer.recursive(true).preserve(true))
        .await;
    for result in result {
        assert_eq!((result.copied, result.directories), (5, 4));
        result.success().unwrap();
    }
    for (source, target) in ends.sides() {
        assert_eq!(tree(&target.join("copy")), tree(&source.join("tree")));
        for path in ["copy/a/b/c/deep", "copy/a/b"] {
            assert_eq!(
                fs::metadata(target.join(path)).unwrap().modified().unwrap(),
                long_ago,
                "{path}"
            );
        }
        assert_eq!(names(target), ["copy", "tree"]);
    }
    // Into what is there now: the same tree again, below it.
    for result in ends
        .both_ways("tree", "copy", |transfer| transfer.recursive(true))
        .await
    {
        result.success().unwrap();
    }
    for (source, target) in ends.sides() {
        let copied = tree(&target.join("copy/tree"));
        assert_eq!(
            copied.keys().collect::<Vec<_>>(),
            tree(&source.join("tree")).keys().collect::<Vec<_>>()
        );
    }
}

#[tokio::test]
async fn links_are_followed_or_left_out_if_asked_for_and_loops_end() {
    let ends = Ends::new().await;
    for (side, _) in ends.sides() {
        let root = side.join("tree");
        fs::create_dir_all(root.join("a")).unwrap();
        fs::write(root.join("a/file"), "x").unwrap();
        symlink("a", root.join("to-directory")).unwrap();
        symlink("a/file", root.join("to-file")).unwrap();
        symlink("..", root.join("a/up")).unwrap();
    }
    let recursive = |transfer: Transfer| transfer.recursive(true);
    for result in ends
        .both_ways("tree", "skipped", |t| recursive(t).symlinks(Symlinks::Skip))
        .await
    {
        assert_eq!((result.copied, result.skipped), (1, 3));
        result.success().unwrap();
    }
    for result in ends
        .both_ways("tree", "followed", |t| recursive(t).symlinks(Symlinks::Follow))
        .await
    {
        // The loop, once for each name of its directory.
        assert_eq!(result.failed, 2, "{:?}", result.failures);
        assert!(
            result.failures[0]
                .error()
                .unwrap()
                .to_string()
                .contains("a directory that it lies in")
        );
    }
    for (_, target) in ends.sides() {
        assert_eq!(fs::read(target.join("followed/to-file")).unwrap(), b"x");
        assert_eq!(fs::read(target.join("followed/to-directory/file")).unwrap(), b"x");
        assert!(
            !fs::symlink_metadata(target.join("followed/to-file"))
                .unwrap()
                .is_symlink()
        );
    }
}

#[tokio::test]
async fn a_target_that_is_a_link_is_followed() {
    let ends = Ends::new().await;
    for (side, _) in ends.sides() {
        fs::write(side.join("source"), "new").unwrap();
        fs::create_dir(side.join("real")).unwrap();
        fs::write(side.join("real/file"), "old").unwrap();
        symlink("real/file", side.join("link")).unwrap();
        symlink("nowhere", side.join("dangling")).unwrap();
    }
    for result in ends.both_ways("source", "link", |transfer| transfer).await {
        result.success().unwrap();
    }
    for result in ends.both_ways("source", "dangling", |transfer| transfer).await {
        let error = result.success().unwrap_err();
        assert!(error.to_string().contains("leads nowhere"), "{error}");
    }
    for (_, target) in ends.sides() {
        assert_eq!(fs::read(target.join("real/file")).unwrap(), b"new");
        assert!(fs::symlink_metadata(target.join("link")).unwrap().is_symlink());
        assert_eq!(names(&target.join("real")), ["file"]);
    }
}

#[tokio::test]
async fn what_cannot_be_copied_is_told_and_the_rest_goes_on() {
    let ends = Ends::new().await;
    for (side, other) in ends.sides() {
        let root = side.join("tree");
        fs::create_dir_all(root.join("is-file-there")).unwrap();
        fs::write(root.join("is-file-there/x"), "x").unwrap();
        fs::write(root.join("is-directory-there"), "x").unwrap();
        fs::write(root.join("good"), "x").unwrap();
        fs::create_dir_all(other.join("target/tree/is-directory-there")).unwrap();
        fs::write(other.join("target/tree/is-file-there"), "mine").unwrap();
        let socket = std::os::unix::net::UnixListener::bind(root.join("socket"));
        drop(socket.unwrap());
    }
    for result in ends
        .both_ways("tree", "target", |transfer| transfer.recursive(true))
        .await
    {
        assert_eq!((result.copied, result.failed, result.skipped), (1, 2, 1));
        let error = result.success().unwrap_err().to_string();
        assert!(error.starts_with("2 files failed; the first: "), "{error}");
    }
    for (_, target) in ends.sides() {
        assert_eq!(fs::read(target.join("target/tree/good")).unwrap(), b"x");
        assert_eq!(
            fs::read(target.join("target/tree/is-file-there")).unwrap(),
            b"mine"
        );
    }
    // One that does not exist touches nothing on the other side.
    for (_, target) in ends.sides() {
        fs::write(target.join("kept"), "kept").unwrap();
    }
    for result in ends.both_ways("missing", "kept", |transfer| transfer).await {
        let error = result.success().unwrap_err();
        assert!(error.to_string().contains("there is no"), "{error}");
    }
    for (_, target) in ends.sides() {
        assert_eq!(fs::read(target.join("kept")).unwrap(), b"kept");
    }
    for result in ends.both_ways("tree", "tree2", |transfer| transfer).await {
        let error = result.success().unwrap_err();
        assert!(error.to_string().ends_with("is a directory"), "{error}");
        assert!(error.hint().contains("recursive"));
    }
}

#[tokio::test]
async fn a_filter_leaves_files_out_and_protects_them_from_removal() {
    let ends = Ends::new().await;
    for (side, other) in ends.sides() {
        for path in [
            "tree/keep",
            "tree/cache/x",
            "tree/a.o",
            "tree/sub/b.o",
            "tree/sub/keep",
        ] {
            let path = side.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        for path in [
            "mirror/tree/old",
            "mirror/tree/olddir/x",
            "mirror/tree/own.o",
            "mirror/tree/cache/mine",
        ] {
            let path = other.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
    }
    let filter = Filter::new().exclude("*.o").unwrap().exclude("cache/").unwrap();
    let mirror = |transfer: Transfer| transfer.recursive(true).delete(true).filter(filter.clone());
    for result in ends
        .both_ways("tree", "mirror", |t| mirror(t).dry_run(true))
        .await
    {
        assert_eq!(
            (result.copied, result.skipped, result.removed, result.bytes),
            (2, 3, 2, 0)
        );
        result.success().unwrap();
    }
    for (_, target) in ends.sides() {
        assert_eq!(
            names(&target.join("mirror/tree")),
            ["cache", "old", "olddir", "own.o"]
        );
    }
    for result in ends.both_ways("tree", "mirror", mirror).await {
        assert_eq!((result.copied, result.skipped, result.removed), (2, 3, 2));
        result.success().unwrap();
    }
    for (_, target) in ends.sides() {
        assert_eq!(
            names(&target.join("mirror/tree")),
            ["cache", "keep", "own.o", "sub"]
        );
        assert_eq!(names(&target.join("mirror/tree/sub")), ["keep"]);
        assert_eq!(names(&target.join("mirror/tree/cache")), ["mine"]);
    }
}

#[tokio::test]
async fn nothing_is_removed_after_a_failure_from_an_empty_source_or_through_a_link() {
    let ends = Ends::new().await;
    for (side, other) in ends.sides() {
        fs::create_dir_all(side.join("empty")).unwrap();
        fs::create_dir_all(side.join("one")).unwrap();
        fs::write(side.join("one/bad"), "x").unwrap();
        fs::create_dir_all(other.join("kept")).unwrap();
        fs::write(other.join("kept/precious"), "x").unwrap();
        fs::create_dir_all(other.join("mirror/bad")).unwrap();
        fs::write(other.join("mirror/surplus"), "x").unwrap();
        symlink("../kept", other.join("mirror/link")).unwrap();
    }
    let mirror = |transfer: Transfer| transfer.recursive(true).delete(true);
    for result in ends.both_ways("empty/.", "mirror", mirror).await {
        let error = result.success().unwrap_err();
        assert!(error.to_string().contains("holds nothing to copy"), "{error}");
    }
    for result in ends.both_ways("one/.", "mirror", mirror).await {
        assert_eq!(result.removed, 0);
        assert!(!result.ok());
    }
    for (_, target) in ends.sides() {
        assert_eq!(names(&target.join("mirror")), ["bad", "link", "surplus"]);
    }
    for result in ends
        .both_ways("empty/.", "mirror", |t| mirror(t).allow_empty(true))
        .await
    {
        assert_eq!(result.removed, 3);
        result.success().unwrap();
    }
    for (_, target) in ends.sides() {
        assert_eq!(names(&target.join("mirror")), Vec::<String>::new());
        assert_eq!(names(&target.join("kept")), ["precious"]);
    }
}

#[tokio::test]
async fn an_interrupted_file_is_resumed_after_its_part_was_compared() {
    let ends = Ends::new().await;
    let whole = content(3_000_000);
    for (part, moved) in [
        // A good beginning, a spoilt one, one that is too long, and one that is complete.
        (whole[..1_000_000].to_vec(), 2_000_000),
        ([b"spoilt", &whole[6..1_000_000]].concat(), 3_000_000),
        ([&whole[..], b"more"].concat(), 0),
        (whole.clone(), 0),
    ] {
        for (source, target) in ends.sides() {
            fs::write(source.join("source"), &whole).unwrap();
            fs::write(target.join("copy"), "old").unwrap();
            fs::write(target.join(".copy.aaaaaaaaaaaaaaaa.sternline-part"), &part).unwrap();
            fs::write(target.join(".copy.bbbbbbbbbbbbbbbb.sternline-part"), "short").unwrap();
            fs::write(target.join(".copied.aaaaaaaaaaaaaaaa.sternline-part"), "other").unwrap();
        }
        for result in ends
            .both_ways("source", "copy", |t| t.resume(true).checksum(true))
            .await
        {
            assert_eq!(result.bytes, moved);
            result.success().unwrap();
        }
        for (_, target) in ends.sides() {
            assert!(fs::read(target.join("copy")).unwrap() == whole);
            assert_eq!(
                names(target),
                [".copied.aaaaaaaaaaaaaaaa.sternline-part", "copy", "source"]
            );
        }
    }
}

#[tokio::test]
async fn what_is_unchanged_is_skipped_by_size_and_time_or_by_content() {
    let ends = Ends::new().await;
    for (side, _) in ends.sides() {
        fs::create_dir(side.join("tree")).unwrap();
        fs::write(side.join("tree/file"), "same").unwrap();
    }
    let copy = |transfer: Transfer| transfer.recursive(true).preserve(true).skip_unchanged(true);
    let skipped = Arc::new(Mutex::new(Vec::new()));
    for (touched, checksum, expected) in [
        (false, false, 1),
        (false, false, 0),
        (true, true, 0),
        (true, false, 1),
    ] {
        if touched {
            for (side, _) in ends.sides() {
                let file = fs::File::options()
                    .append(true)
                    .open(side.join("tree/file"))
                    .unwrap();
                file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
            }
        }
        let told = Arc::clone(&skipped);
        let results = ends
            .both_ways("tree/.", "copy", |t| {
                let told = Arc::clone(&told);
                copy(t).checksum(checksum).on_event(move |event| {
                    if let TransferEvent::Ended { result, .. } = event
                        && let FileOutcome::Skipped(reason) = result.outcome
                    {
                        told.lock().unwrap().push(reason);
                    }
                })
            })
            .await;
        for result in results {
            assert_eq!(result.copied, expected, "{touched} {checksum}");
            result.success().unwrap();
        }
    }
    assert_eq!(*skipped.lock().unwrap(), [SkipReason::Unchanged; 4]);
}

#[tokio::test]
async fn content_comes_from_memory_and_streams_and_goes_to_them() {
    let ends = Ends::new().await;
    let content = content(700_000);
    let target = ends.there.join("file");
    for source in [
        Source::bytes("name", content.clone()),
        Source::stream("name", std::io::Cursor::new(content.clone())),
    ] {
        let result = ends.connection.upload(source, &target).await.unwrap();
        assert_eq!(result.bytes, 700_000);
        let result = ends.connection.download(&target, Target::Memory).await.unwrap();
        assert!(result.content.unwrap() == content);
        fs::remove_file(&target).unwrap();
    }
    let (ours, theirs) = tokio::io::duplex(10_000);
    fs::write(&target, &content).unwrap();
    let reading = tokio::spawn(async move {
        let mut all = Vec::new();
        let mut theirs = theirs;
        tokio::io::AsyncReadExt::read_to_end(&mut theirs, &mut all)
            .await
            .unwrap();
        all
    });
    ends.connection
        .download(&target, Target::stream(ours))
        .await
        .unwrap();
    assert!(reading.await.unwrap() == content);
}

#[tokio::test]
async fn several_sources_and_patterns_go_into_a_directory_that_is_made_for_them() {
    let ends = Ends::new().await;
    for name in ["a.log", "b.log", ".hidden.log", "c.txt"] {
        fs::write(ends.there.join(name), name).unwrap();
    }
    let transfer = Transfer::download(ends.there.join("*.log"), ends.here.join("new/logs"))
        .source(ends.there.join("c.txt"))
        .glob(true);
    ends.connection.transfer(transfer).await.success().unwrap();
    assert_eq!(names(&ends.here.join("new/logs")), ["a.log", "b.log", "c.txt"]);
    let nothing = Transfer::download(ends.there.join("*.none"), &ends.here).glob(true);
    let error = ends.connection.transfer(nothing).await.success().unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Invalid);
    assert!(error.to_string().contains("matches"), "{error}");
}

#[tokio::test]
async fn files_go_from_one_server_to_another_through_this_machine() {
    let (from, to) = (Ends::new().await, Ends::new().await);
    fs::create_dir(from.there.join("tree")).unwrap();
    fs::write(from.there.join("tree/large"), content(2_000_000)).unwrap();
    fs::write(from.there.join("tree/small"), "x").unwrap();
    let transfer = Transfer::download(from.there.join("tree"), to.there.join("tree")).recursive(true);
    let result = from.connection.transfer_to(&to.connection, transfer).await;
    assert_eq!(result.copied, 2);
    result.success().unwrap();
    assert_eq!(tree(&to.there.join("tree")), tree(&from.there.join("tree")));
}

#[tokio::test]
async fn a_sparse_file_stays_sparse() {
    let ends = Ends::new().await;
    for (side, _) in ends.sides() {
        let file = fs::File::create(side.join("source")).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, b"middle", 20_000_000).unwrap();
        file.set_len(40_000_000).unwrap();
    }
    for result in ends
        .both_ways("source", "copy", |transfer| transfer.checksum(true))
        .await
    {
        result.success().unwrap();
    }
    for (source, target) in ends.sides() {
        assert!(fs::read(target.join("copy")).unwrap() == fs::read(source.join("source")).unwrap());
        let room = fs::metadata(target.join("copy")).unwrap().blocks() * 512;
        assert!(room < 1_000_000, "{room} bytes on disk");
    }
}

/// Three names for one server.
fn fleet(server: &Sshd) -> Fleet {
    let (known, key, user) = (server.known_hosts(), server.key(), server.user().name.clone());
    let line = fs::read_to_string(&known).unwrap();
    let port = server.port();
    let hosts = ["127.0.0.1", "127.0.0.2", "127.0.0.3"];
    let all: String = hosts
        .iter()
        .map(|host| line.replace("[127.0.0.1]", &format!("[{host}]")))
        .collect();
    fs::write(&known, all).unwrap();
    Fleet::new(hosts.map(|host| format!("{user}@{host}:{port}")))
        .configure(move |_, builder| builder.known_hosts([known.clone()]).client_keys([key.clone()]))
}

#[tokio::test]
async fn files_of_several_hosts_lie_side_by_side_and_one_that_fails_keeps_none_from_going_on() {
    let ends = Ends::new().await;
    fs::write(ends.there.join("app.log"), "log").unwrap();
    fs::create_dir(ends.there.join("conf")).unwrap();
    fs::write(ends.there.join("conf/a"), "a").unwrap();
    let fleet = fleet(&ends.server);
    let target = ends.here.join("app.log");
    for result in fleet
        .transfer(Transfer::download(ends.there.join("app.log"), &target))
        .await
        .unwrap()
    {
        result.success().unwrap();
    }
    fs::create_dir(ends.here.join("all")).unwrap();
    let conf = Transfer::download(ends.there.join("conf"), ends.here.join("all")).recursive(true);
    for result in fleet.transfer(conf).await.unwrap() {
        result.success().unwrap();
    }
    let hosts = ["127.0.0.1", "127.0.0.2", "127.0.0.3"];
    let mut expected: Vec<String> = hosts.map(|host| format!("app.log.{host}")).to_vec();
    expected.insert(0, "all".to_owned());
    assert_eq!(names(&ends.here), expected);
    assert_eq!(
        names(&ends.here.join("all")),
        hosts.map(|host| format!("conf.{host}"))
    );
    assert_eq!(fs::read(ends.here.join("all/conf.127.0.0.2/a")).unwrap(), b"a");

    // One host whose target is in the way.
    fs::remove_file(ends.here.join("app.log.127.0.0.2")).unwrap();
    fs::create_dir(ends.here.join("app.log.127.0.0.2")).unwrap();
    let results = fleet
        .transfer(Transfer::download(ends.there.join("app.log"), &target))
        .await
        .unwrap();
    assert_eq!(
        results.iter().map(TransferResult::ok).collect::<Vec<_>>(),
        [true, false, true]
    );
    assert!(results[1].host.contains("127.0.0.2"));
}

#[tokio::test]
async fn a_pipe_is_read_once_and_arrives_everywhere() {
    let ends = Ends::new().await;
    let pipe = ends.here.join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    // All at once, and one after the other.
    for parallel in [3, 1] {
        let content = content(3_000_000 + parallel);
        let writing = {
            let (pipe, content) = (pipe.clone(), content.clone());
            std::thread::spawn(move || fs::write(pipe, content).unwrap())
        };
        let names = ["127.0.0.1", "127.0.0.2", "127.0.0.3"];
        let (source, there) = (pipe.clone(), ends.there.clone());
        let mut run = fleet(&ends.server)
            .parallel(parallel)
            .start_transfer(move |index| Transfer::upload(&source, there.join(names[index])))
            .unwrap();
        while let Some((_, result)) = run.next().await {
            assert_eq!(result.bytes, content.len() as u64);
            result.success().unwrap();
        }
        writing.join().unwrap();
        for name in names {
            assert!(fs::read(ends.there.join(name)).unwrap() == content);
        }
    }
}

#[tokio::test]
async fn a_cancelled_transfer_leaves_the_old_file_and_nothing_else() {
    let ends = Ends::new().await;
    for (side, _) in ends.sides() {
        fs::write(side.join("source"), content(5_000_000)).unwrap();
        fs::write(side.join("copy"), "old").unwrap();
    }
    for resume in [false, true] {
        for (source, target, upload) in [(&ends.here, &ends.there, true), (&ends.there, &ends.here, false)] {
            let (source, copy) = (source.join("source"), target.join("copy"));
            let canceller = TransferCanceller::new();
            let cancel = canceller.clone();
            let transfer = if upload {
                Transfer::upload(source, copy)
            } else {
                Transfer::download(source, copy)
            };
            let transfer = transfer
                .resume(resume)
                .limit(2_000_000)
                .cancelled_by(&canceller)
                .on_event(move |event| {
                    if matches!(event, TransferEvent::Progress { .. }) {
                        cancel.cancel();
                    }
                });
            let error = ends.connection.transfer(transfer).await.success().unwrap_err();
            assert_eq!(error.kind(), &ErrorKind::Cancelled);
            assert_eq!(fs::read(target.join("copy")).unwrap(), b"old");
            // What is kept is kept for another time.
            assert_eq!(
                names(target).len(),
                if resume { 3 } else { 2 },
                "{:?}",
                names(target)
            );
        }
    }
    for result in ends
        .both_ways("source", "copy", |transfer| transfer.resume(true))
        .await
    {
        assert!(result.bytes < 5_000_000);
        result.success().unwrap();
    }
    for (source, target) in ends.sides() {
        assert!(fs::read(target.join("copy")).unwrap() == fs::read(source.join("source")).unwrap());
        assert_eq!(names(target), ["copy", "source"]);
    }
}

#[tokio::test]
async fn many_large_files_do_not_wait_for_each_other_for_ever() {
    const FILES: usize = 16;
    let ends = Ends::new().await;
    for (side, _) in ends.sides() {
        fs::create_dir(side.join("tree")).unwrap();
        for index in 0..FILES {
            fs::write(side.join(format!("tree/{index}")), content(700_000 + index)).unwrap();
        }
    }
    let copying = ends.both_ways("tree", "copy", |transfer| transfer.recursive(true));
    for result in timeout(Duration::from_secs(60), copying).await.unwrap() {
        result.success().unwrap();
    }
    for (source, target) in ends.sides() {
        for index in 0..FILES {
            let copied = fs::read(target.join(format!("copy/{index}"))).unwrap();
            assert!(
                copied == fs::read(source.join(format!("tree/{index}"))).unwrap(),
                "{index}"
            );
        }
    }
}

#[tokio::test]
async fn large_files_that_are_gone_on_with_and_compared_do_not_wait_for_each_other() {
    const FILES: u64 = 3;
    // So large that a server hashes it in a session of its own.
    const LENGTH: usize = 6_000_000;
    let ends = Ends::new().await;
    fs::create_dir(ends.there.join("tree")).unwrap();
    fs::create_dir(ends.here.join("copy")).unwrap();
    for index in 0..FILES {
        fs::write(ends.there.join(format!("tree/{index}")), content(LENGTH)).unwrap();
    }
    let download = || {
        Transfer::download(ends.there.join("tree/."), ends.here.join("copy"))
            .recursive(true)
            .resume(true)
            .checksum(true)
    };
    let canceller = TransferCanceller::new();
    let cancel = canceller.clone();
    let begun = Mutex::new(BTreeSet::new());
    let broken_off = download().cancelled_by(&canceller).on_event(move |event| {
        if let TransferEvent::Progress { file, .. } = event {
            let mut begun = begun.lock().unwrap();
            begun.insert(*file);
            if begun.len() as u64 == FILES {
                cancel.cancel();
            }
        }
    });
    let broken_off = ends.connection.transfer(broken_off).await;
    assert_eq!(broken_off.success().unwrap_err().kind(), &ErrorKind::Cancelled);
    let result = timeout(Duration::from_secs(60), ends.connection.transfer(download()));
    let result = result.await.unwrap();
    assert!(result.bytes < FILES * LENGTH as u64, "{}", result.bytes);
    result.success().unwrap();
    for index in 0..FILES {
        assert!(fs::read(ends.here.join(format!("copy/{index}"))).unwrap() == content(LENGTH));
    }
    assert_eq!(names(&ends.here.join("copy")).len() as u64, FILES);
}

#[tokio::test]
async fn a_pipe_of_the_server_is_written_to_in_order() {
    let ends = Ends::new().await;
    let pipe = ends.there.join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let all = content(1_000_000);
    fs::write(ends.here.join("source"), &all).unwrap();
    let read = tokio::task::spawn_blocking({
        let pipe = pipe.clone();
        move || fs::read(pipe)
    });
    let upload = Transfer::upload(ends.here.join("source"), &pipe);
    let result = ends.connection.transfer(upload).await;
    assert_eq!(result.warnings.len(), 1, "{:?}", result.warnings);
    assert!(
        result.warnings[0].contains("no regular file"),
        "{:?}",
        result.warnings
    );
    result.success().unwrap();
    assert!(read.await.unwrap().unwrap() == all);
    assert_eq!(names(&ends.there), ["pipe"]);
}

#[tokio::test]
async fn small_files_keep_the_rate_together() {
    const FILES: usize = 40;
    const BYTES_PER_SECOND: u64 = 1_000_000;
    let ends = Ends::new().await;
    for (side, _) in ends.sides() {
        fs::create_dir(side.join("tree")).unwrap();
        for index in 0..FILES {
            fs::write(side.join(format!("tree/{index}")), content(10_000)).unwrap();
        }
    }
    for result in ends
        .both_ways("tree", "copy", |transfer| {
            transfer.recursive(true).limit(BYTES_PER_SECOND)
        })
        .await
    {
        // What is moved last has its time afterwards.
        let least = Duration::from_millis(390);
        assert!(result.duration >= least, "{:?}", result.duration);
        assert_eq!(result.copied, FILES as u64);
        result.success().unwrap();
    }
}

#[tokio::test]
async fn many_small_files_go_together_over_a_long_way() {
    let ends = Ends::new().await;
    let proxy = FaultProxy::start(([127, 0, 0, 1], ends.server.port()).into())
        .await
        .unwrap();
    proxy.faults().set("latency:5ms".parse::<Fault>().unwrap());
    let port = proxy.addr().port();
    let known = ends.here.with_file_name("known_hosts_of_the_proxy");
    let key = ends.server.known_hosts_line("ed25519");
    fs::write(
        &known,
        key.replace(&ends.server.port().to_string(), &port.to_string()),
    )
    .unwrap();
    let user = &ends.server.user().name;
    let far = Connection::builder(format!("{user}@127.0.0.1:{port}"))
        .known_hosts([known])
        .client_keys([ends.server.key()]);
    let far = far.connect().await.unwrap();
    for (side, _) in ends.sides() {
        let root = side.join("tree");
        for directory in ["a", "a/b", "-c", "a/ 'q'\n\"", "ro"] {
            fs::create_dir_all(root.join(directory)).unwrap();
            for file in 0..80 {
                fs::write(
                    root.join(directory).join(format!("-f {file}\n*")),
                    content(file * 17),
                )
                .unwrap();
            }
        }
        let long = "x".repeat(200);
        fs::create_dir_all(root.join(&long)).unwrap();
        fs::write(root.join(&long).join(&long), "long").unwrap();
        fs::write(root.join("a/larger"), content(300_000)).unwrap();
        set_mode(&root.join("a/b/-f 7\n*"), 0o4751);
        fs::File::open(root.join("a/b"))
            .unwrap()
            .set_modified(SystemTime::UNIX_EPOCH)
            .unwrap();
        set_mode(&root.join("ro"), 0o555);
    }
    for (upload, preserve) in [(true, true), (false, true), (true, false), (false, false)] {
        let (from, to) = if upload {
            (&ends.here, &ends.there)
        } else {
            (&ends.there, &ends.here)
        };
        let target = to.join(if preserve { "kept" } else { "plain" });
        let transfer = if upload {
            Transfer::upload(from.join("tree"), &target)
        } else {
            Transfer::download(from.join("tree"), &target)
        };
        let transfer = transfer.recursive(true).preserve(preserve);
        let result = far.transfer(transfer.clone()).await;
        assert_eq!((result.copied, result.failed), (402, 0), "{:?}", result.failures);
        let (source, copy) = (tree(&from.join("tree")), tree(&target));
        if preserve {
            assert_eq!(copy, source);
            let modified = |path: &str| fs::metadata(target.join(path)).unwrap().modified().unwrap();
            assert_eq!(modified("a/b"), SystemTime::UNIX_EPOCH);
            let seconds = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
            let original = fs::metadata(from.join("tree/a/b/-f 7\n*"))
                .unwrap()
                .modified()
                .unwrap();
            assert_eq!(seconds(modified("a/b/-f 7\n*")), seconds(original));
        } else {
            assert_eq!(copy.len(), source.len());
            assert!(
                copy["a/b/-f 7\n*"].starts_with("file 751 119 "),
                "{}",
                copy["a/b/-f 7\n*"]
            );
        }
        // Half of it is gone, and copied again, into what is there now.
        fs::remove_dir_all(target.join("a")).unwrap();
        let again = if upload {
            Transfer::upload(from.join("tree/."), &target)
        } else {
            Transfer::download(from.join("tree/."), &target)
        };
        let result = far.transfer(again.recursive(true).preserve(preserve)).await;
        assert_eq!((result.copied, result.failed), (402, 0), "{:?}", result.failures);
        let left: Vec<_> = tree(&target)
            .into_keys()
            .filter(|name| name.contains("sternline-part"))
            .collect();
        assert_eq!(left, Vec::<String>::new());
    }
}

#[tokio::test]
async fn an_access_control_list_stays_with_the_file_that_has_it() {
    let ends = Ends::new().await;
    let acl = |path: &Path| {
        let shown = Command::new("getfacl").args(["-cnp"]).arg(path).output().unwrap();
        String::from_utf8(shown.stdout).unwrap()
    };
    for (side, _) in ends.sides() {
        fs::create_dir_all(side.join("tree")).unwrap();
        fs::create_dir_all(side.join("copy")).unwrap();
        for name in ["tree/file", "copy/file", "tree/plain", "copy/plain"] {
            fs::write(side.join(name), name).unwrap();
        }
        let set = Command::new("setfacl")
            .args(["-m", "u:12345:rw-"])
            .arg(side.join("copy/file"))
            .status();
        assert!(set.unwrap().success());
    }
    let before = acl(&ends.there.join("copy/file"));
    assert!(before.contains("user:12345:rw-"), "{before}");
    for (source, how) in [("tree/.", "copy"), ("tree/file", "copy/file")] {
        for result in ends
            .both_ways(source, how, |transfer| transfer.recursive(true))
            .await
        {
            result.success().unwrap();
        }
        for (_, target) in ends.sides() {
            assert_eq!(acl(&target.join("copy/file")), before, "{source}");
            assert_eq!(fs::read(target.join("copy/file")).unwrap(), b"tree/file");
            assert!(!acl(&target.join("copy/plain")).contains("12345"));
        }
    }
}
