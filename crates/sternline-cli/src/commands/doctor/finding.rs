//! What a connection attempt has shown, phase by phase.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use sternline::connection::{Resolve, SystemResolver};
use sternline::exec::ExecRequest;
use sternline::proto::text::escape;
use sternline::{Connection, ConnectionBuilder, Error, Event, EventCollector, EventType, Phase};

use super::attempts::{Attempt, attempts};

/// The name and version of the JSON object. It changes when a field changes its meaning or goes.
const SCHEMA: &str = "sternline.doctor/1";

/// The phases that are shown, in order. The first one only where there is something on the way.
const PHASES: [Phase; 8] = [
    Phase::Proxy,
    Phase::Resolve,
    Phase::Tcp,
    Phase::Banner,
    Phase::Kex,
    Phase::HostKey,
    Phase::Auth,
    Phase::Exec,
];

/// What came of one phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Ok,
    Failed,
    NotReached,
}

impl State {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::NotReached => "not_reached",
        }
    }
}

/// One phase, with what was found in it. The details are escaped.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) phase: Phase,
    pub(crate) state: State,
    pub(crate) took: Option<Duration>,
    pub(crate) details: Vec<String>,
}

/// All that one attempt has shown.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) steps: Vec<Step>,
    pub(crate) error: Option<Error>,
    attempts: Vec<Attempt>,
    facts: Map<String, Value>,
}

/// What was learned, by the names that an error's extra facts have: a success and a failure are then told alike.
struct Learned {
    addresses: Vec<SocketAddr>,
    attempts: Vec<Attempt>,
    facts: Map<String, Value>,
    /// What there is on the way, a line each, the nearest first. Empty where the network leads to the host.
    way: Vec<String>,
    ran: Option<(String, Duration)>,
}

/// Connects, logs in and runs `true`.
pub(crate) async fn examine(builder: ConnectionBuilder, patience: Duration) -> Finding {
    let events = EventCollector::new();
    let resolver = Arc::new(Remembering::default());
    let mut learned = Learned {
        addresses: Vec::new(),
        attempts: Vec::new(),
        facts: Map::new(),
        way: Vec::new(),
        ran: None,
    };
    let connecting = builder
        .events(&events)
        .resolver(Arc::clone(&resolver) as Arc<dyn Resolve>)
        .probe_auth_methods()
        .connect();
    let error = match connecting.await {
        Err(error) => {
            learned.facts = error.context().extra().clone();
            Some(error)
        }
        Ok(connection) => {
            learned.facts = facts(&connection);
            learned.way = hops(&connection);
            let started = Instant::now();
            let request = ExecRequest::from("true").timeout(patience);
            let error = match connection.exec(request).await {
                Ok(result) => {
                    learned.ran = Some((format!("`true` ended with {}", result.status), result.duration));
                    None
                }
                Err(error) => {
                    learned.ran = Some((String::new(), started.elapsed()));
                    Some(error)
                }
            };
            connection.close().await;
            error
        }
    };
    learned.addresses = resolver.lock().clone();
    learned.attempts = attempts(&events.by_type(EventType::Auth));
    if learned.way.is_empty() {
        learned.way = way(&events.by_type(EventType::Connect));
    }
    let direct = learned.way.is_empty();
    let steps = PHASES
        .into_iter()
        .filter(|phase| match phase {
            Phase::Proxy => !direct,
            // Whatever leads to the host does these, or has no need of them.
            Phase::Resolve => direct,
            Phase::Tcp => direct || learned.took(Phase::Tcp).is_some(),
            _ => true,
        })
        .map(|phase| learned.step(phase, error.as_ref()))
        .collect();
    Finding {
        steps,
        error,
        attempts: learned.attempts,
        facts: learned.facts,
    }
}

/// The jump hosts of an open connection.
fn hops(connection: &Connection) -> Vec<String> {
    let mut hops = Vec::new();
    let mut next = connection.jump_host();
    while let Some(hop) = next {
        hops.push(format!(
            "{}@{}:{}: {} {}, {}, {}",
            escape(hop.username()),
            escape(hop.host()),
            hop.port(),
            hop.host_key().key().algorithm(),
            hop.host_key().fingerprint(),
            hop.host_key().trust(),
            hop.auth_method(),
        ));
        next = hop.jump_host();
    }
    hops.reverse();
    hops
}

/// What the events say of it, which they do of a failure too.
fn way(events: &[Event]) -> Vec<String> {
    let text = |name: &str| events.first()?.data.get(name)?.as_str().map(escape);
    match (text("proxy_jump"), text("proxy_command")) {
        (Some(hops), _) => hops.split(',').map(str::to_owned).collect(),
        (None, command) => command.into_iter().collect(),
    }
}

/// What an open connection knows, as a failed one would say it.
fn facts(connection: &Connection) -> Map<String, Value> {
    let timings: BTreeMap<&str, f64> = connection
        .timings()
        .iter()
        .map(|(phase, took)| (phase.as_str(), took.as_secs_f64() * 1000.0))
        .collect();
    let host_key = connection.host_key();
    let facts = json!({
        "timings_ms": timings,
        "peer": connection.peer_address().map(|peer| peer.to_string()),
        "server_identification": escape(connection.server_identification()),
        "algorithms": connection.algorithms().map(|algorithms| algorithms.to_dict()),
        "host_key_algorithm": host_key.key().algorithm(),
        "host_key_fingerprint": host_key.fingerprint(),
        "host_key_trust": host_key.trust().to_string(),
        "methods_offered": connection.auth_methods_offered(),
    });
    facts.as_object().cloned().unwrap_or_default()
}

impl Learned {
    fn step(&self, phase: Phase, error: Option<&Error>) -> Step {
        let failed = error.map(|error| error.phase().unwrap_or(Phase::Resolve));
        let failed = failed.map(|failed| match failed {
            _ if error.is_some_and(|error| error.context().hop.is_some()) => Phase::Proxy,
            // Opening the channel is a part of running a command, as far as a person is concerned.
            Phase::Channel => Phase::Exec,
            failed => failed,
        });
        let state = match failed {
            Some(failed) if failed == phase => State::Failed,
            Some(failed) if failed < phase => State::NotReached,
            _ => State::Ok,
        };
        let took = match (&self.ran, phase) {
            (Some((_, took)), Phase::Exec) => Some(*took),
            _ => self.took(phase),
        };
        let mut details = match state {
            State::NotReached => Vec::new(),
            State::Ok | State::Failed => self.details(phase),
        };
        details.retain(|detail| !detail.is_empty());
        if let (State::Failed, [], Some(reason)) = (
            state,
            details.as_slice(),
            error.and_then(|error| error.context().original_error.clone()),
        ) {
            details.push(reason);
        }
        Step {
            phase,
            state,
            took: took.filter(|_| state != State::NotReached),
            details,
        }
    }

    fn took(&self, phase: Phase) -> Option<Duration> {
        let timings = self.facts.get("timings_ms")?;
        millis(timings.get(phase.as_str())?)
    }

    fn details(&self, phase: Phase) -> Vec<String> {
        let text = |name: &str| self.facts.get(name).and_then(Value::as_str).map(str::to_owned);
        match phase {
            Phase::Proxy => self.way.clone(),
            Phase::Resolve => {
                let addresses: Vec<String> = self
                    .addresses
                    .iter()
                    .map(|address| address.ip().to_string())
                    .collect();
                vec![addresses.join(", ")]
            }
            Phase::Tcp => match (self.texts("addresses"), text("peer"), self.addresses.as_slice()) {
                (failed, _, _) if !failed.is_empty() => failed,
                (_, Some(peer), _) => vec![peer],
                (_, None, [only]) => vec![only.to_string()],
                _ => Vec::new(),
            },
            Phase::Banner => text("server_identification").into_iter().collect(),
            Phase::Kex => self.algorithms(),
            Phase::HostKey => match (
                text("host_key_algorithm"),
                text("host_key_fingerprint"),
                text("host_key_trust"),
            ) {
                (Some(algorithm), Some(fingerprint), Some(trust)) => {
                    vec![format!("{algorithm} {fingerprint}"), trust]
                }
                _ => text("offered_fingerprint")
                    .map(|offered| format!("offered {offered}"))
                    .into_iter()
                    .collect(),
            },
            Phase::Auth => self.authentication(),
            _ => self.ran.iter().map(|(what, _)| what.clone()).collect(),
        }
    }

    fn algorithms(&self) -> Vec<String> {
        let Some(algorithms) = self.facts.get("algorithms").filter(|found| found.is_object()) else {
            return Vec::new();
        };
        let name = |name: &str| {
            algorithms
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let mut names = vec![name("kex"), name("cipher")];
        // An AEAD cipher needs none, which the protocol crate calls implicit.
        if !["", "none", "implicit"].contains(&name("mac_cs").as_str()) {
            names.push(name("mac_cs"));
        }
        let strict = algorithms
            .get("strict_kex")
            .and_then(Value::as_bool)
            .unwrap_or_default();
        let strict = if strict {
            "strict key exchange"
        } else {
            "no strict key exchange"
        };
        vec![names.join(", "), strict.to_owned()]
    }

    fn authentication(&self) -> Vec<String> {
        let offered = self.texts("methods_offered");
        let mut lines = Vec::new();
        if !offered.is_empty() {
            lines.push(format!("the server takes {}", offered.join(", ")));
        }
        lines.extend(self.attempts.iter().map(Attempt::to_string));
        let not_tried = self.texts("not_tried");
        if !not_tried.is_empty() {
            lines.push(format!("not tried: {}", not_tried.join(", ")));
        }
        lines
    }

    fn texts(&self, name: &str) -> Vec<String> {
        let texts = self
            .facts
            .get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        texts.filter_map(|text| text.as_str().map(escape)).collect()
    }
}

fn millis(value: &Value) -> Option<Duration> {
    Duration::try_from_secs_f64(value.as_f64()? / 1000.0).ok()
}

impl Finding {
    /// From the first phase to the last.
    pub(crate) fn took(&self) -> Duration {
        self.steps.iter().filter_map(|step| step.took).sum()
    }

    /// One object, on one line.
    pub(crate) fn to_json(&self, host: &str, config: &[String]) -> Value {
        let phases: Vec<Value> = self
            .steps
            .iter()
            .map(|step| {
                json!({
                    "phase": step.phase.as_str(),
                    "state": step.state.as_str(),
                    "duration_ms": step.took.map(|took| took.as_secs_f64() * 1000.0),
                    "details": step.details,
                })
            })
            .collect();
        let fact = |name: &str| self.facts.get(name).cloned().unwrap_or_default();
        json!({
            "schema": SCHEMA,
            "host": host,
            "ok": self.error.is_none(),
            "config": config,
            "phases": phases,
            "server_identification": fact("server_identification"),
            "algorithms": fact("algorithms"),
            "host_key_fingerprint": fact("host_key_fingerprint"),
            "methods_offered": fact("methods_offered"),
            "attempts": self.attempts.iter().map(Attempt::to_json).collect::<Vec<_>>(),
            "error": self.error.as_ref().map(Error::to_dict),
        })
    }
}

/// The system's resolver, and what it answered.
#[derive(Debug, Default)]
struct Remembering(Mutex<Vec<SocketAddr>>);

impl Remembering {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<SocketAddr>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Resolve for Remembering {
    fn resolve<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>> {
        Box::pin(async move {
            let addresses = SystemResolver.resolve(host, port).await?;
            self.lock().clone_from(&addresses);
            Ok(addresses)
        })
    }
}
