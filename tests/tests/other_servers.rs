//! Servers other than OpenSSH's: Dropbear, asyncssh's, and our own.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sternline::sandbox::{SandboxProfile, SandboxRequest, SshExecutor};
use sternline::transfer::{OpenFlags, StatusCode, Way};
use sternline::{AuthConfig, Connection, ErrorKind, ExecRequest, HostKeyPolicy, Transfer};
use sternline_tests::left_out::left_out;
use sternline_tests::sshd::{free_port, keygen};
use sternline_tests::{processes, users};

/// A process that is ended with the test, and whatever it started with it.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        for pid in processes::tree(self.0.id()) {
            if let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        let _ = self.0.wait();
    }
}

/// A server of asyncssh's, with its port on its first line, and a connection to it.
async fn asyncssh(script: &str) -> (Server, Connection) {
    let python = std::env::var("STERNLINE_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("user");
    keygen(&key, "ed25519");
    keygen(&folder.path().join("host"), "ed25519");
    let mut process = Command::new(python)
        .arg(format!("{}/python/{script}", env!("CARGO_MANIFEST_DIR")))
        .arg(folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let server = Server(process);
    let port: u16 = lines.next().unwrap().unwrap().parse().unwrap();
    let connection = Connection::builder(format!("me@127.0.0.1:{port}"))
        .known_hosts([folder.path().join("known_hosts")])
        .host_key_policy(HostKeyPolicy::AcceptNew)
        .auth([AuthConfig::key(key)])
        .connect()
        .await
        .unwrap();
    (server, connection)
}

#[tokio::test]
async fn dropbear_runs_commands_and_loses_those_that_time_out() {
    if !users::is_root() {
        left_out(
            "commands on Dropbear, which reads keys only from a home directory",
            "run scripts/test as root",
        );
        return;
    }
    let user = users::plain();
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("user");
    keygen(&key, "ed25519");
    // Dropbear has no option for another file of authorised keys.
    let ssh = format!("/home/{}/.ssh", user.name);
    let public = std::fs::read_to_string(key.with_extension("pub")).unwrap();
    let setup = format!(
        "mkdir -p {ssh} && chmod 700 {ssh} && echo '{}' > {ssh}/authorized_keys && chmod 600 {ssh}/authorized_keys && \
         chown -R {u} {ssh} /home/{u}",
        public.trim(),
        u = user.name
    );
    assert!(
        Command::new("sh")
            .arg("-c")
            .arg(setup)
            .status()
            .unwrap()
            .success()
    );
    let host_key = folder.path().join("host");
    let made = Command::new("dropbearkey")
        .args(["-t", "ed25519", "-f"])
        .arg(&host_key)
        .output()
        .unwrap();
    assert!(made.status.success());
    let port = free_port();
    let mut process = Command::new("dropbear")
        .args(["-F", "-E", "-p", &format!("127.0.0.1:{port}"), "-P"])
        .arg(folder.path().join("pid"))
        .arg("-r")
        .arg(&host_key)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
    let _server = Server(process);
    assert!(lines.any(|line| line.unwrap().contains("Not backgrounding")));

    let connection = Connection::builder(format!("{}@127.0.0.1:{port}", user.name))
        .known_hosts([folder.path().join("known_hosts")])
        .host_key_policy(HostKeyPolicy::AcceptNew)
        .auth([AuthConfig::key(&key)])
        .connect()
        .await
        .unwrap();
    let result = connection.exec("echo out; echo err >&2; exit 6").await.unwrap();
    assert_eq!(
        (result.stdout_text(), result.stderr_text(), result.exit_code()),
        ("out\n".into(), "err\n".into(), Some(6))
    );
    let data = vec![7; 5 << 20];
    let echoed = connection
        .exec(ExecRequest::from("cat").stdin(data.clone()))
        .await
        .unwrap();
    assert!(echoed.stdout == data);
    for command in ["echo up; sleep 82001; true", "echo up; exec sleep 82001"] {
        let request = ExecRequest::from(command).timeout(Duration::from_millis(400));
        let error = connection.exec(request).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::CommandTimeout);
        assert!(error.to_string().contains("was ended"), "{error}");
        assert!(processes::containing("sleep 82001").is_empty());
    }
    assert!(connection.exec("true").await.unwrap().ok());

    // All commands of a connection are in one process group here: what ends one sandbox leaves the others alone, also where
    // its shell is killed. What is behind that ends with its time limit then.
    let executor = SshExecutor::builder(format!("{}@127.0.0.1:{port}", user.name))
        .known_hosts(folder.path().join("known_hosts"))
        .key_file(&key)
        .connection_pool_size(1)
        .build()
        .unwrap();
    let profile = SandboxProfile::builder("any")
        .allow_any_command(true)
        .build()
        .unwrap();
    let stays = executor.run_command(&profile, ["sh", "-c", "sleep 6; echo whole"]);
    let goes = SandboxRequest::new(["sh", "-c", "sleep 82003; true"]).timeout(Duration::from_secs(8));
    let goes = executor.run_command(&profile, goes);
    let kills = async {
        let inside = || {
            processes::all()
                .into_iter()
                .find(|one| one.command.trim_end() == "sleep 82003")
        };
        processes::eventually("it runs", || inside().is_some()).await;
        let all = processes::all();
        let mut above = vec![inside().unwrap()];
        while let Some(parent) = all.iter().find(|one| one.pid == above.last().unwrap().parent) {
            above.push(parent.clone());
        }
        let server = above
            .iter()
            .position(|one| one.command.starts_with("dropbear"))
            .unwrap();
        // Below the server's own process are the first shell and the second.
        let pid = i32::try_from(above[server - 2].pid).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    };
    let (stays, goes, ()) = tokio::join!(stays, goes, kills);
    assert!(goes.is_err(), "{goes:?}");
    assert_eq!(stays.unwrap().stdout_text(), "whole\n");
    processes::eventually("nothing is left", || {
        processes::containing("sleep 82003").is_empty()
    })
    .await;
    executor.cleanup().await;

    // For files it runs OpenSSH's program, whose order of a link's arguments its own name does not tell.
    let sftp = connection.sftp().await.unwrap();
    let link = format!("/home/{}/link", user.name);
    sftp.symlink("to", &link).await.unwrap();
    assert_eq!(sftp.read_link(&link).await.unwrap(), b"to");
    sftp.remove(&link).await.unwrap();

    // Trees and large files go there and back by every way.
    let tree = folder.path().join("tree");
    std::fs::create_dir_all(tree.join("it's a dir")).unwrap();
    std::fs::write(tree.join("it's a dir/$(x) *"), "small").unwrap();
    std::fs::write(tree.join("large"), &data).unwrap();
    for way in [Way::Sftp, Way::Shell, Way::Scp] {
        let there = format!("/home/{}/by {way}", user.name);
        let back = folder.path().join(way.to_string());
        let _ = std::fs::remove_dir_all(&there);
        for transfer in [
            Transfer::upload(&tree, there.as_str()),
            Transfer::download(there.as_str(), &back),
        ] {
            let result = connection.transfer(transfer.recursive(true).way(way)).await;
            assert_eq!(result.success().unwrap().copied, 2, "{way}");
        }
        assert_eq!(std::fs::read(back.join("it's a dir/$(x) *")).unwrap(), b"small");
        assert!(std::fs::read(back.join("large")).unwrap() == data, "{way}");
        std::fs::remove_dir_all(&there).unwrap();
    }
}

#[tokio::test]
async fn a_server_that_opens_channels_to_us_is_turned_away_and_the_connection_goes_on() {
    let (_server, connection) = asyncssh("intrusive_server.py").await;
    let result = connection.exec("intrude").await.unwrap();
    assert_eq!(
        result.stdout_text(),
        "forwarded-tcpip refused\nsession refused\nauth-agent@openssh.com refused\n"
    );
}

#[tokio::test]
async fn asyncssh_serves_files_and_links_point_the_right_way() {
    let (_server, connection) = asyncssh("sftp_server.py").await;
    let sftp = connection.sftp().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| format!("{}/{name}", folder.path().display());
    let new = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::EXCLUSIVE;

    let data: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let file = sftp.open(path("a"), new, Some(0o640)).await.unwrap();
    file.write_at(0, data.clone()).await.unwrap();
    file.fsync().await.unwrap();
    file.close().await.unwrap();
    let file = sftp.open(path("a"), OpenFlags::READ, None).await.unwrap();
    assert!(file.read_at(0, usize::MAX).await.unwrap() == data);
    assert_eq!(sftp.stat(path("a")).await.unwrap().permissions, Some(0o100_640));

    sftp.symlink("a", path("link")).await.unwrap();
    assert_eq!(
        std::fs::read_link(path("link")).unwrap(),
        std::path::Path::new("a")
    );
    assert_eq!(sftp.read_link(path("link")).await.unwrap(), b"a");

    std::fs::write(path("b"), "replaced").unwrap();
    sftp.rename(path("a"), path("b")).await.unwrap();
    assert!(std::fs::read(path("b")).unwrap() == data);
    sftp.mkdir(path("d"), None).await.unwrap();
    for n in 0..1_000 {
        std::fs::write(path(&format!("d/{n}")), "").unwrap();
    }
    let mut listing = sftp.list(path("d")).await.unwrap();
    let mut names = std::collections::BTreeSet::new();
    while let Some(entry) = listing.next().await {
        assert!(names.insert(entry.unwrap().name));
    }
    assert_eq!(names.len(), 1_000);
    let error = sftp.rmdir(path("d")).await.unwrap_err();
    assert!(error.to_string().contains("the server says: "), "{error}");
    let error = sftp.stat(path("missing")).await.unwrap_err();
    assert_eq!(
        error.kind(),
        &ErrorKind::RemoteFile(StatusCode::NoSuchFile),
        "{error}"
    );
}

#[tokio::test]
async fn a_tree_goes_to_asyncssh_and_back_with_modes_times_links_and_a_large_file() {
    let (_server, connection) = asyncssh("sftp_server.py").await;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir_all(path("here/deep")).unwrap();
    for n in 0..300_u32 {
        let file = path(&format!("here/deep/{n}"));
        std::fs::write(&file, n.to_string().repeat(n as usize)).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600 + n % 64);
        std::fs::set_permissions(&file, mode).unwrap();
    }
    // Large enough for two channels.
    let data: Vec<u8> = (0..70_000_000_u32).map(|n| (n / 7) as u8).collect();
    std::fs::write(path("here/large"), &data).unwrap();
    std::os::unix::fs::symlink("deep/1", path("here/link")).unwrap();

    let up = Transfer::upload(path("here"), path("there"));
    let up = up.recursive(true).preserve(true).checksum(true);
    connection.transfer(up).await.success().unwrap();
    // Files that are there are replaced one by one.
    for n in 0..50 {
        std::fs::write(path(&format!("here/deep/{n}")), "changed").unwrap();
    }
    for source in ["here/deep", "here/large"] {
        let up = Transfer::upload(path(source), path("there"))
            .recursive(true)
            .preserve(true);
        connection.transfer(up).await.success().unwrap();
    }
    let down = Transfer::download(path("there"), path("back"));
    let down = down.recursive(true).preserve(true).checksum(true);
    connection.transfer(down).await.success().unwrap();

    assert!(std::fs::read(path("back/large")).unwrap() == data);
    let link = std::fs::read_link(path("back/link")).unwrap();
    assert_eq!(link, std::path::Path::new("deep/1"));
    let entries = std::fs::read_dir(path("there/deep")).unwrap();
    assert_eq!(entries.count(), 300);
    for n in 0..300 {
        let [ours, theirs] = ["here", "back"].map(|root| {
            let file = path(&format!("{root}/deep/{n}"));
            let meta = std::fs::metadata(&file).unwrap();
            let seconds = std::os::unix::fs::MetadataExt::mtime(&meta);
            (std::fs::read(file).unwrap(), meta.permissions(), seconds)
        });
        assert_eq!(ours, theirs, "{n}");
    }
}
