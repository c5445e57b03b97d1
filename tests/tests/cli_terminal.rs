//! `sternline` with a person at a terminal: shells, escapes, questions, and the terminal as it is left.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as a test does"
)]

mod cli_support;

use cli_support::{Setting, Shown, command_in_terminal, in_terminal};
use serde_json::{Value, json};
use sternline_server::{Credential, Reply, Server};
use sternline_tests::cli::{Home, program};
use sternline_tests::sshd::Sshd;

/// A server whose shell shows a prompt that nothing else looks like.
fn setting() -> Setting {
    Setting::new(Sshd::start())
}

const PROMPT: &str = "READY>";

/// The steps, once a shell is there to type them to.
fn at_the_prompt(steps: &[Value]) -> Value {
    let mut all = vec![
        json!({"type": "PS1='READ''Y>'; unset PROMPT_COMMAND\r"}),
        json!({"wait": PROMPT}),
    ];
    all.extend_from_slice(steps);
    all.into()
}

fn shell(setting: &Setting, steps: &[Value]) -> Shown {
    in_terminal(
        &setting.home,
        &["ssh", &setting.sshd.target()],
        at_the_prompt(steps),
    )
}

#[test]
fn a_shell_has_a_terminal_of_our_type_and_size_and_gives_its_status() {
    let setting = setting();
    let shown = shell(
        &setting,
        &[
            json!({"type": "stty size; echo $TERM\r"}),
            json!({"wait": "30 100\r\nxterm-256color\r\n"}),
            json!({"wait": PROMPT}),
            json!({"resize": [20, 90]}),
            // The new size takes its own way, so it is asked for until it has arrived.
            json!({"type": "until test \"$(stty size)\" = '20 90'; do :; done; echo resi''zed\r"}),
            json!({"wait": "resized\r\n"}),
            json!({"type": "exit 7\r"}),
        ],
    );
    assert_eq!(shown.status, 7, "{}", shown.text);
    assert!(
        shown.text.ends_with("Connection to 127.0.0.1 closed.\r\n"),
        "{}",
        shown.text
    );
    assert!(shown.restored);
}

#[test]
fn ctrl_c_in_a_shell_belongs_to_what_runs_there() {
    let shown = shell(
        &setting(),
        &[
            json!({"type": "sh -c 'trap \"echo cau''ght; exit\" INT; echo beg''un; while :; do sleep 0.1; done'\r"}),
            json!({"wait": "begun\r\n"}),
            json!({"type": "\u{3}"}),
            json!({"wait": "caught\r\n"}),
            json!({"wait": PROMPT}),
            json!({"type": "echo still here\r"}),
            json!({"wait": "still here\r\n"}),
            json!({"type": "exit\r"}),
        ],
    );
    assert!(shown.restored);
}

#[test]
fn ctrl_c_at_the_password_question_leaves_the_terminal_as_it_was() {
    let setting = setting();
    for verb in [&["ssh"][..], &["doctor"]] {
        let target = setting.sshd.target();
        let mut arguments = [verb, &["-o", "IdentityFile=none", &target]].concat();
        if verb == ["ssh"] {
            arguments.push("true");
        }
        let shown = in_terminal(
            &setting.home,
            &arguments,
            json!([{"wait": "Password of"}, {"type": "\u{3}"}]),
        );
        assert_eq!(shown.status, 130, "{}", shown.text);
        assert!(shown.restored, "{}", shown.text);
    }
}

#[test]
fn wrong_passwords_are_answered_with_a_hint_about_passwords() {
    let setting = setting();
    let target = setting.sshd.target();
    let asked = json!({"wait": "Password of"});
    let wrong = json!({"type": "wrong\r"});
    let shown = in_terminal(
        &setting.home,
        &["ssh", "-o", "IdentityFile=none", &target, "true"],
        json!([asked, wrong, asked, wrong, asked, wrong]),
    );
    assert_eq!(shown.status, 255, "{}", shown.text);
    assert!(
        shown.text.contains("check the user name and the password") && !shown.text.contains("the right key"),
        "{}",
        shown.text
    );
}

#[test]
fn a_question_without_an_answer_is_told_without_being_taken_for_a_secret() {
    let setting = setting();
    let target = setting.sshd.target();
    let shown = in_terminal(
        &setting.home,
        &["ssh", "-o", "IdentityFile=none", &target, "true"],
        json!([{"wait": "Password of"}, {"type": "\u{4}"}]),
    );
    assert!(
        shown
            .text
            .contains("password not tried (nobody gave a password when it was asked for)"),
        "{}",
        shown.text
    );
}

#[test]
fn a_tilde_and_a_dot_disconnect_even_in_one_piece_with_what_goes_before() {
    for typed in ["~.", "echo x\r~."] {
        let shown = shell(&setting(), &[json!({"type": format!("\r{typed}")})]);
        assert_eq!(shown.status, 255, "{}", shown.text);
        assert!(
            shown.restored && shown.text.ends_with("Connection to 127.0.0.1 closed.\r\n"),
            "{}",
            shown.text
        );
    }
}

#[test]
fn other_escapes_show_help_and_send_a_tilde() {
    let shown = shell(
        &setting(),
        &[
            json!({"type": "\r~?"}),
            json!({"wait": "~.   disconnect\r\n"}),
            json!({"type": "\r~~\u{15}echo ~~ a''b\r"}),
            json!({"wait": "ab"}),
            json!({"type": "exit 3\r"}),
        ],
    );
    assert_eq!(shown.status, 3, "{}", shown.text);
}

#[test]
fn the_terminal_is_put_back_when_a_signal_ends_us() {
    for (signal, status) in [(15, 143), (1, 129), (2, 130)] {
        let shown = shell(&setting(), &[json!({"signal": signal})]);
        assert_eq!((shown.status, shown.restored), (status, true), "{}", shown.text);
    }
}

#[test]
fn the_terminal_is_put_back_when_the_connection_is_lost() {
    let setting = setting();
    // The shell's parent is the part of the server that has the connection.
    let shown = shell(&setting, &[json!({"type": "exec kill -9 $PPID\r"})]);
    assert_eq!((shown.status, shown.restored), (255, true), "{}", shown.text);
    assert!(
        shown.text.contains("error:") && shown.text.contains("(phase: exec)"),
        "{}",
        shown.text
    );
}

#[test]
fn a_command_gets_a_terminal_when_it_is_asked_for() {
    let setting = setting();
    let target = setting.sshd.target();
    let run = |options: &[&str]| {
        in_terminal(
            &setting.home,
            &[&["ssh"], options, &[&target, "tty; stty size; exit 4"]].concat(),
            json!([]),
        )
    };
    let with = run(&["-t"]);
    assert!(
        with.text.contains("/dev/pts/") && with.text.contains("30 100\r\n"),
        "{}",
        with.text
    );
    assert_eq!((with.status, with.restored), (4, true));
    let without = run(&[]);
    assert!(without.text.contains("not a tty"), "{}", without.text);

    let forced = setting.ssh(&["-tt"], &["tty"]);
    assert!(forced.stdout.contains("/dev/pts/"), "{}", forced.stdout);
    let refused = setting.ssh(&["-t"], &["tty"]);
    assert!(
        refused.stdout.contains("not a tty") && refused.stderr.contains("-tt asks for one"),
        "{}",
        refused.stderr
    );
}

#[test]
fn an_unknown_host_is_asked_about_and_recorded_only_after_a_yes_or_its_fingerprint() {
    let setting = setting();
    let fingerprint = setting.fingerprint();
    for (answer, accepted) in [
        ("yes", true),
        (fingerprint.as_str(), true),
        ("no", false),
        ("", false),
        ("SHA256:AAAA", false),
    ] {
        setting.home.write(".ssh/known_hosts", "");
        let steps = json!([
            {"wait": &fingerprint},
            {"wait": "(yes/no/fingerprint) [no] "},
            {"type": format!("{answer}\r")},
        ]);
        let shown = in_terminal(
            &setting.home,
            &["ssh", &setting.sshd.target(), "echo in''side"],
            steps,
        );
        assert_eq!(
            shown.text.contains("inside\r\n"),
            accepted,
            "{answer}: {}",
            shown.text
        );
        assert_eq!(shown.status, if accepted { 0 } else { 255 }, "{answer}");
        let recorded = std::fs::read_to_string(setting.home.path().join(".ssh/known_hosts")).unwrap();
        assert_eq!(recorded.contains("ssh-ed25519"), accepted, "{answer}");
    }
}

#[test]
fn an_answer_that_is_none_is_asked_for_again() {
    let setting = setting();
    setting.home.write(".ssh/known_hosts", "");
    let steps = json!([
        {"wait": "[no] "}, {"type": "y\r"}, {"wait": "Please type yes, no, or the fingerprint"}, {"wait": "[no] "},
        {"type": "yes\r"},
    ]);
    assert_eq!(
        in_terminal(&setting.home, &["ssh", &setting.sshd.target(), "true"], steps).status,
        0
    );
}

#[test]
fn several_hosts_and_batch_mode_ask_nothing() {
    let setting = setting();
    setting.home.write(".ssh/known_hosts", "");
    let (target, port) = (setting.sshd.target(), setting.sshd.port());
    let batch = in_terminal(
        &setting.home,
        &["ssh", "-o", "BatchMode=yes", &target, "true"],
        json!([]),
    );
    assert_eq!(batch.status, 255, "{}", batch.text);
    let two = format!("{target},127.0.0.1:{port}");
    let both = in_terminal(&setting.home, &["ssh", &two, "true"], json!([]));
    assert_eq!(both.status, 1);
    assert!(
        both.text.contains(&format!("hostkeys add 127.0.0.1:{port}")),
        "{}",
        both.text
    );
}

/// An embedded server that takes a password, and a home that knows it.
async fn with_password() -> (Server, Home) {
    let server = Server::builder()
        .user("ann", Credential::password("pass word"))
        .command("whoami", Reply::stdout("ann\n"))
        .bind()
        .await
        .unwrap();
    let home = Home::new();
    home.write(".ssh/known_hosts", server.known_hosts_line());
    (server, home)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_asked_for_without_showing_it() {
    let (server, home) = with_password().await;
    let target = format!("ann@127.0.0.1:{}", server.port());
    let steps = json!([
        {"wait": "assword"}, {"type": "wrong\r"}, {"wait": "assword"}, {"type": "pass word\r"}, {"wait": "ann\r\n"},
    ]);
    let shown = tokio::task::spawn_blocking(move || in_terminal(&home, &["ssh", &target, "whoami"], steps))
        .await
        .unwrap();
    assert_eq!((shown.status, shown.restored), (0, true), "{}", shown.text);
    assert!(
        !shown.text.contains("wrong") && !shown.text.contains("pass word"),
        "{}",
        shown.text
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_at_a_question_leaves_with_the_echo_back_on() {
    let (server, home) = with_password().await;
    let target = format!("ann@127.0.0.1:{}", server.port());
    let steps = json!([{"wait": "assword"}, {"wait": ": "}, {"type": "\u{3}"}]);
    let shown = tokio::task::spawn_blocking(move || in_terminal(&home, &["ssh", &target, "whoami"], steps))
        .await
        .unwrap();
    assert_eq!((shown.status, shown.restored), (130, true), "{}", shown.text);
}

#[test]
fn colours_are_used_on_a_terminal_and_no_color_is_honoured() {
    let setting = setting();
    let target = setting.sshd.target();
    let arguments = ["ssh", "--timeout", "100ms", &target, "sleep 300.130"];
    let coloured = in_terminal(&setting.home, &arguments, json!([]));
    assert!(
        coloured
            .text
            .contains("\u{1b}[1;31merror:\u{1b}[0m the command did not end"),
        "{}",
        coloured.text
    );
    let plain = cli_support::in_terminal_with(&setting.home, &[("NO_COLOR", "1")], &arguments, json!([]));
    assert!(
        plain.text.contains("error: the command did not end") && !plain.text.contains('\u{1b}'),
        "{}",
        plain.text
    );
}

#[test]
fn a_person_is_asked_about_a_jump_host_and_then_about_the_host_and_is_told_what_was_recorded() {
    let setting = setting();
    let bastion = Sshd::start();
    setting.home.write(".ssh/known_hosts", "");
    setting
        .home
        .write(".ssh/bastion", std::fs::read(bastion.key()).unwrap());
    setting.home.write(
        ".ssh/config",
        format!(
            "Host bastion\n HostName 127.0.0.1\n Port {}\n User {}\n IdentityFile ~/.ssh/bastion\n",
            bastion.port(),
            bastion.user().name
        ),
    );
    let yes = json!({"type": "yes\r"});
    let ask = |server: &Sshd| json!({"wait": format!("127.0.0.1:{}", server.port())});
    let shown = in_terminal(
        &setting.home,
        &["ssh", "-J", "bastion", &setting.sshd.target(), "echo", "hello"],
        json!([ask(&bastion), yes, ask(&setting.sshd), yes]),
    );
    assert_eq!(shown.status, 0, "{}", shown.text);
    assert_eq!(
        shown.text.matches("recorded the host key of").count(),
        2,
        "{}",
        shown.text
    );
    assert!(shown.text.contains("hello"), "{}", shown.text);
    let known = std::fs::read_to_string(setting.home.path().join(".ssh/known_hosts")).unwrap();
    assert_eq!(known.lines().count(), 2, "{known}");
}

#[test]
fn a_proxy_command_may_ask_the_person_at_the_terminal() {
    let setting = setting();
    let ask = "sh -c 'read answer </dev/tty; test \"$answer\" = open || exit 9; exec nc %h %p'";
    let nc = setting.home.write("bin/nc", NC);
    setting.home.write(
        ".ssh/config",
        format!(
            "ProxyCommand {}\n",
            ask.replace("nc ", &format!("python3 {} ", nc.display()))
        ),
    );
    let shown = in_terminal(
        &setting.home,
        &["ssh", &setting.sshd.target(), "echo", "hello"],
        json!([{"type": "open\r"}]),
    );
    assert_eq!(shown.status, 0, "{}", shown.text);
    assert!(shown.text.contains("hello"), "{}", shown.text);
}

/// What `nc HOST PORT` does, for machines that have none.
const NC: &str = "\
import os, select, socket, sys
link = socket.create_connection((sys.argv[1], int(sys.argv[2])))
while True:
    for ready in select.select([0, link], [], [])[0]:
        data = os.read(0, 65536) if ready == 0 else link.recv(65536)
        if not data:
            sys.exit()
        link.sendall(data) if ready == 0 else os.write(1, data)
";

#[test]
fn a_wrong_argument_is_repeated_without_anything_that_a_terminal_would_obey() {
    let shown = in_terminal(
        &Home::new(),
        &["tunnel", "web", "-L", "80\u{1b}]0;title\u{7}:x:1"],
        json!([]),
    );
    assert_eq!(shown.status, 2, "{}", shown.text);
    assert!(
        shown.text.contains(r"-L 80\\x1b]0;title\\x07:x:1"),
        "{}",
        shown.text
    );
    assert!(!shown.text.contains(['\u{1b}', '\u{7}']), "{:?}", shown.text);
}

/// What is shown when a shell runs us as a job that needs a password, and a person gives it after these steps.
async fn as_job(start: &str, steps: &[Value]) -> Shown {
    let (server, home) = with_password().await;
    let sternline = program().display().to_string();
    let command = format!("{sternline} ssh ann@127.0.0.1:{} whoami{start}\r", server.port());
    let answer = json!([{"wait": "assword of"}, {"type": "pass word\r"}, {"wait": "ann\r\n"}, {"wait": PROMPT}, {"type": "exit\r"}]);
    let mut all = vec![json!({"wait": PROMPT}), json!({"type": command})];
    all.extend_from_slice(steps);
    all.extend_from_slice(answer.as_array().unwrap());
    let shell = ["bash", "--norc", "--noprofile", "-i"];
    tokio::task::spawn_blocking(move || command_in_terminal(&home, &[("PS1", PROMPT)], &shell, all.into()))
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_ctrl_z_a_password_is_asked_for_again_and_still_not_shown() {
    let steps = [
        json!({"wait": "assword of"}),
        json!({"type": "\u{1a}"}),
        json!({"wait": "Stopped"}),
        json!({"wait": PROMPT}),
        json!({"type": "fg\r"}),
    ];
    let shown = as_job("", &steps).await;
    assert_eq!(shown.status, 0, "{}", shown.text);
    assert!(!shown.text.contains("pass word"), "{}", shown.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_in_the_background_asks_once_it_is_brought_to_the_front() {
    // A shell tells of it before its next prompt.
    let steps = [
        json!({"wait": PROMPT}),
        json!({"type": "while ! jobs | grep Stopped; do :; done\r"}),
        json!({"wait": "Stopped"}),
        json!({"wait": "Stopped"}),
        json!({"wait": PROMPT}),
        json!({"type": "fg\r"}),
    ];
    let shown = as_job(" &", &steps).await;
    assert_eq!(shown.status, 0, "{}", shown.text);
    assert!(!shown.text.contains("pass word"), "{}", shown.text);
}
