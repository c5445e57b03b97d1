//! The dialogue, and the commands with what they wrote.

use sternline::EvidenceBundle;
use sternline::evidence::{InteractionType, RecordedCommand, RecordedOutput, Transcript};

use super::markup::Html;
use super::overview::pairs;
use crate::commands::evidence::head::{since, took};

/// How much of one output stands on the page, in bytes.
const MOST: usize = 256 * 1024;

pub(super) fn transcript(html: &mut Html, bundle: &EvidenceBundle, origin: f64) {
    let Some(transcript) = &bundle.transcript else {
        return;
    };
    html.element(
        "section",
        &[("id", "transcript"), ("aria-labelledby", "h-transcript")],
        |html| {
            html.leaf("h2", &[("id", "h-transcript")], "Transcript");
            let scroll = [
                ("class", "scroll"),
                ("tabindex", "0"),
                ("role", "region"),
                ("aria-label", "Transcript"),
            ];
            html.element("div", &scroll, |html| entries(html, transcript, origin));
        },
    );
}

fn entries(html: &mut Html, transcript: &Transcript, origin: f64) {
    html.element("table", &[("class", "rows")], |html| {
        html.leaf(
            "caption",
            &[],
            "The automated dialogue: what was waited for, sent and written",
        );
        html.element("thead", &[], |html| {
            html.element("tr", &[], |html| {
                for name in ["Time", "Took", "Step", "Text"] {
                    html.leaf("th", &[("scope", "col")], name);
                }
            });
        });
        html.element("tbody", &[], |html| {
            for entry in transcript.entries() {
                let (class, name) = match entry.interaction_type {
                    InteractionType::Expect => ("good", "expect"),
                    InteractionType::Send => ("plain send", "send"),
                    InteractionType::Output => ("plain", "output"),
                    InteractionType::Timeout => ("bad", "timeout"),
                };
                html.element("tr", &[("class", class), ("data-row", "")], |html| {
                    html.leaf("td", &[("class", "time")], &since(origin, entry.timestamp_ms));
                    let duration = if entry.duration_ms > 0.0 {
                        took(entry.duration_ms)
                    } else {
                        String::new()
                    };
                    html.leaf("td", &[("class", "number")], &duration);
                    html.element("td", &[], |html| html.leaf("span", &[("class", "kind")], name));
                    html.element("td", &[("class", "said")], |html| html.lines(&entry.content));
                });
            }
        });
    });
}

pub(super) fn commands(html: &mut Html, bundle: &EvidenceBundle, origin: f64) {
    if bundle.commands.is_empty() {
        return;
    }
    html.element(
        "section",
        &[("id", "commands"), ("aria-labelledby", "h-commands")],
        |html| {
            html.leaf("h2", &[("id", "h-commands")], "Recorded commands");
            for recorded in &bundle.commands {
                command(html, recorded, origin);
            }
        },
    );
}

fn command(html: &mut Html, command: &RecordedCommand, origin: f64) {
    let (how, class) = match (&command.error, &command.signal, command.exit_code) {
        (Some(error), ..) => (error.clone(), "bad"),
        (None, Some(signal), _) => (format!("signal {signal}"), "bad"),
        (None, None, Some(0)) => ("status 0".to_owned(), "good"),
        (None, None, Some(code)) => (format!("status {code}"), "warning"),
        (None, None, None) => ("no status".to_owned(), "plain"),
    };
    html.element(
        "article",
        &[("class", &format!("command {class}")), ("data-row", "")],
        |html| {
            html.element("h3", &[], |html| {
                match command.command.as_str() {
                    "" => html.text("The shell"),
                    command => html.leaf("code", &[], command),
                }
                html.text(" ");
                html.leaf("span", &[("class", &format!("badge {class}"))], &how);
            });
            let mut list = vec![
                ("began", since(origin, command.started_ms)),
                ("took", took(command.duration_ms)),
            ];
            if command.stdin.bytes > 0 {
                let hash = command.stdin.sha256.as_deref().unwrap_or("not known");
                list.push(("read", format!("{} bytes, SHA-256 {hash}", command.stdin.bytes)));
            }
            pairs(html, "meta", &list);
            output(html, "Standard output", &command.stdout);
            output(html, "Standard error", &command.stderr);
        },
    );
}

fn output(html: &mut Html, name: &str, output: &RecordedOutput) {
    if output.bytes == 0 {
        return;
    }
    html.element("details", &[("open", "")], |html| {
        let kept = output.data.len().min(MOST);
        let size = match output.bytes == kept as u64 {
            true => format!("{name}, {} bytes", output.bytes),
            false => format!("{name}, the first {kept} of {} bytes", output.bytes),
        };
        html.leaf("summary", &[], &size);
        let text = String::from_utf8_lossy(output.data.get(..kept).unwrap_or_default());
        html.element("pre", &[("tabindex", "0")], |html| html.lines(&text));
    });
}
