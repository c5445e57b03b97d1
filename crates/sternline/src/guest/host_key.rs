//! Which host key a guest may have.

use std::path::{Path, PathBuf};
use std::time::Duration;

use data_encoding::BASE64_NOPAD;
use serde_json::Value;
use sternline_proto::key::PublicKey;
use sternline_proto::known_hosts::add_entry;
use sternline_proto::text::escape;
use tokio::time::Instant;

use super::builder::Settings;
use super::client::{Begins, Pin};
use crate::config::paths::expand_path;
use crate::connection::{AlgorithmChoice, AlgorithmList, Connection, ConnectionBuilder};
use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, Result};
use crate::host_key::{Decision, HostKeyOffer, HostKeyPolicy, HostKeyTrust, HostKeyVerifier, KnownHosts};

/// Where the keys of a refusal stand that were not read from a file: the end of "is known by KEY in".
const MEMORY: &str = "this client's memory";
const GIVEN: &str = "the host keys given";

/// The types of key a server may have beside the one that both sides like best.
const TYPES: [&str; 5] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
];

/// What makes a guest's host key acceptable.
#[derive(Debug)]
pub(super) enum Trust {
    /// That it is the one of the first login, which is kept in this file, or else in memory.
    FirstUse(Option<PathBuf>),
    /// That the caller named it.
    Given(Vec<Given>),
    /// Nothing has to.
    DangerAny,
}

/// A host key that the caller named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Given {
    Key(PublicKey),
    Fingerprint(String),
}

impl Given {
    /// Reads a fingerprint, a `.pub` file's line or a known_hosts line.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        if let Some(hash) = text.strip_prefix("SHA256:") {
            let hash = hash.trim_end_matches('=');
            if BASE64_NOPAD
                .decode(hash.as_bytes())
                .is_ok_and(|hash| hash.len() == 32)
            {
                return Ok(Self::Fingerprint(format!("SHA256:{hash}")));
            }
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        let found = words.windows(2).find_map(|pair| match pair {
            [algorithm, base64] => PublicKey::from_text(algorithm, base64).ok(),
            _ => None,
        });
        found.map(Self::Key).ok_or_else(|| {
            Error::new(
                ErrorKind::Invalid,
                format!(
                    "\"{}\" is neither a host key nor the fingerprint of one",
                    escape(text)
                ),
            )
            .with_hint("give SHA256:... as ssh-keygen -l shows it, or the line of the guest's .pub file")
        })
    }

    fn fingerprint(&self) -> String {
        match self {
            Self::Key(key) => key.fingerprint(),
            Self::Fingerprint(fingerprint) => fingerprint.clone(),
        }
    }
}

impl Trust {
    /// The settings of a connection that refuses every other host key.
    pub(super) async fn apply(
        &self,
        settings: &Settings,
        pin: &Pin,
        limit: Duration,
        begins: Option<Begins>,
    ) -> Result<ConnectionBuilder> {
        let begun = Instant::now();
        let builder = || {
            let builder = settings.builder(limit.saturating_sub(begun.elapsed()));
            match begins.clone() {
                Some(begins) => builder.on_beginning(move || begins()),
                None => builder,
            }
        };
        let strict = |keys: &[&PublicKey], place| {
            let known = known_hosts(settings, keys, place)?;
            let builder = builder().known_hosts_parsed(known, None);
            Ok(builder.host_key_policy(HostKeyPolicy::Strict))
        };
        // What is learned in an attempt counts only once its login has succeeded: until then a guest may well make
        // itself other keys, as cloud-init does.
        let first_use = |known| {
            let builder = builder().known_hosts_parsed(known, None);
            builder.host_key_policy(HostKeyPolicy::AcceptNew)
        };
        match (self, &pin.key()) {
            (Self::DangerAny, _) => Ok(builder()
                .known_hosts_parsed(KnownHosts::empty(), None)
                .danger_accept_any_host_key()),
            (Self::FirstUse(Some(file)), _) => {
                let known = KnownHosts::load([path(settings, file)?]).map_err(|error| unreadable(&error))?;
                Ok(first_use(known))
            }
            (Self::FirstUse(None), Some(key)) => strict(&[key], MEMORY),
            (Self::FirstUse(None), None) => Ok(first_use(KnownHosts::empty())),
            (Self::Given(given), pinned) => {
                let named = given.iter().filter_map(|given| match given {
                    Given::Key(key) => Some(key),
                    Given::Fingerprint(_) => None,
                });
                let keys: Vec<&PublicKey> = named.chain(pinned).collect();
                if keys.len() >= given.len() || pinned.is_some() {
                    return strict(&keys, GIVEN);
                }
                let found = find(given, &builder).await?;
                let strict = strict(&[&found], GIVEN);
                pin.set(Some(found));
                strict
            }
        }
    }

    /// Keeps the key of a login that has succeeded, where that is to be done.
    pub(super) async fn keep(&self, settings: &Settings, pin: &Pin, connection: &Connection) -> Result<()> {
        let key = connection.host_key().key().clone();
        match self {
            Self::FirstUse(None) => {
                pin.set(Some(key));
                Ok(())
            }
            Self::FirstUse(Some(file)) if connection.host_key().trust() == &HostKeyTrust::Remembered => {
                let (host, port, file) = (settings.host().to_owned(), settings.port(), path(settings, file)?);
                let recorded = tokio::task::spawn_blocking(move || record(&host, port, key, &file)).await;
                recorded.unwrap_or_else(|error| {
                    Err(
                        Error::new(ErrorKind::Local, "recording the host key was interrupted")
                            .with_source_text(&error),
                    )
                })
            }
            _ => Ok(()),
        }
    }

    /// Says of a refused host key what can be done about it here.
    pub(super) fn explain(&self, error: Error) -> Error {
        if error.kind() != &ErrorKind::HostKeyMismatch {
            return error;
        }
        match self {
            Self::FirstUse(None) => error.with_hint(
                "somebody may stand in between; if the guest was made anew, call forget_host_key() or make a new client",
            ),
            Self::FirstUse(Some(file)) => error.with_hint(format!(
                "somebody may stand in between; if the guest was made anew, remove its line from {}",
                escape(&file.display().to_string())
            )),
            Self::Given(_) | Self::DangerAny => {
                error.with_hint("somebody may stand in between, or another guest has this address: compare its fingerprint on its console")
            }
        }
    }
}

/// Records the key in a file, unless another writer was quicker with another one.
fn record(host: &str, port: u16, key: PublicKey, file: &Path) -> Result<()> {
    let verifier = HostKeyVerifier {
        known_hosts: KnownHosts::load([file]).map_err(|error| unreadable(&error))?,
        policy: HostKeyPolicy::AcceptNew,
        record_path: Some(file.to_owned()),
        hash: false,
    };
    // The time matters to certificates only.
    match verifier.check(host, port, &HostKeyOffer::Key(key), 0) {
        Decision::Accept(accepted) => match accepted.warning {
            None => Ok(()),
            // To go on would be to trust anybody the next time too.
            Some(warning) => Err(unreadable(&warning)),
        },
        Decision::Refuse(refusal) => {
            Err(Error::new(ErrorKind::HostKeyMismatch, refusal.summary()).in_phase(Phase::HostKey))
        }
        Decision::Ask(_) => Err(Error::new(ErrorKind::HostKeyMismatch, "nobody can be asked")),
    }
}

fn path(settings: &Settings, file: &Path) -> Result<PathBuf> {
    expand_path(&settings.environment(), file)
        .map_err(|error| Error::new(ErrorKind::Invalid, error.to_string()))
}

fn unreadable(error: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Local, error.to_string())
        .in_phase(Phase::HostKey)
        .with_hint("check the path and its permissions: without it nobody would know whether the host key is the right one")
}

fn known_hosts(settings: &Settings, keys: &[&PublicKey], place: &str) -> Result<KnownHosts> {
    let mut content = Vec::new();
    for key in keys {
        let added = add_entry(&content, settings.host(), settings.port(), key, None)
            .map_err(|error| Error::new(ErrorKind::Invalid, error.to_string()))?;
        content = added.content;
    }
    Ok(KnownHosts::from_bytes(place, &content))
}

/// The first of the guest's host keys that has one of these fingerprints.
async fn find(given: &[Given], builder: &impl Fn() -> ConnectionBuilder) -> Result<PublicKey> {
    let wanted: Vec<String> = given.iter().map(Given::fingerprint).collect();
    let mut offered: Vec<PublicKey> = Vec::new();
    for kind in [None].into_iter().chain(TYPES.map(Some)) {
        if kind.is_some_and(|kind| offered.iter().any(|key| same_type(key, kind))) {
            continue;
        }
        let settings = builder().known_hosts_parsed(KnownHosts::empty(), None);
        let settings = match kind {
            None => settings,
            Some(kind) => settings.algorithms(AlgorithmChoice {
                host_key: AlgorithmList::parse(kind),
                ..AlgorithmChoice::default()
            }),
        };
        match settings.fetch_host_key().await {
            Ok(found) if wanted.contains(&found.offer.key().fingerprint()) => {
                return Ok(found.offer.key().clone());
            }
            Ok(found) => offered.push(found.offer.key().clone()),
            // It has none of this type.
            Err(error) if error.kind() == &ErrorKind::NoMutualKex && kind.is_some() => {}
            Err(error) => return Err(error),
        }
    }
    let shown: Vec<String> = offered
        .iter()
        .map(|key| format!("{} {}", key.algorithm(), key.fingerprint()))
        .collect();
    let fingerprints: Vec<Value> = offered.iter().map(|key| key.fingerprint().into()).collect();
    let mut error = Error::new(
        ErrorKind::HostKeyMismatch,
        format!(
            "the guest has another host key than the one given: it offered {}, and {} was expected",
            shown.join(" and "),
            wanted.join(" or ")
        ),
    )
    .in_phase(Phase::HostKey)
    .with_extra("host_key_reason", "changed")
    .with_extra("expected_fingerprints", wanted);
    if let Some(first) = fingerprints.first() {
        error = error.with_extra("offered_fingerprint", first.clone());
    }
    Err(Trust::Given(Vec::new()).explain(error.with_extra("offered_fingerprints", fingerprints)))
}

/// Whether an algorithm of the key exchange signs with a key of this type (RFC 8332 section 3).
fn same_type(key: &PublicKey, algorithm: &str) -> bool {
    key.algorithm() == algorithm || (key.algorithm() == "ssh-rsa" && algorithm.starts_with("rsa-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB";

    #[test]
    fn a_host_key_is_given_by_its_fingerprint_or_as_files_hold_it() {
        let key = PublicKey::from_text("ssh-ed25519", BASE).unwrap();
        for text in [
            format!("ssh-ed25519 {BASE}"),
            format!("ssh-ed25519 {BASE} root@guest\n"),
            format!("[10.0.0.2]:2222 ssh-ed25519 {BASE}"),
        ] {
            assert_eq!(Given::parse(&text).unwrap(), Given::Key(key.clone()), "{text}");
        }
        let fingerprint = key.fingerprint();
        for text in [fingerprint.clone(), format!(" {fingerprint}= ")] {
            assert_eq!(
                Given::parse(&text).unwrap(),
                Given::Fingerprint(fingerprint.clone())
            );
        }
        for wrong in ["", "SHA256:short", "MD5:00:11", "ssh-ed25519", "ssh-rsa AAAA"] {
            let error = Given::parse(wrong).unwrap_err();
            assert_eq!(error.kind(), &ErrorKind::Invalid, "{wrong}");
        }
        let with_one = Given::parse(&format!("ssh-rsa {BASE}"));
        assert!(with_one.is_err(), "its data says ssh-ed25519");
    }
}
