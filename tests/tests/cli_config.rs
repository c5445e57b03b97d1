//! `sternline config show`, and the options of ssh_config as they count on real connections.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as a test does"
)]

mod cli_support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cli_support::{Setting, without_terminal};
use serde_json::Value;
use sternline_tests::cli::{Ended, Home, program};
use sternline_tests::sshd::{Settings, Sshd, keygen};
use sternline_tests::users;

fn show(home: &Home, arguments: &[&str]) -> Ended {
    without_terminal(home, &[&["config", "show"], arguments].concat())
}

/// The line of an option, without the blanks between the columns.
fn line(ended: &Ended, option: &str) -> String {
    let mut lines = ended
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let found = lines.find(|words| words.first() == Some(&option));
    found
        .unwrap_or_else(|| panic!("no {option}: {} {}", ended.stdout, ended.stderr))
        .join(" ")
}

#[test]
fn every_setting_is_shown_with_its_file_and_line() {
    let home = Home::new();
    home.write(
        ".ssh/config",
        "Host web\n  HostName web-%h.example.com\n  Include more\nMatch host *.example.com user ann\n  Port 2222\nHost *\n  \
         ForwardAgent yes\n  Compression yes\n",
    );
    home.write(".ssh/more", "User ann\nIdentityFile ~/.ssh/%n\n");
    let ended = show(&home, &["-o", "ConnectTimeout=7", "-i", "own", "web"]);
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    let ssh = home.path().join(".ssh");
    let file = |name: &str, line: u32| format!("({}:{line})", ssh.join(name).display());
    for (option, expected) in [
        ("HostName", format!("web-web.example.com {}", file("config", 2))),
        ("User", format!("ann {}", file("more", 1))),
        ("Port", format!("2222 {}", file("config", 5))),
        ("IdentityFile", "own (command line)".to_owned()),
        ("ConnectTimeout", "7 (command line)".to_owned()),
        ("StrictHostKeyChecking", "ask (default)".to_owned()),
        (
            "UserKnownHostsFile",
            format!("{} (default)", ssh.join("known_hosts").display()),
        ),
    ] {
        assert_eq!(line(&ended, option), format!("{option} {expected}"));
    }
    assert!(
        ended
            .stdout
            .contains(&format!("{}  {}", ssh.join("web").display(), file("more", 2)))
    );
    assert!(ended.stderr.contains("ForwardAgent yes") && !ended.stdout.contains("ForwardAgent"));

    let verbose = show(&home, &["-v", "web"]);
    assert!(
        line(&verbose, "ForwardAgent")
            .ends_with(&format!("{}: the agent is not forwarded", file("config", 7)))
    );
    assert_eq!(
        line(&verbose, "Compression"),
        format!("Compression yes {}", file("config", 8))
    );

    let json: Value = serde_json::from_str(&show(&home, &["--json", "-q", "web"]).stdout).expect("JSON");
    let port = json["settings"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|entry| entry["option"] == "Port");
    let expected = serde_json::json!({
        "option": "Port",
        "value": "2222",
        "source": { "kind": "file", "file": ssh.join("config"), "line": 5 },
    });
    assert_eq!(port, Some(&expected));
    assert_eq!(json["ignored"][0]["instead"], "the agent is not forwarded");
    assert_eq!(
        (&json["schema"], &json["host"]),
        (&"sternline.config/1".into(), &"web".into())
    );
}

#[test]
fn what_cannot_be_obeyed_names_its_line_and_how_to_go_on() {
    let home = Home::new();
    for (text, expected) in [
        ("Host web\n  Match\n", "config:2: Match needs a value"),
        (
            "Match exec true\n",
            "config:1: Match exec is not supported, and so it is not known whether",
        ),
        (
            "\nCanonicalizeHostname always\n",
            "config:2: CanonicalizeHostname is not supported: the name would not be",
        ),
        (
            "Ciphers 3des-cbc\n",
            "config:1: Ciphers 3des-cbc leaves no algorithm that Sternline has",
        ),
        (
            "PreferredAuthentications hostbased\n",
            "no way to log in is left (",
        ),
        ("RevokedHostKeys /missing\n", "cannot read /missing: "),
        ("AddressFamily inet\nBindAddress ::1\n", "BindAddress ::1 ("),
        ("Nonsense 1\n", "config:1: unknown option Nonsense"),
    ] {
        home.write(".ssh/config", text);
        let ended = show(&home, &["web"]);
        assert_eq!((ended.status, ended.stdout.as_str()), (255, ""), "{text}");
        let lines: Vec<&str> = ended.stderr.lines().collect();
        assert!(
            lines[0].starts_with("error: ") && lines[0].contains(expected),
            "{text}{}",
            ended.stderr
        );
        assert!(lines[1].starts_with("hint: "), "{}", ended.stderr);
    }
    let ended = show(&home, &["-F", "none", "-o", "Match=all", "web"]);
    assert_eq!(ended.status, 2, "{}", ended.stderr);
}

/// Runs both programs as this account, with the same configuration, and tells whether they take it.
fn both_take(user: &str, home: &Path, file: &Path) -> (bool, bool) {
    let run = |program: &Path, arguments: &[&str]| {
        let mut command = match users::is_root() {
            true => {
                let mut command = Command::new("setpriv");
                let group = String::from_utf8(Command::new("id").args(["-g", user]).output().unwrap().stdout)
                    .unwrap();
                command
                    .args(["--reuid", user, "--regid", group.trim(), "--clear-groups"])
                    .arg(program);
                command
            }
            false => Command::new(program),
        };
        command.args(arguments).arg("-F").arg(file).arg("web").env_clear();
        command
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", home)
            .stdin(Stdio::null());
        command.output().unwrap().status.success()
    };
    (
        run(Path::new("ssh"), &["-G"]),
        run(&program(), &["config", "show"]),
    )
}

#[test]
fn files_that_others_may_write_to_are_refused_where_ssh_refuses_them() {
    // A program and a folder that a plain account can reach.
    let folder = tempfile::Builder::new()
        .permissions(fs::Permissions::from_mode(0o755))
        .tempdir()
        .unwrap();
    let path = |name: &str| folder.path().join(name);
    let accounts = match users::is_root() {
        true => vec!["root".to_owned(), users::plain().name],
        false => vec![users::current().name],
    };
    let id = |user: &str, flag: &str| -> u32 {
        let output = Command::new("id").args([flag, user]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
    };
    for user in &accounts {
        let (uid, gid) = (id(user, "-u"), id(user, "-g"));
        let write = |name: &str, text: &str, owner: Option<(u32, u32)>, mode: u32| -> PathBuf {
            fs::write(path(name), text).unwrap();
            if let (Some((uid, gid)), true) = (owner, users::is_root()) {
                chown(path(name), Some(uid), Some(gid)).unwrap();
            }
            fs::set_permissions(path(name), fs::Permissions::from_mode(mode)).unwrap();
            path(name)
        };
        let own = Some((uid, gid));
        let strangers = users::is_root().then_some((65_534, 65_534));
        for (owner, mode) in [
            (own, 0o600),
            (own, 0o644),
            (own, 0o664),
            (own, 0o646),
            (own, 0o666),
            (Some((uid, 65_534)).filter(|_| users::is_root()), 0o664),
            (users::is_root().then_some((0, 0)), 0o644),
            (users::is_root().then_some((0, 0)), 0o664),
            (strangers, 0o644),
        ] {
            write("included", "User x\n", owner, mode);
            let including = format!("Include {}\n", path("included").display());
            for text in [including.clone(), format!("Host nobody\n{including}")] {
                let file = write("config", &text, own, 0o666);
                let (ssh, ours) = both_take(user, folder.path(), &file);
                assert_eq!(ours, ssh, "{user} {owner:?} {mode:o} {text}");
            }
        }
        write("included", "User x\n", own, 0o000);
        let (ssh, ours) = both_take(user, folder.path(), &path("config"));
        assert_eq!(ours, ssh, "{user}: a file that cannot be read");
    }
}

#[test]
fn a_key_in_the_file_of_revoked_keys_is_refused_whatever_else_is_configured() {
    let setting = Setting::new(Sshd::start());
    let revoked = setting.home.write(
        "revoked",
        fs::read(setting.sshd.path("host_ed25519.pub")).unwrap(),
    );
    let option = format!("RevokedHostKeys={}", revoked.display());
    for more in ["StrictHostKeyChecking=yes", "StrictHostKeyChecking=no"] {
        let ended = setting.ssh(&["-o", &option, "-o", more], &["echo hi"]);
        assert_eq!(
            (ended.status, ended.stdout.as_str()),
            (255, ""),
            "{more}: {}",
            ended.stderr
        );
        let place = format!("is marked as revoked in {}:1", revoked.display());
        assert!(ended.stderr.contains(&place), "{}", ended.stderr);
    }
}

#[test]
fn a_host_is_known_by_its_alias_whatever_its_address_and_port_are() {
    let setting = Setting::new(Sshd::start());
    setting.home.write(".ssh/known_hosts", "");
    let alias = ["-o", "HostKeyAlias=database"];
    let refused = setting.ssh(&alias, &["true"]);
    assert_eq!(refused.status, 255);
    assert!(
        refused.stderr.contains("the host database is not known") || refused.stderr.contains("database"),
        "{}",
        refused.stderr
    );
    let hint = refused
        .stderr
        .split_once("`sternline ")
        .expect("a command")
        .1
        .split_once('`')
        .expect("its end")
        .0;
    let words: Vec<&str> = hint.split(' ').collect();
    // Debian's own file asks for hashed names.
    let added = without_terminal(
        &setting.home,
        &[&words[..], &["--yes", "-o", "HashKnownHosts=no"]].concat(),
    );
    assert_eq!(added.status, 0, "{hint}: {}", added.stderr);
    let known = fs::read_to_string(setting.home.path().join(".ssh/known_hosts")).unwrap();
    assert!(known.starts_with("database ssh-ed25519 "), "{known}");
    assert_eq!(setting.ssh(&alias, &["echo hi"]).stdout, "hi\n");
    assert_eq!(
        setting.ssh(&["-o", "HostKeyAlias=other"], &["echo hi"]).status,
        255
    );
}

#[test]
fn only_the_algorithms_that_are_left_are_used() {
    let setting = Setting::new(Sshd::start());
    for (option, expected) in [
        ("Ciphers=aes192-ctr,3des-cbc", "aes192-ctr"),
        ("MACs=hmac-sha2-512", "hmac-sha2-512"),
        ("KexAlgorithms=ecdh-sha2-nistp384", "ecdh-sha2-nistp384"),
    ] {
        let file = setting.home.path().join("evidence.json");
        let evidence = file.to_str().unwrap();
        let ended = setting.ssh(
            &["--evidence", evidence, "-o", option, "-o", "Ciphers=^aes128-ctr"],
            &["echo hi"],
        );
        assert_eq!(ended.stdout, "hi\n", "{option}: {}", ended.stderr);
        let bundle = fs::read_to_string(&file).unwrap();
        assert!(bundle.contains(&format!("\"{expected}\"")), "{option}: {bundle}");
        fs::remove_file(file).unwrap();
    }
    let setting = Setting::new(Settings::default().option("Ciphers aes256-ctr").start());
    let refused = setting.ssh(&["-o", "Ciphers=-aes256-ctr"], &["true"]);
    assert_eq!(refused.status, 255);
    assert!(
        refused.stderr.contains("no cipher algorithm in common"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_method_that_is_switched_off_is_not_tried() {
    let setting = Setting::new(Sshd::start());
    for option in [
        "PubkeyAuthentication=no",
        "PreferredAuthentications=password,keyboard-interactive",
    ] {
        let ended = setting.ssh(&["-o", option], &["echo hi"]);
        assert_eq!((ended.status, ended.stdout.as_str()), (255, ""), "{option}");
        assert!(!setting.sshd.log().contains("Accepted publickey"), "{option}");
    }
    for option in ["PasswordAuthentication=no", "PreferredAuthentications=publickey"] {
        assert_eq!(
            setting.ssh(&["-o", option], &["echo hi"]).stdout,
            "hi\n",
            "{option}"
        );
    }
}

#[test]
fn a_certificate_is_found_where_it_is_named() {
    let ca = tempfile::tempdir().unwrap();
    keygen(&ca.path().join("ca"), "ed25519");
    let trusted = format!("TrustedUserCAKeys {}", ca.path().join("ca.pub").display());
    let setting = Setting::new(
        Settings::default()
            .option("AuthorizedKeysFile none")
            .option(&trusted)
            .start(),
    );
    let user = &setting.sshd.user().name;
    let home = setting.home.path();
    fs::set_permissions(ca.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::copy(setting.sshd.path("user.pub"), home.join("elsewhere.pub")).unwrap();
    let signed = Command::new("ssh-keygen")
        .args(["-q", "-s"])
        .arg(ca.path().join("ca"))
        .args(["-I", "test", "-n", user])
        .arg(home.join("elsewhere.pub"))
        .status()
        .unwrap();
    assert!(signed.success());
    assert_eq!(
        setting.ssh(&[], &["true"]).status,
        255,
        "the key alone opens nothing"
    );
    let ended = setting.ssh(&["-o", "CertificateFile=~/elsewhere-cert.pub"], &["echo hi"]);
    assert_eq!(ended.stdout, "hi\n", "{}", ended.stderr);
}

#[test]
fn the_address_to_connect_from_and_its_family_are_as_configured() {
    let setting = Setting::new(Sshd::start());
    let from = |options: &[&str]| setting.ssh(options, &["echo $SSH_CONNECTION"]).stdout;
    assert!(from(&["-o", "BindAddress=127.0.0.77"]).starts_with("127.0.0.77 "));
    assert!(from(&["-o", "AddressFamily=inet"]).starts_with("127.0.0.1 "));
    let refused = setting.ssh(&["-o", "AddressFamily=inet6"], &["true"]);
    assert_eq!(refused.status, 255);
    assert!(refused.stderr.contains("(phase: resolve)"), "{}", refused.stderr);
}

#[test]
fn names_of_new_hosts_are_hashed_where_that_is_configured() {
    let setting = Setting::new(Sshd::start());
    setting.home.write(".ssh/known_hosts", "");
    let options = [
        "-o",
        "HashKnownHosts=yes",
        "-o",
        "StrictHostKeyChecking=accept-new",
    ];
    assert_eq!(setting.ssh(&options, &["echo hi"]).stdout, "hi\n");
    let known = fs::read_to_string(setting.home.path().join(".ssh/known_hosts")).unwrap();
    assert!(known.starts_with("|1|"), "{known}");
    assert_eq!(setting.ssh(&[], &["echo hi"]).stdout, "hi\n");
}
