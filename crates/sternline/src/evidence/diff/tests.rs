use serde_json::{Value, json};

use super::*;
use crate::event::{Event, EventType};
use crate::evidence::bundle::EvidenceBundle;
use crate::evidence::facts::PhaseTiming;
use crate::evidence::sample;

/// One that worked, with a key, from one address, and a command.
fn good() -> EvidenceBundle {
    let mut bundle = sample::bundle();
    bundle.algorithms.kex = Some("curve25519-sha256".into());
    bundle.algorithms.host_key = Some("ssh-ed25519".into());
    bundle.algorithms.host_key_fingerprint = Some("SHA256:old".into());
    bundle.algorithms.server_version = Some("SSH-2.0-OpenSSH_9.2".into());
    bundle.events = vec![
        event(
            EventType::Connect,
            &json!({"status": "initiating", "addresses": ["10.0.0.1"]}),
        ),
        event(
            EventType::Auth,
            &json!({"status": "success", "method": "private_key", "key_path": "/k1", "fingerprint": "SHA256:k1"}),
        ),
        event(
            EventType::Connect,
            &json!({"status": "connected", "auth_method": "private_key"}),
        ),
        event(EventType::Exec, &json!({"command": "uptime", "exit_code": 0})),
    ];
    bundle.timing.phases = vec![
        PhaseTiming {
            phase: "tcp".into(),
            duration_ms: 3.0,
        },
        PhaseTiming {
            phase: "auth".into(),
            duration_ms: 30.0,
        },
    ];
    bundle.configuration = sample::map(&json!({
        "identities_only": {"value": false, "source": "default"}, "host_key_policy": "ask", "sternline_version": "0.1.0"}));
    bundle
}

fn event(kind: EventType, data: &Value) -> Event {
    sample::event(kind, 10.0, data)
}

/// `weight area name: before -> after`.
fn lines(before: &EvidenceBundle, after: &EvidenceBundle) -> Vec<String> {
    let line = |difference: &Difference| {
        let side = |side: &Option<String>| side.clone().unwrap_or_else(|| "-".to_owned());
        format!(
            "{} {} {}: {} -> {}",
            difference.weight.as_str(),
            difference.area.as_str(),
            difference.name,
            side(&difference.before),
            side(&difference.after)
        )
    };
    diff(before, after).iter().map(line).collect()
}

#[test]
fn a_bundle_differs_from_itself_in_nothing_and_other_times_are_no_difference() {
    let (before, mut after) = (good(), good());
    assert!(lines(&before, &after).is_empty());
    after.created_ms += 86_400_000.0;
    after.timing.bundle_created_ms += 86_400_000.0;
    for event in &mut after.events {
        event.timestamp += 86_400_000.0;
    }
    after.timing.phases[1].duration_ms = 75.0;
    assert!(lines(&before, &after).is_empty(), "{:?}", lines(&before, &after));
}

#[test]
fn a_key_that_was_offered_and_is_not_any_more_stands_right_after_the_outcome() {
    let mut after = good();
    after.events = vec![
        event(
            EventType::Connect,
            &json!({"status": "initiating", "addresses": ["10.0.0.1"]}),
        ),
        event(
            EventType::Auth,
            &json!({"status": "failed", "method": "private_key", "key_path": "/k2", "fingerprint": "SHA256:k2",
                                       "error_type": "AuthFailed"}),
        ),
    ];
    after.error_context =
        sample::map(&json!({"error_type": "AuthFailed", "phase": "auth", "message": "refused"}));
    after
        .configuration
        .insert("identities_only".into(), json!({"value": true, "source": "/c:3"}));
    after
        .configuration
        .insert("sternline_version".into(), json!("0.2.0"));
    let lines = lines(&good(), &after);
    assert!(
        lines[0].starts_with("decisive outcome outcome: Nothing went wrong"),
        "{lines:?}"
    );
    assert_eq!(
        lines[1..5],
        [
            "likely login the key /k1 (SHA256:k1): accepted -> -",
            "likely login the key /k2 (SHA256:k2): - -> refused",
            "likely configuration identities_only: false -> true",
            "likely configuration identities_only.source: default -> /c:3",
        ],
        "{lines:?}"
    );
    assert_eq!(
        lines[5],
        "minor commands run by only one of the two: 1 command -> -"
    );
    assert_eq!(lines[6], "minor environment sternline_version: 0.1.0 -> 0.2.0");
}

#[test]
fn another_server_at_the_name_is_told_by_its_key_its_version_and_its_address() {
    let mut after = good();
    after.algorithms.host_key_fingerprint = None;
    after.algorithms.server_version = Some("SSH-2.0-dropbear".into());
    after.events = vec![event(
        EventType::Connect,
        &json!({"status": "initiating", "addresses": ["10.0.0.2"]}),
    )];
    after.error_context = sample::map(&json!({"error_type": "HostKeyMismatch", "phase": "host_key",
        "host_key_reason": "changed", "offered_fingerprint": "SHA256:new", "message": "changed"}));
    let lines = lines(&good(), &after);
    for line in [
        "likely addresses addresses: 10.0.0.1 -> 10.0.0.2",
        "likely server host key: SHA256:old -> SHA256:new",
        "likely server server version: SSH-2.0-OpenSSH_9.2 -> SSH-2.0-dropbear",
    ] {
        assert!(
            lines.iter().any(|found| found == line),
            "{line} is not in {lines:#?}"
        );
    }
    assert!(!lines.iter().any(|line| line.contains(" login ")), "{lines:#?}");
}

#[test]
fn algorithms_commands_and_times_are_compared() {
    let mut after = good();
    after.algorithms.kex = Some("mlkem768x25519-sha256".into());
    after.events[3] = event(EventType::Exec, &json!({"command": "uptime", "exit_code": 127}));
    after.timing.phases[1].duration_ms = 3030.0;
    let lines = lines(&good(), &after);
    assert!(lines[0].starts_with("decisive outcome"), "{lines:?}");
    for line in [
        "likely commands `uptime`: status 0 -> status 127",
        "notable algorithms key exchange: curve25519-sha256 -> mlkem768x25519-sha256",
        "notable timing auth: 30 ms -> 3 s",
    ] {
        assert!(
            lines.iter().any(|found| found == line),
            "{line} is not in {lines:#?}"
        );
    }
}

#[test]
fn a_bundle_without_settings_says_nothing_about_them() {
    let mut old = good();
    old.configuration.clear();
    assert!(lines(&old, &good()).is_empty());
}

#[test]
fn weights_and_dictionaries_are_stable() {
    let mut after = good();
    after.algorithms.kex = Some("x\u{1b}".into());
    let found = diff(&good(), &after);
    assert_eq!(
        differences_to_dict(&found),
        json!({"schema": "sternline.evidence.diff/1", "same": false, "differences": [
            {"weight": "notable", "area": "algorithms", "name": "key exchange", "before": "curve25519-sha256",
             "after": "x\\x1b", "note": null}]})
    );
}

/// What failed, of the same target as [`good`], before it got any further than this phase.
fn failed(phase: &str, more: &Value) -> EvidenceBundle {
    let mut bundle = good();
    bundle.events.truncate(1);
    bundle.algorithms = Default::default();
    bundle.error_context = sample::map(
        &json!({"error_type": "AuthFailed", "phase": phase, "message": "failed", "sent": "not_sent"}),
    );
    bundle.error_context.extend(sample::map(more));
    bundle
}

#[test]
fn a_key_that_is_not_offered_any_more_is_the_likely_reason_also_where_nothing_is_offered() {
    let lines = lines(&good(), &failed("auth", &json!({})));
    assert!(
        lines.iter().any(|line| line.starts_with("likely login")
            && line.contains("/k1")
            && line.ends_with("accepted -> -")),
        "{lines:#?}"
    );
}

#[test]
fn an_algorithm_that_the_server_has_lost_is_the_likely_reason() {
    let theirs =
        json!({"error_type": "NoMutualKex", "algorithm_kind": "key exchange", "algorithms_theirs": ["old"]});
    let now = failed("kex", &theirs);
    let expected = "likely algorithms key exchange: curve25519-sha256 -> the server offers only old";
    let worse = lines(&good(), &now);
    assert!(worse.iter().any(|line| line == expected), "{worse:#?}");
    let better = lines(&now, &good());
    let expected = "likely algorithms key exchange: the server offers only old -> curve25519-sha256";
    assert!(better.iter().any(|line| line == expected), "{better:#?}");
}

#[test]
fn another_port_is_no_other_address_and_the_place_of_a_setting_hardly_matters() {
    let with = |port: u16, source: &str| {
        let mut bundle = failed("tcp", &json!({}));
        bundle.error_context = sample::map(&json!({}));
        bundle.events[0] = event(
            EventType::Connect,
            &json!({"status": "connected", "addresses": [format!("[::1]:{port}"), format!("10.0.0.1:{port}")]}),
        );
        bundle.configuration = sample::map(&json!({
            "port": {"value": port, "source": source}, "address": {"value": "::1", "source": source}}));
        bundle
    };
    assert_eq!(
        lines(&with(22, "config:1"), &with(23, "config:9")),
        ["minor configuration address.source: config:1 -> config:9"]
    );
}

#[test]
fn a_command_that_takes_much_longer_is_a_difference() {
    let taking = |took: f64| {
        let mut bundle = good();
        bundle.events[3].data.insert("duration_ms".into(), took.into());
        bundle
    };
    assert_eq!(
        lines(&taking(90.0), &taking(800.0)),
        ["notable timing `uptime`: 90 ms -> 800 ms"]
    );
}
