//! From two bundles to their differences.

use std::net::SocketAddr;

use super::difference::{Area, Difference, Found, Weight};
use super::{login, settings, work};
use crate::event::EventType;
use crate::evidence::bundle::EvidenceBundle;
use crate::evidence::explain::{Explanation, Outcome, explain};
use crate::evidence::reading::{Facts, shown};

/// What is different between two bundles, what matters most for a different outcome first.
///
/// That the two were made at different times is no difference, nor are durations, unless one is at least twice the other
/// and 50 ms more. What only one of the two can know, because the other did not get that far, is none either.
#[must_use]
pub fn diff(before: &EvidenceBundle, after: &EvidenceBundle) -> Vec<Difference> {
    let (was, is) = (explain(before), explain(after));
    let same_end = kind(&was) == kind(&is);
    let failed_in = match (same_end, is.outcome, was.outcome) {
        (true, ..) => None,
        (false, Outcome::Failed, _) => is.phase.clone(),
        (false, Outcome::CommandFailed, _) | (false, _, Outcome::CommandFailed) => Some("exec".to_owned()),
        (false, _, _) => was.phase.clone(),
    };
    let mut found = Found {
        list: Vec::new(),
        failed_in,
    };
    if !same_end {
        let text = |explanation: &Explanation| Some(explanation.cause.clone());
        found.weighed(Weight::Decisive, Area::Outcome, "outcome", text(&was), text(&is));
        if let Some(phase) = &is.phase {
            found.note(format!(
                "It now fails in {}. {}",
                phase.replace('_', " "),
                is.how_far
            ));
        } else if let Some(phase) = &was.phase {
            found.note(format!("It failed in {} before.", phase.replace('_', " ")));
        }
    }
    target(before, after, &mut found);
    addresses(before, after, &mut found);
    server(before, after, &mut found);
    algorithms(before, after, &mut found);
    login::compare(before, after, &mut found);
    work::commands(before, after, &mut found);
    settings::compare(before, after, &mut found);
    work::timings(before, after, &mut found);
    let mut list = found.list;
    list.sort_by_key(|difference| (difference.weight, difference.area));
    list
}

/// By what two outcomes are told apart.
fn kind(explanation: &Explanation) -> (Outcome, Option<&str>, Option<&str>) {
    (
        explanation.outcome,
        explanation.error_type.as_deref(),
        explanation.phase.as_deref(),
    )
}

/// The first text of this name in the events of a type, the last event first.
pub(super) fn told(bundle: &EvidenceBundle, event_type: EventType, names: &[&str]) -> Option<String> {
    let mut events = bundle
        .events
        .iter()
        .rev()
        .filter(|event| event.event_type == event_type);
    events.find_map(|event| names.iter().find_map(|name| Facts(&event.data).text(name)))
}

/// A list of this name, from the events of a type or from the error.
pub(super) fn listed(bundle: &EvidenceBundle, event_type: EventType, names: &[&str]) -> Vec<String> {
    let events = bundle
        .events
        .iter()
        .rev()
        .filter(|event| event.event_type == event_type);
    let all = events.map(|event| &event.data).chain([&bundle.error_context]);
    let mut lists = all.flat_map(|data| names.iter().map(|name| Facts(data).texts(name)));
    lists.find(|list| !list.is_empty()).unwrap_or_default()
}

fn target(before: &EvidenceBundle, after: &EvidenceBundle, found: &mut Found) {
    let masked = [before, after]
        .iter()
        .any(|bundle| bundle.host_info.as_ref().is_some_and(|info| info.redacted));
    let host = |bundle: &EvidenceBundle| {
        let info = bundle.host_info.as_ref()?;
        Some(shown(&if masked { info.masked() } else { info.host.clone() }))
    };
    let port = |bundle: &EvidenceBundle| bundle.host_info.as_ref().map(|info| info.port.to_string());
    let user = |bundle: &EvidenceBundle| bundle.host_info.as_ref()?.username.as_deref().map(shown);
    found.value(Area::Target, "host", host(before), host(after));
    found.value(Area::Target, "port", port(before), port(after));
    found.value(Area::Target, "user", user(before), user(after));
    for name in ["proxy_jump", "proxy_command"] {
        let way = |bundle: &EvidenceBundle| {
            told(bundle, EventType::Connect, &[name]).or_else(|| Facts(&bundle.error_context).text(name))
        };
        if found.value(Area::Target, &name.replace('_', " "), way(before), way(after)) {
            found.note("The way to the host is another one.");
        }
    }
}

fn addresses(before: &EvidenceBundle, after: &EvidenceBundle, found: &mut Found) {
    let names = ["resolved_addresses", "resolved", "addresses"];
    let list = |bundle: &EvidenceBundle| {
        // A failed dial names each address with its reason: `10.0.0.1:22: refused`. The port is the target's.
        let mut list: Vec<String> = listed(bundle, EventType::Connect, &names)
            .into_iter()
            .map(|text| {
                let address = text.split(": ").next().unwrap_or_default();
                let socket: Option<SocketAddr> = address.parse().ok();
                socket.map_or_else(|| address.to_owned(), |socket| socket.ip().to_string())
            })
            .collect();
        list.sort();
        Some(list.join(", ")).filter(|text| !text.is_empty())
    };
    if let (Some(one), Some(other)) = (list(before), list(after))
        && found.value(Area::Addresses, "addresses", Some(one), Some(other))
    {
        found.note("The name leads somewhere else: a change in DNS, in /etc/hosts, or of the network.");
    }
    let peer = |bundle: &EvidenceBundle| {
        told(bundle, EventType::Connect, &["peer", "peer_address", "address"])
            .or_else(|| Facts(&bundle.error_context).text("peer"))
    };
    if let (Some(one), Some(other)) = (peer(before), peer(after)) {
        found.value(Area::Addresses, "address taken", Some(one), Some(other));
    }
}

fn server(before: &EvidenceBundle, after: &EvidenceBundle, found: &mut Found) {
    let fingerprint = |bundle: &EvidenceBundle| {
        let algorithms = bundle.algorithms.host_key_fingerprint.as_deref().map(shown);
        let context = Facts(&bundle.error_context);
        let offered = context.text("offered_fingerprint");
        offered
            .or(algorithms)
            .or_else(|| context.text("host_key_fingerprint"))
    };
    if let (Some(one), Some(other)) = (fingerprint(before), fingerprint(after))
        && found.weighed(Weight::Likely, Area::Server, "host key", Some(one), Some(other))
    {
        found.note("The server shows another key: it is another machine, was set up anew, or somebody answers in its place.");
    }
    for (name, field) in [
        ("type of host key", |bundle: &EvidenceBundle| {
            bundle.algorithms.host_key.clone()
        }),
        ("server version", |bundle: &EvidenceBundle| {
            let context = Facts(&bundle.error_context).text("server_identification");
            bundle.algorithms.server_version.clone().or(context)
        }),
    ] as [(&str, fn(&EvidenceBundle) -> Option<String>); 2]
    {
        if let (Some(one), Some(other)) = (field(before), field(after)) {
            found.value(Area::Server, name, Some(shown(&one)), Some(shown(&other)));
        }
    }
    let banner = |bundle: &EvidenceBundle| {
        let names = ["auth_banner", "banner"];
        told(bundle, EventType::Connect, &names)
            .or_else(|| told(bundle, EventType::Auth, &names))
            .or_else(|| Facts(&bundle.error_context).text("auth_banner"))
    };
    let (one, other) = (banner(before), banner(after));
    if one.is_some() || other.is_some() {
        let both_got_there = got_to_login(before) && got_to_login(after);
        if both_got_there {
            found.value(Area::Server, "banner", one, other);
        }
    }
}

/// Whether it got as far as the login, be it with nothing to offer.
pub(super) fn got_to_login(bundle: &EvidenceBundle) -> bool {
    let context = Facts(&bundle.error_context);
    (context.is("phase", "auth") && context.text("hop").is_none())
        || bundle.events.iter().any(|event| {
            event.event_type == EventType::Auth
                || event.event_type == EventType::Connect && Facts(&event.data).is("status", "connected")
        })
}

fn algorithms(before: &EvidenceBundle, after: &EvidenceBundle, found: &mut Found) {
    let names = [
        ("kex", "key exchange"),
        ("cipher_cs", "cipher to the server"),
        ("cipher_sc", "cipher from the server"),
        ("mac_cs", "MAC to the server"),
        ("mac_sc", "MAC from the server"),
        ("compression_cs", "compression to the server"),
        ("compression_sc", "compression from the server"),
    ];
    let value = |bundle: &EvidenceBundle, name: &str| {
        let fields = bundle.algorithms.fields();
        let (_, value) = fields.iter().find(|(field, _)| *field == name)?;
        value.as_deref().map(shown)
    };
    for (name, words) in names {
        // What was not negotiated is not known, which is no difference of its own.
        if let (Some(one), Some(other)) = (value(before, name), value(after, name)) {
            found.value(Area::Algorithms, words, Some(one), Some(other));
        }
    }
    // Where one of the two found nothing in common, what the other agreed on has gone from the server's list, or ours.
    let lacked = |bundle: &EvidenceBundle| {
        let context = Facts(&bundle.error_context);
        let theirs = context.texts("algorithms_theirs");
        let name = match context.text("algorithm_kind")?.as_str() {
            "key exchange" => "kex",
            "cipher" => "cipher_cs",
            "MAC" => "mac_cs",
            "compression" => "compression_cs",
            "host key" => "host_key",
            _ => return None,
        };
        (!theirs.is_empty()).then(|| (name, format!("the server offers only {}", theirs.join(", "))))
    };
    for (lacking, other, lacks_now) in [(after, before, true), (before, after, false)] {
        let Some((name, offer)) = lacked(lacking) else {
            continue;
        };
        let agreed = match name {
            "host_key" => other.algorithms.host_key.as_deref().map(shown),
            name => value(other, name),
        };
        if agreed.is_none() {
            continue;
        }
        let words = Facts(&lacking.error_context)
            .text("algorithm_kind")
            .unwrap_or_default();
        let (one, two) = if lacks_now {
            (agreed, Some(offer))
        } else {
            (Some(offer), agreed)
        };
        found.value(Area::Algorithms, &words, one, two);
        if lacks_now {
            found.note("What the two sides agreed on before is not among what the server offers now, or not among ours.");
        }
    }
    for (name, words) in [
        ("algorithms_theirs", "algorithms that the server offers"),
        ("server_offers", "algorithms that the server offers"),
    ] {
        let list = |bundle: &EvidenceBundle| {
            let list = Facts(&bundle.error_context).texts(name);
            Some(list.join(", ")).filter(|text| !text.is_empty())
        };
        if let (Some(one), Some(other)) = (list(before), list(after)) {
            found.value(Area::Algorithms, words, Some(one), Some(other));
        }
    }
}
