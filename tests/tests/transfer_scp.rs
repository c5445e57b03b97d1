//! Transfers by scp's old protocol: with OpenSSH's scp behind a shell, on an appliance that has nothing else, and with
//! servers that break the protocol.

mod server_support;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use server_support::files::Served;
use sternline::transfer::{FileOutcome, Filter, SkipReason, Source, StatusCode, Symlinks, Target, Way};
use sternline::{Connection, Error, ErrorKind, Transfer, TransferResult};
use sternline_tests::sshd::{Settings, Sshd};
use tokio::time::timeout;

/// A server without SFTP, a connection to it, and two empty directories: what is here, and what is there.
struct Ends {
    _server: Sshd,
    connection: Connection,
    here: PathBuf,
    there: PathBuf,
}

impl Ends {
    /// With a POSIX shell, through which scp is asked for although there is better.
    async fn shell() -> Self {
        Self::new(Settings::default()).await
    }

    /// With a command line that knows `scp` and nothing else, and takes no quotes off.
    async fn appliance() -> Self {
        let cli = "ForceCommand case \"$SSH_ORIGINAL_COMMAND\" in scp\\ *) set -f; exec $SSH_ORIGINAL_COMMAND;; \
                   *) echo '% Invalid input detected'; exit 1;; esac";
        Self::new(Settings::default().option(cli)).await
    }

    async fn hostile(how: &str) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/python/hostile_scp.py");
        let cli = format!("ForceCommand exec python3 {script} {how}");
        Self::new(Settings::default().option(&cli)).await
    }

    async fn new(settings: Settings) -> Self {
        let server = settings.option("#Subsystem none").start();
        let connection = server.builder().connect().await.unwrap();
        let (here, there) = (server.path("here"), server.path("there"));
        fs::create_dir(&here).unwrap();
        fs::create_dir(&there).unwrap();
        Self {
            _server: server,
            connection,
            here,
            there,
        }
    }

    async fn run(&self, transfer: Transfer) -> TransferResult {
        let run = self.connection.transfer(transfer);
        timeout(Duration::from_secs(60), run).await.unwrap()
    }

    async fn by_scp(&self, transfer: Transfer) -> TransferResult {
        self.run(transfer.way(Way::Scp)).await
    }

    fn names_here(&self) -> Vec<String> {
        names(&self.here)
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn failure(result: &TransferResult) -> Error {
    let failed = result.failures.first().map(|failed| match &failed.outcome {
        FileOutcome::Failed(error) => error.clone(),
        other => panic!("{other:?}"),
    });
    failed
        .or_else(|| result.error.clone())
        .unwrap_or_else(|| panic!("{result:?}"))
}

fn set(path: &Path, mode: u32, mtime: u64) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(mtime);
    fs::File::open(path).unwrap().set_modified(time).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_goes_there_and_back_with_its_modes_and_times() {
    let ends = Ends::shell().await;
    let tree = ends.here.join("tree");
    fs::create_dir_all(tree.join("sub/empty")).unwrap();
    let names = [
        &b"a b"[..],
        b"it's",
        b"caf\xe9",
        b"$(x) *",
        b"-rf",
        b"~",
        b".hidden",
        b"!!",
        b"\x1b[2J",
    ];
    for (index, name) in names.iter().enumerate() {
        let path = tree.join("sub").join(OsStr::from_bytes(name));
        fs::write(&path, vec![index as u8; index * 100_000]).unwrap();
        set(&path, 0o4700 + index as u32, 1_000_000_000 + index as u64);
    }
    set(&tree.join("sub/empty"), 0o500, 1_100_000_000);
    set(&tree.join("sub"), 0o750, 1_200_000_000);
    let up = Transfer::upload(&tree, ends.there.join("copy '1'"))
        .recursive(true)
        .preserve(true);
    let result = ends.by_scp(up).await.success().unwrap();
    assert_eq!(result.copied, names.len() as u64);
    assert!(
        result.warnings[0].contains("writes in place"),
        "{:?}",
        result.warnings
    );
    let down = Transfer::download(ends.there.join("copy '1'"), ends.here.join("back"))
        .recursive(true)
        .preserve(true);
    let result = ends.by_scp(down).await.success().unwrap();
    assert_eq!((result.copied, result.directories), (names.len() as u64, 3));
    assert_eq!(result.warnings, [""; 0]);
    for copy in [ends.there.join("copy '1'"), ends.here.join("back")] {
        for (index, name) in names.iter().enumerate() {
            let path = copy.join("sub").join(OsStr::from_bytes(name));
            assert_eq!(fs::read(&path).unwrap(), vec![index as u8; index * 100_000]);
            let meta = fs::metadata(&path).unwrap();
            assert_eq!(meta.mode() & 0o7777, 0o4700 + index as u32, "{path:?}");
            assert_eq!(meta.mtime(), 1_000_000_000 + index as i64);
        }
        let meta = fs::metadata(copy.join("sub")).unwrap();
        assert_eq!((meta.mode() & 0o7777, meta.mtime()), (0o750, 1_200_000_000));
        assert_eq!(
            fs::metadata(copy.join("sub/empty")).unwrap().mode() & 0o7777,
            0o500
        );
    }
    assert_eq!(
        names_of_both(&ends),
        (vec!["back".into(), "tree".into()], vec!["copy '1'".into()])
    );
}

fn names_of_both(ends: &Ends) -> (Vec<String>, Vec<String>) {
    (names(&ends.here), names(&ends.there))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_appliance_with_nothing_but_scp_is_served_by_itself() {
    let ends = Ends::appliance().await;
    fs::write(ends.here.join("startup.cfg"), "hostname r1\n").unwrap();
    let there = ends.there.join("startup.cfg");
    let result = ends
        .connection
        .upload(ends.here.join("startup.cfg"), &there)
        .await
        .unwrap();
    assert!(result.warnings[0].contains("writes in place"));
    assert_eq!(fs::read(&there).unwrap(), b"hostname r1\n");
    let back = ends.connection.download(&there, Target::Memory).await.unwrap();
    assert_eq!(back.content.unwrap(), "hostname r1\n");
    ends.connection
        .download(&there, ends.here.join("back"))
        .await
        .unwrap();
    assert_eq!(fs::read(ends.here.join("back")).unwrap(), b"hostname r1\n");
    let bytes = Transfer::upload(Source::bytes("motd", "hello"), ends.there.join(""));
    ends.run(bytes).await.success().unwrap();
    assert_eq!(fs::read(ends.there.join("motd")).unwrap(), b"hello");

    // What would arrive as something else is refused before anything is sent.
    for path in ["a b", "$(reboot)", "*"] {
        let error = failure(
            &ends
                .run(Transfer::upload(ends.here.join("back"), ends.there.join(path)))
                .await,
        );
        assert!(error.to_string().contains("only scp and no shell"), "{error}");
        let error = failure(
            &ends
                .run(Transfer::download(ends.there.join(path), Target::Memory))
                .await,
        );
        assert!(error.to_string().contains("only scp and no shell"), "{error}");
    }
    // What scp cannot do is refused as well, with the way that is missing.
    let resume = Transfer::upload(ends.here.join("back"), &there).resume(true);
    let error = failure(&ends.run(resume).await);
    assert!(error.to_string().contains("need SFTP or a shell"), "{error}");
    assert!(error.to_string().contains("no sftp subsystem"), "{error}");
    assert_eq!(names(&ends.there), ["motd", "startup.cfg"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_server_takes_files_by_scp_without_any_shell() {
    let served = Served::start().await;
    let connection = served.connect().await;
    let (tree, back) = (served.local("tree"), served.local("back"));
    fs::create_dir_all(tree.join("sub")).unwrap();
    fs::write(tree.join("sub/a b"), vec![3; 300_000]).unwrap();
    fs::write(tree.join("c"), "c").unwrap();
    for transfer in [
        Transfer::upload(&tree, "/tree"),
        Transfer::download("/tree", &back),
    ] {
        let result = connection.transfer(transfer.recursive(true).way(Way::Scp)).await;
        assert_eq!(result.success().unwrap().copied, 2);
    }
    assert_eq!(served.files.file("/tree/sub/a b").unwrap().content.len(), 300_000);
    assert_eq!(fs::read(back.join("sub/a b")).unwrap(), vec![3; 300_000]);
    assert_eq!(fs::read(back.join("c")).unwrap(), b"c");
}

#[tokio::test(flavor = "multi_thread")]
async fn modes_follow_the_umask_unless_one_is_asked_for() {
    let ends = Ends::shell().await;
    let (source, there) = (ends.here.join("x"), ends.there.join("x"));
    fs::write(&source, "x").unwrap();
    set(&source, 0o777, 1_000_000_000);
    let mode = || fs::metadata(&there).unwrap().mode() & 0o7777;
    ends.by_scp(Transfer::upload(&source, &there))
        .await
        .success()
        .unwrap();
    assert_eq!(mode(), 0o755);
    assert_ne!(fs::metadata(&there).unwrap().mtime(), 1_000_000_000);
    ends.by_scp(Transfer::upload(&source, &there).mode(0o666))
        .await
        .success()
        .unwrap();
    assert_eq!(mode(), 0o666);
    let back = ends.here.join("back");
    ends.by_scp(Transfer::download(&there, &back).mode(0o640))
        .await
        .success()
        .unwrap();
    assert_eq!(fs::metadata(&back).unwrap().mode() & 0o7777, 0o640);
}

#[tokio::test(flavor = "multi_thread")]
async fn links_devices_and_what_is_excluded_stay_out_and_the_rest_goes_on() {
    let ends = Ends::shell().await;
    let tree = ends.here.join("tree");
    fs::create_dir_all(tree.join("skipped/deep")).unwrap();
    fs::write(tree.join("kept"), "kept").unwrap();
    fs::write(tree.join("kept.tmp"), "out").unwrap();
    fs::write(tree.join("new\nline"), "never").unwrap();
    fs::write(tree.join("skipped/deep/x"), "out").unwrap();
    symlink("kept", tree.join("link")).unwrap();
    symlink(".", tree.join("loop")).unwrap();
    let filter = || {
        let filter = Filter::new().exclude("*.tmp").unwrap();
        filter.exclude("skipped").unwrap()
    };
    let up = |links| {
        Transfer::upload(&tree, ends.there.join("copy"))
            .recursive(true)
            .filter(filter())
            .symlinks(links)
    };
    let result = ends.by_scp(up(Symlinks::Follow)).await;
    // Its name cannot be written in scp's protocol, and the loop has no end.
    assert_eq!(
        (result.copied, result.skipped, result.failed),
        (2, 2, 2),
        "{result:?}"
    );
    assert_eq!(names(&ends.there.join("copy")), ["kept", "link"]);
    assert!(
        fs::symlink_metadata(ends.there.join("copy/link"))
            .unwrap()
            .is_file()
    );
    let result = ends.by_scp(up(Symlinks::Keep)).await;
    assert_eq!((result.copied, result.failed), (1, 3));
    let result = ends.by_scp(up(Symlinks::Skip)).await;
    assert_eq!((result.copied, result.skipped, result.failed), (1, 4, 1));

    fs::create_dir_all(ends.there.join("tree/skipped")).unwrap();
    fs::write(ends.there.join("tree/skipped/x"), vec![1; 300_000]).unwrap();
    fs::write(ends.there.join("tree/kept"), "kept").unwrap();
    let skipped = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = std::sync::Arc::clone(&skipped);
    let down = Transfer::download(ends.there.join("tree"), ends.here.join("down"))
        .recursive(true)
        .filter(filter())
        .on_event(move |event| {
            if let sternline::transfer::TransferEvent::Ended { result, .. } = event
                && let FileOutcome::Skipped(reason) = result.outcome
            {
                seen.lock().unwrap().push(reason);
            }
        });
    ends.by_scp(down).await.success().unwrap();
    assert_eq!(names(&ends.here.join("down")), ["kept"]);
    assert_eq!(*skipped.lock().unwrap(), [SkipReason::Excluded]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_file_touches_nothing_here_and_others_are_still_fetched() {
    let ends = Ends::shell().await;
    fs::write(ends.here.join("old"), "old").unwrap();
    fs::write(ends.there.join("there"), "new").unwrap();
    let result = ends
        .by_scp(Transfer::download(
            ends.there.join("missing"),
            ends.here.join("old"),
        ))
        .await;
    assert_eq!(
        failure(&result).kind(),
        &ErrorKind::RemoteFile(StatusCode::NoSuchFile)
    );
    assert_eq!(fs::read(ends.here.join("old")).unwrap(), b"old");
    fs::create_dir(ends.here.join("both")).unwrap();
    let both = Transfer::download(ends.there.join("missing"), ends.here.join("both"))
        .source(ends.there.join("there"));
    let result = ends.by_scp(both).await;
    assert_eq!((result.copied, result.failed), (1, 1));
    assert_eq!(names(&ends.here.join("both")), ["there"]);
    let up = Transfer::upload(ends.here.join("old"), ends.there.join("no/such/directory"));
    let error = failure(&ends.by_scp(up).await);
    assert_eq!(error.kind(), &ErrorKind::RemoteFile(StatusCode::NoSuchFile));
    assert!(error.to_string().contains("no/such/directory"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_arrives_whole_and_is_written_beside_its_target_here() {
    let ends = Ends::shell().await;
    let content: Vec<u8> = (0..20_000_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    fs::write(ends.here.join("big"), &content).unwrap();
    ends.by_scp(Transfer::upload(ends.here.join("big"), ends.there.join("big")))
        .await
        .success()
        .unwrap();
    assert!(fs::read(ends.there.join("big")).unwrap() == content);
    fs::write(ends.here.join("old"), "old").unwrap();
    let (here, old) = (ends.here.clone(), ends.here.join("old"));
    let partials = std::sync::Arc::new(std::sync::Mutex::new(0));
    let seen = std::sync::Arc::clone(&partials);
    let down = Transfer::download(ends.there.join("big"), ends.here.join("old")).on_event(move |event| {
        if let sternline::transfer::TransferEvent::Progress { .. } = event {
            assert_eq!(fs::read(&old).unwrap(), b"old");
            *seen.lock().unwrap() += names(&here).len() - 2;
        }
    });
    ends.by_scp(down).await.success().unwrap();
    assert!(*partials.lock().unwrap() > 0);
    assert!(fs::read(ends.here.join("old")).unwrap() == content);
    assert_eq!(ends.names_here(), ["big", "old"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_sends_other_files_than_were_asked_for_writes_none_of_them() {
    for (how, recursive, said) in [
        (
            "other-name",
            false,
            "the server sends .bashrc, and was asked for tree",
        ),
        ("parent", false, "a name that is refused: the name holds a slash"),
        ("dots", true, "a name that is refused"),
        ("second", false, "the server sends tree2, and was asked for tree"),
        (
            "same-again",
            false,
            "the server sends tree, and was asked for tree",
        ),
        ("deep", true, "never end"),
        ("unasked-directory", false, "is a directory"),
        ("unbalanced", true, "ends a directory that it has not begun"),
        ("open-end", true, "ended too early"),
        ("short", false, "ended too early"),
        ("unreadable", false, "Input/output error"),
        ("banner", false, "\"Welcome to this router"),
        ("times", false, "times that belong to nothing"),
        ("fatal", false, "gave up: scp: \\x1b[2Jout of memory"),
        ("line", false, "longer than"),
    ] {
        let ends = Ends::hostile(how).await;
        let outside = ends.here.join("outside");
        fs::create_dir(&outside).unwrap();
        let target = ends.here.join("target");
        fs::create_dir(&target).unwrap();
        let down = Transfer::download("tree", target.join("tree")).recursive(recursive);
        let result = ends.run(down).await;
        let error = failure(&result);
        assert!(error.to_string().contains(said), "{how}: {error}");
        assert_eq!(ends.names_here(), ["outside", "target"], "{how}");
        // Whole files that were asked for stay; nothing half-written does, and nothing else.
        let left = names(&target);
        match how {
            "second" | "same-again" => assert_eq!(fs::read(target.join("tree")).unwrap(), b"evil"),
            "dots" | "deep" | "unbalanced" | "open-end" => assert_eq!(left, ["tree"], "{how}"),
            _ => assert_eq!(left, [""; 0], "{how}"),
        }
        if how == "dots" {
            assert_eq!(names(&target.join("tree")), [""; 0]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_from_a_server_that_breaks_off_is_an_error() {
    for how in ["short", "unreadable", "second", "other-name"] {
        let ends = Ends::hostile(how).await;
        let result = ends.run(Transfer::download("tree", Target::Memory)).await;
        assert!(result.success().is_err(), "{how}");
    }
    let ends = Ends::hostile("good").await;
    let result = ends.run(Transfer::download("tree", Target::Memory)).await;
    assert_eq!(result.success().unwrap().content.unwrap(), "hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_end_stops_when_it_cannot_be_kept() {
    let ends = Ends::hostile("huge").await;
    // A directory is in its way.
    fs::create_dir_all(ends.here.join("tree/tree")).unwrap();
    let result = ends.run(Transfer::download("tree", ends.here.join("tree"))).await;
    assert!(failure(&result).to_string().contains("is a directory"));
    let failures = format!("{:?}", result.failures);
    assert!(failures.contains("too much to receive in vain"), "{failures}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_could_not_keep_is_an_error_that_names_the_file() {
    for (how, said, kind) in [
        (
            "full",
            "no space left",
            Some(ErrorKind::RemoteFile(StatusCode::Other(14))),
        ),
        (
            "no-directory",
            "no such file",
            Some(ErrorKind::RemoteFile(StatusCode::NoSuchFile)),
        ),
        ("ends", "ended too early", Some(ErrorKind::Channel)),
        (
            "sends",
            "sends files where it has to receive",
            Some(ErrorKind::Channel),
        ),
    ] {
        let ends = Ends::hostile(how).await;
        fs::write(ends.here.join("x"), vec![1; 3_000_000]).unwrap();
        let result = ends
            .run(Transfer::upload(ends.here.join("x"), "/nowhere/x"))
            .await;
        let error = failure(&result);
        assert!(error.to_string().contains(said), "{how}: {error}");
        assert_eq!(Some(error.kind().clone()), kind, "{how}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_scp_says_what_is_missing() {
    let cli = "ForceCommand case \"$SSH_ORIGINAL_COMMAND\" in *) echo '% Unknown command'; exit 1;; esac";
    let ends = Ends::new(Settings::default().option(cli)).await;
    fs::write(ends.here.join("x"), "x").unwrap();
    let error = failure(&ends.run(Transfer::upload(ends.here.join("x"), "/tmp/x")).await);
    let text = error.to_string();
    for part in [
        "no sftp subsystem",
        "no shell: ",
        "does not speak scp",
        "% Unknown command",
    ] {
        assert!(text.contains(part), "{text}");
    }
}
