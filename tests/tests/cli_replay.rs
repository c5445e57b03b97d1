//! `sternline serve --replay`: what was recorded from a real host is answered again, and what is missing is named.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as a test does"
)]

mod cli_support;
mod serving;

use cli_support::Setting;
use rustix::process::Signal;
use serde_json::{Value, json};
use serving::{Serving, record, ssh};
use sternline_tests::cli::Home;
use sternline_tests::sshd::Sshd;

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
fn a_recorded_name_that_a_shell_would_obey_is_not_put_into_a_command() {
    let home = Home::new();
    let mut hostile = bundle();
    hostile["host_info"]["username"] = "ann; touch pwned".into();
    hostile["commands"][0]["command"] = "x'; touch pwned; '".into();
    home.write("bundle", hostile.to_string());
    let serving = Serving::start(&home, &["--replay", "bundle", "--user", "ann"]);
    assert!(
        !serving.introduction.contains("--user ann;"),
        "{}",
        serving.introduction
    );
    // The lines to copy give a shell nothing but words.
    let script = serving.copied().replace("sternline ssh", "true ssh");
    let ended = home.command("sh").args(["-c", &script]).status();
    assert!(ended.expect("sh").success());
    assert!(!home.path().join("pwned").exists());
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
/// What the command gives on the host that is asked through these options.
fn run(home: &Home, options: &[&str], target: &str, command: &str, input: &[u8]) -> (Vec<u8>, Vec<u8>, i32) {
    use std::io::Write as _;
    use std::process::Stdio;
    let mut process = home.sternline([&["-q", "ssh", "-T"], options, &[target, command]].concat());
    process
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut process = process.spawn().expect("it starts");
    let mut stdin = process.stdin.take().expect("a pipe");
    // A command that reads nothing has ended by now.
    let _ = stdin.write_all(input);
    drop(stdin);
    let output = process.wait_with_output().expect("an end");
    (output.stdout, output.stderr, output.status.code().unwrap_or(-1))
}

#[test]
fn what_a_real_host_answered_is_answered_again_byte_for_byte() {
    let setting = Setting::new(Sshd::start());
    let home = &setting.home;
    home.write(
        "pub",
        std::fs::read(setting.sshd.path("user.pub")).expect("the key"),
    );
    let commands: [(&str, &[u8]); 5] = [
        ("head -c 100000 /bin/sh; echo done >&2; exit 3", b""),
        ("kill -9 $$", b""),
        ("tr a-z A-Z", b"some input\nof two lines\n"),
        ("printf 'password=%s' hunter2", b""),
        ("echo ä; printf '\\377'", b""),
    ];
    for (number, (command, input)) in commands.iter().enumerate() {
        let file = format!("bundle-{number}");
        let real = run(
            home,
            &["--evidence", &file, "--record-output"],
            &setting.sshd.target(),
            command,
            input,
        );
        let serving = Serving::start(
            home,
            &["--replay", &file, "--user", "ann", "--authorized-keys", "pub"],
        );
        record(home, &serving);
        let target = format!("ann@127.0.0.1:{}", serving.port());
        let replayed = run(
            home,
            &["--known-hosts", "serve_known_hosts"],
            &target,
            command,
            input,
        );
        if *command != "printf 'password=%s' hunter2" {
            assert!(real.0 == replayed.0, "{command}");
        } else {
            assert_eq!(replayed.0, b"password=[REDACTED]");
        }
        assert_eq!(
            (String::from_utf8_lossy(&real.1), real.2),
            (String::from_utf8_lossy(&replayed.1), replayed.2),
            "{command}"
        );
        let missing = run(
            home,
            &["--known-hosts", "serve_known_hosts"],
            &target,
            "uname -r",
            b"",
        );
        assert_eq!(missing.2, 127);
        let (_, rest) = serving.end(Signal::TERM);
        assert!(rest.contains("Answered from the recording: 1\n"), "{rest}");
        assert!(rest.contains("  uname -r\n"), "{rest}");
        assert!(!rest.contains("other input"), "{rest}");
    }
}

#[test]
fn a_connection_that_was_lost_and_a_time_limit_that_passed_come_again() {
    let setting = Setting::new(Sshd::start());
    let home = &setting.home;
    home.write(
        "pub",
        std::fs::read(setting.sshd.path("user.pub")).expect("the key"),
    );
    for (command, limit, status, error) in [
        ("echo begun; kill -9 $PPID", "60s", 255, "SSHConnectionError: "),
        ("echo begun; exec sleep 60", "500ms", 124, "CommandTimeout: "),
    ] {
        let recording = [
            "--timeout",
            limit,
            "--evidence",
            "bundle.jsonl",
            "--record-output",
        ];
        let real = run(home, &recording, &setting.sshd.target(), command, b"");
        let options = [
            "--replay",
            "bundle.jsonl",
            "--user",
            "ann",
            "--authorized-keys",
            "pub",
        ];
        let serving = Serving::start(home, &options);
        record(home, &serving);
        let target = format!("ann@127.0.0.1:{}", serving.port());
        let known = ["--timeout", limit, "--known-hosts", "serve_known_hosts"];
        let replayed = run(home, &known, &target, command, b"");
        assert_eq!((real.2, replayed.2), (status, status), "{command}");
        // What was written last may be lost with the connection.
        assert_eq!(real.0, replayed.0, "{command}");
        let (_, rest) = serving.end(Signal::TERM);
        let told = format!("warning: recorded without an end ({error}");
        assert!(rest.contains(&told), "{rest}");
        assert!(!rest.contains("Not in the recording"), "{rest}");
    }
}
