//! Secrets of a connection to a real sshd turn up in what is run and said, and in no sink: events, the JSONL log,
//! listeners, tracing, errors, debug output, evidence.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use data_encoding::{BASE64, BASE64URL_NOPAD};
use sternline::config::Env;
use sternline::evidence::{RecordOutput, Redaction};
use sternline::prompt::{Answer, HostKeyQuestion, Prompter, SecretQuestion};
use sternline::{
    AuthConfig, Command, Connection, ConnectionBuilder, ErrorKind, EventCollector, ExecRequest, Secret,
};
use sternline_tests::left_out::left_out;
use sternline_tests::sshd::{Settings, Sshd};
use sternline_tests::users;
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber, span};

const MARKED: &str = "Zq81/marked+value~x";
const VARIABLE: &str = "it's a \"variable\"";

/// Everything that any thread of this program has traced.
fn traced() -> &'static Mutex<String> {
    static TRACED: OnceLock<Mutex<String>> = OnceLock::new();
    TRACED.get_or_init(|| {
        tracing::subscriber::set_global_default(Tracer).unwrap();
        Mutex::default()
    })
}

struct Tracer;

struct Fields;

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let mut text = traced().lock().unwrap();
        writeln!(text, "{}={value:?}", field.name()).unwrap();
    }
}

impl Subscriber for Tracer {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("sternline")
    }

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Fields);
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        span.record(&mut Fields);
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        values.record(&mut Fields);
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// All sinks of some connections.
struct Sinks {
    folder: tempfile::TempDir,
    events: EventCollector,
    heard: Arc<Mutex<String>>,
    /// Errors and debug output, as the test comes by them.
    said: Vec<String>,
}

impl Sinks {
    fn new() -> Self {
        traced();
        Self {
            folder: tempfile::tempdir().unwrap(),
            events: EventCollector::new(),
            heard: Arc::default(),
            said: Vec::new(),
        }
    }

    fn on(&self, builder: ConnectionBuilder) -> ConnectionBuilder {
        let heard = Arc::clone(&self.heard);
        builder
            .events(&self.events)
            .event_log_path(self.folder.path().join("events.jsonl"))
            .on_event(move |event| heard.lock().unwrap().push_str(&event.to_json()))
    }

    fn error(&mut self, error: sternline::Error) {
        self.said.push(format!(
            "{error} {error:?} {} {:?}",
            error.hint(),
            error.to_dict()
        ));
    }

    /// The text of each sink by its name.
    fn texts(&self) -> Vec<(&'static str, String)> {
        let events = self.events.events();
        vec![
            ("events", format!("{events:?}")),
            (
                "log",
                std::fs::read_to_string(self.folder.path().join("events.jsonl")).unwrap(),
            ),
            ("listener", self.heard.lock().unwrap().clone()),
            ("tracing", traced().lock().unwrap().clone()),
            ("said", self.said.join("\n")),
        ]
    }

    fn hold_none_of(&self, secrets: &[&str]) {
        for (sink, text) in self.texts() {
            assert!(text.contains("[REDACTED]"), "nothing came to {sink}: {text}");
            for secret in secrets {
                let escaped = format!("{secret:?}");
                let parts = [
                    secret.to_string(),
                    escaped.trim_matches('"').to_owned(),
                    BASE64.encode(secret.as_bytes()),
                    BASE64URL_NOPAD.encode(secret.as_bytes()),
                    BASE64.encode(format!("user:{secret}").as_bytes()),
                ];
                for part in parts {
                    assert!(!text.contains(&part), "{sink} holds {part}:\n{text}");
                }
            }
        }
    }
}

/// A server on which the plain account has a known password; it takes root to set that up.
fn server() -> Option<Sshd> {
    if !users::is_root() {
        left_out("secrets of a password login", "run the tests as root");
        return None;
    }
    Some(Settings::default().user(users::plain()).start())
}

fn bare(server: &Sshd) -> ConnectionBuilder {
    let mut env = Env::default();
    env.home = Some(server.path("nowhere"));
    env.temp_dir = std::env::temp_dir();
    Connection::builder(server.target())
        .known_hosts([server.known_hosts()])
        .env(env)
}

/// A shell command that says a text on its standard error and fails.
fn complaint(text: &str) -> Command {
    Command::program("sh").args(["-c", "printf '%s\\n' \"$1\" >&2; exit 3", "sh", text])
}

#[tokio::test]
async fn no_secret_of_a_connection_comes_to_any_sink() {
    let Some(server) = server() else { return };
    let mut sinks = Sinks::new();
    let settings = sinks
        .on(bare(&server))
        .password(users::PASSWORD)
        .secret(MARKED)
        .record_output(RecordOutput::default());
    let connection = settings.connect().await.unwrap();

    let encoded = BASE64.encode(format!("user:{MARKED}").as_bytes());
    for said in [
        users::PASSWORD,
        MARKED,
        &encoded,
        &format!("Authorization: Basic {encoded}"),
    ] {
        let result = connection.exec(complaint(said)).await.unwrap();
        // The caller gets what the command wrote.
        assert_eq!(result.stderr_text().trim_end(), said);
        sinks.error(result.success().unwrap_err());
    }
    let command = Command::shell("printf '%s\\n' \"$SETTING\" >&2; exit 1").secret_env("SETTING", VARIABLE);
    sinks
        .said
        .push(format!("{command:?} {:?}", ExecRequest::new(command.clone())));
    sinks.error(connection.exec(command).await.unwrap().success().unwrap_err());
    sinks.error(
        connection
            .exec(complaint(VARIABLE))
            .await
            .unwrap()
            .success()
            .unwrap_err(),
    );

    let slow = ExecRequest::new(format!("echo {MARKED}; sleep 600")).timeout(Duration::from_millis(300));
    let error = connection.exec(slow).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::CommandTimeout);
    sinks.error(error);
    let missing = format!("/nowhere/{}", MARKED.replace('/', "-"));
    sinks.error(
        connection
            .download(missing.as_str(), sinks.folder.path().join("x"))
            .await
            .unwrap_err(),
    );
    let missing = format!("/nowhere/{MARKED}/x");
    sinks.error(
        connection
            .download(missing.as_str(), sinks.folder.path().join("x"))
            .await
            .unwrap_err(),
    );
    connection.close().await;
    let bundle = connection.evidence_bundle(None);
    assert!(!bundle.commands.is_empty());
    sinks.said.push(bundle.to_json(Redaction::Secrets));
    sinks.said.push(bundle.to_jsonl(Redaction::SecretsAndHost));
    sinks.said.push(format!("{connection:?}"));

    sinks.hold_none_of(&[users::PASSWORD, MARKED, VARIABLE]);
}

#[tokio::test]
async fn no_secret_of_an_attempt_to_connect_comes_to_any_sink() {
    let Some(server) = server() else { return };
    let mut sinks = Sinks::new();
    let wrong = "Wr0ng & guessed";
    sinks.error(
        sinks
            .on(bare(&server))
            .password(wrong)
            .connect()
            .await
            .unwrap_err(),
    );
    let proxy = format!("echo {MARKED} is refused >&2; echo {wrong:?} >&2; exit 1");
    let settings = sinks.on(bare(&server)).password(wrong).secret(MARKED);
    let error = settings
        .proxy_command(proxy.as_str())
        .connect()
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("refused") || format!("{error:?}").contains("refused"),
        "{error:?}"
    );
    sinks.error(error);
    sinks.hold_none_of(&[wrong, MARKED]);
}

/// Answers every question with the account's password.
struct Person;

impl Prompter for Person {
    fn trust_host_key<'a>(&'a self, _: &'a HostKeyQuestion) -> Answer<'a, bool> {
        Box::pin(std::future::ready(false))
    }

    fn secret<'a>(&'a self, _: &'a SecretQuestion) -> Answer<'a, Option<Secret>> {
        Box::pin(std::future::ready(Some(Secret::from(users::PASSWORD))))
    }
}

#[tokio::test]
async fn what_a_person_has_answered_comes_to_no_sink() {
    let Some(server) = server() else { return };
    let mut sinks = Sinks::new();
    let settings = sinks
        .on(bare(&server))
        .auth([AuthConfig::ask_password()])
        .prompter(Arc::new(Person));
    let connection = settings.connect().await.unwrap();
    let result = connection.exec(complaint(users::PASSWORD)).await.unwrap();
    sinks.error(result.success().unwrap_err());
    connection.close().await;
    sinks.hold_none_of(&[users::PASSWORD]);
}
