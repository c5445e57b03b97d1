//! Attacks on connections that stay up, and mistakes of those who use them.

use std::net::SocketAddr;
use std::time::Duration;

use sternline::connection::JumpHost;
use sternline::{
    AuthConfig, Connection, ConnectionBuilder, ForwardManager, KeepaliveConfig, RetryPolicy, Supervisor,
};
use sternline_server::fault::{Fault, FaultProxy};
use sternline_tests::processes;
use sternline_tests::sshd::{Sshd, free_port};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::time::timeout;

const LONG: Duration = Duration::from_secs(30);

/// A server behind a link that fails as it is told, and the settings to connect over it.
async fn behind_a_link(server: &Sshd) -> (FaultProxy, ConnectionBuilder) {
    let address = SocketAddr::from(([127, 0, 0, 1], server.port()));
    let proxy = FaultProxy::start(address).await.unwrap();
    let (own, seen) = (format!(":{}", server.port()), format!(":{}", proxy.addr().port()));
    let known = server.path("known_hosts_of_link");
    std::fs::write(&known, server.known_hosts_line("ed25519").replace(&own, &seen)).unwrap();
    let builder = Connection::builder(format!("{}@{}", server.user().name, proxy.addr()))
        .known_hosts([known])
        .auth([AuthConfig::key(server.key())]);
    (proxy, builder)
}

#[tokio::test]
async fn a_connection_ends_with_the_last_who_forwards_over_it() {
    let server = Sshd::start();
    let connection = server.builder().connect().await.unwrap();
    let manager = ForwardManager::new(&connection);
    let forward = manager
        .forward_local(0, "127.0.0.1", server.port())
        .await
        .unwrap();
    let serving = || processes::tree(server.pid()).len() > 1;
    drop(connection);
    assert!(forward.is_active() && serving());
    drop((forward, manager));
    processes::eventually("the connection ends", || !serving()).await;
}

#[tokio::test]
async fn a_server_that_agrees_to_listen_after_the_caller_has_gone_is_told_to_stop() {
    let server = Sshd::start();
    let (proxy, settings) = behind_a_link(&server).await;
    let connection = settings.connect().await.unwrap();
    let manager = ForwardManager::new(&connection);
    let port = free_port();
    proxy.faults().set(Fault::Stall);
    let asked = timeout(
        Duration::from_millis(100),
        manager.forward_remote(port, "127.0.0.1", 9),
    );
    assert!(asked.await.is_err());
    proxy.faults().heal();
    // Requests are answered in order: it has agreed by now.
    connection.ping().await.unwrap();
    let listens = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
    processes::eventually("nobody listens any more", || !listens()).await;
    connection.close().await;
}

#[tokio::test]
async fn an_interval_of_one_millisecond_still_notices_a_dead_link() {
    let server = Sshd::start();
    let (proxy, settings) = behind_a_link(&server).await;
    let keepalive = KeepaliveConfig {
        interval: Duration::from_millis(1),
        max_count: 3,
        ..KeepaliveConfig::default()
    };
    let connection = settings.keepalive(keepalive).connect().await.unwrap();
    proxy.faults().set(Fault::BlackHole);
    let ended = timeout(LONG, connection.ended()).await.unwrap();
    assert!(ended.to_string().contains("keepalive"), "{ended}");
}

#[tokio::test]
async fn a_bastion_whose_link_went_black_is_left_behind_even_by_attempts_that_have_little_time() {
    let (bastion, target) = (Sshd::start(), Sshd::start());
    let (proxy, hop) = behind_a_link(&bastion).await;
    let keepalive = KeepaliveConfig {
        interval: Duration::from_millis(300),
        max_count: 2,
        ..KeepaliveConfig::default()
    };
    let settings = target
        .builder()
        .connect_timeout(Duration::from_secs(3))
        .keepalive(keepalive)
        .jump_through(&JumpHost::new(hop));
    let policy = RetryPolicy {
        max_retries: 100,
        base_delay: Duration::from_millis(20),
        max_delay: Duration::from_millis(200),
        ..RetryPolicy::default()
    };
    let supervisor = Supervisor::builder(settings).retry(policy).start().await.unwrap();
    proxy.faults().set_open(Fault::BlackHole);
    let mut status = supervisor.watch();
    let back = status.wait_for(|status| status.reconnection_count > 0 && status.connection.is_some());
    assert!(timeout(LONG, back).await.is_ok(), "{supervisor:?}");
    supervisor.close().await;
}

#[tokio::test]
async fn a_stream_through_the_server_that_was_cut_short_does_not_look_complete() {
    let server = Sshd::start();
    let connection = server.builder().connect().await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let whole = connection.direct_tcpip("127.0.0.1", port).await.unwrap();
    let (mut target, _) = listener.accept().await.unwrap();
    target.write_all(b"all of it").await.unwrap();
    drop(target);
    let cut = connection.direct_tcpip("127.0.0.1", port).await.unwrap();
    let (mut target, _) = listener.accept().await.unwrap();
    target.write_all(b"half").await.unwrap();
    let read = |mut stream: Box<dyn tokio::io::AsyncRead + Unpin + Send>| async move {
        let mut text = String::new();
        let outcome = timeout(LONG, stream.read_to_string(&mut text)).await.unwrap();
        outcome.map(|_| text).map_err(|error| error.kind())
    };
    assert_eq!(read(Box::new(whole)).await.as_deref(), Ok("all of it"));
    server.break_connections();
    assert_eq!(
        read(Box::new(cut)).await,
        Err(std::io::ErrorKind::ConnectionReset)
    );
}

#[tokio::test]
async fn a_channel_of_a_type_that_nobody_knows_is_refused_once() {
    let python = std::env::var_os("STERNLINE_TEST_PYTHON").unwrap_or_else(|| "python3".into());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/python/paramiko_odd_server.py");
    let mut server = tokio::process::Command::new(python)
        .arg(script)
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let port = timeout(LONG, lines.next_line()).await.unwrap().unwrap().unwrap();
    let connection = Connection::builder(format!("nobody@127.0.0.1:{port}"))
        .danger_accept_any_host_key()
        .password("any")
        .connect()
        .await
        .unwrap();
    let refusals = timeout(LONG, lines.next_line()).await.unwrap().unwrap();
    assert_eq!(refusals.as_deref(), Some("1"));
    connection.close().await;
}

#[tokio::test]
async fn what_a_forward_is_called_carries_nothing_that_a_terminal_obeys() {
    let server = Sshd::start();
    let connection = server.builder().connect().await.unwrap();
    let manager = ForwardManager::new(&connection);
    let forward = manager.forward_local(0, "evil\x1b[31m\nhost", 1).await.unwrap();
    for text in [format!("{forward:?}"), format!("{manager:?}")] {
        assert!(
            text.contains("evil") && !text.contains(char::is_control),
            "{text:?}"
        );
    }
    connection.close().await;
}

#[tokio::test]
async fn all_forwards_of_a_dead_link_are_closed_in_the_time_of_one() {
    let server = Sshd::start();
    let (proxy, settings) = behind_a_link(&server).await;
    let connection = settings.connect().await.unwrap();
    let manager = ForwardManager::new(&connection);
    for _ in 0..4 {
        manager.forward_remote(0, "127.0.0.1", 9).await.unwrap();
    }
    proxy.faults().set(Fault::BlackHole);
    // A server that does not answer is waited for, five seconds at most.
    let closed = timeout(Duration::from_secs(12), manager.close_all());
    assert!(closed.await.is_ok());
    assert!(manager.intents().is_empty());
    connection.close().await;
}
