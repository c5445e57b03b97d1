//! `sternline ssh` and `sternline cp` on several hosts: what they show, where it goes, and how a run is held back and stopped.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as a test does"
)]

mod cli_support;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;

use cli_support::{
    Setting, eventually, in_terminal, in_terminal_with, json_lines, send, start, without_terminal,
};
use rustix::process::Signal;
use serde_json::{Value, json};
use sternline_tests::cli::{Ended, program};
use sternline_tests::processes;
use sternline_tests::sshd::{Settings, Sshd, free_port};

/// A server with many names, `web-1` and so on, and names of a port at which nobody answers, `bad-1` and so on.
fn named(sshd: Sshd) -> Setting {
    let setting = Setting::new(sshd);
    let (user, port, closed) = (&setting.sshd.user().name, setting.sshd.port(), free_port());
    setting.home.write(
        ".ssh/config",
        format!(
            "Host web-* bad-*\n  HostName 127.0.0.1\n  User {user}\n\
             Host web-*\n  Port {port}\nHost bad-*\n  Port {closed}\n"
        ),
    );
    setting
}

fn ssh(setting: &Setting, arguments: &[&str]) -> Ended {
    without_terminal(&setting.home, &[&["ssh"], arguments].concat())
}

/// Does something else on the second of four hosts, which are addresses of one server.
const SECOND_FAILS: &str =
    r#"case "$SSH_CONNECTION" in *" 127.0.0.2 "*) echo other; echo why >&2; exit 3;; esac; printf same"#;

#[test]
fn equal_results_are_shown_once_with_their_hosts_and_those_of_the_most_hosts_first() {
    let (setting, hosts) = Setting::at_addresses(4);
    let ended = ssh(&setting, &["--group-output", &hosts, SECOND_FAILS]);
    assert_eq!(ended.status, 1, "{}", ended.stderr);
    assert_eq!(
        ended.stdout,
        "== 127.0.0.[1,3-4] (3 hosts)\nsame\n\n\
         == 127.0.0.2 (1 host, exit status 3)\nother\n-- standard error\nwhy\n"
    );
    assert!(
        ended.stderr.starts_with("failed: 127.0.0.2: exit status 3\n")
            && ended.stderr.ends_with("4 hosts: 3 ok, 1 failed\n"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_directory_gets_a_private_file_per_host_and_stream_and_lists_to_go_on_with() {
    let (setting, hosts) = Setting::at_addresses(4);
    let run = || ssh(&setting, &["--output-dir", "new/out", &hosts, SECOND_FAILS]);
    let ended = run();
    assert_eq!((ended.status, ended.stdout.as_str()), (1, ""), "{}", ended.stderr);
    let directory = setting.home.path().join("new/out");
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    let names: BTreeSet<String> = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let mut expected: BTreeSet<String> = ["succeeded", "failed"].map(str::to_owned).into();
    for host in 1..=4 {
        expected.insert(format!("127.0.0.{host}.stdout"));
        expected.insert(format!("127.0.0.{host}.stderr"));
    }
    assert_eq!(names, expected);
    assert!(names.iter().all(|name| mode(&directory.join(name)) == 0o600));
    let read = |name: &str| fs::read_to_string(directory.join(name)).unwrap();
    assert_eq!(read("127.0.0.1.stdout"), "same");
    assert_eq!(
        (read("127.0.0.2.stdout"), read("127.0.0.2.stderr")),
        ("other\n".into(), "why\n".into())
    );
    assert_eq!(read("failed"), format!("{}\n", setting.at("127.0.0.2")));
    assert_eq!(read("succeeded").lines().count(), 3);

    // The results of two runs could not be told apart.
    let again = run();
    assert_eq!(again.status, 2);
    assert!(again.stderr.contains("new/out is not empty"), "{}", again.stderr);

    for run in ["./new/out/failed", "last"] {
        let again = ssh(&setting, &["--retry-failed", run, &hosts, "echo again; exit 1"]);
        assert_eq!(
            (again.status, again.stdout.as_str()),
            (1, "127.0.0.2: again\n"),
            "{}",
            again.stderr
        );
        assert!(
            again.stderr.ends_with("1 host: 0 ok, 1 failed\n"),
            "{}",
            again.stderr
        );
    }
    let nothing = ssh(
        &setting,
        &[
            "--retry-failed",
            "./new/out/failed",
            &setting.at("127.0.0.1"),
            "true",
        ],
    );
    assert_eq!(nothing.status, 2);
    assert!(
        nothing.stderr.contains("there is nothing to do again"),
        "{}",
        nothing.stderr
    );
}

#[test]
fn a_directory_of_results_needs_few_open_files() {
    let (setting, hosts) = Setting::at_addresses(4);
    let command = "for n in $(seq 50); do echo out $n; echo err $n >&2; done";
    let mut limited = setting.home.command("sh");
    limited
        .args(["-c", "ulimit -n 20 && exec \"$@\"", "sh"])
        .arg(program())
        .args(["ssh", "--output-dir", "out", &hosts, command]);
    let ended = Ended::from(limited.output().unwrap());
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    let directory = setting.home.path().join("out");
    let lines = |name: &str| fs::read_to_string(directory.join(name)).unwrap().lines().count();
    for host in 1..=4 {
        for stream in ["stdout", "stderr"] {
            assert_eq!(lines(&format!("127.0.0.{host}.{stream}")), 50);
        }
    }
    assert_eq!((lines("succeeded"), lines("failed")), (4, 0));
}

#[test]
fn hosts_that_are_not_begun_say_why_and_count_as_failed() {
    let setting = named(Sshd::start());
    for (options, hosts, why, words) in [
        (
            &["--fail-fast", "--forks", "1"][..],
            "bad-1,web-[1-3]",
            "failures",
            "as many hosts had failed as may",
        ),
        (
            &["--max-failures", "25%", "--forks", "1"],
            "bad-1,web-[1-3]",
            "failures",
            "as many hosts had failed as may",
        ),
        (
            &["--canary", "1"],
            "bad-1,web-[1-3]",
            "canary",
            "a host of the canary failed",
        ),
    ] {
        let ended = ssh(&setting, &[options, &["--json", hosts, "true"]].concat());
        assert_eq!(ended.status, 1, "{}", ended.stderr);
        let lines = json_lines(&ended);
        assert_eq!(lines.len(), 4);
        assert_eq!(
            (&lines[0]["skipped"], &lines[0]["attempts"]),
            (&Value::Null, &1.into())
        );
        for line in &lines[1..] {
            assert_eq!((&line["ok"], &line["skipped"]), (&false.into(), &why.into()));
        }
        assert!(
            ended.stderr.contains(&format!("not begun: web-[1-3]: {words}\n"))
                && ended.stderr.ends_with("4 hosts: 0 ok, 1 failed, 3 not begun\n"),
            "{}",
            ended.stderr
        );
    }
    // A batch that has failures does not keep the next one from its turn.
    let ended = ssh(&setting, &["--batch", "50%", "bad-[1-2],web-[1-2]", "true"]);
    assert!(
        ended.stderr.ends_with("4 hosts: 2 ok, 2 failed\n"),
        "{}",
        ended.stderr
    );
    assert!(
        ended
            .stderr
            .contains("failed: bad-[1-2]: connection refused by HOST port ")
            && ended.stderr.contains("--retry-failed last"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_run_whose_time_is_over_ends_what_runs_and_begins_nothing_more() {
    let setting = named(Sshd::start());
    let options = [
        "--deadline",
        "2s",
        "--forks",
        "1",
        "web-[1-2]",
        "exec sleep 300.141",
    ];
    let ended = ssh(&setting, &options);
    assert_eq!(ended.status, 1);
    assert!(
        ended
            .stderr
            .contains("not begun: web-2: the time for the whole run was over\n")
            && ended.stderr.ends_with("2 hosts: 0 ok, 1 failed, 1 not begun\n"),
        "{}",
        ended.stderr
    );
    assert!(processes::containing("sleep 300.141").is_empty());
    let ended = ssh(
        &setting,
        &["--host-timeout", "2s", "web-[1-2]", "exec sleep 300.142"],
    );
    assert!(
        ended.stderr.ends_with("2 hosts: 0 ok, 2 failed\n"),
        "{}",
        ended.stderr
    );
    assert!(processes::containing("sleep 300.142").is_empty());
}

#[test]
fn a_script_of_this_machine_runs_on_the_hosts_with_its_arguments_and_leaves_nothing() {
    let setting = named(Sshd::start());
    let script = "#!/bin/sh -e\nprintf '<%s>' \"$@\" \"$WORD\"; pwd; cat; exit 4\n";
    setting.home.write("job.sh", script);
    let job = ["--script", "job.sh", "--cwd", "/", "--env", "WORD=a b"];
    let one = ssh(
        &setting,
        &[&job[..], &["web-1", "it's", "--", "two words"]].concat(),
    );
    assert_eq!(
        (one.status, one.stdout.as_str()),
        (4, "<it's><--><two words><a b>/\n"),
        "{}",
        one.stderr
    );
    let two = ssh(&setting, &[&job[..], &["web-[1-2]"]].concat());
    let mut lines: Vec<&str> = two.stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["web-1: <a b>/", "web-2: <a b>/"]);
    assert!(
        two.stderr.starts_with("failed: web-[1-2]: exit status 4\n"),
        "{}",
        two.stderr
    );
    for (arguments, words) in [
        (&["--script", "none.sh", "web-1"][..], "cannot read none.sh"),
        (
            &["--script", "/dev/null", "web-1"],
            "cannot run /dev/null: the script is empty",
        ),
        (
            &["--script", "job.sh", "--stdin", "job.sh", "web-1"],
            "cannot be used with",
        ),
    ] {
        let ended = ssh(&setting, arguments);
        assert_eq!(ended.status, 2, "{}", ended.stderr);
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
    }
}

#[test]
fn the_first_ctrl_c_begins_nothing_more_and_lets_the_others_end() {
    let setting = named(Sshd::start());
    let go = setting.sshd.path("go");
    let command = format!(
        "echo begun; until test -e {}; do sleep 0.05; done; echo ended",
        go.display()
    );
    let mut child = start(&setting, &["ssh", "--forks", "2", "web-[1-5]", &command]);
    let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..2 {
        assert!(stdout.next().unwrap().unwrap().ends_with(": begun"));
    }
    send(&child, Signal::INT);
    let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
    assert_eq!(
        stderr.next().unwrap().unwrap(),
        "no further host is begun, and 2 still run; Ctrl-C again ends them"
    );
    fs::write(go, "").unwrap();
    let rest: Vec<String> = stdout.map(Result::unwrap).collect();
    assert!(
        rest.len() == 2 && rest.iter().all(|line| line.ends_with(": ended")),
        "{rest:?}"
    );
    let told: Vec<String> = stderr.map(Result::unwrap).collect();
    assert_eq!(told.last().unwrap(), "5 hosts: 2 ok, 0 failed, 3 not begun");
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn the_second_ctrl_c_ends_what_runs_on_the_hosts_too() {
    let setting = named(Sshd::start());
    let child = start(
        &setting,
        &["ssh", "--forks", "1", "web-[1-3]", "exec sleep 300.143"],
    );
    eventually("the command has begun", || {
        processes::containing("sleep 300.143")
            .iter()
            .any(|process| process.command == "sleep 300.143")
    });
    send(&child, Signal::INT);
    // The first one has to be told of before the second one comes, or they might be one.
    let mut child = child;
    let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(
        stderr
            .next()
            .unwrap()
            .unwrap()
            .starts_with("no further host is begun")
    );
    send(&child, Signal::INT);
    let told: Vec<String> = stderr.map(Result::unwrap).collect();
    assert_eq!(told.last().unwrap(), "3 hosts: 0 ok, 1 failed, 2 not begun");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(processes::containing("sleep 300.143").is_empty());
}

#[test]
fn many_hosts_are_worked_on_only_once_somebody_agreed_or_where_nobody_is_asked() {
    let setting = named(Settings::default().option("MaxStartups 100").start());
    let refused = in_terminal(
        &setting.home,
        &["ssh", "web-[01-51]", "echo ran"],
        json!([{"wait": "Run `echo ran` on 51 hosts: web-[01-51]"}, {"wait": "[no] "}, {"type": "\r"}]),
    );
    assert_eq!(refused.status, 1, "{}", refused.text);
    assert!(
        refused.text.contains("nothing was done") && !refused.text.contains(": ran"),
        "{}",
        refused.text
    );
    let agreed = in_terminal_with(
        &setting.home,
        &[("NO_COLOR", "1")],
        &["ssh", "web-[01-51]", "echo ran"],
        json!([{"wait": "[no] "}, {"type": "yes\r"}]),
    );
    assert_eq!(agreed.status, 0, "{}", agreed.text);
    assert!(
        agreed.text.contains("/51 hosts  ")
            && agreed.text.contains("web-51: ran")
            && agreed.text.contains("51 hosts: 51 ok, 0 failed in ")
            && !agreed.text.contains("\x1b[3"),
        "{}",
        agreed.text
    );
    let sure = in_terminal(
        &setting.home,
        &["ssh", "--yes", "web-[01-51]", "echo ran"],
        json!([]),
    );
    assert_eq!(sure.status, 0, "{}", sure.text);
    assert!(
        !sure.text.contains("Go on?") && sure.text.contains("mweb-51\x1b[0m: ran"),
        "{}",
        sure.text
    );
    // No terminal, no question, and nothing is drawn.
    let script = ssh(&setting, &["web-[01-51]", "true"]);
    assert_eq!(
        (script.status, script.stderr.as_str()),
        (0, "51 hosts: 51 ok, 0 failed\n")
    );
}

#[test]
fn a_reader_that_goes_away_ends_a_run_on_many_hosts() {
    let setting = named(Sshd::start());
    let mut child = start(&setting, &["ssh", "web-[1-4]", "exec yes sternline-yes-144"]);
    let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
    stdout.next().unwrap().unwrap();
    drop(stdout);
    assert_eq!(child.wait().unwrap().code(), Some(141));
    eventually("nothing is left running", || {
        processes::containing("yes sternline-yes-144").is_empty()
    });
}

#[test]
fn a_terminal_that_takes_nothing_does_not_hold_up_the_end() {
    let setting = named(Sshd::start());
    let run = ["ssh", "web-[1-3]", "echo begun; seq 300000; exec sleep 145145"];
    // Nobody reads after this, and what the terminal takes by itself is soon full.
    let term = Signal::TERM.as_raw();
    let steps = json!([{ "wait": "begun" }, { "leave": [term, term] }]);
    let shown = in_terminal(&setting.home, &run, steps);
    assert_eq!(shown.status, 143);
    eventually("nothing is left running", || {
        processes::containing("sleep 145145").is_empty()
    });
}

/// A command has not succeeded where what it wrote is lost: not in what is shown, and not in the exit status.
#[test]
fn output_that_finds_no_room_on_the_disk_is_a_failure_of_its_host() {
    let (setting, hosts) = Setting::at_addresses(4);
    for option in ["--json", "--group-output"] {
        let mut command = setting
            .home
            .sternline(["ssh", option, &hosts, "head -c 20000000 /dev/zero"]);
        let ended = Ended::from(
            command
                .env("TMPDIR", setting.home.path().join("not-there"))
                .output()
                .unwrap(),
        );
        assert_eq!(ended.status, 1, "{}", ended.stderr);
        assert!(
            ended.stderr.contains(" kept") && !ended.stderr.contains("4 hosts: 4 ok"),
            "{}",
            ended.stderr
        );
    }
    let listed = ssh_history(&setting);
    assert!(!listed.contains("4 ok"), "{listed}");
}

fn ssh_history(setting: &Setting) -> String {
    without_terminal(&setting.home, &["history"]).stdout
}

#[test]
fn copies_that_were_cancelled_are_named_among_those_that_failed() {
    let setting = named(Sshd::start());
    let big = setting.home.write("big", vec![7; 2_000_000]);
    let from = format!("web-[1-2]:{}", big.display());
    let arguments = ["cp", "--bwlimit", "100", "--timeout", "2s", &from, "copies"];
    fs::create_dir(setting.home.path().join("copies")).unwrap();
    let ended = without_terminal(&setting.home, &arguments);
    assert_eq!(ended.status, 124, "{}", ended.stderr);
    let cancelled = ended.stderr.lines().find(|line| line.contains("web-[1-2]: "));
    assert!(
        cancelled.is_some_and(|line| line.contains("cancelled")),
        "{}",
        ended.stderr
    );
    assert!(
        ended.stderr.contains("2 copies: 0 ok, 2 failed"),
        "{}",
        ended.stderr
    );
}

#[test]
fn copies_are_held_back_and_done_again_as_commands_are() {
    let setting = named(Sshd::start());
    setting.home.write("file", "content");
    let there = setting.sshd.path("there");
    fs::create_dir(&there).unwrap();
    let cp = |arguments: &[&str]| without_terminal(&setting.home, &[&["cp"], arguments].concat());
    // One server under several names: each copy goes to the same place.
    let hosts = format!("bad-1,web-[1-3]:{}/file", there.display());
    let ended = cp(&["--fail-fast", "--forks", "1", "--json", "file", &hosts]);
    assert_eq!(ended.status, 1, "{}", ended.stderr);
    let lines = json_lines(&ended);
    let left_out = lines.iter().filter(|line| line["not_begun"] == "failures");
    assert_eq!(left_out.count(), 3, "{}", ended.stdout);
    assert!(
        ended.stderr.contains("failed: bad-1: connection refused by ")
            && ended
                .stderr
                .contains("not begun: web-[1-3]: as many hosts had failed as may\n")
            && ended.stderr.ends_with("4 copies: 0 ok, 1 failed, 3 not begun\n"),
        "{}",
        ended.stderr
    );
    let ended = cp(&["file", &hosts]);
    assert!(
        ended.stderr.ends_with("4 copies: 3 ok, 1 failed\n"),
        "{}",
        ended.stderr
    );
    assert_eq!(fs::read_to_string(there.join("file")).unwrap(), "content");
    let again = cp(&["--retry-failed", "last", "--json", "file", &hosts]);
    assert_eq!(again.stdout.lines().count(), 1, "{}", again.stdout);
    assert!(again.stdout.contains("\"host\":\"bad-1\""), "{}", again.stdout);

    fs::create_dir(setting.home.path().join("got")).unwrap();
    let sources = format!("web-[1-3]:{}/file", there.display());
    let ended = cp(&["--canary", "1", "--batch", "1", &sources, "got"]);
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    for host in 1..=3 {
        assert!(setting.home.path().join(format!("got/file.web-{host}")).is_file());
    }
    let between = cp(&[
        "--canary",
        "1",
        &format!("web-[1-2]:{}/file", there.display()),
        "web-3:/tmp",
    ]);
    assert_eq!(between.status, 2);
    assert!(
        between
            .stderr
            .contains("--canary is for copies between this machine and several hosts")
    );
}
