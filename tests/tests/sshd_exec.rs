//! Commands on a real sshd.

use std::time::Duration;

use sternline::exec::{Exit, ExitStatus, StreamData};
use sternline::{Command, Connection, ErrorKind, ExecRequest, SendState};
use sternline_tests::processes::{self, eventually};
use sternline_tests::sshd::{Settings, Sshd};

async fn connect(server: &Sshd) -> Connection {
    server.builder().connect().await.unwrap()
}

#[tokio::test]
async fn output_and_exit_status_arrive_as_the_command_made_them() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    let result = connection
        .exec(r"printf 'out\377\n'; printf err >&2; exit 3")
        .await
        .unwrap();
    assert_eq!(&result.stdout[..], b"out\xff\n");
    assert_eq!(&result.stderr[..], b"err");
    assert_eq!(result.exit_code(), Some(3));
    assert!(!result.ok());
    connection.close().await;
}

#[tokio::test]
async fn two_million_lines_all_arrive() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    let result = connection.exec("seq 1 2000000").await.unwrap();
    let mut lines = 0_u32;
    for (line, expected) in result.stdout_text().lines().zip(1..) {
        assert_eq!(line.parse(), Ok(expected));
        lines = expected;
    }
    assert_eq!(lines, 2_000_000);
}

#[tokio::test]
async fn sixty_four_mebibytes_of_binary_go_through_cat_unchanged() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    let data: Vec<u8> = (0_u32..16 << 20)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    let result = connection
        .exec(ExecRequest::new(Command::shell("cat")).stdin(data.clone()))
        .await
        .unwrap();
    assert!(result.ok());
    assert!(result.stdout == data);
}

#[tokio::test]
async fn a_signal_is_not_an_exit_code() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    let result = connection.exec("kill -9 $$").await.unwrap();
    assert_eq!(result.signal(), Some("KILL"));
    assert_eq!(result.exit_code(), None);
    assert_eq!(result.status.shell_code(), 137);
}

#[tokio::test]
async fn three_hundred_commands_at_once_get_three_hundred_right_answers() {
    let server = Settings::default().option("MaxSessions 10").start();
    let connection = connect(&server).await;
    let running: Vec<_> = (0..300)
        .map(|n| {
            let connection = connection.clone();
            tokio::spawn(async move { (n, connection.exec(format!("echo {n}; exit {}", n % 100)).await) })
        })
        .collect();
    for task in running {
        let (n, result) = task.await.unwrap();
        let result = result.unwrap();
        assert_eq!(result.stdout_text(), format!("{n}\n"));
        assert_eq!(result.exit_code(), Some(n % 100));
    }
}

#[tokio::test]
async fn fewer_sessions_than_expected_are_learned_not_failed_on() {
    let server = Settings::default().option("MaxSessions 2").start();
    let connection = connect(&server).await;
    let running: Vec<_> = (0..40)
        .map(|n| {
            let connection = connection.clone();
            tokio::spawn(async move { (n, connection.exec(format!("sleep 0.02; echo {n}")).await) })
        })
        .collect();
    for task in running {
        let (n, result) = task.await.unwrap();
        assert_eq!(result.unwrap().stdout_text(), format!("{n}\n"));
    }
    assert!(connection.command_limit() <= 2, "{}", connection.command_limit());
}

#[tokio::test]
async fn thirty_timeouts_in_a_row_leave_nothing_running_and_the_connection_usable() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    for n in 0..30 {
        let seconds = 86_000 + n;
        let command = if n % 2 == 0 {
            format!("sleep {seconds}; true")
        } else {
            format!("exec sleep {seconds}")
        };
        let request =
            ExecRequest::from(format!("echo started; {command}")).timeout(Duration::from_millis(60));
        let error = connection.exec(request).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::CommandTimeout, "{error}");
        assert!(error.to_string().contains("was ended"), "{error}");
    }
    assert_eq!(
        connection.exec("echo fine").await.unwrap().stdout_text(),
        "fine\n"
    );
    for n in 0..30 {
        let left = processes::containing(&format!("sleep {}", 86_000 + n));
        assert!(left.is_empty(), "{left:?}");
    }
}

#[tokio::test]
async fn the_partial_output_of_a_command_that_timed_out_is_kept() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    let request = ExecRequest::from("echo before; sleep 85111").timeout(Duration::from_millis(500));
    let error = connection.exec(request).await.unwrap_err();
    assert_eq!(&error.partial_output().unwrap().stdout[..], b"before\n");
    assert_eq!(error.sent(), SendState::Ran);
}

#[tokio::test]
async fn a_dropped_command_is_ended_on_the_server() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    let mut stream = connection
        .stream_exec("echo up; sleep 85222; true")
        .await
        .unwrap();
    assert!(matches!(stream.next().await.unwrap().data, StreamData::Stdout(_)));
    eventually("the shell has its child", || {
        processes::containing("sleep 85222").len() == 2
    })
    .await;
    drop(stream);
    eventually("both are gone", || {
        processes::containing("sleep 85222").is_empty()
    })
    .await;
}

#[tokio::test]
async fn cancelling_ends_with_one_exit_event_and_nothing_after_it() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    let mut stream = connection
        .stream_exec("echo up; sleep 85333; true")
        .await
        .unwrap();
    assert!(matches!(stream.next().await.unwrap().data, StreamData::Stdout(_)));
    stream.cancel();
    let event = stream.next().await.unwrap();
    assert!(
        matches!(event.data, StreamData::Exit(Exit::Cancelled(_))),
        "{event:?}"
    );
    assert!(stream.next().await.is_none());
    assert!(processes::containing("sleep 85333").is_empty());
}

#[tokio::test]
async fn a_stream_keeps_order_and_ends_in_its_exit() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    let mut stream = connection
        .stream_exec("for i in 1 2 3; do echo $i; sleep 0.05; done; exit 5")
        .await
        .unwrap();
    let mut text = String::new();
    let mut last = 0.0;
    let code = loop {
        let event = stream.next().await.unwrap();
        assert!(event.timestamp >= last);
        last = event.timestamp;
        match event.data {
            StreamData::Stdout(bytes) => text.push_str(std::str::from_utf8(&bytes).unwrap()),
            StreamData::Exit(Exit::Status(ExitStatus::Code(code))) => break code,
            other => panic!("unexpected {other:?}"),
        }
    };
    assert_eq!((text.as_str(), code), ("1\n2\n3\n", 5));
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn one_stream_that_nobody_reads_stalls_no_other() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    let mut unread = connection
        .stream_exec("head -c 100000000 /dev/zero")
        .await
        .unwrap();
    for n in 0..10 {
        let result = tokio::time::timeout(Duration::from_secs(10), connection.exec(format!("echo {n}")));
        assert_eq!(result.await.unwrap().unwrap().stdout_text(), format!("{n}\n"));
        tokio::time::timeout(Duration::from_secs(10), connection.ping())
            .await
            .unwrap()
            .unwrap();
    }
    let mut total = 0;
    while let Some(event) = unread.next().await {
        match event.data {
            StreamData::Stdout(bytes) => total += bytes.len(),
            StreamData::Exit(Exit::Status(status)) => assert_eq!(status, ExitStatus::Code(0)),
            other => panic!("unexpected {other:?}"),
        }
    }
    assert_eq!(total, 100_000_000);
}

#[tokio::test]
async fn an_exit_status_is_no_result_when_the_link_is_lost_before_the_end_of_the_output() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    // What the command leaves behind may still write; it goes with the server's folder.
    let behind = format!(
        "while [ -e {} ]; do sleep 0.1; done",
        server.path("user").display()
    );
    let mut stream = connection
        .stream_exec(format!("echo $$; {behind} & exit 3"))
        .await
        .unwrap();
    let Some(StreamData::Stdout(pid)) = stream.next().await.map(|event| event.data) else {
        panic!("no output");
    };
    let pid: u32 = String::from_utf8_lossy(&pid).trim().parse().unwrap();
    eventually("the command has ended", || {
        processes::all().iter().all(|process| process.pid != pid)
    })
    .await;
    // The status comes before the answer to this.
    connection.ping().await.unwrap();
    server.break_connections();
    let exit = stream.next().await.unwrap().data;
    let StreamData::Exit(Exit::Failed(error)) = exit else {
        panic!("{exit:?}");
    };
    assert!(error.kind().is_connection(), "{error}");
    assert_eq!(error.sent(), SendState::Ran);
    assert!(error.to_string().contains("ended with status 3"), "{error}");
}
