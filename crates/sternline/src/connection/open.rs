//! From settings to an open connection.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use sternline_proto::target::Target;
use sternline_proto::text::escape;
use tracing::Instrument;

use super::builder::ConnectionBuilder;
use super::handle::{Connection, Facts, Farewell, Inner};
use super::keepalive::{KeepaliveEvents, keep_alive};
use super::sessions::Sessions;
use crate::auth::{AuthMethod, AuthRequest, Credentials, DEFAULT_MAX_REFUSALS, authenticate, prepare};
use crate::config::{Env, paths};
use crate::deadline::{Phase, PhaseClock};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Emitter, EventLog, EventType};
use crate::host_key::{
    Accepted, Decision, HostKeyOffer, HostKeyRefusal, HostKeyVerifier, KnownHosts, VerifiedHostKey,
};
use crate::prompt::Prompter;
use crate::transport::dial::dial;
use crate::transport::handshake::{Handshake, HostKeyCheck, handshake};
use crate::transport::link::Link;
use crate::transport::session::SpillTo;

const DEFAULT_PORT: u16 = 22;

/// Who is to be reached as whom, once all defaults are filled in.
pub(super) struct Destination {
    /// As it was named; what errors and events show.
    pub(super) host: String,
    /// What is dialled, and under which the host key is known.
    pub(super) address: String,
    pub(super) port: u16,
    pub(super) username: String,
}

pub(super) async fn open(builder: ConnectionBuilder) -> Result<Connection> {
    if let Some(keepalive) = &builder.keepalive {
        keepalive.check()?;
    }
    let env = builder.env.clone().unwrap_or_else(Env::system);
    let emitter = emitter(&builder)?;
    let destination = destination(&builder, &env)?;
    let Destination {
        host, port, username, ..
    } = &destination;
    emitter.emit(
        EventType::Connect,
        json!({ "status": "initiating", "host": host, "port": port, "username": username }),
    );
    let span = tracing::info_span!("connect", host, port, username);
    match connect(builder, env, &destination, &emitter)
        .instrument(span)
        .await
    {
        Ok(connection) => {
            emitter.emit(
                EventType::Connect,
                json!({
                    "status": "connected", "auth_method": connection.auth_method(),
                    "host": host, "port": port, "username": username,
                }),
            );
            Ok(connection)
        }
        Err(error) => {
            let mut error = error.at(host, *port, username);
            if let Some(reason) = error.disconnect_reason() {
                error = error.with_extra("disconnect_reason", reason.as_str());
            }
            emitter.emit(EventType::Error, error.to_dict().into());
            Err(error)
        }
    }
}

pub(super) fn emitter(builder: &ConnectionBuilder) -> Result<Emitter> {
    let mut emitter = Emitter::default();
    for listener in &builder.listeners {
        emitter.add_listener(Arc::clone(listener));
    }
    for collector in &builder.collectors {
        emitter.add_collector(collector.clone());
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
    let invalid = |error: &dyn std::fmt::Display| Error::new(ErrorKind::Invalid, error.to_string());
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
    Ok(Destination {
        host: target.host().to_owned(),
        address,
        port: target.port().unwrap_or(DEFAULT_PORT),
        username: target.user().unwrap_or_default().to_owned(),
    })
}

async fn connect(
    builder: ConnectionBuilder,
    env: Env,
    destination: &Destination,
    emitter: &Emitter,
) -> Result<Connection> {
    let verifier = verifier(&builder, &env)?;
    let known = verifier
        .known_hosts
        .host_key_algorithms(&destination.address, destination.port);
    let clock = PhaseClock::start(Phase::Resolve);
    let link = Arc::new(Link::new(clock.clone()));
    let verified = Arc::new(Mutex::new(None));
    // Whoever records the key by hand has to name the file, unless it is the one that is looked for anyway.
    let named_file = verifier
        .record_path
        .clone()
        .filter(|path| paths::known_hosts_path(&env).as_ref() != Some(path));
    let check = host_key_check(
        verifier,
        named_file,
        destination,
        builder.prompter.clone(),
        clock.clone(),
        Arc::clone(&verified),
    );

    let credentials = Credentials {
        auth: &builder.auth,
        identity_files: &builder.identities,
        identities_only: builder.identities_only,
        prompter: builder.prompter.is_some(),
        max_refusals: builder
            .max_auth_attempts
            .map_or(DEFAULT_MAX_REFUSALS, |attempts| attempts as usize),
    };
    let request = AuthRequest {
        host: &destination.host,
        username: &destination.username,
        prompter: builder.prompter.as_deref(),
        emitter,
        probe: builder.none_probe,
    };
    let greet = async {
        let (stream, peer) = dial(
            &*builder.resolver,
            &destination.address,
            destination.port,
            builder.bind_address,
            &clock,
        )
        .await?;
        let request = Handshake {
            known_key_types: known.keys,
            certificates: known.authority,
            check,
        };
        Ok((handshake(stream, Arc::clone(&link), request).await?, peer))
    };
    let work = async {
        // Keys are read and the agent is asked while the network has its round trips.
        let ((mut login, peer), prepared) = beside(greet, prepare(credentials, &env)).await?;
        let outcome = authenticate(&mut login, &request, prepared).await?;
        Ok((login, peer, outcome))
    };
    let (login, peer, outcome) = clock
        .guard(&builder.deadlines, work)
        .await
        .map_err(|error| with_progress(error, &link, &verified))?;

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
    sessions.open_spare();
    let farewell = Farewell::new(emitter.clone(), &destination.host, destination.port);
    farewell.watch(Arc::clone(&link));
    if let Some(config) = builder.keepalive {
        let events = KeepaliveEvents::new(emitter.clone(), &destination.host, destination.port);
        tokio::spawn(keep_alive(config, Arc::downgrade(&sessions), link, events));
    }
    Ok(Connection::new(Inner {
        facts: Facts {
            host: destination.host.clone(),
            port: destination.port,
            username: destination.username.clone(),
            peer: Some(peer),
            host_key,
            auth_method: outcome.method.map_or("none", AuthMethod::as_str).to_owned(),
            auth_methods_offered: outcome.offered,
            needed_person: outcome.needed_person,
            timings: clock.timings(),
        },
        sessions,
        emitter: emitter.clone(),
        farewell,
        progress_timeout: builder.keepalive.and_then(|keepalive| keepalive.progress_timeout),
    }))
}

/// What had been learned when connecting failed: which phases were passed, and who was met.
fn with_progress(mut error: Error, link: &Link, verified: &Mutex<Option<VerifiedHostKey>>) -> Error {
    let timings: Map<String, Value> = link
        .clock
        .timings()
        .into_iter()
        .map(|(phase, took)| (phase.to_string(), (took.as_secs_f64() * 1000.0).into()))
        .collect();
    error = error.with_extra("timings_ms", timings);
    if let Some(identification) = link.identification() {
        error = error.with_extra("server_identification", escape(identification));
    }
    if let Some(algorithms) = link.algorithms() {
        error = error.with_extra("algorithms", algorithms.to_dict());
    }
    if let Some(host_key) = &*verified.lock().unwrap_or_else(PoisonError::into_inner) {
        error = error
            .with_extra("host_key_algorithm", host_key.key().algorithm())
            .with_extra("host_key_fingerprint", host_key.fingerprint())
            .with_extra("host_key_trust", host_key.trust().to_string());
    }
    error
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

fn known_hosts_files(builder: &ConnectionBuilder, env: &Env) -> Vec<PathBuf> {
    match &builder.known_hosts_files {
        Some(files) => files.clone(),
        None => paths::known_hosts_path(env)
            .into_iter()
            .chain([paths::system_known_hosts_path(env)])
            .collect(),
    }
}

/// The check that runs in the middle of the key exchange. Its proof is left in `verified`.
fn host_key_check(
    verifier: HostKeyVerifier,
    named_file: Option<PathBuf>,
    destination: &Destination,
    prompter: Option<Arc<dyn Prompter>>,
    clock: PhaseClock,
    verified: Arc<Mutex<Option<VerifiedHostKey>>>,
) -> HostKeyCheck {
    let verifier = Arc::new(verifier);
    let (address, port) = (destination.address.clone(), destination.port);
    Box::new(move |offer| {
        let (verifier, prompter, clock, verified) = (
            Arc::clone(&verifier),
            prompter.clone(),
            clock.clone(),
            Arc::clone(&verified),
        );
        let (address, named_file) = (address.clone(), named_file.clone());
        Box::pin(async move {
            let accepted = judge(verifier, named_file, address, port, offer, prompter, clock).await?;
            if let Some(warning) = accepted.warning {
                tracing::warn!(%warning, "the host key could not be recorded");
            }
            *verified.lock().unwrap_or_else(PoisonError::into_inner) = Some(accepted.host_key);
            Ok(())
        })
    })
}

async fn judge(
    verifier: Arc<HostKeyVerifier>,
    named_file: Option<PathBuf>,
    address: String,
    port: u16,
    offer: HostKeyOffer,
    prompter: Option<Arc<dyn Prompter>>,
    clock: PhaseClock,
) -> Result<Accepted> {
    let refused = |refusal: &HostKeyRefusal| refused(refusal, named_file.as_deref());
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    // Recording writes to disk and may wait for another writer.
    let checking = Arc::clone(&verifier);
    let decision = blocking(move || checking.check(&address, port, &offer, now)).await?;
    match decision {
        Decision::Accept(accepted) => Ok(accepted),
        Decision::Refuse(refusal) => Err(refused(&refusal)),
        Decision::Ask(pending) => {
            let Some(prompter) = prompter else {
                return Err(refused(&pending.refusal()));
            };
            let question = pending.question();
            let pause = clock.pause();
            let trusted = prompter.trust_host_key(&question).await;
            drop(pause);
            if !trusted {
                return Err(refused(&pending.refusal()));
            }
            blocking(move || verifier.accept_after_asking(&pending))
                .await?
                .map_err(|refusal| refused(&refusal))
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        Error::new(ErrorKind::Local, "the host key check was interrupted").with_source_text(&error)
    })
}

fn refused(refusal: &HostKeyRefusal, named_file: Option<&Path>) -> Error {
    Error::new(ErrorKind::HostKeyMismatch, refusal.summary())
        .in_phase(Phase::HostKey)
        .with_hint(refusal.next_step(named_file))
        .with_extra("offered_fingerprint", refusal.offered.fingerprint())
        .with_extra("host_key_reason", refusal.reason.as_str())
}
