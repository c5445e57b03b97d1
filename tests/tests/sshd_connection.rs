//! What a connection promises beside its commands: events, lost links, input, liveness, and that nothing leaks.

use std::time::Duration;

use sternline::exec::{Exit, ExitStatus, Pty, Stdin, StreamData};
use sternline::{
    Command, Connection, ErrorKind, EventCollector, EventType, ExecRequest, KeepaliveConfig, Phase, SendState,
};
use sternline_tests::processes;
use sternline_tests::sshd::{Settings, Sshd};

async fn connect(server: &Sshd) -> Connection {
    server.builder().connect().await.unwrap()
}

fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// The server's processes for connections, without the listener.
fn connection_processes(server: &Sshd) -> Vec<u32> {
    processes::tree(server.pid())
        .into_iter()
        .filter(|pid| *pid != server.pid())
        .collect()
}

#[tokio::test]
async fn the_events_of_a_connection_come_in_order_and_in_the_log_too() {
    let server = Sshd::start();
    let events = EventCollector::new();
    let log = server.path("events/log.jsonl");
    let connection = server
        .builder()
        .events(&events)
        .event_log_path(&log)
        .connect()
        .await
        .unwrap();
    connection.exec("echo out; echo error >&2; exit 4").await.unwrap();
    connection.close().await;
    connection.close().await;
    let events = events.events();
    let names: Vec<&str> = events.iter().map(|event| event.event_type.as_str()).collect();
    assert_eq!(names, ["CONNECT", "AUTH", "CONNECT", "EXEC", "DISCONNECT"]);
    assert_eq!(events[0].data["status"], "initiating");
    assert_eq!(events[1].data["status"], "success");
    assert_eq!(events[1].data["method"], "private_key");
    assert_eq!(events[2].data["status"], "connected");
    assert_eq!(events[2].data["auth_method"], "private_key");
    assert_eq!(events[3].data["command"], "echo out; echo error >&2; exit 4");
    assert_eq!(events[3].data["exit_code"], 4);
    assert_eq!(events[3].data["stdout_len"], 4);
    assert_eq!(events[3].data["stderr_len"], 6);
    assert_eq!(events[4].data["reason"], "normal");
    let logged: Vec<_> = std::fs::read_to_string(&log)
        .unwrap()
        .lines()
        .map(|line| sternline::Event::from_json(line).unwrap())
        .collect();
    assert_eq!(logged, events);
}

#[tokio::test]
async fn a_connection_lost_in_mid_command_is_an_error_that_keeps_the_output_and_says_it_ran() {
    let server = Sshd::start();
    let events = EventCollector::new();
    let connection = server.builder().events(&events).connect().await.unwrap();
    let mut stream = connection.stream_exec("echo before; sleep 25.830").await.unwrap();
    assert!(matches!(stream.next().await.unwrap().data, StreamData::Stdout(_)));
    let waiting = {
        let connection = connection.clone();
        tokio::spawn(async move { connection.exec("echo partial; sleep 25.831").await })
    };
    processes::eventually("the second command runs", || {
        !processes::containing("sleep 25.831").is_empty()
    })
    .await;
    // Only the server's own: a command that is killed has an exit of its own to report.
    let own: Vec<u32> = processes::containing("sshd: ")
        .iter()
        .map(|process| process.pid)
        .collect();
    for pid in connection_processes(&server)
        .into_iter()
        .filter(|pid| own.contains(pid))
    {
        signal(pid, rustix::process::Signal::KILL);
    }
    let error = waiting.await.unwrap().unwrap_err();
    assert_eq!(
        (error.kind(), error.phase()),
        (&ErrorKind::Connection, Some(Phase::Exec)),
        "{error}"
    );
    assert_eq!(error.sent(), SendState::Ran);
    assert_eq!(&error.partial_output().unwrap().stdout[..], b"partial\n");
    let event = stream.next().await.unwrap();
    assert!(
        matches!(&event.data, StreamData::Exit(Exit::Failed(error)) if error.sent() == SendState::Ran),
        "{event:?}"
    );
    assert!(stream.next().await.is_none());
    assert!(!connection.is_connected());
    let late = connection.exec("true").await.unwrap_err();
    assert_eq!(
        (late.kind(), late.sent()),
        (&ErrorKind::Connection, SendState::NotSent),
        "{late}"
    );
    assert!(connection.ping().await.is_err());
    drop(connection.ended().await);
    assert_eq!(
        events.by_type(EventType::Disconnect)[0].data["reason"],
        "network_error"
    );
}

#[tokio::test]
async fn a_server_that_falls_silent_is_noticed_by_keepalive() {
    let server = Sshd::start();
    let events = EventCollector::new();
    let keepalive = KeepaliveConfig {
        interval: Duration::from_millis(100),
        max_count: 2,
        ..KeepaliveConfig::default()
    };
    let connection = server
        .builder()
        .keepalive(keepalive)
        .events(&events)
        .connect()
        .await
        .unwrap();
    connection.exec("true").await.unwrap();
    let frozen = connection_processes(&server);
    for pid in &frozen {
        signal(*pid, rustix::process::Signal::STOP);
    }
    let error = tokio::time::timeout(Duration::from_secs(10), connection.ended())
        .await
        .unwrap();
    assert!(error.to_string().contains("keepalive"), "{error}");
    while events.by_type(EventType::Disconnect).is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        events.by_type(EventType::Disconnect)[0].data["reason"],
        "keepalive_timeout"
    );
}

#[tokio::test]
async fn input_comes_from_bytes_files_and_readers_and_goes_to_waste_quietly_when_nobody_reads_it() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    let empty = connection.exec("cat; echo end").await.unwrap();
    assert_eq!(empty.stdout_text(), "end\n");
    let path = server.path("input");
    std::fs::write(&path, "from a file\n").unwrap();
    let file = std::fs::File::open(&path).unwrap();
    let result = connection
        .exec(ExecRequest::from("cat").stdin(file))
        .await
        .unwrap();
    assert_eq!(result.stdout_text(), "from a file\n");
    let reader = tokio::io::AsyncReadExt::take(tokio::io::repeat(b'x'), 5_000_000);
    let result = connection
        .exec(ExecRequest::from("wc -c").stdin(Stdin::reader(reader)))
        .await
        .unwrap();
    assert_eq!(result.stdout_text().trim(), "5000000");
    let unread = connection
        .exec(ExecRequest::from("exit 7").stdin(vec![0; 64 << 20]))
        .await
        .unwrap();
    assert_eq!(unread.exit_code(), Some(7));
}

#[tokio::test]
async fn input_that_cannot_be_read_to_its_end_stops_the_command_instead_of_looking_complete() {
    struct Broken(u32);
    impl tokio::io::AsyncRead for Broken {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            _cx: &mut std::task::Context<'_>,
            buf: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            if self.0 == 0 {
                return std::task::Poll::Ready(Err(std::io::Error::other("the disk is gone")));
            }
            self.0 -= 1;
            buf.put_slice(b"half\n");
            std::task::Poll::Ready(Ok(()))
        }
    }
    let server = Sshd::start();
    let connection = connect(&server).await;
    let request = ExecRequest::from("cat; sleep 83100").stdin(Stdin::reader(Broken(3)));
    let error = connection.exec(request).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Local, "{error}");
    assert!(error.to_string().contains("the disk is gone"), "{error}");
    assert!(processes::containing("sleep 83100").is_empty());
}

#[tokio::test]
async fn environment_and_terminal_are_requested_and_refusals_are_named() {
    let server = Settings::default().option("AcceptEnv GOOD").start();
    let connection = connect(&server).await;
    let request = ExecRequest::from("echo $GOOD-$BAD")
        .request_env("GOOD", "yes")
        .request_env("BAD", "no");
    let result = connection.exec(request).await.unwrap();
    assert_eq!(result.stdout_text(), "yes-\n");
    assert_eq!(result.env_refused, ["BAD"]);

    let pty = Pty {
        term: "vt100".into(),
        columns: 91,
        rows: 33,
    };
    let result = connection
        .exec(ExecRequest::from("echo $TERM; stty size; tty >&2").pty(pty))
        .await
        .unwrap();
    let text = result.stdout_text();
    assert!(text.starts_with("vt100\r\n33 91\r\n/dev/"), "{text}");
    assert!(result.stderr.is_empty());
}

#[tokio::test]
async fn a_composed_command_sees_its_directory_and_its_environment() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    let dir = server.path("a dir with 'quotes'");
    std::fs::create_dir(&dir).unwrap();
    let command = Command::program("sh")
        .args(["-c", "pwd; echo \"$GREETING\""])
        .cwd(dir.to_str().unwrap());
    let result = connection
        .exec(command.env("GREETING", "it's $HOME"))
        .await
        .unwrap()
        .success()
        .unwrap();
    assert_eq!(result.stdout_text(), format!("{}\nit's $HOME\n", dir.display()));
}

#[tokio::test]
async fn a_refused_command_is_an_error_and_frees_its_session() {
    let server = Settings::default().option("PermitTTY no").start();
    let connection = connect(&server).await;
    for _ in 0..20 {
        let error = connection
            .exec(ExecRequest::from("true").pty(Pty::default()))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Channel);
        assert!(error.to_string().contains("terminal"), "{error}");
    }
    assert!(connection.exec("true").await.unwrap().ok());
    assert_eq!(connection.command_limit(), 9);
}

#[tokio::test]
async fn an_interactive_shell_reads_what_is_written_and_ends_with_its_status() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    let mut shell = connection.shell(Pty::default()).await.unwrap();
    let stdin = shell.take_stdin().unwrap();
    stdin.resize(100, 50).await.unwrap();
    stdin.write("stty size; exit 9\n").await.unwrap();
    let mut text = String::new();
    let status = loop {
        match shell.next().await.unwrap().data {
            StreamData::Stdout(bytes) => text.push_str(&String::from_utf8_lossy(&bytes)),
            StreamData::Exit(Exit::Status(status)) => break status,
            other => panic!("unexpected {other:?}"),
        }
    };
    assert_eq!(status, ExitStatus::Code(9));
    assert!(text.contains("50 100"), "{text}");
}

#[tokio::test]
async fn an_unread_stream_costs_disk_not_memory() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    let before = resident_kib();
    let mut unread = connection
        .stream_exec("head -c 150000000 /dev/zero; echo >&2 written")
        .await
        .unwrap();
    processes::eventually("all of it was sent and kept", || {
        spilled() && processes::containing("head -c 150000000").is_empty()
    })
    .await;
    let grown = resident_kib().saturating_sub(before);
    assert!(grown < 40_000, "{grown} KiB");
    let mut total = 0;
    while let Some(event) = unread.next().await {
        if let StreamData::Stdout(bytes) = event.data {
            total += bytes.len();
        }
    }
    assert_eq!(total, 150_000_000);
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Whether this process holds an unlinked file.
fn spilled() -> bool {
    std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .flatten()
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .any(|path| path.to_string_lossy().ends_with(" (deleted)"))
}

#[test]
fn after_everything_is_dropped_no_task_socket_or_remote_process_is_left() {
    let server = Sshd::start();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    runtime.block_on(async {
        connect(&server).await.exec("true").await.unwrap();
        let before = descriptors();
        for round in 0..5 {
            let connection = connect(&server).await;
            let mut running = Vec::new();
            for n in 0..12 {
                let connection = connection.clone();
                running.push(tokio::spawn(async move {
                    let mut stream = connection
                        .stream_exec(format!("echo {n}; sleep 832{round}{n}"))
                        .await
                        .unwrap();
                    stream.next().await;
                    match n % 4 {
                        0 => drop(stream),
                        1 => {
                            stream.cancel();
                            while stream.next().await.is_some() {}
                        }
                        2 => drop(tokio::time::timeout(Duration::from_millis(5), stream.next()).await),
                        _ => drop(stream.take_stdin()),
                    }
                }));
            }
            for task in running {
                task.await.unwrap();
            }
            if round % 2 == 0 {
                connection.close().await;
            }
        }
        let metrics = tokio::runtime::Handle::current().metrics();
        let give_up = tokio::time::Instant::now() + Duration::from_secs(20);
        while metrics.num_alive_tasks() > 0 || descriptors() > before {
            assert!(
                tokio::time::Instant::now() < give_up,
                "{} tasks and {} descriptors are left, {before} were there before",
                metrics.num_alive_tasks(),
                descriptors()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(
        processes::containing("sleep 832").is_empty(),
        "a dropped command runs on"
    );
    runtime.block_on(processes::eventually("the server's connections are gone", || {
        connection_processes(&server).is_empty()
    }));
}

#[tokio::test]
async fn keys_are_exchanged_anew_in_mid_stream_without_losing_a_byte() {
    let server = Settings::default().option("RekeyLimit 1M").start();
    let connection = connect(&server).await;
    let data: Vec<u8> = (0_u32..4 << 20)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    let echoing = {
        let (connection, data) = (connection.clone(), data.clone());
        tokio::spawn(async move { connection.exec(ExecRequest::from("cat").stdin(data)).await })
    };
    for n in 0..50 {
        let result = connection
            .exec(format!("echo {n}; head -c 100000 /dev/zero"))
            .await
            .unwrap();
        assert_eq!(result.stdout.len(), format!("{n}\n").len() + 100_000);
    }
    assert!(echoing.await.unwrap().unwrap().stdout == data);
}

#[tokio::test]
async fn the_best_algorithms_of_both_sides_are_negotiated() {
    let ours = sternline_server::Server::builder()
        .user("me", sternline_server::Credential::password("secret"))
        .bind()
        .await
        .unwrap();
    let known_hosts =
        sternline::host_key::KnownHosts::from_bytes("memory", ours.known_hosts_line().as_bytes());
    let connection = Connection::builder(format!("me@127.0.0.1:{}", ours.port()))
        .known_hosts_parsed(known_hosts, None)
        .password("secret")
        .connect()
        .await
        .unwrap();
    let algorithms = connection.algorithms().unwrap().clone();
    assert_eq!(algorithms.kex, "mlkem768x25519-sha256");
    assert!(algorithms.strict_kex);
    assert_eq!(
        (algorithms.mac_cs.as_str(), algorithms.mac_sc.as_str()),
        ("implicit", "implicit")
    );

    let server = Sshd::start();
    let algorithms = connect(&server).await.algorithms().unwrap().clone();
    assert!(algorithms.strict_kex);
    assert_eq!(algorithms.host_key, "ssh-ed25519");
    assert!(
        algorithms.cipher.contains("gcm") || algorithms.cipher.contains("chacha20"),
        "{}",
        algorithms.cipher
    );
    assert_eq!(
        (
            algorithms.compression_cs.as_str(),
            algorithms.compression_sc.as_str()
        ),
        ("none", "none")
    );
}

#[tokio::test]
async fn a_server_that_opens_no_session_in_time_is_not_waited_for() {
    let server = Sshd::start();
    let mut deadlines = sternline::Deadlines::default();
    deadlines.channel = Duration::from_millis(300);
    let connection = server.builder().deadlines(deadlines).connect().await.unwrap();
    connection.exec("true").await.unwrap();
    for pid in connection_processes(&server) {
        signal(pid, rustix::process::Signal::STOP);
    }
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let connection = connection.clone();
        waiting.spawn(async move { connection.exec("true").await.unwrap_err() });
    }
    // The fourth may have the session that was open ahead of its use.
    for _ in 0..3 {
        let ended = tokio::time::timeout(Duration::from_secs(5), waiting.join_next()).await;
        let error = ended.unwrap().unwrap().unwrap();
        assert_eq!(
            (error.kind(), error.phase()),
            (&ErrorKind::ConnectionTimeout, Some(Phase::Channel))
        );
        assert!(error.to_string().contains("300 ms"), "{error}");
        assert_eq!(error.sent(), SendState::NotSent);
    }
}
