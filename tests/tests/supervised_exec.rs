//! Commands on a supervised connection to a real sshd: what becomes of each when the connection is lost.

mod supervisor_support;

use std::io;
use std::path::Path;
use std::time::Duration;

use sternline::exec::{Exit, Stdin, StreamData};
use sternline::{ConnectionState, ErrorKind, ExecRequest, RetryOnDisconnect, SendState};
use sternline_tests::processes;
use sternline_tests::sshd::Sshd;
use supervisor_support::{SOON, quick, reconnected, start, state};
use tokio::time::timeout;

/// Notes in a file of its own that it runs, and goes on when there is a file `go`.
fn patient(folder: &Path, number: usize) -> String {
    let folder = folder.display();
    format!(
        "echo ran >> {folder}/run-{number}; while [ ! -e {folder}/go ]; do sleep 0.02; done; echo result {number}"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_twenty_commands_on_a_lost_link_each_has_its_result_or_an_error_that_says_if_it_ran() {
    let server = Sshd::start();
    let folder = tempfile::tempdir().unwrap();
    let supervisor = start(server.builder(), quick(3)).await;
    let commands: Vec<_> = (0..20)
        .map(|number| {
            let supervisor = supervisor.clone();
            let command = patient(folder.path(), number);
            tokio::spawn(async move { supervisor.exec(command).await })
        })
        .collect();
    let ran = |number: usize| std::fs::read_to_string(folder.path().join(format!("run-{number}")));
    processes::eventually("some of them run", || {
        (0..20).filter(|number| ran(*number).is_ok()).count() >= 5
    })
    .await;
    server.break_connections();
    reconnected(&supervisor, 1).await;
    std::fs::write(folder.path().join("go"), "").unwrap();
    let (mut results, mut errors) = (0, 0);
    for (number, command) in commands.into_iter().enumerate() {
        match timeout(SOON, command).await.unwrap().unwrap() {
            Ok(result) => {
                assert_eq!(result.stdout_text(), format!("result {number}\n"));
                assert_eq!(ran(number).unwrap(), "ran\n", "once");
                results += 1;
            }
            Err(error) => {
                assert_ne!(error.sent(), SendState::NotSent, "{error}");
                assert!(error.kind().is_connection(), "{error}");
                assert_eq!(error.context().extra()["attempts"], 1);
                assert!(ran(number).map_or(true, |ran| ran == "ran\n"), "at most once");
                errors += 1;
            }
        }
    }
    assert!(results >= 5 && errors >= 5, "{results} and {errors}");
    supervisor.close().await;
}

/// Counts its runs in a file, and kills the server's process for its own connection in the first ones of them.
fn treacherous(counter: &Path, kills: u32) -> String {
    let counter = counter.display();
    format!(
        "echo run >> {counter}; n=$(grep -c run {counter}); \
         if [ $n -le {kills} ]; then kill -9 $PPID; sleep 5; fi; cat; echo run $n"
    )
}

#[tokio::test]
async fn a_command_that_may_have_run_is_an_error_unless_it_is_said_that_it_may_run_again() {
    let server = Sshd::start();
    let folder = tempfile::tempdir().unwrap();
    let supervisor = start(server.builder(), quick(3)).await;
    for (name, retry) in [
        ("default", RetryOnDisconnect::default()),
        ("never", RetryOnDisconnect::Never),
    ] {
        let counter = folder.path().join(name);
        let request = ExecRequest::from(treacherous(&counter, 1)).retry_on_disconnect(retry);
        let error = supervisor.exec(request).await.unwrap_err();
        assert!(error.kind().is_connection(), "{error}");
        assert_ne!(error.sent(), SendState::NotSent, "{error}");
        assert_eq!(error.context().extra()["attempts"], 1);
        assert_eq!(std::fs::read_to_string(&counter).unwrap(), "run\n");
    }
    let counter = folder.path().join("always");
    let request = ExecRequest::from(treacherous(&counter, 1))
        .stdin("the whole input\n")
        .retry_on_disconnect(RetryOnDisconnect::Always);
    let result = supervisor.exec(request).await.unwrap();
    assert_eq!(result.stdout_text(), "the whole input\nrun 2\n");
    assert_eq!(result.attempts, 2);
    supervisor.close().await;
}

#[tokio::test]
async fn a_command_that_kills_its_connection_every_time_is_run_no_oftener_than_the_policy_retries() {
    let server = Sshd::start();
    let counter = server.path("counter");
    let supervisor = start(server.builder(), quick(2)).await;
    let request =
        ExecRequest::from(treacherous(&counter, 100)).retry_on_disconnect(RetryOnDisconnect::Always);
    let error = supervisor.exec(request).await.unwrap_err();
    assert_eq!(error.context().extra()["attempts"], 3);
    assert_ne!(error.sent(), SendState::NotSent);
    assert_eq!(std::fs::read_to_string(&counter).unwrap(), "run\n".repeat(3));
    supervisor.close().await;
}

#[tokio::test]
async fn a_command_whose_input_was_a_stream_is_not_run_again_once_it_was_read() {
    let server = Sshd::start();
    let counter = server.path("counter");
    let supervisor = start(server.builder(), quick(2)).await;
    let request = ExecRequest::from(treacherous(&counter, 1))
        .stdin(Stdin::reader(io::Cursor::new(b"once\n".to_vec())))
        .retry_on_disconnect(RetryOnDisconnect::Always);
    let error = supervisor.exec(request).await.unwrap_err();
    assert!(error.hint().contains("not run again"), "{}", error.hint());
    assert_eq!(std::fs::read_to_string(&counter).unwrap(), "run\n");
    supervisor.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_given_while_there_is_no_connection_waits_for_it() {
    let mut server = Sshd::start();
    let supervisor = start(server.builder(), quick(100_000)).await;
    server.stop();
    state(&supervisor, ConnectionState::Reconnecting).await;

    let late = ExecRequest::from("true").timeout(Duration::from_millis(50));
    let error = supervisor.exec(late).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::CommandTimeout);
    assert_eq!(error.sent(), SendState::NotSent);
    assert!(error.to_string().contains("there was no connection"), "{error}");

    let once = Stdin::reader(io::Cursor::new(b"read once\n".to_vec()));
    let patient = supervisor.exec(ExecRequest::from("cat").stdin(once));
    let streamed = supervisor.stream_exec("echo streamed; exit 3");
    let restarted = async {
        tokio::task::yield_now().await;
        tokio::task::block_in_place(|| server.start_again());
    };
    let (result, stream, ()) = timeout(SOON, async { tokio::join!(patient, streamed, restarted) })
        .await
        .unwrap();
    assert_eq!(result.unwrap().stdout_text(), "read once\n");
    let mut stream = stream.unwrap();
    let mut exit = None;
    while let Some(event) = stream.next().await {
        if let StreamData::Exit(Exit::Status(status)) = event.data {
            exit = Some(status.shell_code());
        }
    }
    assert_eq!(exit, Some(3));
    assert_eq!(supervisor.reconnection_count(), 1);
    supervisor.close().await;
}

#[tokio::test]
async fn a_stream_that_has_started_ends_with_its_connection() {
    let server = Sshd::start();
    let supervisor = start(server.builder(), quick(3)).await;
    let request = ExecRequest::from("echo started; sleep 30; echo again")
        .retry_on_disconnect(RetryOnDisconnect::Always);
    let mut stream = supervisor.stream_exec(request).await.unwrap();
    assert!(matches!(stream.next().await.unwrap().data, StreamData::Stdout(_)));
    server.break_connections();
    match stream.next().await.unwrap().data {
        StreamData::Exit(Exit::Failed(error)) => assert_eq!(error.sent(), SendState::Ran),
        other => panic!("{other:?}"),
    }
    reconnected(&supervisor, 1).await;
    supervisor.close().await;
}
