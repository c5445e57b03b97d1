//! The scripts in `examples/starlark`, and those of the page that describes the `ssh` module, run by the program as it is.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as a test does"
)]

mod cli_support;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use cli_support::{Setting, eventually};
use rustix::process::{Pid, Signal, kill_process};
use sternline_tests::cli::{Ended, Home};
use sternline_tests::processes;
use sternline_tests::sshd::Sshd;

const ADDRESSES: [&str; 4] = ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/starlark")
}

fn example(name: &str) -> String {
    folder().join(name).to_str().unwrap().to_owned()
}

/// What hosts, a user and a port come to as variables.
fn variables(hosts: &[&str], user: &str, port: u16) -> Vec<String> {
    let hosts = serde_json::to_string(hosts).unwrap();
    [
        format!("hosts={hosts}"),
        format!("user={user}"),
        format!("port={port}"),
    ]
    .into_iter()
    .flat_map(|variable| ["--var".to_owned(), variable])
    .collect()
}

/// A home from which the addresses of a real server are reached, and trusted.
struct Hosts {
    setting: Setting,
    addresses: &'static [&'static str],
}

impl Hosts {
    fn one() -> Self {
        Self {
            setting: Setting::new(Sshd::start()),
            addresses: &ADDRESSES[..1],
        }
    }

    fn four() -> Self {
        let setting = Setting::several();
        setting.trust(&ADDRESSES[1..]);
        Self {
            setting,
            addresses: &ADDRESSES,
        }
    }

    fn home(&self) -> &Home {
        &self.setting.home
    }

    fn arguments(&self, script: &str, more: &[&str]) -> Vec<String> {
        let sshd = &self.setting.sshd;
        let mut arguments = vec!["run".to_owned()];
        arguments.extend(variables(self.addresses, &sshd.user().name, sshd.port()));
        arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
        arguments.push(script.to_owned());
        arguments
    }

    /// Runs an example on all of them; `more` are further options.
    fn run(&self, name: &str, more: &[&str]) -> Ended {
        self.home().run(self.arguments(&example(name), more))
    }
}

#[test]
fn every_example_is_run_by_a_test() {
    let source = [
        include_str!("script_examples.rs"),
        include_str!("script_rolling.rs"),
    ]
    .concat();
    // However the formatter has broken the lines.
    let source: String = source.split_whitespace().collect();
    let mut scripts = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".star") && !name.ends_with("_test.star") {
            let named = [format!("(\"{name}\""), format!("starlark/{name}\"")];
            assert!(
                named.iter().any(|named| source.contains(named)),
                "no test runs examples/starlark/{name}"
            );
            scripts += 1;
        }
    }
    assert!(scripts >= 10, "only {scripts} examples");
}

#[test]
fn the_examples_are_valid_and_their_own_tests_pass() {
    let home = Home::new();
    let ended = home.run(["test", folder().to_str().unwrap()]);
    assert_eq!(ended.status, 0, "{}{}", ended.stdout, ended.stderr);
    assert!(
        ended.stdout.contains("5 passed") || ended.stderr.contains("5 passed"),
        "{}{}",
        ended.stdout,
        ended.stderr
    );
}

#[test]
fn facts_are_a_table_or_json_and_no_other_command_is_permitted() {
    let hosts = Hosts::four();
    let ended = hosts.run("facts.star", &[]);
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert!(
        lines[0].starts_with("host") && lines[0].contains("kernel") && lines[0].contains("cores"),
        "{}",
        ended.stdout
    );
    assert_eq!(lines.len(), 2 + 4, "{}", ended.stdout);
    assert!(!ended.stdout.contains('?'), "{}", ended.stdout);

    let ended = hosts.run("facts.star", &["--var", "json=true"]);
    let facts: Vec<serde_json::Value> = ended
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let found: Vec<&str> = facts
        .iter()
        .map(|facts| facts["host"].as_str().unwrap())
        .collect();
    assert_eq!(found, ADDRESSES);
    assert!(facts[0]["cores"].as_str().unwrap().parse::<u32>().unwrap() > 0);

    // The permissions stand in the script.
    let text = std::fs::read_to_string(folder().join("facts.star")).unwrap();
    let other = text.replace("\"cores\": \"nproc\"", "\"cores\": \"id\"");
    assert_ne!(other, text);
    hosts.home().write("other.star", other);
    let ended = hosts.home().run(hosts.arguments("other.star", &[]));
    assert_eq!((ended.stdout.as_str(), ended.status), ("", 1));
    assert!(ended.stderr.contains("permission denied"), "{}", ended.stderr);
}

#[test]
fn a_deployment_reaches_the_host_with_its_mode_or_is_taken_back() {
    use std::os::unix::fs::PermissionsExt;
    let hosts = Hosts::one();
    let there = hosts.setting.sshd.path("app.conf");
    hosts.home().write("new.conf", "workers = 4\n");
    std::fs::write(&there, "workers = 1\n").unwrap();
    let dst = format!("dst={}", there.display());
    let with_check = |check: &str| {
        let check = format!("check={check}");
        hosts.run(
            "deploy.star",
            &[
                "--var",
                "src=new.conf",
                "--var",
                &dst,
                "--var",
                "mode=0640",
                "--var",
                &check,
            ],
        )
    };
    let ended = with_check("echo bad configuration >&2; exit 3");
    assert_eq!(ended.status, 1, "{}", ended.stderr);
    assert!(ended.stdout.contains("bad configuration"), "{}", ended.stdout);
    assert!(ended.stderr.contains("rolling back"), "{}", ended.stderr);
    assert_eq!(std::fs::read_to_string(&there).unwrap(), "workers = 1\n");

    let ended = with_check("true");
    assert_eq!(ended.status, 0, "{}{}", ended.stdout, ended.stderr);
    assert!(
        ended.stdout.ends_with("1 hosts: 1 ok, 0 failed, 0 not begun\n"),
        "{}",
        ended.stdout
    );
    assert_eq!(std::fs::read_to_string(&there).unwrap(), "workers = 4\n");
    assert_eq!(
        std::fs::metadata(&there).unwrap().permissions().mode() & 0o7777,
        0o640
    );
}

#[test]
fn logs_are_collected_under_the_names_of_their_hosts() {
    let hosts = Hosts::four();
    let log = hosts.setting.sshd.path("app.log");
    std::fs::write(&log, "INFO up\nERROR one\nERROR two\n").unwrap();
    let of_log = format!("log={}", log.display());
    let ended = hosts.run("collect_logs.star", &["--var", &of_log, "--var", "into=logs"]);
    let expected: String = ADDRESSES
        .iter()
        .map(|address| format!("logs/app.log.{address}: 28 bytes, 2 errors\n"))
        .collect();
    assert_eq!((ended.stdout, ended.status), (expected, 0), "{}", ended.stderr);
    assert!(hosts.home().path().join("logs/app.log.127.0.0.4").exists());

    let ended = hosts.run("collect_logs.star", &["--var", "log=/nowhere/app.log"]);
    assert_eq!((ended.stdout.as_str(), ended.status), ("", 1));
    assert!(
        ended.stderr.contains("no log") && ended.stderr.contains("127.0.0.4"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_health_check_asks_again_until_all_hosts_are_well() {
    let hosts = Hosts::four();
    // Well at the second time, but one at the first.
    let mark = hosts.setting.sshd.path("well");
    let check = format!(
        "check=set -- $SSH_CONNECTION; [ $3 = 127.0.0.2 ] || [ -e {0}.$3 ] || {{ touch {0}.$3; exit 1; }}",
        mark.display()
    );
    let ended = hosts.run("health_check.star", &["--var", &check, "--var", "delay=10ms"]);
    assert_eq!(
        (ended.stdout.as_str(), ended.status),
        (
            "attempt 1: not well yet: 127.0.0.1, 127.0.0.3, 127.0.0.4\n4 hosts are well\n",
            0
        ),
        "{}",
        ended.stderr
    );
    let ended = hosts.run(
        "health_check.star",
        &[
            "--var",
            "check=false",
            "--var",
            "delay=1ms",
            "--var",
            "attempts=2",
        ],
    );
    assert_eq!(ended.status, 1);
    assert!(
        ended
            .stderr
            .contains("after 2 attempts these are not well: 127.0.0.1, 127.0.0.2, 127.0.0.3, 127.0.0.4"),
        "{}",
        ended.stderr
    );
}

#[test]
fn an_inventory_says_which_hosts_and_how_they_are_reached() {
    let hosts = Hosts::four();
    let sshd = &hosts.setting.sshd;
    hosts.home().write(
        "hosts.toml",
        format!(
            "[defaults]\nuser = \"{}\"\nport = {}\n\n[groups.web]\nhosts = [\"127.0.0.[1-3]\"]\n\n[groups.canary]\nhosts = [\"127.0.0.[3-4]\"]\n",
            sshd.user().name,
            sshd.port()
        ),
    );
    let run = |select: &str| {
        hosts.home().run([
            "run",
            "--var",
            select,
            "--var",
            "command=echo same",
            &example("inventory.star"),
        ])
    };
    let ended = run("select=web:!canary");
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    assert_eq!(
        ended.stdout, "2 of 4 hosts\nsame: 127.0.0.1, 127.0.0.2\n",
        "{}",
        ended.stderr
    );
    let ended = run("select=web:!cnary");
    assert_eq!(ended.status, 1);
    assert!(ended.stderr.contains("canary"), "{}", ended.stderr);
    let ended = hosts.run("inventory.star", &["--var", "command=echo $USER-$LOGNAME"]);
    assert!(
        ended.stdout.starts_with("4 of 4 hosts\n"),
        "{}{}",
        ended.stdout,
        ended.stderr
    );
}

#[test]
fn a_dry_run_shows_what_would_be_removed_and_removes_nothing() {
    let hosts = Hosts::one();
    let old = hosts.setting.sshd.path("old");
    std::fs::create_dir(&old).unwrap();
    std::fs::write(old.join("new"), "").unwrap();
    let stale = std::fs::File::create(old.join("stale")).unwrap();
    stale
        .set_modified(std::time::SystemTime::now() - Duration::from_secs(40 * 24 * 3600))
        .unwrap();
    let dir = format!("dir={}", old.display());
    let ended = hosts.run("clean_up.star", &["--dry-run", "--var", &dir]);
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    assert!(
        ended.stdout.starts_with("[DRY RUN] Would execute on 127.0.0.1: "),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stdout.contains("-mtime +30 -print -delete"),
        "{}",
        ended.stdout
    );
    assert!(old.join("stale").exists());

    let ended = hosts.run("clean_up.star", &["--var", &dir]);
    assert_eq!(
        (ended.stdout.as_str(), ended.status),
        ("127.0.0.1: 1 files removed\n", 0),
        "{}",
        ended.stderr
    );
    assert!(!old.join("stale").exists() && old.join("new").exists());

    for wrong in [
        &["--var", "dir=/"][..],
        &["--var", &dir, "--var", "days=0"],
        &["--var", &dir, "--var", "days=many"],
    ] {
        assert_eq!(hosts.run("clean_up.star", wrong).status, 1);
    }
}

#[test]
fn a_service_behind_a_host_is_checked_through_a_tunnel() {
    let hosts = Hosts::one();
    let sshd = &hosts.setting.sshd;
    let (to, user, port) = (
        format!("to=127.0.0.1:{}", sshd.port()),
        format!("user={}", sshd.user().name),
        format!("port={}", sshd.port()),
    );
    let run = |check: &str| {
        let common = [
            "run",
            "--var",
            "bastion=127.0.0.1",
            "--var",
            &to,
            "--var",
            &user,
            "--var",
            &port,
            "--var",
            check,
        ];
        hosts
            .home()
            .run([&common[..], &[&example("tunnel.star")]].concat())
    };
    // The greeting of the server itself, as a service that only the host reaches.
    let ended = run("check=bash -c 'exec 3<>/dev/tcp/127.0.0.1/PORT; head -c 8 <&3'");
    assert_eq!(
        (ended.stdout.as_str(), ended.status),
        ("the service answers: SSH-2.0-\n", 0),
        "{}",
        ended.stderr
    );
    let ended = run("check=echo broken >&2; exit 1");
    assert_eq!(ended.status, 1);
    assert!(
        ended.stderr.contains("the service does not answer: broken"),
        "{}",
        ended.stderr
    );
    assert_eq!(
        hosts
            .run(
                "tunnel.star",
                &["--var", "bastion=127.0.0.1", "--var", &to, "--var", "check=true"]
            )
            .status,
        0
    );
}

#[test]
fn prompts_are_answered_with_secrets_from_the_environment() {
    let hosts = Hosts::one();
    let program = hosts.setting.sshd.path("passwd");
    let stored = hosts.setting.sshd.path("stored");
    std::fs::write(&stored, "old word\n").unwrap();
    std::fs::write(
        &program,
        format!(
            "stty -echo\nprintf 'Current password: '; read -r old; echo\nprintf 'New password: '; read -r new; echo\n\
             printf 'Retype new password: '; read -r again; echo\n\
             [ \"$old\" = \"$(cat {0})\" ] && [ \"$new\" = \"$again\" ] || exit 10\nprintf '%s\\n' \"$new\" >{0}\n",
            stored.display()
        ),
    )
    .unwrap();
    let command = format!("command=sh {}", program.display());
    let run = |old: &str| {
        let arguments = hosts.arguments(&example("change_password.star"), &["--var", &command]);
        let mut process = hosts.home().sternline(arguments);
        Ended::from(
            process
                .env("OLD_PASSWORD", old)
                .env("NEW_PASSWORD", "new word")
                .output()
                .unwrap(),
        )
    };
    let ended = run("wrong");
    assert_eq!(ended.status, 1);
    assert!(
        ended
            .stderr
            .contains("the password was not changed (exit status 10)"),
        "{}",
        ended.stderr
    );
    let ended = run("old word");
    assert_eq!(
        (ended.stdout.as_str(), ended.status),
        ("127.0.0.1: changed\n", 0),
        "{}",
        ended.stderr
    );
    assert_eq!(std::fs::read_to_string(&stored).unwrap(), "new word\n");
    let ended = hosts.run("change_password.star", &["--var", &command]);
    assert!(
        ended.status == 1 && ended.stderr.contains("set OLD_PASSWORD"),
        "{}",
        ended.stderr
    );
}

#[test]
fn lines_are_shown_as_they_come_and_counted() {
    let hosts = Hosts::four();
    let ended = hosts.run(
        "follow.star",
        &["--var", "command=echo ERROR one; echo two >&2; echo ERROR three"],
    );
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    let lines: BTreeSet<&str> = ended.stdout.lines().collect();
    for address in ADDRESSES {
        for line in [": ERROR one", ": ! two", ": ERROR three", ": 2 lines with ERROR"] {
            assert!(
                lines.contains(format!("{address}{line}").as_str()),
                "{address}{line} in {}",
                ended.stdout
            );
        }
    }
}

/// A command that tells when it runs, and then hangs. `marker` is a number that no other test uses.
fn hangs(marker: &str) -> String {
    format!("command=echo ERROR begun; exec sleep 300.{marker}")
}

#[test]
fn ctrl_c_ends_the_commands_on_all_hosts_and_the_script_with_130() {
    let hosts = Hosts::four();
    let arguments = hosts.arguments(&example("follow.star"), &["--var", &hangs("7101")]);
    let mut process = hosts
        .home()
        .sternline(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(process.stdout.take().unwrap());
    for _ in ADDRESSES {
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        assert!(line.ends_with(": ERROR begun\n"), "{line}");
    }
    eventually("all commands hang", || {
        processes::containing("sleep 300.7101").len() >= 4
    });
    kill_process(Pid::from_child(&process), Signal::INT).unwrap();
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    let ended = Ended::from(process.wait_with_output().unwrap());
    assert_eq!(ended.status, 130, "{}", ended.stderr);
    assert_eq!(rest.lines().count(), 4, "what was deferred is done: {rest}");
    assert!(rest.contains("127.0.0.1: 1 lines with ERROR"), "{rest}");
    assert!(processes::containing("sleep 300.7101").is_empty());
}

#[test]
fn a_time_limit_ends_hung_commands_on_all_hosts_in_its_time() {
    let hosts = Hosts::four();
    let begun = Instant::now();
    let ended = hosts.run("follow.star", &["--timeout", "2", "--var", &hangs("7102")]);
    let took = begun.elapsed();
    assert_eq!(ended.status, 124, "{}", ended.stderr);
    assert!(
        ended.stdout.contains("127.0.0.4: ERROR begun"),
        "{}",
        ended.stdout
    );
    // A loaded machine takes its time; what counts is that nobody waits for the command.
    assert!(
        took >= Duration::from_secs(2) && took < Duration::from_secs(10),
        "{took:?}"
    );
    assert!(processes::containing("sleep 300.7102").is_empty());
}
