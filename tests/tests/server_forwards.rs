//! Forwarding through the embedded server, with OpenSSH's client.

mod server_support;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use server_support::{Fixture, PATIENCE, answer, binary, eventually, run};
use sternline_server::{Reply, Server, ServerBuilder};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// What is forwarded to: gives back what it gets, once it has got all of it.
struct Target {
    addr: SocketAddr,
    _serving: JoinSet<()>,
}

impl Target {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut clients = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                clients.spawn(give_back(stream));
            }
        });
        Self {
            addr,
            _serving: serving,
        }
    }
}

async fn give_back(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut got = Vec::new();
    // A client that the test cuts off is no failure here.
    let _ = stream.read_to_end(&mut got).await;
    let _ = stream.write_all(&got).await;
    let _ = stream.shutdown().await;
}

/// What comes back for `sent` when only the end of it says that it is complete.
async fn exchange(stream: impl AsyncRead + AsyncWrite, sent: &[u8]) -> Vec<u8> {
    let (mut from, mut to) = tokio::io::split(stream);
    let mut got = Vec::new();
    let send = async {
        to.write_all(sent).await.unwrap();
        to.shutdown().await.unwrap();
    };
    let (_, read) = timeout(PATIENCE, async { tokio::join!(send, from.read_to_end(&mut got)) })
        .await
        .expect("the exchange never ends");
    read.unwrap();
    got
}

/// One connection of OpenSSH's client, which takes forwards one by one and says when they stand.
struct Master<'a> {
    fixture: &'a Fixture,
    control: PathBuf,
    child: Child,
}

impl<'a> Master<'a> {
    async fn start(fixture: &'a Fixture) -> Self {
        let control = fixture.dir.path().join("control");
        let mut ssh = fixture.ssh();
        ssh.arg("-MN").arg("-S").arg(&control);
        let child = ssh.spawn().unwrap();
        eventually("the control socket", || control.exists()).await;
        Self {
            fixture,
            control,
            child,
        }
    }

    async fn ask(&self, what: &str, kind: &str, spec: &str) -> std::process::Output {
        let mut ssh = self.fixture.ssh();
        ssh.arg("-S").arg(&self.control).args(["-O", what, kind, spec]);
        answer(ssh).await
    }

    async fn forward(&self, kind: &str, spec: &str) -> String {
        let output = self.ask("forward", kind, spec).await;
        assert!(output.status.success(), "{kind} {spec}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// A local forward, by the path of its socket on this side.
    async fn local(&self, target: SocketAddr) -> PathBuf {
        let path = self.fixture.dir.path().join(format!("local-{}", target.port()));
        self.forward("-L", &format!("{}:{target}", path.display())).await;
        path
    }
}

async fn forwarding() -> Fixture {
    Fixture::start(Server::builder().allow_forwarding()).await
}

async fn stdio(builder: ServerBuilder, target: &str) -> std::process::Output {
    let f = Fixture::start(builder).await;
    let mut ssh = f.ssh();
    ssh.args(["-v", "-W", target]);
    run(ssh, b"hello".to_vec()).await
}

#[tokio::test]
async fn a_local_forward_carries_both_directions_and_the_end_of_each() {
    let (f, target) = (forwarding().await, Target::start().await);
    let master = Master::start(&f).await;
    let local = master.local(target.addr).await;
    for size in [0, 1, 5 << 20] {
        let data = binary(size);
        let got = exchange(UnixStream::connect(&local).await.unwrap(), &data).await;
        assert!(got == data, "{size} bytes");
    }
}

#[tokio::test]
async fn a_hundred_connections_at_once_go_through_one_forward() {
    let (f, target) = (forwarding().await, Target::start().await);
    let master = Master::start(&f).await;
    let local = master.local(target.addr).await;
    let mut clients = JoinSet::new();
    for number in 0..100_usize {
        let local = local.clone();
        clients.spawn(async move {
            let data = binary(1000 * number);
            exchange(UnixStream::connect(local).await.unwrap(), &data).await == data
        });
    }
    assert!(clients.join_all().await.into_iter().all(|right| right));
}

#[tokio::test]
async fn standard_input_and_output_are_connected_with_w() {
    let target = Target::start().await;
    let output = stdio(Server::builder().allow_forwarding(), &target.addr.to_string()).await;
    assert_eq!(output.stdout, b"hello", "{output:?}");
}

#[tokio::test]
async fn a_target_that_is_refused_is_refused_for_the_right_reason() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = nobody.local_addr().unwrap().to_string();
    drop(nobody);
    let target = Target::start().await;
    let (host, port) = ("127.0.0.1", target.addr.port());
    let open = target.addr.to_string();
    let table = [
        (Server::builder(), &open, "administratively prohibited"),
        (
            Server::builder().permit_open(host, 1),
            &open,
            "administratively prohibited",
        ),
        (Server::builder().allow_forwarding(), &closed, "connect failed"),
    ];
    for (builder, target, reason) in table {
        let output = stdio(builder, target).await;
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains(reason), "{target}: {error}");
    }
    let listed = stdio(Server::builder().permit_open(host, port), &open).await;
    assert_eq!(listed.stdout, b"hello");
}

#[tokio::test]
async fn curl_comes_through_a_dynamic_forward_and_gets_the_name_resolved_on_the_server() {
    let f = forwarding().await;
    let web = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = web.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = web.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\nConnection: close\r\n\r\nit works")
                .await;
        }
    });
    let free = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let master = Master::start(&f).await;
    master.forward("-D", &free.to_string()).await;
    for kind in ["--socks5-hostname", "--socks4a"] {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--noproxy", "", kind, &free.to_string()])
            .arg(format!("http://localhost:{port}/"));
        let output = answer(curl).await;
        assert_eq!(output.stdout, b"it works", "{kind}: {output:?}");
    }
}

#[tokio::test]
async fn two_servers_in_a_row_are_reached_with_j() {
    let jump = forwarding().await;
    let target = Fixture::start(Server::builder().command("where", Reply::stdout("inside\n"))).await;
    let config = jump.dir.path().join("config");
    let host = |name: &str, of: &Fixture| {
        format!(
            "Host {name}\n HostName 127.0.0.1\n Port {}\n IdentityFile {}\n UserKnownHostsFile {}\n",
            of.server.port(),
            of.key.display(),
            of.known_hosts.display()
        )
    };
    let all = "Host *\n User deploy\n IdentitiesOnly yes\n BatchMode yes\n StrictHostKeyChecking yes\n LogLevel ERROR\n";
    std::fs::write(&config, host("jump", &jump) + &host("target", &target) + all).unwrap();
    let mut ssh = Command::new("ssh");
    ssh.arg("-F")
        .arg(&config)
        .args(["-J", "jump", "target", "where"])
        .env_remove("SSH_AUTH_SOCK");
    let output = answer(ssh).await;
    assert_eq!(output.stdout, b"inside\n", "{output:?}");
    assert!(jump.server.log().is_empty());
}

#[tokio::test]
async fn a_remote_forward_gets_a_port_of_the_server_s_choice_until_it_is_cancelled() {
    let (f, target) = (forwarding().await, Target::start().await);
    let master = Master::start(&f).await;
    let port = master.forward("-R", &format!("0:{}", target.addr)).await;
    let remote: SocketAddr = format!("127.0.0.1:{port}").parse().unwrap();
    let data = binary(2 << 20);
    let got = exchange(TcpStream::connect(remote).await.unwrap(), &data).await;
    assert!(got == data);
    assert!(
        TcpStream::connect(format!("[::1]:{port}")).await.is_ok(),
        "localhost is both"
    );

    let mut open = TcpStream::connect(remote).await.unwrap();
    open.write_all(b"still ").await.unwrap();
    let cancelled = master.ask("cancel", "-R", &format!("0:{}", target.addr)).await;
    assert!(cancelled.status.success(), "{cancelled:?}");
    // ssh does not wait for the server's answer.
    eventually("the port is let go", || {
        std::net::TcpListener::bind(remote).is_ok()
    })
    .await;
    assert_eq!(exchange(open, b"there").await, b"still there");
    // The port can be had again at once, by number.
    master.forward("-R", &format!("{port}:{}", target.addr)).await;
    assert_eq!(
        exchange(TcpStream::connect(remote).await.unwrap(), b"again").await,
        b"again"
    );
}

#[tokio::test]
async fn a_remote_forward_whose_target_is_not_there_resets_the_connection() {
    let f = forwarding().await;
    let nobody = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let master = Master::start(&f).await;
    let port = master.forward("-R", &format!("0:{nobody}")).await;
    let mut client = TcpStream::connect(format!("127.0.0.1:{port}")).await.unwrap();
    let ended = timeout(PATIENCE, client.read(&mut [0])).await.unwrap();
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_remote_forward_is_refused_where_forwarding_is_not_allowed_or_the_port_is_taken() {
    let closed = Fixture::start(Server::builder()).await;
    let master = Master::start(&closed).await;
    assert!(
        !master
            .ask("forward", "-R", "0:127.0.0.1:1")
            .await
            .status
            .success()
    );

    let open = forwarding().await;
    let master = Master::start(&open).await;
    let taken = open.server.port();
    let output = master
        .ask("forward", "-R", &format!("127.0.0.1:{taken}:127.0.0.1:1"))
        .await;
    assert!(!output.status.success());
}

#[tokio::test]
async fn whatever_address_a_client_asks_for_the_server_listens_on_loopback_only() {
    let (f, target) = (forwarding().await, Target::start().await);
    let master = Master::start(&f).await;
    let port = master.forward("-R", &format!("*:0:{}", target.addr)).await;
    assert_eq!(
        exchange(
            TcpStream::connect(format!("127.0.0.1:{port}")).await.unwrap(),
            b"x"
        )
        .await,
        b"x"
    );
    // Listening on all addresses would answer on this one too.
    let elsewhere = TcpStream::connect(format!("127.1.2.3:{port}")).await.unwrap_err();
    assert_eq!(elsewhere.kind(), ErrorKind::ConnectionRefused);

    let gateway = Fixture::start(Server::builder().danger_gateway_ports()).await;
    let master = Master::start(&gateway).await;
    let port = master.forward("-R", &format!("*:0:{}", target.addr)).await;
    for address in ["127.1.2.3", "[::1]"] {
        let stream = TcpStream::connect(format!("{address}:{port}")).await.unwrap();
        assert_eq!(exchange(stream, b"x").await, b"x", "{address}");
    }
}

#[tokio::test]
async fn unix_sockets_are_forwarded_in_both_directions() {
    let f = forwarding().await;
    let path = |name: &str| f.dir.path().join(name).to_str().unwrap().to_owned();
    let listener = UnixListener::bind(path("target")).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(give_back(stream));
        }
    });
    let master = Master::start(&f).await;
    master
        .forward("-L", &format!("{}:{}", path("near"), path("target")))
        .await;
    assert_eq!(
        exchange(UnixStream::connect(path("near")).await.unwrap(), b"there").await,
        b"there"
    );

    let spec = format!("{}:{}", path("far"), path("target"));
    master.forward("-R", &spec).await;
    let mode = std::fs::metadata(path("far")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "only this user may connect");
    assert_eq!(
        exchange(UnixStream::connect(path("far")).await.unwrap(), b"back").await,
        b"back"
    );
    let mut second = f.ssh();
    second.args(["-N", "-o", "ExitOnForwardFailure=yes", "-R", &spec]);
    assert!(!answer(second).await.status.success(), "it is taken");
    assert!(master.ask("cancel", "-R", &spec).await.status.success());
    // ssh does not wait for the server's answer.
    eventually("the socket is gone", || !Path::new(&path("far")).exists()).await;
}

#[tokio::test]
async fn a_target_that_never_reads_and_a_client_that_never_reads_stop_nobody_else() {
    let (f, target) = (forwarding().await, Target::start().await);
    let deaf = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let flood = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let master = Master::start(&f).await;
    let to_deaf = master.local(deaf.local_addr().unwrap()).await;
    let to_flood = master.local(flood.local_addr().unwrap()).await;
    let local = master.local(target.addr).await;

    let mut sending = UnixStream::connect(to_deaf).await.unwrap();
    let (_deaf, _) = deaf.accept().await.unwrap();
    sending.write_all(&binary(32 << 20)).await.unwrap();

    let _not_reading = UnixStream::connect(to_flood).await.unwrap();
    let (mut flooding, _) = flood.accept().await.unwrap();
    let chunk = binary(1 << 20);
    // Until the client's window is full and everything between is as well.
    while timeout(Duration::from_millis(300), flooding.write_all(&chunk))
        .await
        .is_ok()
    {}

    let data = binary(1 << 20);
    let got = exchange(UnixStream::connect(local).await.unwrap(), &data).await;
    assert!(got == data);
}

#[tokio::test]
async fn everything_forwarded_ends_with_the_connection() {
    let (f, target) = (
        forwarding().await,
        TcpListener::bind("127.0.0.1:0").await.unwrap(),
    );
    let mut master = Master::start(&f).await;
    let port = master.forward("-R", "0:127.0.0.1:1").await;
    let local = master.local(target.local_addr().unwrap()).await;
    let _client = UnixStream::connect(local).await.unwrap();
    let (mut carried, _) = target.accept().await.unwrap();

    master.child.kill().await.unwrap();
    let ended = timeout(PATIENCE, carried.read(&mut [0])).await.unwrap();
    assert_eq!(ended.unwrap_or(0), 0);
    let remote: SocketAddr = format!("127.0.0.1:{port}").parse().unwrap();
    eventually("the remote port is let go", || {
        std::net::TcpListener::bind(remote).is_ok()
    })
    .await;
}

#[tokio::test]
async fn everything_forwarded_has_ended_when_a_shutdown_returns() {
    let (f, target) = (
        forwarding().await,
        TcpListener::bind("127.0.0.1:0").await.unwrap(),
    );
    let master = Master::start(&f).await;
    let port = master.forward("-R", "0:127.0.0.1:1").await;
    let local = master.local(target.local_addr().unwrap()).await;
    let _client = UnixStream::connect(local).await.unwrap();
    let (mut carried, _) = target.accept().await.unwrap();
    let stopped = std::time::Instant::now();
    f.server.shutdown().await;
    assert!(
        stopped.elapsed() < Duration::from_secs(4),
        "the limit is 5 seconds"
    );
    std::net::TcpListener::bind(format!("127.0.0.1:{port}")).unwrap();
    let ended = timeout(PATIENCE, carried.read(&mut [0])).await.unwrap();
    assert_eq!(ended.unwrap_or(0), 0);
}

#[tokio::test]
async fn a_target_that_resets_its_connection_ends_the_client_s() {
    let (f, target) = (
        forwarding().await,
        TcpListener::bind("127.0.0.1:0").await.unwrap(),
    );
    let master = Master::start(&f).await;
    let local = master.local(target.local_addr().unwrap()).await;
    let mut client = UnixStream::connect(local).await.unwrap();
    let (mut carried, _) = target.accept().await.unwrap();
    client.write_all(b"x").await.unwrap();
    carried.read_exact(&mut [0]).await.unwrap();
    carried.set_zero_linger().unwrap();
    drop(carried);
    let ended = timeout(PATIENCE, client.read(&mut [0])).await.unwrap();
    assert_eq!(ended.unwrap_or(0), 0);
}
