//! What is composed for a sandbox, run by the real shells and the real bubblewrap of this machine.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use sternline_proto::sandbox::{
    End, HostFacts, Nonce, RemoteCommand, SandboxProfile, compose, parse_probe, probe_command, read_output, read_status,
};

/// A request as a server would run it: by the account's shell, with the prefix and what follows on standard input.
fn run(shell: &[&str], command: &RemoteCommand, stdin: &[u8]) -> Output {
    let line = String::from_utf8(command.line.clone()).unwrap();
    let mut child = Command::new(shell[0])
        .args(&shell[1..])
        .args(["-c", &line])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let bytes = [command.prefix.as_slice(), stdin].concat();
    let writer = std::thread::spawn(move || {
        let _ = input.write_all(&bytes);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

fn facts() -> &'static HostFacts {
    static FACTS: OnceLock<HostFacts> = OnceLock::new();
    FACTS.get_or_init(|| {
        let output = run(&["sh"], &probe_command(), b"");
        parse_probe(&String::from_utf8_lossy(&output.stdout)).unwrap()
    })
}

fn nonce() -> Nonce {
    Nonce::new([7; 16])
}

struct Ran {
    end: End,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    status: Option<i32>,
}

fn sandboxed(shell: &[&str], profile: &SandboxProfile, argv: &[&str], stdin: Option<&[u8]>) -> Ran {
    let time = Duration::from_secs(20);
    let command = compose(profile, facts(), argv, time, stdin.is_some(), &nonce()).unwrap();
    let output = run(shell, &command, stdin.unwrap_or_default());
    let status = read_status(&output.stderr, &nonce());
    Ran {
        end: status.end,
        stdout: read_output(&output.stdout, &nonce()).unwrap_or_default().to_vec(),
        stderr: status.stderr,
        status: output.status.code(),
    }
}

#[test]
fn first() {
    let profile = SandboxProfile::bundled("minimal").unwrap();
    for shell in [&["sh"][..], &["bash"], &["dash"], &["zsh"], &["busybox", "sh"], &["fish"], &["tcsh"]] {
        let ran = sandboxed(shell, &profile, &["ls", "-la", "/", "/usr/bin"], None);
        println!("{shell:?} {:?} {:?}\n{}\n{}", ran.end, ran.status, String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        let ran = sandboxed(shell, &profile, &["cat"], Some(b"hello\0\xff"));
        println!("{shell:?} {:?} {:?}\n{:?}\n{}", ran.end, ran.status, ran.stdout, String::from_utf8_lossy(&ran.stderr));
    }
}
