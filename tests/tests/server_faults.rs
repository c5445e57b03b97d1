//! Every fault of a link by its name, as a client sees it that is not ours.

mod server_support;

use std::io::ErrorKind;
use std::time::Duration;

use server_support::{PATIENCE, answer, binary};
use sternline_server::fault::{Fault, FaultProxy, Faults};
use sternline_tests::sshd::Sshd;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// What an echo server says first.
const GREETING: &[u8] = b"SSH-2.0-echo\r\n";

/// A server that greets and then gives back what it gets, until it has got everything; behind a proxy.
struct Echo {
    proxy: FaultProxy,
    _serving: JoinSet<()>,
}

impl Echo {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut clients = JoinSet::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                clients.spawn(async move {
                    let (mut from, mut to) = stream.split();
                    // A client that the test cuts off is no failure here.
                    let _ = to.write_all(GREETING).await;
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                    let _ = to.shutdown().await;
                });
            }
        });
        let proxy = FaultProxy::start(addr).await.unwrap();
        Self {
            proxy,
            _serving: serving,
        }
    }

    fn faults(&self) -> &Faults {
        self.proxy.faults()
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.proxy.addr()).await.unwrap()
    }

    /// A client that has been greeted and echoed, so that its connection is known to go all the way.
    async fn connected(&self) -> TcpStream {
        let mut client = self.connect().await;
        let mut greeting = vec![0; GREETING.len()];
        patiently(client.read_exact(&mut greeting)).await.unwrap();
        assert_eq!(greeting, GREETING);
        echoed(&mut client, b"hello").await;
        client
    }
}

fn fault(name: &str) -> Fault {
    name.parse().unwrap()
}

async fn patiently<T>(doing: impl Future<Output = T>) -> T {
    timeout(PATIENCE, doing).await.expect("it never ends")
}

async fn echoed(client: &mut TcpStream, sent: &[u8]) {
    client.write_all(sent).await.unwrap();
    let mut got = vec![0; sent.len()];
    patiently(client.read_exact(&mut got)).await.unwrap();
    assert_eq!(got, sent);
}

/// What comes until the end, and how it ends.
async fn rest(client: &mut TcpStream) -> (Vec<u8>, Result<(), ErrorKind>) {
    let mut got = Vec::new();
    let ended = patiently(client.read_to_end(&mut got)).await;
    (got, ended.map(|_| ()).map_err(|error| error.kind()))
}

/// Whether nothing comes, for a time in which everything would.
async fn is_silent(client: &mut TcpStream) -> bool {
    let mut byte = [0];
    timeout(Duration::from_millis(100), client.read(&mut byte))
        .await
        .is_err()
}

#[tokio::test]
async fn a_healthy_link_passes_and_counts_everything_and_each_half_of_a_close() {
    let echo = Echo::start().await;
    let mut client = echo.connect().await;
    let data = binary(3 << 20);
    let (mut from, mut to) = client.split();
    let send = async {
        to.write_all(&data).await.unwrap();
        to.shutdown().await.unwrap();
    };
    let mut got = Vec::new();
    let (_, read) = patiently(async { tokio::join!(send, from.read_to_end(&mut got)) }).await;
    read.unwrap();
    assert!(got == [GREETING, &data].concat());

    let counters = patiently(echo.faults().until(|counters| counters.open == 0)).await;
    assert_eq!(counters.connections, 1);
    assert_eq!(counters.to_server, data.len() as u64);
    assert_eq!(counters.to_client, got.len() as u64);
    assert_eq!(counters.fired, 0);
}

#[tokio::test]
async fn drop_closes_what_is_open_and_the_next_connection_is_healthy() {
    let echo = Echo::start().await;
    let mut client = echo.connected().await;
    echo.faults().set(fault("drop"));
    assert_eq!(rest(&mut client).await, (vec![], Ok(())));
    let counters = patiently(echo.faults().until(|counters| counters.open == 0)).await;
    assert_eq!(counters.fired, 1);
    echo.connected().await;
}

#[tokio::test]
async fn drop_after_lets_exactly_so_many_bytes_through() {
    let echo = Echo::start().await;
    let mut open = echo.connected().await;
    echo.faults().set(fault("drop-after:1000"));
    open.write_all(&[7; 600]).await.unwrap();
    let (got, ended) = rest(&mut open).await;
    assert_eq!((got.len(), ended), (400, Ok(())), "600 there and 400 back");

    let mut next = echo.connect().await;
    next.write_all(&[7; 5000]).await.unwrap();
    let (got, _) = rest(&mut next).await;
    assert!(got.len() <= 1000);
    assert_eq!(echo.faults().counters().fired, 2);
}

#[tokio::test]
async fn reset_is_a_reset_and_no_close() {
    let echo = Echo::start().await;
    let mut client = echo.connected().await;
    echo.faults().set(fault("reset"));
    assert_eq!(rest(&mut client).await, (vec![], Err(ErrorKind::ConnectionReset)));
    echo.connected().await;
}

#[tokio::test]
async fn refuse_turns_new_clients_away_and_the_port_comes_back() {
    let echo = Echo::start().await;
    let mut open = echo.connected().await;
    echo.faults().set(fault("refuse"));
    for _ in 0..3 {
        let refused = TcpStream::connect(echo.proxy.addr()).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    }
    echoed(&mut open, b"still here").await;
    echo.faults().heal();
    echo.connected().await;
    echoed(&mut open, b"and here").await;
}

#[tokio::test]
async fn a_black_hole_swallows_open_and_new_connections_and_gives_none_of_them_back() {
    let echo = Echo::start().await;
    let mut open = echo.connected().await;
    echo.faults().set(fault("black-hole"));
    let mut next = echo.connect().await;
    for client in [&mut open, &mut next] {
        client.write_all(b"anybody there?").await.unwrap();
        assert!(is_silent(client).await);
    }
    let counters = patiently(echo.faults().until(|counters| counters.connections == 2)).await;
    assert_eq!((counters.open, counters.fired), (2, 2));
    echo.faults().heal();
    for client in [&mut open, &mut next] {
        assert_eq!(rest(client).await, (vec![], Err(ErrorKind::ConnectionReset)));
    }
    echo.connected().await;
}

#[tokio::test]
async fn a_stall_keeps_everything_until_it_is_healed() {
    let echo = Echo::start().await;
    let mut open = echo.connected().await;
    echo.faults().set(fault("stall"));
    let mut next = echo.connect().await;
    open.write_all(b"later").await.unwrap();
    open.shutdown().await.unwrap();
    assert!(is_silent(&mut open).await);
    assert!(is_silent(&mut next).await);
    echo.faults().heal();
    assert_eq!(rest(&mut open).await, (b"later".to_vec(), Ok(())));
    let mut greeting = vec![0; GREETING.len()];
    patiently(next.read_exact(&mut greeting)).await.unwrap();
}

#[tokio::test]
async fn a_slow_link_takes_as_long_as_its_rate_says() {
    let echo = Echo::start().await;
    let mut client = echo.connected().await;
    echo.faults().set(fault("slow:20000"));
    let started = Instant::now();
    echoed(&mut client, &binary(10_000)).await;
    // A second in both directions, which overlap; the last part of each is not waited for.
    assert!(
        started.elapsed() >= Duration::from_millis(450),
        "{:?}",
        started.elapsed()
    );
    echo.faults().heal();
    let started = Instant::now();
    echoed(&mut client, &binary(100_000)).await;
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "that were the slow rate"
    );
}

#[tokio::test]
async fn latency_delays_what_passes_and_not_how_much() {
    let echo = Echo::start().await;
    let mut client = echo.connected().await;
    echo.faults().set(fault("latency:60ms"));
    let started = Instant::now();
    echoed(&mut client, b"x").await;
    assert!(started.elapsed() >= Duration::from_millis(120));
    let started = Instant::now();
    let data = binary(500_000);
    let (mut from, mut to) = client.split();
    let mut got = vec![0; data.len()];
    let (sent, read) =
        patiently(async { tokio::join!(to.write_all(&data), from.read_exact(&mut got)) }).await;
    sent.unwrap();
    read.unwrap();
    assert!(got == data);
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "many delayed bytes are under way at a time"
    );
}

#[tokio::test]
async fn with_latency_a_connection_begins_with_a_round_trip_of_its_own() {
    let echo = Echo::start().await;
    echo.faults().set(fault("latency:30ms"));
    let started = Instant::now();
    let mut client = echo.connect().await;
    let mut greeting = vec![0; GREETING.len()];
    patiently(client.read_exact(&mut greeting)).await.unwrap();
    assert_eq!(greeting, GREETING);
    assert!(started.elapsed() >= Duration::from_millis(90));
}

#[tokio::test]
async fn with_latency_much_more_is_on_its_way_than_the_systems_buffers_hold() {
    let echo = Echo::start().await;
    let mut client = echo.connected().await;
    let arrived = echo.faults().counters().to_server;
    // So long that nothing arrives while the test writes.
    echo.faults().set(fault("latency:1000s"));
    patiently(client.write_all(&vec![0; 48 << 20])).await.unwrap();
    assert_eq!(echo.faults().counters().to_server, arrived);
}

#[tokio::test]
async fn one_bit_is_corrupted_in_the_named_direction() {
    let echo = Echo::start().await;
    for name in ["corrupt-to-client:3", "corrupt-to-server:3"] {
        let mut client = echo.connected().await;
        echo.faults().set_open(fault(name));
        client.write_all(b"aaaaa").await.unwrap();
        let mut got = [0; 5];
        patiently(client.read_exact(&mut got)).await.unwrap();
        assert_eq!(&got, b"aa`aa", "{name}");
        echoed(&mut client, b"aaaaa").await;
    }
    assert_eq!(echo.faults().counters().fired, 2);
}

#[tokio::test]
async fn only_the_banner_comes_from_a_server_that_has_only_that() {
    let echo = Echo::start().await;
    echo.faults().set(fault("banner-only"));
    let mut client = echo.connect().await;
    client.write_all(b"SSH-2.0-me\r\n").await.unwrap();
    let mut greeting = vec![0; GREETING.len()];
    patiently(client.read_exact(&mut greeting)).await.unwrap();
    assert_eq!(greeting, GREETING);
    assert!(is_silent(&mut client).await);
}

#[tokio::test]
async fn faults_for_the_open_and_for_the_next_connections_are_told_apart() {
    let echo = Echo::start().await;
    let mut open = echo.connected().await;
    echo.faults().set_next(fault("reset"));
    let mut next = echo.connect().await;
    assert_eq!(rest(&mut next).await.1, Err(ErrorKind::ConnectionReset));
    echoed(&mut open, b"untouched").await;

    echo.faults().heal();
    echo.faults().set_open(fault("stall"));
    let mut next = echo.connected().await;
    assert!(is_silent(&mut open).await);
    echoed(&mut next, b"untouched").await;
}

#[tokio::test]
async fn a_proxy_that_is_dropped_ends_its_connections_and_lets_its_port_go() {
    let echo = Echo::start().await;
    let mut client = echo.connected().await;
    let (addr, faults) = (echo.proxy.addr(), echo.faults().clone());
    drop(echo);
    let (got, _) = rest(&mut client).await;
    assert!(got.is_empty());
    patiently(faults.until(|counters| counters.open == 0)).await;
    assert_eq!(
        TcpStream::connect(addr).await.unwrap_err().kind(),
        ErrorKind::ConnectionRefused
    );
    TcpListener::bind(addr).await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_reset() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = nobody.local_addr().unwrap();
    drop(nobody);
    let proxy = FaultProxy::start(addr).await.unwrap();
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    assert_eq!(rest(&mut client).await.1, Err(ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn a_reader_that_pauses_holds_up_its_own_connection_only() {
    let echo = Echo::start().await;
    let mut stuck = echo.connected().await;
    stuck.set_nodelay(true).unwrap();
    let chunk = binary(1 << 20);
    // Until nothing is taken any more: nobody reads what comes back.
    while timeout(Duration::from_millis(300), stuck.write_all(&chunk))
        .await
        .is_ok()
    {}
    let mut other = echo.connected().await;
    echoed(&mut other, &binary(100_000)).await;
}

#[tokio::test]
async fn openssh_s_server_fails_behind_it_as_it_is_told_and_is_well_again() {
    let sshd = Sshd::start();
    let upstream = format!("127.0.0.1:{}", sshd.port()).parse().unwrap();
    let proxy = FaultProxy::start(upstream).await.unwrap();
    let attempt = || {
        let mut ssh = Command::new("ssh");
        ssh.args([
            "-v",
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
            "-o",
            "IdentitiesOnly=yes",
        ])
        // The key is known under the port of the server itself.
        .args(["-o", &format!("HostKeyAlias=[127.0.0.1]:{}", sshd.port())])
        .args([
            "-o",
            &format!("UserKnownHostsFile={}", sshd.known_hosts().display()),
        ])
        .args(["-p", &proxy.addr().port().to_string(), "-l", &sshd.user().name])
        .arg("-i")
        .arg(sshd.key())
        .args(["127.0.0.1", "echo well"])
        .env_remove("SSH_AUTH_SOCK");
        answer(ssh)
    };
    let well = attempt().await;
    assert_eq!(well.stdout, b"well\n", "{well:?}");
    // Near the end of what ssh sends, so encrypted: ssh knows only that sshd ends the connection.
    let late = proxy.faults().counters().to_server - 300;
    for (name, words) in [
        ("truncate-kex", "Connection closed by"),
        (&*format!("corrupt-to-server:{late}"), "closed by"),
        ("drop-after:3000", "Connection closed by"),
        ("refuse", "Connection refused"),
    ] {
        proxy.faults().set(fault(name));
        let output = attempt().await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.code() == Some(255) && said.contains(words),
            "{name}: {said}"
        );
        proxy.faults().heal();
        assert_eq!(attempt().await.stdout, b"well\n", "after {name}");
    }
    assert_eq!(proxy.faults().counters().fired, 3, "a refused connection is none");
}
