//! Which way a transfer takes, and what each way makes of difficult names, shells and servers.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use sternline::transfer::{StatusCode, Target, Way};
use sternline::{Connection, Error, ErrorKind, Transfer, TransferResult};
use sternline_tests::left_out::left_out;
use sternline_tests::sshd::{Settings, Sshd};
use sternline_tests::users;

/// Names that a shell, a tool or a terminal could take for something else.
const NAMES: [&[u8]; 16] = [
    b"plain",
    b"a b  c",
    b" ",
    b"it's \"here\"",
    b"line\nbreak\n",
    b"-rf",
    b"--help",
    b"caf\xe9\xff",
    b"~",
    b"$(touch x)`y`",
    b"*",
    b"[a-z]?",
    b"!!",
    b"back\\slash\\n",
    b".hidden",
    b"\x1b[2J;&|<>#",
];

fn without_sftp() -> Settings {
    // The fixture adds a line of its own unless there is one.
    Settings::default().option("#Subsystem none")
}

async fn connected(server: &Sshd) -> Connection {
    server.builder().connect().await.unwrap()
}

/// Everybody may write into it, whoever logs in.
fn folder(server: &Sshd, name: &str) -> PathBuf {
    let path = server.path(name);
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
    path
}

fn entry(folder: &Path, name: &[u8]) -> PathBuf {
    folder.join(OsStr::from_bytes(name))
}

/// A folder with a file of each difficult name, some of them large enough for a stream of their own.
fn difficult(folder: &Path) {
    for (index, name) in NAMES.iter().enumerate() {
        let content = if index % 4 == 0 {
            vec![index as u8; 200_000]
        } else {
            format!("content of {index}\0\n").into_bytes()
        };
        fs::write(entry(folder, name), content).unwrap();
    }
    fs::create_dir(entry(folder, b"-d 'x'\n")).unwrap();
    fs::write(entry(folder, b"-d 'x'\n/*"), "inner").unwrap();
}

/// Names and contents of what is in a folder, and in the folders in it.
fn content(folder: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut left = vec![folder.to_path_buf()];
    while let Some(path) = left.pop() {
        for entry in fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            let name = path
                .strip_prefix(folder)
                .unwrap()
                .as_os_str()
                .to_owned()
                .into_vec();
            if path.is_dir() {
                left.push(path);
                found.insert(name, b"(directory)".to_vec());
            } else {
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

/// Sends a tree of difficult names there and gets it back.
async fn there_and_back(server: &Sshd, connection: &Connection, how: impl Fn(Transfer) -> Transfer) {
    let (here, there) = (folder(server, "here"), folder(server, "there"));
    let source = here.join("tree");
    fs::create_dir(&source).unwrap();
    difficult(&source);
    let up = Transfer::upload(&source, there.join("copy")).recursive(true);
    let result = connection.transfer(how(up)).await.success().unwrap();
    assert_eq!(result.copied, NAMES.len() as u64 + 1);
    assert_eq!(content(&there.join("copy")), content(&source));
    let down = Transfer::download(there.join("copy"), here.join("back")).recursive(true);
    connection.transfer(how(down)).await.success().unwrap();
    assert_eq!(content(&here.join("back")), content(&source));
    // And each of them by itself, over what is there.
    for name in NAMES {
        let path = entry(&there.join("copy"), name);
        connection
            .transfer(how(Transfer::upload("/etc/hostname", path.as_path())))
            .await
            .success()
            .unwrap();
        let back = connection
            .transfer(how(Transfer::download(path.as_path(), Target::Memory)))
            .await
            .success()
            .unwrap();
        assert_eq!(back.content.unwrap(), fs::read("/etc/hostname").unwrap());
    }
    assert_eq!(content(&there.join("copy")).len(), NAMES.len() + 2);
}

fn failure(result: &TransferResult) -> Error {
    let failed = result.failures.first().map(|failed| match &failed.outcome {
        sternline::transfer::FileOutcome::Failed(error) => error.clone(),
        other => panic!("{other:?}"),
    });
    failed.or_else(|| result.error.clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn any_name_survives_sftp_and_the_shell() {
    for (settings, way) in [
        (Settings::default(), Way::Sftp),
        (Settings::default(), Way::Shell),
        (without_sftp(), Way::Shell),
    ] {
        let server = settings.start();
        let connection = connected(&server).await;
        there_and_back(&server, &connection, |transfer| transfer.way(way)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_sftp_the_shell_is_taken_by_itself() {
    let server = without_sftp().start();
    let connection = connected(&server).await;
    there_and_back(&server, &connection, |transfer| transfer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_that_was_asked_for_and_is_not_there_is_an_error_that_says_why() {
    let server = without_sftp().start();
    let connection = connected(&server).await;
    let there = folder(&server, "there");
    let upload = || Transfer::upload("/etc/hostname", there.join("x"));
    let error = failure(&connection.transfer(upload().way(Way::Sftp)).await);
    assert!(error.to_string().contains("no sftp subsystem"), "{error}");
    drop(connection);

    let server = Settings::default().option("ForceCommand internal-sftp").start();
    let connection = connected(&server).await;
    let error = failure(&connection.transfer(upload().way(Way::Shell)).await);
    assert!(
        error
            .to_string()
            .starts_with("the server does not offer shell, which was asked for"),
        "{error}"
    );
    assert!(error.to_string().contains("no shell: "), "{error}");
    assert_eq!(fs::read_dir(&there).unwrap().count(), 0);
    // SFTP is all that it has, and all that is needed.
    connection.transfer(upload()).await.success().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_login_shell_is_the_posix_shell_behind_it_is_reached() {
    for shell in ["/usr/bin/fish", "/usr/bin/tcsh", "/usr/bin/mksh", "/usr/bin/zsh"] {
        if !Path::new(shell).exists() {
            left_out(
                &format!("transfers where the login shell is {shell}"),
                "install it",
            );
            continue;
        }
        // What the account's own shell would do with `-c`, as sshd starts it.
        let forced = format!("ForceCommand exec {shell} -c \"$SSH_ORIGINAL_COMMAND\"");
        let server = without_sftp().option(&forced).start();
        let connection = connected(&server).await;
        there_and_back(&server, &connection, |transfer| transfer).await;
    }
}

/// A server whose only programs are these of busybox, and these scripts.
fn with_tools(names: &[&str], scripts: &[(&str, &str)]) -> (tempfile::TempDir, Sshd) {
    let tools = tempfile::tempdir().unwrap();
    let folder = tools.path();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    for name in names {
        symlink("/bin/busybox", folder.join(name)).unwrap();
    }
    for (name, script) in scripts {
        fs::write(folder.join(name), script).unwrap();
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = folder.display();
    let forced = format!("ForceCommand PATH={path}; export PATH; exec sh -c \"$SSH_ORIGINAL_COMMAND\"");
    let server = without_sftp().option(&forced).start();
    (tools, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tools_of_a_small_router_are_enough() {
    let usual = [
        "sh", "cat", "chmod", "chown", "dd", "ln", "ls", "mkdir", "mv", "rm", "rmdir", "tail", "touch", "tr",
        "wc",
    ];
    let more = ["head", "readlink", "sha256sum", "stat", "sync"];
    // As on systems of which POSIX is the newest part.
    let old = [
        (
            "mv",
            "#!/bin/busybox sh\ncase $1 in *T*|--help) exit 1;; esac\nexec /bin/busybox mv \"$@\"\n",
        ),
        (
            "readlink",
            "#!/bin/busybox sh\ncase $1 in -f) exit 1;; esac\nexec /bin/busybox readlink \"$@\"\n",
        ),
    ];
    for (_tools, server) in [
        with_tools(&[&usual[..], &more].concat(), &[]),
        with_tools(
            &usual
                .iter()
                .copied()
                .filter(|name| *name != "mv")
                .collect::<Vec<_>>(),
            &old,
        ),
    ] {
        let connection = connected(&server).await;
        there_and_back(&server, &connection, |transfer| transfer).await;
        // A link is followed, and a directory is never moved into.
        let links = folder(&server, "links");
        fs::create_dir(links.join("real")).unwrap();
        fs::write(links.join("real/file"), "old").unwrap();
        symlink("real/second", links.join("first")).unwrap();
        symlink("file", links.join("real/second")).unwrap();
        connection
            .upload("/etc/hostname", links.join("first"))
            .await
            .unwrap();
        assert_eq!(
            fs::read(links.join("real/file")).unwrap(),
            fs::read("/etc/hostname").unwrap()
        );
        assert!(links.join("first").is_symlink() && links.join("real/second").is_symlink());
        fs::create_dir_all(links.join("hostname/inner")).unwrap();
        let into = connection.upload("/etc/hostname", &links).await;
        assert!(into.unwrap_err().to_string().contains("is a directory"));
        assert_eq!(fs::read_dir(links.join("hostname")).unwrap().count(), 1);
        // Continued after its part was compared by SHA-256, whoever computes it.
        let here = folder(&server, "resumed");
        fs::write(here.join("big"), vec![5; 3_000_000]).unwrap();
        let upload = Transfer::upload(here.join("big"), links.join("big"))
            .resume(true)
            .checksum(true);
        connection.transfer(upload).await.success().unwrap();
        assert_eq!(fs::metadata(links.join("big")).unwrap().len(), 3_000_000);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn start_up_files_that_write_do_no_harm() {
    let server = without_sftp()
        .option("ForceCommand echo Welcome; echo to all >&2; printf 'half a line'; exec sh -c \"$SSH_ORIGINAL_COMMAND\"")
        .start();
    let connection = connected(&server).await;
    let there = folder(&server, "there");
    connection.upload("/etc/hostname", there.join("x")).await.unwrap();
    assert_eq!(
        fs::read(there.join("x")).unwrap(),
        fs::read("/etc/hostname").unwrap()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_session_is_enough_to_go_through_a_shell() {
    let server = without_sftp().option("MaxSessions 1").start();
    let connection = connected(&server).await;
    // Content that is whole in no single answer, from a file that was there in part, and one that the system makes up.
    let (here, there) = (folder(&server, "one"), folder(&server, "other"));
    let content: Vec<u8> = (0..1_000_003_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    fs::write(here.join("big"), &content).unwrap();
    connection
        .upload(here.join("big"), there.join("big"))
        .await
        .unwrap();
    let back = connection
        .download(there.join("big"), Target::Memory)
        .await
        .unwrap();
    assert!(back.content.unwrap() == content);
    let made_up = connection
        .download("/proc/self/status", Target::Memory)
        .await
        .unwrap();
    let text = String::from_utf8(made_up.content.unwrap().to_vec()).unwrap();
    assert!(
        text.starts_with("Name:") && text.contains("nonvoluntary_ctxt_switches"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restricted_shell_is_named_and_nothing_is_written() {
    let server = without_sftp()
        .option("ForceCommand PATH=/nowhere; exec /bin/bash -r -c \"$SSH_ORIGINAL_COMMAND\"")
        .start();
    let connection = connected(&server).await;
    let there = folder(&server, "there");
    let upload = Transfer::upload("/etc/hostname", there.join("x"));
    let error = failure(&connection.transfer(upload).await);
    // Each way with its reason: SFTP, the shell, and scp, which it would allow.
    for part in ["no sftp subsystem", "restricted", "scp: command not found"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    assert_eq!(error.kind(), &ErrorKind::Channel);
    assert_eq!(fs::read_dir(&there).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn through_a_shell_a_refusal_has_the_same_code_as_over_sftp() {
    let user = users::plain();
    let mut said = Vec::new();
    for settings in [Settings::default(), without_sftp()] {
        let server = settings.user(user.clone()).start();
        let connection = connected(&server).await;
        let there = folder(&server, "there");
        let upload = |path: PathBuf| connection.transfer(Transfer::upload("/etc/hostname", path));
        fs::write(there.join("file"), "whole").unwrap();
        fs::create_dir(there.join("closed")).unwrap();
        fs::set_permissions(there.join("closed"), fs::Permissions::from_mode(0o555)).unwrap();
        let mut codes = Vec::new();
        for result in [
            connection
                .transfer(Transfer::download(there.join("missing"), server.path("x")))
                .await,
            connection
                .transfer(Transfer::download("/etc/shadow", server.path("x")))
                .await,
            upload(there.join("closed/new")).await,
        ] {
            let error = failure(&result);
            assert!(error.to_string().contains('/'), "{error}");
            codes.push(error.kind().clone());
        }
        // Where there is a file in the way of a directory SFTP has no word of its own.
        assert!(upload(there.join("file/below")).await.success().is_err());
        assert_eq!(fs::read(there.join("file")).unwrap(), b"whole");
        said.push(codes);
    }
    if !user.root {
        assert_eq!(
            said[0],
            [
                ErrorKind::RemoteFile(StatusCode::NoSuchFile),
                ErrorKind::RemoteFile(StatusCode::PermissionDenied),
                ErrorKind::RemoteFile(StatusCode::PermissionDenied),
            ]
        );
    }
    assert_eq!(said[0], said[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_shell_writes_is_private_until_it_is_complete_and_keeps_mode_and_owner() {
    let server = without_sftp().start();
    let connection = connected(&server).await;
    let (here, there) = (folder(&server, "here"), folder(&server, "there"));
    fs::write(here.join("big"), vec![7; 3_000_000]).unwrap();
    fs::write(there.join("big"), "old").unwrap();
    fs::set_permissions(there.join("big"), fs::Permissions::from_mode(0o640)).unwrap();
    let before = fs::metadata(there.join("big")).unwrap();
    let watched = there.clone();
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let modes = std::sync::Arc::clone(&seen);
    let upload = Transfer::upload(here.join("big"), there.join("big")).on_event(move |_| {
        for entry in fs::read_dir(&watched).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name() != "big" {
                modes
                    .lock()
                    .unwrap()
                    .push(entry.metadata().unwrap().mode() & 0o7777);
            }
        }
    });
    connection.transfer(upload).await.success().unwrap();
    let modes = seen.lock().unwrap().clone();
    assert!(
        !modes.is_empty() && modes.iter().all(|mode| *mode == 0o600),
        "{modes:?}"
    );
    let after = fs::metadata(there.join("big")).unwrap();
    assert_eq!(
        (after.mode(), after.uid(), after.len()),
        (before.mode(), before.uid(), 3_000_000)
    );
    assert_eq!(fs::read_dir(&there).unwrap().count(), 1);
}
