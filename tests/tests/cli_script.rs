//! `sternline run`, `eval` and `watch`: scripts from the command line, what they give back, and how they are ended.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as a test does"
)]

mod cli_support;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use cli_support::{Setting, eventually};
use rustix::process::{Pid, Signal, kill_process};
use sternline_tests::cli::{Ended, Home};
use sternline_tests::processes;
use sternline_tests::sshd::Sshd;

/// Runs a script of this text.
fn run(text: &str, options: &[&str]) -> Ended {
    let home = Home::new();
    home.write("x.star", text);
    home.run([&["run", "x.star"], options].concat())
}

/// A program that goes on, and what it writes to standard output.
struct Going {
    process: Child,
    out: BufReader<ChildStdout>,
}

impl Going {
    fn start(mut command: Command) -> Self {
        let mut process = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(process.stdout.take().unwrap());
        Self { process, out }
    }

    /// The next line of standard output.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line
    }

    fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    fn end(mut self) -> Ended {
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        let mut ended = Ended::from(self.process.wait_with_output().unwrap());
        ended.stdout = rest;
        ended
    }
}

#[test]
fn a_script_runs_from_its_file_from_standard_input_and_by_its_own_name() {
    let home = Home::new();
    let script = home.write(
        "x.star",
        "#!/usr/bin/env -S sternline run\nprint('args', args())\n",
    );
    let ended = home.run(["run", "x.star", "a", "b c"]);
    assert_eq!(
        (ended.stdout.as_str(), ended.status),
        ("args [\"a\", \"b c\"]\n", 0),
        "{}",
        ended.stderr
    );
    let ended = home.run(["run", "x.star", "--", "-x"]);
    assert_eq!(ended.stdout, "args [\"-x\"]\n");

    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).unwrap();
    let ended = Ended::from(home.command(&script).arg("own").output().unwrap());
    assert_eq!(
        (ended.stdout.as_str(), ended.status),
        ("args [\"own\"]\n", 0),
        "{}",
        ended.stderr
    );

    let mut process = home
        .sternline(["run", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    process
        .stdin
        .take()
        .unwrap()
        .write_all(b"print(1)\nexit(4)\n")
        .unwrap();
    let ended = Ended::from(process.wait_with_output().unwrap());
    assert_eq!((ended.stdout.as_str(), ended.status), ("1\n", 4));
}

#[test]
fn the_exit_status_says_how_a_script_ended_and_errors_say_where() {
    for (text, status, said) in [
        ("exit(3)", 3, ""),
        ("exit()", 0, ""),
        ("exit(255)", 255, ""),
        ("exit(256)", 1, "0 to 255"),
        ("x = 1\nfail('not today')", 1, "not today"),
        ("def f():\n    return 1 // 0\nf()", 1, "x.star:2"),
        ("x = = 1", 1, "x.star:1:5"),
        ("print(nowhere)", 1, "nowhere"),
    ] {
        let ended = run(text, &[]);
        assert_eq!(ended.status, status, "{text}: {}", ended.stderr);
        assert!(ended.stderr.contains(said), "{text}: {}", ended.stderr);
        assert_eq!(
            ended.stderr.is_empty(),
            said.is_empty(),
            "{text}: {}",
            ended.stderr
        );
    }
    let home = Home::new();
    home.write("binary.star", b"x = '\xff'");
    for file in ["missing.star", "binary.star", "."] {
        let ended = home.run(["run", file]);
        assert_eq!(ended.status, 2, "{file}: {}", ended.stderr);
        assert!(
            ended.stderr.contains(file) && ended.stderr.contains("hint: "),
            "{}",
            ended.stderr
        );
    }
}

#[test]
fn eval_prints_the_value_of_the_last_expression() {
    let home = Home::new();
    for (code, shown) in [
        ("6 * 7", "42\n"),
        ("'as it is\\t!'", "as it is\t!\n"),
        ("['a', 1]", "[\"a\", 1]\n"),
        ("None", ""),
        ("x = 2", ""),
        ("x = 2; x + 1", "3\n"),
        ("def f():\n    return 'f'\nf()", "f\n"),
        ("print('only this')", "only this\n"),
    ] {
        for verb in ["eval", "exec"] {
            let ended = home.run([verb, code]);
            assert_eq!(
                (ended.stdout.as_str(), ended.status),
                (shown, 0),
                "{code}: {}",
                ended.stderr
            );
        }
    }
    let ended = home.run(["eval", "exit(9)"]);
    assert_eq!((ended.stdout.as_str(), ended.status), ("", 9));
}

#[test]
fn eval_of_a_host_says_what_was_meant() {
    let home = Home::new();
    for (arguments, meant) in [
        (
            &["exec", "web-1", "uptime", "-p"][..],
            "`sternline ssh web-1 uptime -p`",
        ),
        (&["exec", "web-1"], "`sternline ssh web-1 COMMAND`"),
        (
            &["eval", "deploy@web-1:2222", "a b"],
            "`sternline ssh deploy@web-1:2222 'a b'`",
        ),
    ] {
        let ended = home.run(arguments);
        assert_eq!(ended.status, 2, "{}", ended.stderr);
        assert!(
            ended.stderr.contains(&format!("did you mean {meant}?")),
            "{}",
            ended.stderr
        );
    }
    let ended = home.run(["eval", "print(1)", "print(2)"]);
    assert_eq!(ended.status, 2, "{}", ended.stderr);
    assert!(!ended.stderr.contains("sternline ssh"), "{}", ended.stderr);
}

#[test]
fn a_reader_that_goes_away_ends_the_script_and_so_does_a_full_disk() {
    let home = Home::new();
    home.write("x.star", "for n in range(1000000):\n    print(n)\n");
    let mut bash = home.command("bash");
    bash.args(["-c", "sternline run x.star | head -n 1; exit ${PIPESTATUS[0]}"]);
    let ended = Ended::from(bash.output().unwrap());
    assert_eq!(
        (ended.stdout.as_str(), ended.stderr.as_str(), ended.status),
        ("0\n", "", 141)
    );
    let mut bash = home.command("bash");
    bash.args(["-c", "sternline run x.star >/dev/full"]);
    let ended = Ended::from(bash.output().unwrap());
    assert_eq!(ended.status, 255, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("cannot write to standard output"),
        "{}",
        ended.stderr
    );
}

const ENDLESS: &str = "\
defer(lambda: print('deferred'))
print('begun')
for n in range(2000000000):
    pass
";

#[test]
fn a_time_limit_ends_a_loop_and_a_reader_that_pauses() {
    let ended = run(ENDLESS, &["--timeout", "300ms"]);
    assert_eq!(
        (ended.stdout.as_str(), ended.status),
        ("begun\ndeferred\n", 124),
        "{}",
        ended.stderr
    );
    assert!(
        ended.stderr.contains("300ms") && ended.stderr.contains("--timeout"),
        "{}",
        ended.stderr
    );

    let home = Home::new();
    home.write("x.star", "for n in range(2000000000):\n    print(n)\n");
    let begun = Instant::now();
    // Nobody reads the pipe while it is open.
    let going = Going::start(home.sternline(["run", "--timeout", "300ms", "x.star"]));
    let mut process = going.process;
    let status = process.wait().unwrap();
    assert_eq!(status.code(), Some(124));
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    drop(going.out);
}

#[test]
fn ctrl_c_and_sigterm_end_a_script_in_good_order() {
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let home = Home::new();
        home.write("x.star", ENDLESS);
        let mut going = Going::start(home.sternline(["run", "x.star"]));
        assert_eq!(going.line(), "begun\n");
        going.send(signal);
        let ended = going.end();
        assert_eq!(
            (ended.stdout.as_str(), ended.status),
            ("deferred\n", status),
            "{}",
            ended.stderr
        );
        assert_eq!(ended.stderr, "");
    }
}

#[test]
fn a_second_ctrl_c_does_not_wait_for_deferred_functions() {
    let home = Home::new();
    home.write(
        "x.star",
        "def again():\n    print('deferred')\n    for n in range(2000000000):\n        pass\n\ndefer(again)\nprint('begun')\nagain()\n",
    );
    let mut going = Going::start(home.sternline(["run", "x.star"]));
    assert_eq!(
        (going.line(), going.line()),
        ("begun\n".to_owned(), "deferred\n".to_owned())
    );
    going.send(Signal::INT);
    assert_eq!(going.line(), "deferred\n");
    going.send(Signal::INT);
    assert_eq!(going.end().status, 130);
}

/// A script that runs a command on a real server.
fn on_server(setting: &Setting, command: &str) -> String {
    format!(
        "client = ssh.config(hosts=['127.0.0.1'], port={}, user='{}', key='~/.ssh/id_ed25519')\nprint('begun')\nprint(client.exec('{command}'))\n",
        setting.sshd.port(),
        setting.sshd.user().name,
    )
}

#[test]
fn a_time_limit_ends_a_hung_remote_command_on_its_host_too() {
    let setting = Setting::new(Sshd::start());
    setting
        .home
        .write("x.star", on_server(&setting, "exec sleep 300.201"));
    let begun = Instant::now();
    let ended = setting.home.run(["run", "--timeout", "2", "x.star"]);
    assert_eq!(
        (ended.stdout.as_str(), ended.status),
        ("begun\n", 124),
        "{}",
        ended.stderr
    );
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    assert!(processes::containing("sleep 300.201").is_empty());
}

#[test]
fn ctrl_c_ends_a_remote_command() {
    let setting = Setting::new(Sshd::start());
    setting
        .home
        .write("x.star", on_server(&setting, "exec sleep 300.202"));
    let mut going = Going::start(setting.home.sternline(["run", "x.star"]));
    assert_eq!(going.line(), "begun\n");
    eventually("the command runs", || {
        !processes::containing("sleep 300.202").is_empty()
    });
    going.send(Signal::INT);
    let ended = going.end();
    assert_eq!(
        (ended.stdout.as_str(), ended.status),
        ("", 130),
        "{}",
        ended.stderr
    );
    assert!(processes::containing("sleep 300.202").is_empty());
}

#[test]
fn watch_runs_a_script_again_when_it_is_written_to_or_replaced() {
    let home = Home::new();
    home.write("x.star", "print('one')\n");
    let mut going = Going::start(home.sternline(["watch", "x.star"]));
    assert_eq!(going.line(), "one\n");
    home.write("x.star", "print('two')\nexit(3)\n");
    assert_eq!(going.line(), "two\n");
    // As editors do it.
    let new = home.write("new", "print('three')\nfor n in range(2000000000):\n    pass\n");
    std::fs::rename(new, home.path().join("x.star")).unwrap();
    assert_eq!(going.line(), "three\n");
    // It still runs, and is ended first.
    home.write("x.star", "print(\n");
    let mut said = BufReader::new(going.process.stderr.take().unwrap())
        .lines()
        .map(Result::unwrap);
    said.by_ref().find(|line| line.contains("failed after")).unwrap();
    home.write("x.star", "print('four')\n");
    assert_eq!(going.line(), "four\n");
    going.send(Signal::INT);
    assert_eq!(going.end().status, 130);
}

#[test]
fn watch_looks_at_loaded_files_too() {
    let home = Home::new();
    home.write("x.star", "load('./lib.star', 'say')\nsay()\n");
    home.write("lib.star", "def say():\n    print('one')\n");
    let mut going = Going::start(home.sternline(["watch", "x.star"]));
    assert_eq!(going.line(), "one\n");
    // A mistake in it is told, and it is watched all the same.
    home.write("lib.star", "def say(:\n");
    let mut said = BufReader::new(going.process.stderr.take().unwrap())
        .lines()
        .map(Result::unwrap);
    said.by_ref().find(|line| line.contains("failed after")).unwrap();
    home.write("lib.star", "def say():\n    print('two')\n");
    assert_eq!(going.line(), "two\n");
    going.send(Signal::TERM);
    assert_eq!(going.end().status, 143);
}

#[test]
fn variables_and_permissions_come_from_the_command_line_and_files() {
    let home = Home::new();
    home.write("vars.yaml", "environment: staging\nreplicas: 2\n");
    home.write("config.yaml", "region: eu\nenvironment: none\n");
    home.write(
        "x.star",
        "print(var_str('environment'), var_int('replicas'), var_str('region'), var_str('x', 'default'))\n",
    );
    let ended = home.run(["run", "--var-file", "vars.yaml", "--var", "replicas=5", "x.star"]);
    assert_eq!(
        (ended.stdout.as_str(), ended.status),
        ("staging 5 eu default\n", 0),
        "{}",
        ended.stderr
    );
    for wrong in [
        &["--var", "nothing"][..],
        &["--var-file", "missing.yaml"],
        &["--permissions", "no-such-profile"],
    ] {
        let ended = home.run([&["run"], wrong, &["x.star"]].concat());
        assert_eq!((ended.stdout.as_str(), ended.status), ("", 2), "{}", ended.stderr);
    }

    home.write(
        "touch.star",
        "# permissions: strict\nwrite_text('/tmp/never-written-4711', 'x')\n",
    );
    let ended = home.run(["run", "touch.star"]);
    assert_eq!(ended.status, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("permission denied"), "{}", ended.stderr);
    // What the command line says counts more.
    let ended = home.run(["run", "--dry-run", "--permissions", "allow-all", "touch.star"]);
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    assert!(!std::path::Path::new("/tmp/never-written-4711").exists());
}

#[test]
fn watch_of_what_cannot_be_read_is_refused() {
    let home = Home::new();
    for file in ["missing.star", "-"] {
        assert_eq!(home.run(["watch", file]).status, 2);
    }
}

#[test]
fn the_help_lists_the_verbs_in_groups() {
    let help = Home::new().run(["--help"]).stdout;
    let headings: Vec<&str> = help
        .lines()
        .filter(|line| line.ends_with(':') && !line.starts_with(' '))
        .collect();
    assert_eq!(
        headings,
        [
            "Connect:",
            "Files:",
            "Scripts:",
            "Diagnose:",
            "Serve:",
            "This program:",
            "Options:"
        ]
    );
    for verb in ["run", "eval, exec", "test", "repl", "validate", "watch"] {
        assert!(help.contains(&format!("\n  {verb} ")), "{help}");
    }
}
