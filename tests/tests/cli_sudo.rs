//! `--ask-password` with a person at a terminal: for sudo and for logins, on one host and on many.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as a test does"
)]

mod cli_support;

use cli_support::{Setting, Shown, command_in_terminal, eventually, in_terminal, without_terminal};
use serde_json::{Value, json};
use sternline_tests::cli::{Home, program};
use sternline_tests::sshd::Settings;
use sternline_tests::sudoers::{PASSWORD, SudoUser};

const ALL: &str = "USER ALL=(ALL:ALL) ALL\nDefaults:USER !lecture";

/// An account, a server for it, and a home that knows both.
struct Place {
    setting: Setting,
    _user: SudoUser,
}

fn place_with(rules: &str, settings: Settings) -> Option<Place> {
    let user = SudoUser::new(rules)?;
    let setting = Setting::new(settings.user(user.user()).start());
    Some(Place { setting, _user: user })
}

fn place(rules: &str) -> Option<Place> {
    place_with(rules, Settings::default())
}

/// What the person does: waits for the one question, and answers it.
fn answering(password: &str) -> Value {
    json!([{"wait": "Password "}, {"type": format!("{password}\r")}])
}

impl Place {
    fn home(&self) -> &Home {
        &self.setting.home
    }

    fn target(&self) -> String {
        self.setting.sshd.target()
    }

    /// `sternline ARGUMENTS` with somebody who types the password.
    fn run(&self, arguments: &[&str]) -> Shown {
        let shown = in_terminal(self.home(), arguments, answering(PASSWORD));
        check(&shown);
        shown
    }

    /// Without any key, only the password logs in.
    fn forget_key(&self) {
        std::fs::remove_file(self.home().path().join(".ssh/id_ed25519")).unwrap();
    }
}

/// Whatever happens, the question comes once, the answer is not shown, and the terminal is as it was.
fn check(shown: &Shown) {
    assert_eq!(shown.text.matches("Password ").count(), 1, "{}", shown.text);
    assert!(!shown.text.contains(PASSWORD), "{}", shown.text);
    assert!(shown.restored, "{}", shown.text);
}

#[test]
fn sudo_is_answered_with_what_was_typed_once() {
    let Some(place) = place(ALL) else { return };
    let target = place.target();
    let shown = place.run(&["ssh", "--sudo", "--ask-password", &target, "id -un; exit 3"]);
    assert!(
        shown
            .text
            .contains(&format!("Password of {target} (login and sudo): \r\nroot\r\n")),
        "{}",
        shown.text
    );
    assert_eq!(shown.status, 3);
    let shown = place.run(&["ssh", "--as-user", "nobody", "--ask-password", &target, "id -un"]);
    assert!(shown.text.contains("\r\nnobody\r\n"), "{}", shown.text);
    assert_eq!(shown.status, 0);
}

#[test]
fn a_piped_input_reaches_the_command_and_not_sudo() {
    let Some(place) = place(ALL) else { return };
    let script = format!(
        "printf 'first\\nsecond' | {} ssh --sudo --ask-password {} 'cat | od -c'",
        program().display(),
        place.target()
    );
    let shown = command_in_terminal(place.home(), &[], &["sh", "-c", &script], answering(PASSWORD));
    check(&shown);
    assert!(
        shown.text.contains("f   i   r   s   t  \\n   s   e"),
        "{}",
        shown.text
    );
    assert!(shown.text.contains("0000014"), "{}", shown.text);
}

#[test]
fn a_terminal_on_the_host_is_answered_too() {
    let Some(place) = place("USER ALL=(ALL:ALL) ALL\nDefaults:USER requiretty, !lecture") else {
        return;
    };
    let target = place.target();
    let shown = place.run(&[
        "ssh",
        "-t",
        "--sudo",
        "--ask-password",
        &target,
        "id -un; test -t 0; echo $?",
    ]);
    assert!(shown.text.contains("\r\nroot\r\n0\r\n"), "{}", shown.text);
    let shown = place.run(&["ssh", "--sudo", "--ask-password", &target, "id"]);
    assert_eq!(shown.status, 255);
    assert!(
        shown
            .text
            .contains("sudo insists on a terminal (requiretty) (phase: exec)"),
        "{}",
        shown.text
    );
    assert!(shown.text.contains("(-t)"), "{}", shown.text);
}

#[test]
fn control_backslash_at_the_question_gives_up_and_leaves_the_terminal_as_it_was() {
    let Some(place) = place(ALL) else { return };
    let shown = in_terminal(
        place.home(),
        &["ssh", "--sudo", "--ask-password", &place.target(), "id"],
        json!([{"wait": "Password "}, {"type": "\u{1c}secret\r"}]),
    );
    check(&shown);
    assert_eq!(shown.status, 2);
    assert!(shown.text.contains("no password was given"), "{}", shown.text);
    assert!(!shown.text.contains("secret"), "{}", shown.text);
}

#[test]
fn whoever_was_told_a_password_leaves_no_core() {
    let Some(place) = place(ALL) else { return };
    let seen = place.home().path().join("limit");
    let script = format!(
        "ulimit -c unlimited; {} ssh --sudo --ask-password -o 'ProxyCommand=sh -c \"ulimit -Sc > {}\"' {} id",
        program().display(),
        seen.display(),
        place.target()
    );
    let shown = command_in_terminal(place.home(), &[], &["sh", "-c", &script], answering(PASSWORD));
    check(&shown);
    assert_eq!(std::fs::read_to_string(&seen).unwrap(), "0\n", "{}", shown.text);
}

#[test]
fn a_wrong_password_is_an_error_that_says_so() {
    let Some(place) = place(ALL) else { return };
    let target = place.target();
    let shown = in_terminal(
        place.home(),
        &["ssh", "--sudo", "--ask-password", &target, "id"],
        answering("wrong"),
    );
    assert_eq!(shown.status, 255);
    assert!(
        shown
            .text
            .contains("sudo refused the password, which was given once (phase: exec)"),
        "{}",
        shown.text
    );
    assert!(shown.text.contains("check the password"), "{}", shown.text);
    assert_eq!(shown.text.matches("Password ").count(), 1, "{}", shown.text);
}

#[test]
fn the_password_is_in_nothing_that_is_printed_or_written() {
    let Some(place) = place(ALL) else { return };
    let target = place.target();
    let events = place.home().path().join("events.jsonl");
    let events = events.to_str().unwrap();
    let arguments = [
        "ssh",
        "-n",
        "--sudo",
        "--ask-password",
        "-vvv",
        "--events",
        events,
        "--json",
        &target,
        "cat; id -un",
    ];
    let shown = place.run(&arguments);
    assert!(
        shown.text.contains(r#""stdout":"root\n","stderr":"""#),
        "{}",
        shown.text
    );
    let kept = std::fs::read_to_string(events).unwrap();
    assert!(kept.contains("sudo -S -- sh -c"), "{kept}");
    for text in [&kept, &shown.text] {
        let escaped = serde_json::to_string(PASSWORD).unwrap();
        assert!(!text.contains(PASSWORD), "{text}");
        assert!(!text.contains(escaped.trim_matches('"')), "{text}");
        // The marker may be seen by whoever looks at processes there, and says nothing.
        assert!(!text.contains("Tr0ub4dor"), "{text}");
    }
}

#[test]
fn a_fleet_of_twenty_is_asked_once() {
    let Some(user) = SudoUser::new(ALL) else { return };
    // sshd has no room for twenty addresses.
    let (mut servers, mut hosts, mut known) = (Vec::new(), Vec::new(), String::new());
    for from in [2, 12] {
        let mut settings = Settings::default().user(user.user());
        for n in from..from + 10 {
            settings = settings.option(&format!("ListenAddress 127.0.0.{n}"));
        }
        let sshd = settings.start();
        for n in from..from + 10 {
            let address = format!("127.0.0.{n}");
            eventually("it listens", || {
                std::net::TcpStream::connect((&*address, sshd.port())).is_ok()
            });
            known.push_str(&sshd.known_hosts_line("ed25519").replace("127.0.0.1", &address));
        }
        hosts.push(format!(
            "{}@127.0.0.[{from}-{}]:{}",
            user.name(),
            from + 9,
            sshd.port()
        ));
        servers.push(sshd);
    }
    let keys = servers[0].path("authorized_keys");
    std::fs::copy(keys, servers[1].path("authorized_keys")).unwrap();
    let hosts = hosts.join(",");
    let setting = Setting::new(servers.remove(0));
    setting.home.write(".ssh/known_hosts", known);
    let place = Place { setting, _user: user };
    let shown = place.run(&["ssh", "--sudo", "--ask-password", &hosts, "id -un"]);
    assert!(
        shown.text.contains("Password on 20 hosts (login and sudo): "),
        "{}",
        shown.text
    );
    // The names are set under one another.
    assert_eq!(shown.text.matches(" root\r\n").count(), 20, "{}", shown.text);
    assert!(shown.text.contains("20 hosts: 20 ok, 0 failed"), "{}", shown.text);
    assert_eq!(shown.status, 0);

    // Without a key, a wrong password is one failed attempt and not twenty.
    place.forget_key();
    let arguments = ["ssh", "--ask-password", hosts.as_str(), "true"];
    let shown = in_terminal(place.home(), &arguments, answering("wrong"));
    assert!(shown.text.contains("20 hosts: 0 ok, 20 failed"), "{}", shown.text);
    let failed = || {
        let logs = place.setting.sshd.log() + &servers[0].log();
        logs.matches("Failed password").count()
    };
    eventually("the server has logged it", || failed() > 0);
    assert_eq!(failed(), 1);

    // The same password opens the logins that no key does.
    let shown = place.run(&["ssh", "--sudo", "--ask-password", &hosts, "id -un"]);
    assert!(shown.text.contains("20 hosts: 20 ok, 0 failed"), "{}", shown.text);
}

#[test]
fn every_verb_that_logs_in_takes_the_password() {
    let Some(place) = place(ALL) else { return };
    place.forget_key();
    let target = place.target();
    place.home().write("file", "content");
    let (account, port) = target.rsplit_once(':').unwrap();
    let there = format!("{account}:copied");
    for arguments in [
        &["ssh", "--ask-password", &target, "echo", "logged-in"][..],
        &["cp", "--ask-password", "-P", port, "file", &there],
        &["doctor", "--ask-password", &target],
        &["wait", "--ask-password", &target],
        &[
            "tunnel",
            "--ask-password",
            "--timeout",
            "1s",
            "-L",
            "0:127.0.0.1:1",
            &target,
        ],
    ] {
        let shown = place.run(arguments);
        assert_eq!(shown.status, 0, "{arguments:?}: {}", shown.text);
        assert!(
            shown.text.contains(&format!("Password of {account}")),
            "{}",
            shown.text
        );
    }
    let copied = place.setting.sshd.path("home").join("copied");
    let _ = std::fs::remove_file(copied);
}

#[test]
fn questions_of_the_server_are_answered_where_a_single_one_hides_its_answer() {
    let settings = Settings::default()
        .option("UsePAM yes")
        .option("PasswordAuthentication no")
        .option("KbdInteractiveAuthentication yes");
    let Some(place) = place_with(ALL, settings) else {
        return;
    };
    place.forget_key();
    let target = place.target();
    let shown = place.run(&["ssh", "--sudo", "--ask-password", &target, "id -un"]);
    assert!(shown.text.contains("\r\nroot\r\n"), "{}", shown.text);
}

#[test]
fn a_login_that_refuses_the_password_is_not_tried_with_it_again() {
    let settings = Settings::default()
        .option("UsePAM yes")
        .option("KbdInteractiveAuthentication yes")
        .option("MaxAuthTries 10");
    let Some(place) = place_with(ALL, settings) else {
        return;
    };
    place.forget_key();
    let target = place.target();
    let two = format!(
        "{target},{}",
        place.setting.at("127.0.0.1").replace("127.0.0.1", "localhost")
    );
    // On several hosts nobody is asked anything else.
    let shown = in_terminal(
        place.home(),
        &["ssh", "--ask-password", &two, "true"],
        answering("wrong"),
    );
    assert_eq!(shown.status, 1, "{}", shown.text);
    let failed = || place.setting.sshd.log().matches("Failed ").count();
    eventually("the server has logged it", || failed() > 0);
    let log = place.setting.sshd.log();
    assert_eq!(failed(), 1, "{log}");
}

#[test]
fn a_password_that_may_not_be_used_is_named_as_such() {
    let Some(place) = place(ALL) else { return };
    place.forget_key();
    let target = place.target();
    for option in ["PasswordAuthentication=no", "PreferredAuthentications=publickey"] {
        let shown = place.run(&["ssh", "-o", option, "--ask-password", &target, "true"]);
        assert_eq!(shown.status, 255, "{}", shown.text);
        assert!(
            shown
                .text
                .contains("not tried, because it may not be used here: password"),
            "{option}: {}",
            shown.text
        );
    }
}

#[test]
fn without_a_terminal_the_password_cannot_be_asked_for() {
    let Some(place) = place(ALL) else { return };
    let target = place.target();
    let ended = without_terminal(place.home(), &["ssh", "--sudo", "--ask-password", &target, "id"]);
    assert_eq!(ended.status, 2);
    assert!(
        ended
            .stderr
            .contains("error: there is no terminal on which to ask for the password")
            && ended.stderr.contains("hint: "),
        "{}",
        ended.stderr
    );
    assert_eq!(ended.stdout, "");
}

#[test]
fn no_answer_and_ctrl_c_connect_to_nothing() {
    let Some(place) = place(ALL) else { return };
    let target = place.target();
    let arguments = ["ssh", "--sudo", "--ask-password", target.as_str(), "id"];
    let shown = in_terminal(place.home(), &arguments, answering(""));
    assert_eq!(shown.status, 2, "{}", shown.text);
    assert!(shown.text.contains("no password was given"), "{}", shown.text);
    let steps = json!([{"wait": "Password "}, {"type": "half of\u{3}"}]);
    let shown = in_terminal(place.home(), &arguments, steps);
    assert_eq!(shown.status, 130, "{}", shown.text);
    assert!(shown.restored && !shown.text.contains("half"), "{}", shown.text);
    assert!(
        !place.setting.sshd.log().contains("Connection from"),
        "{}",
        place.setting.sshd.log()
    );
}

#[test]
fn a_host_whose_key_is_not_checked_is_told_no_password() {
    let Some(place) = place(ALL) else { return };
    let target = place.target();
    let option = "StrictHostKeyChecking=no";
    let shown = in_terminal(
        place.home(),
        &["ssh", "-o", option, "--ask-password", &target, "true"],
        json!([]),
    );
    assert_eq!(shown.status, 2, "{}", shown.text);
    assert!(
        shown.text.contains("its host key would not be checked"),
        "{}",
        shown.text
    );
    assert!(!shown.text.contains("Password "), "{}", shown.text);
}
