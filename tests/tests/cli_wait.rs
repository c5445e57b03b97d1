//! `sternline wait`: a server that comes up late, one that never does, and failures that waiting does not mend.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as a test does"
)]

mod cli_support;

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Child, ChildStderr, Stdio};

use cli_support::{Setting, in_terminal, without_terminal};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use sternline::ErrorKind;
use sternline::connection::ReadinessPolicy;
use sternline_tests::cli::{Ended, Home};
use sternline_tests::sshd::{Settings, Sshd, free_port, keygen};

/// A wait that goes on, and what it says on standard error about each attempt.
struct Waiting {
    process: Child,
    said: BufReader<ChildStderr>,
    so_far: String,
}

impl Waiting {
    fn start(home: &Home, arguments: &[&str]) -> Self {
        let mut process = home
            .sternline([&["wait", "-v", "--json"], arguments].concat())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let said = BufReader::new(process.stderr.take().expect("a pipe"));
        Self {
            process,
            said,
            so_far: String::new(),
        }
    }

    /// Comes back when it has told of an attempt that failed with this kind of error.
    fn until_failed(&mut self, error_type: &str) {
        let wanted = format!("\"error_type\":\"{error_type}\"");
        loop {
            let mut line = String::new();
            let read = self.said.read_line(&mut line).expect("text");
            assert!(read > 0, "it ended without {error_type}:\n{}", self.so_far);
            self.so_far.push_str(&line);
            if line.starts_with("event ERROR") && line.contains(&wanted) {
                return;
            }
        }
    }

    /// Its exit status, and its JSON object.
    fn end(mut self) -> (i32, Value, String) {
        self.said.read_to_string(&mut self.so_far).expect("text");
        let ended = Ended::from(self.process.wait_with_output().expect("it ends"));
        let value = serde_json::from_str(&ended.stdout).unwrap_or_default();
        (ended.status, value, self.so_far)
    }
}

/// What it says without -v.
fn wait(home: &Home, arguments: &[&str]) -> Ended {
    home.run([&["wait"], arguments].concat())
}

#[test]
fn a_server_that_starts_after_the_wait_began_is_noticed() {
    let mut setting = Setting::new(Sshd::start());
    setting.sshd.stop();
    let mut waiting = Waiting::start(&setting.home, &[&setting.sshd.target()]);
    waiting.until_failed("ConnectionRefused");
    waiting.until_failed("ConnectionRefused");
    setting.sshd.start_again();
    let (status, value, said) = waiting.end();
    assert_eq!(status, 0, "{said}");
    assert_eq!(value["schema"], "sternline.wait/1");
    assert_eq!(value["host"], setting.sshd.target());
    assert_eq!(
        (&value["ready"], &value["error"]),
        (&Value::Bool(true), &Value::Null)
    );
    assert!(value["attempts"].as_u64() >= Some(3), "{value}");
    assert!(said.contains("is ready after"), "{said}");
}

#[test]
fn a_server_that_is_there_needs_one_attempt_and_says_so() {
    let setting = Setting::new(Sshd::start());
    let ended = wait(&setting.home, &[&setting.sshd.target()]);
    assert_eq!((ended.status, ended.stdout.as_str()), (0, ""), "{}", ended.stderr);
    let host = setting.sshd.target();
    assert!(
        ended.stderr.starts_with(&format!("{host} is ready after ")),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.ends_with(" (1 attempt)\n"), "{}", ended.stderr);
}

#[test]
fn a_port_that_stays_closed_ends_with_the_reason_when_the_time_has_passed() {
    let host = format!("127.0.0.1:{}", free_port());
    let ended = wait(&Home::new(), &["--timeout", "500ms", &host]);
    assert_eq!(ended.status, 124, "{}", ended.stderr);
    assert!(
        ended.stderr.starts_with("error: 127.0.0.1 port "),
        "{}",
        ended.stderr
    );
    assert!(
        ended.stderr.contains(" was not ready within 500 ms ("),
        "{}",
        ended.stderr
    );
    assert!(
        ended.stderr.contains("connection refused by 127.0.0.1 port"),
        "{}",
        ended.stderr
    );
    assert!(
        ended
            .stderr
            .contains("(phase: tcp)\nhint: check that an SSH server runs"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_name_that_does_not_resolve_may_still_appear() {
    let ended = wait(&Home::new(), &["--timeout", "300ms", "no-such-host.invalid"]);
    assert_eq!(ended.status, 124, "{}", ended.stderr);
    assert!(
        ended
            .stderr
            .contains("cannot resolve no-such-host.invalid (phase: resolve)"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_port_that_never_speaks_is_told_from_one_that_is_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let host = format!("127.0.0.1:{}", listener.local_addr().expect("an address").port());
    // The listener's queue accepts, and nobody reads from it.
    let ended = wait(&Home::new(), &["--timeout", "500ms", "--json", &host]);
    assert_eq!(ended.status, 124, "{}", ended.stderr);
    assert!(
        ended
            .stderr
            .contains("timed out while waiting for the server's SSH identification"),
        "{}",
        ended.stderr
    );
    let value: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(
        (&value["ready"], &value["attempts"]),
        (&Value::Bool(false), &json!(1))
    );
    assert_eq!(value["error"]["error_type"], "ConnectionTimeout");
    assert_eq!(value["error"]["phase"], "banner");
    assert_eq!(value["error"]["last_error"]["phase"], "banner");
}

#[test]
fn a_silent_server_is_tried_again_once_an_attempt_has_taken_its_time() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let host = format!("127.0.0.1:{}", listener.local_addr().expect("an address").port());
    let mut waiting = Waiting::start(&Home::new(), &["--connect-timeout", "100ms", &host]);
    waiting.until_failed("ConnectionTimeout");
    waiting.until_failed("ConnectionTimeout");
    kill(&waiting, Signal::KILL);
    waiting.end();
}

/// A home that has a key which the server does not take yet.
fn stranger(sshd: Sshd) -> Setting {
    let setting = Setting::new(sshd);
    keygen(&setting.home.path().join("other"), "ed25519");
    let other = std::fs::read(setting.home.path().join("other")).expect("a key");
    setting.home.write(".ssh/id_ed25519", other);
    setting
}

#[test]
fn a_refused_login_is_final_unless_there_is_a_time_of_grace() {
    let setting = stranger(Sshd::start());
    let waiting = Waiting::start(&setting.home, &[&setting.sshd.target()]);
    let (status, value, said) = waiting.end();
    assert_eq!((status, &value["attempts"]), (255, &json!(1)), "{said}");
    assert_eq!(value["error"]["error_type"], "AuthFailed");
    assert!(said.contains("authentication failed for"), "{said}");
    assert!(said.contains("(phase: auth)\nhint: "), "{said}");
}

#[test]
fn within_the_grace_a_refused_login_is_tried_again_at_most_once_a_second_until_it_is_accepted() {
    let setting = stranger(Sshd::start());
    let target = setting.sshd.target();
    let mut waiting = Waiting::start(
        &setting.home,
        &["--auth-grace", "1h", "--events", "events.jsonl", &target],
    );
    waiting.until_failed("AuthFailed");
    waiting.until_failed("AuthFailed");
    let public = setting.home.path().join("other.pub");
    std::fs::copy(public, setting.sshd.path("authorized_keys")).expect("the account's keys");
    let (status, value, said) = waiting.end();
    assert_eq!((status, &value["ready"]), (0, &Value::Bool(true)), "{said}");

    let events = std::fs::read_to_string(setting.home.path().join("events.jsonl")).expect("events");
    let begun: Vec<f64> = events
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
        .filter(|event| event["data"]["status"] == "initiating")
        .map(|event| event["timestamp"].as_f64().expect("a time"))
        .collect();
    assert_eq!(Some(begun.len() as u64), value["attempts"].as_u64());
    assert!(begun.len() >= 3, "{begun:?}");
    // The clock of events may be set meanwhile, but hardly by much.
    assert!(
        begun.windows(2).all(|pair| pair[1] - pair[0] >= 950.0),
        "{begun:?}"
    );
}

#[test]
fn a_refused_login_is_final_when_the_grace_has_passed() {
    let setting = stranger(Sshd::start());
    let target = setting.sshd.target();
    let (status, value, said) = Waiting::start(&setting.home, &["--auth-grace", "500ms", &target]).end();
    assert_eq!((status, &value["attempts"]), (255, &json!(2)), "{said}");
    assert_eq!(value["error"]["error_type"], "AuthFailed");
}

#[test]
fn when_the_time_passes_within_the_grace_the_refusal_is_the_reason() {
    let setting = stranger(Sshd::start());
    let target = setting.sshd.target();
    let arguments = ["--auth-grace", "1h", "--timeout", "2s", &target];
    let (status, value, said) = Waiting::start(&setting.home, &arguments).end();
    assert_eq!(status, 124, "{said}");
    assert_eq!(value["error"]["error_type"], "ConnectionTimeout");
    assert_eq!(value["error"]["phase"], "auth");
    assert_eq!(value["error"]["last_error"]["error_type"], "AuthFailed");
    assert!(
        said.contains("was not ready within 2 s") && said.contains("authentication failed for"),
        "{said}"
    );
}

#[test]
fn a_changed_host_key_is_final_at_once_whatever_the_grace() {
    let setting = Setting::new(Sshd::start());
    keygen(&setting.home.path().join("other"), "ed25519");
    let other = std::fs::read_to_string(setting.home.path().join("other.pub")).expect("a key");
    setting.home.write(
        ".ssh/known_hosts",
        format!("[127.0.0.1]:{} {other}", setting.sshd.port()),
    );
    let target = setting.sshd.target();
    let (status, value, said) = Waiting::start(&setting.home, &["--auth-grace", "1h", &target]).end();
    assert_eq!((status, &value["attempts"]), (255, &json!(1)), "{said}");
    assert_eq!(value["error"]["error_type"], "HostKeyMismatch");
    assert!(
        said.contains("has changed") && said.contains("(phase: host_key)"),
        "{said}"
    );
}

#[test]
fn a_key_file_that_cannot_be_used_is_final_at_once_whatever_the_grace() {
    let setting = Setting::new(Sshd::start());
    let target = setting.sshd.target();
    let arguments = ["--auth-grace", "1h", "-i", "missing", &target];
    let (status, value, said) = Waiting::start(&setting.home, &arguments).end();
    assert_eq!((status, &value["attempts"]), (255, &json!(1)), "{said}");
    assert_eq!(value["error"]["error_type"], "KeyLoadError");
    assert_eq!(value["error"]["reason"], "file_not_found");
}

#[test]
fn a_server_without_a_common_algorithm_is_final_at_once() {
    let sshd = Settings::default()
        .option("KexAlgorithms diffie-hellman-group14-sha1")
        .start();
    let setting = Setting::new(sshd);
    let (status, value, said) = Waiting::start(&setting.home, &[&setting.sshd.target()]).end();
    assert_eq!((status, &value["attempts"]), (255, &json!(1)), "{said}");
    assert_eq!(value["error"]["error_type"], "NoMutualKex");
}

fn kill(waiting: &Waiting, signal: Signal) {
    let pid = Pid::from_child(&waiting.process);
    kill_process(pid, signal).expect("it runs");
}

#[test]
fn ctrl_c_ends_the_wait() {
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let host = format!("127.0.0.1:{}", free_port());
        let mut waiting = Waiting::start(&Home::new(), &["--timeout", "1h", &host]);
        waiting.until_failed("ConnectionRefused");
        kill(&waiting, signal);
        assert_eq!(waiting.end().0, status);
    }
}

#[test]
fn progress_is_shown_on_a_terminal_only_and_a_reason_only_once() {
    let home = Home::new();
    let host = format!("127.0.0.1:{}", free_port());
    let arguments = ["wait", "--timeout", "1s", &host];
    let shown = in_terminal(&home, &arguments, json!([]));
    assert_eq!(shown.status, 124, "{}", shown.text);
    let progress = format!("waiting for {host}: connection refused by");
    assert_eq!(shown.text.matches(&progress).count(), 1, "{}", shown.text);

    let ended = without_terminal(&home, &arguments);
    assert!(!ended.stderr.contains("waiting for"), "{}", ended.stderr);
    assert_eq!(ended.stderr.lines().count(), 2, "{}", ended.stderr);
}

#[test]
fn more_than_one_host_is_a_mistake() {
    let ended = wait(&Home::new(), &["web-[1-3]"]);
    assert_eq!(ended.status, 2);
    assert!(
        ended.stderr.contains("wait watches one host, and 3 are named"),
        "{}",
        ended.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn in_rust_the_connection_that_was_waited_for_is_there_to_be_used() {
    let mut sshd = Sshd::start();
    let builder = sshd.builder();
    sshd.stop();
    let (mut sshd, mut failures) = (Some(sshd), 0);
    let mut running = None;
    let connection = builder
        .connect_when_ready(ReadinessPolicy::default(), |error| {
            assert_eq!(error.kind(), &ErrorKind::ConnectionRefused);
            failures += 1;
            // It starts only after an attempt was seen to fail.
            if let Some(mut stopped) = sshd.take() {
                stopped.start_again();
                running = Some(stopped);
            }
        })
        .await
        .expect("it is ready");
    let result = connection.exec("echo ready").await.expect("it runs");
    assert_eq!(result.stdout_text(), "ready\n");
    connection.close().await;
    assert!(failures >= 1);
    drop(running);
}
