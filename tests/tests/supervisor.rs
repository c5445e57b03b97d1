//! A supervised connection to a real sshd whose processes are killed, stopped and started again.

mod supervisor_support;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sternline::config::Env;
use sternline::connection::Resolve;
use sternline::error::DisconnectReason;
use sternline::host_key::HostKeyPolicy;
use sternline::{
    AuthConfig, ConnectionBuilder, ConnectionState, ErrorKind, EventCollector, EventType, KeepaliveConfig,
    Phase, RetryPolicy, SendState, Supervisor,
};
use sternline_server::fault::{Fault, FaultProxy};
use sternline_server::{Credential, Reply, Server};
use sternline_tests::cli::{Home, example};
use sternline_tests::processes;
use sternline_tests::sshd::{Sshd, free_port, keygen};
use supervisor_support::{SOON, quick, reconnected, slow, start, state, until};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

/// The moves that the events tell of, as `from -> to`.
fn moves(events: &EventCollector) -> Vec<String> {
    let events = events.by_type(EventType::StateChange);
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    events
        .iter()
        .map(|event| {
            format!(
                "{} -> {}",
                text(&event.data["from_state"]),
                text(&event.data["to_state"])
            )
        })
        .collect()
}

/// An address whose server takes connections and never says a word.
fn silent() -> (std::net::TcpListener, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("nobody@{}", listener.local_addr().unwrap());
    (listener, target)
}

// --- settings ------------------------------------------------------------------------------------------------------

/// A resolver that knows no name, so that a connection goes no further than its settings.
struct NoNames;

impl Resolve for NoNames {
    fn resolve<'a>(
        &'a self,
        _: &'a str,
        _: u16,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

#[tokio::test]
async fn a_supervisor_has_the_defaults_of_a_connection() {
    let mut env = Env::system();
    env.user = Some("alice".to_owned());
    let settings = sternline::Connection::builder("example.com")
        .env(env)
        .resolver(Arc::new(NoNames));
    let error = Supervisor::builder(settings)
        .retry(quick(0))
        .start()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::HostUnreachable);
    assert_eq!(error.context().host.as_deref(), Some("example.com"));
    assert_eq!(error.context().port, Some(22));
    assert_eq!(error.context().username.as_deref(), Some("alice"));
}

#[tokio::test]
async fn settings_that_make_no_sense_are_final_at_the_first_attempt() {
    let error = Supervisor::builder("").retry(slow()).start().await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Invalid);
    assert_eq!(error.context().extra()["connect_attempts"], 1);

    let server = Sshd::start();
    let log = server.path("user/no-folder.jsonl");
    let supervisor = Supervisor::builder(server.builder().event_log_path(log))
        .retry(slow())
        .launch()
        .unwrap();
    let failed = state(&supervisor, ConnectionState::Failed).await;
    let error = failed.last_error.unwrap();
    assert!(error.to_string().contains("cannot open the event log"), "{error}");
}

#[tokio::test]
async fn a_supervisor_takes_the_settings_of_a_connection() {
    let server = Server::builder()
        .user("alice", Credential::password("secret"))
        .answer_with(|request| Reply::stdout(request.user.clone()))
        .bind()
        .await
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let known_hosts = folder.path().join("known_hosts");
    std::fs::write(&known_hosts, server.known_hosts_line()).unwrap();
    let (events, log) = (EventCollector::new(), folder.path().join("events.jsonl"));
    let settings = sternline::Connection::builder("127.0.0.1")
        .port(server.port())
        .username("alice")
        .password("secret")
        .known_hosts([known_hosts])
        .events(&events)
        .event_log_path(&log);
    let supervisor = start(settings, quick(0)).await;
    assert_eq!(supervisor.exec("whoami").await.unwrap().stdout_text(), "alice");
    supervisor.close().await;
    assert_eq!(
        std::fs::read_to_string(&log).unwrap().lines().count(),
        events.events().len()
    );

    let sshd = Sshd::start();
    let settings = ConnectionBuilder::from(sshd.target())
        .known_hosts([sshd.known_hosts()])
        .client_keys([sshd.key()]);
    start(settings, quick(0)).await.close().await;

    let (_listener, silent) = silent();
    let settings = ConnectionBuilder::from(silent).connect_timeout(Duration::from_millis(50));
    let error = Supervisor::builder(settings)
        .retry(quick(1))
        .start()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::ConnectionTimeout);
    assert!(
        error
            .to_string()
            .starts_with("gave up after 2 attempts: timed out"),
        "{error}"
    );
}

// --- the link is watched, and made again ---------------------------------------------------------------------------

#[tokio::test]
async fn a_lost_link_is_noticed_and_made_again_although_nobody_uses_it() {
    let server = Sshd::start();
    let events = EventCollector::new();
    let supervisor = start(server.builder().events(&events), RetryPolicy::default()).await;
    assert!(supervisor.is_connected());
    assert_eq!(supervisor.reconnection_count(), 0);
    server.break_connections();
    reconnected(&supervisor, 1).await;
    assert_eq!(supervisor.state(), ConnectionState::Connected);
    assert_eq!(
        moves(&events),
        [
            "disconnected -> connecting",
            "connecting -> connected",
            "connected -> reconnecting",
            "reconnecting -> connecting",
            "connecting -> connected",
        ]
    );
    let changes = events.by_type(EventType::StateChange);
    assert_eq!(changes[2].data["reason"], "network_error");
    assert_eq!(changes[2].data["reconnection_count"], 0);
    assert_eq!(
        changes[4].data["reconnection_count"], 1,
        "counted before the event"
    );
    let result = supervisor.exec("echo again").await.unwrap();
    assert_eq!((&*result.stdout_text(), result.attempts), ("again\n", 1));
    supervisor.close().await;
}

#[tokio::test]
async fn a_link_that_died_without_a_word_is_noticed_by_keepalive_and_made_again() {
    let server = Sshd::start();
    let link = FaultProxy::start(SocketAddr::from(([127, 0, 0, 1], server.port())))
        .await
        .unwrap();
    let events = EventCollector::new();
    let keepalive = KeepaliveConfig {
        interval: Duration::from_millis(100),
        max_count: 3,
        ..KeepaliveConfig::default()
    };
    let settings = ConnectionBuilder::from(format!("{}@{}", server.user().name, link.addr()))
        .auth([AuthConfig::key(server.key())])
        .danger_accept_any_host_key()
        .keepalive(keepalive)
        .events(&events);
    let supervisor = start(settings, quick(3)).await;
    link.faults().set_open(Fault::BlackHole);
    reconnected(&supervisor, 1).await;
    let lost = &events.by_type(EventType::StateChange)[2];
    assert_eq!(lost.data["reason"], "keepalive_timeout");
    assert_eq!(supervisor.exec("echo on").await.unwrap().stdout_text(), "on\n");
    supervisor.close().await;
}

/// A program that is stopped sees what a machine sees that sleeps: a clock that has gone on without it.
#[tokio::test]
async fn a_link_that_died_while_the_program_was_stopped_is_missed_as_soon_as_it_goes_on() {
    let server = Sshd::start();
    let link = FaultProxy::start(SocketAddr::from(([127, 0, 0, 1], server.port())))
        .await
        .unwrap();
    let home = Home::new();
    let known = server.known_hosts_line("ed25519");
    let port = link.addr().port().to_string();
    home.write(
        ".ssh/known_hosts",
        known.replacen(&server.port().to_string(), &port, 1),
    );
    home.write(".ssh/id_ed25519", std::fs::read(server.key()).unwrap());
    let target = format!("{}@127.0.0.1:{port}", server.user().name);
    let mut program = home.command(example("supervised"));
    program.args([&target, "echo up", "sleep 600", "echo up again"]);
    let mut program = Command::from(program)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let pid = Pid::from_raw(i32::try_from(program.id().unwrap()).unwrap()).unwrap();
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines();
    assert_eq!(lines.next_line().await.unwrap().unwrap(), "up");

    kill_process(pid, Signal::STOP).unwrap();
    link.faults().set_open(Fault::BlackHole);
    // Here the time itself is what has to pass: a shorter leap is taken for a busy machine.
    tokio::time::sleep(Duration::from_secs(8)).await;
    kill_process(pid, Signal::CONT).unwrap();

    // Keepalive alone would need ninety seconds.
    let rest = timeout(Duration::from_secs(60), async {
        let mut rest = Vec::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            rest.push(line);
        }
        rest
    });
    let rest = rest.await.unwrap();
    assert!(
        rest[0].contains("no sign of life after this machine slept"),
        "{rest:?}"
    );
    assert_eq!(rest[1..], ["up again", "reconnections: 1"]);
}

#[tokio::test]
async fn the_events_of_every_connection_are_in_the_log_with_the_states_between_them() {
    let server = Sshd::start();
    let log = server.path("events.jsonl");
    let supervisor = start(server.builder().event_log_path(&log), quick(3)).await;
    server.break_connections();
    reconnected(&supervisor, 1).await;
    supervisor.close().await;
    let text = std::fs::read_to_string(&log).unwrap();
    let names: Vec<&str> = text
        .lines()
        .map(|line| sternline::Event::from_json(line).unwrap().event_type.as_str())
        .collect();
    assert_eq!(
        names.join(" "),
        "STATE_CHANGE CONNECT AUTH CONNECT STATE_CHANGE \
         DISCONNECT STATE_CHANGE STATE_CHANGE CONNECT AUTH CONNECT STATE_CHANGE \
         STATE_CHANGE DISCONNECT"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_told_of_a_change_finds_the_state_changed_by_then() {
    let server = Sshd::start();
    let handle = Arc::new(OnceLock::<Supervisor>::new());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (asked, noted) = (handle.clone(), seen.clone());
    let settings = server.builder().on_event(move |event| {
        if event.event_type == EventType::StateChange
            && let Some(supervisor) = asked.get()
        {
            let told = event.data["to_state"].as_str().unwrap().to_owned();
            let found = supervisor.state().as_str();
            noted
                .lock()
                .unwrap()
                .push((told, found, supervisor.reconnection_count()));
        }
    });
    let supervisor = start(settings, quick(3)).await;
    handle.set(supervisor.clone()).unwrap();
    server.break_connections();
    reconnected(&supervisor, 1).await;
    let told = |state: &'static str, count| (state.to_owned(), state, count);
    assert_eq!(
        *seen.lock().unwrap(),
        [
            told("reconnecting", 0),
            told("connecting", 0),
            told("connected", 1)
        ]
    );
    supervisor.close().await;
}

#[tokio::test]
async fn the_facts_of_each_connection_are_kept_with_how_it_ended() {
    let server = Sshd::start();
    let supervisor = start(server.builder(), quick(3)).await;
    server.break_connections();
    reconnected(&supervisor, 1).await;
    assert!(supervisor.last_error().unwrap().kind().is_connection());
    supervisor.close().await;
    let history = supervisor.history();
    let ends: Vec<_> = history
        .iter()
        .map(|record| record.end.as_ref().unwrap().reason)
        .collect();
    assert_eq!(ends, [DisconnectReason::NetworkError, DisconnectReason::Normal]);
    for record in &history {
        assert!(record.timings.iter().any(|(phase, _)| *phase == Phase::Auth));
        assert!(record.algorithms.is_some());
        assert_eq!(record.host_key.fingerprint(), history[0].host_key.fingerprint());
        assert_eq!(record.auth_method, "private_key");
        assert!(record.connected_ms <= record.end.as_ref().unwrap().at_ms);
    }
}

// --- giving up -----------------------------------------------------------------------------------------------------

#[tokio::test]
async fn when_the_retries_are_used_up_the_last_reason_is_kept_and_given_to_everybody() {
    let mut server = Sshd::start();
    let events = EventCollector::new();
    let supervisor = start(server.builder().events(&events), quick(2)).await;
    server.stop();
    until(&supervisor, |status| status.open_connection().is_none()).await;
    assert!(
        !timeout(SOON, supervisor.wait_connected(None)).await.unwrap(),
        "woken by the failure"
    );
    assert_eq!(supervisor.state(), ConnectionState::Failed);
    assert!(!supervisor.is_connected());
    let error = supervisor.last_error().unwrap();
    assert_eq!(error.kind(), &ErrorKind::ConnectionRefused);
    assert_eq!(error.phase(), Some(Phase::Tcp));
    assert!(
        error
            .to_string()
            .starts_with("gave up after 3 attempts: connection refused by 127.0.0.1"),
        "{error}"
    );
    assert!(error.hint().contains("SSH server"), "{}", error.hint());
    let refused = supervisor.exec("true").await.unwrap_err();
    assert_eq!(refused.to_string(), error.to_string());
    assert_eq!(refused.sent(), SendState::NotSent);
    assert_eq!(refused.context().extra()["attempts"], 0, "of the command");
    assert_eq!(refused.context().extra()["connect_attempts"], 3);

    assert_eq!(
        moves(&events)[2..],
        [
            "connected -> reconnecting",
            "reconnecting -> connecting",
            "connecting -> reconnecting",
            "reconnecting -> connecting",
            "connecting -> reconnecting",
            "reconnecting -> connecting",
            "connecting -> failed",
        ]
    );
    let changes = events.by_type(EventType::StateChange);
    assert_eq!(
        (&changes[4].data["attempt"], &changes[6].data["attempt"]),
        (&1.into(), &2.into())
    );
    assert_eq!(changes[8].data["attempts"], 3);
    assert_eq!(changes[8].data["error"], "max_retries_exceeded");
    supervisor.close().await;
    assert_eq!(moves(&events).last().unwrap(), "failed -> disconnected");
}

#[tokio::test]
async fn a_first_connection_that_cannot_be_made_is_tried_as_often_and_its_error_says_so() {
    let target = format!("nobody@127.0.0.1:{}", free_port());
    for (retries, words) in [
        (0, "gave up after 1 attempt: "),
        (2, "gave up after 3 attempts: "),
    ] {
        let starting = Supervisor::builder(target.as_str()).retry(quick(retries)).start();
        let error = timeout(SOON, starting).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::ConnectionRefused);
        assert!(error.to_string().starts_with(words), "{error}");
    }
}

#[tokio::test]
async fn a_first_connection_that_comes_late_is_no_reconnection() {
    let mut server = Sshd::start();
    let settings = server.builder();
    server.stop();
    let supervisor = Supervisor::builder(settings)
        .retry(quick(100_000))
        .launch()
        .unwrap();
    until(&supervisor, |status| status.failed_attempts >= 2).await;
    assert!(!supervisor.wait_connected(Some(Duration::from_millis(1))).await);
    server.start_again();
    assert!(supervisor.wait_connected(Some(SOON)).await);
    assert_eq!(supervisor.reconnection_count(), 0);
    assert_eq!(
        supervisor.status().failed_attempts,
        0,
        "a success gives the retries back"
    );
    supervisor.close().await;
}

#[tokio::test]
async fn a_key_that_is_no_longer_accepted_is_final_at_the_first_attempt() {
    let server = Sshd::start();
    let events = EventCollector::new();
    let supervisor = start(server.builder().events(&events), quick(100)).await;
    std::fs::write(server.path("authorized_keys"), "").unwrap();
    server.break_connections();
    let failed = state(&supervisor, ConnectionState::Failed).await;
    let error = failed.last_error.unwrap();
    assert_eq!(error.kind(), &ErrorKind::AuthFailed);
    assert_eq!(error.context().extra()["connect_attempts"], 1);
    let last = events.by_type(EventType::StateChange).pop().unwrap();
    assert_eq!(last.data["error"], "authentication_failed");
    assert_eq!(last.data["attempts"], 1);
    supervisor.close().await;
}

#[tokio::test]
async fn a_server_that_comes_back_with_another_host_key_is_not_connected_to() {
    let mut server = Sshd::start();
    let supervisor = start(server.builder(), quick(100_000)).await;
    server.stop();
    let key = server.path("host_ed25519");
    std::fs::remove_file(&key).unwrap();
    keygen(&key, "ed25519");
    server.start_again();
    let failed = state(&supervisor, ConnectionState::Failed).await;
    assert_eq!(failed.last_error.unwrap().kind(), &ErrorKind::HostKeyMismatch);
    assert_eq!(supervisor.history().len(), 1);
    supervisor.close().await;
}

#[tokio::test]
async fn by_default_an_unknown_host_is_refused_and_that_is_final() {
    let server = Sshd::start();
    let settings = server.builder().known_hosts([server.path("none")]);
    let starting = Supervisor::builder(settings.clone()).retry(slow()).start();
    let error = timeout(SOON, starting).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::HostKeyMismatch);

    let supervisor = start(settings.clone().danger_accept_any_host_key(), slow()).await;
    supervisor.close().await;
    let supervisor = start(settings.host_key_policy(HostKeyPolicy::AcceptNew), slow()).await;
    supervisor.close().await;
}

// --- the end -------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn closing_works_in_every_state_and_twice() {
    let server = Sshd::start();
    let (_listener, silent) = silent();
    let nowhere = format!("nobody@127.0.0.1:{}", free_port());

    let connecting = Supervisor::builder(silent.as_str())
        .retry(slow())
        .launch()
        .unwrap();
    assert_eq!(connecting.state(), ConnectionState::Connecting);
    let connected = start(server.builder(), slow()).await;
    let reconnecting = Supervisor::builder(nowhere.as_str())
        .retry(slow())
        .launch()
        .unwrap();
    state(&reconnecting, ConnectionState::Reconnecting).await;
    let failed = Supervisor::builder(nowhere.as_str())
        .retry(quick(0))
        .launch()
        .unwrap();
    state(&failed, ConnectionState::Failed).await;

    for supervisor in [connecting, connected, reconnecting, failed] {
        let before = supervisor.state();
        for _ in 0..2 {
            timeout(SOON, supervisor.close())
                .await
                .unwrap_or_else(|_| panic!("closing while {before}"));
            assert_eq!(supervisor.state(), ConnectionState::Disconnected, "from {before}");
        }
        assert!(!supervisor.wait_connected(None).await);
        assert!(supervisor.connection().is_none());
        let error = supervisor.exec("true").await.unwrap_err();
        assert!(error.to_string().contains("closed by this side"), "{error}");
    }
}

#[tokio::test]
async fn closing_ends_what_waits_for_the_connection() {
    let (_listener, silent) = silent();
    let supervisor = Supervisor::builder(silent.as_str()).launch().unwrap();
    let (connected, result, ()) = timeout(SOON, async {
        tokio::join!(
            supervisor.wait_connected(None),
            supervisor.exec("true"),
            supervisor.close()
        )
    })
    .await
    .unwrap();
    assert!(!connected);
    assert_eq!(result.unwrap_err().sent(), SendState::NotSent);
}

/// How many TCP sockets of this machine have this port at their other end and have not been closed here.
fn sockets_to(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let remote = format!(":{port:04X}");
    table
        .lines()
        .skip(1)
        .filter(|line| {
            let mut fields = line.split_whitespace().skip(2);
            let (peer, state) = (fields.next().unwrap(), fields.next().unwrap());
            // ESTABLISHED, SYN_SENT and CLOSE_WAIT: all others are the kernel's own and of no process.
            peer.ends_with(&remote) && ["01", "02", "08"].contains(&state)
        })
        .count()
}

#[tokio::test]
async fn nothing_is_left_of_a_supervisor_whose_last_handle_was_dropped() {
    let server = Sshd::start();
    let events = EventCollector::new();
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let supervisor = start(server.builder().events(&events), quick(3)).await;
    server.break_connections();
    reconnected(&supervisor, 1).await;
    supervisor.exec("true").await.unwrap();
    assert_eq!(sockets_to(server.port()), 1);
    let other = supervisor.clone();
    drop(supervisor);
    assert!(other.is_connected(), "one handle is enough");
    drop(other);
    processes::eventually("all tasks are gone", || tasks() == before).await;
    processes::eventually("the socket is gone", || sockets_to(server.port()) == 0).await;
    assert_eq!(moves(&events).last().unwrap(), "connected -> disconnected");
    let goodbye = events.by_type(EventType::Disconnect).pop().unwrap();
    assert_eq!(goodbye.data["reason"], "normal");
}

#[tokio::test]
async fn a_start_that_is_given_up_leaves_nothing_behind() {
    let (listener, silent) = silent();
    let port = listener.local_addr().unwrap().port();
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let starting = Supervisor::builder(silent.as_str()).start();
    assert!(timeout(Duration::from_millis(50), starting).await.is_err());
    processes::eventually("all tasks are gone", || tasks() == before).await;
    processes::eventually("the socket is gone", || sockets_to(port) == 0).await;
}

#[tokio::test]
async fn a_connection_that_its_user_closes_is_made_again() {
    let server = Sshd::start();
    let supervisor = start(server.builder(), quick(3)).await;
    supervisor.connection().unwrap().close().await;
    reconnected(&supervisor, 1).await;
    assert_eq!(supervisor.exec("echo on").await.unwrap().stdout_text(), "on\n");
    supervisor.close().await;
}

#[test]
fn handles_can_be_shared_between_threads_and_their_futures_spawned() {
    fn shared<T: Clone + Send + Sync + 'static>() {}
    fn spawned<T: Send>(_: &T) {}
    shared::<Supervisor>();
    fn futures(supervisor: &Supervisor) {
        spawned(&supervisor.exec("true"));
        spawned(&supervisor.stream_exec("true"));
        spawned(&supervisor.wait_connected(None));
        spawned(&supervisor.close());
        spawned(&Supervisor::builder("h").start());
    }
    let _ = futures;
}
