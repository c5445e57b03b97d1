//! `sternline hostkeys add`: fetch, compare, record.

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};
use sternline::connection::OfferedHostKey;
use sternline::host_key::{Accepted, Decision, HostKeyPolicy, HostKeyRefusal, HostKeyTrust, HostKeyVerifier};
use sternline::{Error, ErrorKind};
use tokio::task::JoinSet;

use super::args::{AddArgs, print, resolve};
use super::authority;
use crate::connect::{Connector, HostSettings, parse_hosts};
use crate::exit;
use crate::ui::prompter::{can_ask, confirm_host_key};
use crate::ui::{Failure, Signals, Ui};

/// How many hosts are asked for their keys at once.
const PARALLEL: usize = 64;

const SCHEMA: &str = "sternline.hostkeys/1";

type Fetched = Result<OfferedHostKey, Error>;

pub(super) async fn run(args: AddArgs, ui: &Ui) -> Result<ExitCode, Failure> {
    if let Some(key) = &args.from_ca {
        return authority::run(&args, key, ui);
    }
    let consent = Consent::of(&args)?;
    let targets = parse_hosts(&args.hosts, &args.connect.hosts, ui)?;
    let mut connector = Connector::new(&args.connect, targets.len() == 1, ui)?;
    let hosts = resolve(&mut connector, &targets)?;
    let mut signals =
        Signals::new().map_err(|error| Failure::local(format!("cannot listen to signals: {error}")))?;
    tokio::select! {
        signal = signals.next() => Err(Failure::interrupted(signal)),
        outcome = add(&args, &consent, &hosts, ui) => outcome,
    }
}

/// How it is decided that a key is right.
enum Consent {
    Fingerprints(Vec<String>),
    Anything,
    Ask,
    /// There is no terminal: then the keys are only shown.
    Nobody,
}

impl Consent {
    fn of(args: &AddArgs) -> Result<Self, Failure> {
        if args.yes {
            return Ok(Self::Anything);
        }
        if !args.fingerprint.is_empty() {
            let fingerprints = args
                .fingerprint
                .iter()
                .map(|text| text.trim_end_matches('=').to_owned());
            let fingerprints: Vec<_> = fingerprints.collect();
            if let Some(odd) = fingerprints.iter().find(|text| !text.starts_with("SHA256:")) {
                let odd = sternline::proto::text::escape(odd);
                return Err(Failure::usage(format!(
                    "`{odd}` is not a fingerprint of the kind that is compared"
                ))
                .with_hint("give it as ssh-keygen -l prints it: SHA256:..."));
            }
            return Ok(Self::Fingerprints(fingerprints));
        }
        Ok(match can_ask() && !args.connect.json {
            true => Self::Ask,
            false => Self::Nobody,
        })
    }
}

async fn add(
    args: &AddArgs,
    consent: &Consent,
    hosts: &[HostSettings],
    ui: &Ui,
) -> Result<ExitCode, Failure> {
    let mut code = ExitCode::SUCCESS;
    for (settings, fetched) in hosts.iter().zip(fetch(hosts).await) {
        let recorded = match fetched {
            Ok(offered) => record(args, consent, settings, offered).await,
            Err(error) => Err(Failure::from(error)),
        };
        if args.connect.json {
            print(&json_line(settings, &recorded))?;
        }
        match recorded {
            Ok(accepted) if !args.connect.json => print(&sentence(settings, &accepted))?,
            Ok(_) => {}
            Err(failure) => {
                ui.error(&failure.on_host(&settings.recordable()));
                code = ExitCode::from(exit::FAILED);
            }
        }
    }
    Ok(code)
}

/// The keys that the hosts offer, in the order of the hosts.
async fn fetch(hosts: &[HostSettings]) -> Vec<Fetched> {
    let mut fetched: Vec<Option<Fetched>> = hosts.iter().map(|_| None).collect();
    let mut running = JoinSet::new();
    let mut waiting = hosts.iter().enumerate();
    loop {
        if running.len() < PARALLEL
            && let Some((index, settings)) = waiting.next()
        {
            let builder = settings.builder();
            running.spawn(async move { (index, builder.fetch_host_key().await) });
            continue;
        }
        match running.join_next().await {
            None => break,
            Some(Ok((index, outcome))) => {
                if let Some(slot) = fetched.get_mut(index) {
                    *slot = Some(outcome);
                }
            }
            Some(Err(_)) => {}
        }
    }
    let lost = || {
        Err(Error::new(
            ErrorKind::Local,
            "the work on this host was interrupted",
        ))
    };
    fetched
        .into_iter()
        .map(|outcome| outcome.unwrap_or_else(lost))
        .collect()
}

/// Compares the key with what is known, then with what is wanted, and records it.
async fn record(
    args: &AddArgs,
    consent: &Consent,
    settings: &HostSettings,
    offered: OfferedHostKey,
) -> Result<Accepted, Failure> {
    let verifier = HostKeyVerifier {
        known_hosts: settings.known_hosts.clone(),
        policy: HostKeyPolicy::Ask,
        record_path: Some(super::args::record_path(settings)?),
        hash: args.hash || settings.hashes_names(),
    };
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let pending = match verifier.check(&offered.address, offered.port, &offered.offer, now) {
        Decision::Accept(accepted) => return Ok(accepted),
        Decision::Refuse(refusal) => return Err(refused(&refusal, settings)),
        Decision::Ask(pending) => pending,
    };
    let question = pending.question();
    match consent {
        Consent::Anything => {}
        Consent::Fingerprints(right) if right.contains(&question.fingerprint) => {}
        Consent::Fingerprints(_) => {
            return Err(Failure::local(format!(
                "the host offers the key {} {}, which is not the one given by --fingerprint",
                question.algorithm, question.fingerprint
            ))
            .with_hint(
                "ask the host's administrator for its fingerprint: somebody may be intercepting the connection, or the \
                 fingerprint may belong to a key of another type",
            ));
        }
        Consent::Nobody => {
            return Err(Failure::local(format!(
                "the host offers the key {} {}, and there is no terminal to ask whether it is right",
                question.algorithm, question.fingerprint
            ))
            .with_hint(
                "compare the fingerprint with one from a source you trust and give it with --fingerprint; --yes takes \
                 whatever a host offers",
            ));
        }
        Consent::Ask => {
            if !confirm_host_key(&question, "Record").await {
                return Err(
                    Failure::local("the key was not recorded, because the answer was no")
                        .with_hint("compare the fingerprint with one from a source you trust, and try again"),
                );
            }
        }
    }
    let accepted = verifier
        .accept_after_asking(&pending)
        .map_err(|refusal| refused(&refusal, settings))?;
    match accepted.warning {
        Some(warning) => Err(Failure::local(warning.to_string())
            .with_hint("check the path of the known_hosts file and its permissions")),
        None => Ok(accepted),
    }
}

fn refused(refusal: &HostKeyRefusal, settings: &HostSettings) -> Failure {
    Failure::local(refusal.summary()).with_hint(settings.next_step(refusal))
}

fn sentence(settings: &HostSettings, accepted: &Accepted) -> String {
    let key = &accepted.host_key;
    let named = format!(
        "{} {} {}",
        settings.recordable(),
        key.key().algorithm(),
        key.fingerprint()
    );
    match key.trust() {
        HostKeyTrust::Recorded(place) => format!("recorded {named} in {place}"),
        HostKeyTrust::Known(place) => format!("known already: {named} in {place}"),
        HostKeyTrust::Authority { location, .. } => format!("certified already: {named} by {location}"),
        _ => named,
    }
}

fn json_line(settings: &HostSettings, recorded: &Result<Accepted, Failure>) -> String {
    let key = recorded.as_ref().ok().map(|accepted| &accepted.host_key);
    let place = key.and_then(|key| match key.trust() {
        HostKeyTrust::Recorded(place) | HostKeyTrust::Known(place) => Some(place),
        _ => None,
    });
    let recorded_now = key.map(|key| matches!(key.trust(), HostKeyTrust::Recorded(_)));
    let mut object = Map::new();
    object.insert("schema".into(), SCHEMA.into());
    object.insert("host".into(), settings.recordable().into());
    object.insert("ok".into(), key.is_some().into());
    object.insert("recorded".into(), recorded_now.unwrap_or(false).into());
    object.insert("algorithm".into(), key.map(|key| key.key().algorithm()).into());
    object.insert("fingerprint".into(), key.map(|key| key.fingerprint()).into());
    object.insert("file".into(), place.map(|place| place.file.to_string()).into());
    object.insert("line".into(), place.map(|place| place.line).into());
    object.insert(
        "error".into(),
        recorded.as_ref().err().map(Failure::headline).into(),
    );
    Value::Object(object).to_string()
}
