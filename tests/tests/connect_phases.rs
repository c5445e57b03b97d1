//! Servers that fall silent, talk nonsense or go away: each ends in time, and the error names the phase.

use std::time::Duration;

use sternline::{Connection, Deadlines, Error, ErrorKind, EventCollector, EventType, Phase};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// The start of a key exchange, and no more of it than a KEXINIT (RFC 4253 section 7.1) that agrees to everything.
fn kexinit() -> Vec<u8> {
    let mut payload = vec![20];
    payload.extend([7; 16]);
    for names in [
        "curve25519-sha256",
        "ssh-ed25519",
        "aes128-ctr",
        "aes128-ctr",
        "hmac-sha2-256",
        "hmac-sha2-256",
        "none",
        "none",
        "",
        "",
    ] {
        payload.extend(u32::try_from(names.len()).unwrap().to_be_bytes());
        payload.extend(names.as_bytes());
    }
    payload.extend([0; 5]);
    let padding = 16 - (payload.len() + 5) % 8;
    let mut packet = u32::try_from(payload.len() + 1 + padding)
        .unwrap()
        .to_be_bytes()
        .to_vec();
    packet.push(u8::try_from(padding).unwrap());
    packet.extend(payload);
    packet.extend(vec![0; padding]);
    packet
}

/// A peer that says these bytes to the first caller and then waits for its end, which it reports.
async fn peer(says: Vec<u8>, hang_up: bool) -> (u16, oneshot::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (gone, seen_gone) = oneshot::channel();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(&says).await.unwrap();
        if !hang_up {
            drain(&mut stream).await;
        }
        let _ = gone.send(());
    });
    (port, seen_gone)
}

async fn drain(stream: &mut TcpStream) {
    let mut buffer = [0; 1024];
    while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
}

async fn connect(port: u16, events: &EventCollector) -> Error {
    let mut deadlines = Deadlines::default();
    deadlines.overall = Duration::from_secs(5);
    deadlines.banner = Some(Duration::from_millis(300));
    deadlines.kex = Some(Duration::from_millis(300));
    Connection::builder(format!("nobody@127.0.0.1:{port}"))
        .known_hosts([])
        .deadlines(deadlines)
        .events(events)
        .connect()
        .await
        .unwrap_err()
}

#[tokio::test]
async fn every_way_of_failing_is_named_and_the_socket_is_closed() {
    let banner = b"SSH-2.0-test\r\n".to_vec();
    let with_kexinit = [banner.clone(), kexinit()].concat();
    let broken_packet = [banner.clone(), vec![0xff; 64]].concat();
    for (what, says, hang_up, phase, kind, text) in [
        (
            "a port that never speaks",
            vec![],
            false,
            Phase::Banner,
            ErrorKind::ConnectionTimeout,
            "300 ms",
        ),
        (
            "a web server",
            b"HTTP/1.1 400 Bad\r\n\r\n".to_vec(),
            false,
            Phase::Banner,
            ErrorKind::Connection,
            "HTTP/1.1 400 Bad",
        ),
        (
            "garbage",
            vec![0, 1, 2, 3, 0xff],
            false,
            Phase::Banner,
            ErrorKind::Connection,
            "not an SSH server",
        ),
        (
            "endless chatter",
            b"hello\n".repeat(1000),
            false,
            Phase::Banner,
            ErrorKind::Connection,
            "not an SSH server",
        ),
        (
            "a hang-up before the banner",
            vec![],
            true,
            Phase::Banner,
            ErrorKind::Connection,
            "closed the connection",
        ),
        (
            "a banner and no more",
            banner.clone(),
            false,
            Phase::Kex,
            ErrorKind::ConnectionTimeout,
            "300 ms",
        ),
        (
            "a stop in mid key exchange",
            with_kexinit.clone(),
            false,
            Phase::Kex,
            ErrorKind::ConnectionTimeout,
            "300 ms",
        ),
        (
            "a hang-up in mid key exchange",
            with_kexinit,
            true,
            Phase::Kex,
            ErrorKind::Connection,
            "closed the connection",
        ),
        (
            "a broken packet",
            broken_packet,
            false,
            Phase::Kex,
            ErrorKind::Connection,
            "broke the SSH protocol",
        ),
    ] {
        let events = EventCollector::new();
        let (port, gone) = peer(says, hang_up).await;
        let error = connect(port, &events).await;
        assert_eq!(
            (error.phase(), error.kind()),
            (Some(phase), &kind),
            "{what}: {error}"
        );
        assert!(error.to_string().contains(text), "{what}: {error}");
        assert!(!error.hint().is_empty(), "{what} has no hint");
        tokio::time::timeout(Duration::from_secs(5), gone)
            .await
            .unwrap_or_else(|_| panic!("{what}: the socket stays open"))
            .unwrap();
        let reported = events.by_type(EventType::Error);
        assert_eq!(reported.len(), 1, "{what}");
        assert_eq!(reported[0].data["phase"], phase.as_str(), "{what}");
        assert!(
            events.by_type(EventType::Disconnect).is_empty(),
            "{what}: nothing was connected"
        );
    }
}

#[tokio::test]
async fn the_overall_limit_covers_all_phases_together() {
    let (port, _gone) = peer(b"SSH-2.0-test\r\n".to_vec(), false).await;
    let mut deadlines = Deadlines::default();
    deadlines.overall = Duration::from_millis(200);
    let error = Connection::builder(format!("nobody@127.0.0.1:{port}"))
        .known_hosts([])
        .deadlines(deadlines)
        .connect()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::ConnectionTimeout);
    assert!(
        error.to_string().contains("the overall limit of 200 ms"),
        "{error}"
    );
}

#[tokio::test]
async fn bad_targets_are_refused_before_anything_is_sent() {
    for target in [
        "",
        "-oProxyCommand=x@h",
        "user@-h",
        "h:0",
        "h:70000",
        "a b",
        "h\n",
        "user;id@h",
    ] {
        let error = Connection::builder(target).connect().await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Invalid, "{target:?}: {error}");
    }
}
