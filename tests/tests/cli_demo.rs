//! `sternline demo`: the first thing that a newcomer runs.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as a test does"
)]

use std::os::unix::net::UnixListener;

use sternline_tests::cli::Home;

#[test]
fn one_command_runs_on_three_hosts_and_the_next_steps_are_named() {
    let ended = Home::new().run(["demo"]);
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{}", ended.stdout);
    for part in [
        "Three SSH servers on loopback",
        "$ sternline ssh web-1,web-2,web-3 'systemctl is-active nginx'",
        "web-1: active\n",
        "web-2: active\n",
        "web-3: inactive\n",
        "failed: web-3: exit status 3\n3 hosts: 2 ok, 1 failed\n",
        "three host keys verified",
        "ok    host key ",
        "ok    auth ",
        "All is well: ",
        "error: connection refused by ",
        "hint: ",
        "ssh USER@HOST uptime",
        "doctor USER@HOST",
        "serve --shell",
    ] {
        assert!(
            ended.stdout.contains(part),
            "{part:?} is missing in:\n{}",
            ended.stdout
        );
    }
}

#[test]
fn it_fits_a_narrow_terminal_and_is_plain_where_there_is_none() {
    let ended = Home::new().run(["demo"]);
    // The last lines repeat how the program was called, which is as long as it is.
    let (report, _) = ended
        .stdout
        .split_once("What to try next")
        .expect("the last section");
    for line in report.lines() {
        assert!(line.chars().count() <= 80, "too long: {line:?}");
    }
    assert!(!ended.stdout.contains('\x1b'));
}

#[test]
fn it_reads_and_writes_nothing_of_the_users() {
    let home = Home::new();
    // Files that would make it fail if they were read.
    home.write(".ssh/config", "Nonsense yes\n");
    home.write(".ssh/known_hosts", "[127.0.0.1]:* broken\n");
    let key = home.write(".ssh/id_ed25519", "no key");
    let agent = UnixListener::bind(home.path().join("agent")).expect("a socket");
    agent.set_nonblocking(true).expect("a socket that does not wait");

    let ended = home
        .sternline(["demo"])
        .env("SSH_AUTH_SOCK", home.path().join("agent"))
        .output()
        .expect("it starts");
    assert!(
        ended.status.success(),
        "{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    assert!(agent.accept().is_err(), "the agent was asked");
    assert_eq!(std::fs::read_to_string(key).expect("still there"), "no key");
    let mut names: Vec<_> = std::fs::read_dir(home.path())
        .expect("the home")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    names.sort();
    assert_eq!(names, [".ssh", "agent"]);
}
