//! `--evidence` of every verb that connects: the bundle is there whatever the end was, for its owner only.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as a test does"
)]

mod cli_support;

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use cli_support::{Setting, eventually, without_terminal};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use sternline::error::DisconnectReason;
use sternline::evidence::EvidenceBundle;
use sternline::{Event, EventType};
use sternline_tests::cli::Home;
use sternline_tests::sshd::Sshd;

fn bundle(home: &Home, name: &str) -> EvidenceBundle {
    let path = home.path().join(name);
    let mode = std::fs::metadata(&path)
        .expect("it was written")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600, "{name}");
    EvidenceBundle::from_file(&path).expect("it is a bundle")
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("it is a directory");
    let mut names: Vec<_> = entries
        .map(|entry| {
            entry
                .expect("readable")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort();
    names
}

fn types(events: &[Event]) -> Vec<EventType> {
    events.iter().map(|event| event.event_type).collect()
}

#[test]
fn a_command_that_went_well_leaves_a_bundle_and_says_where() {
    let setting = Setting::new(Sshd::start());
    let home = &setting.home;
    home.write(".ssh/config", "Host *\n  ConnectTimeout 17\n");
    let ended = setting.ssh(&["--evidence", "out/run.json"], &["echo hello; exit 4"]);
    assert_eq!(
        (ended.status, ended.stdout.as_str()),
        (4, "hello\n"),
        "{}",
        ended.stderr
    );
    assert!(
        ended.stderr.ends_with("evidence: out/run.json\n"),
        "{}",
        ended.stderr
    );
    let bundle = bundle(home, "out/run.json");
    assert_eq!(bundle.disconnect_reason, DisconnectReason::Normal);
    assert_eq!(
        bundle.algorithms.host_key_fingerprint,
        Some(setting.fingerprint())
    );
    assert!(bundle.commands.is_empty());
    let types = types(&bundle.events);
    for wanted in [
        EventType::Connect,
        EventType::Auth,
        EventType::Exec,
        EventType::Disconnect,
    ] {
        assert!(types.contains(&wanted), "{types:?}");
    }
    let deadlines = &bundle.configuration["deadlines"];
    assert_eq!(deadlines["value"]["overall_ms"], 17_000.0);
    let place = deadlines["source"].as_str().expect("a place");
    assert!(place.ends_with(".ssh/config:2"), "{place}");
    let known_hosts = bundle.configuration["known_hosts_files"]["value"][0].as_str();
    assert!(known_hosts.expect("a path").ends_with(".ssh/known_hosts"));

    let ended = setting.ssh(
        &["-q", "--evidence", "lines.jsonl", "--record-output"],
        &["printf 'x\\377'"],
    );
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""));
    let text = std::fs::read_to_string(home.path().join("lines.jsonl")).expect("text");
    assert!(text.starts_with("{\"type\":\"bundle_header\""), "{text}");
    let commands = self::bundle(home, "lines.jsonl").commands;
    assert_eq!(commands[0].command, "printf 'x\\377'");
    assert_eq!(commands[0].stdout.data, b"x\xff");
    assert_eq!(commands[0].exit_code, Some(0));
}

#[test]
fn the_value_of_a_secret_variable_is_in_no_bundle_and_its_command_is_explained_by_what_it_wrote() {
    let setting = Setting::new(Sshd::start());
    let ended = setting.ssh(
        &[
            "--evidence",
            "run.json",
            "--record-output",
            "--env",
            "API_TOKEN=Zx81word",
        ],
        &["echo $API_TOKEN; echo out of luck >&2; exit 3"],
    );
    assert_eq!(
        (ended.status, ended.stdout.as_str()),
        (3, "Zx81word\n"),
        "{}",
        ended.stderr
    );
    let home = &setting.home;
    let text = std::fs::read_to_string(home.path().join("run.json")).expect("text");
    assert!(!text.contains("Zx81word"), "{text}");
    let explained = home
        .sternline(["evidence", "explain", "run.json"])
        .output()
        .expect("it runs");
    let explained = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(
        explained.contains("standard error was: out of luck"),
        "{explained}"
    );
}

#[test]
fn a_connection_that_cannot_be_made_leaves_a_bundle_from_every_verb() {
    let setting = Setting::new(Sshd::start());
    let free = TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("an address");
    let target = format!("ann@{free}");
    let recordable = free.to_string();
    let remote = format!("scp://{target}/x");
    for (verb, arguments) in [
        ("ssh", vec!["ssh", "--evidence", "ssh.json", &target, "true"]),
        ("cp", vec!["cp", "--evidence", "cp.json", &remote, "x"]),
        ("doctor", vec!["doctor", "--evidence", "doctor.json", &target]),
        (
            "wait",
            vec!["wait", "--evidence", "wait.json", "--timeout", "1s", &target],
        ),
        (
            "tunnel",
            vec![
                "tunnel",
                "--evidence",
                "tunnel.json",
                "--max-retries",
                "0",
                "-D",
                "0",
                &target,
            ],
        ),
        (
            "hostkeys",
            vec![
                "hostkeys",
                "add",
                "--yes",
                "--evidence",
                "hostkeys.json",
                &recordable,
            ],
        ),
    ] {
        let ended = without_terminal(&setting.home, &arguments);
        assert_ne!(ended.status, 0, "{verb}");
        let said = format!("evidence: {verb}.json\n");
        assert!(ended.stderr.contains(&said), "{verb}: {}", ended.stderr);
        let bundle = bundle(&setting.home, &format!("{verb}.json"));
        assert_eq!(bundle.disconnect_reason, DisconnectReason::NetworkError, "{verb}");
        assert_eq!(bundle.error_context["error_type"], "ConnectionRefused", "{verb}");
        assert_eq!(bundle.error_context["phase"], "tcp", "{verb}");
        let phases: Vec<&str> = bundle
            .timing
            .phases
            .iter()
            .map(|phase| phase.phase.as_str())
            .collect();
        assert_eq!(phases, ["resolve", "tcp"], "{verb}");
    }
}

#[test]
fn verbs_that_went_well_leave_their_events_too() {
    let setting = Setting::new(Sshd::start());
    let home = &setting.home;
    let target = setting.sshd.target();
    home.write("file", "content");
    let copied = setting.sshd.path("copied");
    let to = format!("{target}:{}", copied.display());
    // The port stands in the address, which scp's syntax has no room for.
    let port = setting.sshd.port().to_string();
    let to = to.replace(&format!(":{port}:"), ":");
    let ended = without_terminal(home, &["cp", "-P", &port, "--evidence", "cp.json", "file", &to]);
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    assert!(types(&bundle(home, "cp.json").events).contains(&EventType::Transfer));

    let ended = without_terminal(home, &["doctor", "--evidence", "doctor.json", &target]);
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    assert!(types(&bundle(home, "doctor.json").events).contains(&EventType::Exec));

    home.write("none", "");
    let arguments = [
        "hostkeys",
        "add",
        "--yes",
        "--known-hosts",
        "none",
        "--evidence",
        "add.json",
    ];
    let ended = without_terminal(home, &[&arguments[..], &[&target]].concat());
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    let bundle = bundle(home, "add.json");
    assert_eq!(
        bundle.algorithms.host_key_fingerprint,
        Some(setting.fingerprint())
    );
    assert!(bundle.error_context.is_empty());
}

#[test]
fn several_hosts_have_a_file_each() {
    let setting = Setting::several();
    setting.trust(&["127.0.0.2"]);
    let hosts = format!("{},{}", setting.at("127.0.0.1"), setting.at("127.0.0.3"));
    let ended = without_terminal(&setting.home, &["ssh", "--evidence", "run.json", &hosts, "true"]);
    assert_eq!(ended.status, 1, "{}", ended.stderr);
    let port = setting.sshd.port();
    let user = &setting.sshd.user().name;
    let [first, third] = ["127.0.0.1", "127.0.0.3"].map(|host| format!("run.{user}@{host}_{port}.json"));
    assert_eq!(names(setting.home.path()), [first.as_str(), third.as_str()]);
    assert!(bundle(&setting.home, &first).error_context.is_empty());
    let unknown = bundle(&setting.home, &third);
    assert_eq!(unknown.error_context["error_type"], "HostKeyMismatch");
    assert_eq!(unknown.host_info.expect("a host").host, "127.0.0.3");
    let said = format!("evidence: 2 files, {first} to {third}\n");
    assert!(ended.stderr.ends_with(&said), "{}", ended.stderr);

    std::fs::create_dir(setting.home.path().join("folder")).expect("made");
    let ended = setting.ssh(&["--evidence", "folder"], &["true"]);
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    let names = names(&setting.home.path().join("folder"));
    assert_eq!(names, [format!("{user}@127.0.0.1_{port}.json")]);
}

#[test]
fn what_is_met_at_a_jump_host_is_in_the_bundle_and_the_facts_are_those_of_the_host() {
    let (gate, setting) = (Setting::new(Sshd::start()), Setting::new(Sshd::start()));
    let home = &setting.home;
    let lines = format!(
        "{}{}",
        gate.sshd.known_hosts_line("ed25519"),
        setting.sshd.known_hosts_line("ed25519")
    );
    home.write(".ssh/known_hosts", lines);
    home.write(".ssh/gate", std::fs::read(gate.sshd.key()).expect("a key"));
    let key = home.path().join(".ssh/gate");
    home.write(
        ".ssh/config",
        format!(
            "Host gate\n  HostName 127.0.0.1\n  Port {}\n  User {}\n  IdentityFile {}\n",
            gate.sshd.port(),
            gate.sshd.user().name,
            key.display()
        ),
    );
    let ended = setting.ssh(&["-J", "gate", "--evidence", "run.json"], &["true"]);
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    let bundle = bundle(home, "run.json");
    let hosts: Vec<&str> = bundle
        .events
        .iter()
        .filter(|event| event.event_type == EventType::Auth)
        .filter_map(|event| event.data["host"].as_str())
        .collect();
    assert_eq!(hosts, ["gate", "127.0.0.1"]);
    assert_eq!(bundle.host_info.expect("a host").port, setting.sshd.port());
    assert_eq!(
        bundle.algorithms.host_key_fingerprint,
        Some(setting.fingerprint())
    );
    assert_eq!(bundle.configuration["proxy_jump"]["source"], "command line");
}

#[test]
fn ctrl_c_and_a_time_limit_leave_a_bundle_that_says_so() {
    let setting = Setting::new(Sshd::start());
    let target = setting.sshd.target();
    let mut running = setting
        .home
        .sternline([
            "ssh",
            "--evidence",
            "stopped.json",
            &target,
            "echo begun; sleep 60",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut line = String::new();
    BufReader::new(running.stdout.take().expect("a pipe"))
        .read_line(&mut line)
        .expect("text");
    assert_eq!(line, "begun\n");
    let pid = i32::try_from(running.id()).expect("a process id");
    kill_process(Pid::from_raw(pid).expect("a process id"), Signal::INT).expect("it runs");
    assert_eq!(running.wait().expect("it ends").code(), Some(130));
    let stopped = bundle(&setting.home, "stopped.json");
    assert_eq!(stopped.error_context["error_type"], "Cancelled");
    assert_eq!(
        stopped.error_context["message"],
        "the program was asked to stop by signal 2"
    );
    assert_eq!(stopped.error_context["sent"], "may_have_run");
    let explanation = sternline::evidence::explain(&stopped);
    assert!(
        explanation
            .facts
            .iter()
            .any(|fact| fact.text.contains("`echo begun; sleep 60` was running")),
        "{explanation:?}"
    );
    assert!(!explanation.how_far.contains("safe to send"), "{explanation:?}");

    let ended = setting.ssh(&["--timeout", "1s", "--evidence", "slow.json"], &["sleep 60"]);
    assert_eq!(ended.status, 124);
    let slow = bundle(&setting.home, "slow.json");
    assert_eq!(slow.error_context["error_type"], "CommandTimeout");
    assert_eq!(slow.error_context["sent"], "ran");
}

#[test]
fn a_file_that_cannot_be_written_is_told_before_anything_is_done() {
    let setting = Setting::new(Sshd::start());
    setting.home.write("file", "");
    for name in ["file/run.json", "/dev/null"] {
        let ended = setting.ssh(&["--evidence", name], &["echo ran"]);
        assert_ne!(ended.status, 0, "{name}");
        assert_eq!(ended.stdout, "", "{name}");
        assert!(ended.stderr.contains("cannot"), "{name}: {}", ended.stderr);
    }
    let ended = setting.ssh(&["--evidence", "-"], &["echo ran"]);
    assert_eq!((ended.status, ended.stdout.as_str()), (2, ""), "{}", ended.stderr);
    assert!(!setting.home.path().join("-").exists());
    let ended = setting.ssh(&["--record-output"], &["echo ran"]);
    assert_eq!((ended.status, ended.stdout.as_str()), (2, ""), "{}", ended.stderr);
}

#[test]
fn a_tunnel_that_was_lost_and_made_again_has_both_connections_in_its_bundle() {
    let setting = Setting::new(Sshd::start());
    let target = setting.sshd.target();
    let mut running = setting
        .home
        .sternline([
            "tunnel",
            "--json",
            "--evidence",
            "tunnel.json",
            "-D",
            "0",
            &target,
        ])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut events = BufReader::new(running.stdout.take().expect("a pipe")).lines();
    let mut until = |event_type: EventType, status: &str| {
        let wanted = json!(status);
        loop {
            let line = events.next().expect("it goes on").expect("text");
            let event = Event::from_json(&line).expect("an event");
            if event.event_type == event_type && event.data["status"] == wanted {
                return;
            }
        }
    };
    until(EventType::Forward, "established");
    setting.sshd.break_connections();
    until(EventType::Connect, "connected");
    let pid = i32::try_from(running.id()).expect("a process id");
    kill_process(Pid::from_raw(pid).expect("a process id"), Signal::TERM).expect("it runs");
    assert_eq!(running.wait().expect("it ends").code(), Some(0));
    eventually("the bundle is there", || {
        setting.home.path().join("tunnel.json").exists()
    });
    let bundle = bundle(&setting.home, "tunnel.json");
    let connected = bundle
        .events
        .iter()
        .filter(|event| event.event_type == EventType::Connect && event.data["status"] == "connected");
    assert_eq!(connected.count(), 2);
    assert!(types(&bundle.events).contains(&EventType::StateChange));
}
