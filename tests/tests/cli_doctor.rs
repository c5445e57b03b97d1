//! `sternline doctor`: what it says of a connection that works, and of every way in which one fails.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as a test does"
)]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};

use serde_json::Value;
use sternline_tests::cli::{Ended, Home};
use sternline_tests::sshd::{Settings, Sshd, free_port, keygen};

/// What it says of this server, with the key that is in the home, as `key`.
fn examine(home: &Home, sshd: &Sshd, more: &[&str]) -> Ended {
    let target = sshd.target();
    home.run(
        [
            &["doctor", "-i", "key", "--known-hosts", "known_hosts", &target][..],
            more,
        ]
        .concat(),
    )
}

/// A home that knows the server and has its key.
fn at_home(sshd: &Sshd) -> Home {
    let home = Home::new();
    home.write("key", std::fs::read(sshd.key()).expect("the key"));
    home.write("known_hosts", sshd.known_hosts_line("ed25519"));
    home
}

/// The line of a phase, with those that continue it.
fn phase(ended: &Ended, name: &str) -> String {
    let mut lines = ended
        .stdout
        .lines()
        .skip_while(|line| line.get(6..).is_none_or(|line| !line.starts_with(name)));
    let first = lines
        .next()
        .unwrap_or_else(|| panic!("no phase {name} in\n{}\n{}", ended.stdout, ended.stderr));
    let rest: Vec<&str> = lines.take_while(|line| line.starts_with(' ')).collect();
    format!("{first}\n{}", rest.join("\n"))
}

/// The error and the hint behind it.
fn verdict(ended: &Ended) -> (&str, &str) {
    assert_eq!(ended.status, 255, "{}\n{}", ended.stdout, ended.stderr);
    let start = ended.stderr.find("error: ").expect("an error");
    let (error, hint) = ended.stderr[start..].split_once("\nhint: ").expect("a hint");
    (error, hint.trim_end())
}

/// A server that does `answer` to each connection, for as long as the test runs.
fn peer(answer: impl Fn(std::net::TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            answer(stream.expect("a connection"));
        }
    });
    port
}

#[test]
fn a_connection_that_works_is_shown_phase_by_phase() {
    let sshd = Sshd::start();
    let home = at_home(&sshd);
    let ended = examine(&home, &sshd, &[]);
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{}", ended.stdout);
    let known = home
        .command("ssh-keygen")
        .args(["-lf", "known_hosts"])
        .output()
        .expect("ssh-keygen");
    let known = String::from_utf8_lossy(&known.stdout).into_owned();
    let fingerprint = known.split(' ').nth(1).expect("a fingerprint");
    for (name, parts) in [
        ("resolve", &["127.0.0.1"][..]),
        ("tcp", &[&format!("127.0.0.1:{}", sshd.port())]),
        ("banner", &["SSH-2.0-OpenSSH"]),
        ("kex", &["aes", "strict key exchange"]),
        (
            "host key",
            &["ssh-ed25519", fingerprint, "known by known_hosts:1"],
        ),
        ("auth", &["the server takes publickey", "key", "accepted ("]),
        ("exec", &["`true` ended with exit status 0"]),
    ] {
        let shown = phase(&ended, name);
        assert!(shown.starts_with("ok "), "{shown}");
        assert!(shown.contains(" ms "), "{shown}");
        for part in parts {
            assert!(shown.contains(part), "{part:?} is missing in:\n{shown}");
        }
    }
    assert!(
        ended
            .stdout
            .contains("\nAll is well: connected and ran a command in "),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stdout.lines().all(|line| line.chars().count() <= 80),
        "{}",
        ended.stdout
    );
}

#[test]
fn what_the_configuration_decides_is_shown_with_its_place() {
    let sshd = Sshd::start();
    let home = at_home(&sshd);
    let config = format!(
        "# comment\nHost web\n  HostName 127.0.0.1\n  Port {}\n  User {}\n  IdentityFile key\n",
        sshd.port(),
        sshd.user().name
    );
    home.write("config", config);
    let ended = home.run(["doctor", "-F", "config", "--known-hosts", "known_hosts", "web"]);
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    for part in [
        "HostName 127.0.0.1 (config:3)".to_owned(),
        format!("Port {} (config:4)", sshd.port()),
        "IdentityFile key (config:6)".to_owned(),
    ] {
        assert!(
            ended.stdout.contains(&part),
            "{part:?} is missing in:\n{}",
            ended.stdout
        );
    }
}

#[test]
fn json_has_the_same_facts_on_one_line() {
    let sshd = Sshd::start();
    let ended = examine(&at_home(&sshd), &sshd, &["--json"]);
    assert_eq!(ended.stdout.lines().count(), 1, "{}", ended.stdout);
    let value: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(value["schema"], "sternline.doctor/1");
    assert_eq!(value["ok"], true);
    assert_eq!(value["error"], Value::Null);
    let phases: Vec<_> = value["phases"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|phase| &phase["phase"])
        .collect();
    assert_eq!(
        phases,
        ["resolve", "tcp", "banner", "kex", "host_key", "auth", "exec"]
    );
    assert!(
        value["phases"]
            .as_array()
            .expect("a list")
            .iter()
            .all(|phase| phase["duration_ms"].is_number())
    );
    assert!(value["algorithms"]["kex"].is_string());
    assert_eq!(value["attempts"][0]["method"], "private_key");
    assert_eq!(value["attempts"][0]["accepted"], true);
    assert_eq!(value["methods_offered"][0], "publickey");

    let ended = Home::new().run(["doctor", "--json", &format!("127.0.0.1:{}", free_port())]);
    let value: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!((ended.status, &value["ok"]), (255, &Value::Bool(false)));
    assert_eq!(value["error"]["error_type"], "ConnectionRefused");
    assert_eq!(value["phases"][1]["state"], "failed");
    assert_eq!(value["phases"][2]["state"], "not_reached");
}

#[test]
fn a_name_that_does_not_resolve_is_a_matter_of_the_first_phase() {
    let ended = Home::new().run(["doctor", "no-such-host.invalid"]);
    assert!(phase(&ended, "resolve").starts_with("FAIL"));
    assert!(
        ended
            .stdout
            .contains("not reached: tcp, banner, kex, host key, auth, exec"),
        "{}",
        ended.stdout
    );
    let (error, hint) = verdict(&ended);
    assert!(
        error.contains("cannot resolve no-such-host.invalid (phase: resolve)"),
        "{error}"
    );
    assert!(hint.contains("spelling"), "{hint}");
}

#[test]
fn a_port_where_nobody_listens_is_refused() {
    let port = free_port();
    let ended = Home::new().run(["doctor", &format!("127.0.0.1:{port}")]);
    assert!(phase(&ended, "resolve").starts_with("ok"));
    let tcp = phase(&ended, "tcp");
    assert!(
        tcp.starts_with("FAIL") && tcp.contains(&format!("127.0.0.1:{port}: Connection refused")),
        "{tcp}"
    );
    let (error, hint) = verdict(&ended);
    assert!(
        error.contains("connection refused") && hint.contains("SSH server runs there"),
        "{error} {hint}"
    );
}

#[test]
fn a_port_that_never_speaks_ends_within_the_time_limit() {
    let (hold, held) = std::sync::mpsc::channel();
    let port = peer(move |stream| hold.send(stream).expect("the test runs"));
    let ended = Home::new().run([
        "doctor",
        "--connect-timeout",
        "300ms",
        &format!("127.0.0.1:{port}"),
    ]);
    assert!(phase(&ended, "tcp").starts_with("ok"));
    assert!(phase(&ended, "banner").starts_with("FAIL"));
    let (error, hint) = verdict(&ended);
    assert!(
        error.contains("timed out while waiting for the server's SSH identification"),
        "{error}"
    );
    assert!(
        error.contains("300 ms") && hint.contains("does not speak SSH"),
        "{error} {hint}"
    );
    drop(held);
}

#[test]
fn a_port_that_speaks_something_else_is_told_from_an_ssh_server() {
    let port = peer(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nServer: \x1b[31mred\r\n\r\n");
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let ended = Home::new().run(["doctor", &format!("127.0.0.1:{port}")]);
    assert!(phase(&ended, "banner").starts_with("FAIL"));
    let (error, hint) = verdict(&ended);
    assert!(
        error.contains("not an SSH server") && error.contains("HTTP/1.1"),
        "{error}"
    );
    assert!(hint.contains("something else listens there"), "{hint}");
    assert!(
        !ended.stderr.contains('\x1b') && !ended.stdout.contains('\x1b'),
        "its text reached the terminal"
    );
}

#[test]
fn an_unknown_host_gets_the_fingerprint_and_the_command_that_records_it() {
    let sshd = Sshd::start();
    let home = at_home(&sshd);
    home.write("known_hosts", "");
    let ended = examine(&home, &sshd, &[]);
    let shown = phase(&ended, "host key");
    assert!(shown.starts_with("FAIL") && shown.contains("SHA256:"), "{shown}");
    let (error, hint) = verdict(&ended);
    assert!(error.contains("is not known"), "{error}");
    assert!(
        hint.contains(&format!(
            "sternline hostkeys add --known-hosts known_hosts 127.0.0.1:{}`",
            sshd.port()
        )),
        "{hint}"
    );
    assert!(
        ended.stdout.contains("not reached: auth, exec"),
        "no credential is offered: {}",
        ended.stdout
    );
}

#[test]
fn a_changed_host_key_names_the_line_and_both_fingerprints() {
    let sshd = Sshd::start();
    let home = at_home(&sshd);
    keygen(&home.path().join("other"), "ed25519");
    let other = std::fs::read_to_string(home.path().join("other.pub")).expect("a key");
    home.write(
        "known_hosts",
        format!("# comment\n[127.0.0.1]:{} {other}", sshd.port()),
    );
    let ended = examine(&home, &sshd, &[]);
    let (error, hint) = verdict(&ended);
    assert!(
        error.contains("has changed") && error.contains("known_hosts:2"),
        "{error}"
    );
    assert_eq!(error.matches("SHA256:").count(), 2, "{error}");
    assert!(hint.contains("intercepting"), "{hint}");
}

#[test]
fn a_login_that_fails_names_each_key_and_what_the_server_takes() {
    let sshd = Settings::default().option("PasswordAuthentication no").start();
    let home = at_home(&sshd);
    keygen(&home.path().join("wrong"), "ed25519");
    let target = sshd.target();
    let ended = home.run(["doctor", "-i", "wrong", "--known-hosts", "known_hosts", &target]);
    let shown = phase(&ended, "auth");
    for part in ["the server takes publickey", "wrong refused ("] {
        assert!(
            shown.starts_with("FAIL") && shown.contains(part),
            "{part:?} is missing in:\n{shown}"
        );
    }
    let (error, hint) = verdict(&ended);
    assert!(error.contains("wrong refused"), "{error}");
    assert!(hint.contains("authorized_keys"), "{hint}");
}

#[test]
fn without_a_common_algorithm_both_sides_lists_are_shown() {
    let sshd = Settings::default()
        .option("KexAlgorithms diffie-hellman-group14-sha1")
        .start();
    let ended = examine(&at_home(&sshd), &sshd, &[]);
    assert!(phase(&ended, "kex").starts_with("FAIL"));
    let (error, hint) = verdict(&ended);
    assert!(error.contains("no key exchange algorithm in common"), "{error}");
    assert!(
        error.contains("mlkem768x25519-sha256") && error.contains("diffie-hellman-group14-sha1"),
        "{error}"
    );
    assert!(hint.contains("update the server"), "{hint}");
}

#[test]
fn an_account_that_may_run_nothing_of_its_own_still_answers() {
    let sshd = Settings::default()
        .option("ForceCommand echo forced; exit 7")
        .start();
    let ended = examine(&at_home(&sshd), &sshd, &[]);
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    assert!(phase(&ended, "exec").contains("exit status 7"));
}

#[test]
fn more_than_one_host_is_a_mistake() {
    let ended = Home::new().run(["doctor", "web-[1-2]"]);
    assert_eq!(ended.status, 2);
    assert!(
        ended.stderr.contains("doctor examines one host, and 2 are named"),
        "{}",
        ended.stderr
    );
}
