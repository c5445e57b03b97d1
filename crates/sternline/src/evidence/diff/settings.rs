//! The settings that were in force, and the machine that connected.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::difference::{Area, Difference, Found, Weight};
use crate::evidence::bundle::EvidenceBundle;
use crate::evidence::reading::{plain, shown};

/// How many settings are compared.
const MOST: usize = 1000;

/// What is compared as the target already.
const TOLD: [&str; 6] = [
    "target",
    "host",
    "port",
    "username",
    "proxy_jump",
    "proxy_command",
];

/// How the name of the place ends that a setting comes from.
const SOURCE: &str = ".source";

pub(super) fn compare(before: &EvidenceBundle, after: &EvidenceBundle, found: &mut Found) {
    let (mut were, mut are) = (Vec::new(), Vec::new());
    flatten("", &before.configuration, &mut were);
    flatten("", &after.configuration, &mut are);
    // A bundle of a version that did not record settings says nothing about them.
    if !were.is_empty() && !are.is_empty() {
        let names: BTreeSet<&String> = were.iter().chain(&are).map(|(name, _)| name).collect();
        let told = |name: &str| TOLD.contains(&name.strip_suffix(SOURCE).unwrap_or(name));
        for name in names.into_iter().filter(|name| !told(name)) {
            let value = |list: &[(String, String)], name: &str| {
                list.iter()
                    .find(|(known, _)| known == name)
                    .map(|(_, value)| value.clone())
            };
            let (one, other) = (value(&were, name), value(&are, name));
            if one == other {
                continue;
            }
            let (area, weight) = match () {
                () if is_environment(name) => (Area::Environment, Weight::Minor),
                () if name
                    .strip_suffix(SOURCE)
                    .is_some_and(|of| value(&were, of) == value(&are, of)) =>
                {
                    (Area::Configuration, Weight::Minor)
                }
                () if found.matters(phases(name)) => (Area::Configuration, Weight::Likely),
                () => (Area::Configuration, Weight::Notable),
            };
            found.add(Difference {
                weight,
                area,
                name: name.clone(),
                before: one,
                after: other,
                note: None,
            });
        }
    }
    let version = |bundle: &EvidenceBundle| Some(shown(&bundle.version));
    found.weighed(
        Weight::Minor,
        Area::Environment,
        "format of the bundle",
        version(before),
        version(after),
    );
}

/// Every setting with its full name; of those that say where they come from only the value counts, and the place is a
/// setting of its own.
fn flatten(prefix: &str, map: &Map<String, Value>, out: &mut Vec<(String, String)>) {
    for (name, value) in map {
        if out.len() >= MOST {
            return;
        }
        let name = shown(name);
        let name = match prefix {
            "" => name,
            _ if name == "value" => prefix.to_owned(),
            prefix => format!("{prefix}.{name}"),
        };
        match value {
            Value::Object(inner) if prefix.matches('.').count() < 4 => flatten(&name, inner, out),
            Value::Null => {}
            value => out.push((name, plain(value))),
        }
    }
}

fn is_environment(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [
        "sternline",
        "version",
        "os",
        "platform",
        "arch",
        "pid",
        "events_dropped",
    ]
    .iter()
    .any(|part| name.split(['.', '_']).any(|word| word == *part))
}

/// The phases that a setting has a part in, by the words of its name.
fn phases(name: &str) -> &'static [&'static str] {
    let name = name.to_ascii_lowercase();
    let holds = |words: &[&str]| words.iter().any(|word| name.contains(word));
    if holds(&["known_hosts", "host_key"]) {
        &["host_key", "kex"]
    } else if holds(&[
        "identit",
        "auth",
        "key",
        "agent",
        "password",
        "method",
        "user",
        "certificate",
    ]) {
        &["auth"]
    } else if holds(&[
        "jump", "proxy", "address", "host", "port", "bind", "target", "source",
    ]) {
        &["proxy", "resolve", "tcp", "banner", "host_key", "auth"]
    } else if holds(&["keepalive", "alive", "progress"]) {
        &["exec", "channel", "transfer"]
    } else if holds(&["deadline", "timeout", "limit"]) {
        &[
            "proxy", "resolve", "tcp", "banner", "kex", "auth", "channel", "exec",
        ]
    } else {
        &[]
    }
}
