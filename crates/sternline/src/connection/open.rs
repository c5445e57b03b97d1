//! From settings to an open connection.

use std::fmt;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};
use sternline_proto::target::Target;
use sternline_proto::text::escape;
use tracing::Instrument;

use super::builder::ConnectionBuilder;
use super::evidence::configuration;
use super::handle::{Connection, Facts, Farewell, Inner};
use super::keepalive::{KeepaliveEvents, keep_alive};
use super::proxy::Via;
use super::reach::{on_this_way, reach};
use super::sessions::Sessions;
use super::settings::Settings;
use super::trust::{ByHand, host_key_check};
use crate::auth::{
    AuthConfig, AuthMethod, AuthRequest, Credentials, DEFAULT_MAX_REFUSALS, authenticate, prepare,
};
use crate::config::{Env, paths};
use crate::deadline::{Phase, PhaseClock};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Emitter, EventLog, EventType, unix_millis};
use crate::host_key::{HostKeyVerifier, KnownHosts, VerifiedHostKey};
use crate::secret::SharedSecret;
use crate::transport::handshake::{Handshake, handshake};
use crate::transport::link::Link;
use crate::transport::session::SpillTo;

pub(super) const DEFAULT_PORT: u16 = 22;

/// Who is to be reached as whom, once all defaults are filled in.
pub(super) struct Destination {
    /// As it was named; what errors and events show.
    pub(super) host: String,
    /// What is dialled.
    pub(super) address: String,
    pub(super) port: u16,
    /// The name and port under which the host key is known.
    pub(super) known_as: (String, u16),
    /// `HostKeyAlias`, if there is one.
    pub(super) alias: Option<String>,
    pub(super) username: String,
}

/// `user@host:port`.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (user, host, port) = (escape(&self.username), escape(&self.host), self.port);
        match host.contains(':') {
            true => write!(f, "{user}@[{host}]:{port}"),
            false => write!(f, "{user}@{host}:{port}"),
        }
    }
}

/// The clock has to be in the builder's first phase.
pub(super) async fn open(builder: ConnectionBuilder, clock: PhaseClock) -> Result<Connection> {
    if let Some(keepalive) = &builder.keepalive {
        keepalive.check()?;
    }
    check_algorithms(&builder)?;
    let env = builder.environment();
    let emitter = emitter(&builder)?;
    let destination = destination(&builder, &env)?;
    let Destination {
        host, port, username, ..
    } = &destination;
    if let Some(recorder) = builder.evidence.as_ref().filter(|_| !builder.is_beside()) {
        recorder.configured(configuration(&builder, &env, &destination), emitter.redactor());
    }
    let way = builder.via.as_ref().map(Via::facts).unwrap_or_default();
    emitter.emit_with(EventType::Connect, || {
        let facts = json!({ "status": "initiating", "host": host, "port": port, "username": username });
        with(facts, way.clone())
    });
    let span = tracing::info_span!("connect", host, port, username);
    match connect(builder, env, clock, &destination, &emitter)
        .instrument(span)
        .await
    {
        Ok(connection) => {
            emitter.emit_with(EventType::Connect, || {
                let facts = json!({
                    "status": "connected", "auth_method": connection.auth_method(),
                    "host": host, "port": port, "username": username,
                });
                let mut more = learned(
                    connection.link(),
                    connection.timings(),
                    Some(connection.host_key()),
                );
                let offered = connection.auth_methods_offered().iter();
                let offered: Vec<String> = offered.map(|method| escape(method)).collect();
                more.insert("auth_methods_offered".to_owned(), offered.into());
                more.extend(way.clone());
                with(facts, more)
            });
            Ok(connection)
        }
        Err(error) => Err(told(error.at(host, *port, username), &emitter)),
    }
}

/// Adds facts to a JSON object.
fn with(mut facts: Value, more: Map<String, Value>) -> Value {
    if let Some(facts) = facts.as_object_mut() {
        facts.extend(more);
    }
    facts
}

/// Nothing could be agreed on with any server where a list leaves no algorithm.
pub(super) fn check_algorithms(builder: &ConnectionBuilder) -> Result<()> {
    match builder.algorithms.leaves_nothing() {
        None => Ok(()),
        Some((option, supported)) => Err(Error::new(
            ErrorKind::Invalid,
            format!("{option} leaves no algorithm that Sternline has"),
        )
        .with_hint(format!("name one of {}", supported.join(", ")))),
    }
}

/// Tells of a failure to connect in an ERROR event.
pub(super) fn told(error: Error, emitter: &Emitter) -> Error {
    let mut error = error.redacted_by(emitter.redactor());
    if let Some(reason) = error.disconnect_reason() {
        error = error.with_extra("disconnect_reason", reason.as_str());
    }
    emitter.emit(EventType::Error, error.to_dict().into());
    error
}

pub(super) fn emitter(builder: &ConnectionBuilder) -> Result<Emitter> {
    let chain = builder.auth.iter().filter_map(AuthConfig::secret);
    for secret in chain.chain(builder.fallback_password.as_ref().map(SharedSecret::secret)) {
        builder.redactor.mark(secret.expose());
    }
    let mut emitter = Emitter::new(builder.redactor.clone());
    for listener in &builder.listeners {
        emitter.add_listener(Arc::clone(listener));
    }
    for collector in &builder.collectors {
        emitter.add_collector(collector.clone());
    }
    if let Some(recorder) = &builder.evidence {
        let recorder = recorder.clone();
        let is_about_it = !builder.is_beside();
        emitter.add_listener(Arc::new(move |event| recorder.hear(event, is_about_it)));
    }
    if let Some(path) = &builder.event_log_path {
        let log = EventLog::open(path).map_err(|error| {
            Error::new(
                ErrorKind::Local,
                format!(
                    "cannot open the event log {}: {error}",
                    escape(&path.to_string_lossy())
                ),
            )
            .with_source_text(&error)
            .with_hint("check the path and its permissions")
        })?;
        emitter.add_log(log);
    }
    Ok(emitter)
}

pub(super) fn destination(builder: &ConnectionBuilder, env: &Env) -> Result<Destination> {
    let invalid = |error: &dyn fmt::Display| Error::new(ErrorKind::Invalid, error.to_string());
    let mut target: Target = builder.target.parse().map_err(|error| invalid(&error))?;
    if let (None, Some(port)) = (target.port(), builder.port) {
        target = target.with_port(port).map_err(|error| invalid(&error))?;
    }
    if target.user().is_none() {
        let user = builder
            .username
            .clone()
            .or_else(|| env.user.clone())
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::Invalid,
                    "no user name was given and the current user has none",
                )
                .with_hint("name the user: user@host")
            })?;
        target = target.with_user(user).map_err(|error| invalid(&error))?;
    }
    let address = match &builder.address {
        // The same rules as for a typed host: it comes from a file.
        Some(address) => Target::new(address.as_str())
            .map_err(|error| invalid(&error))?
            .host()
            .to_owned(),
        None => target.host().to_owned(),
    };
    let port = target.port().unwrap_or(DEFAULT_PORT);
    let known_as = match &builder.host_key_alias {
        // Whatever the port is, as for ssh.
        Some(alias) => {
            let alias = Target::new(alias.as_str()).map_err(|error| invalid(&error))?;
            (alias.host().to_owned(), DEFAULT_PORT)
        }
        None => (address.clone(), port),
    };
    Ok(Destination {
        host: target.host().to_owned(),
        address,
        port,
        known_as,
        alias: builder.host_key_alias.clone(),
        username: target.user().unwrap_or_default().to_owned(),
    })
}

async fn connect(
    builder: ConnectionBuilder,
    env: Arc<Env>,
    clock: PhaseClock,
    destination: &Destination,
    emitter: &Emitter,
) -> Result<Connection> {
    let began_ms = unix_millis(SystemTime::now());
    let verifier = verifier(&builder, &env)?;
    let known = verifier
        .known_hosts
        .host_key_algorithms(&destination.known_as.0, destination.known_as.1);
    let link = Arc::new(Link::new(clock.clone()));
    if let Some(beginning) = &builder.beginning {
        link.tell_of_beginning(beginning.clone());
    }
    let verified = Arc::new(Mutex::new(None));
    let by_hand = ByHand {
        file: verifier
            .record_path
            .clone()
            .filter(|path| paths::known_hosts_path(&env).as_ref() != Some(path)),
        jump: match &builder.via {
            Some(Via::Jump(jump)) => Some(jump.to_string()),
            _ => None,
        },
        aliased: destination.alias.is_some().then(|| destination.to_string()),
        arguments: builder.host_key_arguments.clone(),
    };
    let check = host_key_check(
        verifier,
        by_hand,
        destination,
        builder.prompter.clone(),
        clock.clone(),
        Arc::clone(&verified),
    );

    let credentials = Credentials {
        auth: &builder.auth,
        identity_files: &builder.identities,
        identities_only: builder.identities_only,
        fallback_password: builder.fallback_password.as_ref(),
        prompter: builder.prompter.is_some(),
        max_refusals: builder
            .max_auth_attempts
            .map_or(DEFAULT_MAX_REFUSALS, |attempts| attempts as usize),
        certificate_files: &builder.certificate_files,
        methods: builder.auth_methods.as_deref(),
        questions: builder.password_prompts,
    };
    let request = AuthRequest {
        host: &destination.host,
        username: &destination.username,
        prompter: builder.prompter.as_deref(),
        emitter,
        probe: builder.none_probe,
    };
    // Each future would hold the ones that it waits for twice over, in the end 35 KB for a host. In boxes they need a third
    // of it, and the login has the room that the handshake had.
    let greet = Box::pin(async {
        let reached = reach(&builder, &env, destination, &link).await?;
        let request = Handshake {
            known_key_types: known.keys,
            certificates: known.authority,
            algorithms: builder.algorithms.clone(),
            check,
        };
        let login = handshake(reached.stream, Arc::clone(&link), request).await?;
        Ok((login, reached.jump))
    });
    let work = Box::pin(async {
        // Keys are read and the agent is asked while the network has its round trips.
        let ((mut login, jump), prepared) = beside(greet, prepare(credentials, &env)).await?;
        let auth_start_ms = unix_millis(SystemTime::now());
        let outcome = Box::pin(authenticate(&mut login, &request, prepared)).await?;
        Ok((login, jump, outcome, auth_start_ms))
    });
    let (login, jump, outcome, auth_start_ms) =
        clock.guard(&builder.deadlines, work).await.map_err(|error| {
            let verified = verified.lock().unwrap_or_else(PoisonError::into_inner);
            with_progress(on_this_way(error, &builder), &link, verified.as_ref())
        })?;

    // The callback ran before authentication could begin; without its proof nothing goes on.
    let host_key = verified.lock().unwrap_or_else(PoisonError::into_inner).take();
    let host_key = host_key.ok_or_else(|| {
        Error::new(
            ErrorKind::HostKeyMismatch,
            "the server's host key was never checked",
        )
        .in_phase(Phase::HostKey)
    })?;
    let spill_to = SpillTo {
        dir: env.temp_dir.clone(),
        limit: builder.spill_limit,
    };
    let sessions = Sessions::new(
        login.into_session(),
        spill_to,
        builder.deadlines.channel,
        builder.max_sessions,
    );
    // A jump host may allow no session at all.
    if !builder.is_jump_host {
        sessions.open_spare();
    }
    if builder.single_command {
        sessions.no_further_spare();
    }
    let farewell = Farewell::new(emitter.clone(), destination);
    farewell.watch(Arc::clone(&link));
    if let Some(config) = builder.keepalive {
        let events = KeepaliveEvents::new(emitter.clone(), &destination.host, destination.port);
        tokio::spawn(keep_alive(
            config,
            Arc::downgrade(&sessions),
            Arc::clone(&link),
            events,
        ));
    }
    Ok(Connection::new(Inner {
        facts: Facts {
            host: destination.host.clone(),
            port: destination.port,
            username: destination.username.clone(),
            peer: link.peer(),
            host_key,
            auth_method: outcome.method.map_or("none", AuthMethod::as_str).to_owned(),
            auth_methods_offered: outcome.offered,
            needed_person: outcome.needed_person,
            timings: clock.timings(),
            began_ms,
            auth_start_ms,
            connected_ms: unix_millis(SystemTime::now()),
        },
        sessions,
        emitter: emitter.clone(),
        farewell,
        progress_timeout: builder.keepalive.and_then(|keepalive| keepalive.progress_timeout),
        recorder: builder.evidence.clone(),
        collector: builder.collectors.first().cloned(),
        jump: Mutex::new(jump),
        settings: Mutex::new(Settings::new(builder, env)),
    }))
}

/// What had been learned when connecting failed: which phases were passed, and who was met.
pub(super) fn with_progress(error: Error, link: &Link, host_key: Option<&VerifiedHostKey>) -> Error {
    learned(link, &link.clock.timings(), host_key)
        .into_iter()
        .fold(error, |error, (name, value)| error.with_extra(&name, value))
}

/// What is known of the other side, and how long it took to learn it.
pub(super) fn learned(
    link: &Link,
    timings: &[(Phase, Duration)],
    host_key: Option<&VerifiedHostKey>,
) -> Map<String, Value> {
    let mut facts = Map::new();
    let mut put = |name: &str, value: Value| facts.insert(name.to_owned(), value);
    put("timings_ms", timings_ms(timings).into());
    if !link.resolved().is_empty() {
        let addresses = link.resolved().iter().map(ToString::to_string);
        put("resolved_addresses", addresses.collect());
    }
    if let Some(peer) = link.peer() {
        put("peer_address", peer.to_string().into());
    }
    if let Some(identification) = link.identification() {
        put("server_identification", escape(identification).into());
    }
    if let Some(algorithms) = link.algorithms() {
        put("algorithms", algorithms.to_dict().into());
    }
    if let Some(host_key) = host_key {
        put("host_key_algorithm", host_key.key().algorithm().into());
        put("host_key_fingerprint", host_key.fingerprint().into());
        put("host_key_trust", host_key.trust().to_string().into());
    }
    let banner = link.auth_banner();
    if !banner.is_empty() {
        put("auth_banner", escape(&banner).into());
    }
    facts
}

/// How long each phase took, by its name; one that was entered again, all in all.
pub(super) fn timings_ms(timings: &[(Phase, Duration)]) -> Map<String, Value> {
    let mut named: Vec<(Phase, Duration)> = Vec::new();
    for (phase, took) in timings {
        match named.iter_mut().find(|(known, _)| known == phase) {
            Some((_, sum)) => *sum += *took,
            None => named.push((*phase, *took)),
        }
    }
    named
        .into_iter()
        .map(|(phase, took)| (phase.to_string(), (took.as_secs_f64() * 1000.0).into()))
        .collect()
}

/// Runs both; a failure of the first one does not wait for the second.
async fn beside<T, U>(
    first: impl Future<Output = Result<T>>,
    second: impl Future<Output = U>,
) -> Result<(T, U)> {
    let (mut first, mut second) = (pin!(first), pin!(second));
    tokio::select! {
        outcome = &mut first => Ok((outcome?, second.await)),
        done = &mut second => Ok((first.await?, done)),
    }
}

pub(super) fn verifier(builder: &ConnectionBuilder, env: &Env) -> Result<HostKeyVerifier> {
    let (known_hosts, record_path) = match &builder.known_hosts {
        Some(known_hosts) => (known_hosts.clone(), builder.record_path.clone()),
        None => {
            let files = known_hosts_files(builder, env);
            let known_hosts = KnownHosts::load(&files)
                .map_err(|error| Error::new(ErrorKind::Local, error.to_string()).in_phase(Phase::HostKey))?;
            (known_hosts, files.into_iter().next())
        }
    };
    Ok(HostKeyVerifier {
        known_hosts,
        policy: builder.host_key_policy,
        record_path,
        hash: builder.hash_known_hosts,
    })
}

pub(super) fn known_hosts_files(builder: &ConnectionBuilder, env: &Env) -> Vec<PathBuf> {
    match &builder.known_hosts_files {
        Some(files) => files.clone(),
        None => paths::known_hosts_path(env)
            .into_iter()
            .chain([paths::system_known_hosts_path(env)])
            .collect(),
    }
}
