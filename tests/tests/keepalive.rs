//! How a dead connection and a stalled command are noticed, and that neither is ever mistaken for a living one.

use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sternline::exec::{Exit, Stdin, StreamData};
use sternline::{
    Connection, DisconnectReason, Error, ErrorKind, Event, EventCollector, EventType, ExecRequest,
    KeepaliveConfig, SendState, StreamExec,
};
use sternline_server::fault::{Direction, Fault, FaultProxy};
use sternline_tests::processes::{self, eventually};
use sternline_tests::sshd::{Sshd, free_port};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, timeout};

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

fn probes(interval: Duration, max_count: u32) -> KeepaliveConfig {
    KeepaliveConfig {
        interval,
        max_count,
        ..KeepaliveConfig::default()
    }
}

/// Probes that play no part, and a limit for stalling.
fn stalling(progress_timeout: Duration) -> KeepaliveConfig {
    KeepaliveConfig {
        progress_timeout: Some(progress_timeout),
        ..probes(Duration::from_secs(600), 3)
    }
}

async fn connect(server: &Sshd, keepalive: KeepaliveConfig) -> (Connection, EventCollector) {
    let events = EventCollector::new();
    let connection = server
        .builder()
        .keepalive(keepalive)
        .events(&events)
        .connect()
        .await
        .unwrap();
    (connection, events)
}

/// A link to the server that can be made to fail.
async fn link(server: &Sshd) -> FaultProxy {
    FaultProxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, server.port())))
        .await
        .unwrap()
}

async fn connect_over(
    link: &FaultProxy,
    server: &Sshd,
    keepalive: KeepaliveConfig,
) -> (Connection, EventCollector) {
    let events = EventCollector::new();
    let connection = Connection::builder(format!("{}@{}", server.user().name, link.addr()))
        .danger_accept_any_host_key()
        .client_keys([server.key()])
        .keepalive(keepalive)
        .events(&events)
        .connect()
        .await
        .unwrap();
    (connection, events)
}

async fn wait_for(events: &EventCollector, event_type: EventType, count: usize) -> Vec<Event> {
    eventually("enough events", || events.by_type(event_type).len() >= count).await;
    events.by_type(event_type)
}

/// The reason in the one DISCONNECT event.
async fn disconnect_reason(events: &EventCollector) -> String {
    let disconnects = wait_for(events, EventType::Disconnect, 1).await;
    assert_eq!(disconnects.len(), 1);
    disconnects[0].data["reason"].as_str().unwrap().to_owned()
}

async fn first_line(stream: &mut StreamExec) -> String {
    match stream.next().await.unwrap().data {
        StreamData::Stdout(bytes) => String::from_utf8_lossy(&bytes).trim().to_owned(),
        other => panic!("{other:?}"),
    }
}

async fn exit(stream: &mut StreamExec) -> Exit {
    let exit = async {
        loop {
            if let StreamData::Exit(exit) = stream.next().await.unwrap().data {
                return exit;
            }
        }
    };
    timeout(PATIENCE, exit).await.expect("the command goes on")
}

async fn failure(stream: &mut StreamExec) -> Error {
    match exit(stream).await {
        Exit::Failed(error) => error,
        other => panic!("{other:?}"),
    }
}

/// A part of the server that is stopped until this is dropped.
struct Stopped(Pid);

impl Stopped {
    fn new(pid: &str) -> Self {
        let pid = Pid::from_raw(pid.parse().unwrap()).unwrap();
        kill_process(pid, Signal::STOP).unwrap();
        Self(pid)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::CONT);
    }
}

#[tokio::test]
async fn a_black_holed_link_is_noticed_within_interval_times_count() {
    let server = Sshd::start();
    let link = link(&server).await;
    let keepalive = probes(Duration::from_millis(500), 3);
    let (connection, events) = connect_over(&link, &server, keepalive).await;
    let mut stream = connection.stream_exec("echo up; sleep 25.301").await.unwrap();
    assert_eq!(first_line(&mut stream).await, "up");
    wait_for(&events, EventType::KeepaliveReceived, 1).await;
    assert_eq!(connection.disconnect_reason(), None);

    link.faults().set(Fault::BlackHole);
    let cut = Instant::now();
    let error = timeout(PATIENCE, connection.ended()).await.unwrap();
    let took = cut.elapsed();
    assert!(
        took <= keepalive.total_timeout() + Duration::from_secs(1),
        "{took:?}"
    );
    assert_eq!(error.to_string(), "the server stopped answering keepalive probes");
    assert_eq!(
        error.disconnect_reason(),
        Some(DisconnectReason::KeepaliveTimeout)
    );
    assert_eq!(
        connection.disconnect_reason(),
        Some(DisconnectReason::KeepaliveTimeout)
    );
    assert_eq!(disconnect_reason(&events).await, "keepalive_timeout");
    let running = failure(&mut stream).await;
    assert_eq!(
        (running.disconnect_reason(), running.sent()),
        (Some(DisconnectReason::KeepaliveTimeout), SendState::Ran)
    );

    let told: Vec<(&str, Option<u64>)> = events
        .events()
        .iter()
        .filter(|event| event.event_type.as_str().starts_with("KEEPALIVE"))
        .map(|event| {
            (
                event.event_type.as_str(),
                event.data.get("probe").and_then(|probe| probe.as_u64()),
            )
        })
        .collect();
    let (before, end) = told.split_at(told.len() - 4);
    assert_eq!(
        end,
        [
            ("KEEPALIVE_SENT", Some(1)),
            ("KEEPALIVE_SENT", Some(2)),
            ("KEEPALIVE_SENT", Some(3)),
            ("KEEPALIVE_TIMEOUT", None),
        ]
    );
    assert!(before.contains(&("KEEPALIVE_RECEIVED", Some(1))), "{before:?}");
    let last = &events.by_type(EventType::KeepaliveTimeout)[0].data;
    assert_eq!(
        (&last["unanswered"], &last["total_timeout_sec"]),
        (&3.into(), &1.5.into())
    );
    assert!(last["silence_sec"].as_f64().unwrap() >= 1.4, "{last:?}");

    // What has ended for one reason does not end for another.
    connection.close().await;
    assert_eq!(
        connection.disconnect_reason(),
        Some(DisconnectReason::KeepaliveTimeout)
    );
    assert_eq!(disconnect_reason(&events).await, "keepalive_timeout");
}

#[tokio::test]
async fn an_idle_link_stays_up_for_as_long_as_its_probes_are_answered() {
    let server = Sshd::start();
    let (connection, events) = connect(&server, probes(Duration::from_millis(100), 2)).await;
    let answers = wait_for(&events, EventType::KeepaliveReceived, 12).await;
    for answer in &answers {
        assert_eq!(answer.data["port"], server.port());
        assert!(answer.data["round_trip_ms"].as_f64().unwrap() > 0.0, "{answer:?}");
    }
    let sent = &events.by_type(EventType::KeepaliveSent)[0].data;
    assert_eq!(
        (&sent["max_count"], &sent["interval_sec"]),
        (&2.into(), &0.1.into())
    );
    assert!(connection.exec("true").await.is_ok());
    assert!(events.by_type(EventType::KeepaliveTimeout).is_empty());
    drop(connection);
    assert_eq!(disconnect_reason(&events).await, "normal");
}

#[tokio::test]
async fn probes_get_past_a_command_that_does_not_read_its_input() {
    let server = Sshd::start();
    let (connection, events) = connect(&server, probes(Duration::from_millis(200), 2)).await;
    let request = ExecRequest::from("echo up; sleep 25.302").stdin(vec![0; 16 * 1024 * 1024]);
    let mut stream = connection.stream_exec(request).await.unwrap();
    assert_eq!(first_line(&mut stream).await, "up");
    events.clear();
    wait_for(&events, EventType::KeepaliveReceived, 8).await;
    assert!(connection.is_connected());
}

/// Zeroes without end.
struct Zeroes;

impl AsyncRead for Zeroes {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let room = buf.remaining();
        buf.put_slice(&vec![0; room]);
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_link_that_is_busy_in_one_direction_is_not_probed() {
    let server = Sshd::start();
    let keepalive = probes(Duration::from_secs(2), 2);
    let (down, down_events) = connect(&server, keepalive).await;
    let (up, up_events) = connect(&server, keepalive).await;
    let mut reading = down.stream_exec("cat /dev/zero").await.unwrap();
    let writing = up
        .stream_exec(ExecRequest::from("cat >/dev/null").stdin(Stdin::reader(Zeroes)))
        .await
        .unwrap();
    let until = Instant::now() + keepalive.total_timeout() + Duration::from_millis(500);
    while Instant::now() < until {
        assert!(matches!(
            reading.next().await.unwrap().data,
            StreamData::Stdout(_)
        ));
    }
    for (connection, events) in [(&down, &down_events), (&up, &up_events)] {
        assert!(connection.is_connected());
        assert!(
            events.by_type(EventType::KeepaliveSent).is_empty(),
            "{:?}",
            events.events()
        );
    }
    drop((reading, writing));
}

#[tokio::test]
async fn probes_that_wait_behind_a_slow_upload_are_not_missed() {
    let server = Sshd::start();
    let link = link(&server).await;
    let keepalive = probes(Duration::from_secs(1), 2);
    let (connection, events) = connect_over(&link, &server, keepalive).await;
    // Up to 2 MiB are on their way, for twice as long as a silence may last.
    link.faults().set(Fault::Slow(500_000));
    let request = ExecRequest::from("wc -c").stdin(vec![0; 3_000_000]);
    let counted = connection.exec(request).await.unwrap();
    assert_eq!(counted.stdout_text().trim(), "3000000");
    assert!(events.by_type(EventType::KeepaliveTimeout).is_empty());
}

#[tokio::test]
async fn a_link_that_dies_under_an_upload_is_noticed_too() {
    let server = Sshd::start();
    let link = link(&server).await;
    let (connection, events) = connect_over(&link, &server, probes(Duration::from_millis(400), 2)).await;
    let request = ExecRequest::from("cat >/dev/null").stdin(Stdin::reader(Zeroes));
    let mut stream = connection.stream_exec(request).await.unwrap();
    link.faults()
        .until(|counters| counters.to_server > 4 * 1024 * 1024)
        .await;
    link.faults().set(Fault::BlackHole);
    let error = failure(&mut stream).await;
    assert_eq!(
        error.disconnect_reason(),
        Some(DisconnectReason::KeepaliveTimeout)
    );
    assert_eq!(disconnect_reason(&events).await, "keepalive_timeout");
}

#[tokio::test]
async fn answers_that_a_damaged_packet_swallows_are_no_sign_of_life() {
    let server = Sshd::start();
    let link = link(&server).await;
    let (connection, events) = connect_over(&link, &server, probes(Duration::from_millis(300), 3)).await;
    // Nothing else is on its way once this is answered.
    connection.ping().await.unwrap();
    // The next packet's length becomes 64 KiB more (RFC 5647 section 7.2.1: AES-GCM sends it in clear).
    assert!(connection.algorithms().unwrap().cipher.contains("gcm"));
    link.faults().set_open(Fault::Corrupt {
        direction: Direction::ToClient,
        byte: 2,
    });
    timeout(PATIENCE, connection.ended())
        .await
        .expect("nobody notices");
    assert_eq!(disconnect_reason(&events).await, "keepalive_timeout");
}

#[tokio::test]
async fn a_server_that_pauses_for_less_than_the_limit_is_not_given_up() {
    let server = Sshd::start();
    let (connection, events) = connect(&server, probes(Duration::from_secs(2), 3)).await;
    let mut stream = connection
        .stream_exec("echo $PPID; exec sleep 25.303")
        .await
        .unwrap();
    let stopped = Stopped::new(&first_line(&mut stream).await);
    wait_for(&events, EventType::KeepaliveSent, 1).await;
    assert!(events.by_type(EventType::KeepaliveReceived).is_empty());
    drop(stopped);
    wait_for(&events, EventType::KeepaliveReceived, 1).await;
    assert!(connection.exec("true").await.is_ok());
}

#[tokio::test]
async fn a_server_that_stops_for_good_is_given_up() {
    let server = Sshd::start();
    let (connection, events) = connect(&server, probes(Duration::from_millis(200), 2)).await;
    let mut stream = connection
        .stream_exec("echo $PPID; exec sleep 25.304")
        .await
        .unwrap();
    let _stopped = Stopped::new(&first_line(&mut stream).await);
    timeout(PATIENCE, connection.ended()).await.unwrap();
    assert_eq!(disconnect_reason(&events).await, "keepalive_timeout");
}

#[tokio::test]
async fn a_program_that_blocks_its_runtime_does_not_lose_a_living_link() {
    let server = Sshd::start();
    let keepalive = probes(Duration::from_millis(200), 2);
    let (connection, events) = connect(&server, keepalive).await;
    for _ in 0..3 {
        wait_for(&events, EventType::KeepaliveReceived, 1).await;
        // No await: nothing else runs on this runtime meanwhile.
        std::thread::sleep(keepalive.total_timeout() * 2);
        events.clear();
    }
    wait_for(&events, EventType::KeepaliveReceived, 2).await;
    assert!(connection.exec("true").await.is_ok());
}

#[tokio::test]
async fn an_end_of_each_kind_is_given_its_true_reason() {
    let server = Sshd::start();
    let keepalive = probes(Duration::from_secs(600), 3);

    let (killed, events) = connect(&server, keepalive).await;
    let mut stream = killed.stream_exec("echo $PPID; exec sleep 25.305").await.unwrap();
    let session = Pid::from_raw(first_line(&mut stream).await.parse().unwrap()).unwrap();
    kill_process(session, Signal::KILL).unwrap();
    let error = timeout(PATIENCE, killed.ended()).await.unwrap();
    assert_eq!(error.disconnect_reason(), Some(DisconnectReason::NetworkError));
    assert_eq!(disconnect_reason(&events).await, "network_error");

    let (closed, events) = connect(&server, keepalive).await;
    closed.close().await;
    assert_eq!(disconnect_reason(&events).await, "normal");
    let (dropped, events) = connect(&server, keepalive).await;
    drop(dropped);
    assert_eq!(disconnect_reason(&events).await, "normal");
    assert!(events.by_type(EventType::KeepaliveTimeout).is_empty());
}

#[tokio::test]
async fn a_connection_that_was_never_made_has_its_reason_in_the_error_and_no_disconnect() {
    let server = Sshd::start();
    let nobody = Connection::builder(server.target())
        .known_hosts([server.known_hosts()])
        .password("wrong");
    let stranger = Connection::builder(server.target()).known_hosts([]);
    let refused = Connection::builder(format!("somebody@127.0.0.1:{}", free_port()));
    for (builder, reason) in [
        (nobody, DisconnectReason::AuthFailure),
        (stranger, DisconnectReason::AuthFailure),
        (refused, DisconnectReason::NetworkError),
    ] {
        let events = EventCollector::new();
        let error = builder.events(&events).connect().await.unwrap_err();
        assert_eq!(error.disconnect_reason(), Some(reason), "{error}");
        let told = events.by_type(EventType::Error);
        assert_eq!(told[0].data["disconnect_reason"], reason.as_str());
        assert!(events.by_type(EventType::Disconnect).is_empty());
    }
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused_before_anything_is_tried() {
    for (keepalive, what) in [
        (probes(Duration::ZERO, 3), "interval must be positive"),
        (probes(Duration::from_secs(1), 0), "max_count must be positive"),
        (stalling(Duration::ZERO), "progress_timeout must be positive"),
    ] {
        let events = EventCollector::new();
        let builder = Connection::builder("somebody@127.0.0.1")
            .keepalive(keepalive)
            .events(&events);
        let error = builder.connect().await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Invalid);
        assert!(error.to_string().contains(what), "{error}");
        assert!(events.events().is_empty());
    }
}

#[tokio::test]
async fn a_command_that_stalls_is_warned_about_and_ended_and_its_connection_goes_on() {
    let server = Sshd::start();
    let (connection, events) = connect(&server, stalling(Duration::from_millis(800))).await;
    let mut stream = connection
        .stream_exec("echo up; sleep 25.306; true")
        .await
        .unwrap();
    assert_eq!(first_line(&mut stream).await, "up");
    let error = failure(&mut stream).await;
    assert_eq!(error.kind(), &ErrorKind::ProgressTimeout, "{error}");
    assert_eq!(
        error.to_string(),
        "the command made no progress for 800 ms; the remote process was ended"
    );
    assert_eq!(error.disconnect_reason(), Some(DisconnectReason::ProgressTimeout));
    assert_eq!(error.sent(), SendState::Ran);
    assert!(processes::containing("sleep 25.306").is_empty());
    let warnings = events.by_type(EventType::ProgressWarning);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_eq!(warnings[0].data["timeout_sec"], 0.8);
    assert_eq!(warnings[0].data["command"], "echo up; sleep 25.306; true");
    assert!(warnings[0].data["seconds_remaining"].as_f64().unwrap() <= 0.2);

    let collected = connection
        .exec("echo partial; sleep 25.307; true")
        .await
        .unwrap_err();
    assert_eq!(collected.kind(), &ErrorKind::ProgressTimeout, "{collected}");
    assert_eq!(&collected.partial_output().unwrap().stdout[..], b"partial\n");
    assert!(connection.exec("true").await.is_ok());
    connection.close().await;
    assert_eq!(disconnect_reason(&events).await, "normal");
}

#[tokio::test]
async fn a_command_that_writes_or_reads_a_little_now_and_then_does_not_stall() {
    let server = Sshd::start();
    let (connection, _) = connect(&server, stalling(Duration::from_secs(2))).await;
    let writes = connection.exec("for i in $(seq 30); do echo $i; sleep 0.1; done");
    // More than the window takes at once, so that it is seen to be read bit by bit.
    let input = vec![0; 8 * 1024 * 1024];
    let reads =
        ExecRequest::from("for i in $(seq 32); do head -c 262144 >/dev/null; sleep 0.1; done").stdin(input);
    let (writes, reads) = tokio::join!(writes, connection.exec(reads));
    assert_eq!(writes.unwrap().stdout_text().lines().count(), 30);
    assert!(reads.unwrap().success().is_ok());
}

#[tokio::test]
async fn a_reader_that_pauses_does_not_make_a_command_stall() {
    let server = Sshd::start();
    let limit = Duration::from_millis(500);
    let (connection, _) = connect(&server, stalling(limit)).await;
    let mut stream = connection
        .stream_exec("echo one; sleep 0.2; echo two")
        .await
        .unwrap();
    assert_eq!(first_line(&mut stream).await, "one");
    tokio::time::sleep(limit * 2).await;
    assert_eq!(first_line(&mut stream).await, "two");
    let exit = stream.next().await.unwrap().data;
    assert!(matches!(exit, StreamData::Exit(Exit::Status(_))), "{exit:?}");
}

#[tokio::test]
async fn unread_output_is_progress_even_where_it_has_to_be_fetched_from_disk() {
    let server = Sshd::start();
    let limit = Duration::from_millis(500);
    let (connection, events) = connect(&server, stalling(limit)).await;
    let mut stream = connection
        .stream_exec("head -c 3000000 /dev/zero; exec sleep 25.309")
        .await
        .unwrap();
    eventually("all is written", || {
        !processes::containing("sleep 25.309").is_empty()
    })
    .await;
    let (mut read, mut paused) = (0, false);
    while read < 3_000_000 {
        // One mebibyte is kept in memory; what comes next is not.
        if !paused && read > 1_200_000 {
            tokio::time::sleep(limit * 2).await;
            paused = true;
        }
        match stream.next().await.unwrap().data {
            StreamData::Stdout(bytes) => read += bytes.len(),
            other => panic!("{read} bytes, then {other:?}"),
        }
    }
    stream.cancel();
    assert!(matches!(exit(&mut stream).await, Exit::Cancelled(_)));
    assert!(events.by_type(EventType::ProgressWarning).is_empty());
}

#[tokio::test]
async fn a_reader_that_blocks_its_runtime_does_not_make_a_command_stall() {
    let server = Sshd::start();
    let limit = Duration::from_millis(400);
    let (connection, _) = connect(&server, stalling(limit)).await;
    let mut stream = connection
        .stream_exec("while echo on; do sleep 0.05; done")
        .await
        .unwrap();
    for _ in 0..3 {
        assert!(first_line(&mut stream).await.starts_with("on"));
        // Everything that has arrived is taken, so that nothing is left but what the blocked runtime does not see.
        while timeout(Duration::ZERO, stream.next()).await.is_ok() {}
        std::thread::sleep(limit * 2);
    }
    assert!(first_line(&mut stream).await.starts_with("on"));
    stream.cancel();
    assert!(matches!(exit(&mut stream).await, Exit::Cancelled(_)));
}

#[tokio::test]
async fn a_shell_may_idle() {
    let server = Sshd::start();
    let limit = Duration::from_millis(100);
    let (connection, events) = connect(&server, stalling(limit)).await;
    let mut shell = connection.shell(None).await.unwrap();
    assert!(timeout(limit * 5, shell.next()).await.is_err());
    shell.take_stdin().unwrap().write("exit 3\n").await.unwrap();
    let exit = shell.next().await.unwrap().data;
    assert!(matches!(exit, StreamData::Exit(Exit::Status(_))), "{exit:?}");
    assert!(events.by_type(EventType::ProgressWarning).is_empty());
}

#[tokio::test]
async fn a_connection_whose_server_hangs_with_a_stalled_command_ends_with_that_reason() {
    let server = Sshd::start();
    let (connection, events) = connect(&server, stalling(Duration::from_millis(300))).await;
    let mut stream = connection
        .stream_exec("echo $PPID; exec sleep 25.308")
        .await
        .unwrap();
    let _stopped = Stopped::new(&first_line(&mut stream).await);
    let error = failure(&mut stream).await;
    assert_eq!(error.kind(), &ErrorKind::ProgressTimeout, "{error}");
    assert!(
        error.to_string().contains("the remote process may still run"),
        "{error}"
    );
    assert_eq!(
        connection.disconnect_reason(),
        Some(DisconnectReason::ProgressTimeout)
    );
    assert_eq!(disconnect_reason(&events).await, "progress_timeout");
}
