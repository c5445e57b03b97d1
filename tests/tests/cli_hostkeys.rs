//! `sternline hostkeys` with a real sshd, and what ssh-keygen makes of the files.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as a test does"
)]

mod cli_support;

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use cli_support::{Setting, in_terminal, without_terminal};
use serde_json::{Value, json};
use sternline_tests::cli::Ended;
use sternline_tests::sshd::{Settings, Sshd, free_port, keygen};

impl Setting {
    /// A server that nobody knows yet.
    fn unknown() -> Self {
        let setting = Self::new(Sshd::start());
        std::fs::remove_file(setting.home.path().join(".ssh/known_hosts")).unwrap();
        setting
    }

    fn hostkeys(&self, arguments: &[&str]) -> Ended {
        without_terminal(&self.home, &[&["hostkeys"], arguments].concat())
    }

    /// The server's host, as known_hosts names it.
    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.sshd.port())
    }

    fn known_hosts(&self) -> String {
        std::fs::read_to_string(self.home.path().join(".ssh/known_hosts")).unwrap_or_default()
    }
}

#[test]
fn a_key_is_recorded_as_ssh_keygen_finds_it_and_the_host_is_known_from_then_on() {
    for hash in [false, true] {
        let setting = Setting::unknown();
        let address = setting.address();
        // Some systems ask for hashed names in their own ssh_config.
        let mut arguments = vec!["add", &address, "--yes", "-o", "HashKnownHosts=no"];
        arguments.extend(hash.then_some("--hash"));
        let added = setting.hostkeys(&arguments);
        let place = format!("{}/.ssh/known_hosts:1", setting.home.path().display());
        assert_eq!(
            added.stdout,
            format!(
                "recorded {address} ssh-ed25519 {} in {place}\n",
                setting.fingerprint()
            ),
            "{}",
            added.stderr
        );
        assert_eq!(setting.known_hosts().starts_with("|1|"), hash);
        let path = setting.home.path().join(".ssh/known_hosts");
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let mut find = Command::new("ssh-keygen");
        let find = find
            .args(["-F", &format!("[127.0.0.1]:{}", setting.sshd.port()), "-f"])
            .arg(&path);
        assert!(find.output().unwrap().status.success());

        assert_eq!(setting.ssh(&[], &["echo hi"]).stdout, "hi\n");
        let again = setting.hostkeys(&["add", &address, "--yes"]);
        assert!(
            again.stdout.starts_with("known already: ") && again.status == 0,
            "{}",
            again.stdout
        );
        assert_eq!(setting.known_hosts().lines().count(), 1);
    }
}

#[test]
fn no_login_is_attempted() {
    let setting = Setting::unknown();
    assert_eq!(setting.hostkeys(&["add", &setting.address(), "--yes"]).status, 0);
    let log = setting.sshd.log();
    assert!(!log.contains("Accepted") && !log.contains("Failed"), "{log}");
}

#[test]
fn a_fingerprint_accepts_its_own_key_and_no_other() {
    let setting = Setting::unknown();
    let address = setting.address();
    let wrong = setting.hostkeys(&["add", &address, "--fingerprint", "SHA256:AAAA"]);
    assert_eq!(
        (wrong.status, wrong.stdout.as_str(), setting.known_hosts()),
        (1, "", String::new())
    );
    assert!(
        wrong.stderr.contains(&setting.fingerprint()) && wrong.stderr.contains("hint: "),
        "{}",
        wrong.stderr
    );
    let odd = setting.hostkeys(&["add", &address, "--fingerprint", "12:34"]);
    assert_eq!(odd.status, 2);

    let right = setting.hostkeys(&["add", &address, "--fingerprint", &setting.fingerprint()]);
    assert_eq!(right.status, 0, "{}", right.stderr);
    assert_eq!(setting.known_hosts().lines().count(), 1);
}

#[test]
fn where_nobody_can_be_asked_the_keys_are_shown_and_not_recorded() {
    let setting = Setting::unknown();
    let ended = setting.hostkeys(&["add", &setting.address()]);
    assert_eq!((ended.status, setting.known_hosts()), (1, String::new()));
    assert!(
        ended.stderr.contains(&setting.fingerprint()) && ended.stderr.contains("--fingerprint"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_person_is_shown_the_fingerprint_and_asked() {
    let setting = Setting::unknown();
    let (address, fingerprint) = (setting.address(), setting.fingerprint());
    let ask = |answer: &str| {
        let steps = json!([{"wait": &fingerprint}, {"wait": "[no] "}, {"type": format!("{answer}\r")}]);
        in_terminal(&setting.home, &["hostkeys", "add", &address], steps)
    };
    assert_eq!((ask("no").status, setting.known_hosts()), (1, String::new()));
    assert_eq!(ask("yes").status, 0);
    assert_eq!(setting.known_hosts().lines().count(), 1);
}

#[test]
fn a_changed_or_revoked_key_is_not_recorded_even_if_it_is_said_to_be_right() {
    let setting = Setting::unknown();
    let address = setting.address();
    let other = Sshd::start();
    let line = other
        .known_hosts_line("ed25519")
        .replace(&other.port().to_string(), &setting.sshd.port().to_string());
    for (known, reason) in [
        (line, "has changed"),
        (
            format!(
                "@revoked * {}",
                setting
                    .sshd
                    .known_hosts_line("ed25519")
                    .split_once(' ')
                    .unwrap()
                    .1
            ),
            "marked as revoked",
        ),
    ] {
        setting.home.write(".ssh/known_hosts", &known);
        for consent in [vec!["--yes"], vec!["--fingerprint", &setting.fingerprint()]] {
            let ended = setting.hostkeys(&[&["add", address.as_str()], &consent[..]].concat());
            assert_eq!((ended.status, setting.known_hosts()), (1, known.clone()));
            assert!(ended.stderr.contains(reason), "{}", ended.stderr);
        }
    }
}

#[test]
fn several_hosts_are_done_in_order_and_one_that_fails_stops_no_other() {
    let setting = Setting::several();
    std::fs::remove_file(setting.home.path().join(".ssh/known_hosts")).unwrap();
    let (port, closed) = (setting.sshd.port(), free_port());
    let hosts = format!("127.0.0.1:{port},127.0.0.9:{closed},127.0.0.[2-3]:{port}");
    let ended = setting.hostkeys(&["add", "--json", "--yes", &hosts]);
    assert_eq!(ended.status, 1);
    let lines: Vec<Value> = ended
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let summary: Vec<_> = lines
        .iter()
        .map(|line| {
            (
                line["host"].as_str().unwrap().to_owned(),
                line["recorded"] == true,
            )
        })
        .collect();
    assert_eq!(
        summary,
        [
            (format!("127.0.0.1:{port}"), true),
            (format!("127.0.0.9:{closed}"), false),
            (format!("127.0.0.2:{port}"), true),
            (format!("127.0.0.3:{port}"), true),
        ]
    );
    assert_eq!(lines[0]["fingerprint"], setting.fingerprint());
    assert!(
        ended
            .stderr
            .contains(&format!("error: 127.0.0.9:{closed}: connection refused")),
        "{}",
        ended.stderr
    );
}

#[test]
fn an_authority_is_recorded_and_its_certificates_are_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    keygen(&path("authority"), "ed25519");
    keygen(&path("host"), "ed25519");
    let signed = Command::new("ssh-keygen")
        .args(["-q", "-s"])
        .arg(path("authority"))
        .args(["-I", "test", "-h", "-n", "127.0.0.1"])
        .arg(path("host.pub"))
        .status()
        .unwrap();
    assert!(signed.success());
    let server = Settings::default()
        .option(&format!("HostKey {}", path("host").display()))
        .option(&format!("HostCertificate {}", path("host-cert.pub").display()))
        .start();
    let setting = Setting::new(server);
    std::fs::remove_file(setting.home.path().join(".ssh/known_hosts")).unwrap();

    let authority = path("authority.pub");
    let authority = authority.to_str().unwrap();
    let public = std::fs::read_to_string(authority).unwrap();
    let pattern = format!("[127.0.0.*]:{}", setting.sshd.port());
    let added = setting.hostkeys(&["add", &pattern, "--from-ca", authority]);
    assert_eq!(added.status, 0, "{}", added.stderr);
    assert!(
        setting
            .known_hosts()
            .starts_with(&format!("@cert-authority {pattern} ssh-ed25519 "))
    );
    let ended = setting.ssh(&[], &["echo certified"]);
    assert_eq!(ended.stdout, "certified\n", "{}", ended.stderr);

    let again = setting.hostkeys(&["add", &pattern, "--from-ca", &public]);
    assert!(
        again.stdout.contains(" already") && setting.known_hosts().lines().count() == 1,
        "{}",
        again.stdout
    );
    for wrong in ["missing", "no key"] {
        assert_eq!(
            setting.hostkeys(&["add", "*.x", "--from-ca", wrong]).status,
            2,
            "{wrong}"
        );
    }
}

#[test]
fn what_is_known_is_listed_and_removed() {
    let setting = Setting::unknown();
    let key = setting.sshd.known_hosts_line("ed25519");
    let key = key.split_once(' ').unwrap().1.trim_end();
    setting.home.write(
        ".ssh/known_hosts",
        format!("# mine\na,b {key}\n[c]:2222 {key}\n@cert-authority *.x {key}\nbroken\nlast {key}\n"),
    );
    let file = setting.home.path().join(".ssh/known_hosts");
    let file = file.display();
    let fingerprint = setting.fingerprint();
    let all = setting.hostkeys(&["list"]);
    let lines: Vec<String> = [
        ("a,b", 2),
        ("[c]:2222", 3),
        ("@cert-authority *.x", 4),
        ("last", 6),
    ]
    .map(|(hosts, line)| format!("{hosts} ssh-ed25519 {fingerprint} {file}:{line}\n"))
    .into();
    assert!(all.stdout.starts_with(&lines.concat()), "{}", all.stdout);
    assert!(
        all.stderr
            .starts_with(&format!("warning: skipped a line of known_hosts: {file}:5: ")),
        "{}",
        all.stderr
    );

    assert_eq!(setting.hostkeys(&["list", "b"]).stdout, lines[0]);
    assert_eq!(setting.hostkeys(&["list", "-p", "2222", "c"]).stdout, lines[1]);
    assert_eq!(setting.hostkeys(&["list", "web.x"]).stdout, lines[2]);
    let none = setting.hostkeys(&["list", "nobody"]);
    assert_eq!((none.status, none.stdout.as_str()), (1, ""));

    let removed = setting.hostkeys(&["remove", "b,c:2222,last"]);
    assert_eq!(removed.status, 0, "{}", removed.stderr);
    assert_eq!(removed.stdout.lines().count(), 3, "{}", removed.stdout);
    assert_eq!(
        setting.known_hosts(),
        format!("# mine\na {key}\n@cert-authority *.x {key}\nbroken\n")
    );
    let nothing = setting.hostkeys(&["remove", "b"]);
    assert_eq!((nothing.status, nothing.stdout.as_str()), (1, ""));
}
