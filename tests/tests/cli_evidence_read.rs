//! `sternline evidence`: show, explain, diff and html, on bundles that were written before.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as a test does"
)]

mod cli_support;

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use cli_support::{in_terminal, in_terminal_with};
use serde_json::{Value, json};
use sternline_tests::cli::{Ended, Home};

/// When the session of these tests began.
const BEGAN: f64 = 1_795_945_803_000.0;

fn event(kind: &str, after: f64, data: Value) -> Value {
    json!({"event_type": kind, "timestamp": BEGAN + after, "data": data})
}

/// One that worked.
fn good() -> Value {
    json!({
        "version": "1.0", "created_ms": BEGAN + 2000.0,
        "events": [
            event("CONNECT", 0.0, json!({"status": "initiating", "host": "web-1", "port": 22, "username": "ann"})),
            event("AUTH", 80.0, json!({"status": "success", "method": "private_key", "username": "ann", "duration_ms": 20.0,
                                       "key_path": "/home/ann/.ssh/id_ed25519", "fingerprint": "SHA256:right"})),
            event("CONNECT", 81.0, json!({"status": "connected", "auth_method": "private_key", "host": "web-1", "port": 22})),
            event("EXEC", 500.0, json!({"command": "uptime", "exit_code": 0, "stdout_len": 9, "stderr_len": 0,
                                        "duration_ms": 400.0})),
            event("DISCONNECT", 600.0, json!({"host": "web-1", "port": 22, "reason": "normal"})),
        ],
        "algorithms": {"kex": "curve25519-sha256", "host_key": "ssh-ed25519", "host_key_fingerprint": "SHA256:host",
                       "server_version": "SSH-2.0-OpenSSH_9.2"},
        "disconnect_reason": "normal",
        "timing": {"connect_start_ms": BEGAN, "bundle_created_ms": BEGAN + 2000.0,
                   "phases": [{"phase": "tcp", "duration_ms": 10.0}, {"phase": "auth", "duration_ms": 30.0}]},
        "error_context": {}, "configuration": {"identities_only": {"value": false}},
        "host_info": {"host": "web-1", "port": 22, "username": "ann", "redacted": false},
        "transcript": {"start_ms": BEGAN, "duration_ms": 1.0, "entry_count": 1, "entries": [
            {"timestamp_ms": BEGAN + 550.0, "type": "output", "content": "Password: ", "duration_ms": 0.0,
             "metadata": {"stream": "stdout"}}]},
        "commands": [{"command": "uptime", "started_ms": BEGAN + 100.0, "duration_ms": 400.0, "stdin_bytes": 0,
                      "stdout": "up 3 days\n", "stdout_bytes": 10, "stderr": "", "stderr_bytes": 0, "exit_code": 0}],
    })
}

/// The same a day later, with another key that the server refuses.
fn refused() -> Value {
    let mut bundle = good();
    bundle["events"] = json!([
        event(
            "CONNECT",
            0.0,
            json!({"status": "initiating", "host": "web-1", "port": 22, "username": "ann"})
        ),
        event(
            "AUTH",
            80.0,
            json!({"status": "failed", "method": "private_key", "username": "ann", "duration_ms": 20.0,
                                   "key_path": "/home/ann/.ssh/id_old", "fingerprint": "SHA256:wrong",
                                   "error_type": "AuthFailed", "error_message": "key refused"})
        ),
    ]);
    bundle["error_context"] = json!({"error_type": "AuthFailed", "phase": "auth", "message": "authentication failed for ann",
                                     "sent": "not_sent", "hint": "check the user name", "methods_offered": ["publickey"]});
    bundle["disconnect_reason"] = "auth_failure".into();
    bundle["configuration"] = json!({"identities_only": {"value": true, "source": "config:3"}});
    bundle["commands"] = json!([]);
    bundle["transcript"] = Value::Null;
    bundle
}

fn home() -> Home {
    let home = Home::new();
    home.write("good.json", good().to_string());
    home.write("refused.json", format!("{:#}", refused()));
    home
}

fn evidence(home: &Home, arguments: &[&str]) -> Ended {
    home.run([&["evidence"], arguments].concat())
}

/// The same with a file on standard input.
fn evidence_of(home: &Home, input: &str, arguments: &[&str]) -> Ended {
    let mut child = home
        .sternline([&["evidence"], arguments].concat())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Who refuses its arguments may have ended before it reads anything.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    Ended::from(child.wait_with_output().unwrap())
}

#[test]
fn explain_names_the_phase_the_reason_and_what_to_do_and_succeeds() {
    let home = home();
    let ended = evidence(&home, &["explain", "refused.json"]);
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""));
    for text in [
        "web-1 port 22 as ann, 2026-11-29 09:50:03 UTC",
        "failed in auth (AuthFailed)",
        "the only key that was offered for ann",
        "+0.080 s",
        "SHA256:wrong",
        "authorized_keys",
    ] {
        let flat = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(text), "{text} is not in:\n{}", ended.stdout);
    }
    assert!(
        ended.stdout.lines().all(|line| line.chars().count() <= 80),
        "{}",
        ended.stdout
    );

    let ended = evidence(&home, &["explain", "--json", "refused.json"]);
    let found: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(found["schema"], "sternline.evidence.explain/1");
    assert_eq!(
        (&found["error_type"], &found["phase"]),
        (&json!("AuthFailed"), &json!("auth"))
    );
    assert!(found["next_steps"].as_array().unwrap().len() > 1);

    let ended = evidence(&home, &["explain", "good.json"]);
    assert_eq!(ended.status, 0);
    assert!(ended.stdout.contains("Nothing went wrong"), "{}", ended.stdout);
}

#[test]
fn a_bundle_is_read_from_standard_input_as_well() {
    let home = home();
    let text = refused().to_string();
    let from_file = evidence(&home, &["explain", "refused.json"]);
    let from_input = evidence_of(&home, &text, &["explain", "-"]);
    assert_eq!(from_input.stdout, from_file.stdout);
    assert_eq!(
        evidence_of(&home, &text, &["diff", "refused.json", "-"]).status,
        0
    );
    let ended = evidence_of(&home, &text, &["diff", "-", "-"]);
    assert_eq!(ended.status, 2);
    assert!(ended.stderr.contains("one bundle, not two"), "{}", ended.stderr);
}

#[test]
fn an_output_that_cannot_be_written_has_the_status_of_failures() {
    let home = home();
    for arguments in [
        &["show", "refused.json"][..],
        &["explain", "--json", "refused.json"],
        &["diff", "good.json", "refused.json"],
        &["html", "refused.json", "-o", "-"],
    ] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = home
            .sternline([&["evidence"], arguments].concat())
            .stdout(full)
            .output()
            .unwrap();
        let ended = Ended::from(output);
        assert_eq!(ended.status, 2, "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains("standard output"), "{}", ended.stderr);
    }
}

#[test]
fn a_file_that_is_no_bundle_is_refused_with_the_place_and_status_2() {
    let home = home();
    home.write(
        "broken.json",
        "{\n  \"version\": \"1.0\",\n  \"events\": [\n    oops\n  ]\n}\n",
    );
    home.write("list.json", "[1, 2]");
    home.write("empty.json", "");
    home.write("binary.json", b"\xff\xfe\x00");
    for (file, text) in [
        ("broken.json", "line 4"),
        ("list.json", "cannot read"),
        ("empty.json", "nothing in it"),
        ("binary.json", "UTF-8"),
        ("missing.json", "missing.json"),
        (".", "cannot read"),
    ] {
        for verb in [
            &["show"][..],
            &["explain"],
            &["diff", "good.json"],
            &["html", "-o", "page.html"],
        ] {
            let ended = evidence(&home, &[verb, &[file]].concat());
            assert_eq!(ended.status, 2, "{verb:?} {file}: {}", ended.stderr);
            assert!(ended.stderr.contains(text), "{verb:?} {file}: {}", ended.stderr);
            assert!(
                ended.stdout.is_empty() && ended.stderr.contains("hint:"),
                "{}",
                ended.stderr
            );
        }
    }
    assert!(!home.path().join("page.html").exists());
    assert!(
        evidence_of(&home, "{\n oops", &["show", "-"])
            .stderr
            .contains("line 2")
    );
}

#[test]
fn diff_says_what_changed_with_the_likely_reasons_first_and_by_its_status() {
    let home = home();
    let same = evidence(&home, &["diff", "good.json", "good.json"]);
    assert_eq!((same.status, same.stderr.as_str()), (0, ""));
    let ended = evidence(&home, &["diff", "good.json", "refused.json"]);
    assert_eq!((ended.status, ended.stderr.as_str()), (1, ""));
    let at = |text: &str| {
        ended
            .stdout
            .find(text)
            .unwrap_or_else(|| panic!("{text} is not in:\n{}", ended.stdout))
    };
    assert!(at("The outcome") < at("Likely reasons"));
    assert!(at("Likely reasons") < at("(SHA256:right)") && at("(SHA256:right)") < at("Other differences"));
    assert!(at("identities_only") < at("Other differences"));

    let ended = evidence(&home, &["diff", "--json", "good.json", "refused.json"]);
    let found: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((ended.status, &found["same"]), (1, &json!(false)));
    assert_eq!(found["differences"][0]["area"], "outcome");
    let same = evidence(&home, &["diff", "--json", "good.json", "good.json"]);
    assert_eq!(
        serde_json::from_str::<Value>(&same.stdout).unwrap(),
        json!({"schema": "sternline.evidence.diff/1", "same": true, "differences": []})
    );
}

#[test]
fn show_has_everything_in_its_place_and_in_order() {
    let home = home();
    let ended = evidence(&home, &["show", "good.json"]);
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""));
    let at = |text: &str| {
        ended
            .stdout
            .find(text)
            .unwrap_or_else(|| panic!("{text} is not in:\n{}", ended.stdout))
    };
    for pair in [
        "SSH-2.0-OpenSSH_9.2",
        "Phases",
        "auth          30.0 ms",
        "Timeline",
        "Connecting to web-1 port 22 as ann.",
        "The server accepted the key /home/ann/.ssh/id_ed25519",
        "`uptime` ended with status 0.",
        "stdout | up 3 days",
        "Password:",
        "Disconnected, as intended.",
    ]
    .windows(2)
    {
        assert!(at(pair[0]) < at(pair[1]), "{pair:?} in:\n{}", ended.stdout);
    }
    assert!(
        !ended.stdout.contains('\x1b'),
        "no colours where there is no terminal"
    );
}

#[test]
fn a_terminal_gets_colours_and_lines_that_fit_unless_it_refuses_them() {
    let home = home();
    let steps = json!([]);
    let shown = in_terminal(&home, &["evidence", "explain", "refused.json"], steps.clone());
    assert!(
        shown.text.contains("\x1b[1;31mfailed in auth (AuthFailed)"),
        "{}",
        shown.text
    );
    let plain = in_terminal_with(
        &home,
        &[("NO_COLOR", "1")],
        &["evidence", "explain", "refused.json"],
        steps,
    );
    assert!(!plain.text.contains('\x1b'), "{}", plain.text);
    // Words of a sentence stand beyond the 80 columns that a report has elsewhere, and none beyond the terminal's 100.
    let widths = plain.text.lines().map(|line| line.trim_end().chars().count());
    let widest = widths.max().unwrap();
    assert!((81..=100).contains(&widest), "{widest} columns:\n{}", plain.text);
}

#[test]
fn nothing_in_a_hostile_bundle_controls_the_terminal() {
    let home = home();
    let evil = "a\u{1b}]0;owned\u{7}\u{1b}[2J\r\n\u{202e}b\u{9b}31m";
    let mut bundle = refused();
    bundle["host_info"]["host"] = evil.into();
    bundle["host_info"]["username"] = evil.into();
    bundle["algorithms"] = json!({"kex": evil, "host_key": evil, "server_version": evil});
    bundle["error_context"]["message"] = evil.into();
    bundle["error_context"]["hint"] = evil.into();
    bundle["configuration"] = json!({evil: {"value": evil, "source": evil}});
    bundle["events"][1]["data"]["key_path"] = evil.into();
    bundle["timing"]["phases"] =
        json!([{"phase": evil, "duration_ms": 1e300}, {"phase": "tcp", "duration_ms": -5.0}]);
    bundle["transcript"] = json!({"start_ms": 0.0, "duration_ms": 0.0, "entry_count": 1, "entries": [
        {"timestamp_ms": 1e300, "type": "output", "content": evil, "duration_ms": -1.0, "metadata": {}}]});
    bundle["commands"] = json!([{"command": evil, "started_ms": -1e300, "duration_ms": 1e300, "stdout": evil, "stderr": evil,
                                 "exit_code": 3}]);
    home.write("hostile.json", bundle.to_string());
    for arguments in [
        &["show", "hostile.json"][..],
        &["explain", "hostile.json"],
        &["explain", "--json", "hostile.json"],
        &["diff", "good.json", "hostile.json"],
        &["diff", "--json", "good.json", "hostile.json"],
        &["html", "hostile.json", "-o", "-"],
    ] {
        let ended = evidence(&home, arguments);
        assert!(ended.status < 2, "{arguments:?}: {}", ended.stderr);
        let controls = |c: char| c.is_control() && c != '\n' && c != '\t' || c == '\u{202e}';
        assert!(
            !ended.stdout.contains(controls),
            "{arguments:?}: {:?}",
            ended.stdout
        );
        assert!(
            ended.stdout.contains("owned"),
            "{arguments:?} does show it: {}",
            ended.stdout
        );
    }
}

#[test]
fn the_page_is_written_for_its_owner_only_in_place_of_what_was_there() {
    let home = home();
    let page = home.write("page.html", "old");
    std::fs::set_permissions(&page, std::fs::Permissions::from_mode(0o644)).unwrap();
    let ended = evidence(&home, &["html", "good.json", "-o", "page.html"]);
    assert_eq!(
        (ended.status, ended.stdout.as_str(), ended.stderr.as_str()),
        (0, "", "")
    );
    let written = std::fs::read_to_string(&page).unwrap();
    assert!(written.starts_with("<!DOCTYPE html>") && written.ends_with("</html>\n"));
    assert_eq!(
        std::fs::metadata(&page).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(evidence(&home, &["html", "good.json", "-o", "-"]).stdout, written);

    let ended = evidence(&home, &["html", "good.json", "-o", "good.json/page.html"]);
    assert_eq!(ended.status, 2);
    assert!(ended.stderr.contains("cannot"), "{}", ended.stderr);
}
