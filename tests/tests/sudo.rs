//! sudo with a password, on a real sshd with the real sudo and throw-away accounts.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as a test does"
)]

use std::time::Duration;

use sternline::exec::{Command, Exit, ExitStatus, Pty, RemoteEnd, Stdin, StreamData, Sudo, SudoRefusal};
use sternline::{Connection, Error, ErrorKind, ExecRequest, Fleet, RetryOnDisconnect, SendState, Supervisor};
use sternline_tests::processes::{self, eventually};
use sternline_tests::sshd::{Settings, Sshd};
use sternline_tests::sudoers::{PASSWORD, SudoUser};

/// The account, a server that lets it log in, and a connection.
struct Place {
    connection: Connection,
    server: Sshd,
    user: SudoUser,
}

async fn place_with(rules: &str, settings: Settings) -> Option<Place> {
    let user = SudoUser::new(rules)?;
    let server = settings.user(user.user()).start();
    let connection = server.builder().connect().await.unwrap();
    Some(Place {
        connection,
        server,
        user,
    })
}

async fn place(rules: &str) -> Option<Place> {
    place_with(rules, Settings::default()).await
}

const ALL: &str = "USER ALL=(ALL:ALL) ALL";

fn sudo(command: Command) -> ExecRequest {
    ExecRequest::new(command.sudo(Sudo::Password)).sudo_password(PASSWORD)
}

fn shell(text: &str) -> ExecRequest {
    sudo(Command::shell(text))
}

fn refusal(error: &Error) -> SudoRefusal {
    match error.kind() {
        ErrorKind::Sudo(refusal) => *refusal,
        other => panic!("{other:?}: {error}"),
    }
}

#[tokio::test]
async fn the_right_password_runs_the_command_and_only_its_own_output_comes_back() {
    let Some(place) = place(ALL).await else { return };
    let result = place
        .connection
        .exec(shell("id -un; echo error >&2; exit 3"))
        .await
        .unwrap();
    assert_eq!(
        (&result.stdout[..], &result.stderr[..], result.exit_code()),
        (&b"root\n"[..], &b"error\n"[..], Some(3))
    );
    let killed = place
        .connection
        .exec(sudo(Command::program("sh").args(["-c", "kill -TERM $$"])))
        .await
        .unwrap();
    assert!(
        matches!(&killed.status, ExitStatus::Signal { name, .. } if name == "TERM"),
        "{:?}",
        killed.status
    );
}

#[tokio::test]
async fn user_directory_variables_and_login_shell_are_the_same_as_without_a_password() {
    let Some(place) = place("USER ALL=(ALL:ALL) ALL\nDefaults:USER !lecture").await else {
        return;
    };
    let report = "id -un; pwd; printf '%s\\n' \"$A\"; echo $#:$0; echo \"${LC_ALL-unset}\"";
    for as_user in [false, true] {
        for cwd in [false, true] {
            for login in [false, true] {
                let dress = |mut command: Command| {
                    command = command.env("A", "it's \"$x\" \\");
                    if as_user {
                        command = command.as_user("nobody");
                    }
                    if cwd {
                        command = command.cwd("/usr/share");
                    }
                    if login { command.login_shell() } else { command }
                };
                let text = place
                    .connection
                    .exec(sudo(dress(Command::shell(report))))
                    .await
                    .unwrap();
                let home = place.user.home().display().to_string();
                // The account nobody has no login shell that runs anything.
                if as_user && login {
                    continue;
                }
                let shell = if login { "/bin/bash" } else { "sh" };
                assert_eq!(
                    text.stdout_text(),
                    format!(
                        "{}\n{}\nit's \"$x\" \\\n0:{shell}\nunset\n",
                        if as_user { "nobody" } else { "root" },
                        if cwd { "/usr/share" } else { &home },
                    ),
                    "{text:?}"
                );
            }
        }
    }
    let argv = Command::program("printf").args(["%s.", "a b", "-n", "'", ""]);
    let result = place.connection.exec(sudo(argv)).await.unwrap();
    assert_eq!(result.stdout_text(), "a b.-n.'..");
}

#[tokio::test]
async fn the_language_of_the_command_stays_as_the_login_has_it() {
    let settings = Settings::default().option("AcceptEnv LC_*");
    let Some(place) = place_with(ALL, settings).await else {
        return;
    };
    let seen = async |request: ExecRequest| {
        let result = place.connection.exec(request).await.unwrap();
        result.stdout_text().into_owned()
    };
    let show = "echo ${LC_ALL-unset}";
    assert_eq!(seen(shell(show)).await, "unset\n");
    assert_eq!(
        seen(shell(show).request_env("LC_ALL", "de_DE.UTF-8")).await,
        "de_DE.UTF-8\n"
    );
    assert_eq!(seen(shell(show).request_env("LC_ALL", "C")).await, "C\n");
}

#[tokio::test]
async fn a_wrong_password_is_given_once_and_the_error_says_so() {
    let rules = "USER ALL=(ALL:ALL) ALL\nDefaults:USER !lecture, logfile=/tmp/USER.log";
    let Some(place) = place(rules).await else { return };
    for pty in [false, true] {
        let mut request = ExecRequest::new(Command::shell("touch /tmp/never; cat").sudo(Sudo::Password))
            .sudo_password("wrong")
            .stdin("this is not the password\nnor is this\n");
        if pty {
            request = request.pty(Pty::default());
        }
        let error = place.connection.exec(request).await.unwrap_err();
        assert_eq!(refusal(&error), SudoRefusal::PasswordRefused);
        assert_eq!(error.sent(), SendState::NotSent);
        assert_eq!(error.phase().unwrap().as_str(), "exec");
        assert_eq!(error.to_dict()["error_type"], "SudoError");
        assert_eq!(error.to_dict()["reason"], "password_refused");
        assert!(error.hint().contains("check the password"), "{}", error.hint());
        assert!(
            !error.partial_output().unwrap().stderr.is_empty() || pty,
            "what sudo said is kept"
        );
    }
    assert!(!std::path::Path::new("/tmp/never").exists());
    // What sudo itself has counted.
    let path = format!("/tmp/{}.log", place.user.name());
    let log = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let log = log.replace("\n    ", " ");
    assert!(
        log.contains("1 incorrect password attempt") && !log.contains("incorrect password attempts"),
        "{log}"
    );
    // The connection is as good as before.
    assert_eq!(
        place
            .connection
            .exec(shell("echo fine"))
            .await
            .unwrap()
            .stdout_text(),
        "fine\n"
    );
}

#[tokio::test]
async fn a_server_that_lets_nobody_try_twice_refuses_the_password_too() {
    let Some(place) = place("USER ALL=(ALL:ALL) ALL\nDefaults:USER passwd_tries=1").await else {
        return;
    };
    let request = ExecRequest::new(Command::shell("id").sudo(Sudo::Password)).sudo_password("wrong");
    let error = place.connection.exec(request).await.unwrap_err();
    assert_eq!(refusal(&error), SudoRefusal::PasswordRefused, "{error}");
}

/// With and without a terminal, what a command reads when sudo asks nothing: the input, and nothing else.
async fn reads_exactly_its_input(connection: &Connection) {
    let input = "first line\nsecond\n";
    let result = connection.exec(shell("cat").stdin(input)).await.unwrap();
    assert_eq!(result.stdout_text(), input);
    assert_eq!(result.stderr_text(), "");
    let result = connection.exec(shell("cat")).await.unwrap();
    assert_eq!(result.stdout_text(), "", "an empty input is at its end");
    let request = shell("stty -echo; head -n 1")
        .stdin("typed\n")
        .pty(Pty::default());
    let result = connection.exec(request).await.unwrap();
    assert!(
        ["typed\r\n", "typed\r\ntyped\r\n"].contains(&&*result.stdout_text()),
        "{result:?}"
    );
}

#[tokio::test]
async fn where_sudo_needs_no_password_nobody_is_told_it() {
    let Some(place) = place("USER ALL=(ALL:ALL) NOPASSWD: ALL").await else {
        return;
    };
    reads_exactly_its_input(&place.connection).await;
}

#[tokio::test]
async fn where_sudo_remembers_the_password_nobody_is_told_it_again() {
    let rules = "USER ALL=(ALL:ALL) ALL\nDefaults:USER timestamp_type=global, !lecture";
    let Some(place) = place(rules).await else { return };
    place.connection.exec(shell("true")).await.unwrap();
    reads_exactly_its_input(&place.connection).await;
    // So that it is known that sudo did remember it.
    let request = ExecRequest::new(Command::shell("cat").sudo(Sudo::Password))
        .sudo_password("wrong")
        .stdin("in");
    assert_eq!(place.connection.exec(request).await.unwrap().stdout_text(), "in");
}

#[tokio::test]
async fn where_sudo_remembers_nothing_every_command_is_answered() {
    let Some(place) = place("USER ALL=(ALL:ALL) ALL\nDefaults:USER timestamp_timeout=0").await else {
        return;
    };
    for n in 0..3 {
        let result = place.connection.exec(shell(&format!("echo {n}"))).await.unwrap();
        assert_eq!(result.stdout_text(), format!("{n}\n"));
    }
}

#[tokio::test]
async fn a_long_input_comes_behind_the_password_byte_for_byte() {
    use sha2::{Digest, Sha256};
    let Some(place) = place(ALL).await else { return };
    let input: Vec<u8> = (0..64 * 1024 * 1024_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let expected = data_encoding::HEXLOWER.encode(&Sha256::digest(&input));
    let result = place
        .connection
        .exec(shell("sha256sum").stdin(input))
        .await
        .unwrap();
    assert_eq!(result.stdout_text(), format!("{expected}  -\n"));
}

#[tokio::test]
async fn a_stream_takes_what_is_written_to_it_once_the_command_has_started() {
    let Some(place) = place(ALL).await else { return };
    let request = shell("read -r line; echo \"got $line\"; cat").stdin(Stdin::Piped);
    let mut stream = place.connection.stream_exec(request).await.unwrap();
    let writer = stream.take_stdin().unwrap();
    writer.write("one\ntwo").await.unwrap();
    writer.close().await.unwrap();
    let mut seen = Vec::new();
    while let Some(event) = stream.next().await {
        match event.data {
            StreamData::Stdout(bytes) => seen.extend_from_slice(&bytes),
            StreamData::Stderr(bytes) => panic!("{bytes:?}"),
            StreamData::Exit(exit) => assert!(matches!(exit, Exit::Status(ExitStatus::Code(0)))),
        }
    }
    assert_eq!(seen, b"got one\ntwo");
}

#[tokio::test]
async fn a_lecture_is_passed_on_and_is_no_prompt() {
    let Some(place) = place("USER ALL=(ALL:ALL) ALL\nDefaults:USER lecture=always").await else {
        return;
    };
    let result = place
        .connection
        .exec(shell("cat; echo oops >&2").stdin("in"))
        .await
        .unwrap();
    assert_eq!(result.stdout_text(), "in");
    let said = result.stderr_text();
    assert!(said.contains("great responsibility"), "{said}");
    assert!(said.ends_with("\n\noops\n"), "{said:?}");
    assert!(!said.contains("sudo-"), "{said}");
}

#[tokio::test]
async fn a_terminal_that_sudo_insists_on_is_told_of_and_enough() {
    let rules = "USER ALL=(ALL:ALL) ALL\nDefaults:USER requiretty, pwfeedback, !lecture";
    let Some(place) = place(rules).await else { return };
    let error = place.connection.exec(shell("id -un")).await.unwrap_err();
    assert_eq!(refusal(&error), SudoRefusal::TerminalRequired, "{error}");
    assert!(error.hint().contains("-t"), "{}", error.hint());

    let request = shell("id -un; test -t 0 && echo terminal").pty(Pty::default());
    let result = place.connection.exec(request).await.unwrap();
    assert_eq!(result.stdout_text(), "root\r\nterminal\r\n");
}

#[tokio::test]
async fn each_refusal_has_its_own_name() {
    for (rules, expected) in [
        ("# USER", SudoRefusal::NotInSudoers),
        ("USER ALL=(ALL:ALL) /usr/bin/id", SudoRefusal::NotAllowed),
    ] {
        let Some(place) = place(rules).await else { return };
        let error = place
            .connection
            .exec(shell("touch /tmp/never").stdin("in"))
            .await
            .unwrap_err();
        assert_eq!(refusal(&error), expected, "{error}");
        assert_eq!(error.sent(), SendState::NotSent);
    }
    let Some(place) = place(ALL).await else { return };
    let error = place
        .connection
        .exec(sudo(Command::shell("id").as_user("no-such-user")))
        .await
        .unwrap_err();
    assert_eq!(refusal(&error), SudoRefusal::Other);
    assert!(error.to_string().contains("unknown user no-such-user"), "{error}");
    let without = ExecRequest::new(Command::shell("id").sudo(Sudo::Password));
    let error = place.connection.exec(without).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Invalid);
}

#[tokio::test]
async fn a_server_without_sudo_is_told_of() {
    let bin = tempfile::tempdir().unwrap();
    for (name, path) in [("sh", "/bin/sh"), ("env", "/usr/bin/env")] {
        std::os::unix::fs::symlink(path, bin.path().join(name)).unwrap();
    }
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(bin.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let Some(user) = SudoUser::new(ALL) else { return };
    // sshd's own setting of PATH wins over SetEnv, and the login shell's start-up file over both.
    std::fs::write(
        user.home().join(".bashrc"),
        format!("PATH={}\n", bin.path().display()),
    )
    .unwrap();
    let server = Settings::default()
        .option(&format!("SetEnv HOME={}", user.home().display()))
        .user(user.user())
        .start();
    let connection = server.builder().connect().await.unwrap();
    let error = connection.exec(shell("id")).await.unwrap_err();
    assert_eq!(refusal(&error), SudoRefusal::Missing, "{error}");
}

#[tokio::test]
async fn an_account_with_a_forced_command_is_told_of() {
    let settings = Settings::default().option("ForceCommand echo forced");
    let Some(place) = place_with(ALL, settings).await else {
        return;
    };
    let error = place.connection.exec(shell("id")).await.unwrap_err();
    assert_eq!(refusal(&error), SudoRefusal::Other, "{error}");
    assert_eq!(error.sent(), SendState::MayHaveRun);
    assert!(error.hint().contains("ForceCommand"), "{}", error.hint());
    assert_eq!(&error.partial_output().unwrap().stdout[..], b"forced\n");
}

#[tokio::test]
async fn output_that_looks_like_a_prompt_is_output() {
    let Some(place) = place(ALL).await else { return };
    let text = "[sudo] password for bob: Password: sudo-password-0123: Sorry, try again.";
    let command = format!("printf %s '{text}' >&2; printf %s '{text}'; cat");
    let result = place.connection.exec(shell(&command).stdin("in")).await.unwrap();
    assert_eq!(result.stderr_text(), text);
    assert_eq!(result.stdout_text(), format!("{text}in"));
}

#[tokio::test]
async fn a_command_that_forges_the_prompt_gets_nothing_for_it() {
    for rules in [ALL, "USER ALL=(ALL:ALL) NOPASSWD: ALL"] {
        let Some(place) = place(rules).await else { return };
        // It finds the true marker in sudo's own arguments.
        let forge = "tr '\\000' '\\n' </proc/$PPID/cmdline | grep -o 'sudo-password-[0-9a-f]*:' >&2; \
                     printf '[sudo] password for root: ' >&2; cat";
        for pty in [false, true] {
            let mut request = shell(forge).stdin("the-input\n");
            if pty {
                request = shell(&forge.replace("cat", "head -n 1"))
                    .stdin("the-input\n")
                    .pty(Pty::default());
            }
            let result = place.connection.exec(request).await.unwrap();
            let said = format!("{}{}", result.stderr_text(), result.stdout_text());
            assert!(said.contains("sudo-password-"), "it did forge one: {said}");
            assert!(!said.contains(PASSWORD), "{said}");
            assert!(said.contains("the-input"), "{said}");
        }
    }
}

#[tokio::test]
async fn a_start_up_file_that_forges_a_prompt_gets_nothing_for_it() {
    let Some(user) = SudoUser::new(ALL) else { return };
    std::fs::write(
        user.home().join(".bashrc"),
        "set -x\nprintf '[sudo] password for me: sudo-password-00: ' >&2\nread -r -t 1 stolen\necho \"stolen: $stolen\"\n",
    )
    .unwrap();
    let server = Settings::default()
        .option(&format!("SetEnv HOME={}", user.home().display()))
        .user(user.user())
        .start();
    let connection = server.builder().connect().await.unwrap();
    let result = connection.exec(shell("cat").stdin("in")).await.unwrap();
    assert_eq!(result.stdout_text(), "stolen: \nin", "{result:?}");
    // The shell shows what it runs, and that is no prompt either.
    assert!(result.stderr_text().contains("exec sh -c"), "{result:?}");
    assert!(!result.stderr_text().contains(PASSWORD), "{result:?}");
}

#[tokio::test]
async fn the_password_is_in_no_argument_event_log_or_error() {
    let Some(user) = SudoUser::new(ALL) else { return };
    let server = Settings::default().user(user.user()).start();
    let events = sternline::EventCollector::new();
    let log = server.path("events.jsonl");
    let connection = server
        .builder()
        .events(&events)
        .event_log_path(&log)
        .connect()
        .await
        .unwrap();
    let request = shell("echo up; sleep 83001; true");
    let shown = format!("{request:?}");
    assert!(!shown.contains(PASSWORD), "{shown}");
    let mut stream = connection.stream_exec(request).await.unwrap();
    let first = stream.next().await.unwrap();
    assert!(matches!(&first.data, StreamData::Stdout(bytes) if bytes == "up\n"));
    let arguments = processes::all();
    assert!(
        arguments
            .iter()
            .any(|process| process.command.contains("sleep 83001"))
    );
    for process in &arguments {
        assert!(!process.command.contains(PASSWORD), "{process:?}");
        let environment = std::fs::read(format!("/proc/{}/environ", process.pid)).unwrap_or_default();
        let is_in = environment
            .windows(PASSWORD.len())
            .any(|window| window == PASSWORD.as_bytes());
        assert!(!is_in, "{process:?}");
    }
    drop(stream);
    let error = connection
        .exec(ExecRequest::new(Command::shell("id").sudo(Sudo::Password)).sudo_password("Wr0ng-Pass"))
        .await
        .unwrap_err();
    connection.close().await;
    let kept = std::fs::read_to_string(&log).unwrap();
    let told = format!(
        "{kept}{:?}{error}{error:?}{:?}",
        events.events(),
        error.partial_output()
    );
    let escaped = serde_json::to_string(PASSWORD).unwrap();
    for secret in [PASSWORD, escaped.trim_matches('"'), "Wr0ng-Pass"] {
        assert!(!told.contains(secret), "{told}");
    }
    // Each command is told of once, by what it is and not by what is put round it.
    let told: Vec<_> = events.by_type(sternline::EventType::Exec);
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(
        told[0].data["command"],
        "sudo -S -- sh -c 'echo up; sleep 83001; true'"
    );
    assert_eq!(told[1].data["error_type"], "SudoError");
}

#[tokio::test]
async fn a_recorded_command_holds_its_own_input_and_output_and_no_password() {
    use sternline::evidence::{EvidenceRecorder, RecordOutput};
    let Some(user) = SudoUser::new("USER ALL=(ALL:ALL) ALL\nDefaults:USER !lecture") else {
        return;
    };
    let server = Settings::default().user(user.user()).start();
    let recorder = EvidenceRecorder::new();
    let builder = server
        .builder()
        .evidence(&recorder)
        .record_output(RecordOutput::default());
    let connection = builder.connect().await.unwrap();
    connection
        .exec(shell("cat; echo err >&2").stdin("in\n"))
        .await
        .unwrap();
    let wrong = ExecRequest::new(Command::shell("id").sudo(Sudo::Password)).sudo_password("Wr0ng-Pass");
    connection.exec(wrong).await.unwrap_err();
    connection.close().await;

    let bundle = recorder.bundle(None);
    let [good, bad] = &bundle.commands[..] else {
        panic!("{:?}", bundle.commands)
    };
    assert_eq!(good.command, "sudo -S -- sh -c 'cat; echo err >&2'");
    assert_eq!(
        (&good.stdout.data[..], &good.stderr.data[..], good.stdin.bytes),
        (&b"in\n"[..], &b"err\n"[..], 3)
    );
    assert_eq!(bad.stdin.bytes, 0);
    assert_eq!(bundle.error_context["reason"], "password_refused");
    assert!(
        bad.error
            .as_ref()
            .is_some_and(|error| error.starts_with("SudoError: ") && error.contains("refused the password")),
        "{bad:?}"
    );
    let kept = bundle.to_json(sternline::evidence::Redaction::Secrets);
    assert!(
        !kept.contains("Tr0ub4dor") && !kept.contains("Wr0ng-Pass"),
        "{kept}"
    );
}

#[tokio::test]
async fn a_time_limit_and_a_dropped_command_end_what_sudo_has_started() {
    let without_terminals = "USER ALL=(ALL:ALL) ALL\nDefaults:USER !use_pty";
    let as_nobody = "USER ALL=(nobody) ALL";
    let unasked = "USER ALL=(ALL:ALL) NOPASSWD: ALL";
    for (rules, user, asks) in [
        (ALL, None, true),
        (without_terminals, None, true),
        (as_nobody, Some("nobody"), true),
        (unasked, None, false),
    ] {
        let Some(place) = place(rules).await else { return };
        let request = |text: &str, pty: bool| {
            let mut command = Command::shell(text);
            if let Some(user) = user {
                command = command.as_user(user);
            }
            let mut request = match asks {
                true => sudo(command),
                false => ExecRequest::new(command.sudo(Sudo::NonInteractive)),
            };
            if pty {
                request = request.pty(Pty::default());
            }
            request
        };
        for (text, pty) in [
            ("echo up; sleep 83101; true", false),
            ("echo up; sleep 83101; true", true),
            ("trap '' TERM HUP; echo up; sleep 83101; true", false),
            ("trap '' TERM HUP; echo up; sleep 83101; true", true),
        ] {
            let request_of = || request(text, pty);
            let mut stream = place.connection.stream_exec(request_of()).await.unwrap();
            // The program itself: sudo's own command line holds the same text.
            let sleeps = || {
                processes::all()
                    .iter()
                    .any(|process| process.command.trim_end() == "sleep 83101")
            };
            eventually("it runs", sleeps).await;
            stream.cancel();
            let exit = loop {
                if let StreamData::Exit(exit) = stream.next().await.unwrap().data {
                    break exit;
                }
            };
            let what = format!("{rules}, {text}, terminal {pty}");
            assert!(
                matches!(exit, Exit::Cancelled(RemoteEnd::Ended)),
                "{what}: {exit:?}"
            );
            let left = processes::containing("sleep 83101");
            assert!(left.is_empty(), "{what}: {left:?}");
        }
        let limited = request("sleep 83102; true", false).timeout(Duration::from_secs(3));
        let error = place.connection.exec(limited).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::CommandTimeout, "{error}");
        assert!(error.to_string().contains("was ended"), "{rules}: {error}");
        assert!(processes::containing("sleep 83102").is_empty());

        let stream = place
            .connection
            .stream_exec(request("sleep 83103; true", false))
            .await
            .unwrap();
        eventually("it runs", || !processes::containing("sleep 83103").is_empty()).await;
        drop(stream);
        eventually("it is gone", || processes::containing("sleep 83103").is_empty()).await;
    }
}

#[tokio::test]
async fn where_sudo_does_not_let_a_command_be_ended_the_result_says_so() {
    // sudo wants a terminal, which the session that ends things has not.
    let Some(place) = place("USER ALL=(ALL:ALL) ALL\nDefaults:USER requiretty").await else {
        return;
    };
    let text = "trap '' TERM HUP; echo $$; while [ -e /tmp/USER.keep ]; do sleep 0.1; done";
    let keep = format!("/tmp/{}.keep", place.user.name());
    std::fs::write(&keep, "").unwrap();
    let request = shell(&text.replace("USER", place.user.name())).pty(Pty::default());
    let mut stream = place.connection.stream_exec(request).await.unwrap();
    let first = stream.next().await.unwrap();
    let StreamData::Stdout(pid) = first.data else {
        panic!("{first:?}")
    };
    let pid: u32 = String::from_utf8_lossy(&pid).trim().parse().unwrap();
    stream.cancel();
    let exit = loop {
        if let StreamData::Exit(exit) = stream.next().await.unwrap().data {
            break exit;
        }
    };
    let runs = || {
        processes::all()
            .iter()
            .any(|process| process.pid == pid && !process.zombie)
    };
    let survives = runs();
    std::fs::remove_file(&keep).unwrap();
    eventually("it has gone", || !runs()).await;
    match exit {
        Exit::Cancelled(RemoteEnd::MaySurvive(_)) => {}
        Exit::Cancelled(RemoteEnd::Ended) => assert!(!survives, "it was said to be gone"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_command_that_was_given_up_while_sudo_asked_leaves_nothing() {
    // A program that stands where sudo does, and never asks.
    let Some(user) = SudoUser::new(ALL) else { return };
    let bin = user.home().join("bin");
    std::fs::create_dir(&bin).unwrap();
    std::fs::write(
        bin.join("sudo"),
        "#!/bin/sh\necho waiting >&2\nexec sleep 83201\n",
    )
    .unwrap();
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(bin.join("sudo"), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::write(user.home().join(".bashrc"), "PATH=~/bin:$PATH\n").unwrap();
    let server = Settings::default()
        .option(&format!("SetEnv HOME={}", user.home().display()))
        .user(user.user())
        .start();
    let connection = server.builder().connect().await.unwrap();
    let request = shell("id").timeout(Duration::from_millis(700));
    let error = connection.exec(request).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::CommandTimeout);
    assert!(error.to_string().contains("sudo had not started"), "{error}");
    assert!(error.to_string().contains("was ended"), "{error}");
    assert_eq!(&error.partial_output().unwrap().stderr[..], b"waiting\n");
    assert!(processes::containing("sleep 83201").is_empty());

    let running = connection.clone();
    let task = tokio::spawn(async move { running.exec(shell("id")).await });
    eventually("it runs", || !processes::containing("sleep 83201").is_empty()).await;
    task.abort();
    eventually("it is gone", || processes::containing("sleep 83201").is_empty()).await;
}

#[tokio::test]
async fn a_supervisor_answers_sudo_on_every_connection() {
    let Some(place) = place(ALL).await else { return };
    let supervisor = Supervisor::builder(place.server.builder()).launch().unwrap();
    assert_eq!(
        supervisor.exec(shell("id -un")).await.unwrap().stdout_text(),
        "root\n"
    );
    place.server.break_connections();
    // It may be sent before the loss is noticed.
    let request = shell("cat")
        .stdin("again")
        .retry_on_disconnect(RetryOnDisconnect::Always);
    let result = supervisor.exec(request).await.unwrap();
    assert_eq!(result.stdout_text(), "again");
    supervisor.close().await;
}

/// A server at ten addresses beside 127.0.0.1, for sshd has no room for twenty, that takes the key of another one.
async fn ten_addresses(user: &SudoUser, from: u32, key: Option<&Sshd>) -> (Sshd, Vec<String>) {
    let mut settings = Settings::default().user(user.user());
    let addresses: Vec<String> = (from..from + 10).map(|n| format!("127.0.0.{n}")).collect();
    for address in &addresses {
        settings = settings.option(&format!("ListenAddress {address}"));
    }
    let server = settings.start();
    if let Some(other) = key {
        std::fs::copy(other.path("authorized_keys"), server.path("authorized_keys")).unwrap();
    }
    for address in &addresses {
        let address = (address.as_str(), server.port());
        eventually("it listens", || std::net::TcpStream::connect(address).is_ok()).await;
    }
    (server, addresses)
}

/// Twenty loopback addresses of two servers, and how to log in to them.
async fn twenty(user: &SudoUser) -> (Fleet, [Sshd; 2]) {
    let (first, addresses) = ten_addresses(user, 2, None).await;
    let (second, others) = ten_addresses(user, 12, Some(&first)).await;
    let mut lines = String::new();
    let mut hosts = Vec::new();
    for (server, addresses) in [(&first, addresses), (&second, others)] {
        for address in addresses {
            lines.push_str(&server.known_hosts_line("ed25519").replace("127.0.0.1", &address));
            hosts.push(format!("{address}:{}", server.port()));
        }
    }
    let known_hosts = sternline::host_key::KnownHosts::from_bytes("known_hosts", lines.as_bytes());
    let (name, key) = (user.name().to_owned(), first.key());
    let fleet = Fleet::new(hosts).configure(move |_, builder| {
        builder
            .username(&name)
            .known_hosts_parsed(known_hosts.clone(), None)
            .auth([sternline::AuthConfig::key(&key)])
    });
    (fleet, [first, second])
}

#[tokio::test]
async fn a_fleet_of_twenty_is_answered_with_one_password() {
    let Some(user) = SudoUser::new(ALL) else { return };
    let (fleet, _servers) = twenty(&user).await;
    let fleet = fleet.sudo_password(PASSWORD);
    let command = Command::shell("id -un").sudo(Sudo::Password);
    let outcomes = fleet.exec(command).await.unwrap();
    assert_eq!(outcomes.len(), 20);
    for outcome in outcomes {
        assert!(outcome.ok(), "{outcome:?}");
        assert_eq!(outcome.stdout.text().await.unwrap(), "root\n");
        let errors = outcome.stderr.text().await.unwrap();
        assert!(!errors.contains("sudo-"), "{errors}");
    }
}

#[tokio::test]
async fn a_fleet_of_twenty_makes_one_attempt_with_a_wrong_password() {
    let rules = "USER ALL=(ALL:ALL) ALL\nDefaults:USER logfile=/tmp/USER.log";
    let Some(user) = SudoUser::new(rules) else { return };
    let (fleet, _servers) = twenty(&user).await;
    let fleet = fleet.sudo_password("wrong");
    let command = Command::shell("id -un").sudo(Sudo::Password);
    let outcomes = fleet.exec(command).await.unwrap();
    let path = format!("/tmp/{}.log", user.name());
    let log = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let mut elsewhere = 0;
    for outcome in outcomes {
        let error = outcome.result.unwrap_err();
        assert_eq!(refusal(&error), SudoRefusal::PasswordRefused, "{error}");
        elsewhere += usize::from(error.to_string().contains("another host refused it"));
    }
    assert_eq!(elsewhere, 19);
    // sudo also notes those that gave up without a password.
    let log = log.replace("\n    ", " ");
    assert_eq!(log.matches("1 incorrect password attempt").count(), 1, "{log}");
    assert!(!log.contains("incorrect password attempts"), "{log}");
}
