//! The engine against peers, files and callers that mean harm, or are merely odd.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sternline::exec::{Exit, Pty, RemoteEnd, Stdin, StreamData};
use sternline::{Connection, Deadlines, ErrorKind, ExecRequest, KeepaliveConfig, StreamExec};
use sternline_tests::processes;
use sternline_tests::sshd::Sshd;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::timeout;

async fn connect(server: &Sshd) -> Connection {
    server.builder().connect().await.unwrap()
}

async fn exit(stream: &mut StreamExec) -> Exit {
    loop {
        if let StreamData::Exit(exit) = stream.next().await.unwrap().data {
            return exit;
        }
    }
}

/// Waits until the command has said something, which it does when it is up.
async fn up(stream: &mut StreamExec) {
    assert!(matches!(stream.next().await.unwrap().data, StreamData::Stdout(_)));
}

/// Stops all processes of a server, as a machine that hangs would; lets them go on when dropped.
struct Frozen(Vec<Pid>);

impl Frozen {
    fn new(server: &Sshd) -> Self {
        let pids = processes::tree(server.pid())
            .into_iter()
            .filter_map(|pid| i32::try_from(pid).ok().and_then(Pid::from_raw))
            .collect::<Vec<_>>();
        for pid in &pids {
            let _ = kill_process(*pid, Signal::STOP);
        }
        Self(pids)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        for pid in &self.0 {
            let _ = kill_process(*pid, Signal::CONT);
        }
    }
}

/// Freezes the server, and sends more than the sockets on the way can hold: whoever writes then waits.
async fn clog(server: &Sshd, connection: &Connection) -> Frozen {
    let mut writers = Vec::new();
    for _ in 0..8 {
        let request = ExecRequest::from("echo up; cat >/dev/null").stdin(Stdin::Piped);
        let mut stream = connection.stream_exec(request).await.unwrap();
        up(&mut stream).await;
        writers.push((stream.take_stdin().unwrap(), stream));
    }
    let frozen = Frozen::new(server);
    for (stdin, stream) in writers {
        tokio::spawn(async move {
            let _stream = stream;
            while stdin.write(vec![0; 1024 * 1024]).await.is_ok() {}
        });
    }
    // It queues up behind all that, and gives the writers the time to get stuck.
    let ping = timeout(Duration::from_millis(300), connection.ping()).await;
    assert!(ping.is_err(), "a frozen server answers");
    frozen
}

/// Panics when it is first read.
struct BadInput;

impl AsyncRead for BadInput {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        panic!("a reader of the caller's panics");
    }
}

#[tokio::test]
async fn commands_with_backslashes_are_ended_like_others() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    for command in [
        r"printf 'a\tb\n\c'; sleep 85001; true",
        r"echo 'x\nchild 1 1 0 forged\nend\nself 1'; sleep 85001; true",
    ] {
        let request = ExecRequest::from(command).timeout(Duration::from_millis(300));
        let started = Instant::now();
        let error = connection.exec(request).await.unwrap_err();
        assert!(error.to_string().contains("was ended"), "{command}: {error}");
        assert!(started.elapsed() < Duration::from_secs(5), "{command}");
        assert!(processes::containing("sleep 85001").is_empty(), "{command}");
    }
}

#[tokio::test]
async fn a_start_file_that_writes_half_a_line_does_not_keep_a_command_alive() {
    let server = Sshd::start();
    std::fs::write(server.path("home").join(".bashrc"), "printf 'Welcome, '\n").unwrap();
    let connection = connect(&server).await;
    let request = ExecRequest::from("sleep 85101; true").timeout(Duration::from_millis(300));
    let error = connection.exec(request).await.unwrap_err();
    assert!(error.to_string().contains("was ended"), "{error}");
    assert_eq!(
        error.partial_output().unwrap().stdout,
        &b"Welcome, "[..],
        "the start file was not read: this proves nothing"
    );
    assert!(processes::containing("sleep 85101").is_empty());
}

#[tokio::test]
async fn a_long_command_in_another_script_is_found_among_others() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    // Two that exit unnoticed cannot be arranged; twins with a different tail can: only the texts tell them apart.
    let text = "é".repeat(20_000);
    let command = format!("sleep 85201; : x{text}");
    let request = ExecRequest::from(command).timeout(Duration::from_millis(300));
    let error = connection.exec(request).await.unwrap_err();
    assert!(error.to_string().contains("was ended"), "{error}");
    assert!(processes::containing("sleep 85201").is_empty());
}

#[tokio::test]
async fn nine_commands_that_ignore_the_first_signal_are_all_ended() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    let mut streams = Vec::new();
    for _ in 0..9 {
        let mut stream = connection
            .stream_exec("trap '' TERM; echo up; while :; do sleep 25.301; done")
            .await
            .unwrap();
        up(&mut stream).await;
        stream.cancel();
        streams.push(tokio::spawn(async move { exit(&mut stream).await }));
    }
    for stream in streams {
        let outcome = stream.await.unwrap();
        assert!(
            matches!(outcome, Exit::Cancelled(RemoteEnd::Ended)),
            "{outcome:?}"
        );
    }
    assert!(processes::containing("sleep 25.301").is_empty());
}

#[tokio::test]
async fn a_command_counts_as_ended_only_when_its_whole_group_is_gone() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    let command = "(trap '' TERM; exec sleep 25.801) </dev/null >/dev/null 2>&1 & wait";
    let request = ExecRequest::from(command).timeout(Duration::from_millis(300));
    let error = connection.exec(request).await.unwrap_err();
    assert!(error.to_string().contains("was ended"), "{error}");
    assert!(processes::containing("sleep 25.801").is_empty());
}

#[tokio::test]
async fn a_time_limit_holds_although_the_server_answers_nothing() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    connection.exec("true").await.unwrap();
    let _frozen = Frozen::new(&server);
    for request in [
        ExecRequest::from("true").pty(Pty::default()),
        ExecRequest::from("true"),
        ExecRequest::from("cat").stdin(vec![0; 8 * 1024 * 1024]),
    ] {
        let started = Instant::now();
        let limited = connection.exec(request.timeout(Duration::from_millis(300)));
        let outcome = timeout(Duration::from_secs(20), limited).await;
        let error = outcome.expect("the time limit did not hold").unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::CommandTimeout, "{error}");
        assert!(started.elapsed() < Duration::from_secs(12));
    }
}

#[tokio::test]
async fn a_terminal_that_is_never_granted_is_not_waited_for_without_end() {
    let server = Sshd::start();
    let deadlines = {
        let mut deadlines = Deadlines::default();
        deadlines.channel = Duration::from_millis(500);
        deadlines
    };
    let connection = server.builder().deadlines(deadlines).connect().await.unwrap();
    connection.exec("true").await.unwrap();
    let _frozen = Frozen::new(&server);
    let outcome = timeout(Duration::from_secs(10), connection.shell(Pty::default())).await;
    let error = outcome.expect("waited without end").unwrap_err();
    assert_eq!(error.phase(), Some(sternline::Phase::Channel), "{error}");
}

#[tokio::test]
async fn keepalive_notices_a_server_that_hangs_while_it_is_being_written_to() {
    let server = Sshd::start();
    let connection = server
        .builder()
        .keepalive(KeepaliveConfig {
            interval: Duration::from_millis(200),
            max_count: 2,
            ..KeepaliveConfig::default()
        })
        .connect()
        .await
        .unwrap();
    let mut stream = connection.stream_exec("echo up; sleep 25.601").await.unwrap();
    up(&mut stream).await;
    let frozen = clog(&server, &connection).await;
    let outcome = timeout(Duration::from_secs(10), exit(&mut stream)).await;
    let Exit::Failed(error) = outcome.expect("the hang was not noticed") else {
        panic!("not a failure")
    };
    assert!(error.to_string().contains("keepalive"), "{error}");
    drop(frozen);
}

#[tokio::test]
async fn a_reader_that_panics_stops_its_command() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    let request = ExecRequest::from("cat; sleep 85401").stdin(Stdin::reader(BadInput));
    let outcome = timeout(Duration::from_secs(10), connection.exec(request)).await;
    let error = outcome.expect("the command waits for its input").unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Local, "{error}");
    assert!(processes::containing("sleep 85401").is_empty());
}

#[tokio::test]
async fn the_longest_time_limit_there_is_means_none() {
    let server = Sshd::start();
    let deadlines = {
        let mut deadlines = Deadlines::default();
        deadlines.overall = Duration::MAX;
        deadlines.resolve = Some(Duration::MAX);
        deadlines.tcp = Some(Duration::MAX);
        deadlines.banner = Some(Duration::MAX);
        deadlines.kex = Some(Duration::MAX);
        deadlines.auth = Some(Duration::MAX);
        deadlines.channel = Duration::MAX;
        deadlines
    };
    let connection = server.builder().deadlines(deadlines).connect().await.unwrap();
    let request = ExecRequest::from("echo done").timeout(Duration::MAX);
    assert_eq!(connection.exec(request).await.unwrap().stdout_text(), "done\n");
}

#[tokio::test]
async fn files_that_never_end_or_never_begin_do_not_hold_up_a_connection() {
    let server = Sshd::start();
    let fifo = server.path("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    let (log, hosts) = (fifo.clone(), fifo.clone());
    let builders = [
        server.builder().event_log_path(log),
        server.builder().known_hosts([hosts]),
        server.builder().known_hosts(["/dev/zero".into()]),
        server.builder().client_keys([fifo.clone()]),
    ];
    for (number, builder) in builders.into_iter().enumerate() {
        // On a thread of its own: what blocks a thread blocks a time limit too.
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let _ = sender.send(runtime.block_on(builder.connect()).map(drop));
        });
        let outcome = receiver.recv_timeout(Duration::from_secs(10));
        let outcome = outcome.unwrap_or_else(|_| panic!("number {number} hangs"));
        if number < 3 {
            assert!(outcome.is_err(), "number {number}");
        }
    }
}

#[tokio::test]
async fn closing_ends_every_running_and_waiting_command_with_an_error() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    let mut first = connection.stream_exec("echo up; sleep 25.501").await.unwrap();
    up(&mut first).await;
    let commands: Vec<_> = (0..50)
        .map(|_| {
            let connection = connection.clone();
            tokio::spawn(async move { connection.exec("sleep 25.502").await })
        })
        .collect();
    processes::eventually("eight more run", || {
        processes::containing("sleep 25.502").len() >= 8
    })
    .await;
    connection.close().await;
    for command in commands {
        let outcome = timeout(Duration::from_secs(10), command).await.expect("hangs");
        let error = outcome.unwrap().unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Connection, "{error}");
    }
    assert!(matches!(exit(&mut first).await, Exit::Failed(_)));
    assert!(connection.exec("true").await.is_err());
}

#[tokio::test]
async fn closing_ends_a_connection_whose_server_hangs() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    let mut stream = connection.stream_exec("echo up; sleep 25.701").await.unwrap();
    up(&mut stream).await;
    let _frozen = clog(&server, &connection).await;
    connection.close().await;
    let outcome = timeout(Duration::from_secs(5), exit(&mut stream)).await;
    assert!(matches!(outcome.expect("the command hangs"), Exit::Failed(_)));
    assert!(!connection.is_connected());
}

#[tokio::test]
async fn a_request_that_would_end_the_connection_is_refused_and_the_others_go_on() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    for request in [
        ExecRequest::from(format!(": {}", "x".repeat(300 * 1024))),
        ExecRequest::from("true").request_env("A", "x".repeat(300 * 1024)),
        ExecRequest::from("true").request_env("A", "x\0y"),
        ExecRequest::from("true").request_env("A\0", "x"),
        ExecRequest::from("true").request_env("A=B", "x"),
        ExecRequest::from("true").request_env("", "x"),
        ExecRequest::from("true").pty(Pty {
            term: "x\0term".into(),
            ..Pty::default()
        }),
    ] {
        let error = connection.exec(request).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Invalid, "{error}");
    }
    // What the limit lets through does not end the connection either.
    let long = format!(": {}", "x".repeat(254 * 1024));
    connection.exec(long.as_str()).await.unwrap();
    assert!(connection.exec("true").await.unwrap().ok());
}

#[test]
fn a_stream_that_is_dropped_outside_of_its_runtime_ends_its_process() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let server = Sshd::start();
    let connection = runtime.block_on(connect(&server));
    let stream = runtime.block_on(async {
        let mut stream = connection
            .stream_exec("echo up; sleep 85901; true")
            .await
            .unwrap();
        up(&mut stream).await;
        stream
    });
    assert!(!processes::containing("sleep 85901").is_empty());
    drop(stream);
    runtime.block_on(processes::eventually("it ends", || {
        processes::containing("sleep 85901").is_empty()
    }));
}
