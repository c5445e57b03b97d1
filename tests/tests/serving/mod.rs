//! `sternline serve` as a person runs it, and clients that do what it says.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use sternline_tests::cli::{Ended, Home};

/// A running `sternline serve` and what it has said so far.
pub(crate) struct Serving {
    process: Child,
    stderr: BufReader<ChildStderr>,
    pub(crate) introduction: String,
}

impl Serving {
    /// Starts it and reads until it has said all that it says at the start.
    pub(crate) fn start(home: &Home, arguments: &[&str]) -> Self {
        let mut command = home.sternline(["serve"]);
        let mut process = command
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut stderr = BufReader::new(process.stderr.take().expect("a pipe"));
        let mut introduction = String::new();
        while !introduction.contains("Ctrl-C ends the server") {
            let read = stderr.read_line(&mut introduction).expect("text");
            assert!(read > 0, "it ended: {introduction}");
        }
        Self {
            process,
            stderr,
            introduction,
        }
    }

    /// What stands behind `label` on its line.
    pub(crate) fn said(&self, label: &str) -> &str {
        let line = self
            .introduction
            .lines()
            .find_map(|line| line.strip_prefix(label));
        line.unwrap_or_else(|| panic!("no {label:?} in {}", self.introduction))
            .trim()
    }

    pub(crate) fn port(&self) -> &str {
        let address = self.said("Listening on 127.0.0.1:");
        address.split(',').next().expect("a port")
    }

    /// The lines that are printed for copying, as a script.
    pub(crate) fn copied(&self) -> String {
        let lines = self.introduction.lines().filter(|line| line.starts_with("  "));
        lines.map(|line| format!("{line}\n")).collect()
    }

    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stderr.read_line(&mut line).expect("text");
        line.trim_end().to_owned()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process"), signal).expect("a signal");
    }

    pub(crate) fn end(mut self, signal: Signal) -> (Option<i32>, String) {
        self.signal(signal);
        let mut rest = String::new();
        self.stderr.read_to_string(&mut rest).expect("text");
        (self.process.wait().expect("an end").code(), rest)
    }
}

/// A test that fails must not leave the server running.
impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(crate) fn ssh(home: &Home, serving: &Serving, arguments: &[&str]) -> Ended {
    let known_hosts = format!(
        "UserKnownHostsFile={}",
        home.path().join("serve_known_hosts").display()
    );
    let mut command = home.command("sshpass");
    command
        .args([
            "-p",
            serving.said("Password:"),
            "ssh",
            "-F",
            "none",
            "-o",
            &known_hosts,
        ])
        .args(["-o", "PubkeyAuthentication=no", "-p", serving.port()])
        .args(arguments);
    Ended::from(command.output().expect("sshpass is missing: install sshpass"))
}

/// Runs the first printed line, which records the host key.
pub(crate) fn record(home: &Home, serving: &Serving) {
    let script = serving.copied();
    let line = script.lines().next().expect("a line that records the key");
    assert!(
        home.command("sh")
            .args(["-c", line])
            .status()
            .expect("sh")
            .success()
    );
}
