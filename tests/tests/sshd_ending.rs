//! Ending remote processes: as root and as a plain user, among many others, and where it is impossible.

use std::time::Duration;

use sternline::exec::{Exit, ExitStatus, RemoteEnd, StreamData};
use sternline::{Connection, ErrorKind, ExecRequest, StreamExec};
use sternline_tests::left_out::left_out;
use sternline_tests::sshd::{Settings, Sshd};
use sternline_tests::{processes, users};

async fn connect(server: &Sshd) -> Connection {
    server.builder().connect().await.unwrap()
}

/// Waits until the command has said something, which it does when it is up.
async fn up(stream: &mut StreamExec) {
    assert!(matches!(stream.next().await.unwrap().data, StreamData::Stdout(_)));
}

async fn exit(stream: &mut StreamExec) -> Exit {
    loop {
        if let StreamData::Exit(exit) = stream.next().await.unwrap().data {
            return exit;
        }
    }
}

#[tokio::test]
async fn a_plain_users_processes_are_ended_with_their_children() {
    let user = users::plain();
    let server = Settings::default().user(user).start();
    let connection = connect(&server).await;
    for command in [
        "sleep 84001; true",
        "exec sleep 84001",
        "sleep 84001 | cat",
        "(trap '' TERM; sleep 84001; true)",
    ] {
        let request = ExecRequest::from(command).timeout(Duration::from_millis(300));
        let error = connection.exec(request).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::CommandTimeout);
        assert!(error.to_string().contains("was ended"), "{command}: {error}");
        assert!(processes::containing("sleep 84001").is_empty(), "{command}");
    }
}

#[tokio::test]
async fn only_the_one_that_was_meant_is_ended_among_twins() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    let mut twins = Vec::new();
    for _ in 0..6 {
        let mut stream = connection
            .stream_exec("echo $$; sleep 84100; true")
            .await
            .unwrap();
        let StreamData::Stdout(pid) = stream.next().await.unwrap().data else {
            panic!("no pid")
        };
        twins.push((
            String::from_utf8(pid.to_vec())
                .unwrap()
                .trim()
                .parse::<u32>()
                .unwrap(),
            stream,
        ));
    }
    for at in [3, 0, 2] {
        let (pid, mut stream) = twins.remove(at);
        stream.cancel();
        let outcome = exit(&mut stream).await;
        assert!(
            matches!(outcome, Exit::Cancelled(RemoteEnd::Ended)),
            "{outcome:?}"
        );
        let left: Vec<u32> = processes::all()
            .iter()
            .filter(|process| !process.zombie)
            .map(|process| process.pid)
            .collect();
        assert!(!left.contains(&pid), "the one that was meant still runs");
        for (other, _) in &twins {
            assert!(left.contains(other), "another one was ended");
        }
    }
    for (_, stream) in twins {
        drop(stream);
    }
}

#[tokio::test]
async fn nine_timeouts_at_once_leave_nothing_and_free_their_sessions() {
    let server = Settings::default().option("MaxSessions 10").start();
    let connection = connect(&server).await;
    let running: Vec<_> = (0..27)
        .map(|n| {
            let connection = connection.clone();
            tokio::spawn(async move {
                let request = ExecRequest::from(format!("echo up; sleep 842{n:02}; true"))
                    .timeout(Duration::from_secs(if n < 9 { 1 } else { 60 }));
                let mut stream = connection.stream_exec(request).await.unwrap();
                up(&mut stream).await;
                if n >= 9 {
                    stream.cancel();
                }
                exit(&mut stream).await
            })
        })
        .collect();
    for task in running {
        match task.await.unwrap() {
            Exit::Failed(error) => assert!(error.to_string().contains("was ended"), "{error}"),
            Exit::Cancelled(remote) => assert_eq!(remote, RemoteEnd::Ended),
            other => panic!("unexpected {other:?}"),
        }
    }
    assert!(processes::containing("sleep 842").is_empty());
    for n in 0..20 {
        assert_eq!(
            connection.exec(format!("echo {n}")).await.unwrap().stdout_text(),
            format!("{n}\n")
        );
    }
    assert_eq!(connection.command_limit(), 9, "no session was lost");
}

#[tokio::test]
async fn a_time_limit_and_a_cancel_hold_while_the_output_is_not_read() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    for limit in [Some(Duration::from_secs(1)), None] {
        let mut request = ExecRequest::from("seq 1000000; exec sleep 84310");
        if let Some(limit) = limit {
            request = request.timeout(limit);
        }
        let mut stream = connection.stream_exec(request).await.unwrap();
        up(&mut stream).await;
        let canceller = stream.canceller();
        let running = || !processes::containing("sleep 84310").is_empty();
        let paused = async {
            processes::eventually("it runs", running).await;
            if limit.is_none() {
                canceller.cancel();
            }
            processes::eventually("it was ended", || !running()).await;
        };
        stream.meanwhile(paused).await;
        // What it had written is there all the same.
        let mut lines = 0;
        let exit = loop {
            match stream.next().await.unwrap().data {
                StreamData::Stdout(bytes) => lines += bytes.iter().filter(|byte| **byte == b'\n').count(),
                StreamData::Stderr(_) => {}
                StreamData::Exit(exit) => break exit,
            }
        };
        assert!(lines > 900_000, "{lines}");
        match (limit, exit) {
            (Some(_), Exit::Failed(error)) => assert_eq!(error.kind(), &ErrorKind::CommandTimeout),
            (None, Exit::Cancelled(remote)) => assert_eq!(remote, RemoteEnd::Ended),
            other => panic!("unexpected {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_command_that_ends_within_its_time_was_not_late_because_it_is_read_later() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    let limit = Duration::from_secs(2);
    let request = ExecRequest::from("seq 1000000; exit 7").timeout(limit);
    let mut stream = connection.stream_exec(request).await.unwrap();
    stream.meanwhile(tokio::time::sleep(limit + limit / 4)).await;
    let outcome = exit(&mut stream).await;
    assert!(
        matches!(outcome, Exit::Status(ExitStatus::Code(7))),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_command_in_a_terminal_is_ended_too() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    let request = ExecRequest::from("echo up; sleep 84300; true")
        .pty(sternline::exec::Pty::default())
        .timeout(Duration::from_millis(500));
    let error = connection.exec(request).await.unwrap_err();
    assert!(error.to_string().contains("was ended"), "{error}");
    assert!(processes::containing("sleep 84300").is_empty());
}

#[tokio::test]
async fn where_no_second_session_is_allowed_the_result_says_what_is_known() {
    let server = Settings::default().option("MaxSessions 1").start();
    let connection = connect(&server).await;
    let request = ExecRequest::from("echo up; sleep 84400; true").timeout(Duration::from_millis(300));
    let error = connection.exec(request).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::CommandTimeout);
    let survives = error
        .context()
        .extra()
        .get("remote_process_may_survive")
        .and_then(|value| value.as_bool());
    // sshd obeys signals of plain users and ignores those of root.
    if users::is_root() {
        assert_eq!(survives, Some(true), "{error}");
        assert!(error.to_string().contains("may still run"), "{error}");
    } else {
        assert_eq!(survives, Some(false), "{error}");
    }
}

#[tokio::test]
async fn a_plain_user_without_a_second_session_is_helped_by_the_ssh_signal() {
    if !users::is_root() && users::plain() == users::current() {
        left_out(
            "ending a process by SSH signal as another user",
            "run scripts/test as root",
        );
        return;
    }
    let server = Settings::default()
        .option("MaxSessions 1")
        .user(users::plain())
        .start();
    let connection = connect(&server).await;
    let request = ExecRequest::from("echo up; exec sleep 84500").timeout(Duration::from_millis(300));
    let error = connection.exec(request).await.unwrap_err();
    assert!(error.to_string().contains("was ended"), "{error}");
    assert!(processes::containing("sleep 84500").is_empty());
}

#[tokio::test]
async fn what_a_finished_command_left_in_the_background_is_not_ours_to_end() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    let request = ExecRequest::from("sleep 84600 & echo done").timeout(Duration::from_millis(500));
    let error = connection.exec(request).await.unwrap_err();
    assert_eq!(&error.partial_output().unwrap().stdout[..], b"done\n");
    assert!(error.to_string().contains("left in the background"), "{error}");
    assert_eq!(error.to_dict()["remote_process_may_survive"], true);
    let left = processes::containing("sleep 84600");
    assert_eq!(left.len(), 1);
    for process in left {
        let pid = rustix::process::Pid::from_raw(i32::try_from(process.pid).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
}

#[tokio::test]
async fn on_a_server_of_one_process_the_commands_of_other_connections_are_safe() {
    let server = sternline_server::Server::builder()
        .user("me", sternline_server::Credential::password("secret"))
        .real_shell()
        .bind()
        .await
        .unwrap();
    let known_hosts =
        sternline::host_key::KnownHosts::from_bytes("memory", server.known_hosts_line().as_bytes());
    let connect = || {
        Connection::builder(format!("me@127.0.0.1:{}", server.port()))
            .known_hosts_parsed(known_hosts.clone(), None)
            .password("secret")
            .connect()
    };
    let (ours, other) = (connect().await.unwrap(), connect().await.unwrap());
    let twin = "echo up; exec sleep 84700";
    let mut theirs = other.stream_exec(twin).await.unwrap();
    up(&mut theirs).await;
    let mut stream = ours.stream_exec(twin).await.unwrap();
    up(&mut stream).await;
    stream.cancel();
    let outcome = exit(&mut stream).await;
    assert!(
        matches!(outcome, Exit::Cancelled(RemoteEnd::Ended)),
        "{outcome:?}"
    );
    assert_eq!(processes::containing("sleep 84700").len(), 1, "the other one's");
    theirs.cancel();
    exit(&mut theirs).await;
    assert!(processes::containing("sleep 84700").is_empty());
}
