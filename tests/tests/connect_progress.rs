//! The error of a failed connection says how far it came.

use sternline::host_key::KnownHosts;
use sternline::{AuthConfig, Connection, ErrorKind, EventCollector, EventType};
use sternline_server::{Credential, Server};

async fn server() -> Server {
    let server = Server::builder()
        .user("ann", Credential::password("right"))
        .bind();
    server.await.expect("a server")
}

#[tokio::test]
async fn a_failed_login_holds_the_time_of_each_phase_and_who_was_met() {
    let server = server().await;
    let known_hosts = KnownHosts::from_bytes("known", server.known_hosts_line().as_bytes());
    let events = EventCollector::new();
    let error = Connection::builder(format!("ann@{}", server.addr()))
        .auth([AuthConfig::password("wrong")])
        .known_hosts_parsed(known_hosts, None)
        .events(&events)
        .connect()
        .await
        .expect_err("a wrong password");
    assert_eq!(*error.kind(), ErrorKind::AuthFailed);
    let facts = error.context().extra();
    let mut phases: Vec<_> = facts["timings_ms"]
        .as_object()
        .expect("an object")
        .keys()
        .collect();
    phases.sort();
    assert_eq!(phases, ["auth", "banner", "host_key", "kex", "resolve", "tcp"]);
    assert!(
        facts["timings_ms"]
            .as_object()
            .expect("an object")
            .values()
            .all(|time| time.is_f64())
    );
    assert!(
        facts["server_identification"]
            .as_str()
            .is_some_and(|text| text.starts_with("SSH-2.0-Sternline_"))
    );
    assert_eq!(facts["algorithms"]["strict_kex"], true);
    assert_eq!(facts["host_key_fingerprint"], server.host_key().fingerprint());
    assert_eq!(facts["host_key_trust"], "known by known:1");
    assert_eq!(facts["methods_offered"][0], "password");

    // The event holds the same facts, and none of them is taken for a secret.
    let event = &events.by_type(EventType::Error)[0];
    for name in [
        "timings_ms",
        "server_identification",
        "algorithms",
        "host_key_fingerprint",
        "host_key_trust",
    ] {
        assert_eq!(event.data.get(name), facts.get(name), "{name}");
    }
}

#[tokio::test]
async fn a_refused_host_key_is_no_fact_about_whom_to_trust() {
    let server = server().await;
    let error = Connection::builder(format!("ann@{}", server.addr()))
        .known_hosts_parsed(KnownHosts::from_bytes("known", b""), None)
        .connect()
        .await
        .expect_err("an unknown host");
    assert_eq!(*error.kind(), ErrorKind::HostKeyMismatch);
    let facts = error.context().extra();
    assert_eq!(facts["offered_fingerprint"], server.host_key().fingerprint());
    assert!(facts.get("host_key_fingerprint").is_none() && facts.get("host_key_trust").is_none());
    assert!(facts["timings_ms"].get("host_key").is_some() && facts["timings_ms"].get("auth").is_none());
}

#[tokio::test]
async fn a_refused_port_was_only_resolved_and_tried() {
    let server = server().await;
    let address = server.addr();
    server.shutdown().await;
    let error = Connection::builder(format!("ann@{address}"))
        .known_hosts_parsed(KnownHosts::from_bytes("known", b""), None)
        .connect()
        .await
        .expect_err("nobody listens");
    let facts = error.context().extra();
    let mut phases: Vec<_> = facts["timings_ms"]
        .as_object()
        .expect("an object")
        .keys()
        .collect();
    phases.sort();
    assert_eq!(phases, ["resolve", "tcp"]);
    assert!(facts.get("server_identification").is_none());
}
