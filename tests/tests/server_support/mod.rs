//! What the tests of the embedded server share: servers, real clients, and the way to start them.

#![allow(dead_code, reason = "each test program uses a part of this")]

pub(crate) mod files;
pub(crate) mod python;

use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use sternline_server::{Credential, KeyPair, Server, ServerBuilder};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

/// Nothing here takes a tenth of this; it only turns a hang into a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A server with one user, `deploy`, who may come with a password or a key, and a directory for a client's files.
pub(crate) struct Fixture {
    pub(crate) server: Server,
    pub(crate) dir: TempDir,
    pub(crate) key: PathBuf,
    pub(crate) known_hosts: PathBuf,
}

pub(crate) const PASSWORD: &str = "correct horse";

impl Fixture {
    pub(crate) async fn start(builder: ServerBuilder) -> Self {
        let pair = KeyPair::generate_ed25519().unwrap();
        let server = builder
            .user("deploy", Credential::password(PASSWORD))
            .user("deploy", Credential::public_key(&pair.public_line()).unwrap())
            .bind()
            .await
            .unwrap();
        Self::of(server, &pair)
    }

    /// A client's files for a server that was made elsewhere.
    pub(crate) fn of(server: Server, pair: &KeyPair) -> Self {
        let dir = TempDir::new().unwrap();
        let (key, known_hosts) = (dir.path().join("key"), dir.path().join("known_hosts"));
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&key)
            .unwrap();
        file.write_all(secret(pair).as_bytes()).unwrap();
        std::fs::write(&known_hosts, format!("{}\n", server.known_hosts_line())).unwrap();
        Self {
            server,
            dir,
            key,
            known_hosts,
        }
    }

    /// OpenSSH's client with the fixture's key. It trusts this server's host key and no other, and asks nobody.
    pub(crate) fn ssh(&self) -> Command {
        let mut command = self.ssh_by("publickey");
        command.args(["-o", "BatchMode=yes"]);
        command
    }

    /// OpenSSH's client with these methods of logging in, `answer` for every question, and none of this machine's
    /// settings.
    pub(crate) fn ssh_answering(&self, answer: &str, methods: &str) -> Command {
        let mut command = self.ssh_by(methods);
        let script = self.dir.path().join("askpass");
        std::fs::write(&script, "#!/bin/sh\nprintf '%s\\n' \"$ASKPASS_ANSWER\"\n").unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).unwrap();
        command
            .env("SSH_ASKPASS", script)
            .env("SSH_ASKPASS_REQUIRE", "force")
            .env("ASKPASS_ANSWER", answer);
        command
    }

    fn ssh_by(&self, methods: &str) -> Command {
        let mut ssh = Command::new("ssh");
        ssh.args([
            "-F",
            "none",
            "-p",
            &self.server.port().to_string(),
            "-o",
            "LogLevel=ERROR",
        ])
        .arg("-i")
        .arg(&self.key)
        .args(["-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=yes"])
        .arg("-o")
        .arg(format!("UserKnownHostsFile={}", self.known_hosts.display()))
        .arg("-o")
        .arg(format!("PreferredAuthentications={methods}"))
        .args(["-l", "deploy", "127.0.0.1"])
        .env_remove("SSH_AUTH_SOCK")
        .stdin(Stdio::null())
        .kill_on_drop(true);
        ssh
    }

    /// `scp` or `sftp` of OpenSSH with the fixture's key, the server being `deploy@127.0.0.1`.
    pub(crate) fn openssh(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .args(["-F", "none", "-P", &self.server.port().to_string()])
            .args([
                "-o",
                "LogLevel=ERROR",
                "-o",
                "BatchMode=yes",
                "-o",
                "IdentitiesOnly=yes",
            ])
            .args(["-o", "StrictHostKeyChecking=yes", "-o"])
            .arg(format!("UserKnownHostsFile={}", self.known_hosts.display()))
            .arg("-i")
            .arg(&self.key)
            .env_remove("SSH_AUTH_SOCK")
            .kill_on_drop(true);
        command
    }

    /// What a Python client needs to know.
    pub(crate) fn request(&self, action: &str) -> Value {
        json!({
            "action": action,
            "port": self.server.port(),
            "user": "deploy",
            "key": self.key.to_str().unwrap(),
            "known_hosts": self.known_hosts.to_str().unwrap(),
        })
    }
}

/// A key's private text, which only tests show.
fn secret(pair: &KeyPair) -> String {
    use secrecy::ExposeSecret as _;
    pair.private_openssh().unwrap().expose_secret().to_owned()
}

/// Runs a client to its end, with `input` as its standard input.
pub(crate) async fn run(mut command: Command, input: Vec<u8>) -> Output {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let feed = tokio::spawn(async move {
        // A client that does not want its input is no failure here.
        let _ = stdin.write_all(&input).await;
    });
    let output = timeout(PATIENCE, child.wait_with_output())
        .await
        .unwrap_or_else(|_| panic!("{command:?} did not end in {PATIENCE:?}"))
        .unwrap();
    feed.abort();
    output
}

/// As [`run`], without input.
pub(crate) async fn answer(command: Command) -> Output {
    run(command, Vec::new()).await
}

/// Bytes of every value, with a pattern that shows what was lost or swapped.
pub(crate) fn binary(count: usize) -> Vec<u8> {
    (0..count)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect()
}

/// Waits until `done` says so, as a test may only for something that nobody reports.
pub(crate) async fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    timeout(PATIENCE, async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .unwrap_or_else(|_| panic!("{what} did not come about in {PATIENCE:?}"));
}

/// Whether a process with this number exists and is not a zombie.
pub(crate) fn is_running(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap().trim_start().starts_with('Z'))
}
