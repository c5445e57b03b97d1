//! Evidence of real sessions: what a bundle holds of a connection to sshd that was made, was not made, or was lost.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as a test does"
)]

mod supervisor_support;

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sternline::connection::Pty;
use sternline::error::DisconnectReason;
use sternline::evidence::{
    AlgorithmInfo, BundleFormat, EvidenceBundle, EvidenceRecorder, InteractionType, RecordOutput, Redaction,
    Transcript, TranscriptEntry,
};
use sternline::exec::Stdin;
use sternline::{AuthConfig, Connection, EventCollector, EventType, ExecRequest, HostKeyPolicy};
use sternline_tests::sshd::{Settings, Sshd, keygen};
use supervisor_support::{quick, reconnected, start};

/// What `ssh -v` says of a connection to this server.
fn told_by_ssh(sshd: &Sshd) -> AlgorithmInfo {
    let known_hosts = format!("UserKnownHostsFile={}", sshd.known_hosts().display());
    let output = Command::new("ssh")
        .args([
            "-v",
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
            "-o",
            "IdentitiesOnly=yes",
            "-o",
        ])
        .arg(known_hosts)
        .arg("-i")
        .arg(sshd.key())
        .args(["-p", &sshd.port().to_string()])
        .arg(format!("{}@127.0.0.1", sshd.user().name))
        .arg("true")
        .output()
        .expect("ssh runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let after = |start: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(start));
        line.unwrap_or_else(|| panic!("no {start} in {said}"))
            .trim()
            .to_owned()
    };
    let way = |direction: &str| {
        let line = after(&format!("debug1: kex: {direction} cipher: "));
        let words: Vec<&str> = line.split(' ').collect();
        let [cipher, "MAC:", mac, "compression:", compression] = words[..] else {
            panic!("{line}");
        };
        let mac = if mac == "<implicit>" { cipher } else { mac };
        [cipher, mac, compression].map(|name| Some(name.to_owned()))
    };
    let [cipher_sc, mac_sc, compression_sc] = way("server->client");
    let [cipher_cs, mac_cs, compression_cs] = way("client->server");
    let fingerprint = after("debug1: Server host key: ssh-ed25519 ");
    let version = after("debug1: Remote protocol version 2.0, remote software version ");
    AlgorithmInfo {
        kex: Some(after("debug1: kex: algorithm: ")),
        cipher_cs,
        cipher_sc,
        mac_cs,
        mac_sc,
        compression_cs,
        compression_sc,
        host_key: Some(after("debug1: kex: host key algorithm: ")),
        host_key_fingerprint: Some(fingerprint),
        server_version: Some(format!("SSH-2.0-{version}")),
    }
}

fn phases(bundle: &EvidenceBundle) -> Vec<&str> {
    let phases = bundle.timing.phases.iter();
    phases.map(|timing| timing.phase.as_str()).collect()
}

#[tokio::test]
async fn the_algorithms_are_those_that_ssh_tells_and_stay_known_after_the_end() {
    for (kex, cipher, mac) in [
        ("curve25519-sha256", "aes256-ctr", "hmac-sha2-256-etm@openssh.com"),
        (
            "ecdh-sha2-nistp256",
            "chacha20-poly1305@openssh.com",
            "hmac-sha2-512",
        ),
    ] {
        let sshd = Settings::default()
            .option(&format!("KexAlgorithms {kex}"))
            .option(&format!("Ciphers {cipher}"))
            .option(&format!("MACs {mac}"))
            .start();
        let expected = told_by_ssh(&sshd);
        let recorder = EvidenceRecorder::new();
        let connection = sshd.builder().evidence(&recorder).connect().await.unwrap();
        assert_eq!(connection.evidence_bundle(None).algorithms, expected);
        assert_eq!(recorder.bundle(None).algorithms, expected);
        connection.close().await;
        let bundle = connection.evidence_bundle(None);
        assert_eq!(bundle.algorithms, expected, "after the end");
        assert_eq!(bundle.disconnect_reason, DisconnectReason::Normal);
        assert!(bundle.timing.disconnect_ms.is_some());
        assert_eq!(recorder.bundle(None).algorithms, expected);
    }
}

#[tokio::test]
async fn a_session_has_its_times_its_host_and_its_settings_with_and_without_a_recorder() {
    let sshd = Settings::default().option("Banner /etc/hostname").start();
    let (recorder, collector) = (EvidenceRecorder::new(), EventCollector::new());
    let recorded = sshd.builder().evidence(&recorder).connect().await.unwrap();
    let collected = sshd.builder().events(&collector).connect().await.unwrap();
    let bare = sshd.builder().connect().await.unwrap();
    for connection in [&recorded, &collected, &bare] {
        connection.exec("true").await.unwrap();
        let bundle = connection.evidence_bundle(None);
        let timing = &bundle.timing;
        let (connecting, login) = (
            timing.connect_duration_ms().unwrap(),
            timing.auth_duration_ms().unwrap(),
        );
        assert!(0.0 < login && login <= connecting, "{timing:?}");
        assert_eq!(timing.total_duration_ms(), None, "it has not ended");
        assert_eq!(
            phases(&bundle),
            ["resolve", "tcp", "banner", "kex", "host_key", "auth"]
        );
        let host = bundle.host_info.unwrap();
        assert_eq!((host.host.as_str(), host.port), ("127.0.0.1", sshd.port()));
        assert_eq!(host.username.as_deref(), Some(sshd.user().name.as_str()));
        assert_eq!(
            bundle.configuration["host_key_policy"],
            json!({ "value": "strict" })
        );
        let plan = &bundle.configuration["auth"]["value"];
        assert_eq!(plan[0]["key_path"], sshd.key().display().to_string());
        assert_eq!(bundle.error_context.len(), 0);
    }
    for bundle in [recorder.bundle(None), collected.evidence_bundle(None)] {
        let connected = &bundle
            .events
            .iter()
            .find(|event| event.event_type == EventType::Connect && event.data["status"] == "connected");
        let data = &connected.unwrap().data;
        let address = format!("127.0.0.1:{}", sshd.port());
        assert_eq!(data["resolved_addresses"], json!([address]));
        assert_eq!(data["peer_address"], json!(address));
        assert!(data.contains_key("auth_banner"), "{data:?}");
        let types: Vec<EventType> = bundle.events.iter().map(|event| event.event_type).collect();
        assert!(
            types.contains(&EventType::Auth) && types.contains(&EventType::Exec),
            "{types:?}"
        );
    }
    assert_eq!(bare.evidence_bundle(None).events, []);
}

#[tokio::test]
async fn a_transcript_goes_into_the_bundle_and_comes_back_from_the_file() {
    let sshd = Sshd::start();
    let connection = sshd.builder().connect().await.unwrap();
    let entry = TranscriptEntry {
        timestamp_ms: 1_700_000_000_000.0,
        interaction_type: InteractionType::Output,
        content: "login: ".to_owned(),
        duration_ms: 0.0,
        metadata: serde_json::Map::new(),
    };
    let transcript = Transcript::from_entries(1_700_000_000_000.0, vec![entry]);
    let bundle = connection.evidence_bundle(&transcript);
    assert_eq!(bundle.transcript.as_ref(), Some(&transcript));
    let path = sshd.path("bundle.jsonl");
    bundle
        .to_file(&path, BundleFormat::JsonLines, Redaction::DangerNothing)
        .unwrap();
    assert_eq!(EvidenceBundle::from_file(&path).unwrap(), bundle);
}

#[tokio::test]
async fn a_refused_connection_leaves_a_bundle_that_says_where_it_ended() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let recorder = EvidenceRecorder::new();
    let builder = Connection::builder(format!("ann@{free}")).evidence(&recorder);
    builder.connect().await.unwrap_err();
    let bundle = recorder.bundle(None);
    assert_eq!(bundle.disconnect_reason, DisconnectReason::NetworkError);
    assert_eq!(bundle.error_context["error_type"], "ConnectionRefused");
    assert_eq!(bundle.error_context["phase"], "tcp");
    assert_eq!(bundle.error_context["sent"], "not_sent");
    assert_eq!(
        bundle.error_context["resolved_addresses"],
        json!([free.to_string()])
    );
    assert!(
        bundle.error_context["hint"]
            .as_str()
            .unwrap()
            .contains("SSH server")
    );
    assert_eq!(phases(&bundle), ["resolve", "tcp"]);
    assert!(bundle.timing.connect_duration_ms().is_some());
    assert_eq!(bundle.timing.auth_start_ms, None, "no login was attempted");
    assert_eq!(bundle.host_info.unwrap().port, free.port());
}

#[tokio::test]
async fn a_refused_login_leaves_a_bundle_with_every_key_and_what_the_server_takes() {
    let sshd = Settings::default()
        .option("PasswordAuthentication no")
        .option("KbdInteractiveAuthentication no")
        .start();
    keygen(&sshd.path("other"), "ecdsa");
    let recorder = EvidenceRecorder::new();
    let builder = Connection::builder(sshd.target())
        .known_hosts([sshd.known_hosts()])
        .auth([AuthConfig::key(sshd.path("other"))])
        .evidence(&recorder);
    builder.connect().await.unwrap_err();
    let bundle = recorder.bundle(None);
    assert_eq!(bundle.disconnect_reason, DisconnectReason::AuthFailure);
    assert_eq!(bundle.error_context["error_type"], "AuthFailed");
    assert!(bundle.algorithms.kex.is_some() && bundle.algorithms.host_key_fingerprint.is_some());
    assert!(bundle.timing.auth_duration_ms().is_some());
    let refused = bundle
        .events
        .iter()
        .find(|event| event.event_type == EventType::Auth);
    let data = &refused.unwrap().data;
    assert_eq!(data["status"], "failed");
    assert_eq!(data["key_type"], "ecdsa-sha2-nistp256");
    assert_eq!(data["key_path"], sshd.path("other").display().to_string());
    assert!(data["fingerprint"].as_str().unwrap().starts_with("SHA256:"));
    assert_eq!(data["methods_offered"], json!(["publickey"]));
    assert_eq!(data["host"], "127.0.0.1");
}

#[tokio::test]
async fn a_changed_host_key_is_told_with_the_key_that_was_expected_and_its_line() {
    let (sshd, other) = (Sshd::start(), Sshd::start());
    let line = other.known_hosts_line("ed25519");
    let line = line.replace(&other.port().to_string(), &sshd.port().to_string());
    let known_hosts = sshd.path("wrong");
    std::fs::write(&known_hosts, format!("# a comment\n{line}")).unwrap();
    let recorder = EvidenceRecorder::new();
    let builder = sshd
        .builder()
        .known_hosts([known_hosts.clone()])
        .evidence(&recorder);
    builder.connect().await.unwrap_err();
    let context = recorder.bundle(None).error_context;
    let expected = &context["expected_keys"][0];
    assert_eq!(expected["file"], known_hosts.display().to_string());
    assert_eq!(expected["line"], 2);
    assert_eq!(expected["algorithm"], "ssh-ed25519");
    assert_ne!(expected["fingerprint"], context["offered_fingerprint"]);
    assert_eq!(context["offered_algorithm"], "ssh-ed25519");
}

#[tokio::test]
async fn without_a_common_algorithm_both_lists_are_told() {
    let sshd = Settings::default().option("Ciphers aes128-cbc").start();
    let recorder = EvidenceRecorder::new();
    sshd.builder().evidence(&recorder).connect().await.unwrap_err();
    let context = recorder.bundle(None).error_context;
    assert_eq!(context["algorithm_kind"], "cipher");
    assert_eq!(context["algorithms_theirs"], json!(["aes128-cbc"]));
    assert!(
        context["algorithms_ours"]
            .as_array()
            .unwrap()
            .contains(&json!("aes256-ctr"))
    );
}

#[tokio::test]
async fn the_seeds_example_of_a_bundle_on_an_error_works() {
    let sshd = Sshd::start();
    let recorder = EvidenceRecorder::new();
    let path = sshd.path("debug.json");
    let session = async {
        let connection = sshd.builder().evidence(&recorder).connect().await?;
        let request = ExecRequest::new("sleep 60").timeout(Duration::from_millis(100));
        connection.exec(request).await
    };
    if session.await.is_err() {
        recorder
            .bundle(None)
            .to_file(&path, BundleFormat::default(), Redaction::default())
            .unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(
        text.contains("CommandTimeout") && !text.contains("127.0.0.1"),
        "{text}"
    );
}

#[tokio::test]
async fn the_seeds_example_of_loading_a_bundle_works() {
    let sshd = Sshd::start();
    let connection = sshd.builder().connect().await.unwrap();
    let path = sshd.path("debug.json");
    let written = connection.evidence_bundle(None);
    written
        .to_file(&path, BundleFormat::Json, Redaction::SecretsAndHost)
        .unwrap();

    let bundle = EvidenceBundle::from_file(&path).unwrap();
    let said = [
        format!("KEX: {}", bundle.algorithms.kex.unwrap()),
        format!("Auth time: {}ms", bundle.timing.auth_duration_ms().unwrap()),
        format!("Reason: {}", bundle.disconnect_reason),
    ];
    assert_eq!(said[0], format!("KEX: {}", connection.algorithms().unwrap().kex));
    assert!(said[1].starts_with("Auth time: ") && said[1].ends_with("ms"));
    assert_eq!(said[2], "Reason: normal");
}

#[tokio::test]
async fn a_supervisor_tells_of_every_connection_it_had() {
    let sshd = Sshd::start();
    let recorder = EvidenceRecorder::new();
    let supervisor = start(sshd.builder().evidence(&recorder), quick(5)).await;
    sshd.break_connections();
    reconnected(&supervisor, 1).await;
    supervisor.exec("true").await.unwrap();
    let bundle = supervisor.evidence_bundle(None);
    let context = &bundle.error_context;
    assert_eq!(context["supervisor_state"], "connected");
    assert_eq!(context["reconnection_count"], 1);
    assert_eq!(
        context["error_type"], "SSHConnectionError",
        "the failure that was overcome"
    );
    let connections = context["connections"].as_array().unwrap();
    assert_eq!(connections.len(), 2);
    assert_eq!(connections[0]["reason"], "network_error");
    assert!(connections[0]["error"]["message"].is_string());
    assert_eq!(connections[1]["reason"], Value::Null);
    assert_eq!(bundle.disconnect_reason, DisconnectReason::Normal);
    assert!(bundle.algorithms.kex.is_some());
    let connects = bundle
        .events
        .iter()
        .filter(|event| event.event_type == EventType::Connect);
    assert_eq!(connects.count(), 4);
    supervisor.close().await;
    assert_eq!(
        supervisor.evidence_bundle(None).error_context["supervisor_state"],
        "disconnected"
    );
}

#[tokio::test]
async fn a_supervisor_that_never_connected_has_a_bundle_without_a_recorder_too() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let builder = Connection::builder(format!("ann@{free}")).events(&EventCollector::new());
    let supervisor = sternline::Supervisor::builder(builder)
        .retry(quick(1))
        .launch()
        .unwrap();
    assert!(!supervisor.wait_connected(None).await);
    let bundle = supervisor.evidence_bundle(None);
    assert_eq!(bundle.error_context["supervisor_state"], "failed");
    assert_eq!(bundle.error_context["error_type"], "ConnectionRefused");
    assert_eq!(bundle.disconnect_reason, DisconnectReason::NetworkError);
    assert_eq!(bundle.host_info.unwrap().port, free.port());
    assert!(bundle.events.len() >= 4, "{:?}", bundle.events);
}

#[tokio::test]
async fn a_lost_connection_is_told_with_its_reason_although_nobody_used_it() {
    let sshd = Sshd::start();
    let connection = sshd.builder().connect().await.unwrap();
    sshd.break_connections();
    connection.ended().await;
    let bundle = connection.evidence_bundle(None);
    assert_eq!(bundle.disconnect_reason, DisconnectReason::NetworkError);
    assert_eq!(bundle.error_context["error_type"], "SSHConnectionError");
    assert!(bundle.timing.total_duration_ms().is_some());
}

#[tokio::test]
async fn commands_are_recorded_with_what_they_read_and_wrote() {
    let sshd = Sshd::start();
    let recorder = EvidenceRecorder::new();
    let builder = sshd.builder().evidence(&recorder).record_output(RecordOutput {
        limit: 1000,
        ..RecordOutput::default()
    });
    let connection = builder.connect().await.unwrap();
    let input: Bytes = (0..3_000_000u32).map(|number| (number % 251) as u8).collect();
    let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(&input));
    let request = ExecRequest::new("sha256sum; printf 'a\\377b' >&2; exit 3").stdin(input.clone());
    let result = connection.exec(request).await.unwrap();
    assert_eq!(result.stdout_text().split(' ').next(), Some(digest.as_str()));

    let mut stream = connection.stream_exec("head -c 5000 /dev/zero").await.unwrap();
    while stream.next().await.is_some() {}
    let mut reader = connection
        .stream_exec(
            ExecRequest::new("cat >/dev/null; kill -TERM $$").stdin(Stdin::reader(&b"from a reader"[..])),
        )
        .await
        .unwrap();
    while reader.next().await.is_some() {}
    let mut shell = connection.shell(None::<Pty>).await.unwrap();
    let writer = shell.take_stdin().unwrap();
    writer.write("echo in the shell; exit 7\n").await.unwrap();
    while shell.next().await.is_some() {}
    let timeout = ExecRequest::new("sleep 60").timeout(Duration::from_millis(200));
    connection.exec(timeout).await.unwrap_err();

    let bundle = recorder.bundle(None);
    let [hash, zeros, read, shell, slow] = &bundle.commands[..] else {
        panic!("{:?}", bundle.commands);
    };
    assert_eq!(hash.command, "sha256sum; printf 'a\\377b' >&2; exit 3");
    assert_eq!(hash.stdin.sha256.as_deref(), Some(digest.as_str()));
    assert_eq!(hash.stdin.bytes, input.len() as u64);
    assert_eq!(hash.stdout.data, &result.stdout[..]);
    assert_eq!(hash.stderr.data, b"a\xffb");
    assert_eq!(hash.exit_code, Some(3));
    assert_eq!((zeros.stdout.data.len(), zeros.stdout.bytes), (1000, 5000));
    assert!(zeros.stdin.sha256.is_none());
    assert_eq!(read.signal.as_deref(), Some("TERM"));
    let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(b"from a reader"));
    assert_eq!(read.stdin.sha256, Some(digest));
    assert_eq!((shell.command.as_str(), shell.exit_code), ("", Some(7)));
    assert_eq!(shell.stdout.data, b"in the shell\n");
    assert!(
        slow.error.as_ref().unwrap().contains("did not end within"),
        "{slow:?}"
    );
    assert_eq!(bundle.error_context["error_type"], "CommandTimeout");
    let text = bundle.to_jsonl(Redaction::Secrets);
    assert_eq!(
        EvidenceBundle::from_text(&text).unwrap().commands,
        bundle.commands
    );
}

#[tokio::test]
async fn nothing_is_recorded_of_commands_unless_it_is_asked_for() {
    let sshd = Sshd::start();
    let recorder = EvidenceRecorder::new();
    let connection = sshd.builder().evidence(&recorder).connect().await.unwrap();
    connection.exec("echo output").await.unwrap();
    let bundle = recorder.bundle(None);
    assert_eq!(bundle.commands, []);
    assert!(!format!("{:?}", bundle.events).contains("output\\n"));
}

#[tokio::test]
async fn a_file_is_for_its_owner_and_holds_no_secret_and_by_default_no_host() {
    let sshd = Sshd::start();
    let recorder = EvidenceRecorder::new();
    let builder = Connection::builder(sshd.target())
        .host_key_policy(HostKeyPolicy::DangerAcceptAny)
        .auth([
            AuthConfig::password("hunter2-wrong"),
            AuthConfig::key(sshd.key()).passphrase("hunter2-passphrase"),
        ])
        .evidence(&recorder)
        .record_output(RecordOutput::default());
    let connection = builder.connect().await.unwrap();
    // Known to be secret, for the connection tried to log in with it.
    connection.exec("echo hunter2-wrong").await.unwrap();
    let raw = recorder.bundle(None).to_json(Redaction::DangerNothing);
    assert!(!raw.contains("hunter2-wrong"), "{raw}");
    let command = "echo --password=hunter2-option 'token: hunter2-output'; echo password=hunter2-error >&2";
    connection.exec(command).await.unwrap();
    connection.close().await;
    let path = sshd.path("new/bundle.json");
    for redaction in [Redaction::Secrets, Redaction::SecretsAndHost] {
        recorder
            .bundle(None)
            .to_file(&path, BundleFormat::Json, redaction)
            .unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains("hunter2"), "{text}");
        assert!(text.contains("exit_code"), "{text}");
        assert_eq!(
            text.contains("127.0.0.1"),
            redaction == Redaction::Secrets,
            "{text}"
        );
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
