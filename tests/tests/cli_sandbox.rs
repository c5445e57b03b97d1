//! `sternline sandbox` as a user runs it: on hosts, on this machine, and on executors of `config.toml`.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as a test does"
)]

mod cli_support;

use std::io::Write;
use std::process::Stdio;

use cli_support::{Setting, eventually, in_terminal, json_lines, send, start, without_terminal};
use rustix::process::Signal;
use serde_json::{Value, json};
use sternline_tests::cli::{Ended, Home};
use sternline_tests::processes::containing;
use sternline_tests::sshd::{Settings, Sshd};

fn setting() -> Setting {
    Setting::new(Sshd::start())
}

impl Setting {
    fn sandbox(&self, arguments: &[&str]) -> Ended {
        sandbox(&self.home, arguments)
    }
}

fn sandbox(home: &Home, arguments: &[&str]) -> Ended {
    without_terminal(home, &[&["sandbox"], arguments].concat())
}

/// A profile in which a shell may try what it likes.
const ANY: &str = r#"{ "name": "any", "allow_any_command": true, "tmpfs_paths": ["/tmp"] }"#;

#[test]
fn a_command_runs_in_a_bundled_profile_and_its_status_is_ours() {
    let setting = setting();
    let target = setting.sshd.target();
    let ended = setting.sandbox(&["run", &target, "--", "ls", "/usr/bin"]);
    assert_eq!(
        (ended.stdout.as_str(), ended.status),
        ("cat\nfind\ngrep\nls\n", 0),
        "{ended:?}"
    );
    let ended = setting.sandbox(&["run", &target, "--profile", "readonly", "--", "cat", "/no/such"]);
    assert_eq!((ended.stdout.as_str(), ended.status), ("", 1));
    assert!(
        ended.stderr.contains("/no/such: No such file or directory"),
        "{ended:?}"
    );
}

#[test]
fn arguments_reach_the_program_unread_by_any_shell() {
    let setting = setting();
    setting
        .home
        .write("p.toml", "name = 'p'\nallowed_commands = ['printf']\n");
    let target = setting.sshd.target();
    let words = ["it's", "$(id)", "a\\", "; id #", "-n", ""];
    let arguments = [
        &["run", &target, "--profile", "p.toml", "--", "printf", "<%s>"],
        words.as_slice(),
    ]
    .concat();
    let ended = setting.sandbox(&arguments);
    assert_eq!(ended.stdout, "<it's><$(id)><a\\><; id #><-n><>", "{ended:?}");
}

#[test]
fn what_a_profile_does_not_allow_is_refused_before_anything_is_connected_to() {
    let home = Home::new();
    for argv in [
        &["sh", "-c", "id"][..],
        &["/usr/bin/../bin/ls"],
        &["find", "/", "-delete"],
    ] {
        let ended = sandbox(&home, &[&["run", "127.0.0.1:1", "--"], argv].concat());
        assert_eq!(ended.status, 126, "{ended:?}");
        assert!(
            ended.stderr.contains("the profile minimal does not allow"),
            "{ended:?}"
        );
    }
    let ended = sandbox(&home, &["run", "127.0.0.1:1", "--profile", "nosuch", "--", "ls"]);
    assert_eq!(ended.status, 2);
    assert!(
        ended.stderr.contains("there is no bundled profile nosuch"),
        "{ended:?}"
    );
    let ended = sandbox(&home, &["run", "127.0.0.1:1", "--", "ls"]);
    assert_eq!(ended.status, 255, "{ended:?}");
}

#[test]
fn a_command_gets_input_only_if_asked_for() {
    let setting = setting();
    let target = setting.sshd.target();
    for (option, expected) in [(&["--stdin"][..], "in\0put\n"), (&[], "")] {
        let arguments = [&["sandbox", "run", target.as_str()], option, &["--", "cat"]].concat();
        let mut command = setting.home.sternline(arguments);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let _ = child.stdin.take().unwrap().write_all(b"in\0put\n");
        assert_eq!(Ended::from(child.wait_with_output().unwrap()).stdout, expected);
    }
}

#[test]
fn several_hosts_are_told_apart_and_one_that_fails_is_named() {
    let (setting, hosts) = Setting::at_addresses(3);
    let ended = setting.sandbox(&["run", &hosts, "--", "cat", "/etc/hostname"]);
    assert_eq!(ended.status, 0, "{ended:?}");
    let mut names: Vec<&str> = ended
        .stdout
        .lines()
        .map(|line| line.split(": ").next().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["127.0.0.1", "127.0.0.2", "127.0.0.3"]);
    assert!(ended.stderr.contains("3 hosts: 3 ok, 0 failed"), "{ended:?}");

    let unknown = format!("{hosts},{}", setting.at("127.0.0.4"));
    let ended = setting.sandbox(&["run", &unknown, "--json", "--", "ls", "/etc/hostname"]);
    assert_eq!(ended.status, 1, "{ended:?}");
    let objects = json_lines(&ended);
    assert_eq!(objects.iter().filter(|object| object["ok"] == true).count(), 3);
    let failed = objects.iter().find(|object| object["ok"] == false).unwrap();
    assert_eq!(
        (&failed["host"], &failed["returncode"]),
        (&json!("127.0.0.4"), &Value::Null)
    );
    assert_eq!(failed["error"]["error_type"], "HostKeyMismatch");
}

#[test]
fn json_tells_how_a_command_ended_and_whose_end_it_is() {
    let home = Home::new();
    home.write("any.json", ANY);
    let run = |argv: &[&str]| {
        let ended = sandbox(
            &home,
            &[&["run", "local", "--json", "--profile", "any.json", "--"], argv].concat(),
        );
        (json_lines(&ended).remove(0), ended.status)
    };
    let (object, status) = run(&["sh", "-c", "printf 'a\\377'; echo b >&2; kill -9 $$"]);
    assert_eq!(status, 137);
    assert_eq!(object["schema"], "sternline.sandbox.run/1");
    for (name, expected) in [
        ("host", json!("local")),
        ("profile", json!("any")),
        ("ok", json!(false)),
        ("returncode", json!(137)),
        ("signal", json!("KILL")),
        ("timed_out", json!(false)),
        ("side", json!("command")),
        ("stdout", json!("a\u{fffd}")),
        ("stdout_base64", json!("Yf8=")),
        ("stderr", json!("b\n")),
        ("error", Value::Null),
    ] {
        assert_eq!(object[name], expected, "{name}");
    }
    let (object, status) = run(&["/etc/passwd"]);
    assert_eq!((&object["side"], status), (&json!("bubblewrap"), 125), "{object}");
}

#[test]
fn time_that_is_over_is_124_and_ctrl_c_ends_the_command_there() {
    let setting = setting();
    setting.home.write("any.json", ANY);
    let target = setting.sshd.target();
    let sleep = [
        "--profile",
        "any.json",
        "--",
        "sh",
        "-c",
        "echo begun; trap '' TERM INT; sleep 3130; sleep 3130",
    ];
    let ended = setting.sandbox(&[&["run", &target, "--timeout", "2s"], sleep.as_slice()].concat());
    assert_eq!(
        (ended.stdout.as_str(), ended.status),
        ("begun\n", 124),
        "{ended:?}"
    );
    eventually("nothing is left of it", || containing("sleep 3130").is_empty());

    let child = start(
        &setting,
        &[&["sandbox", "run", &target], sleep.as_slice()].concat(),
    );
    eventually("it sleeps", || {
        containing("sleep 3130")
            .iter()
            .any(|one| one.command == "sleep 3130")
    });
    send(&child, Signal::INT);
    let ended = Ended::from(child.wait_with_output().unwrap());
    assert_eq!(ended.status, 130, "{ended:?}");
    eventually("nothing is left of it", || containing("sleep 3130").is_empty());
}

#[test]
fn executors_of_the_configuration_are_named_like_hosts() {
    let setting = setting();
    let (user, port) = (&setting.sshd.user().name, setting.sshd.port());
    // Where nothing finds them that is not told of them.
    for (from, to) in [
        (".ssh/id_ed25519", "keys/own"),
        (".ssh/known_hosts", "keys/hosts"),
    ] {
        std::fs::create_dir_all(setting.home.path().join("keys")).unwrap();
        std::fs::rename(setting.home.path().join(from), setting.home.path().join(to)).unwrap();
    }
    setting.home.write(
        ".config/sternline/config.toml",
        format!(
            "[sandbox]\ndefault_executor = 'box'\n\
             [executor.box]\ntype = 'ssh'\nhost = '127.0.0.1'\nusername = '{user}'\nport = {port}\n\
             key_file = '~/keys/own'\nknown_hosts = '~/keys/hosts'\nconnection_pool_size = 1\nprofile = 'mine.toml'\n\
             [executor.here]\ntype = 'local'\nprofile = 'readonly'\n",
        ),
    );
    setting.home.write(
        ".config/sternline/mine.toml",
        "name = 'mine'\nallowed_commands = ['head']\n",
    );
    for (arguments, host, profile) in [
        (
            &["run", "--json", "--", "head", "-c", "1", "/etc/passwd"][..],
            "box",
            "mine",
        ),
        (
            &["run", "box", "--json", "--", "head", "-c", "1", "/etc/passwd"],
            "box",
            "mine",
        ),
        (
            &["run", "here", "--json", "--", "head", "-c", "1", "/etc/passwd"],
            "here",
            "readonly",
        ),
    ] {
        let ended = setting.sandbox(arguments);
        let object = json_lines(&ended).remove(0);
        assert_eq!(
            (&object["host"], &object["profile"]),
            (&json!(host), &json!(profile)),
            "{ended:?}"
        );
        assert_eq!((&object["stdout"], ended.status), (&json!("r"), 0), "{ended:?}");
    }
    // The executor's profile counts, and so does its list.
    assert_eq!(setting.sandbox(&["run", "box", "--", "ls"]).status, 126);

    setting.home.write(
        ".config/sternline/config.toml",
        "[executor.box]\ntype = 'ssh'\nhst = 'x'\n",
    );
    let ended = setting.sandbox(&["run", "box", "--", "ls"]);
    assert_eq!(ended.status, 2);
    assert!(
        ended
            .stderr
            .contains("executor.box.hst: there is no such key; is host meant?"),
        "{ended:?}"
    );
}

#[test]
fn without_hosts_and_without_a_default_nothing_is_guessed() {
    let ended = sandbox(&Home::new(), &["run", "--", "ls"]);
    assert_eq!(ended.status, 2);
    assert!(ended.stderr.contains("no host is named"), "{ended:?}");
    assert!(ended.stderr.contains("`local` for this machine"), "{ended:?}");
}

#[test]
fn verify_tries_to_get_out_and_says_so() {
    let setting = setting();
    let target = setting.sshd.target();
    let ended = setting.sandbox(&["verify", &target, "--json"]);
    assert_eq!(ended.status, 0, "{ended:?}");
    let object = json_lines(&ended).remove(0);
    assert_eq!(
        (&object["schema"], &object["ok"]),
        (&json!("sternline.sandbox.verify/1"), &json!(true))
    );
    assert_eq!(
        (&object["profile"], &object["escaped"]),
        (&json!("minimal"), &json!(0))
    );
    let attempts = object["attempts"].as_array().unwrap();
    assert!(attempts.len() > 10, "{object}");
    assert!(
        object["held"].as_u64().unwrap() * 2 > attempts.len() as u64,
        "{object}"
    );

    // A profile with a hole: verify must be able to find one.
    let open = r#"{ "name": "open", "allowed_commands": ["env", "sh"], "network_isolation": false }"#;
    setting.home.write("open.json", open);
    let ended = setting.sandbox(&["verify", &target, "--profile", "open.json"]);
    assert!(
        ended.stderr.contains("attempts to get out of the profile open"),
        "{ended:?}"
    );
    assert!(ended.stdout.contains("ESCAPED") && ended.status == 1, "{ended:?}");
}

#[test]
fn show_prints_what_would_be_run() {
    let setting = setting();
    let target = setting.sshd.target();
    for host in [target.as_str(), "local"] {
        let ended = setting.sandbox(&["show", host, "--", "ls", "it's"]);
        assert_eq!(ended.status, 0, "{ended:?}");
        assert!(
            ended
                .stdout
                .starts_with("/usr/bin/bwrap --die-with-parent --new-session"),
            "{ended:?}"
        );
        assert!(ended.stdout.ends_with(" -- ls 'it'\\''s'\n"), "{ended:?}");
        let object = json_lines(&setting.sandbox(&["show", host, "--json", "--", "ls"])).remove(0);
        assert_eq!(object["argv"][0], "/usr/bin/bwrap");
        assert!(
            object["request"].as_str().unwrap().starts_with("exec "),
            "{object}"
        );
        assert!(
            object["script"].as_str().unwrap().ends_with("exit \"$r\"\n"),
            "{object}"
        );
    }
    assert_eq!(setting.sandbox(&["show", "local", "--", "sh"]).status, 126);
}

#[test]
fn profiles_are_listed_and_one_can_be_begun_with() {
    let home = Home::new();
    let ended = sandbox(&home, &["profiles"]);
    assert!(
        ended
            .stdout
            .starts_with("minimal      ls cat grep find\nreadonly     ls cat head"),
        "{ended:?}"
    );
    let ended = sandbox(&home, &["profiles", "minimal"]);
    home.write("copy.json", &ended.stdout);
    let ended = sandbox(
        &home,
        &["run", "local", "--profile", "copy.json", "--", "ls", "/home"],
    );
    assert_eq!(
        (ended.stdout.as_str(), ended.status),
        ("sandbox\n", 0),
        "{ended:?}"
    );
    assert_eq!(sandbox(&home, &["profiles", "nosuch"]).status, 2);
    assert_eq!(json_lines(&sandbox(&home, &["profiles", "--json"])).len(), 4);
}

#[test]
fn a_terminal_obeys_nothing_of_what_the_command_writes() {
    let home = Home::new();
    home.write("any.json", ANY);
    let argv = [
        "sandbox",
        "run",
        "local",
        "--profile",
        "any.json",
        "--",
        "printf",
        "\\033]0;title\\007\\n",
    ];
    let shown = in_terminal(&home, &argv, json!([]));
    assert!(shown.text.contains("\\x1b]0;title\\x07"), "{}", shown.text);
}

#[test]
fn a_host_without_a_shell_for_the_account_is_told_of() {
    let setting = Setting::new(
        Settings::default()
            .option("ForceCommand /usr/sbin/nologin")
            .start(),
    );
    let ended = setting.sandbox(&["run", &setting.sshd.target(), "--", "ls"]);
    assert_eq!(ended.status, 125, "{ended:?}");
    assert!(
        ended.stderr.contains("This account is currently not available"),
        "{ended:?}"
    );
}

/// The blocks of the guide in one language.
fn blocks(language: &str) -> Vec<String> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/sandbox.md")).unwrap();
    let fence = format!("```{language}\n");
    let blocks = text
        .split(&fence)
        .skip(1)
        .map(|rest| rest.split("\n```").next().unwrap());
    blocks.map(str::to_owned).collect()
}

#[test]
fn the_guide_says_what_is_true() {
    let home = Home::new();
    for profile in blocks("json") {
        home.write("guide.json", profile);
        let ended = sandbox(
            &home,
            &[
                "show",
                "local",
                "--profile",
                "./guide.json",
                "--",
                "tail",
                "/logs/x",
            ],
        );
        assert_eq!(ended.status, 0, "{ended:?}");
        assert_eq!(
            sandbox(
                &home,
                &[
                    "show",
                    "local",
                    "--profile",
                    "./guide.json",
                    "--",
                    "tail",
                    "-f",
                    "x"
                ]
            )
            .status,
            126
        );
    }
    for config in blocks("toml") {
        home.write(".config/sternline/config.toml", config);
        let ended = sandbox(&home, &["run", "here", "--", "ls", "/home"]);
        assert_eq!(
            (ended.stdout.as_str(), ended.status),
            ("sandbox\n", 0),
            "{ended:?}"
        );
    }
    let lines: Vec<String> = blocks("sh")
        .iter()
        .flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let on_this_machine = lines.iter().filter(|line| line.contains(" local "));
    let mut tried = 0;
    for line in on_this_machine {
        let words: Vec<&str> = line.split(' ').skip(1).collect();
        let ended = without_terminal(&home, &words);
        assert!(ended.status < 2, "{line}: {ended:?}");
        tried += 1;
    }
    assert!(tried > 0 && !blocks("json").is_empty() && !blocks("toml").is_empty());
}
