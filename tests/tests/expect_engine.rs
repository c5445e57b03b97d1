//! What the engine promises, on a real sshd.

use std::time::Duration;

use sternline::exec::{ExitStatus, Pty, Stdin};
use sternline::expect::{ExpectPattern, ExpectRespond, ExpectTimeout};
use sternline::{AutomationEngine, Connection, ErrorKind, ExecRequest, Secret, Supervisor};
use sternline_tests::sshd::Sshd;

/// Far away: reached only by a test that fails.
const LIMIT: Duration = Duration::from_secs(60);
/// Short enough to be waited for, when it is to pass.
const SHORT: Duration = Duration::from_millis(300);

async fn connect(server: &Sshd) -> Connection {
    server.builder().connect().await.unwrap()
}

#[tokio::test]
async fn the_same_prompt_twice_is_answered_twice() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    let ask = "for n in 1 2; do printf 'Password: '; read -r word; echo \"got $word\"; done";
    let mut engine = connection.automate(ask).await.unwrap();
    for word in ["first", "second"] {
        engine
            .expect_respond("Password: ", word, LIMIT, Duration::ZERO)
            .await
            .unwrap();
        let got = engine
            .expect(ExpectPattern::regex(r"got (\w+)\n"), LIMIT)
            .await
            .unwrap();
        assert_eq!(got.group(1), Some(word));
    }
    assert_eq!(engine.expect_end(LIMIT).await.unwrap(), Some(ExitStatus::Code(0)));
    connection.close().await;
}

#[tokio::test]
async fn a_prompt_is_seen_however_it_is_cut_and_an_answer_is_waited_for_in_full() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    let slowly = r"for piece in 'Mot de pa' 'ss' '\303' '\251: '; do printf $piece; sleep 0.1; done";
    let slowly = slowly.replace("$piece", "\"$piece\"");
    let command = format!("{slowly}; read -r _; printf 'port 33'; sleep 0.01; echo 06; sleep 600");
    let mut engine = connection.automate(command).await.unwrap();
    assert!(engine.expect("Mot de passé: ", LIMIT).await.unwrap().matched);
    engine.send_line("").await.unwrap();
    let port = engine
        .expect(ExpectPattern::regex(r"port (\d+)"), LIMIT)
        .await
        .unwrap();
    assert_eq!(port.group(1), Some("3306"));
    connection.close().await;
}

#[tokio::test]
async fn the_end_of_the_output_and_a_time_limit_are_told_apart() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    let mut ends = connection
        .automate("echo nothing of interest; exit 3")
        .await
        .unwrap();
    let result = ends.expect("Password: ", LIMIT).await.unwrap();
    assert!(!result.matched && !result.timed_out);
    assert_eq!(result.buffer, "nothing of interest\n");
    assert_eq!(ends.expect_end(LIMIT).await.unwrap(), Some(ExitStatus::Code(3)));

    let mut waits = connection
        .automate("printf 'password: '; read -r word; echo \"$word\"")
        .await
        .unwrap();
    let error = waits.expect("Password: ", SHORT).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::ExpectTimeout);
    let message = error.to_string();
    assert!(
        message.contains(
            "no output matched \"Password...\" within 300 ms; the output ended with \"password...\"; "
        ),
        "{message}"
    );
    assert!(
        message.ends_with("\"Password...\" would match \"password...\" if case were ignored"),
        "{message}"
    );
    assert!(error.hint().contains("(?i)"), "{}", error.hint());
    let dict = error.to_dict();
    assert_eq!(dict["buffer_tail"], "password: ");
    assert_eq!(dict["host"], "127.0.0.1");
    // What was not matched is still there.
    assert!(waits.expect("password: ", LIMIT).await.unwrap().matched);
    let quiet = waits
        .expect("x", ExpectTimeout::or_continue(SHORT))
        .await
        .unwrap();
    assert!(!quiet.matched && quiet.timed_out);
    let no_end = waits.expect_end(SHORT).await.unwrap_err();
    assert_eq!(no_end.kind(), &ErrorKind::ExpectTimeout);
    let kinds: Vec<&str> = waits
        .transcript()
        .iter()
        .map(|entry| entry.interaction_type.as_str())
        .collect();
    assert_eq!(kinds, ["output", "timeout", "expect", "timeout"]);
    waits.send_line("done").await.unwrap();
    assert!(waits.expect("done", LIMIT).await.unwrap().matched);
    connection.close().await;
}

#[tokio::test]
async fn nothing_is_sent_to_a_program_that_has_ended() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    let mut engine = connection.automate("exec >&- 2>&-; sleep 0.2").await.unwrap();
    assert!(!engine.expect("never", LIMIT).await.unwrap().matched);
    let error = engine.send_line("x").await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Channel);
    assert!(error.to_string().contains("has ended"), "{error}");
    connection.close().await;
}

#[tokio::test]
async fn the_first_of_several_patterns_wins() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    let mut engine = connection
        .automate("echo 'it failed, then it is ready'; read -r _; echo ready")
        .await
        .unwrap();
    let patterns = [
        ExpectPattern::literal("ready").unwrap().named("up"),
        ExpectPattern::regex("(?i)FAILED|denied").unwrap().named("down"),
    ];
    let first = engine.expect_any(&patterns, LIMIT).await.unwrap();
    assert_eq!(
        (first.pattern.name(), first.match_text.as_str()),
        (Some("down"), "failed")
    );
    let second = engine.expect_any(&patterns, LIMIT).await.unwrap();
    assert_eq!(second.pattern.name(), Some("up"));
    assert_eq!(second.before(), ", then it is ");
    let none: [&str; 0] = [];
    let error = engine.expect_any(none, LIMIT).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Invalid);
    connection.close().await;
}

#[tokio::test]
async fn a_sequence_stops_where_the_output_ends_and_keeps_its_results_when_it_fails() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    let asks = "printf 'name: '; read -r name; echo \"hello $name\"; read -r _";
    let name = ExpectRespond::new("name: ", "world").unwrap();

    let steps = [
        name.clone(),
        ExpectRespond::new("nobody asks this", "x")
            .unwrap()
            .timeout(ExpectTimeout::or_continue(SHORT)),
        ExpectRespond::new("hello world\n", "bye")
            .unwrap()
            .delay(Duration::from_millis(1)),
        ExpectRespond::new("password: ", "x").unwrap(),
        name.clone(),
    ];
    let mut engine = connection.automate(asks).await.unwrap();
    let results = engine.run_sequence(&steps).await.unwrap();
    let outcomes: Vec<(bool, bool)> = results
        .iter()
        .map(|result| (result.matched, result.timed_out))
        .collect();
    assert_eq!(
        outcomes,
        [(true, false), (false, true), (true, false), (false, false)]
    );

    let steps = [
        name,
        ExpectRespond::new("password: ", "x").unwrap().timeout(SHORT),
    ];
    let mut engine = connection.automate(asks).await.unwrap();
    let failed = engine.run_sequence(&steps).await.unwrap_err();
    assert_eq!(failed.results.len(), 1);
    assert_eq!(failed.error.kind(), &ErrorKind::ExpectTimeout);
    let error = failed.into_error();
    assert!(
        error.to_string().starts_with("step 2 of 2: no output matched"),
        "{error}"
    );
    let error = engine.run_sequence(&[]).await.unwrap_err().into_error();
    assert_eq!(error.kind(), &ErrorKind::Invalid);
    connection.close().await;
}

#[tokio::test]
async fn a_secret_is_masked_where_the_program_shows_it() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    let echoes = "printf 'Password: '; read -r word; echo \"you typed $word\"; \
                  printf '%s' \"$word\" | sed 's/./&\\n/g' | while IFS= read -r letter; do printf '%s' \"$letter\"; sleep 0.06; done; echo";
    // The terminal shows what is typed, too.
    let request = ExecRequest::new(echoes).pty(Pty::default());
    let mut engine = connection.automate(request).await.unwrap();
    engine.expect("Password: ", LIMIT).await.unwrap();
    engine.send_secret(&Secret::from("hunter2!")).await.unwrap();
    let error = engine.expect("nothing like this", Duration::from_secs(2)).await;
    let said = match error {
        Err(error) => format!("{error} {:?}", error.to_dict()),
        Ok(result) => format!("{}", serde_json::Value::Object(result.to_dict())),
    };
    assert!(!said.contains("hunter2!"), "{said}");
    assert_eq!(engine.expect_end(LIMIT).await.unwrap(), Some(ExitStatus::Code(0)));
    let written = format!(
        "{}\n{}",
        engine.transcript().to_jsonl(),
        engine.transcript().to_asciicast(80, 24)
    );
    assert!(!written.contains("hunter2"), "{written}");
    assert_eq!(
        engine.transcript().to_jsonl().matches("[REDACTED]").count(),
        4,
        "{written}"
    );
    connection.close().await;
}

#[tokio::test]
async fn waiting_can_be_given_up_and_nothing_is_lost() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    let mut engine = connection
        .automate("echo one; sleep 0.3; echo two; read -r _")
        .await
        .unwrap();
    for _ in 0..3 {
        let given_up = tokio::time::timeout(Duration::from_millis(50), engine.expect("three", LIMIT)).await;
        assert!(given_up.is_err());
    }
    let both = engine.expect("two\n", LIMIT).await.unwrap();
    assert_eq!(both.buffer, "one\ntwo\n");
    connection.close().await;
}

#[tokio::test]
async fn output_while_nobody_waits_holds_nobody_up_and_is_bounded_once_it_is_read() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    let request = "seq 1 2000000; touch wrote; read -r _; echo last";
    let mut engine = connection
        .automate(request)
        .await
        .unwrap()
        .buffer_limit(64 * 1024);
    // The command gets all of its output away, although nobody reads it here.
    let wrote = "until [ -e wrote ]; do sleep 0.1; done";
    assert!(connection.exec(wrote).await.unwrap().ok());
    let end = engine.expect("\n2000000\n", LIMIT).await.unwrap();
    assert!(end.buffer.len() <= 64 * 1024 && end.buffer.contains("1999999"));
    engine.send_line("").await.unwrap();
    assert!(engine.expect("last", LIMIT).await.unwrap().matched);
    assert!(engine.transcript().to_jsonl().len() < 16 * 1024 * 1024);
    connection.close().await;
}

#[tokio::test]
async fn a_shell_is_driven_with_a_terminal_and_without_one() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    let mut plain = connection.automate_shell(None).await.unwrap();
    plain.send_line("echo sum $((40 + 2))").await.unwrap();
    assert!(plain.expect("sum 42\n", LIMIT).await.unwrap().matched);
    plain.send_eof().await.unwrap();
    assert_eq!(plain.expect_end(LIMIT).await.unwrap(), Some(ExitStatus::Code(0)));
    let closed = plain.send_line("too late").await.unwrap_err();
    assert!(closed.to_string().contains("at its end"), "{closed}");

    let terminal = connection.automate_shell(Pty::default()).await.unwrap();
    let mut terminal = terminal.ignore_control_sequences(true);
    terminal.send_line("PS1='ready> '").await.unwrap();
    terminal.expect("\nready> ", LIMIT).await.unwrap();
    terminal.resize(132, 43).await.unwrap();
    terminal.send_line("stty size").await.unwrap();
    assert!(terminal.expect("\n43 132\nready> ", LIMIT).await.unwrap().matched);
    terminal.send_eof().await.unwrap();
    terminal.expect_end(LIMIT).await.unwrap();
    connection.close().await;
}

#[tokio::test]
async fn standard_error_is_waited_for_as_well() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    let mut engine = connection
        .automate("printf 'Really? ' >&2; read -r yes; echo \"$yes\"")
        .await
        .unwrap();
    engine
        .expect_respond("Really? ", "yes", LIMIT, Duration::ZERO)
        .await
        .unwrap();
    assert!(engine.expect("yes\n", LIMIT).await.unwrap().matched);
    let streams: Vec<_> = engine
        .transcript()
        .iter()
        .filter_map(|entry| entry.metadata.get("stream")?.as_str())
        .collect();
    assert_eq!(streams, ["stderr", "stdout"]);
    connection.close().await;
}

#[tokio::test]
async fn a_lost_connection_is_an_error_and_not_the_end_of_the_output() {
    let mut server = Sshd::start();
    let connection = connect(&server).await;
    let mut engine = connection.automate("echo begun; read -r _").await.unwrap();
    engine.expect("begun", LIMIT).await.unwrap();
    server.stop();
    let error = engine.expect("more", LIMIT).await.unwrap_err();
    assert!(error.kind().is_connection(), "{error}");
    let again = engine.expect("more", LIMIT).await.unwrap_err();
    assert_eq!(again.kind(), error.kind());
    assert!(engine.send_line("x").await.is_err());
}

#[tokio::test]
async fn cancelling_ends_the_command() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    let mut engine = connection.automate("echo begun; exec sleep 600").await.unwrap();
    engine.expect("begun", LIMIT).await.unwrap();
    engine.cancel();
    let result = engine.expect("more", LIMIT).await.unwrap();
    assert!(!result.matched && !result.timed_out);
    let error = engine.expect_end(LIMIT).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Cancelled);
    connection.close().await;
}

#[tokio::test]
async fn without_an_input_sending_says_how_to_get_one() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    let stream = connection.stream_exec("echo hello; sleep 600").await.unwrap();
    let mut engine = AutomationEngine::new(stream);
    assert!(engine.expect("hello", LIMIT).await.unwrap().matched);
    let error = engine.send_line("x").await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Invalid);
    assert!(error.hint().contains("Connection::automate"), "{}", error.hint());

    // Another writer does as well: here, what is sent goes to another command.
    let request = ExecRequest::new("read -r word; echo \"heard $word\"").stdin(Stdin::Piped);
    let mut listener = connection.stream_exec(request).await.unwrap();
    let (near, mut far) = tokio::io::duplex(64);
    let input = listener.take_stdin().unwrap();
    let forward = tokio::spawn(async move {
        use tokio::io::AsyncReadExt;
        let mut bytes = [0; 64];
        let count = far.read(&mut bytes).await.unwrap();
        input.write(bytes[..count].to_vec()).await.unwrap();
        input
    });
    let mut engine = AutomationEngine::new(listener).with_stdin_writer(near);
    engine.send_line("you").await.unwrap();
    assert!(engine.expect("heard you", LIMIT).await.unwrap().matched);
    forward.await.unwrap();
    connection.close().await;
}

#[tokio::test]
async fn a_supervised_dialogue_is_never_begun_again() {
    let mut server = Sshd::start();
    let supervisor = Supervisor::builder(server.builder()).start().await.unwrap();
    let runs = server.path("runs");
    let command = format!("echo run >> {}; echo begun; read -r _", runs.display());
    let mut engine = supervisor.automate(command).await.unwrap();
    assert!(engine.expect("begun", LIMIT).await.unwrap().matched);
    server.stop();
    server.start_again();
    let error = engine.expect("more", LIMIT).await.unwrap_err();
    assert!(error.kind().is_connection(), "{error}");
    assert!(supervisor.exec("true").await.unwrap().ok());
    assert_eq!(std::fs::read_to_string(runs).unwrap(), "run\n");
    supervisor.close().await;
}

#[tokio::test]
async fn wrong_arguments_are_refused_before_anything_is_waited_for() {
    let (near, _far) = tokio::io::duplex(64);
    let (reader, writer) = tokio::io::split(near);
    let mut engine = AutomationEngine::from_streams(reader, writer);
    for error in [
        engine.expect("", LIMIT).await.unwrap_err(),
        engine.expect(ExpectPattern::regex("("), LIMIT).await.unwrap_err(),
        engine.expect("x", Duration::ZERO).await.unwrap_err(),
        engine.send_control('é').await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), &ErrorKind::Invalid, "{error}");
    }
    assert!(engine.transcript().is_empty());
}

#[tokio::test]
async fn any_two_streams_can_be_driven() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (near, mut far) = tokio::io::duplex(64);
    let (reader, writer) = tokio::io::split(near);
    let mut engine = AutomationEngine::from_streams(reader, writer).ignore_control_sequences(true);
    let program = tokio::spawn(async move {
        far.write_all(b"\x1b[1mWho \xffgoes\x1b[0m there? _")
            .await
            .unwrap();
        let mut answer = [0; 7];
        far.read_exact(&mut answer).await.unwrap();
        answer
    });
    let asked = engine.expect("Who \u{fffd}goes there? _", LIMIT).await.unwrap();
    assert!(asked.matched);
    engine.send("friend", true).await.unwrap();
    assert_eq!(&program.await.unwrap(), b"friend\n");
    let end = engine.expect("more", LIMIT).await.unwrap();
    assert!(!end.matched && !end.timed_out);
    assert_eq!(engine.expect_end(LIMIT).await.unwrap(), None);
}
