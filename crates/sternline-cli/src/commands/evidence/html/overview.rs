//! What the page says first: what it is about, what went wrong, and the facts of the connection.

use serde_json::{Map, Value};
use sternline::EvidenceBundle;
use sternline::evidence::{Explanation, Outcome, utc};

use super::markup::Html;
use crate::commands::evidence::head::{since, took};

/// A list of names and values.
pub(super) fn pairs(html: &mut Html, class: &'static str, pairs: &[(&str, String)]) {
    html.element("dl", &[("class", class)], |html| {
        for (name, value) in pairs {
            html.element("div", &[], |html| {
                html.leaf("dt", &[], name);
                html.leaf("dd", &[], value);
            });
        }
    });
}

/// In one line: when, as whom, to which server.
pub(super) fn meta(html: &mut Html, bundle: &EvidenceBundle) {
    let mut list: Vec<(&str, String)> = Vec::new();
    let start = bundle.timing.connect_start_ms.unwrap_or(bundle.created_ms);
    list.extend(utc(start).map(|moment| ("when", moment)));
    let info = bundle.host_info.as_ref();
    list.extend(info.and_then(|info| Some(("user", info.username.clone()?))));
    list.extend(
        bundle
            .algorithms
            .server_version
            .clone()
            .map(|version| ("server", version)),
    );
    list.extend(
        bundle
            .timing
            .connect_duration_ms()
            .map(|millis| ("connecting", took(millis))),
    );
    list.extend(
        bundle
            .timing
            .total_duration_ms()
            .map(|millis| ("in all", took(millis))),
    );
    list.push(("events", bundle.events.len().to_string()));
    if info.is_some_and(|info| info.redacted) {
        list.push(("redaction", "secrets, host and addresses".to_owned()));
    }
    pairs(html, "meta", &list);
}

/// What went wrong, what supports that, and what to do.
pub(super) fn explanation(html: &mut Html, explanation: &Explanation, origin: f64) {
    html.element(
        "section",
        &[("id", "explanation"), ("aria-labelledby", "h-explanation")],
        |html| {
            let title = match explanation.outcome {
                Outcome::Failed | Outcome::CommandFailed => "What went wrong",
                _ => "What happened",
            };
            html.leaf("h2", &[("id", "h-explanation")], title);
            html.element("p", &[("class", "lead")], |html| {
                coded(html, &explanation.how_far)
            });
            html.element("div", &[("class", "columns")], |html| {
                if !explanation.facts.is_empty() {
                    html.element("div", &[], |html| {
                        html.leaf("h3", &[], "What supports this");
                        html.element("ul", &[("class", "facts")], |html| {
                            for fact in &explanation.facts {
                                html.element("li", &[], |html| {
                                    let at = fact.at_ms.map(|at| since(origin, at)).unwrap_or_default();
                                    html.leaf("span", &[("class", "time")], &at);
                                    html.element("span", &[], |html| coded(html, &fact.text));
                                });
                            }
                        });
                    });
                }
                if !explanation.next_steps.is_empty() {
                    html.element("div", &[], |html| {
                        html.leaf("h3", &[], "What to do");
                        html.element("ol", &[("class", "steps")], |html| {
                            for step in &explanation.next_steps {
                                html.element("li", &[], |html| coded(html, step));
                            }
                        });
                    });
                }
            });
            if !explanation.not_known.is_empty() {
                html.element("div", &[("class", "unknown")], |html| {
                    html.leaf("h3", &[], "What is not known");
                    html.element("ul", &[], |html| {
                        for text in &explanation.not_known {
                            html.element("li", &[], |html| coded(html, text));
                        }
                    });
                });
            }
        },
    );
}

/// A sentence in which what stands in backticks is code.
pub(super) fn coded(html: &mut Html, text: &str) {
    let parts: Vec<&str> = text.split('`').collect();
    // An odd number of backticks is no markup of ours.
    if parts.len().is_multiple_of(2) {
        html.text(text);
        return;
    }
    for (index, part) in parts.iter().enumerate() {
        match index % 2 {
            1 => html.leaf("code", &[], part),
            _ => html.text(part),
        }
    }
}

/// The server, the algorithms, the settings.
pub(super) fn facts(html: &mut Html, bundle: &EvidenceBundle) {
    html.element(
        "section",
        &[("id", "facts"), ("aria-labelledby", "h-facts")],
        |html| {
            html.leaf("h2", &[("id", "h-facts")], "The connection");
            html.element("div", &[("class", "tables")], |html| {
                let negotiated = bundle.algorithms.fields();
                let known = negotiated
                    .iter()
                    .filter_map(|(name, value)| Some((words(name), Option::clone(value)?)));
                table(html, "Server and algorithms", known.collect());
                let mut outcome: Vec<(String, String)> = Vec::new();
                outcome.push((
                    "disconnect reason".to_owned(),
                    bundle.disconnect_reason.as_str().replace('_', " "),
                ));
                flatten("", &bundle.error_context, &mut outcome);
                table(html, "How it ended", outcome);
                let mut settings = Vec::new();
                flatten("", &bundle.configuration, &mut settings);
                table(html, "Settings in force", settings);
            });
        },
    );
}

/// The name of a field as people read it.
fn words(name: &str) -> String {
    match name {
        "kex" => "key exchange".to_owned(),
        name => match name.strip_suffix("_cs") {
            Some(name) => format!("{name}, to the server"),
            None => match name.strip_suffix("_sc") {
                Some(name) => format!("{name}, from the server"),
                None => name.replace('_', " "),
            },
        },
    }
}

fn table(html: &mut Html, caption: &str, rows: Vec<(String, String)>) {
    if rows.is_empty() {
        return;
    }
    html.element("table", &[("class", "pairs")], |html| {
        html.leaf("caption", &[], caption);
        html.element("tbody", &[], |html| {
            for (name, value) in &rows {
                html.element("tr", &[], |html| {
                    html.leaf("th", &[("scope", "row")], name);
                    html.leaf("td", &[], value);
                });
            }
        });
    });
}

/// Every value with its full name. A setting is its value; where it says where it comes from, in brackets behind it.
fn flatten(prefix: &str, map: &Map<String, Value>, out: &mut Vec<(String, String)>) {
    for (name, value) in map {
        let name = match prefix {
            "" => name.replace('_', " "),
            prefix => format!("{prefix}, {}", name.replace('_', " ")),
        };
        match value {
            Value::Null => {}
            Value::Object(inner) => match (inner.get("value"), inner.get("source").and_then(Value::as_str)) {
                (Some(value), Some(source)) if inner.len() == 2 => {
                    out.push((name, format!("{} ({source})", plain(value))));
                }
                (Some(Value::Object(parts)), None) if inner.len() == 1 => flatten(&name, parts, out),
                (Some(Value::Null), None) if inner.len() == 1 => {}
                (Some(value), None) if inner.len() == 1 => out.push((name, plain(value))),
                _ if prefix.matches(", ").count() < 4 => flatten(&name, inner, out),
                _ => out.push((name, value.to_string())),
            },
            value => out.push((name, plain(value))),
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_setting_is_shown_by_its_own_name() {
        let settings = json!({
            "target": {"value": "ann@web"},
            "address": {"value": "10.0.0.1", "source": "config:2"},
            "deadlines": {"value": {"tcp_ms": 15000.0}},
            "agent_socket": {"value": null},
            "note": {"value": 1, "more": 2},
            "plain": ["a", "b"],
        });
        let mut shown = Vec::new();
        flatten("", settings.as_object().unwrap(), &mut shown);
        shown.sort();
        let pairs: Vec<String> = shown
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        assert_eq!(
            pairs,
            [
                "address: 10.0.0.1 (config:2)",
                "deadlines, tcp ms: 15000.0",
                "note, more: 2",
                "note, value: 1",
                "plain: a, b",
                "target: ann@web",
            ]
        );
    }
}
