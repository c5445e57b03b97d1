//! The names that the seed's users import from one module: ours, from the crate itself or from the module of their subject.

use std::any::type_name;
use std::path::Path;

use sternline::auth::{AgentKey, agent_available, agent_keys};
use sternline::config::{Env, paths};
use sternline::error::{AgentReason, ErrorContext, KeyLoadReason};
use sternline::event::EventLog;
use sternline::evidence::{AlgorithmInfo, HostInfo, TimingInfo, TranscriptEntry};
use sternline::exec::StdinWriter;
use sternline::expect::{ExpectRespond, ExpectTimeout, PatternType, RespondAction, RespondDelay};
use sternline::proto::redact::{redact_secrets, redact_string};
use sternline::{
    AuthConfig, AuthMethod, AutomationEngine, Connection, ConnectionState, DisconnectReason, Error,
    ErrorKind, Event, EventCollector, EventType, EvidenceBundle, ExecResult, ExpectPattern, ExpectResult,
    ForwardHandle, ForwardIntent, ForwardManager, ForwardType, KeepaliveConfig, ProgressWatchdog,
    RetryPolicy, StreamEvent, StreamExec, Supervisor, Transcript,
};

#[test]
fn every_public_type_of_the_seed_has_a_public_counterpart() {
    let names = [
        type_name::<Connection>(),
        type_name::<Supervisor>(),
        type_name::<ConnectionState>(),
        type_name::<AuthConfig>(),
        type_name::<AuthMethod>(),
        type_name::<AgentKey>(),
        type_name::<ExecResult>(),
        type_name::<StreamExec>(),
        type_name::<StreamEvent>(),
        type_name::<StdinWriter>(),
        type_name::<Event>(),
        type_name::<EventType>(),
        type_name::<EventCollector>(),
        type_name::<EventLog>(),
        type_name::<ForwardType>(),
        type_name::<ForwardIntent>(),
        type_name::<ForwardHandle>(),
        type_name::<ForwardManager>(),
        type_name::<PatternType>(),
        type_name::<ExpectPattern>(),
        type_name::<ExpectResult>(),
        type_name::<RespondAction>(),
        type_name::<RespondDelay>(),
        type_name::<ExpectRespond>(),
        type_name::<ExpectTimeout>(),
        type_name::<AutomationEngine>(),
        type_name::<Transcript>(),
        type_name::<TranscriptEntry>(),
        type_name::<EvidenceBundle>(),
        type_name::<AlgorithmInfo>(),
        type_name::<TimingInfo>(),
        type_name::<HostInfo>(),
        type_name::<DisconnectReason>(),
        type_name::<Error>(),
        type_name::<ErrorContext>(),
        type_name::<RetryPolicy>(),
        type_name::<KeepaliveConfig>(),
        type_name::<ProgressWatchdog>(),
    ];
    assert!(
        names.iter().all(|name| name.starts_with("sternline")),
        "{names:?}"
    );
}

#[test]
fn every_error_class_of_the_seed_has_a_kind_with_its_name() {
    for (kind, name) in [
        (ErrorKind::Connection, "SSHConnectionError"),
        (ErrorKind::ConnectionRefused, "ConnectionRefused"),
        (ErrorKind::ConnectionTimeout, "ConnectionTimeout"),
        (ErrorKind::HostUnreachable, "HostUnreachable"),
        (ErrorKind::AuthFailed, "AuthFailed"),
        (ErrorKind::HostKeyMismatch, "HostKeyMismatch"),
        (ErrorKind::NoMutualKex, "NoMutualKex"),
        (ErrorKind::KeyLoad(KeyLoadReason::Unknown), "KeyLoadError"),
        (ErrorKind::Agent(AgentReason::NoKeys), "AgentError"),
    ] {
        assert_eq!(kind.as_str(), name);
    }
}

#[tokio::test]
async fn every_public_function_of_the_seed_has_a_public_counterpart() {
    assert_eq!(AuthConfig::password("p").method(), AuthMethod::Password);
    assert_eq!(AuthConfig::key("/k").method(), AuthMethod::PrivateKey);
    assert_eq!(AuthConfig::agent().method(), AuthMethod::SshAgent);
    let mut env = Env::default();
    env.home = Some("/home/ann".into());
    assert!(!agent_available(&env));
    assert!(agent_keys(&env).await.is_err(), "there is no agent");
    assert_eq!(paths::is_windows(), cfg!(windows));
    assert!(paths::ssh_dir(&env).is_some_and(|path| path.ends_with(".ssh")));
    assert!(paths::known_hosts_path(&env).is_some_and(|path| path.ends_with(".ssh/known_hosts")));
    assert_eq!(paths::expand_path(&env, "~/x").unwrap(), Path::new("/home/ann/x"));
    assert!(paths::validate_path(Path::new("/no/such"), "path").is_err());
    assert_eq!(paths::discover_keys(&env), Vec::<std::path::PathBuf>::new());
    assert!(!paths::default_key_paths(&env).is_empty());
    let data = serde_json::json!({ "password": "hunter2" });
    assert_eq!(redact_secrets(&data)["password"], "[REDACTED]");
    assert_eq!(redact_string("password=hunter2"), "password=[REDACTED]");
}
