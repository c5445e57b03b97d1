//! Commands of a shell session that are ended before their time, and what is left then.

use std::time::{Duration, Instant};

use sternline::exec::Sudo;
use sternline::{Command, ErrorKind, ExecRequest, KeepaliveConfig, SendState, ShellSession};
use sternline_tests::processes::{self, eventually};
use sternline_tests::sshd::{Settings, Sshd};
use sternline_tests::sudoers::SudoUser;
use sternline_tests::users;

async fn session_on(server: &Sshd) -> ShellSession {
    let connection = server.builder().connect().await.unwrap();
    let session = connection.shell_session().await.unwrap();
    assert_eq!(session.fallback(), None);
    session
}

async fn out(session: &ShellSession, command: &str) -> String {
    session.run(command).await.unwrap().stdout_text().into_owned()
}

#[tokio::test]
async fn a_time_limit_ends_a_command_with_its_children_and_keeps_the_shell() {
    for user in [users::current(), users::plain()] {
        let server = Settings::default().user(user).start();
        let session = session_on(&server).await;
        let shell = out(&session, "echo $$").await;
        for command in [
            "sleep 87001",
            "sleep 87001; true",
            "exec sleep 87001",
            "sleep 87001 | cat",
            "(trap '' TERM; sleep 87001; true)",
            "while :; do sleep 87001; done",
            "while :; do :; done",
            "(sleep 87001 &); sleep 87001",
            "sh -c 'sleep 87001 & exec sleep 87001'",
            "yes",
        ] {
            let request =
                ExecRequest::from(format!("echo started; {command}")).timeout(Duration::from_millis(300));
            let error = session.run(request).await.unwrap_err();
            assert_eq!(error.kind(), &ErrorKind::CommandTimeout, "{command}: {error}");
            assert!(error.to_string().contains("was ended"), "{command}: {error}");
            assert_eq!(error.sent(), SendState::Ran, "{command}");
            assert!(
                error.partial_output().unwrap().stdout.starts_with(b"started\n"),
                "{command}"
            );
            let left = processes::containing("sleep 87001");
            assert!(left.is_empty(), "{command}: {left:?}");
            assert_eq!(out(&session, "echo $$").await, shell, "{command}");
        }
    }
}

#[tokio::test]
async fn what_an_earlier_command_has_left_in_the_background_is_not_ended_with_a_later_one() {
    let server = Sshd::start();
    let session = session_on(&server).await;
    let job = out(&session, "sleep 87101 >/dev/null 2>&1 & echo $!").await;
    let begun = Instant::now();
    // The system counts starts in hundredths of a second.
    eventually("they differ in their start", || {
        begun.elapsed() > Duration::from_millis(50)
    })
    .await;
    let request = ExecRequest::from("sleep 87102").timeout(Duration::from_millis(100));
    session.run(request).await.unwrap_err();
    assert!(processes::containing("sleep 87102").is_empty());
    assert_eq!(processes::containing("sleep 87101").len(), 1);
    session
        .run(format!("kill {job}"))
        .await
        .unwrap()
        .success()
        .unwrap();
}

#[tokio::test]
async fn a_shell_that_is_itself_the_command_is_ended_and_so_is_the_session() {
    let server = Sshd::start();
    let session = session_on(&server).await;
    session.run_and_keep("X=1").await.unwrap();
    // A child can be ended, and what was kept stays.
    let request = ExecRequest::from("sleep 87201").timeout(Duration::from_millis(200));
    assert_eq!(
        session.run_and_keep(request).await.unwrap_err().kind(),
        &ErrorKind::CommandTimeout
    );
    assert_eq!(out(&session, "echo $X").await, "1\n");
    let request = ExecRequest::from("while :; do :; done").timeout(Duration::from_millis(200));
    let error = session.run_and_keep(request).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::CommandTimeout);
    assert!(error.to_string().contains("was ended"), "{error}");
    let error = session.run("echo $X").await.unwrap_err();
    assert!(error.to_string().contains("what it had kept is gone"), "{error}");
}

#[tokio::test]
async fn a_dropped_call_ends_its_command_and_the_next_one_waits_for_that() {
    let server = Sshd::start();
    let session = session_on(&server).await;
    let shell = out(&session, "echo $$").await;
    for _ in 0..3 {
        let running = tokio::spawn({
            let session = session.clone();
            async move { session.run("sleep 87301; true").await }
        });
        eventually("it runs", || !processes::containing("sleep 87301").is_empty()).await;
        running.abort();
        assert_eq!(out(&session, "echo $$").await, shell);
        assert!(processes::containing("sleep 87301").is_empty());
    }
}

#[tokio::test]
async fn closing_the_connection_waits_for_a_dropped_command_to_be_ended() {
    let server = Sshd::start();
    let connection = server.builder().connect().await.unwrap();
    let session = connection.shell_session().await.unwrap();
    let running = tokio::spawn({
        let session = session.clone();
        async move { session.run("sleep 87401; true").await }
    });
    eventually("it runs", || !processes::containing("sleep 87401").is_empty()).await;
    running.abort();
    let _ = running.await;
    connection.close().await;
    assert!(processes::containing("sleep 87401").is_empty());
}

#[tokio::test]
async fn waiting_for_a_turn_counts_and_sends_nothing() {
    let server = Sshd::start();
    let session = session_on(&server).await;
    let long = tokio::spawn({
        let session = session.clone();
        async move { session.run("sleep 87501").await }
    });
    eventually("it runs", || !processes::containing("sleep 87501").is_empty()).await;
    let request = ExecRequest::from("echo never").timeout(Duration::from_millis(100));
    let error = session.run(request).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.sent()),
        (&ErrorKind::CommandTimeout, SendState::NotSent)
    );
    long.abort();
    assert_eq!(out(&session, "echo fine").await, "fine\n");
}

#[tokio::test]
async fn a_lost_connection_says_how_far_the_command_got() {
    let server = Sshd::start();
    let session = session_on(&server).await;
    let running = tokio::spawn({
        let session = session.clone();
        async move { session.run("echo before; sleep 87601").await }
    });
    eventually("it runs", || !processes::containing("sleep 87601").is_empty()).await;
    server.break_connections();
    let error = running.await.unwrap().unwrap_err();
    assert!(error.kind().is_connection(), "{error}");
    assert_eq!(error.sent(), SendState::Ran);
    assert_eq!(&error.partial_output().unwrap().stdout[..], b"before\n");
    let error = session.run("true").await.unwrap_err();
    assert!(error.kind().is_connection(), "{error}");
    assert_eq!(error.sent(), SendState::NotSent);
}

#[tokio::test]
async fn a_server_that_is_frozen_is_asked_once_and_not_twice() {
    let server = Sshd::start();
    let session = session_on(&server).await;
    // The process that serves the connection stops, and goes on after twenty seconds.
    let freeze = "p=$PPID; (exec sh -c 'sleep 20; kill -CONT $1' sh $p) >/dev/null 2>&1 & kill -STOP $PPID";
    let begun = Instant::now();
    let request = ExecRequest::from(freeze).timeout(Duration::from_millis(500));
    let error = session.run(request).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::CommandTimeout, "{error}");
    assert_eq!(error.to_dict()["remote_process_may_survive"], true);
    // Eight seconds are the server's to answer.
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(14), "{took:?}");
}

#[tokio::test]
async fn what_runs_as_another_user_is_ended_too() {
    let Some(user) = SudoUser::new("USER ALL=(ALL:ALL) NOPASSWD: ALL") else {
        return;
    };
    let server = Settings::default().user(user.user()).start();
    let session = session_on(&server).await;
    let command = Command::shell("sleep 87701; true").sudo(Sudo::NonInteractive);
    let error = session
        .run(ExecRequest::new(command).timeout(Duration::from_millis(500)))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("was ended"), "{error}");
    assert!(processes::containing("sleep 87701").is_empty());
    assert_eq!(out(&session, "echo fine").await, "fine\n");
}

#[tokio::test]
async fn where_no_other_session_is_allowed_the_command_may_survive_and_the_error_says_so() {
    let server = Settings::default().option("MaxSessions 1").start();
    let session = session_on(&server).await;
    let request = ExecRequest::from("sleep 87801").timeout(Duration::from_millis(200));
    let error = session.run(request).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::CommandTimeout);
    assert_eq!(
        error.context().extra().get("remote_process_may_survive"),
        Some(&true.into()),
        "{error}"
    );
}

#[tokio::test]
async fn a_command_that_stalls_is_ended_and_one_that_moves_is_not() {
    let server = Sshd::start();
    let keepalive = KeepaliveConfig {
        progress_timeout: Some(Duration::from_millis(500)),
        ..KeepaliveConfig::default()
    };
    let connection = server.builder().keepalive(keepalive).connect().await.unwrap();
    let session = connection.shell_session().await.unwrap();
    let moving = "for i in 1 2 3 4 5 6 7 8 9 10; do echo $i; sleep 0.1; done";
    assert_eq!(out(&session, moving).await.lines().count(), 10);
    let error = session.run("echo before; sleep 87901").await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::ProgressTimeout, "{error}");
    assert!(processes::containing("sleep 87901").is_empty());
    assert_eq!(out(&session, "echo fine").await, "fine\n");
}
