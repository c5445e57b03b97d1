//! Events in plain words.

use super::attempt::Attempt;
use super::reading::{Facts, counted, millis, sentence};
use crate::event::{Event, EventType};

/// What an event tells, as a sentence that is safe to show. Times are left to whoever shows it.
#[must_use]
pub fn describe(event: &Event) -> String {
    let facts = Facts(&event.data);
    match event.event_type {
        EventType::Connect => connect(facts),
        EventType::Auth => {
            let attempt = Attempt::of(event);
            match attempt.offered.is_empty() || attempt.accepted && !attempt.partial {
                true => attempt.in_words(),
                false => format!("{} It offers {}.", attempt.in_words(), attempt.offered.join(", ")),
            }
        }
        EventType::Exec => exec(facts),
        EventType::Shell => shell(facts),
        EventType::Disconnect => {
            let reason = facts
                .text("reason")
                .unwrap_or_else(|| "no reason given".to_owned());
            match reason.as_str() {
                "normal" => "Disconnected, as intended.".to_owned(),
                "keepalive_timeout" => "Disconnected: the server answered no probe.".to_owned(),
                "progress_timeout" => "Disconnected: a command made no progress.".to_owned(),
                "network_error" => "Disconnected: the connection was lost.".to_owned(),
                other => format!("Disconnected: {}.", other.replace('_', " ")),
            }
        }
        EventType::Error => error(facts),
        EventType::KeepaliveSent => match facts.count("probe") {
            Some(probe) => format!("Sent keepalive probe {probe}."),
            None => "Sent a keepalive probe.".to_owned(),
        },
        EventType::KeepaliveReceived => match facts.number("round_trip_ms") {
            Some(took) => format!("The probe was answered after {}.", millis(took)),
            None => "The probe was answered.".to_owned(),
        },
        EventType::KeepaliveTimeout => match facts.count("unanswered") {
            Some(count) => format!(
                "Gave the connection up: {} stayed unanswered.",
                counted(usize::try_from(count).unwrap_or(usize::MAX), "probe", "probes")
            ),
            None => "Gave the connection up: the probes stayed unanswered.".to_owned(),
        },
        EventType::ProgressWarning => match facts.text("message") {
            Some(message) => sentence(&message),
            None => "Nothing has moved for a while.".to_owned(),
        },
        EventType::StateChange => state_change(facts),
        EventType::Forward => forward(facts),
        EventType::Transfer => transfer(facts),
    }
}

fn connect(facts: Facts<'_>) -> String {
    let place = facts.place().unwrap_or_else(|| "the host".to_owned());
    let user = facts
        .text("username")
        .map(|user| format!(" as {user}"))
        .unwrap_or_default();
    let way = facts
        .text("proxy_jump")
        .map(|jump| format!(", through {jump}"))
        .or_else(|| {
            facts
                .text("proxy_command")
                .map(|command| format!(", over `{command}`"))
        })
        .unwrap_or_default();
    match facts.text("status").as_deref() {
        Some("initiating") => format!("Connecting to {place}{user}{way}."),
        Some("connected") => {
            let method = facts
                .text("auth_method")
                .map(|method| format!(" (login by {})", method.replace('_', " ")))
                .unwrap_or_default();
            format!("Connected to {place}{user}{method}.")
        }
        Some("resolved") => {
            let addresses = ["addresses", "resolved"].map(|name| facts.texts(name)).concat();
            format!("The name leads to {}.", addresses.join(", "))
        }
        Some("host_key_seen") => {
            let key = [
                facts.text("host_key_algorithm"),
                facts.text("host_key_fingerprint"),
            ];
            let key: Vec<String> = key.into_iter().flatten().collect();
            format!("{place} showed its key {}.", key.join(" "))
        }
        Some(other) => {
            let details = rest(
                facts,
                &[
                    "status",
                    "host",
                    "port",
                    "username",
                    "proxy_jump",
                    "proxy_command",
                ],
            );
            let details = if details.is_empty() {
                details
            } else {
                format!(": {details}")
            };
            sentence(&format!("{} {place}{details}", other.replace('_', " ")))
        }
        None => format!("Connection to {place}{user}{way}."),
    }
}

fn exec(facts: Facts<'_>) -> String {
    let command = facts.text("command").unwrap_or_else(|| "a command".to_owned());
    let how = if let Some(error) = facts.text("error") {
        format!("failed: {error}")
    } else if let Some(signal) = facts.text("signal") {
        format!("was ended by the signal {signal}")
    } else if facts.flag("cancelled") == Some(true) {
        "was cancelled".to_owned()
    } else if let Some(code) = facts.count("exit_code") {
        format!("ended with status {code}")
    } else {
        "ended".to_owned()
    };
    format!("`{command}` {how}.{}", output(facts))
}

fn output(facts: Facts<'_>) -> String {
    let bytes = |names: [&str; 2]| names.into_iter().find_map(|name| facts.count(name));
    let out = bytes(["stdout_len", "bytes_stdout"]).unwrap_or_default();
    let errors = bytes(["stderr_len", "bytes_stderr"]).unwrap_or_default();
    match (out, errors) {
        (0, 0) => String::new(),
        (out, 0) => format!(" {out} bytes of output."),
        (0, errors) => format!(" {errors} bytes of errors."),
        (out, errors) => format!(" {out} bytes of output, {errors} of errors."),
    }
}

fn shell(facts: Facts<'_>) -> String {
    match facts.text("status").as_deref() {
        Some("starting") => match (facts.text("term"), facts.count("width"), facts.count("height")) {
            (Some(term), Some(width), Some(height)) => {
                format!("Started a shell in a terminal ({term}, {width} by {height}).")
            }
            _ => "Started a shell.".to_owned(),
        },
        _ => match (facts.text("error"), facts.count("exit_code")) {
            (Some(error), _) => format!("The shell failed: {error}."),
            (None, Some(code)) => format!("The shell ended with status {code}.{}", output(facts)),
            (None, None) => format!("The shell ended.{}", output(facts)),
        },
    }
}

fn error(facts: Facts<'_>) -> String {
    let phase = facts
        .text("phase")
        .map(|phase| format!(" in {}", phase.replace('_', " ")))
        .unwrap_or_default();
    match (facts.text("message"), facts.text("error_type")) {
        (Some(message), _) => format!("Failed{phase}: {message}."),
        (None, Some(kind)) => format!("Failed{phase}: {kind}."),
        (None, None) => format!("Failed{phase}."),
    }
}

fn state_change(facts: Facts<'_>) -> String {
    let state = |name: &str| facts.text(name).unwrap_or_else(|| "an unknown state".to_owned());
    let mut text = format!("From {} to {}", state("from_state"), state("to_state"));
    let why = facts.text("message").or_else(|| facts.text("error"));
    if let Some(attempt) = facts.count("attempt") {
        text.push_str(&format!(" after failed attempt {attempt}"));
    }
    if let Some(reason) = facts.text("reason") {
        text.push_str(&format!(" ({})", reason.replace('_', " ")));
    }
    if let Some(why) = why {
        text.push_str(&format!(": {why}"));
    }
    match facts.number("delay_ms") {
        Some(delay) if delay > 0.0 => format!("{text}; the next attempt follows in {}.", millis(delay)),
        _ => text + ".",
    }
}

fn forward(facts: Facts<'_>) -> String {
    let kind = facts.text("forward_type").unwrap_or_default();
    let end = |host: &str, port: &str, path: &str| {
        facts.text(path).or_else(|| {
            let host = facts.text(host).unwrap_or_default();
            facts.count(port).map(|port| format!("{host}:{port}"))
        })
    };
    let local = end("local_host", "local_port", "local_path");
    let remote = end("remote_host", "remote_port", "remote_path");
    let ends: Vec<String> = [local, remote].into_iter().flatten().collect();
    let mut text = format!(
        "Forward ({kind} {}) {}",
        ends.join(" - "),
        facts.text("status").unwrap_or_default().replace('_', " ")
    );
    if let Some(port) = facts.count("actual_port") {
        text.push_str(&format!(", on port {port}"));
    }
    if let Some(error) = facts.text("error") {
        text.push_str(&format!(": {error}"));
    }
    text + "."
}

fn transfer(facts: Facts<'_>) -> String {
    let names = match (facts.text("src"), facts.text("dst")) {
        (Some(src), Some(dst)) => format!("{src} to {dst}"),
        (src, dst) => src.or(dst).unwrap_or_default(),
    };
    let error = facts.text("error").or_else(|| {
        let error = facts.facts("error")?;
        error.text("message")
    });
    let how = match error {
        Some(error) => format!(": {error}"),
        None => String::new(),
    };
    let outcome = ["outcome", "status", "event"]
        .into_iter()
        .find_map(|name| facts.text(name));
    let outcome = outcome.unwrap_or_default().replace('_', " ");
    sentence(&format!("transfer {outcome} {names}{how}"))
}

/// The details that no sentence of ours has, as `name: value`.
fn rest(facts: Facts<'_>, told: &[&str]) -> String {
    let rest = facts.0.iter().filter(|(name, _)| !told.contains(&name.as_str()));
    let words = rest.map(|(name, value)| {
        let name = super::reading::shown(name).replace('_', " ");
        format!("{name} {}", super::reading::plain(value))
    });
    words.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_event_is_told_in_a_sentence() {
        for (kind, data, words) in [
            (
                EventType::Connect,
                json!({"status": "initiating", "host": "web-1", "port": 22, "username": "ann", "proxy_jump": "ops@b:22"}),
                "Connecting to web-1 port 22 as ann, through ops@b:22.",
            ),
            (
                EventType::Connect,
                json!({"status": "connected", "auth_method": "private_key", "host": "web-1", "port": 22}),
                "Connected to web-1 port 22 (login by private key).",
            ),
            (
                EventType::Connect,
                json!({"status": "tcp_open", "host": "web-1", "peer": "10.0.0.1:22"}),
                "Tcp open web-1: peer 10.0.0.1:22.",
            ),
            (
                EventType::Auth,
                json!({"status": "failed", "method": "private_key", "key_path": "/k", "fingerprint": "SHA256:x",
                       "error_type": "AuthFailed", "error_message": "key /k refused (old)", "methods_offered": ["publickey"]}),
                "The server refused the key /k (SHA256:x) (old). It offers publickey.",
            ),
            (
                EventType::Exec,
                json!({"command": "uptime", "exit_code": 0, "stdout_len": 12, "stderr_len": 0}),
                "`uptime` ended with status 0. 12 bytes of output.",
            ),
            (
                EventType::Exec,
                json!({"command": "a", "exit_code": null, "error": "the connection was lost"}),
                "`a` failed: the connection was lost.",
            ),
            (
                EventType::Shell,
                json!({"status": "completed", "exit_code": 3}),
                "The shell ended with status 3.",
            ),
            (
                EventType::Disconnect,
                json!({"reason": "network_error"}),
                "Disconnected: the connection was lost.",
            ),
            (
                EventType::Error,
                json!({"phase": "host_key", "message": "the key changed"}),
                "Failed in host key: the key changed.",
            ),
            (
                EventType::KeepaliveTimeout,
                json!({"unanswered": 3}),
                "Gave the connection up: 3 probes stayed unanswered.",
            ),
            (
                EventType::StateChange,
                json!({"from_state": "connected", "to_state": "reconnecting", "reason": "network_error",
                       "error": "lost", "delay_ms": 1500.0}),
                "From connected to reconnecting (network error): lost; the next attempt follows in 1.5 s.",
            ),
            (
                EventType::Forward,
                json!({"status": "established", "forward_type": "local", "local_host": "localhost", "local_port": 0,
                       "remote_host": "db", "remote_port": 5432, "actual_port": 40001}),
                "Forward (local localhost:0 - db:5432) established, on port 40001.",
            ),
            (
                EventType::Transfer,
                json!({"event": "started", "src": "a", "dst": "b"}),
                "Transfer started a to b.",
            ),
        ] {
            let event = Event {
                event_type: kind,
                timestamp: 1.0,
                data: data.as_object().unwrap().clone(),
            };
            assert_eq!(describe(&event), words);
        }
    }

    #[test]
    fn an_empty_event_of_each_type_is_told_too_and_no_control_character_gets_through() {
        for name in [
            "CONNECT",
            "AUTH",
            "EXEC",
            "SHELL",
            "DISCONNECT",
            "ERROR",
            "KEEPALIVE_SENT",
            "KEEPALIVE_RECEIVED",
            "KEEPALIVE_TIMEOUT",
            "PROGRESS_WARNING",
            "STATE_CHANGE",
            "FORWARD",
            "TRANSFER",
        ] {
            let kind = EventType::from_name(name).unwrap();
            for data in [
                json!({}),
                json!({"status": "\u{1b}[2J\u{202e}", "host": "\r\n", "command": "\u{7}", "message": "\u{9b}", "reason": "\n",
                       "method": "\u{1b}", "error": "\u{1b}c", "from_state": "\u{1b}", "src": "\u{1b}", "x\u{1b}": 1}),
            ] {
                let event = Event {
                    event_type: kind,
                    timestamp: 1.0,
                    data: data.as_object().unwrap().clone(),
                };
                let words = describe(&event);
                assert!(words.ends_with('.'), "{name}: {words}");
                assert!(
                    !words.contains(|c: char| c.is_control() || c == '\u{202e}'),
                    "{name}: {words:?}"
                );
            }
        }
    }
}
