//! What the tests of the command line share.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use sternline_tests::cli::{Ended, Home, program};
use sternline_tests::sshd::Sshd;

/// A home that knows the server and has its key, and the server.
pub(crate) struct Setting {
    pub(crate) home: Home,
    pub(crate) sshd: Sshd,
}

impl Setting {
    pub(crate) fn new(sshd: Sshd) -> Self {
        let home = Home::new();
        home.write(".ssh/id_ed25519", std::fs::read(sshd.key()).unwrap());
        home.write(".ssh/known_hosts", sshd.known_hosts_line("ed25519"));
        Self { home, sshd }
    }

    /// A server at 127.0.0.1, .2, .3 and .4, of which only the first is known.
    pub(crate) fn several() -> Self {
        let mut settings = sternline_tests::sshd::Settings::default();
        for address in ["127.0.0.2", "127.0.0.3", "127.0.0.4"] {
            settings = settings.option(&format!("ListenAddress {address}"));
        }
        let setting = Self::new(settings.start());
        // The server is known to listen at one of its addresses, and takes a moment for the others.
        for address in ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"] {
            let port = setting.sshd.port();
            eventually("the server listens", || {
                TcpStream::connect((address, port)).is_ok()
            });
        }
        setting
    }

    /// The same, with the first so many of these addresses known, and their list.
    pub(crate) fn at_addresses(known: usize) -> (Self, String) {
        let setting = Self::several();
        let addresses = ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"];
        let addresses = &addresses[..known];
        setting.trust(&addresses[1..]);
        let hosts: Vec<String> = addresses.iter().map(|address| setting.at(address)).collect();
        (setting, hosts.join(","))
    }

    /// The account, as it is named where the port stands elsewhere.
    pub(crate) fn account_at(&self, address: &str) -> String {
        format!("{}@{address}", self.sshd.user().name)
    }

    /// The server's account at an address.
    pub(crate) fn at(&self, address: &str) -> String {
        format!("{}:{}", self.account_at(address), self.sshd.port())
    }

    /// Records the server's key for these addresses too.
    pub(crate) fn trust(&self, addresses: &[&str]) {
        let line = self.sshd.known_hosts_line("ed25519");
        let lines: String = addresses
            .iter()
            .map(|address| line.replace("127.0.0.1", address))
            .collect();
        self.home.write(".ssh/known_hosts", format!("{line}{lines}"));
    }

    /// The fingerprint of the server's key.
    pub(crate) fn fingerprint(&self) -> String {
        let mut keygen = Command::new("ssh-keygen");
        let output = keygen
            .arg("-lf")
            .arg(self.sshd.path("host_ed25519.pub"))
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.split(' ').nth(1).unwrap().to_owned()
    }

    /// Runs `sternline ssh OPTIONS TARGET COMMAND`, with no terminal to ask on.
    pub(crate) fn ssh(&self, options: &[&str], command: &[&str]) -> Ended {
        let target = self.sshd.target();
        let arguments = [&["ssh"], options, &[target.as_str()], command].concat();
        without_terminal(&self.home, &arguments)
    }
}

/// Runs the program where no terminal can be opened, not even the one that the tests were started from.
pub(crate) fn without_terminal(home: &Home, arguments: &[&str]) -> Ended {
    let mut command = home.command("setsid");
    command.arg("--wait").arg(program()).args(arguments);
    Ended::from(command.output().unwrap())
}

/// Starts the program with Ctrl-C in force, even where the tests run in the background of a shell.
pub(crate) fn start(setting: &Setting, arguments: &[&str]) -> Child {
    let mut started = setting.home.command("env");
    started.arg("--default-signal=INT").arg(program()).args(arguments);
    started
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

pub(crate) fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// The output as JSON, one value a line.
pub(crate) fn json_lines(ended: &Ended) -> Vec<Value> {
    let lines = ended.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {ended:?}")))
        .collect()
}

/// Looks again and again until `condition` holds.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < give_up, "this did not come to pass: {what}");
        std::thread::yield_now();
    }
}

/// What a program in a terminal showed, and how it ended.
pub(crate) struct Shown {
    pub(crate) text: String,
    pub(crate) status: i64,
    /// Whether the terminal was left as it was found.
    pub(crate) restored: bool,
}

/// Runs the program in a terminal, with a person who does the steps of `tests/python/terminal.py`.
pub(crate) fn in_terminal(home: &Home, arguments: &[&str], steps: Value) -> Shown {
    in_terminal_with(home, &[], arguments, steps)
}

/// The same, with more variables in its environment.
pub(crate) fn in_terminal_with(
    home: &Home,
    variables: &[(&str, &str)],
    arguments: &[&str],
    steps: Value,
) -> Shown {
    let program = program();
    let command = [&[program.to_str().unwrap()], arguments].concat();
    command_in_terminal(home, variables, &command, steps)
}

/// The same with any program, such as a shell that runs ours as a job.
pub(crate) fn command_in_terminal(
    home: &Home,
    variables: &[(&str, &str)],
    command: &[&str],
    steps: Value,
) -> Shown {
    let path = std::env::var("PATH").unwrap();
    let mut env = json!({ "PATH": path, "HOME": home.path(), "TERM": "xterm-256color", "LC_ALL": "C" });
    for (name, value) in variables {
        env[name] = (*value).into();
    }
    let request = json!({
        "command": command,
        "cwd": home.path(),
        "env": env,
        "steps": steps,
    });
    let python = std::env::var_os("STERNLINE_TEST_PYTHON").unwrap_or_else(|| "python3".into());
    let mut driver = Command::new(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("python/terminal.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    serde_json::to_writer(driver.stdin.take().unwrap(), &request).unwrap();
    let output = driver.wait_with_output().unwrap();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = answer["shown"].as_str().unwrap().to_owned();
    assert!(
        answer["failed"].is_null(),
        "{} did not come to pass:\n{text}",
        answer["failed"]
    );
    Shown {
        text,
        status: answer["status"].as_i64().unwrap(),
        restored: answer["before"] == answer["after"],
    }
}
