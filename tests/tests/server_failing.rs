//! The faults of the embedded server by their names, and its restarts, as OpenSSH's client sees them.

mod server_support;

use std::process::{Output, Stdio};

use server_support::{Fixture, PASSWORD, PATIENCE, answer};
use sternline_server::fault::ServerFault;
use sternline_server::{ExecRequest, ExitOutcome, KeyPair, Reply, Server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Child;
use tokio::time::timeout;

fn fault(name: &str) -> ServerFault {
    name.parse().unwrap()
}

/// A server that answers `true`, and lets `wait` wait until it is cut off.
async fn server() -> Fixture {
    let handler = |mut request: ExecRequest| async move {
        let _ = request.stdout.write_all(b"waiting\n").await;
        std::future::pending::<ExitOutcome>().await
    };
    Fixture::start(
        Server::builder()
            .command("true", Reply::stdout("in\n"))
            .on_exec(handler),
    )
    .await
}

/// What ssh says of running `true`, down to its debug messages.
async fn attempt(f: &Fixture) -> Output {
    let mut ssh = f.ssh();
    ssh.args(["-v", "true"]);
    answer(ssh).await
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A session that is known to run.
async fn waiting(f: &Fixture) -> Child {
    let mut ssh = f.ssh();
    let mut child = ssh
        .args(["-v", "wait"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = [0; 8];
    let read = child.stdout.as_mut().unwrap().read_exact(&mut line);
    timeout(PATIENCE, read).await.unwrap().unwrap();
    child
}

async fn ended(child: Child) -> Output {
    timeout(PATIENCE, child.wait_with_output())
        .await
        .unwrap()
        .unwrap()
}

#[tokio::test]
async fn logins_are_refused_as_often_as_asked_for_and_then_taken() {
    let f = server().await;
    f.server.set_fault(fault("refuse-auth:2"));
    for _ in 0..2 {
        assert!(said(&attempt(&f).await).contains("Permission denied"));
    }
    assert_eq!(attempt(&f).await.stdout, b"in\n");

    f.server.set_fault(fault("refuse-auth:1"));
    let mut passwords = f.ssh_answering(PASSWORD, "password");
    passwords.args(["-o", "NumberOfPasswordPrompts=2", "true"]);
    assert_eq!(answer(passwords).await.stdout, b"in\n", "the second try is taken");
}

#[tokio::test]
async fn channels_are_refused_with_the_reason_that_was_asked_for() {
    let f = server().await;
    let table = [
        ("administratively-prohibited", "administratively prohibited"),
        ("connect-failed", "connect failed"),
        ("unknown-channel-type", "unknown channel type"),
        ("resource-shortage", "resource shortage"),
    ];
    for (name, words) in table {
        f.server.set_fault(fault(&format!("refuse-channels:{name}:1")));
        let refused = attempt(&f).await;
        assert!(said(&refused).contains(words), "{name}: {}", said(&refused));
        assert_eq!(attempt(&f).await.stdout, b"in\n", "after {name}");
    }
    f.server.set_fault(fault("refuse-channels:connect-failed"));
    for _ in 0..3 {
        assert_eq!(attempt(&f).await.status.code(), Some(255));
    }
    f.server.heal();
    assert!(attempt(&f).await.status.success());
}

#[tokio::test]
async fn a_truncated_key_exchange_and_a_refused_connection_are_seen_by_ssh() {
    let f = server().await;
    for (name, words) in [
        ("truncate-kex", "Connection closed by"),
        ("refuse", "Connection refused"),
    ] {
        f.server.set_fault(fault(name));
        let output = attempt(&f).await;
        assert!(said(&output).contains(words), "{name}: {}", said(&output));
        f.server.heal();
        assert!(attempt(&f).await.status.success(), "after {name}");
    }
    assert_eq!(
        f.server.faults().counters().fired,
        1,
        "a refused connection is none"
    );
}

#[tokio::test]
async fn a_server_may_have_its_faults_from_the_start() {
    let server = Server::builder()
        .fault(fault("banner-only"))
        .fault(fault("refuse-auth:1"))
        .bind()
        .await
        .unwrap();
    let mut client = TcpStream::connect(server.addr()).await.unwrap();
    client.write_all(b"SSH-2.0-test\r\n").await.unwrap();
    let counters = timeout(PATIENCE, server.faults().until(|counters| counters.to_client > 0))
        .await
        .unwrap();
    server.shutdown().await;
    let mut got = Vec::new();
    // Cut off, by a close or a reset.
    let _ = timeout(PATIENCE, client.read_to_end(&mut got)).await.unwrap();
    assert!(
        got.starts_with(b"SSH-2.0-Sternline_") && got.ends_with(b"\r\n"),
        "{got:?}"
    );
    assert_eq!(counters.to_client, got.len() as u64);
}

#[tokio::test]
async fn a_corrupted_packet_is_noticed_by_ssh() {
    let f = server().await;
    let child = waiting(&f).await;
    // The next packet to the client is the answer to its keepalive, or our last words.
    f.server.set_fault(fault("corrupt-to-client:20"));
    f.server.shutdown().await;
    let output = ended(child).await;
    assert_eq!(output.status.code(), Some(255));
    assert!(
        said(&output).contains("message authentication code incorrect"),
        "{}",
        said(&output)
    );
    assert_eq!(f.server.faults().counters().fired, 1);
}

#[tokio::test]
async fn a_dropped_and_a_reset_session_end_and_the_next_one_begins() {
    let f = server().await;
    for name in ["drop", "reset", "drop-after:1"] {
        let child = waiting(&f).await;
        f.server.set_fault(fault(name));
        if name == "drop-after:1" {
            // Something has to pass before it can be too much.
            let mut client = TcpStream::connect(f.server.addr()).await.unwrap();
            let mut got = Vec::new();
            client.read_to_end(&mut got).await.unwrap();
            assert_eq!(got, b"S");
            f.server.set_fault(fault("drop"));
        }
        assert_eq!(ended(child).await.status.code(), Some(255), "{name}");
        f.server.heal();
        assert!(attempt(&f).await.status.success(), "after {name}");
    }
}

#[tokio::test]
async fn a_restart_cuts_sessions_and_keeps_port_host_key_users_and_log() {
    let f = server().await;
    let child = waiting(&f).await;
    let again = timeout(PATIENCE, f.server.restart()).await.unwrap().unwrap();
    assert_eq!(ended(child).await.status.code(), Some(255));
    assert_eq!(again.addr(), f.server.addr());
    assert_eq!(again.known_hosts_line(), f.server.known_hosts_line());
    assert_eq!(attempt(&f).await.stdout, b"in\n");
    assert_eq!(again.log().len(), 2);

    assert!(f.server.restart().await.is_err(), "it has stopped");
    f.server.shutdown().await;
    assert!(
        attempt(&f).await.status.success(),
        "the old handle has no hold on the new server"
    );
    again.shutdown().await;
    assert!(again.restart().await.is_err());
    assert!(said(&attempt(&f).await).contains("Connection refused"));
}

#[tokio::test]
async fn a_restart_with_another_host_key_looks_like_another_server() {
    let f = server().await;
    let key = KeyPair::generate_ed25519().unwrap();
    let other = f.server.restart_with_host_key(key.clone()).await.unwrap();
    assert_eq!(other.host_key(), key.public_key());
    let output = attempt(&f).await;
    assert!(
        said(&output).contains("HOST IDENTIFICATION HAS CHANGED"),
        "{}",
        said(&output)
    );
    assert!(other.log().is_empty());
}

#[tokio::test]
async fn a_client_that_is_connecting_during_a_restart_gets_to_the_new_server_or_is_refused() {
    let f = server().await;
    let mut server = f.server.clone();
    for _ in 0..5 {
        let (next, attempted) = tokio::join!(server.restart(), attempt(&f));
        server = next.unwrap();
        // Whatever became of the one in between, the next one is served.
        drop(attempted);
        assert!(attempt(&f).await.status.success());
    }
}

#[tokio::test]
async fn faults_outlast_a_restart() {
    let f = server().await;
    f.server.set_fault(fault("refuse"));
    let again = f.server.restart().await.unwrap();
    assert!(said(&attempt(&f).await).contains("Connection refused"));
    again.heal();
    assert!(attempt(&f).await.status.success());
}
