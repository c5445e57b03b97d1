//! Files in memory of the embedded server, with OpenSSH's programs and our own client.

mod server_support;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use server_support::files::{Served, remote};
use server_support::{Fixture, answer, binary};
use sternline::transfer::{Attributes, FileType, OpenFlags, StatusCode, Times};
use sternline::{ErrorKind, Sftp};
use sternline_server::{ExecRequest, ExitOutcome, FileAction, Server, VirtualFiles};
use tokio::io::AsyncWriteExt as _;

fn code(error: &sternline::Error) -> StatusCode {
    match error.kind() {
        ErrorKind::RemoteFile(code) => *code,
        other => panic!("{other:?}: {error}"),
    }
}

#[tokio::test]
async fn scp_puts_and_gets_a_large_file_and_its_mode() {
    let served = Served::start().await;
    let data = binary(64 << 20);
    let (there, back) = (served.local("there"), served.local("back"));
    fs::write(&there, &data).unwrap();
    fs::set_permissions(&there, fs::Permissions::from_mode(0o764)).unwrap();
    served.scp(&[there.as_ref(), &remote(b"/large")]).await;
    let file = served.files.file("/large").unwrap();
    assert!(file.content == data);
    assert_eq!(file.mode, 0o764);
    served.scp(&[&remote(b"/large"), back.as_ref()]).await;
    assert!(fs::read(&back).unwrap() == data);
    let actions: Vec<_> = served
        .fixture
        .server
        .file_log()
        .into_iter()
        .map(|entry| entry.action)
        .collect();
    let bytes = data.len() as u64;
    assert_eq!(
        actions,
        [FileAction::Uploaded { bytes }, FileAction::Downloaded { bytes }]
    );
}

#[tokio::test]
async fn a_tree_goes_there_and_back_with_its_times_modes_and_names() {
    let served = Served::start().await;
    let names = [
        &b"plain"[..],
        b"with space",
        b"'single' \"double\"",
        b"new\nline",
        b"caf\xe9",
        b"-rf",
        b"$(id) `id` *",
        b"back\\slash",
        "\u{65e5}\u{672c}".as_bytes(),
        b"empty",
    ];
    let tree = served.local("tree");
    fs::create_dir_all(tree.join("deep/er")).unwrap();
    for (index, name) in names.iter().enumerate() {
        let path = tree.join("deep/er").join(OsStr::from_bytes(name));
        let content = if *name == b"empty" { &b""[..] } else { name };
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600 + index as u32)).unwrap();
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_600_000_000 + index as u64);
        fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_modified(time)
            .unwrap();
    }
    fs::set_permissions(tree.join("deep"), fs::Permissions::from_mode(0o711)).unwrap();
    served
        .scp(&["-rp".as_ref(), tree.as_ref(), &remote(b"/copy")])
        .await;
    for (index, name) in names.iter().enumerate() {
        let file = served.files.file([b"/copy/deep/er/", *name].concat()).unwrap();
        let content = if *name == b"empty" { &b""[..] } else { name };
        assert_eq!(file.content, content);
        assert_eq!(
            (file.mode, file.mtime),
            (0o600 + index as u32, 1_600_000_000 + index as u32)
        );
    }
    let back = served.local("back");
    served
        .scp(&["-rp".as_ref(), &remote(b"/copy"), back.as_ref()])
        .await;
    for (index, name) in names.iter().enumerate() {
        let path = back.join("deep/er").join(OsStr::from_bytes(name));
        let found = fs::metadata(&path).unwrap();
        assert_eq!(found.mode() & 0o7777, 0o600 + index as u32);
        assert_eq!(found.mtime(), 1_600_000_000 + index as i64);
        assert_eq!(
            fs::read(&path).unwrap(),
            fs::read(tree.join("deep/er").join(OsStr::from_bytes(name))).unwrap()
        );
    }
    assert_eq!(fs::metadata(back.join("deep")).unwrap().mode() & 0o7777, 0o711);
}

#[tokio::test]
async fn a_batch_of_sftp_does_what_it_says() {
    let served = Served::start().await;
    served.files.add_file("/etc/motd", "Welcome.\n", 0o644).unwrap();
    let local = served.local("local");
    fs::write(&local, "uploaded").unwrap();
    let batch = format!(
        "pwd\nmkdir dir\ncd dir\nput {0} one\nchmod 640 one\nrename one two\nln two hard\nln -s two link\n\
         ls -l\nget link {0}.back\nrm hard\n-rmdir /etc\ncd /\ndf\nls -ln etc\nrm /etc/motd\nrmdir etc\n",
        local.display()
    );
    let output = served.sftp(&batch).await;
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{stdout}{stderr}");
    assert!(stdout.contains("Remote working directory: /\n"), "{stdout}");
    assert!(
        stdout.contains("lrwxrwxrwx") && stdout.contains("-rw-r-----"),
        "{stdout}"
    );
    assert!(stderr.contains("remote rmdir \"/etc\": Failure"), "{stderr}");
    assert_eq!(fs::read(served.local("local.back")).unwrap(), b"uploaded");
    assert_eq!(served.files.paths(), ["/dir", "/dir/link", "/dir/two"]);
    assert_eq!(served.files.file("/dir/two").unwrap().mode, 0o640);
}

#[tokio::test]
async fn a_command_sees_what_was_uploaded_and_a_client_what_the_command_wrote() {
    let files = VirtualFiles::new();
    let seen = files.clone();
    let shout = move |mut request: ExecRequest| {
        let files = seen.clone();
        async move {
            let Some(input) = files.file("/in.txt") else {
                return ExitOutcome::Code(1);
            };
            files
                .add_file("/out.txt", input.content.to_ascii_uppercase(), 0o600)
                .unwrap();
            let _ = request.stdout.write_all(b"done\n").await;
            ExitOutcome::SUCCESS
        }
    };
    let fixture = Fixture::start(Server::builder().files(files.clone()).on_exec(shout)).await;
    let served = Served { fixture, files };
    let local = served.local("in.txt");
    fs::write(&local, "hello").unwrap();
    served.scp(&[local.as_ref(), &remote(b"in.txt")]).await;
    let mut ssh = served.fixture.ssh();
    ssh.arg("shout");
    assert_eq!(answer(ssh).await.stdout, b"done\n");
    let out = served.local("out.txt");
    served.scp(&[&remote(b"/out.txt"), out.as_ref()]).await;
    assert_eq!(fs::read(out).unwrap(), b"HELLO");
    let log = served.fixture.server.log();
    let subsystems: Vec<_> = log.iter().map(|entry| entry.subsystem.as_deref()).collect();
    assert_eq!(subsystems, [Some("sftp"), None, Some("sftp")]);
}

#[tokio::test]
async fn our_client_finds_every_operation_and_extension() {
    let served = Served::start().await;
    let sftp: Sftp = served.connect().await.sftp().await.unwrap();
    let new = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::EXCLUSIVE;
    let file = sftp.open("/a", new, Some(0o600)).await.unwrap();
    let data = binary(3 << 20);
    file.write_at(10, data.clone()).await.unwrap();
    file.fsync().await.unwrap();
    let times = Times {
        atime: 1,
        mtime: 4_000_000_000,
    };
    file.set_stat(Attributes {
        times: Some(times),
        ..Attributes::default()
    })
    .await
    .unwrap();
    let found = file.stat().await.unwrap();
    assert_eq!(
        (found.size, found.times),
        (Some(10 + data.len() as u64), Some(times))
    );
    file.close().await.unwrap();
    let file = sftp.open("/a", OpenFlags::READ, None).await.unwrap();
    assert_eq!(file.read_at(0, 10).await.unwrap(), [0; 10][..]);
    assert!(file.read_at(10, data.len()).await.unwrap() == data);
    let refused = file.write_at(0, "x").await.unwrap_err();
    assert_eq!(code(&refused), StatusCode::Failure);
    file.close().await.unwrap();

    assert_eq!(
        code(&sftp.open("/a", new, None).await.unwrap_err()),
        StatusCode::Failure
    );
    assert_eq!(
        code(&sftp.stat("/none").await.unwrap_err()),
        StatusCode::NoSuchFile
    );
    sftp.mkdir("/d", Some(0o750)).await.unwrap();
    sftp.symlink("../../../a", "/d/link").await.unwrap();
    assert_eq!(sftp.real_path("/d/link").await.unwrap(), b"/a");
    assert_eq!(sftp.expand_path("~/d").await.unwrap(), b"/d");
    assert_eq!(
        sftp.lstat("/d/link").await.unwrap().file_type(),
        Some(FileType::Symlink)
    );
    sftp.hardlink("/a", "/d/hard").await.unwrap();
    sftp.rename("/a", "/d/hard").await.unwrap();
    served.files.add_file("/b", "b", 0o644).unwrap();
    sftp.rename("/b", "/d/hard").await.unwrap();
    assert_eq!(served.files.file("/d/hard").unwrap().content, "b");
    assert_eq!(sftp.limits().unwrap().handles, 1000);
    let space = sftp.statvfs("/").await.unwrap();
    assert_eq!(space.blocks * space.fragment_size, 256 << 20);
    assert!(space.blocks_free < space.blocks);
}

#[tokio::test]
async fn a_full_tree_says_so_and_keeps_what_it_has() {
    let files = VirtualFiles::with_limit(1 << 20);
    let fixture = Fixture::start(Server::builder().files(files.clone())).await;
    let served = Served { fixture, files };
    let sftp = served.connect().await.sftp().await.unwrap();
    let file = sftp
        .open("/f", OpenFlags::WRITE | OpenFlags::CREATE, None)
        .await
        .unwrap();
    file.write_at(0, binary(500_000)).await.unwrap();
    let error = file.write_at(500_000, binary(1 << 20)).await.unwrap_err();
    assert_eq!(code(&error), StatusCode::Failure);
    assert!(error.to_string().contains("no storage space"), "{error}");
    assert!(served.files.file("/f").unwrap().content[..500_000] == binary(500_000));
}

#[tokio::test]
async fn one_session_opens_a_thousand_files_and_not_one_more() {
    let served = Served::start().await;
    served.files.add_file("/f", "x", 0o644).unwrap();
    let sftp = served.connect().await.sftp().await.unwrap();
    let mut open = Vec::new();
    for _ in 0..1000 {
        open.push(sftp.open("/f", OpenFlags::READ, None).await.unwrap());
    }
    let error = sftp.open("/f", OpenFlags::READ, None).await.unwrap_err();
    assert_eq!(code(&error), StatusCode::Failure);
    assert!(
        error.to_string().contains("1000 files and directories are open"),
        "{error}"
    );
    open.pop().unwrap().close().await.unwrap();
    sftp.open("/f", OpenFlags::READ, None).await.unwrap();
}

#[tokio::test]
async fn without_files_there_is_no_sftp() {
    let fixture = Fixture::start(Server::builder()).await;
    let served = Served {
        fixture,
        files: VirtualFiles::new(),
    };
    assert!(served.connect().await.sftp().await.is_err());
    assert_eq!(served.fixture.server.file_log(), []);
}

#[tokio::test]
async fn a_real_directory_is_served_as_the_root() {
    let root = tempfile::TempDir::new().unwrap();
    let outside = tempfile::TempDir::new().unwrap();
    fs::write(outside.path().join("secret"), "secret").unwrap();
    std::os::unix::fs::symlink(outside.path(), root.path().join("out")).unwrap();
    let fixture = Fixture::start(Server::builder().directory(root.path())).await;
    let served = Served {
        fixture,
        files: VirtualFiles::new(),
    };
    let tree = served.local("tree");
    fs::create_dir_all(tree.join("a/b")).unwrap();
    fs::write(tree.join("a/b/large"), binary(9 << 20)).unwrap();
    fs::set_permissions(tree.join("a"), fs::Permissions::from_mode(0o777)).unwrap();
    served.scp(&["-rp".as_ref(), tree.as_ref(), &remote(b"/")]).await;
    assert!(fs::read(root.path().join("tree/a/b/large")).unwrap() == binary(9 << 20));
    assert_eq!(
        fs::metadata(root.path().join("tree/a")).unwrap().mode() & 0o777,
        0o777
    );
    let back = served.local("back");
    served
        .scp(&["-r".as_ref(), &remote(b"tree"), back.as_ref()])
        .await;
    assert!(fs::read(back.join("a/b/large")).unwrap() == binary(9 << 20));

    let secret = outside.path().join("secret");
    let batch = format!(
        "-get /out/secret {0}.1\n-get ../../{1} {0}.2\n-get {1} {0}.3\n-put {0} /out/new\n-ls /out\n",
        served.local("stolen").display(),
        secret.display()
    );
    fs::write(served.local("stolen"), "").unwrap();
    let output = served.sftp(&batch).await;
    assert!(output.status.success(), "{output:?}");
    for number in 1..=3 {
        assert!(!served.local(&format!("stolen.{number}")).exists());
    }
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_an_error_at_the_start() {
    let error = Server::builder()
        .directory("/no/such\x1b")
        .bind()
        .await
        .unwrap_err();
    let text = "cannot serve the directory /no/such\\x1b: No such file or directory (os error 2)";
    assert_eq!(error.to_string(), text);
}
