//! Who gets in, how long it may take, and what a server does with clients that misbehave.

mod server_support;

use std::net::SocketAddr;
use std::time::Duration;

use server_support::{Fixture, PATIENCE, answer};
use sternline_server::{BindError, Credential, KeyPair, Reply, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// Reads until the server ends the connection.
async fn until_closed(mut stream: TcpStream) -> Vec<u8> {
    let mut read = Vec::new();
    // A reset is an end as well.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut read))
        .await
        .expect("the server keeps the connection");
    read
}

#[tokio::test]
async fn a_server_without_credentials_lets_nobody_in() {
    let server = Server::builder().real_shell().bind().await.unwrap();
    let f = Fixture::of(server, &KeyPair::generate_ed25519().unwrap());
    for mut ssh in [f.ssh(), f.ssh_answering("", "password")] {
        ssh.arg("true");
        assert!(!answer(ssh).await.status.success());
    }
    assert!(f.server.log().is_empty());
}

#[tokio::test]
async fn a_client_that_never_speaks_is_let_go_after_the_grace_time() {
    let server = Server::builder()
        .login_grace_time(Duration::from_millis(300))
        .bind()
        .await
        .unwrap();
    let started = Instant::now();
    let read = until_closed(TcpStream::connect(server.addr()).await.unwrap()).await;
    assert!(
        read.starts_with(b"SSH-2.0-Sternline_"),
        "{}",
        String::from_utf8_lossy(&read)
    );
    assert!(started.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_client_that_speaks_but_never_logs_in_is_let_go_too() {
    let server = Server::builder()
        .login_grace_time(Duration::from_millis(300))
        .bind()
        .await
        .unwrap();
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    stream.write_all(b"SSH-2.0-slow\r\n").await.unwrap();
    until_closed(stream).await;
}

#[tokio::test]
async fn a_client_that_talks_nonsense_is_let_go_at_once() {
    let server = Server::builder().bind().await.unwrap();
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    let mut nonsense = b"SSH-2.0-nonsense\r\n".to_vec();
    nonsense.extend_from_slice(&[0xff; 4096]);
    stream.write_all(&nonsense).await.unwrap();
    until_closed(stream).await;
}

#[tokio::test]
async fn too_many_wrong_passwords_end_the_connection() {
    let f = Fixture::start(
        Server::builder()
            .command("true", Reply::stdout("in\n"))
            .max_auth_tries(2),
    )
    .await;
    let mut ssh = f.ssh_answering("wrong", "password");
    // With the `none` request before it, the second password is one try too many.
    ssh.args(["-o", "NumberOfPasswordPrompts=3", "true"]);
    let output = answer(ssh).await;
    assert_eq!(output.status.code(), Some(255));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("Too many authentication"),
        "{output:?}"
    );
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_clients_that_never_speak() {
    let server = Server::builder().bind().await.unwrap();
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    let mut hello = [0; 8];
    stream.read_exact(&mut hello).await.unwrap();
    let started = Instant::now();
    server.shutdown().await;
    assert!(
        started.elapsed() < Duration::from_secs(4),
        "the limit is 5 seconds, which it did not need"
    );
    until_closed(stream).await;
    server.shutdown().await;
}

#[tokio::test]
async fn dropping_the_last_handle_stops_the_server() {
    let server = Server::builder().bind().await.unwrap();
    let (addr, clone) = (server.addr(), server.clone());
    drop(server);
    let stream = TcpStream::connect(addr).await.unwrap();
    drop(clone);
    until_closed(stream).await;
}

#[tokio::test]
async fn it_listens_where_it_is_told() {
    let v6 = Server::builder().loopback_v6().bind().await.unwrap();
    assert_eq!(v6.addr().ip().to_string(), "::1");
    assert!(
        v6.known_hosts_line()
            .starts_with(&format!("[::1]:{} ssh-ed25519 ", v6.port()))
    );
    let elsewhere: SocketAddr = "127.9.8.7:0".parse().unwrap();
    let other = Server::builder().danger_bind(elsewhere).bind().await.unwrap();
    assert_eq!(other.addr().ip(), elsewhere.ip());
    let same = Server::builder().port(v6.port()).loopback_v6().bind().await;
    assert!(matches!(same, Err(BindError::Listen { addr, .. }) if addr == v6.addr()));
}

#[tokio::test]
async fn a_host_key_that_is_given_is_the_one_that_is_shown() {
    let pair = KeyPair::generate_ed25519().unwrap();
    let first = Server::builder().host_key(pair.clone()).bind().await.unwrap();
    assert_eq!(first.host_key(), pair.public_key());
    let [a, b] = [
        Server::builder().bind().await.unwrap(),
        Server::builder().bind().await.unwrap(),
    ];
    assert_ne!(a.host_key(), b.host_key(), "keys that are made are new each time");
}

#[tokio::test]
async fn a_user_who_needs_two_factors_gets_in_only_with_both() {
    let pair = KeyPair::generate_ed25519().unwrap();
    let server = Server::builder()
        .user("deploy", Credential::public_key(&pair.public_line()).unwrap())
        .user("deploy", Credential::password("second"))
        .require_all("deploy")
        .command("true", Reply::stdout("in\n"))
        .bind()
        .await
        .unwrap();
    let f = Fixture::of(server, &pair);
    let mut key_only = f.ssh();
    key_only.arg("true");
    assert!(!answer(key_only).await.status.success());
    let mut password_only = f.ssh_answering("second", "password");
    password_only.arg("true");
    assert!(!answer(password_only).await.status.success());
    let mut both = f.ssh_answering("second", "publickey,password");
    both.arg("-i")
        .arg(&f.key)
        .args(["-o", "PreferredAuthentications=publickey,password", "true"]);
    assert!(f.server.log().is_empty());
    let output = answer(both).await;
    assert_eq!(output.stdout, b"in\n", "{output:?}");
}
