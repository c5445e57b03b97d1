//! What a connection and a supervisor know of themselves, as evidence.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};
use sternline_proto::text::escape;

use super::builder::ConnectionBuilder;
use super::handle::Connection;
use super::open::{Destination, known_hosts_files, timings_ms};
use super::proxy::Via;
use super::supervisor::{ConnectionRecord, Supervisor};
use crate::auth::{AuthConfig, DEFAULT_MAX_REFUSALS};
use crate::config::{ARCH, Env, OS};
use crate::deadline::{Deadlines, Phase};
use crate::error::DisconnectReason;
use crate::event::unix_millis;
use crate::evidence::{
    AlgorithmInfo, EvidenceBundle, HostInfo, PhaseTiming, Story, TimingInfo, Transcript, setting,
};
use crate::host_key::HostKeyPolicy;
use crate::transport::link::Algorithms;

impl Connection {
    /// Everything that is known of this connection at this moment, also after it has ended: with the transcript of a
    /// dialogue, if there was one.
    ///
    /// The events are those of the recorder that [`ConnectionBuilder::evidence`] was given, else those of the first
    /// collector, else none. A collector that other connections share holds their events too; the facts beside the events
    /// are this connection's in any case. Where connecting fails there is no connection to ask: give a recorder.
    #[must_use]
    pub fn evidence_bundle<'a>(&self, transcript: impl Into<Option<&'a Transcript>>) -> EvidenceBundle {
        // Whoever notices the end tells of it; by now it may only be known.
        if self.disconnect_reason().is_some() {
            self.farewell();
        }
        let mut bundle = match (&self.inner.recorder, &self.inner.collector) {
            (Some(recorder), _) => recorder.bundle(transcript),
            (None, collector) => {
                let events = collector.as_ref().map(|collector| collector.events());
                let events = events.unwrap_or_default();
                let now_ms = unix_millis(SystemTime::now());
                Story::of(&events).bundle(events, transcript.into(), now_ms)
            }
        };
        let facts = &self.inner.facts;
        bundle.algorithms = self.algorithm_info();
        bundle.host_info = Some(HostInfo {
            host: facts.host.clone(),
            port: facts.port,
            username: Some(facts.username.clone()),
            redacted: false,
        });
        bundle.timing = TimingInfo {
            connect_start_ms: Some(facts.began_ms),
            connect_end_ms: Some(facts.connected_ms),
            auth_start_ms: Some(facts.auth_start_ms),
            auth_end_ms: Some(facts.connected_ms),
            disconnect_ms: self.inner.farewell.at_ms(),
            bundle_created_ms: bundle.created_ms,
            phases: phases(&facts.timings),
        };
        if let Some(reason) = self.disconnect_reason() {
            bundle.disconnect_reason = reason;
            if bundle.error_context.is_empty() && reason != DisconnectReason::Normal {
                bundle.error_context = self.locate(self.link().lost()).to_dict();
            }
        }
        if self.inner.recorder.is_none() {
            bundle.configuration = self.inner.settings().configuration();
        }
        bundle.masked_by(self.redactor())
    }

    fn algorithm_info(&self) -> AlgorithmInfo {
        let mut info = self.algorithms().map(named).unwrap_or_default();
        let key = self.host_key();
        info.host_key
            .get_or_insert_with(|| key.key().algorithm().to_owned());
        info.host_key_fingerprint = Some(key.fingerprint());
        info.server_version = Some(escape(self.server_identification())).filter(|line| !line.is_empty());
        info
    }
}

impl Supervisor {
    /// Everything that is known at this moment, whatever the state: of the connection of this moment or of the last
    /// attempt to make one, with the events of all of them.
    ///
    /// `error_context` holds the last failure, even where it has been overcome, and beside it `supervisor_state`,
    /// `reconnection_count`, `failed_attempts`, and `connections`: the latest 32 with their facts and how each ended.
    #[must_use]
    pub fn evidence_bundle<'a>(&self, transcript: impl Into<Option<&'a Transcript>>) -> EvidenceBundle {
        let status = self.status();
        let mut bundle = match (&status.connection, self.recorder()) {
            (Some(connection), _) => connection.evidence_bundle(transcript),
            (None, Some(recorder)) => recorder.bundle(transcript),
            (None, None) => {
                let events = self.collector().map(|collector| collector.events());
                let events = events.unwrap_or_default();
                let now_ms = unix_millis(SystemTime::now());
                Story::of(&events).bundle(events, transcript.into(), now_ms)
            }
        };
        if let Some(error) = &status.last_error {
            bundle.error_context = error.to_dict();
            if let (None, Some(reason)) = (&status.connection, error.disconnect_reason()) {
                bundle.disconnect_reason = reason;
            }
        }
        let history = self.history();
        if let (None, Some(last)) = (&status.connection, history.last()) {
            // After a failed attempt to connect again the last connection is what there is to tell of.
            if bundle.algorithms == AlgorithmInfo::default() {
                bundle.algorithms = last.algorithms.as_ref().map(named).unwrap_or_default();
                bundle.algorithms.host_key_fingerprint = Some(last.host_key.fingerprint());
            }
        }
        let context = &mut bundle.error_context;
        context.insert("supervisor_state".to_owned(), status.state.as_str().into());
        context.insert("reconnection_count".to_owned(), status.reconnection_count.into());
        context.insert("failed_attempts".to_owned(), status.failed_attempts.into());
        context.insert("connections".to_owned(), history.iter().map(record).collect());
        bundle.masked_by(self.emitter().redactor())
    }
}

/// One connection of a supervisor's past.
fn record(record: &ConnectionRecord) -> Value {
    let mut facts = Map::new();
    let mut put = |name: &str, value: Value| facts.insert(name.to_owned(), value);
    put("connected_ms", record.connected_ms.into());
    put("timings_ms", timings_ms(&record.timings).into());
    if let Some(peer) = record.peer {
        put("peer_address", peer.to_string().into());
    }
    put("host_key_fingerprint", record.host_key.fingerprint().into());
    put("auth_method", record.auth_method.clone().into());
    if let Some(algorithms) = &record.algorithms {
        put("algorithms", algorithms.to_dict().into());
    }
    if let Some(end) = &record.end {
        put("ended_ms", end.at_ms.into());
        put("reason", end.reason.as_str().into());
        if let Some(error) = &end.error {
            put("error", error.to_dict().into());
        }
    }
    facts.into()
}

fn named(algorithms: &Algorithms) -> AlgorithmInfo {
    let name = |name: &String| Some(name.clone());
    AlgorithmInfo {
        kex: name(&algorithms.kex),
        mac_cs: name(&algorithms.mac_cs),
        mac_sc: name(&algorithms.mac_sc),
        compression_cs: name(&algorithms.compression_cs),
        compression_sc: name(&algorithms.compression_sc),
        host_key: name(&algorithms.host_key),
        ..AlgorithmInfo::default()
    }
    .with_cipher(name(&algorithms.cipher))
}

fn phases(timings: &[(Phase, Duration)]) -> Vec<PhaseTiming> {
    timings_ms(timings)
        .into_iter()
        .filter_map(|(phase, took)| {
            Some(PhaseTiming {
                phase,
                duration_ms: took.as_f64()?,
            })
        })
        .collect()
}

/// The settings that decide about the outcome, by name. Nothing in it is secret, but for what a proxy command may hold, which
/// is masked.
pub(super) fn configuration(
    builder: &ConnectionBuilder,
    env: &Env,
    destination: &Destination,
) -> Map<String, Value> {
    let mut settings = Map::new();
    let mut put = |name: &str, value: Value| settings.insert(name.to_owned(), setting(value, None));
    put("target", builder.target.clone().into());
    put("host", destination.host.clone().into());
    put("address", destination.address.clone().into());
    put("port", destination.port.into());
    put("username", destination.username.clone().into());
    put("host_key_policy", policy(builder.host_key_policy).into());
    put(
        "known_hosts_files",
        match &builder.known_hosts {
            None => known_hosts_files(builder, env)
                .iter()
                .map(|file| file.display().to_string())
                .collect(),
            // They were read before, and only the first one's name is known.
            Some(_) => builder
                .record_path
                .iter()
                .map(|file| file.display().to_string())
                .collect(),
        },
    );
    put("auth", planned(builder).into_iter().map(Value::Object).collect());
    put("identities_only", builder.identities_only.into());
    put(
        "max_auth_attempts",
        builder
            .max_auth_attempts
            .map_or(DEFAULT_MAX_REFUSALS.into(), Value::from),
    );
    put(
        "agent_socket",
        match &env.agent_socket {
            Some(path) => path.display().to_string().into(),
            None => Value::Null,
        },
    );
    put("may_ask", builder.prompter.is_some().into());
    put("deadlines", deadlines(&builder.deadlines));
    put(
        "keepalive",
        match &builder.keepalive {
            None => Value::Null,
            Some(keepalive) => json!({
                "interval_ms": keepalive.interval.as_secs_f64() * 1000.0, "max_count": keepalive.max_count,
                "progress_timeout_ms": keepalive.progress_timeout.map(|limit| limit.as_secs_f64() * 1000.0),
            }),
        },
    );
    for (name, value) in builder.via.as_ref().map(Via::facts).unwrap_or_default() {
        put(&name, value);
    }
    if let Some(address) = builder.bind_address {
        put("bind_address", address.to_string().into());
    }
    put("max_sessions", builder.max_sessions.into());
    put("sternline_version", env!("CARGO_PKG_VERSION").into());
    put("os", OS.into());
    put("arch", ARCH.into());
    settings
}

/// The credentials in the order in which they are thought of; which of them are tried depends on the server too.
fn planned(builder: &ConnectionBuilder) -> Vec<Map<String, Value>> {
    if !builder.auth.is_empty() {
        return builder.auth.iter().map(AuthConfig::to_dict).collect();
    }
    let mut plan = vec![AuthConfig::agent().to_dict()];
    if builder.identities.is_empty() {
        let mut defaults = Map::new();
        defaults.insert("method".to_owned(), "private_key".into());
        defaults.insert("key_path".to_owned(), "the default key files".into());
        plan.push(defaults);
    }
    plan.extend(
        builder
            .identities
            .iter()
            .map(|path| AuthConfig::key(path).to_dict()),
    );
    if builder.prompter.is_some() {
        plan.extend(
            [AuthConfig::keyboard_interactive(), AuthConfig::ask_password()].map(|way| way.to_dict()),
        );
    }
    plan
}

fn policy(policy: HostKeyPolicy) -> &'static str {
    match policy {
        HostKeyPolicy::Strict => "strict",
        HostKeyPolicy::AcceptNew => "accept_new",
        HostKeyPolicy::Ask => "ask",
        HostKeyPolicy::DangerAcceptAny => "danger_accept_any",
    }
}

fn deadlines(deadlines: &Deadlines) -> Value {
    let mut limits = Map::new();
    limits.insert(
        "overall_ms".to_owned(),
        (deadlines.overall.as_secs_f64() * 1000.0).into(),
    );
    for phase in [
        Phase::Resolve,
        Phase::Tcp,
        Phase::Banner,
        Phase::Kex,
        Phase::Auth,
        Phase::Channel,
    ] {
        if let Some(limit) = deadlines.of(phase) {
            limits.insert(format!("{phase}_ms"), (limit.as_secs_f64() * 1000.0).into());
        }
    }
    limits.into()
}
