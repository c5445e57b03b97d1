//! The embedded server answers like a recorded host: OpenSSH's client and our own library against bundles made by hand.

mod server_support;

use std::process::Output;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use data_encoding::{BASE64, HEXLOWER};
use serde_json::{Value, json};
use server_support::{Fixture, answer, binary, run};
use sha2::{Digest, Sha256};
use sternline::exec::{Command, Exit, ExitStatus, Pty, StreamData};
use sternline::proto::command::Sudo;
use sternline::{AuthConfig, Connection, Error, ErrorKind, ExecRequest, SendState};
use sternline_server::replay::{Replay, ReplayNote};
use sternline_server::{ExitOutcome, Reply, Server};
use tokio::time::{Instant, timeout};

/// A recorded command that ended with status 0 after 1 ms, with more fields or others.
fn command(line: &str, fields: Value) -> Value {
    let mut command = json!({"command": line, "started_ms": 1.0, "duration_ms": 1.0, "exit_code": 0});
    for (name, value) in fields.as_object().expect("fields") {
        command[name] = value.clone();
    }
    command
}

/// What was recorded of `input`.
fn input(input: &[u8]) -> Value {
    json!({"stdin_bytes": input.len(), "stdin_sha256": HEXLOWER.encode(&Sha256::digest(input))})
}

fn replay(commands: &[Value]) -> Replay {
    let bundle = json!({
        "version": "1.0",
        "algorithms": {"server_version": "SSH-2.0-OpenSSH_9.2p1 Debian-2"},
        "events": [{"event_type": "AUTH", "timestamp": 1.0, "data": {"auth_banner": "Authorised users only.\\n"}}],
        "commands": commands,
    });
    Replay::from_text(&bundle.to_string()).expect("a bundle")
}

async fn serving(replay: &Replay) -> Fixture {
    Fixture::start(Server::builder().replay(replay.clone())).await
}

async fn ssh(f: &Fixture, command: &str) -> Output {
    let mut ssh = f.ssh();
    ssh.arg(command);
    answer(ssh).await
}

async fn connect(f: &Fixture) -> Connection {
    Connection::builder(format!("deploy@{}", f.server.addr()))
        .known_hosts([f.known_hosts.clone()])
        .auth([AuthConfig::key(&f.key)])
        .connect()
        .await
        .expect("a connection")
}

/// What came of a command that has no end.
async fn failure(f: &Fixture, request: impl Into<ExecRequest>) -> Error {
    let connection = connect(f).await;
    let failed = timeout(server_support::PATIENCE, connection.exec(request)).await;
    failed.expect("an end").expect_err("a failure")
}

#[tokio::test]
async fn output_status_and_signal_are_the_recorded_ones_byte_for_byte() {
    let bytes = binary(300_000);
    let replay = replay(&[
        command(
            "text",
            json!({"stdout": "out\n", "stderr": "err\n", "exit_code": 7}),
        ),
        command(
            "binary",
            json!({"stdout_base64": BASE64.encode(&bytes), "exit_code": 255}),
        ),
        command(
            "killed",
            json!({"exit_code": null, "signal": "KILL", "stderr": "oh\n"}),
        ),
        command("nothing", json!({})),
    ]);
    let f = serving(&replay).await;
    for (line, stdout, stderr, status) in [
        ("text", &b"out\n"[..], &b"err\n"[..], 7),
        ("binary", &bytes, b"", 255),
        // ssh says nothing of a signal but its own status for what went wrong.
        ("killed", b"", b"oh\n", 255),
        ("nothing", b"", b"", 0),
    ] {
        let output = ssh(&f, line).await;
        assert!(output.stdout == stdout, "{line}");
        assert_eq!(output.stderr, stderr, "{line}");
        assert_eq!(output.status.code(), Some(status), "{line}");
    }
    assert_eq!(f.server.log()[2].exit, Some(ExitOutcome::signal("KILL")));
    assert_eq!(replay.answered(), 4);
    assert_eq!((replay.missing(), replay.notes()), (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn a_command_that_was_recorded_several_times_is_answered_in_that_order() {
    let lines = ["one\n", "two\n"].map(|text| command("next", json!({"stdout": text})));
    let f = serving(&replay(&lines)).await;
    let connection = connect(&f).await;
    for expected in ["one\n", "two\n", "two\n"] {
        assert_eq!(
            connection.exec("next").await.expect("an answer").stdout_text(),
            expected
        );
    }
}

#[tokio::test]
async fn a_missing_command_is_refused_named_and_told_and_an_answer_of_ones_own_comes_first() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let telling = Arc::clone(&told);
    let replay = replay(&[command("id", json!({}))]).on_note(move |note| {
        telling.lock().expect("no panic").push(note.to_string());
    });
    let builder = Server::builder().replay(replay.clone());
    let f = Fixture::start(builder.command("date", Reply::stdout("today\n"))).await;
    assert_eq!(ssh(&f, "date").await.stdout, b"today\n");
    for _ in 0..2 {
        let output = ssh(&f, "uname \x1b -r").await;
        assert_eq!(output.status.code(), Some(127));
        assert_eq!(
            String::from_utf8_lossy(&output.stderr),
            "sternline: the recording has no such command: uname \\x1b -r\n"
        );
    }
    let mut shell = f.ssh();
    shell.arg("-T");
    let output = answer(shell).await;
    assert_eq!(output.status.code(), Some(127));
    assert!(String::from_utf8_lossy(&output.stderr).contains("(interactive shell)"));
    assert_eq!(replay.missing(), ["uname \x1b -r", ""]);
    assert_eq!(replay.commands(), ["id"]);
    let told = told.lock().expect("no panic").clone();
    assert_eq!(told.len(), 3);
    assert_eq!(told[0], "not in the recording: uname \\x1b -r");
}

#[tokio::test]
async fn input_is_read_to_its_end_and_other_input_is_told_and_answered_all_the_same() {
    let given = binary(2_000_000);
    let mut recorded = input(&given);
    recorded["stdout"] = "2000000\n".into();
    let replay = replay(&[command("wc -c", recorded)]);
    let f = serving(&replay).await;
    let mut altered = given.clone();
    altered[1_999_999] ^= 1;
    for (bytes, notes) in [
        (given.clone(), 0),
        (altered, 1),
        (given[..1_000].to_vec(), 2),
        (Vec::new(), 3),
    ] {
        let mut ssh = f.ssh();
        ssh.arg("wc -c");
        let output = run(ssh, bytes.clone()).await;
        assert_eq!(
            (output.stdout.as_slice(), output.status.code()),
            (&b"2000000\n"[..], Some(0))
        );
        assert_eq!(replay.notes().len(), notes);
        if let Some(ReplayNote::OtherInput { recorded, given, .. }) = replay.notes().last() {
            assert_eq!((recorded.bytes, given.bytes), (2_000_000, bytes.len() as u64));
        }
    }
}

#[tokio::test]
async fn a_dialogue_ends_with_its_last_line_although_the_input_goes_on() {
    let mut recorded = input(b"name\nexit\n");
    recorded["stdout"] = "Who? Hello name.\n".into();
    let replay = replay(&[command("", recorded)]);
    let f = serving(&replay).await;
    let connection = connect(&f).await;
    let mut shell = connection.shell(None).await.expect("a shell");
    let stdin = shell.take_stdin().expect("its input");
    let mut output = Vec::new();
    let end = loop {
        match shell.next().await.expect("an end").data {
            StreamData::Stdout(bytes) => {
                output.extend_from_slice(&bytes);
                stdin.write("name\nexit\n").await.expect("room");
            }
            StreamData::Exit(end) => break end,
            StreamData::Stderr(_) => {}
        }
    };
    assert!(matches!(&end, Exit::Status(ExitStatus::Code(0))), "{end:?}");
    assert_eq!(output, b"Who? Hello name.\n");
    assert_eq!(replay.notes(), []);
}

#[tokio::test]
async fn what_was_not_recorded_in_full_is_told() {
    let replay = replay(&[command("yes", json!({"stdout": "y\ny\n", "stdout_bytes": 5000}))]);
    let f = serving(&replay).await;
    assert_eq!(ssh(&f, "yes").await.stdout, b"y\ny\n");
    assert_eq!(
        replay.notes(),
        [ReplayNote::Truncated {
            command: "yes".into(),
            stream: "stdout",
            kept: 4,
            written: 5000
        }]
    );
}

#[tokio::test]
async fn a_secret_that_was_masked_in_a_command_may_be_any() {
    let replay = replay(&[command(
        "login --password=[REDACTED] now",
        json!({"stdout": "in\n"}),
    )]);
    let f = serving(&replay).await;
    assert_eq!(ssh(&f, "login --password=hunter2 now").await.stdout, b"in\n");
    assert_eq!(ssh(&f, "login --password=hunter2").await.status.code(), Some(127));
}

#[tokio::test]
async fn a_command_that_answers_sudo_is_found_by_what_is_shown_of_it() {
    let mut recorded = input(b"welcome\n");
    recorded["stdout"] = "welcome\n".into();
    recorded["stderr"] = "careful\n".into();
    recorded["exit_code"] = 3.into();
    let replay = replay(&[command(
        "sudo -u bob -S -- sh -c 'tee /etc/motd; exit 3'",
        recorded,
    )]);
    let f = serving(&replay).await;
    let connection = connect(&f).await;
    for (text, code, stderr) in [
        ("tee /etc/motd; exit 3", 3, "careful\n"),
        (
            "id",
            127,
            "sternline: the recording has no such command: sudo -u bob -S -- sh -c id\n",
        ),
    ] {
        for pty in [None, Some(Pty::default())] {
            let command = Command::shell(text).sudo(Sudo::Password).as_user("bob");
            let mut request = ExecRequest::new(command)
                .sudo_password("any will do")
                .stdin("welcome\n");
            let in_terminal = pty.is_some();
            if let Some(pty) = pty {
                request = request.pty(pty);
            }
            let result = timeout(server_support::PATIENCE, connection.exec(request)).await;
            let result = result.expect("an end").expect("an answer");
            assert_eq!(result.exit_code(), Some(code), "{result:?}");
            if !in_terminal {
                assert_eq!(result.stderr_text(), stderr);
            }
        }
    }
    assert_eq!(replay.missing(), ["sudo -u bob -S -- sh -c id"]);
    let notes = replay.notes();
    assert!(
        notes
            .iter()
            .all(|note| matches!(note, ReplayNote::Missing { .. })),
        "{notes:?}"
    );
}

#[tokio::test]
async fn a_lost_connection_is_lost_again_behind_what_was_written() {
    let replay = replay(&[command(
        "reboot",
        json!({"exit_code": null, "stdout": "going down\n", "error": "SSHConnectionError: the connection was lost"}),
    )]);
    let f = serving(&replay).await;
    let error = failure(&f, "reboot").await;
    assert_eq!(error.kind(), &ErrorKind::Connection, "{error}");
    assert_ne!(error.sent(), SendState::NotSent);
    let partial = error.partial_output().expect("what was written");
    assert_eq!(&partial.stdout[..], b"going down\n");
    assert_eq!(
        replay.notes()[0].to_string(),
        "recorded without an end (SSHConnectionError: the connection was lost): reboot"
    );
}

#[tokio::test]
async fn a_command_that_was_given_up_goes_on_until_it_is_given_up_again() {
    let replay = replay(&[command(
        "sleep 60",
        json!({"exit_code": null, "stdout": "begun\n", "error": "CommandTimeout: the time limit passed"}),
    )]);
    let f = serving(&replay).await;
    let request = ExecRequest::new("sleep 60").timeout(Duration::from_millis(300));
    let error = failure(&f, request).await;
    assert_eq!(error.kind(), &ErrorKind::CommandTimeout, "{error}");
    assert_eq!(&error.partial_output().expect("output").stdout[..], b"begun\n");
    // What the library runs to end a command on its host is no command that the recording lacks.
    assert_eq!(replay.missing(), Vec::<String>::new());
}

#[tokio::test]
async fn the_server_has_the_name_and_the_banner_of_the_recorded_one() {
    let f = serving(&replay(&[command("id", json!({}))])).await;
    let mut ssh = f.ssh();
    ssh.args(["-v", "-o", "LogLevel=DEBUG1", "id"]);
    let said = String::from_utf8_lossy(&answer(ssh).await.stderr).into_owned();
    assert!(
        said.contains("remote software version OpenSSH_9.2p1 Debian-2"),
        "{said}"
    );
    assert!(said.contains("Authorised users only.\n"), "{said}");
    let server = f.server.restart().await.expect("the port");
    let mut stream = tokio::net::TcpStream::connect(server.addr())
        .await
        .expect("a server");
    let mut name = [0; 21];
    tokio::io::AsyncReadExt::read_exact(&mut stream, &mut name)
        .await
        .expect("a name");
    assert_eq!(&name, b"SSH-2.0-OpenSSH_9.2p1");
}

#[tokio::test]
async fn a_command_takes_its_time_only_when_it_is_told_to() {
    let slow = command("slow", json!({"duration_ms": 400.0, "stdout": "done\n"}));
    let endless = command("absurd", json!({"duration_ms": 1e300}));
    let replay = replay(&[slow, endless]);
    for (replay, waits) in [(replay.clone(), false), (replay.keep_timing(), true)] {
        let f = serving(&replay).await;
        let connection = connect(&f).await;
        let begun = Instant::now();
        assert_eq!(
            connection.exec("slow").await.expect("an answer").stdout_text(),
            "done\n"
        );
        if waits {
            assert!(begun.elapsed() >= Duration::from_millis(400));
        }
        connection
            .exec("absurd")
            .await
            .expect("nobody waits for ever")
            .success()
            .expect("an end");
    }
}
