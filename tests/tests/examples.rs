//! The programs in examples/ do what their first lines say.

use sternline_tests::cli::{Ended, Home, example};
use sternline_tests::sshd::{Settings, Sshd};

/// A home from which an example reaches the server without further settings: its key is known, ours is found.
fn home(sshd: &Sshd) -> Home {
    let home = Home::new();
    home.write(".ssh/known_hosts", sshd.known_hosts_line("ed25519"));
    home.write(".ssh/id_ed25519", std::fs::read(sshd.key()).expect("the key"));
    home
}

fn run(home: &Home, name: &str, arguments: &[&str]) -> Ended {
    let output = home.command(example(name)).args(arguments).output();
    Ended::from(output.expect("the example starts"))
}

#[test]
fn exec_gives_the_output_and_the_status() {
    let sshd = Sshd::start();
    let home = home(&sshd);
    let ended = run(&home, "exec", &[&sshd.target(), "echo out; echo err >&2; exit 3"]);
    assert_eq!(
        (ended.stdout.as_str(), ended.stderr.as_str(), ended.status),
        ("out\n", "err\n", 3)
    );
}

#[test]
fn exec_says_what_happened_and_what_to_try() {
    let sshd = Sshd::start();
    let ended = run(&Home::new(), "exec", &[&sshd.target(), "true"]);
    assert_eq!(ended.status, 255);
    assert!(
        ended.stderr.contains("exec: the host 127.0.0.1:"),
        "{}",
        ended.stderr
    );
    assert!(
        ended.stderr.contains("\nhint: compare the fingerprint"),
        "{}",
        ended.stderr
    );
}

#[test]
fn blocking_passes_input_output_and_status_on() {
    use std::io::Write;
    use std::process::Stdio;
    let sshd = Sshd::start();
    let home = home(&sshd);
    let mut command = home.command(example("blocking"));
    command.args([&sshd.target(), "tr a-z A-Z; echo err >&2; exit 3"]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the example starts");
    child.stdin.take().unwrap().write_all(b"hello\nyou\n").unwrap();
    let ended = Ended::from(child.wait_with_output().unwrap());
    assert_eq!(
        (ended.stdout.as_str(), ended.stderr.as_str(), ended.status),
        ("HELLO\nYOU\n", "err\n", 3)
    );
}

#[test]
fn stream_ends_the_command_after_some_lines() {
    let sshd = Sshd::start();
    let home = home(&sshd);
    let command = "n=0; while :; do n=$((n + 1)); echo $n; sleep 0.05; done";
    let ended = run(&home, "stream", &[&sshd.target(), command, "3"]);
    assert!(
        ended.stdout.starts_with("1\n2\n3\n"),
        "{}\n{}",
        ended.stdout,
        ended.stderr
    );
    assert!(
        ended
            .stdout
            .ends_with("-- cancelled: the remote process was ended\n"),
        "{}",
        ended.stdout
    );
    assert_eq!(ended.status, 0, "{}", ended.stderr);
}

#[test]
fn answer_gives_the_secret_to_the_prompt_and_to_nobody_else() {
    use std::io::Write;
    let sshd = Sshd::start();
    let home = home(&sshd);
    let asks = "stty -echo; printf 'Password: '; read -r word; stty echo; echo; [ \"$word\" = 'a b c d' ] && echo welcome";
    let run = |secret: &str, prompt: &str| {
        let mut command = home.command(example("answer"));
        command.args([&sshd.target(), asks, prompt, "session.cast"]);
        command
            .current_dir(home.path())
            .stdin(std::process::Stdio::piped());
        command
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        let mut child = command.spawn().expect("the example starts");
        writeln!(child.stdin.take().unwrap(), "{secret}").unwrap();
        Ended::from(child.wait_with_output().unwrap())
    };
    let ended = run("a b c d", "Password: ");
    assert_eq!(
        (ended.stdout.as_str(), ended.status),
        ("\nwelcome\n", 0),
        "{}",
        ended.stderr
    );
    let cast = std::fs::read_to_string(home.path().join("session.cast")).unwrap();
    assert!(cast.contains("welcome") && !cast.contains("a b c d"), "{cast}");
    assert_eq!(run("wrong", "Password: ").status, 1);
    let ended = run("a b c d", "password: ");
    assert!(ended.stderr.contains("if case were ignored"), "{}", ended.stderr);
}

#[test]
fn many_hosts_answer_in_their_order_and_failures_are_told_apart() {
    let (first, second) = (Sshd::start(), Sshd::start());
    let home = home(&first);
    let known = format!(
        "{}{}",
        first.known_hosts_line("ed25519"),
        second.known_hosts_line("ed25519")
    );
    home.write(".ssh/known_hosts", known);
    // The key of the second server does not fit.
    let ended = run(
        &home,
        "many_hosts",
        &["echo up", &first.target(), &second.target()],
    );
    assert_eq!(ended.status, 1, "{}", ended.stderr);
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(lines[0], format!("{}: up", first.target()));
    assert!(
        lines[1].starts_with(&format!("{}: authentication failed", second.target())),
        "{}",
        lines[1]
    );
    assert_eq!(lines[2..], ["1 of 2 succeeded"]);
}

#[test]
fn supervised_goes_on_after_a_command_that_ended_the_connection() {
    let sshd = Sshd::start();
    let home = home(&sshd);
    let ended = run(
        &home,
        "supervised",
        &[
            &sshd.target(),
            "echo up",
            "kill -9 $PPID; sleep 5",
            "echo up again",
        ],
    );
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(lines.len(), 4, "{}", ended.stdout);
    assert_eq!((lines[0], lines[2]), ("up", "up again"));
    assert!(
        lines[1].starts_with("kill -9 $PPID; sleep 5: may have run: "),
        "{}",
        lines[1]
    );
    assert_eq!(lines[3], "reconnections: 1");
    assert_eq!(
        ended.stderr,
        "-- connecting\n-- connected\n-- reconnecting\n-- connecting\n-- connected\n-- disconnected\n"
    );
}

#[test]
fn the_embedded_server_needs_nothing_at_all() {
    let ended = run(&Home::new(), "embedded_server", &[]);
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{}", ended.stdout);
    assert!(
        ended
            .stdout
            .starts_with("the command ended with exit status 5: no such unit\n"),
        "{}",
        ended.stdout
    );
    assert!(
        ended
            .stdout
            .contains("deploy ran b\"systemctl restart app\": Some(Code(0))\n"),
        "{}",
        ended.stdout
    );
}

#[test]
fn replay_answers_as_the_reported_host_did_and_names_what_the_report_lacks() {
    let ended = run(&Home::new(), "replay", &[]);
    assert_eq!(
        (ended.stdout.as_str(), ended.stderr.as_str(), ended.status),
        (
            "as recorded: 2 commands\nnot in the recording: df -P /srv\n",
            "",
            0
        )
    );
}

#[test]
fn copy_makes_the_target_a_copy_of_the_source_and_leaves_alone_what_is_the_same() {
    let sshd = Settings::default().option("Subsystem sftp internal-sftp").start();
    let home = home(&sshd);
    let source = sshd.path("site");
    std::fs::create_dir_all(source.join(".git")).expect("a directory");
    std::fs::write(source.join("index.html"), "hello").expect("a file");
    let target = sshd.path("www");
    let arguments = [
        source.to_str().expect("text"),
        &sshd.target(),
        target.to_str().expect("text"),
    ];
    let ended = run(&home, "copy", &arguments);
    let copied = target.join("index.html");
    assert_eq!(
        (ended.stdout, ended.status),
        (
            format!("{}\n1 copied, 1 left as they were, 5 bytes\n", copied.display()),
            0
        ),
        "{}",
        ended.stderr
    );
    assert_eq!(std::fs::read(copied).expect("the copy"), b"hello");
    let ended = run(&home, "copy", &arguments);
    assert_eq!(ended.stdout, "0 copied, 2 left as they were, 0 bytes\n");
    let ended = run(&home, "copy", &["missing", arguments[1], arguments[2]]);
    assert_eq!(ended.status, 1);
    assert!(
        ended.stderr.contains("there is no missing/. on this machine"),
        "{}",
        ended.stderr
    );
}
