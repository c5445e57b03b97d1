//! The published JSON schemas: what the library and the program really write is right by them, and what is broken is not.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as a test does"
)]

mod cli_support;
mod supervisor_support;

use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use cli_support::{Setting, without_terminal};
use serde_json::{Map, Value, json};
use sternline::evidence::{
    EvidenceRecorder, InteractionType, RecordOutput, Redaction, Transcript, TranscriptEntry,
};
use sternline::{AuthConfig, Connection};
use sternline_tests::sshd::{Settings, Sshd};
use supervisor_support::{quick, reconnected, start};

/// What the validator says of each document: what is wrong, and which names are not described.
fn checked(checks: &[(&str, Value)]) -> Vec<(Vec<String>, Vec<String>)> {
    let request = json!({
        "folder": Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/schemas"),
        "checks": checks
            .iter()
            .map(|(schema, document)| json!({ "schema": schema, "document": document }))
            .collect::<Vec<_>>(),
    });
    let python = std::env::var_os("STERNLINE_TEST_PYTHON").unwrap_or_else(|| "python3".into());
    let mut validator = Command::new(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("python/schemas.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python runs");
    let mut stdin = validator.stdin.take().expect("a pipe");
    stdin.write_all(request.to_string().as_bytes()).expect("it reads");
    drop(stdin);
    let output = validator.wait_with_output().expect("it ends");
    assert!(output.status.success(), "the validator failed");
    let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let texts = |value: &Value| -> Vec<String> {
        let items = value.as_array().expect("a list").iter();
        items
            .map(|text| text.as_str().expect("text").to_owned())
            .collect()
    };
    let answers = answer["answers"].as_array().expect("a list").iter();
    answers
        .map(|answer| (texts(&answer["wrong"]), texts(&answer["undescribed"])))
        .collect()
}

/// All of these are right, and hold nothing that their schema does not describe.
fn all_right(checks: &[(&str, Value)]) {
    for ((schema, document), (wrong, undescribed)) in checks.iter().zip(checked(checks)) {
        assert!(wrong.is_empty(), "{schema}: {wrong:#?}\n{document:#}");
        assert!(
            undescribed.is_empty(),
            "{schema} does not describe {undescribed:?}"
        );
    }
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// Bundles of sessions that went well and of those that did not, with everything that there can be in one.
async fn bundles() -> Vec<sternline::EvidenceBundle> {
    let mut bundles = Vec::new();
    let sshd = Settings::default().option("PasswordAuthentication no").start();
    let recorder = EvidenceRecorder::new();
    let builder = sshd
        .builder()
        .evidence(&recorder)
        .record_output(RecordOutput::default());
    let supervisor = start(builder, quick(5)).await;
    supervisor.exec("printf 'x\\377'; exit 3").await.expect("it runs");
    sshd.break_connections();
    reconnected(&supervisor, 1).await;
    supervisor.exec("kill -9 $$").await.expect("it runs");
    let entry = TranscriptEntry {
        timestamp_ms: 1_700_000_000_000.0,
        interaction_type: InteractionType::Timeout,
        content: "login: ".to_owned(),
        duration_ms: 5.0,
        metadata: Map::new(),
    };
    let transcript = Transcript::from_entries(1_700_000_000_000.0, vec![entry]);
    supervisor.close().await;
    bundles.push(supervisor.evidence_bundle(&transcript));

    let free = TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("an address");
    let foreign = Sshd::start();
    let no_cipher = Settings::default().option("Ciphers aes128-cbc").start();
    let changed = foreign.known_hosts_line("ed25519");
    let changed = changed.replace(&foreign.port().to_string(), &sshd.port().to_string());
    std::fs::write(sshd.path("changed"), changed).expect("written");
    for builder in [
        Connection::builder(format!("ann@{free}")),
        Connection::builder("ann@no-such-host.invalid"),
        Connection::builder(sshd.target()).known_hosts([sshd.path("none")]),
        sshd.builder().known_hosts([sshd.path("changed")]),
        no_cipher.builder(),
        Connection::builder(sshd.target())
            .known_hosts([sshd.known_hosts()])
            .auth([AuthConfig::password("wrong"), AuthConfig::key("/no/such/key")]),
    ] {
        let recorder = EvidenceRecorder::new();
        builder
            .evidence(&recorder)
            .connect()
            .await
            .expect_err("it cannot succeed");
        bundles.push(recorder.bundle(None));
    }
    bundles
}

#[tokio::test]
async fn bundles_their_lines_their_events_and_their_errors_are_as_the_schemas_say() {
    let mut checks = Vec::new();
    for bundle in bundles().await {
        for redaction in [Redaction::DangerNothing, Redaction::SecretsAndHost] {
            checks.push(("bundle-1", Value::Object(bundle.to_dict(redaction))));
            let lines = json_lines(&bundle.to_jsonl(redaction));
            let events = bundle.events.iter().map(|event| Value::Object(event.to_dict()));
            checks.extend(events.map(|event| ("event-1", event)));
            for (wrong, _) in checked(
                &lines
                    .iter()
                    .map(|line| ("bundle-line-1", line.clone()))
                    .collect::<Vec<_>>(),
            ) {
                assert!(wrong.is_empty(), "{wrong:#?}");
            }
        }
        let error = Value::Object(bundle.error_context.clone());
        if error.get("supervisor_state").is_none() {
            checks.push(("error-1", error));
        }
    }
    all_right(&checks);
}

#[test]
fn what_the_program_prints_is_as_the_schemas_say() {
    let setting = Setting::several();
    let home = &setting.home;
    setting.trust(&["127.0.0.2"]);
    let target = setting.sshd.target();
    let free = TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("an address");
    let closed = format!("ann@{free}");
    let port = setting.sshd.port().to_string();
    let user = &setting.sshd.user().name;
    home.write("tree/a", "content");
    home.write("tree/b", "content");
    let folder = setting.sshd.path("there").display().to_string();
    let to = format!("{user}@127.0.0.1:{folder}");
    let nowhere = format!("{user}@127.0.0.1:/no/such/file");
    home.write("empty", "");
    home.write("right.star", "print('x')\n");
    home.write("wrong.star", "print(nothing_has_this)\nssh.test_server()\n");
    home.write(
        "hosts.toml",
        "[defaults]\nuser = 'ann'\n[hosts.'a-[1-2]']\naddress = '127.0.0.[1-2]'\nlabels = { x = ['y', 'z'] }\n[groups.g]\nhosts = ['a-1']\n",
    );
    let several = format!("{},{},{closed}", setting.at("127.0.0.1"), setting.at("127.0.0.3"));
    let mut checks = Vec::new();
    for (schema, objects, arguments) in [
        (
            "exec-1",
            3,
            vec!["ssh", "--json", &several, "printf 'x\\377'; exit 3"],
        ),
        ("exec-1", 1, vec!["ssh", "--json", &target, "kill -9 $$"]),
        (
            "exec-1",
            1,
            vec!["ssh", "--json", "--timeout", "500ms", &target, "sleep 60"],
        ),
        ("hosts-1", 2, vec!["hosts", "--json", "-I", "hosts.toml"]),
        ("hosts-1", 1, vec!["hosts", "--json", &target]),
        (
            "validate-1",
            3,
            vec!["validate", "--json", "right.star", "wrong.star", "missing.star"],
        ),
        (
            "config-1",
            1,
            vec![
                "config",
                "show",
                "--json",
                "-o",
                "ForwardAgent=yes",
                "-o",
                "Compression=yes",
                &target,
            ],
        ),
        (
            "sandbox.run-1",
            1,
            vec!["sandbox", "run", &target, "--json", "--", "ls", "/"],
        ),
        (
            "sandbox.run-1",
            1,
            vec!["sandbox", "run", &closed, "--json", "--", "ls", "/"],
        ),
        (
            "sandbox.verify-1",
            1,
            vec!["sandbox", "verify", "local", "--json"],
        ),
        ("sandbox.profiles-1", 4, vec!["sandbox", "profiles", "--json"]),
        (
            "sandbox.show-1",
            1,
            vec!["sandbox", "show", &target, "--json", "--", "ls", "/"],
        ),
        ("wait-1", 1, vec!["wait", "--json", &target]),
        ("wait-1", 1, vec!["wait", "--json", "--timeout", "500ms", &closed]),
        ("doctor-1", 1, vec!["doctor", "--json", &target]),
        ("doctor-1", 1, vec!["doctor", "--json", &closed]),
        (
            "hostkeys-1",
            1,
            vec![
                "hostkeys",
                "add",
                "--json",
                "--yes",
                "--known-hosts",
                "empty",
                &target,
            ],
        ),
        (
            "hostkeys-1",
            1,
            vec!["hostkeys", "add", "--json", "--yes", &closed],
        ),
        ("cp-1", 1, vec!["cp", "--json", "-P", &port, "-r", "tree", &to]),
        (
            "cp-1",
            1,
            vec!["cp", "--json", "-P", &port, "-r", "--skip-unchanged", "tree", &to],
        ),
        ("cp-1", 1, vec!["cp", "--json", "-P", &port, &nowhere, "here"]),
    ] {
        let ended = without_terminal(home, &arguments);
        let lines = json_lines(&ended.stdout);
        assert!(
            lines.len() >= objects,
            "{arguments:?}: {} {}",
            ended.stdout,
            ended.stderr
        );
        checks.extend(lines.into_iter().map(|line| (schema, line)));
    }
    home.write("events.jsonl", "");
    setting.ssh(&["--events", "events.jsonl"], &["true"]);
    let events = std::fs::read_to_string(home.path().join("events.jsonl")).expect("text");
    let events = json_lines(&events);
    assert!(events.len() >= 4, "{events:?}");
    checks.extend(events.into_iter().map(|event| ("event-1", event)));
    all_right(&checks);
}

#[tokio::test]
async fn what_is_broken_is_found_to_be() {
    let bundle = bundles().await.swap_remove(0);
    let whole = Value::Object(bundle.to_dict(Redaction::DangerNothing));
    let broken = |pointer: &str, value: Option<Value>| {
        let mut copy = whole.clone();
        let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
        let parent = copy.pointer_mut(parent).unwrap_or_else(|| panic!("no {pointer}"));
        match (parent, value) {
            (Value::Object(fields), Some(value)) => drop(fields.insert(name.to_owned(), value)),
            (Value::Object(fields), None) => {
                drop(fields.remove(name).unwrap_or_else(|| panic!("no {pointer}")))
            }
            (parent, _) => panic!("{pointer}: {parent}"),
        }
        ("bundle-1", copy)
    };
    let error = json!({ "error_type": "AuthFailed", "message": "m", "sent": "not_sent", "hint": "h" });
    let error_with = |name: &str, value: Value| {
        let mut copy = error.clone();
        copy[name] = value;
        ("error-1", copy)
    };
    let exec = json!({
        "schema": "sternline.exec/1", "host": "h", "ok": true, "exit_code": 0, "signal": null, "stdout": "",
        "stderr": "", "duration_ms": 1.0, "error": null,
    });
    let exec_with = |name: &str, value: Value| {
        let mut copy = exec.clone();
        copy[name] = value;
        ("exec-1", copy)
    };
    let sound = [
        ("bundle-1", whole.clone()),
        ("error-1", error.clone()),
        ("exec-1", exec.clone()),
    ];
    all_right(&sound);
    let checks = [
        broken("/version", Some(json!("2.0"))),
        broken("/version", None),
        broken("/created_ms", Some(json!("now"))),
        broken("/disconnect_reason", Some(json!("boredom"))),
        broken("/events", None),
        broken("/events/0/event_type", Some(json!("connect"))),
        broken("/events/0/timestamp", Some(json!(0))),
        broken("/events/0/data", Some(json!([]))),
        broken("/events/0/data/from_state", Some(json!("asleep"))),
        broken("/timing/phases", None),
        broken("/timing/connect_duration_ms", Some(json!(-1))),
        broken("/algorithms/kex", Some(json!(null))),
        broken("/configuration/port", Some(json!(22))),
        broken("/host_info/port", Some(json!(70_000))),
        broken("/error_context/supervisor_state", Some(json!("asleep"))),
        broken("/error_context/connections", Some(json!({}))),
        broken("/transcript/entries/0/type", Some(json!("shout"))),
        broken("/commands/0/stdin_bytes", None),
        broken("/commands/0/stderr", None),
        broken("/commands/0/exit_code", Some(json!("3"))),
        error_with("sent", json!("perhaps")),
        error_with("phase", json!("lunch")),
        error_with("hint", json!("")),
        error_with("expected_keys", json!([{ "file": "f" }])),
        exec_with("schema", json!("sternline.exec/2")),
        exec_with("exit_code", json!(-1)),
        exec_with("error", json!({ "error_type": "AuthFailed" })),
        ("bundle-line-1", json!({ "version": "1.0" })),
        ("bundle-line-1", json!({ "type": "event", "event_type": "EXEC" })),
        ("bundle-line-1", json!({ "type": "command", "command": "ls" })),
        (
            "event-1",
            json!({ "event_type": "AUTH", "timestamp": 1.0, "data": { "status": "maybe" } }),
        ),
        ("wait-1", json!({ "schema": "sternline.wait/1", "host": "h" })),
        (
            "doctor-1",
            json!({ "schema": "sternline.doctor/1", "host": "h", "ok": true }),
        ),
        (
            "hostkeys-1",
            json!({ "schema": "sternline.hostkeys/1", "host": "h", "ok": true }),
        ),
        (
            "cp-1",
            json!({ "schema": "sternline.cp/1", "event": "file", "host": "h", "ok": true }),
        ),
    ];
    for ((schema, document), (wrong, _)) in checks.iter().zip(checked(&checks)) {
        assert!(!wrong.is_empty(), "{schema} takes {document:#}");
    }
}

#[test]
fn what_is_said_of_evidence_is_as_the_schemas_say() {
    let setting = Setting::new(Sshd::start());
    let home = &setting.home;
    setting.ssh(&["--evidence", "works.json"], &["exit 3"]);
    home.write("empty", "");
    setting.ssh(
        &["--evidence", "fails.json", "-o", "UserKnownHostsFile=empty"],
        &["true"],
    );
    let header = json!({ "type": "bundle_header", "version": "1.0", "created_ms": 1.0, "disconnect_reason": "normal" });
    home.write("empty.jsonl", header.to_string());
    let mut checks = Vec::new();
    for (schema, arguments) in [
        ("evidence.explain-1", &["explain", "--json", "works.json"][..]),
        ("evidence.explain-1", &["explain", "--json", "fails.json"]),
        ("evidence.explain-1", &["explain", "--json", "empty.jsonl"]),
        ("evidence.diff-1", &["diff", "--json", "works.json", "fails.json"]),
        ("evidence.diff-1", &["diff", "--json", "works.json", "works.json"]),
    ] {
        let ended = home.run([&["evidence"], arguments].concat());
        let lines = json_lines(&ended.stdout);
        assert_eq!(lines.len(), 1, "{arguments:?}: {} {}", ended.stdout, ended.stderr);
        checks.extend(lines.into_iter().map(|line| (schema, line)));
    }
    all_right(&checks);
    // Each of them is wrong without any one of its names.
    let mut broken = Vec::new();
    for (schema, document) in [&checks[0], &checks[3]] {
        for name in document.as_object().expect("an object").keys() {
            let mut copy = document.clone();
            copy.as_object_mut().expect("an object").remove(name);
            broken.push((*schema, copy));
        }
    }
    for ((schema, document), (wrong, _)) in broken.iter().zip(checked(&broken)) {
        assert!(!wrong.is_empty(), "{schema} takes {document:#}");
    }
}

#[test]
fn what_the_history_prints_is_as_the_schemas_say() {
    let setting = Setting::several();
    setting.trust(&["127.0.0.2"]);
    let several = format!("{},{}", setting.at("127.0.0.1"), setting.at("127.0.0.3"));
    let others = format!("{},{}", setting.at("127.0.0.1"), setting.at("127.0.0.2"));
    let output = "printf 'x\\377'; echo y >&2; kill -9 $$";
    without_terminal(&setting.home, &["ssh", "-q", "--record-output", &several, output]);
    without_terminal(
        &setting.home,
        &["ssh", "-q", "--timeout", "1m", &others, "exit 3"],
    );
    let mut checks = Vec::new();
    for (schema, objects, arguments) in [
        ("history-1", 2, &["history", "--json"][..]),
        ("history.show-1", 1, &["history", "show", "--json", "last~1"]),
        ("history.show-1", 1, &["history", "show", "--json", "last"]),
        (
            "history.diff-1",
            1,
            &["history", "diff", "--json", "last~1", "last"],
        ),
        (
            "history.diff-1",
            1,
            &["history", "diff", "--json", "last", "last"],
        ),
    ] {
        let ended = setting.home.run(arguments);
        let lines = json_lines(&ended.stdout);
        assert_eq!(
            lines.len(),
            objects,
            "{arguments:?}: {} {}",
            ended.stdout,
            ended.stderr
        );
        checks.extend(lines.into_iter().map(|line| (schema, line)));
    }
    all_right(&checks);
    // Each of them is wrong without any one of its names, and with a host that lacks one.
    let mut broken = Vec::new();
    for (schema, document) in [&checks[0], &checks[2], &checks[4]] {
        for name in document.as_object().expect("an object").keys() {
            let mut copy = document.clone();
            copy.as_object_mut().expect("an object").remove(name);
            broken.push((*schema, copy));
        }
    }
    for (at, pointer) in [(2, "/results/0"), (4, "/changes/0"), (4, "/changes/0/before")] {
        let (schema, mut copy) = checks[at].clone();
        let inner = copy
            .pointer_mut(pointer)
            .and_then(Value::as_object_mut)
            .expect("an object");
        inner.remove("target").or_else(|| inner.remove("outcome"));
        broken.push((schema, copy));
    }
    for ((schema, document), (wrong, _)) in broken.iter().zip(checked(&broken)) {
        assert!(!wrong.is_empty(), "{schema} takes {document:#}");
    }
}
