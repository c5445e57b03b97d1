//! The server's key is not trusted.

use super::case::Case;
use super::connect::quoted;
use super::explanation::Finding;
use crate::evidence::reading::{Facts, sentence};

/// Why, and what is to be done before anybody trusts it.
pub(super) fn host_key(case: Case<'_>) -> Finding {
    let facts = case.facts();
    let host = case.place();
    let offered = facts
        .text("offered_fingerprint")
        .or_else(|| facts.text("host_key_fingerprint"));
    let with = offered
        .as_deref()
        .map(|key| format!(", {key},"))
        .unwrap_or_default();
    let expected = expected(facts);
    let reason = facts.text("host_key_reason");
    let cause = match reason.as_deref() {
        Some("unknown") => format!(
            "{host} is not known: no line of known_hosts names it, so its key{with} could not be compared with anything, and was not trusted."
        ),
        Some("changed") => format!(
            "The key of {host} is not the one it is known by: either the server got a new key, or somebody else answers in its place."
        ),
        Some("revoked") => {
            format!("The key of {host}{with} is marked as revoked: whoever has it may be anybody.")
        }
        Some("revoked_authority") => {
            format!("The certificate of {host} is signed by an authority that is marked as revoked.")
        }
        Some("certificate") => match case.message() {
            message if message.is_empty() => format!("The certificate of {host} does not vouch for it."),
            message => sentence(&format!(
                "The certificate of {host} does not vouch for it: {message}"
            )),
        },
        _ => match case.message() {
            message if message.is_empty() => {
                format!("The key of {host} was not trusted; the bundle does not say why.")
            }
            message => sentence(&format!("The key of {host} was not trusted: {message}")),
        },
    };
    let mut finding = Finding::new(cause);
    if let Some(offered) = &offered {
        let kind = facts
            .text("offered_algorithm")
            .map(|kind| format!("{kind} "))
            .unwrap_or_default();
        finding.fact(
            case.failure.at_ms,
            format!("The server offered the key {kind}{offered}."),
        );
    }
    for known in &expected {
        finding.fact(None, format!("It is known by {known}."));
    }
    if let Some(place) = facts.facts("revoked_in").and_then(place) {
        finding.fact(None, format!("It is marked as revoked in {place}."));
    }
    // Where the keys are there one by one, the message only says them again.
    if expected.is_empty() {
        finding.fact(case.failure.at_ms, quoted(case));
    }
    finding.fact(
        None,
        "No credential was sent: the connection was ended before the login.",
    );
    match reason.as_deref() {
        Some("changed") => {
            finding.next("Do not go round this: ask the host's administrator, by another channel, whether the key was changed, and for its fingerprint.");
            finding.next("Check that the name leads to the right machine: an address that was given to another machine looks just like this.");
        }
        Some("revoked" | "revoked_authority") => {
            finding
                .next("Do not connect. Tell the host's administrator, who has to give the host a new key.");
        }
        Some("unknown") => {
            finding.next("Compare the fingerprint with one from a source that you trust: on the host, `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` shows it.");
        }
        _ => {}
    }
    finding.next(case.hint());
    if offered.is_none() {
        finding.missing("The bundle does not give the fingerprint of the key that was offered.");
    }
    if reason.as_deref() == Some("changed") && expected.is_empty() && !case.message().contains("SHA256:") {
        finding.missing("The bundle does not say which key was expected.");
    }
    finding
}

/// The keys that the host is known by, each with its place.
fn expected(facts: Facts<'_>) -> Vec<String> {
    let names = ["expected_keys", "known_keys", "expected"];
    for name in names {
        let keys: Vec<String> = facts
            .list(name)
            .into_iter()
            .filter_map(|key| {
                let fingerprint = key.text("fingerprint")?;
                let kind = key.text("algorithm").or_else(|| key.text("key_type"));
                let place = key.text("location").or_else(|| place(key));
                let kind = kind.map(|kind| format!("{kind} ")).unwrap_or_default();
                let place = place.map(|place| format!(" in {place}")).unwrap_or_default();
                Some(format!("{kind}{fingerprint}{place}"))
            })
            .collect();
        if !keys.is_empty() {
            return keys;
        }
    }
    let fingerprints = facts.texts("expected_fingerprints");
    match (fingerprints.is_empty(), facts.text("expected_fingerprint")) {
        (true, Some(one)) => vec![one],
        _ => fingerprints,
    }
}

/// `FILE:LINE`.
fn place(facts: Facts<'_>) -> Option<String> {
    let file = facts.text("file")?;
    Some(match facts.count("line") {
        Some(line) => format!("{file}:{line}"),
        None => file,
    })
}
