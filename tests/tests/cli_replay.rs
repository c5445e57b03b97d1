//! `sternline serve --replay`: what was recorded from a real host is answered again, and what is missing is named.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as a test does"
)]

mod serving;

use rustix::process::Signal;
use serde_json::{Value, json};
use serving::{Serving, record, ssh};
use sternline_tests::cli::Home;

fn bundle() -> Value {
    json!({
        "version": "1.0",
        "algorithms": {"server_version": "SSH-2.0-dropbear_2022.83"},
        "host_info": {"host": "db", "port": 22, "username": "deploy"},
        "commands": [
            {"command": "uptime", "started_ms": 1.0, "duration_ms": 1.0, "stdout": "up 3 days\n", "exit_code": 0},
            {"command": "false", "started_ms": 2.0, "duration_ms": 1.0, "exit_code": 1},
        ],
    })
}

/// The same as JSON lines.
fn lines() -> String {
    let mut header = bundle();
    let commands = header["commands"].take();
    header.as_object_mut().expect("a header").remove("commands");
    header["type"] = "bundle_header".into();
    let mut text = format!("{header}\n");
    for command in commands.as_array().expect("commands") {
        let mut line = command.clone();
        line["type"] = "command".into();
        text.push_str(&format!("{line}\n"));
    }
    text
}

#[test]
fn a_bundle_is_answered_and_what_it_lacks_is_told_at_once_and_at_the_end() {
    for text in [bundle().to_string(), format!("{:#}", bundle()), lines()] {
        let home = Home::new();
        home.write("bundle", &text);
        let mut serving = Serving::start(
            &home,
            &["--replay", "bundle", "--user", "ann", "--answer", "date=today"],
        );
        assert!(
            serving.introduction.starts_with(
                "Replaying 2 commands of SSH-2.0-dropbear_2022.83.\n\
                 The recorded user is deploy: give --user deploy to let that one in.\n\
                 The host key is new"
            ),
            "{}",
            serving.introduction
        );
        record(&home, &serving);
        for (command, stdout, status) in [
            ("uptime", "up 3 days\n", 0),
            ("false", "", 1),
            ("date", "today\n", 0),
            ("id \x1b", "", 127),
        ] {
            let ended = ssh(&home, &serving, &["ann@127.0.0.1", command]);
            assert_eq!(
                (ended.stdout.as_str(), ended.status),
                (stdout, status),
                "{}",
                ended.stderr
            );
        }
        let shown: Vec<String> = (0..9).map(|_| serving.line()).collect();
        assert_eq!(
            shown[6..],
            [
                r"ann: id \x1b",
                r"warning: not in the recording: id \x1b",
                r"ann: id \x1b -> exit status 127",
            ]
        );
        let (status, rest) = serving.end(Signal::TERM);
        assert_eq!(status, Some(0));
        assert_eq!(
            rest,
            "Answered from the recording: 2\n\
             Not in the recording, so record them too, or give --answer:\n  id \\x1b\n\
             The server and its sessions have ended.\n"
        );
    }
}

#[test]
fn the_printed_lines_ask_for_the_first_recorded_command() {
    let home = Home::new();
    home.write("bundle", lines());
    let serving = Serving::start(&home, &["--replay", "bundle", "--user", "deploy"]);
    assert!(
        serving
            .copied()
            .contains(&format!("deploy@127.0.0.1:{} 'uptime'", serving.port())),
        "{}",
        serving.introduction
    );
    assert!(
        !serving.introduction.contains("--user"),
        "{}",
        serving.introduction
    );
}

#[test]
fn what_cannot_be_replayed_is_refused_before_anything_listens() {
    let home = Home::new();
    home.write("empty", r#"{"version": "1.0"}"#);
    home.write("text", "\x1b[31mhello\n");
    home.write("newer", r#"{"version": "2.0"}"#);
    home.write("half", r#"{"version": "1.0", "commands": [{"command": "id"}]}"#);
    home.write("deep", "[".repeat(100_000));
    for (file, part) in [
        ("missing", "cannot read missing: "),
        (".", "cannot read .: "),
        ("empty", "empty holds no recorded commands"),
        ("text", "cannot replay text: line 1, column 1: "),
        ("newer", "cannot replay newer: it has version 2.0"),
        (
            "half",
            "cannot replay half: commands[0]: the recorded command has no usable \"started_ms\"",
        ),
        ("deep", "cannot replay deep: line 1, column "),
    ] {
        let ended = home.run(["serve", "--replay", file]);
        assert_eq!(ended.status, 1, "{}", ended.stderr);
        assert!(
            ended.stderr.starts_with(&format!("error: {part}")),
            "{}",
            ended.stderr
        );
        assert!(ended.stderr.contains("\nhint: "), "{}", ended.stderr);
        assert!(!ended.stderr.contains('\x1b'), "{}", ended.stderr);
    }
    let ended = home.run(["serve", "--replay", "empty", "--shell"]);
    assert_eq!(ended.status, 2, "{}", ended.stderr);
}
