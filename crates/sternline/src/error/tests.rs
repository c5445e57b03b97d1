use sternline_proto::sftp::StatusCode;
use sternline_proto::sudo::SudoRefusal;

use super::*;

#[test]
fn no_hint_is_taken_for_a_secret_by_our_own_filter() {
    for kind in [
        ErrorKind::AuthFailed,
        ErrorKind::KeyLoad(KeyLoadReason::Unknown),
        ErrorKind::Agent(AgentReason::NoAuthSock),
        ErrorKind::Sudo(SudoRefusal::PasswordRefused),
        ErrorKind::Sudo(SudoRefusal::NotInSudoers),
        ErrorKind::Sudo(SudoRefusal::NotAllowed),
        ErrorKind::Sudo(SudoRefusal::TerminalRequired),
        ErrorKind::Sudo(SudoRefusal::Missing),
        ErrorKind::Sudo(SudoRefusal::Question),
        ErrorKind::Sudo(SudoRefusal::Silent),
    ] {
        let hint = kind.general_hint();
        assert_eq!(redact_string(hint), hint);
    }
}

#[test]
fn the_two_families_of_the_tree_hold_their_leaves_and_nothing_else() {
    let connection = [
        "SSHConnectionError",
        "ConnectionRefused",
        "ConnectionTimeout",
        "HostUnreachable",
    ];
    let authentication = [
        "AuthFailed",
        "HostKeyMismatch",
        "NoMutualKex",
        "KeyLoadError",
        "AgentError",
    ];
    for kind in [
        ErrorKind::Connection,
        ErrorKind::ConnectionRefused,
        ErrorKind::ConnectionTimeout,
        ErrorKind::HostUnreachable,
        ErrorKind::AuthFailed,
        ErrorKind::HostKeyMismatch,
        ErrorKind::NoMutualKex,
        ErrorKind::KeyLoad(KeyLoadReason::FileNotFound),
        ErrorKind::Agent(AgentReason::NoAuthSock),
        ErrorKind::Channel,
        ErrorKind::CommandTimeout,
        ErrorKind::RemoteFile(StatusCode::Failure),
        ErrorKind::Invalid,
    ] {
        assert_eq!(
            kind.is_connection(),
            connection.contains(&kind.as_str()),
            "{kind:?}"
        );
        assert_eq!(
            kind.is_authentication(),
            authentication.contains(&kind.as_str()),
            "{kind:?}"
        );
    }
}

#[test]
fn to_dict_flattens_the_context_and_leaves_out_what_is_unset() {
    let error = Error::new(ErrorKind::ConnectionRefused, "connection refused")
        .in_phase(Phase::Tcp)
        .at("db-1", 22, "alice")
        .with_extra("addresses", vec!["10.0.0.1"]);
    let dict = Value::Object(error.to_dict());
    assert_eq!(
        dict,
        serde_json::json!({
            "error_type": "ConnectionRefused", "message": "connection refused", "phase": "tcp",
            "sent": "not_sent", "hint": "check that an SSH server runs there, and listens on this port", "host": "db-1", "port": 22, "username": "alice", "addresses": ["10.0.0.1"],
        })
    );
}

#[test]
fn an_error_gives_the_reason_of_the_disconnect_that_it_is_about() {
    for (kind, reason) in [
        (ErrorKind::ConnectionRefused, Some("network_error")),
        (ErrorKind::ConnectionTimeout, Some("network_error")),
        (ErrorKind::AuthFailed, Some("auth_failure")),
        (ErrorKind::HostKeyMismatch, Some("auth_failure")),
        (ErrorKind::ProgressTimeout, Some("progress_timeout")),
        (ErrorKind::CommandTimeout, None),
        (ErrorKind::Invalid, None),
    ] {
        let found = Error::new(kind.clone(), "m").disconnect_reason();
        assert_eq!(found.map(DisconnectReason::as_str), reason, "{kind:?}");
    }
    let lost = Error::new(ErrorKind::Connection, "m").with_disconnect(DisconnectReason::KeepaliveTimeout);
    assert_eq!(lost.disconnect_reason(), Some(DisconnectReason::KeepaliveTimeout));
}

#[test]
fn an_extra_fact_cannot_hide_a_field() {
    let mut context = ErrorContext::default();
    for name in [
        "host",
        "port",
        "username",
        "auth_method",
        "key_path",
        "original_error",
        "message",
    ] {
        assert_eq!(context.insert_extra(name, 1), Err(ContextCollision(name.into())));
    }
    assert_eq!(context.insert_extra("attempt", 2), Ok(()));
    assert_eq!(context.extra().get("attempt"), Some(&Value::from(2)));
}

#[test]
fn the_reasons_of_key_and_agent_errors_stand_in_the_context() {
    let key =
        Error::new(ErrorKind::KeyLoad(KeyLoadReason::WrongPassphrase), "m").with_key_path(Path::new("/k"));
    assert_eq!(
        key.to_dict().get("reason"),
        Some(&Value::from("wrong_passphrase"))
    );
    assert_eq!(key.to_dict().get("key_path"), Some(&Value::from("/k")));
    let agent = Error::new(ErrorKind::Agent(AgentReason::SocketNotFound), "m");
    assert_eq!(
        agent.to_dict().get("reason"),
        Some(&Value::from("socket_not_found"))
    );
}

#[test]
fn messages_are_redacted() {
    let error =
        Error::new(ErrorKind::Local, "cannot run: mysql --password=hunter2").with_hint("password=hunter2");
    assert!(!format!("{error} {error:?} {:?}", error.hint()).contains("hunter2"));
}

#[test]
fn durations_read_well() {
    for (millis, text) in [(250, "250 ms"), (1000, "1 s"), (1500, "1.5 s"), (30_000, "30 s")] {
        assert_eq!(seconds(Duration::from_millis(millis)), text);
    }
}
