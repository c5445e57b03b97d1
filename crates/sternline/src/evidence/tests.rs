//! Bundles to test with.

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use sternline_proto::evidence::{RecordedCommand, RecordedInput, RecordedOutput};

use super::*;
use crate::error::DisconnectReason;
use crate::event::{Event, EventType};

/// One of everything.
pub(super) fn sample() -> EvidenceBundle {
    let object = |value: Value| value.as_object().cloned().unwrap_or_default();
    let event = |event_type, timestamp, data| Event {
        event_type,
        timestamp,
        data: object(data),
    };
    EvidenceBundle {
        events: vec![
            event(
                EventType::Connect,
                1_700_000_000_000.5,
                json!({ "status": "initiating", "host": "web" }),
            ),
            event(
                EventType::Exec,
                1_700_000_000_100.25,
                json!({ "command": "ls", "exit_code": 0 }),
            ),
        ],
        transcript: Some(Transcript::from_entries(
            1_700_000_000_050.0,
            vec![TranscriptEntry {
                timestamp_ms: 1_700_000_000_060.0,
                interaction_type: InteractionType::Send,
                content: "show version".into(),
                duration_ms: 1.5,
                metadata: object(json!({ "add_newline": true })),
            }],
        )),
        algorithms: AlgorithmInfo {
            kex: Some("mlkem768x25519-sha256".into()),
            server_version: Some("SSH-2.0-OpenSSH_9.2".into()),
            ..AlgorithmInfo::default()
        },
        disconnect_reason: DisconnectReason::Normal,
        timing: TimingInfo {
            connect_start_ms: Some(1_700_000_000_000.5),
            connect_end_ms: Some(1_700_000_000_040.5),
            bundle_created_ms: 1_700_000_000_200.0,
            phases: vec![PhaseTiming {
                phase: "tcp".into(),
                duration_ms: 0.75,
            }],
            ..TimingInfo::default()
        },
        host_info: Some(HostInfo {
            host: "web".into(),
            port: 22,
            username: Some("ann".into()),
            redacted: false,
        }),
        error_context: Map::new(),
        configuration: object(json!({ "host_key_policy": { "value": "strict" } })),
        commands: vec![RecordedCommand {
            command: "ls".into(),
            started_ms: 1_700_000_000_090.0,
            duration_ms: 10.25,
            stdin: RecordedInput::default(),
            stdout: RecordedOutput {
                data: b"a\nb\n".to_vec(),
                bytes: 4,
            },
            stderr: RecordedOutput::default(),
            exit_code: Some(0),
            signal: None,
            error: None,
        }],
        version: EvidenceBundle::VERSION.to_owned(),
        created_ms: 1_700_000_000_200.0,
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e18..1e18f64).prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        "(db|10)\\.[a-z0-9]{1,3}\\.[0-9]{1,2}\\.[0-9]{1,3}".prop_map(Value::from),
        "(password|token)[=:] ?[a-z]{1,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::vec((any_key(), inner), 0..3)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn any_key() -> impl Strategy<Value = String> {
    prop_oneof![".{0,6}", "host|address|addresses|hop|value|type|password|message"]
}

fn any_dict() -> impl Strategy<Value = Map<String, Value>> {
    proptest::collection::vec((any_key(), any_value()), 0..4).prop_map(|fields| fields.into_iter().collect())
}

fn any_moment() -> impl Strategy<Value = f64> {
    1e-3..4e12f64
}

fn any_event() -> impl Strategy<Value = Event> {
    let types = prop_oneof![
        Just(EventType::Connect),
        Just(EventType::Auth),
        Just(EventType::Error),
        Just(EventType::KeepaliveTimeout),
        Just(EventType::Transfer),
    ];
    (types, any_moment(), any_dict()).prop_map(|(event_type, timestamp, data)| Event {
        event_type,
        timestamp,
        data,
    })
}

fn any_entry() -> impl Strategy<Value = TranscriptEntry> {
    let types = prop_oneof![
        Just(InteractionType::Expect),
        Just(InteractionType::Send),
        Just(InteractionType::Output),
        Just(InteractionType::Timeout),
    ];
    (types, any_moment(), any_moment(), ".{0,20}", any_dict()).prop_map(
        |(interaction_type, timestamp_ms, duration_ms, content, metadata)| TranscriptEntry {
            timestamp_ms,
            interaction_type,
            content,
            duration_ms,
            metadata,
        },
    )
}

fn any_output() -> impl Strategy<Value = RecordedOutput> {
    let data = prop_oneof![
        ".{0,20}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..20),
    ];
    (data, 0u64..9).prop_map(|(data, more)| RecordedOutput {
        bytes: data.len() as u64 + more,
        data,
    })
}

fn any_command() -> impl Strategy<Value = RecordedCommand> {
    (
        ".{0,20}",
        (any_moment(), any_moment()),
        (any::<u64>(), proptest::option::of("[0-9a-f]{64}")),
        (any_output(), any_output()),
        (
            proptest::option::of(any::<u32>()),
            proptest::option::of("[A-Z]{3,4}"),
            proptest::option::of(".{0,9}"),
        ),
    )
        .prop_map(|(command, times, stdin, output, end)| RecordedCommand {
            command,
            started_ms: times.0,
            duration_ms: times.1,
            stdin: RecordedInput {
                bytes: stdin.0,
                sha256: stdin.1,
            },
            stdout: output.0,
            stderr: output.1,
            exit_code: end.0,
            signal: end.1,
            error: end.2,
        })
}

fn any_reason() -> impl Strategy<Value = DisconnectReason> {
    prop_oneof![
        Just(DisconnectReason::Normal),
        Just(DisconnectReason::KeepaliveTimeout),
        Just(DisconnectReason::ProgressTimeout),
        Just(DisconnectReason::NetworkError),
        Just(DisconnectReason::AuthFailure),
    ]
}

fn any_timing() -> impl Strategy<Value = TimingInfo> {
    let moment = || proptest::option::of(any_moment());
    let phase = (".{0,6}", any_moment()).prop_map(|(phase, duration_ms)| PhaseTiming { phase, duration_ms });
    (
        moment(),
        moment(),
        moment(),
        any_moment(),
        proptest::collection::vec(phase, 0..3),
    )
        .prop_map(|(start, end, auth, bundle_created_ms, phases)| TimingInfo {
            connect_start_ms: start,
            connect_end_ms: end,
            auth_start_ms: auth,
            auth_end_ms: end,
            disconnect_ms: auth,
            bundle_created_ms,
            phases,
        })
}

fn any_host() -> impl Strategy<Value = HostInfo> {
    let host = prop_oneof![
        ".{1,9}",
        "[a-z]{1,5}\\.[a-z]{2,5}",
        "10\\.[0-9]{1,2}\\.[0-9]{1,2}\\.[0-9]",
        "fe80::[0-9a-f]{1,3}",
    ];
    (host, any::<u16>(), proptest::option::of(".{0,6}"), any::<bool>()).prop_map(
        |(host, port, username, redacted)| HostInfo {
            host,
            port,
            username,
            redacted,
        },
    )
}

/// Any bundle that there can be.
pub(super) fn any_bundle() -> impl Strategy<Value = EvidenceBundle> {
    let transcript = (any_moment(), proptest::collection::vec(any_entry(), 0..3))
        .prop_map(|(start, entries)| Transcript::from_entries(start, entries));
    let algorithms = (proptest::option::of(".{0,9}"), proptest::option::of("[ -~]{0,9}")).prop_map(
        |(kex, server_version)| AlgorithmInfo {
            kex,
            server_version,
            ..AlgorithmInfo::default()
        },
    );
    (
        proptest::collection::vec(any_event(), 0..4),
        proptest::option::of(transcript),
        (algorithms, any_reason(), any_timing()),
        proptest::option::of(any_host()),
        (any_dict(), any_dict()),
        proptest::collection::vec(any_command(), 0..3),
        any_moment(),
    )
        .prop_map(
            |(
                events,
                transcript,
                (algorithms, disconnect_reason, timing),
                host_info,
                dicts,
                commands,
                created,
            )| {
                EvidenceBundle {
                    events,
                    transcript,
                    algorithms,
                    disconnect_reason,
                    timing,
                    host_info,
                    error_context: dicts.0,
                    configuration: dicts.1,
                    commands,
                    version: EvidenceBundle::VERSION.to_owned(),
                    created_ms: created,
                }
            },
        )
}
