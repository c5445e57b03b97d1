//! Scp's old protocol on the embedded server: `scp -O` of OpenSSH, and clients that do not keep to it.

mod server_support;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::Output;
use std::time::{Duration, UNIX_EPOCH};

use server_support::files::{Served, remote};
use server_support::{Fixture, answer, binary, run};
use sternline_server::{FileAction, Reply, Server, VirtualFiles};

impl Served {
    async fn old_scp(&self, arguments: &[&OsStr]) -> Output {
        let mut scp = self.fixture.openssh("scp");
        scp.arg("-O").args(arguments);
        answer(scp).await
    }

    /// What `scp -t` or `scp -f` answers to these bytes.
    async fn raw(&self, command: &str, input: &[u8]) -> Output {
        let mut ssh = self.fixture.ssh();
        ssh.arg(command);
        run(ssh, input.to_vec()).await
    }
}

#[tokio::test]
async fn a_large_file_goes_there_and_back() {
    let served = Served::start().await;
    let data = binary(64 << 20);
    let (there, back) = (served.local("there"), served.local("back"));
    fs::write(&there, &data).unwrap();
    fs::set_permissions(&there, fs::Permissions::from_mode(0o640)).unwrap();
    // What was there before was longer.
    served.files.add_file("/large", vec![1; 65 << 20], 0o600).unwrap();
    let output = served.old_scp(&[there.as_ref(), &remote(b"/large")]).await;
    assert!(output.status.success(), "{output:?}");
    let file = served.files.file("/large").unwrap();
    assert!(file.content == data);
    assert_eq!(file.mode, 0o600, "an existing file keeps its mode");
    let output = served.old_scp(&[&remote(b"/large"), back.as_ref()]).await;
    assert!(output.status.success(), "{output:?}");
    assert!(fs::read(&back).unwrap() == data);
    let bytes = data.len() as u64;
    let actions: Vec<_> = served
        .fixture
        .server
        .file_log()
        .into_iter()
        .map(|entry| entry.action)
        .collect();
    assert_eq!(
        actions,
        [FileAction::Uploaded { bytes }, FileAction::Downloaded { bytes }]
    );
    let exits: Vec<_> = served
        .fixture
        .server
        .log()
        .into_iter()
        .map(|entry| entry.exit.unwrap())
        .collect();
    assert_eq!(exits, [sternline_server::ExitOutcome::SUCCESS; 2]);
}

#[tokio::test]
async fn a_tree_keeps_its_names_modes_and_times() {
    let served = Served::start().await;
    let names = [
        &b"plain"[..],
        b"with space",
        b"'single' \"double\"",
        b"caf\xe9",
        b"-rf",
        b"$(id) `id` *",
        b"back\\slash",
        b"empty",
    ];
    let tree = served.local("tree");
    fs::create_dir_all(tree.join("deep/er")).unwrap();
    fs::create_dir_all(tree.join("void")).unwrap();
    let content = |name: &[u8]| {
        if name == b"empty" {
            Vec::new()
        } else {
            name.to_vec()
        }
    };
    for (index, name) in names.iter().enumerate() {
        let path = tree.join("deep/er").join(OsStr::from_bytes(name));
        fs::write(&path, content(name)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600 + index as u32)).unwrap();
        let time = UNIX_EPOCH + Duration::from_secs(1_600_000_000 + index as u64);
        fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(time)
            .unwrap();
    }
    fs::set_permissions(tree.join("deep"), fs::Permissions::from_mode(0o555)).unwrap();
    let time = UNIX_EPOCH + Duration::from_secs(1_500_000_000);
    fs::File::open(tree.join("deep"))
        .unwrap()
        .set_modified(time)
        .unwrap();
    let output = served
        .old_scp(&["-rp".as_ref(), tree.as_ref(), &remote(b"/")])
        .await;
    assert!(output.status.success(), "{output:?}");
    for (index, name) in names.iter().enumerate() {
        let file = served.files.file([b"/tree/deep/er/", *name].concat()).unwrap();
        assert_eq!(file.content, content(name));
        assert_eq!(
            (file.mode, file.mtime),
            (0o600 + index as u32, 1_600_000_000 + index as u32)
        );
    }
    assert!(served.files.paths().contains(&"/tree/void".into()));

    let back = served.local("back");
    let output = served
        .old_scp(&["-rp".as_ref(), &remote(b"tree"), back.as_ref()])
        .await;
    assert!(output.status.success(), "{output:?}");
    for (index, name) in names.iter().enumerate() {
        let path = back.join("deep/er").join(OsStr::from_bytes(name));
        let found = fs::metadata(&path).unwrap();
        assert_eq!(
            (found.mode() & 0o7777, found.mtime()),
            (0o600 + index as u32, 1_600_000_000 + index as i64)
        );
        assert_eq!(fs::read(&path).unwrap(), content(name));
    }
    let deep = fs::metadata(back.join("deep")).unwrap();
    assert_eq!((deep.mode() & 0o7777, deep.mtime()), (0o555, 1_500_000_000));
    assert!(back.join("void").is_dir());
}

#[tokio::test]
async fn what_fails_is_named_and_the_rest_goes_on() {
    let files = VirtualFiles::with_limit(100_000);
    let fixture = Fixture::start(Server::builder().files(files.clone())).await;
    let served = Served { fixture, files };
    served.files.add_dir("/dir/taken", 0o755).unwrap();
    let tree = served.local("dir");
    fs::create_dir(&tree).unwrap();
    for (name, size) in [("a", 10), ("big", 200_000), ("taken", 10), ("z", 10)] {
        fs::write(tree.join(name), binary(size)).unwrap();
    }
    let output = served
        .old_scp(&["-r".as_ref(), tree.as_ref(), &remote(b"/")])
        .await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(
        errors.contains("scp: /dir/big: No space left on device"),
        "{errors}"
    );
    assert!(errors.contains("scp: /dir/taken: is a directory"), "{errors}");
    for name in ["a", "z"] {
        assert_eq!(
            served.files.file(format!("/dir/{name}")).unwrap().content.len(),
            10
        );
    }
    let local = served.local("new");
    fs::create_dir(&local).unwrap();
    let output = served
        .old_scp(&[
            &remote(b"/missing"),
            &remote(b"/dir/a"),
            &remote(b"/dir"),
            local.as_ref(),
        ])
        .await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        errors.contains("scp: /missing: No such file or directory"),
        "{errors}"
    );
    assert!(errors.contains("scp: /dir: not a regular file"), "{errors}");
    assert_eq!(fs::read(local.join("a")).unwrap(), binary(10));
    let target = remote(b"/dir/a/");
    let output = served
        .old_scp(&[local.join("a").as_ref(), tree.join("z").as_ref(), &target])
        .await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("Not a directory"), "{errors}");
}

#[tokio::test]
async fn a_client_that_does_not_keep_to_the_protocol_is_told_and_ended() {
    let served = Served::start().await;
    for (command, input, answer) in [
        (
            "scp -t x",
            &b"C0644 5 ../evil\nhello\0"[..],
            "\0\u{2}scp: an scp record has a name that is refused",
        ),
        (
            "scp -rt x",
            b"D0755 0 ..\n",
            "\0\u{2}scp: an scp record has a name",
        ),
        (
            "scp -t x",
            b"D0755 0 d\n",
            "\0\u{2}scp: a directory arrived although -r was not given",
        ),
        (
            "scp -rt x",
            b"E\n",
            "\0\u{2}scp: a directory ends that has not begun",
        ),
        (
            "scp -t x",
            b"hello\n",
            "\0\u{2}scp: text beginning with \"hello\" arrived",
        ),
        (
            "scp -t x",
            b"C0644 99999999999999999999 x\n",
            "\0\u{2}scp: an scp record is malformed",
        ),
        (
            "scp -f x",
            b"C0644 5 x\n",
            "\u{2}scp: a record arrived where an answer belongs",
        ),
        ("scp -t x", b"C0644 5 x\nhel", "\0\0"),
        ("scp -f x", b"", ""),
    ] {
        let output = served.raw(command, input).await;
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.starts_with(answer), "{command}: {text:?}");
        assert_eq!(output.status.code(), Some(1), "{command}: {text:?}");
    }
    assert_eq!(served.files.paths().len(), 1, "the file that was cut off");
    let log = served.fixture.server.file_log();
    assert!(log.is_empty(), "{log:?}");
}

#[tokio::test]
async fn a_name_that_the_protocol_cannot_carry_is_an_error_of_its_own() {
    let served = Served::start().await;
    served.files.add_file("/d/new\nline", "x", 0o644).unwrap();
    served.files.add_file("/d/plain", "y", 0o644).unwrap();
    let back = served.local("back");
    let output = served
        .old_scp(&["-r".as_ref(), &remote(b"/d"), back.as_ref()])
        .await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        errors.contains("scp: /d/new\\nline: the name holds a newline"),
        "{errors}"
    );
    assert_eq!(fs::read_dir(&back).unwrap().count(), 1);
}

#[tokio::test]
async fn other_commands_named_scp_are_the_handlers() {
    let files = VirtualFiles::new();
    let builder = Server::builder()
        .files(files.clone())
        .command("scp -t special", Reply::stdout("table"))
        .answer_with(|request| Reply::stdout(format!("handler: {}", request.command_text())));
    let served = Served {
        fixture: Fixture::start(builder).await,
        files,
    };
    assert_eq!(served.raw("scp -t special", b"").await.stdout, b"table");
    assert_eq!(
        served.raw("scp -t a; id", b"").await.stdout,
        b"handler: scp -t a; id"
    );
    assert_eq!(served.raw("scp a b", b"").await.stdout, b"handler: scp a b");
    assert_eq!(served.raw("scp -t a", b"").await.stdout, b"\0");
}

#[tokio::test]
async fn a_pattern_is_expanded_as_a_shell_does() {
    let served = Served::start().await;
    for name in ["/logs/a.log", "/logs/b.log", "/logs/c.txt"] {
        served.files.add_file(name, name, 0o644).unwrap();
    }
    let local = served.local("local");
    fs::create_dir(&local).unwrap();
    let output = served.old_scp(&[&remote(b"/logs/*.log"), local.as_ref()]).await;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(fs::read(local.join("b.log")).unwrap(), b"/logs/b.log");
    assert_eq!(fs::read_dir(&local).unwrap().count(), 2);
    let output = served.old_scp(&[&remote(b"/logs/*.zip"), local.as_ref()]).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        errors.contains("/logs/*.zip: No such file or directory"),
        "{errors}"
    );
}
