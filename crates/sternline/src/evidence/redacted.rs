//! Taking secrets and the host out of a bundle.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use serde_json::{Map, Value};
use sternline_proto::evidence::RecordedOutput;
use sternline_proto::redact::{Redactor, redact_bytes};
use sternline_proto::target::Target;

use super::bundle::{EvidenceBundle, Redaction};
use super::entry::TranscriptEntry;
use super::facts::masked_host;
use super::transcript::Transcript;

impl EvidenceBundle {
    /// The bundle without what [`Redaction`] names; what [`EvidenceBundle::to_dict`] writes. Doing it twice changes nothing.
    ///
    /// The number of bytes that a recorded command wrote changes with its output, so that what was recorded in full does not look
    /// as if something were missing.
    #[must_use]
    pub fn redacted(&self, redaction: Redaction) -> Cow<'_, Self> {
        let hosts = match redaction {
            Redaction::DangerNothing => return Cow::Borrowed(self),
            Redaction::Secrets => Hosts::default(),
            Redaction::SecretsAndHost => Hosts::of(self),
        };
        let mut bundle = self.clone();
        let filter = Filter {
            redactor: Redactor::new(),
            hosts,
        };
        filter.apply(&mut bundle);
        if redaction == Redaction::SecretsAndHost
            && let Some(info) = &mut bundle.host_info
        {
            info.host = info.masked();
            info.redacted = true;
        }
        Cow::Owned(bundle)
    }

    /// Without the values that a connection knows to be secret. Where it knows some, what looks like a secret goes with them.
    pub(crate) fn masked_by(mut self, redactor: &Redactor) -> Self {
        if !redactor.is_empty() {
            let filter = Filter {
                redactor: redactor.clone(),
                hosts: Hosts::default(),
            };
            filter.apply(&mut self);
        }
        self
    }
}

/// What is taken out, wherever it stands.
struct Filter {
    redactor: Redactor,
    hosts: Hosts,
}

impl Filter {
    fn apply(&self, bundle: &mut EvidenceBundle) {
        for event in &mut bundle.events {
            self.dict(&mut event.data);
        }
        self.dict(&mut bundle.error_context);
        self.dict(&mut bundle.configuration);
        if let Some(transcript) = &bundle.transcript {
            let entries = transcript.entries().iter().map(|entry| {
                let mut metadata = entry.metadata.clone();
                self.dict(&mut metadata);
                TranscriptEntry {
                    content: self.text(&entry.content),
                    metadata,
                    ..entry.clone()
                }
            });
            bundle.transcript = Some(Transcript::from_entries(transcript.start_ms(), entries.collect()));
        }
        for command in &mut bundle.commands {
            command.command = self.text(&command.command);
            command.error = command.error.as_deref().map(|error| self.text(error));
            self.output(&mut command.stdout);
            self.output(&mut command.stderr);
        }
        if let Some(version) = &mut bundle.algorithms.server_version {
            *version = self.text(version);
        }
    }

    fn dict(&self, dict: &mut Map<String, Value>) {
        let data = Value::Object(std::mem::take(dict));
        if let Value::Object(mut hidden) = self.redactor.redact_secrets(&data) {
            for value in hidden.values_mut() {
                self.hosts.mask_value(value);
            }
            *dict = hidden;
        }
    }

    fn text(&self, text: &str) -> String {
        self.hosts.mask(&self.redactor.redact_string(text)).into_owned()
    }

    /// Hides what is to be hidden, and counts what has taken its place.
    fn output(&self, output: &mut RecordedOutput) {
        let missing = output.bytes.saturating_sub(output.data.len() as u64);
        output.data = redact_bytes(&output.data, |text| self.text(text));
        output.bytes = output.data.len() as u64 + missing;
    }
}

/// The names and addresses that are masked, the longest first, each with what takes its place.
#[derive(Debug, Default)]
struct Hosts(Vec<(String, String)>);

impl Hosts {
    /// The names of fields that hold hosts or addresses, alone, with a user and a port, or several of them.
    const FIELDS: [&'static str; 17] = [
        "host",
        "address",
        "addresses",
        "resolved_addresses",
        "peer_address",
        "hop",
        "target",
        "proxy_jump",
        "jump_hosts",
        "remote_host",
        "local_host",
        "local_address",
        "bind_address",
        "originator",
        "host_name",
        "destination",
        "source",
    ];

    fn of(bundle: &EvidenceBundle) -> Self {
        let mut names = BTreeSet::new();
        if let Some(info) = bundle.host_info.as_ref().filter(|info| !info.redacted) {
            names.insert(info.host.to_ascii_lowercase());
        }
        let events = bundle.events.iter().map(|event| &event.data);
        for dict in events.chain([&bundle.error_context, &bundle.configuration]) {
            collect(dict, &mut names);
        }
        let mut masks: Vec<(String, String)> = names
            .into_iter()
            .map(|name| (masked_host(&name), name))
            .filter(|(mask, name)| mask != name)
            .map(|(mask, name)| (name, mask))
            .collect();
        // A longer name may hold a shorter one.
        masks.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        Self(masks)
    }

    fn mask_value(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                if let Cow::Owned(masked) = self.mask(text) {
                    *text = masked;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.mask_value(item)),
            Value::Object(fields) => fields.values_mut().for_each(|field| self.mask_value(field)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn mask<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for (name, mask) in &self.0 {
            if let Some(masked) = replaced(&text, name, mask) {
                text = Cow::Owned(masked);
            }
        }
        text
    }
}

/// Adds the hosts that stand in fields which hold hosts, in lower case.
fn collect(dict: &Map<String, Value>, names: &mut BTreeSet<String>) {
    for (field, value) in dict {
        let holds_hosts = Hosts::FIELDS.contains(&field.as_str());
        collect_value(value, holds_hosts, names);
    }
}

fn collect_value(value: &Value, holds_hosts: bool, names: &mut BTreeSet<String>) {
    match value {
        Value::String(text) if holds_hosts => names.extend(text.split(',').filter_map(host_of)),
        Value::Array(items) => {
            for item in items {
                collect_value(item, holds_hosts, names);
            }
        }
        Value::Object(fields) => {
            // A setting is an object with its value and where it comes from.
            if let Some(value) = fields.get("value").filter(|_| holds_hosts) {
                collect_value(value, true, names);
            }
            collect(fields, names);
        }
        _ => {}
    }
}

/// The host in `host`, `user@host:port`, `address:port` or `[address]:port`.
fn host_of(text: &str) -> Option<String> {
    let text = text.trim();
    // An address that failed stands there with the reason: `10.0.0.1:22: Connection refused`.
    let text = text.split_once(": ").map_or(text, |(address, _)| address);
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(address.ip().to_string());
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_string());
    }
    let target: Target = text.parse().ok()?;
    Some(target.host().to_ascii_lowercase())
}

/// The text with a name replaced wherever it stands by itself, in upper or lower case; `None` where it does not.
fn replaced(text: &str, name: &str, mask: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let is_address = name.parse::<IpAddr>().is_ok();
    let mut out = String::new();
    let mut copied = 0;
    let mut from = 0;
    while let Some(found) = lower.get(from..).and_then(|rest| rest.find(name)) {
        let (start, end) = (from + found, from + found + name.len());
        from = end;
        let before = lower.get(..start).and_then(|text| text.chars().next_back());
        let mut behind = lower.get(end..).unwrap_or_default().chars();
        let (next, next_but_one) = (behind.next(), behind.next());
        let goes_on = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || matches!(c, '-' | '_'));
        // The dot behind a name may end a sentence, and what stands before one be a further part of a longer name.
        let is_part = goes_on(before)
            || goes_on(next)
            || (is_address && before == Some('.'))
            || (is_address && matches!(next, Some('.' | ':')) && name.contains(['.', ':']) && {
                let separator = if name.contains(':') { ':' } else { '.' };
                next == Some(separator) && next_but_one.is_some_and(|c| c.is_ascii_hexdigit())
            });
        if is_part {
            // The name may begin again within itself.
            from = start + name.chars().next().map_or(1, char::len_utf8);
            continue;
        }
        out.push_str(text.get(copied..start).unwrap_or_default());
        out.push_str(mask);
        copied = end;
    }
    if copied == 0 {
        return None;
    }
    out.push_str(text.get(copied..).unwrap_or_default());
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::HostInfo;
    use crate::evidence::tests::{any_bundle, sample};
    use proptest::prelude::*;
    use serde_json::json;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn told(bundle: &EvidenceBundle, redaction: Redaction) -> String {
        bundle.to_json(redaction)
    }

    fn bundle_of(host: &str) -> EvidenceBundle {
        let mut bundle = sample();
        bundle.host_info = Some(HostInfo {
            host: host.to_owned(),
            port: 22,
            username: Some("ann".into()),
            redacted: false,
        });
        bundle
    }

    #[test]
    fn the_host_and_its_addresses_are_masked_wherever_they_stand() {
        let mut bundle = bundle_of("db.example.com");
        bundle.events[0].data = object(json!({
            "host": "db.example.com", "addresses": ["10.1.2.3:22", "[fe80::7]:22"],
            "proxy_jump": "ops@gate.example.com:2222,last.example.com",
        }));
        bundle.error_context = object(json!({
            "message": "cannot connect to DB.Example.com (10.1.2.3): see db.example.com. Not 110.1.2.3 or 10.1.2.34",
            "hop": "ops@gate.example.com:2222", "original_error": "fe80::7: no route via www.db.example.com",
        }));
        bundle.configuration = object(json!({ "target": {"value": "db.example.com", "from": "line 3"} }));
        bundle.commands[0].command = "ping last.example.com".into();
        bundle.commands[0].stdout.data = b"on db.example.com:\xff and db.example.com".to_vec();
        let text = told(&bundle, Redaction::SecretsAndHost);
        for gone in ["example.com", "\"10.1.2.3", "(10.1.2.3", "fe80::7", "Example"] {
            assert!(!text.contains(gone), "{gone} in {text}");
        }
        for there in [
            "db.[REDACTED] (10.xxx.xxx.xxx): see db.[REDACTED]. Not 110.1.2.3 or 10.1.2.34",
            "ops@gate.[REDACTED]:2222,last.[REDACTED]",
            "[REDACTED IPv6]: no route via www.db.[REDACTED]",
            "\"redacted\": true",
            "\"username\": \"ann\"",
        ] {
            assert!(text.contains(there), "no {there} in {text}");
        }
        let kept = told(&bundle, Redaction::Secrets);
        assert!(kept.contains("db.example.com") && kept.contains("\"redacted\": false"));
    }

    #[test]
    fn secrets_are_taken_out_of_every_part_unless_nothing_is() {
        let mut bundle = bundle_of("h");
        let secret = "password=hunter2";
        bundle.events[0].data = object(json!({ "nested": [{"command": secret}] }));
        bundle.error_context = object(json!({ "message": secret }));
        bundle.configuration = object(json!({ "proxy_command": {"value": secret} }));
        bundle.commands[0].command = secret.into();
        bundle.commands[0].error = Some(secret.into());
        bundle.commands[0].stdout.data = secret.into();
        bundle.commands[0].stderr.data = [&b"\xff\n"[..], secret.as_bytes(), b"\xffhunter2"].concat();
        bundle.algorithms.server_version = Some(secret.into());
        let entry = TranscriptEntry {
            content: secret.into(),
            metadata: object(json!({ "pattern": secret })),
            ..bundle.transcript.as_ref().unwrap().entries()[0].clone()
        };
        bundle.transcript = Some(Transcript::from_entries(1.0, vec![entry]));
        for redaction in [Redaction::Secrets, Redaction::SecretsAndHost] {
            let redacted = bundle.redacted(redaction);
            let text = format!("{redacted:?}");
            assert!(!text.contains("hunter2"), "{text}");
            for command in &redacted.commands {
                let stderr = String::from_utf8_lossy(&command.stderr.data);
                assert!(!stderr.contains("hunter2"), "{stderr}");
                assert_eq!(command.stderr.data[0], 0xff, "other bytes stay");
            }
        }
        assert_eq!(*bundle.redacted(Redaction::DangerNothing), bundle);
    }

    #[test]
    fn a_value_that_is_known_to_be_secret_is_found_without_any_sign_of_one() {
        let redactor = Redactor::new();
        let mut bundle = bundle_of("h");
        bundle.commands[0].stdout.data = b"it is correct-horse here".to_vec();
        bundle.commands[0].stderr.data = b"\xff correct-horse".to_vec();
        bundle.configuration = object(json!({ "note": {"value": "correct-horse"} }));
        assert_eq!(
            bundle.clone().masked_by(&redactor),
            bundle,
            "nothing is known yet"
        );
        redactor.mark("correct-horse");
        let masked = bundle.masked_by(&redactor);
        assert_eq!(masked.commands[0].stdout.data, b"it is [REDACTED] here");
        assert_eq!(masked.commands[0].stderr.data, b"\xff [REDACTED]");
        assert_eq!(masked.configuration["note"]["value"], "[REDACTED]");
    }

    #[test]
    fn a_name_is_masked_only_where_it_stands_by_itself() {
        for (text, name, masked) in [
            ("a.b", "a.b", Some("M")),
            ("a.b.", "a.b", Some("M.")),
            ("x.a.b:22", "a.b", Some("x.M:22")),
            ("xa.b a.bx a.b-c _a.b", "a.b", None),
            ("ä.a.b", "a.b", Some("ä.M")),
            (
                "1.2.3.4/24 1.2.3.4. 1.2.3.45 1.2.3.4.5",
                "1.2.3.4",
                Some("M/24 M. 1.2.3.45 1.2.3.4.5"),
            ),
            ("[::1]:22 ::1: ::1:2 a::1", "::1", Some("[M]:22 M: ::1:2 a::1")),
            ("", "a.b", None),
        ] {
            assert_eq!(replaced(text, name, "M").as_deref(), masked, "{text}");
        }
    }

    proptest! {
        #[test]
        fn redacting_twice_changes_nothing(bundle in any_bundle()) {
            for redaction in [Redaction::Secrets, Redaction::SecretsAndHost] {
                let once = bundle.redacted(redaction).into_owned();
                prop_assert_eq!(&*once.redacted(redaction), &once);
            }
        }

        #[test]
        fn a_drawn_host_does_not_survive(
            name in "[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,4})?\\.[a-z]{2,8}(\\.[a-z]{2,3})?",
            before in "[ -,:-@\\[-^`{-~]?",
            behind in "[ -,./:-@\\[-^`{-~]?",
        ) {
            let mut bundle = bundle_of(&name);
            bundle.error_context = object(json!({ "message": format!("{before}{name}{behind}") }));
            bundle.commands[0].stderr.data = [&b"\xff "[..], name.as_bytes()].concat();
            let text = format!("{:?}", bundle.redacted(Redaction::SecretsAndHost));
            prop_assert!(!text.contains(&name), "{}", text);
        }
    }
}
