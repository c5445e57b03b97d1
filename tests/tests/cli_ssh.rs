//! `sternline ssh` with a real sshd: what it prints, how it ends, and what is left behind.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as a test does"
)]

mod cli_support;

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;

use cli_support::{Setting, eventually, json_lines, send, start, without_terminal};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use sternline_tests::cli::{Ended, Home};
use sternline_tests::processes;
use sternline_tests::sshd::{Settings, Sshd, free_port};

/// The error and the hint, which are all that standard error holds.
fn two_lines(ended: &Ended) -> (&str, &str) {
    let lines: Vec<&str> = ended.stderr.lines().collect();
    match lines.as_slice() {
        [error, hint] if error.starts_with("error: ") && hint.starts_with("hint: ") => (error, hint),
        _ => panic!("not two lines: {}", ended.stderr),
    }
}

#[test]
fn the_exit_status_is_the_commands_own() {
    let setting = Setting::new(Sshd::start());
    for (command, status) in [
        ("true", 0),
        ("exit 3", 3),
        ("exit 255", 255),
        ("kill -TERM $$", 143),
        ("kill -9 $$", 137),
    ] {
        let ended = setting.ssh(&["-q"], &[command]);
        assert_eq!(
            (ended.status, ended.stdout.as_str(), ended.stderr.as_str()),
            (status, "", ""),
            "{command}"
        );
    }
    let killed = setting.ssh(&[], &["kill -9 $$"]);
    assert_eq!(
        killed.stderr,
        "warning: the command was ended by the signal KILL\n"
    );
}

#[test]
fn a_failure_to_connect_is_255_and_two_lines_that_name_the_phase() {
    let home = Home::new();
    let port = free_port().to_string();
    let ended = without_terminal(&home, &["ssh", "-p", &port, "127.0.0.1", "true"]);
    assert_eq!(ended.status, 255);
    let (error, hint) = two_lines(&ended);
    assert_eq!(
        error,
        format!("error: connection refused by 127.0.0.1 port {port} (phase: tcp)")
    );
    assert!(hint.contains("SSH server"), "{hint}");

    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port().to_string();
    let ended = without_terminal(
        &home,
        &[
            "ssh",
            "--connect-timeout",
            "300ms",
            "-p",
            &port,
            "127.0.0.1",
            "true",
        ],
    );
    assert_eq!(ended.status, 255);
    assert!(
        two_lines(&ended)
            .0
            .ends_with("the overall limit of 300 ms passed (phase: banner)"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_time_limit_is_124_and_ends_the_command() {
    let setting = Setting::new(Sshd::start());
    let ended = setting.ssh(&["--timeout", "500ms"], &["echo begun; exec sleep 300.124"]);
    assert_eq!((ended.status, ended.stdout.as_str()), (124, "begun\n"));
    let (error, _) = two_lines(&ended);
    assert_eq!(
        error,
        "error: the command did not end within 500 ms; the remote process was ended (phase: exec)"
    );
    assert!(processes::containing("sleep 300.124").is_empty());
}

#[test]
fn a_command_line_that_makes_no_sense_is_2_and_says_what_would() {
    let home = Home::new();
    for (arguments, error) in [
        (&["ssh", "a,b"][..], "several hosts need a COMMAND"),
        (&["ssh", "a,-b", "true"], "the host name -b begins with a dash"),
        (
            &["ssh", "a;b", "true"],
            "the host name a;b holds the character ';'",
        ),
        (
            &["ssh", "a", "-W", "b", "true"],
            "`-W` is not an option of sternline ssh",
        ),
        (&["ssh", "--json", "a"], "--json needs a COMMAND"),
        (&["ssh", "--env", "A", "a", "true"], "`A` does not set a variable"),
        (
            &["ssh", "--env", "1A=x", "a", "true"],
            "1A is not the name of an environment variable",
        ),
        (&["ssh", "--stdin", "missing", "a", "cat"], "cannot read missing"),
        (
            &["ssh", "-F", "missing", "a", "true"],
            "cannot read the configuration file missing",
        ),
        (
            &["ssh", "-o", "ProxyUseFdpass=yes", "a", "true"],
            "ProxyUseFdpass is not supported: ",
        ),
        (
            &["ssh", "-J", "b;c", "a", "true"],
            "b;c is no value for ProxyJump: write [user@]host[:port]",
        ),
        (
            &["ssh", "-o", "ProxyCommand=nc %x", "a", "true"],
            "the token %x in nc %x is not supported here",
        ),
        (
            &["ssh", "-o", "Nonsense=1", "a", "true"],
            "unknown option Nonsense",
        ),
        (&["ssh", "-o", "Port=x", "a", "true"], "x is no value for Port"),
        (&["ssh", "a", ""], "the command is empty"),
    ] {
        let ended = without_terminal(&home, arguments);
        assert_eq!(ended.status, 2, "{arguments:?}: {}", ended.stderr);
        let (shown, _) = two_lines(&ended);
        assert!(shown.contains(error), "{arguments:?}: {shown}");
    }
    for arguments in [
        &["ssh"][..],
        &["ssh", "--timeout", "soon", "a", "true"],
        &["ssh", "-n", "--stdin", "x", "a", "true"],
    ] {
        assert_eq!(without_terminal(&home, arguments).status, 2, "{arguments:?}");
    }
}

#[test]
fn output_keeps_its_bytes_and_its_stream() {
    let setting = Setting::new(Sshd::start());
    let target = setting.sshd.target();
    let output = setting
        .home
        .sternline(["ssh", &target, r"printf '\0\377\r\n'; printf 'e\377' >&2"])
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"\0\xff\r\n");
    assert_eq!(output.stderr, b"e\xff");
}

#[test]
fn two_million_lines_all_arrive() {
    let setting = Setting::new(Sshd::start());
    let ended = setting.ssh(&[], &["seq 1 2000000"]);
    let mut expected = 1_u32;
    for line in ended.stdout.lines() {
        assert_eq!(line.parse(), Ok(expected));
        expected += 1;
    }
    assert_eq!((expected, ended.status), (2_000_001, 0));
}

#[test]
fn words_after_the_host_belong_to_the_command_and_are_joined_by_blanks() {
    let setting = Setting::new(Sshd::start());
    for (words, shown) in [
        (&["echo", "-n", "-p", "--", "a  b", "$HOME"][..], None),
        (&["--", "echo", "a"], Some("a\n")),
        (&["echo", "a;", "echo", "b"], Some("a\nb\n")),
    ] {
        let ended = setting.ssh(&[], words);
        let home = setting.ssh(&[], &["echo $HOME"]).stdout;
        let expected = shown.map_or_else(|| format!("-p -- a b {}", home.trim_end()), str::to_owned);
        assert_eq!(ended.stdout, expected, "{words:?}");
    }
    let target = setting.sshd.target();
    let mut command = setting.home.sternline(["ssh", &target, "printf", "%s"]);
    let output = command.arg(OsStr::from_bytes(b"\xff\xfe")).output().unwrap();
    assert_eq!(
        output.stdout, b"\xff\xfe",
        "a word that is not UTF-8 arrives as it is"
    );
}

#[test]
fn directory_and_variables_reach_the_command() {
    let setting = Setting::new(Sshd::start());
    let ended = setting.ssh(
        &["--cwd", "/usr", "--env", "A=x  'y'", "--env", "B=a=b"],
        &["pwd; echo \"$A\" $B"],
    );
    assert_eq!(ended.stdout, "/usr\nx  'y' a=b\n", "{}", ended.stderr);
}

/// Gives a program this input and takes its output.
fn pipe(mut command: std::process::Command, input: Vec<u8>) -> std::process::Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let feeder = std::thread::spawn(move || {
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    output
}

#[test]
fn sixty_four_mebibytes_go_through_cat_and_come_back() {
    let setting = Setting::new(Sshd::start());
    let data: Vec<u8> = (0_u32..16 << 20)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    let output = pipe(
        setting.home.sternline(["ssh", &setting.sshd.target(), "cat"]),
        data.clone(),
    );
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.stdout == data);
}

#[test]
fn input_can_be_nothing_or_a_file() {
    let setting = Setting::several();
    setting.trust(&["127.0.0.2"]);
    let target = setting.sshd.target();
    let nothing = pipe(
        setting.home.sternline(["ssh", "-n", &target, "cat"]),
        b"lost".to_vec(),
    );
    assert_eq!((nothing.stdout, nothing.status.success()), (Vec::new(), true));

    setting.home.write("input", b"a\nb");
    assert_eq!(setting.ssh(&["--stdin", "input"], &["cat"]).stdout, "a\nb");
    let two = format!("{target},{}", setting.at("127.0.0.2"));
    let both = without_terminal(
        &setting.home,
        &["ssh", "--stdin", "input", &two, "cat | tr a-z A-Z"],
    );
    let mut lines: Vec<&str> = both.stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        ["127.0.0.1: A", "127.0.0.1: B", "127.0.0.2: A", "127.0.0.2: B"]
    );
    let none = pipe(setting.home.sternline(["ssh", &two, "cat"]), b"lost".to_vec());
    assert_eq!(
        (none.stdout, none.status.success()),
        (Vec::new(), true),
        "several hosts get no piped input"
    );
}

#[test]
fn a_shell_without_a_terminal_reads_its_commands_from_the_input() {
    let setting = Setting::new(Sshd::start());
    let output = pipe(
        setting.home.sternline(["ssh", &setting.sshd.target()]),
        b"echo from $((40 + 2)); tty; exit 7\n".to_vec(),
    );
    assert_eq!(String::from_utf8_lossy(&output.stdout), "from 42\nnot a tty\n");
    assert_eq!(output.status.code(), Some(7));
}

#[test]
fn json_is_one_object_per_host_and_line_in_the_order_of_the_hosts() {
    let setting = Setting::several();
    setting.trust(&["127.0.0.2"]);
    let hosts = ["127.0.0.2", "127.0.0.4", "127.0.0.1"]
        .map(|address| setting.at(address))
        .join(",");
    let command = r"printf 'out\377'; echo err >&2; exit 4";
    let ended = without_terminal(&setting.home, &["ssh", "-q", "--json", &hosts, command]);
    assert_eq!(ended.status, 1);
    let lines = json_lines(&ended);
    let named: Vec<_> = lines.iter().map(|line| line["host"].as_str().unwrap()).collect();
    assert_eq!(named, ["127.0.0.2", "127.0.0.4", "127.0.0.1"]);

    let keys: Vec<_> = lines[0].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "schema",
            "host",
            "ok",
            "exit_code",
            "signal",
            "stdout",
            "stdout_base64",
            "stderr",
            "duration_ms",
            "attempts",
            "error"
        ]
    );
    assert_eq!(lines[0]["schema"], "sternline.exec/1");
    assert_eq!(
        (&lines[0]["ok"], &lines[0]["exit_code"]),
        (&false.into(), &4.into())
    );
    assert_eq!(
        (&lines[0]["stdout"], &lines[0]["stdout_base64"]),
        (&"out\u{fffd}".into(), &"b3V0/w==".into())
    );
    assert_eq!(
        (&lines[0]["stderr"], &lines[0]["error"], &lines[0]["signal"]),
        (&"err\n".into(), &Value::Null, &Value::Null)
    );
    assert!(lines[0]["duration_ms"].as_f64().unwrap() > 0.0);

    assert_eq!(
        (&lines[1]["ok"], &lines[1]["exit_code"]),
        (&false.into(), &Value::Null)
    );
    assert_eq!(lines[1]["error"]["error_type"], "HostKeyMismatch");
    assert_eq!(lines[1]["error"]["host_key_reason"], "unknown");
    assert_eq!(lines[1]["error"]["phase"], "host_key");
}

#[test]
fn json_of_one_host_has_the_same_form_and_the_hosts_own_status() {
    let setting = Setting::new(Sshd::start());
    for (command, status) in [("echo hi", 0), ("exit 9", 9), ("kill -TERM $$", 143)] {
        let ended = setting.ssh(&["--json"], &[command]);
        assert_eq!(ended.status, status, "{}", ended.stderr);
        let lines = json_lines(&ended);
        assert_eq!((lines.len(), &lines[0]["ok"]), (1, &(status == 0).into()));
        assert_eq!(
            lines[0]["signal"],
            if status == 143 { "TERM".into() } else { Value::Null }
        );
    }
    let late = setting.ssh(
        &["--json", "--timeout", "500ms"],
        &["echo partial; exec sleep 300.125"],
    );
    assert_eq!(late.status, 124);
    let line = &json_lines(&late)[0];
    assert_eq!(
        (&line["stdout"], &line["error"]["error_type"]),
        (&"partial\n".into(), &"CommandTimeout".into())
    );

    let piped = pipe(
        setting
            .home
            .sternline(["ssh", "--json", &setting.sshd.target(), "cat"]),
        b"piped".to_vec(),
    );
    let line: Value = serde_json::from_slice(&piped.stdout).unwrap();
    assert_eq!(line["stdout"], "piped");
}

#[test]
fn with_several_hosts_whole_lines_carry_the_hosts_name_and_a_summary_follows() {
    let setting = Setting::several();
    setting.trust(&["127.0.0.2", "127.0.0.3"]);
    let hosts = format!("{0}@127.0.0.[1-3]", setting.sshd.user().name);
    let port = setting.sshd.port().to_string();
    let command = "seq 1 20000; echo oops >&2; printf end";
    let ended = without_terminal(&setting.home, &["ssh", "-p", &port, &hosts, command]);
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    for address in ["127.0.0.1", "127.0.0.2", "127.0.0.3"] {
        let mine: Vec<&str> = ended
            .stdout
            .lines()
            .filter_map(|line| line.strip_prefix(&format!("{address}: ")))
            .collect();
        let expected: Vec<String> = (1..=20_000)
            .map(|n| n.to_string())
            .chain(["end".into()])
            .collect();
        assert!(
            mine == expected,
            "the lines of {address} are not whole, in order and complete"
        );
        assert!(
            ended.stderr.contains(&format!("{address}: oops\n")),
            "{}",
            ended.stderr
        );
    }
    assert_eq!(ended.stdout.lines().count(), 3 * 20_001);
    assert!(
        ended.stderr.ends_with("3 hosts: 3 ok, 0 failed\n"),
        "{}",
        ended.stderr
    );
}

#[test]
fn hosts_that_fail_are_told_at_the_end_with_their_reasons() {
    let setting = Setting::several();
    setting.trust(&["127.0.0.2"]);
    let closed = free_port();
    let hosts = format!(
        "{},{},{},{},127.0.0.5:{closed}",
        setting.at("127.0.0.1"),
        setting.at("127.0.0.2"),
        setting.at("127.0.0.3"),
        setting.at("127.0.0.4"),
    );
    let command = r#"case "$SSH_CONNECTION" in *" 127.0.0.2 "*) exit 3;; esac"#;
    let ended = without_terminal(&setting.home, &["ssh", &hosts, command]);
    assert_eq!((ended.status, ended.stdout.as_str()), (1, ""));
    let port = setting.sshd.port();
    for expected in [
        "failed: 127.0.0.2: exit status 3\n".to_owned(),
        format!("failed: 127.0.0.[3-4]: the host HOST:{port} is not known"),
        format!("with `sternline hostkeys add 127.0.0.[3-4]:{port}`\n"),
        format!("failed: 127.0.0.5: connection refused by 127.0.0.5 port {closed} (phase: tcp)\n"),
        "5 hosts: 1 ok, 4 failed\n".to_owned(),
    ] {
        assert!(
            ended.stderr.contains(&expected),
            "{expected} is missing in\n{}",
            ended.stderr
        );
    }
}

#[test]
fn the_command_that_records_a_host_names_what_it_needs_to_do_so() {
    let setting = Setting::several();
    setting.trust(&["127.0.0.2"]);
    let port = setting.sshd.port();
    setting.home.write("my hosts", "");
    let one = setting.ssh(&["--known-hosts", "my hosts"], &["true"]);
    let (_, hint) = two_lines(&one);
    let command = format!("`sternline hostkeys add --known-hosts 'my hosts' 127.0.0.1:{port}`");
    assert!(hint.ends_with(&command), "{hint}");

    let other = setting.home.path().join("other");
    let other = other.to_str().unwrap();
    setting.home.write(
        "config",
        format!("Host four\n  HostName 127.0.0.4\n  Port {port}\n  UserKnownHostsFile {other}\n"),
    );
    let user = &setting.sshd.user().name;
    let hosts = format!("{},{},four", setting.at("127.0.0.3"), setting.at("127.0.0.1"));
    let run = || {
        without_terminal(
            &setting.home,
            &["ssh", "-F", "config", "-l", user, &hosts, "true"],
        )
    };
    let several = run();
    let four = format!("127.0.0.4:{port}");
    for command in [
        format!("`sternline hostkeys add 127.0.0.3:{port}`\n"),
        format!("`sternline hostkeys add --known-hosts {other} {four}`\n"),
    ] {
        assert!(several.stderr.contains(&command), "{}", several.stderr);
    }
    // Done as it says, but for the question, it does what it promises.
    let add = ["hostkeys", "add", "--yes", "--known-hosts", other, &four];
    assert_eq!(without_terminal(&setting.home, &add).status, 0);
    let again = run();
    assert!(
        again.stderr.ends_with("3 hosts: 2 ok, 1 failed\n"),
        "{}",
        again.stderr
    );
}

#[test]
fn the_help_names_the_options_that_are_taken() {
    let home = Home::new();
    let help = home.run(["ssh", "--help"]).stdout;
    let (_, list) = help.split_once("\n-o obeys ").unwrap();
    let (list, _) = list.split_once('.').unwrap();
    let names: Vec<&str> = list
        .split([',', ' ', '\n'])
        .filter(|word| !word.is_empty() && *word != "and")
        .collect();
    assert_eq!(names.len(), 31, "{list}");
    for name in names {
        let ended = home.run(["ssh", "-o", name, "127.0.0.1", "true"]);
        assert!(
            ended.stderr.contains(&format!("{name} needs a value")),
            "{}",
            ended.stderr
        );
    }
}

#[test]
fn an_event_log_that_cannot_be_written_is_told_before_anything_is_connected() {
    let home = Home::new();
    let ended = home.run(["ssh", "--events", "/dev/null/\x1b[1m", "127.0.0.1:1", "true"]);
    assert_eq!(ended.status, 255, "{}", ended.stderr);
    let (error, _) = two_lines(&ended);
    assert!(
        error.contains("cannot open the event log /dev/null/\\x1b[1m: ") && error.contains("os error"),
        "{error}"
    );
}

#[test]
fn a_new_host_key_that_cannot_be_recorded_is_warned_about_with_the_reason() {
    let setting = Setting::new(Sshd::start());
    let accept_new = [
        "-o",
        "StrictHostKeyChecking=accept-new",
        "--known-hosts",
        "/dev/null",
    ];
    let ended = setting.ssh(&accept_new, &["echo hi"]);
    assert_eq!((ended.status, ended.stdout.as_str()), (0, "hi\n"));
    let reason = "warning: the host key could not be recorded: cannot change /dev/null: ";
    assert!(ended.stderr.starts_with(reason), "{}", ended.stderr);
}

#[test]
fn output_that_cannot_be_written_is_an_error_of_one_host_and_of_several() {
    let setting = Setting::several();
    setting.trust(&["127.0.0.2"]);
    let both = format!("{},{}", setting.at("127.0.0.1"), setting.at("127.0.0.2"));
    for (hosts, status) in [(setting.at("127.0.0.1"), 255), (both, 1)] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let mut command = setting.home.sternline(["ssh", &hosts, "echo hi"]);
        let ended = Ended::from(command.stdout(full).output().unwrap());
        assert_eq!(ended.status, status, "{}", ended.stderr);
        assert!(
            ended
                .stderr
                .starts_with("error: cannot write to standard output: No space left")
                || ended
                    .stderr
                    .contains("\nerror: cannot write to standard output: No space left"),
            "{}",
            ended.stderr
        );
    }
}

#[test]
fn ssh_config_is_read_the_command_line_wins_and_what_is_refused_names_its_line() {
    let setting = Setting::new(Sshd::start());
    let (user, port) = (&setting.sshd.user().name, setting.sshd.port());
    setting.home.write(
        ".ssh/config",
        format!("Host web\n  HostName 127.0.0.1\n  Port {port}\n  User {user}\n  ForwardAgent yes\n  BatchMode yes\n"),
    );
    let run = |arguments: &[&str]| without_terminal(&setting.home, arguments);
    assert_eq!(run(&["ssh", "web", "echo hi"]).stdout, "hi\n");
    let noted = run(&["ssh", "web", "true"]).stderr;
    assert!(
        noted.starts_with("note: ForwardAgent yes (")
            && noted.ends_with(".ssh/config:5) is not obeyed: the agent is not forwarded\n"),
        "{noted}"
    );
    assert_eq!(run(&["ssh", "-q", "web", "true"]).stderr, "");
    let run = |arguments: &[&str]| without_terminal(&setting.home, &[&["-q"], arguments].concat());

    let other = free_port().to_string();
    let refused = |ended: Ended| {
        two_lines(&ended)
            .0
            .contains(&format!("port {other} (phase: tcp)"))
    };
    assert!(
        refused(run(&["ssh", "-o", &format!("Port={other}"), "web", "true"])),
        "-o beats the file"
    );
    assert!(
        refused(run(&[
            "ssh",
            "-p",
            &other,
            "-o",
            &format!("Port {port}"),
            "web",
            "true"
        ])),
        "the command line beats -o"
    );
    let none = run(&[
        "ssh",
        "-F",
        "none",
        "--connect-timeout",
        "5",
        "web.invalid",
        "true",
    ]);
    assert_eq!(
        (none.status, two_lines(&none).0.contains("(phase: resolve)")),
        (255, true),
        "{}",
        none.stderr
    );

    setting.home.write(
        "other",
        format!("Host web\n HostName 127.0.0.1\n Port {port}\n User {user}\n CASignatureAlgorithms x\n"),
    );
    let refused = run(&["ssh", "-F", "other", "web", "true"]);
    assert_eq!(refused.status, 255);
    assert!(
        two_lines(&refused)
            .0
            .contains("other:5: CASignatureAlgorithms is not supported: "),
        "{}",
        refused.stderr
    );
}

#[test]
fn an_unknown_host_is_refused_recorded_or_warned_about_as_configured() {
    let setting = Setting::new(Sshd::start());
    setting.home.write(".ssh/known_hosts", "");
    let refused = setting.ssh(&[], &["echo hi"]);
    assert_eq!((refused.status, refused.stdout.as_str()), (255, ""));
    let (error, hint) = two_lines(&refused);
    assert!(
        error.contains("is not known: it offered the key ssh-ed25519 SHA256:"),
        "{error}"
    );
    assert!(
        hint.contains(&format!(
            "`sternline hostkeys add 127.0.0.1:{}`",
            setting.sshd.port()
        )),
        "{hint}"
    );

    let off = setting.ssh(&["-o", "StrictHostKeyChecking=no"], &["echo hi"]);
    assert_eq!((off.status, off.stdout.as_str()), (0, "hi\n"));
    assert!(
        off.stderr.starts_with("warning: host keys are not checked"),
        "{}",
        off.stderr
    );

    let new = setting.ssh(&["-o", "StrictHostKeyChecking=accept-new"], &["echo hi"]);
    assert_eq!((new.status, new.stdout.as_str()), (0, "hi\n"));
    assert!(
        new.stderr.starts_with("recorded the host key of 127.0.0.1 in "),
        "{}",
        new.stderr
    );
    assert_eq!(setting.ssh(&[], &["echo hi"]).stderr, "");

    let other = setting.ssh(
        &["--known-hosts", "elsewhere", "-o", "StrictHostKeyChecking=yes"],
        &["true"],
    );
    assert_eq!(other.status, 255, "another file knows nothing");
}

#[test]
fn what_a_server_says_reaches_the_terminal_only_escaped() {
    let folder = Home::new();
    let banner = folder.write("banner", "hello\x1b]0;owned\x07\x1b[2J\n");
    let server = Settings::default()
        .option(&format!("Banner {}", banner.display()))
        .start();
    let ended = Setting::new(server).ssh(&[], &["true"]);
    assert_eq!(ended.stderr, "hello\\x1b]0;owned\\x07\\x1b[2J\n");
}

#[test]
fn events_go_to_their_file_and_details_to_standard_error() {
    let setting = Setting::new(Sshd::start());
    let ended = setting.ssh(&["-v", "--events", "log/events.jsonl"], &["true"]);
    let log = std::fs::read_to_string(setting.home.path().join("log/events.jsonl")).unwrap();
    let types: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["event_type"].clone())
        .collect();
    assert_eq!(types, ["CONNECT", "AUTH", "CONNECT", "EXEC", "DISCONNECT"]);
    assert!(
        ended.stderr.contains("event AUTH {\"status\":\"success\""),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.contains("phases: resolve "), "{}", ended.stderr);
    assert!(!ended.stderr.contains("russh"), "{}", ended.stderr);
    assert!(setting.ssh(&["-vvv"], &["true"]).stderr.contains("russh"));
    assert!(!setting.ssh(&["-vv"], &["true"]).stderr.contains("russh"));
}

#[test]
fn ctrl_c_and_sigterm_end_the_command_on_the_host_too() {
    let (setting, two) = Setting::at_addresses(2);
    let one = setting.sshd.target();
    for (hosts, signal, status) in [
        (&one, Signal::INT, 130),
        (&one, Signal::TERM, 143),
        (&two, Signal::INT, 130),
        (&two, Signal::TERM, 143),
    ] {
        let child = start(&setting, &["ssh", hosts, "exec sleep 300.126"]);
        let count = hosts.split(',').count();
        // The program's own arguments name the command too.
        eventually("the commands have begun", || {
            let running = processes::containing("sleep 300.126");
            running
                .iter()
                .filter(|process| process.command == "sleep 300.126")
                .count()
                == count
        });
        send(&child, signal);
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(status),
            "{hosts} {signal:?} {output:?}"
        );
        let left = processes::containing("sleep 300.126");
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_command_without_a_word() {
    let (setting, two) = Setting::at_addresses(2);
    let one = setting.sshd.target();
    for hosts in [&one, &two] {
        let mut child = start(
            &setting,
            &["ssh", hosts, "echo first; exec yes sternline-yes-127"],
        );
        let mut some = [0; 5];
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut some).unwrap();
        drop(stdout);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(141));
        if hosts == &one {
            assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        }
        eventually("nothing is left running", || {
            processes::containing("yes sternline-yes-127").is_empty()
        });
    }
}

/// A pager that somebody reads in pauses the output, and nothing else.
#[test]
fn a_reader_that_pauses_holds_up_no_time_limit() {
    let (setting, two) = Setting::at_addresses(2);
    let one = setting.sshd.target();
    for (hosts, options, goes_on, status) in [
        (&one, &["--timeout", "5s"][..], true, 124),
        (&one, &["--timeout", "5s"], false, 124),
        (&two, &["--timeout", "5s"], true, 1),
        (&two, &["--host-timeout", "5s"], true, 1),
        (&two, &["--deadline", "5s"], true, 1),
    ] {
        let command = "seq 600000; exec sleep 300.128";
        let arguments = [&["ssh"], options, &[hosts, command]].concat();
        let mut started = setting.home.sternline(arguments);
        let mut child = started
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The program's own arguments name the command too.
        let running = || {
            let named = processes::containing("sleep 300.128");
            named
                .iter()
                .filter(|process| process.command == "sleep 300.128")
                .count()
        };
        let hosts = hosts.split(',').count();
        eventually("the command has written all it had", || running() == hosts);
        eventually("the command was ended", || running() == 0);
        let mut stdout = child.stdout.take().unwrap();
        let mut lines = 0;
        if goes_on {
            let mut text = String::new();
            stdout.read_to_string(&mut text).unwrap();
            lines = text.lines().count();
        }
        drop(stdout);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{options:?} {output:?}");
        if goes_on {
            assert_eq!(lines, hosts * 600_000, "{options:?}: output was lost");
        }
    }
}

#[test]
fn colours_are_for_terminals_only() {
    let setting = Setting::new(Sshd::start());
    let ended = setting.ssh(&["--timeout", "100ms"], &["sleep 300.128"]);
    assert!(!ended.stderr.contains('\x1b'), "{}", ended.stderr);
}

#[test]
fn completions_and_manual_pages_are_generated() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish"] {
        let ended = home.run(["completions", shell]);
        assert!(
            ended.status == 0 && ended.stdout.contains("sternline") && ended.stdout.contains("hostkeys"),
            "{shell}"
        );
    }
    assert_eq!(home.run(["man", "pages"]).status, 0);
    let page = std::fs::read_to_string(home.path().join("pages/sternline-ssh.1")).unwrap();
    assert!(
        page.contains("Exit status") && page.contains("connect\\-timeout"),
        "{page}"
    );
}

#[test]
fn a_server_that_stops_answering_is_given_up_as_configured() {
    let setting = Setting::new(Sshd::start());
    let mut command = setting.home.sternline([
        "ssh",
        "-o",
        "ServerAliveInterval=1",
        "-o",
        "ServerAliveCountMax=2",
    ]);
    // The parent of the command is the part of the server that has the connection.
    command.args([&setting.sshd.target(), "echo $PPID; exec sleep 300.131"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let session = Pid::from_raw(line.trim().parse().unwrap()).unwrap();
    kill_process(session, Signal::STOP).unwrap();
    let ended = Ended::from(child.wait_with_output().unwrap());
    assert_eq!(ended.status, 255);
    let (error, hint) = two_lines(&ended);
    assert_eq!(
        error,
        "error: the server stopped answering keepalive probes (phase: exec)"
    );
    assert!(hint.contains("check before you run it again"), "{hint}");
}

#[test]
fn a_count_of_zero_never_gives_a_silent_server_up() {
    let setting = Setting::new(Sshd::start());
    let events = setting.home.path().join("events");
    let mut command = setting.home.sternline(["ssh", "--events"]);
    command.arg(&events);
    command.args(["-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=0"]);
    command.args([&setting.sshd.target(), "echo $PPID; read line; echo end"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    let session = Pid::from_raw(line.trim().parse().unwrap()).unwrap();
    kill_process(session, Signal::STOP).unwrap();
    eventually("probes beyond any small count", || {
        std::fs::read_to_string(&events)
            .unwrap()
            .matches("KEEPALIVE_SENT")
            .count()
            >= 4
    });
    kill_process(session, Signal::CONT).unwrap();
    drop(child.stdin.take());
    line.clear();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "end\n");
    assert!(child.wait().unwrap().success());
}
