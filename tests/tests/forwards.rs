//! Forwards through a real sshd.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use sternline::forward::{BindAddress, ConnectAddress, ForwardIntent, ListenAddress, Side};
use sternline::{Connection, ErrorKind, EventCollector, EventType, ForwardManager};
use sternline_tests::processes::eventually;
use sternline_tests::sshd::{Settings, Sshd, free_port};
use sternline_tests::targets::echo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

const LONG: Duration = Duration::from_secs(20);

async fn connect(server: &Sshd) -> Connection {
    server.builder().connect().await.unwrap()
}

/// A web server that answers every request with the same text.
async fn web(address: &str) -> u16 {
    let listener = TcpListener::bind((address, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut asked = Vec::new();
                while !asked.ends_with(b"\r\n\r\n") && stream.read_buf(&mut asked).await.unwrap_or(0) > 0 {}
                let _ = stream
                    .write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nhello\n")
                    .await;
            });
        }
    });
    port
}

async fn round_trip(port: u16, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    timeout(LONG, stream.read_to_end(&mut answer))
        .await
        .unwrap()
        .unwrap();
    answer
}

/// Whether the end of the stream is a reset.
async fn is_reset(port: u16) -> bool {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let mut byte = [0];
    let ended = timeout(LONG, stream.read(&mut byte)).await.unwrap();
    ended.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset)
}

async fn curl(arguments: &[&str]) -> (i32, String) {
    let mut curl = tokio::process::Command::new("curl");
    curl.args(["--silent", "--max-time", "20"]).args(arguments);
    let output = curl.stdin(Stdio::null()).output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code().unwrap_or(-1), text)
}

#[tokio::test]
async fn a_local_forward_carries_both_ways_with_the_half_close_on_both_loopback_addresses() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    let forwards = ForwardManager::new(&connection);
    let target = echo("127.0.0.1").await;
    let forward = forwards.forward_local(0, "127.0.0.1", target).await.unwrap();
    let port = forward.local_port();
    assert_ne!(port, 0);

    let sent: Vec<u8> = (0..5_000_000_u32).map(|n| (n % 251) as u8).collect();
    assert!(round_trip(port, &sent).await == sent);
    let mut v6 = TcpStream::connect(("::1", port)).await.unwrap();
    v6.write_all(b"six").await.unwrap();
    v6.shutdown().await.unwrap();
    let mut answer = String::new();
    v6.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "six");
    assert_eq!(forward.total_connections(), 2);
    assert!(forward.is_active());
}

#[tokio::test]
async fn a_closed_forward_frees_its_port_and_leaves_what_is_open() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    let forwards = ForwardManager::new(&connection);
    let target = echo("127.0.0.1").await;
    let forward = forwards.forward_local(0, "127.0.0.1", target).await.unwrap();
    let port = forward.local_port();
    let taken = forwards
        .forward_local(port, "127.0.0.1", target)
        .await
        .unwrap_err();
    assert_eq!(taken.kind(), &ErrorKind::Local);
    assert!(taken.hint().contains("listens there already"), "{taken}");

    let mut open = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    open.write_all(b"still").await.unwrap();
    while forward.open_connections() == 0 {
        tokio::task::yield_now().await;
    }
    forward.close().await;
    forward.close().await;
    assert!(!forward.is_active());
    assert!(forwards.intents().is_empty());
    let again = forwards.forward_local(port, "127.0.0.1", target).await.unwrap();
    assert_eq!(again.local_port(), port);
    open.shutdown().await.unwrap();
    let mut answer = String::new();
    timeout(LONG, open.read_to_string(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(answer, "still");
    forwards.close_all().await;
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
}

#[tokio::test]
async fn a_target_that_refuses_and_one_that_is_forbidden_reset_the_client() {
    let server = Settings::default().option("PermitOpen 127.0.0.1:*").start();
    let connection = connect(&server).await;
    let forwards = ForwardManager::new(&connection);
    let refuses = forwards.forward_local(0, "127.0.0.1", free_port()).await.unwrap();
    assert!(is_reset(refuses.local_port()).await);
    let forbidden = forwards.forward_local(0, "127.0.0.2", 1).await.unwrap();
    assert!(is_reset(forbidden.local_port()).await);
    // Neither has harmed the connection.
    assert!(connection.exec("true").await.unwrap().ok());
}

#[tokio::test]
async fn a_remote_forward_is_reached_at_the_server_on_a_chosen_or_given_port() {
    let server = Sshd::start();
    let collector = EventCollector::new();
    let connection = server.builder().events(&collector).connect().await.unwrap();
    let forwards = ForwardManager::new(&connection);
    let target = echo("127.0.0.1").await;
    let chosen = forwards.forward_remote(0, "127.0.0.1", target).await.unwrap();
    let port = chosen.local_port();
    assert_ne!(port, 0);
    let sent: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    assert!(round_trip(port, &sent).await == sent);

    let refused = forwards
        .forward_remote(port, "127.0.0.1", target)
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("does not listen"), "{refused}");
    chosen.close().await;
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
    let given = forwards.forward_remote(port, "127.0.0.1", target).await.unwrap();
    assert_eq!(given.local_port(), port);
    assert_eq!(round_trip(port, b"again").await, b"again");

    let events = collector.by_type(EventType::Forward);
    let statuses: Vec<_> = events
        .iter()
        .map(|event| event.data["status"].as_str().unwrap())
        .collect();
    assert_eq!(
        statuses,
        [
            "establishing",
            "established",
            "establishing",
            "failed",
            "closed",
            "establishing",
            "established"
        ]
    );
    assert_eq!(events[1].data["actual_port"], port);
    assert_eq!(events[1].data["forward_type"], "remote");
}

#[tokio::test]
async fn whoever_connects_to_a_remote_forward_without_a_target_is_closed() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    let forwards = ForwardManager::new(&connection);
    let forward = forwards
        .forward_remote(0, "127.0.0.1", free_port())
        .await
        .unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", forward.local_port()))
        .await
        .unwrap();
    let mut answer = Vec::new();
    let ended = timeout(LONG, stream.read_to_end(&mut answer)).await.unwrap();
    assert!(ended.is_err() || answer.is_empty());
}

#[tokio::test]
async fn unix_sockets_work_on_either_end_of_either_kind() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    let forwards = ForwardManager::new(&connection);
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let listener = UnixListener::bind(path("target")).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut said = Vec::new();
            stream.read_to_end(&mut said).await.unwrap();
            stream.write_all(&said).await.unwrap();
        }
    });
    for (listener, name) in [(Side::Local, "here"), (Side::Remote, "there")] {
        forwards
            .forward(ForwardIntent {
                listener,
                listen: ListenAddress::Unix { path: path(name) },
                connect: Some(ConnectAddress::Unix { path: path("target") }),
            })
            .await
            .unwrap();
        let mut stream = UnixStream::connect(path(name)).await.unwrap();
        stream.write_all(name.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        timeout(LONG, stream.read_to_string(&mut answer))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(answer, name);
    }
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path("here")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    forwards.close_all().await;
    assert!(!std::path::Path::new(&path("here")).exists());
}

#[tokio::test]
async fn curl_gets_through_a_dynamic_forward_by_every_kind_of_socks_and_address() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    let forwards = ForwardManager::new(&connection);
    let (v4, v6) = (web("127.0.0.1").await, web("::1").await);
    let forward = forwards.forward_dynamic(0).await.unwrap();
    let proxies = [
        format!("127.0.0.1:{}", forward.local_port()),
        format!("[::1]:{}", forward.local_port()),
    ];
    for proxy in &proxies {
        for (option, url) in [
            ("--socks5-hostname", format!("http://localhost:{v4}/")),
            ("--socks5-hostname", format!("http://127.0.0.1:{v4}/")),
            ("--socks5-hostname", format!("http://[::1]:{v6}/")),
            ("--socks5", format!("http://127.0.0.1:{v4}/")),
            ("--socks5", format!("http://[::1]:{v6}/")),
            ("--socks4a", format!("http://localhost:{v4}/")),
            ("--socks4", format!("http://127.0.0.1:{v4}/")),
        ] {
            let (status, body) = curl(&[option, proxy, &url]).await;
            assert_eq!((status, body.as_str()), (0, "hello\n"), "{option} {proxy} {url}");
        }
    }
}

#[tokio::test]
async fn a_socks_client_is_told_what_went_wrong() {
    let server = Settings::default().option("PermitOpen 127.0.0.1:*").start();
    let connection = connect(&server).await;
    let forwards = ForwardManager::new(&connection);
    let forward = forwards.forward_dynamic(0).await.unwrap();
    let reply = async |request: &[u8]| {
        let mut stream = TcpStream::connect(("127.0.0.1", forward.local_port()))
            .await
            .unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        timeout(LONG, stream.read_to_end(&mut answer))
            .await
            .unwrap()
            .unwrap();
        answer
    };
    let [high, low] = free_port().to_be_bytes();
    let refused = reply(&[5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, high, low]).await;
    assert_eq!(refused[..4], [5, 0, 5, 5]);
    let forbidden = reply(&[5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 2, 0, 1]).await;
    assert_eq!(forbidden[..4], [5, 0, 5, 2]);
    let bind = reply(&[5, 1, 0, 5, 2, 0, 1, 127, 0, 0, 1, high, low]).await;
    assert_eq!(bind[..4], [5, 0, 5, 7]);
    let refused = reply(&[4, 1, high, low, 127, 0, 0, 1, 0]).await;
    assert_eq!(refused[..2], [0, 0x5b]);
    assert_eq!(reply(&[5, 1, 2]).await, [5, 0xff]);
    let _ = reply(b"GET / HTTP/1.0\r\n\r\n").await;
    assert!(connection.exec("true").await.unwrap().ok());
}

#[tokio::test]
async fn the_server_can_have_a_socks_proxy_whose_connections_are_made_here() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    let forwards = ForwardManager::new(&connection);
    let target = web("127.0.0.1").await;
    let forward = forwards
        .forward(ForwardIntent::remote("0").unwrap())
        .await
        .unwrap();
    let proxy = format!("127.0.0.1:{}", forward.local_port());
    let url = format!("http://localhost:{target}/");
    let answer = curl(&["--socks5-hostname", &proxy, &url]).await;
    assert_eq!(answer, (0, "hello\n".to_owned()));
    let url = format!("http://127.0.0.1:{}/", free_port());
    // 97: the proxy says that it failed.
    assert_eq!(curl(&["--socks5-hostname", &proxy, &url]).await.0, 97);
}

#[tokio::test]
async fn a_thousand_connections_at_once_all_get_their_own_answer() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    let forwards = ForwardManager::new(&connection);
    let target = echo("127.0.0.1").await;
    let forward = forwards.forward_local(0, "127.0.0.1", target).await.unwrap();
    let port = forward.local_port();
    let mut clients = JoinSet::new();
    for n in 0..1000_u32 {
        clients.spawn(async move {
            let said = n.to_string().repeat(50);
            assert_eq!(round_trip(port, said.as_bytes()).await, said.as_bytes());
        });
    }
    while let Some(done) = clients.join_next().await {
        done.unwrap();
    }
    assert_eq!(forward.total_connections(), 1000);
}

#[tokio::test]
async fn a_reader_that_stops_harms_no_other_connection_and_still_gets_everything() {
    const SIZE: usize = 48 * 1024 * 1024;
    let server = Sshd::start();
    let connection = connect(&server).await;
    let forwards = ForwardManager::new(&connection);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(&vec![7; SIZE]).await.unwrap();
    });
    let stuck = forwards.forward_local(0, "127.0.0.1", port).await.unwrap();
    let mut reader = TcpStream::connect(("127.0.0.1", stuck.local_port()))
        .await
        .unwrap();
    reader.read_exact(&mut [0]).await.unwrap();

    let other = forwards
        .forward_local(0, "127.0.0.1", echo("127.0.0.1").await)
        .await
        .unwrap();
    for _ in 0..20 {
        assert_eq!(round_trip(other.local_port(), b"ping").await, b"ping");
    }
    let mut rest = Vec::new();
    timeout(LONG, reader.read_to_end(&mut rest))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(rest.len(), SIZE - 1);
}

#[tokio::test]
async fn other_addresses_than_loopback_are_listened_on_only_when_they_are_named() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    let forwards = ForwardManager::new(&connection);
    let target = echo("127.0.0.1").await;
    let intent = ForwardIntent {
        listener: Side::Local,
        listen: ListenAddress::Tcp {
            bind: BindAddress::Address("127.0.0.9".to_owned()),
            port: 0,
        },
        connect: Some(ConnectAddress::Tcp {
            host: "127.0.0.1".to_owned(),
            port: target,
        }),
    };
    let forward = forwards.forward(intent).await.unwrap();
    let port = forward.local_port();
    assert!(TcpStream::connect(("127.0.0.9", port)).await.is_ok());
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());

    let loopback = forwards.forward_local(0, "127.0.0.1", target).await.unwrap();
    assert!(
        TcpStream::connect(("127.0.0.9", loopback.local_port()))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn forwards_end_with_their_connection() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    let forwards = ForwardManager::new(&connection);
    let target = echo("127.0.0.1").await;
    let forward = forwards.forward_local(0, "127.0.0.1", target).await.unwrap();
    assert_eq!(forwards.active_forwards().len(), 1);
    let port = forward.local_port();
    let mut open = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    open.write_all(b"lost").await.unwrap();
    while forward.open_connections() == 0 {
        tokio::task::yield_now().await;
    }
    connection.close().await;
    // What was under way must not look finished.
    let mut answer = Vec::new();
    let ended = timeout(LONG, open.read_to_end(&mut answer)).await.unwrap();
    assert!(ended.is_err(), "{ended:?}");
    while forward.is_active() {
        tokio::task::yield_now().await;
    }
    assert!(forwards.active_forwards().is_empty());
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
}

#[tokio::test]
async fn a_client_that_resets_is_let_go_even_while_its_target_takes_nothing() {
    let server = Sshd::start();
    let connection = connect(&server).await;
    let forwards = ForwardManager::new(&connection);
    // Accepts, and never reads.
    let target = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = target.local_addr().unwrap().port();
    let forward = forwards.forward_local(0, "127.0.0.1", port).await.unwrap();
    let mut client = TcpStream::connect(("127.0.0.1", forward.local_port()))
        .await
        .unwrap();
    let (_held, _) = timeout(LONG, target.accept()).await.unwrap().unwrap();
    // Until everything on the way is full.
    let chunk = vec![0; 1024 * 1024];
    while timeout(Duration::from_millis(500), client.write_all(&chunk))
        .await
        .is_ok()
    {}
    assert_eq!(forward.open_connections(), 1);
    client.set_zero_linger().unwrap();
    drop(client);
    eventually("the client is let go", || forward.open_connections() == 0).await;
}
