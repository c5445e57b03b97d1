//! Byte streams through a real sshd.

use std::time::Duration;

use sternline::ErrorKind;
use sternline_tests::sshd::{Settings, Sshd};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Answers one connection with what it was sent, once the client has said all.
async fn echo_once(listener: TcpListener) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut said = Vec::new();
    stream.read_to_end(&mut said).await.unwrap();
    stream.write_all(&said).await.unwrap();
}

#[tokio::test]
async fn a_stream_to_what_the_server_reaches_carries_both_ways_and_the_half_close() {
    let server = Sshd::start();
    let connection = server.builder().connect().await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let target = tokio::spawn(echo_once(listener));

    let mut stream = connection.direct_tcpip("127.0.0.1", port).await.unwrap();
    let sent: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    stream.write_all(&sent).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut received = Vec::new();
    stream.read_to_end(&mut received).await.unwrap();
    assert!(received == sent);
    target.await.unwrap();
    connection.close().await;
}

#[tokio::test]
async fn what_refuses_and_what_is_forbidden_are_told_apart() {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let server = Sshd::start();
    let connection = server.builder().connect().await.unwrap();
    let refused = connection.direct_tcpip("127.0.0.1", free).await.err().unwrap();
    assert_eq!(refused.kind(), &ErrorKind::Channel);
    assert!(refused.to_string().contains("connect failed"), "{refused}");

    let server = Settings::default().option("AllowTcpForwarding no").start();
    let connection = server.builder().connect().await.unwrap();
    let forbidden = connection.direct_tcpip("127.0.0.1", free).await.err().unwrap();
    assert!(forbidden.hint().contains("AllowTcpForwarding"), "{forbidden}");
}

#[tokio::test]
async fn a_dropped_stream_closes_what_the_server_had_opened() {
    let server = Sshd::start();
    let connection = server.builder().connect().await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let stream = connection.direct_tcpip("127.0.0.1", port).await.unwrap();
    let (mut accepted, _) = listener.accept().await.unwrap();
    drop(stream);
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(10), accepted.read_to_end(&mut rest)).await;
    assert!(ended.is_ok());
}
