//! The events, one a row.

use serde_json::Value;
use sternline::EvidenceBundle;
use sternline::evidence::{Moment, MomentKind, Mood};

use super::markup::Html;
use super::overview::coded;
use crate::commands::evidence::head::{since, took};

/// The class of a mood.
pub(super) fn class(mood: Mood) -> &'static str {
    match mood {
        Mood::Plain => "plain",
        Mood::Good => "good",
        Mood::Warning => "warning",
        Mood::Bad => "bad",
    }
}

pub(super) fn section(html: &mut Html, bundle: &EvidenceBundle, moments: &[Moment], origin: f64) {
    html.element(
        "section",
        &[("id", "events"), ("aria-labelledby", "h-events")],
        |html| {
            html.leaf("h2", &[("id", "h-events")], "Events");
            if bundle.events.is_empty() {
                html.leaf("p", &[("class", "note")], "The bundle holds none.");
                return;
            }
            html.element(
                "div",
                &[
                    ("class", "scroll"),
                    ("tabindex", "0"),
                    ("role", "region"),
                    ("aria-label", "Events"),
                ],
                |html| {
                    html.element("table", &[("class", "rows")], |html| {
                        html.leaf(
                            "caption",
                            &[],
                            "What happened, in order; times count from the beginning",
                        );
                        html.element("thead", &[], |html| {
                            html.element("tr", &[], |html| {
                                for name in ["Time", "Took", "Kind", "What"] {
                                    html.leaf("th", &[("scope", "col")], name);
                                }
                            });
                        });
                        html.element("tbody", &[], |html| {
                            for moment in moments {
                                if let MomentKind::Event(index) = moment.kind {
                                    row(html, bundle, moment, index, origin);
                                }
                            }
                        });
                    });
                },
            );
        },
    );
}

fn row(html: &mut Html, bundle: &EvidenceBundle, moment: &Moment, index: usize, origin: f64) {
    html.element("tr", &[("class", class(moment.mood)), ("data-row", "")], |html| {
        html.leaf("td", &[("class", "time")], &since(origin, moment.at_ms));
        html.leaf(
            "td",
            &[("class", "number")],
            &moment.duration_ms.map(took).unwrap_or_default(),
        );
        html.element("td", &[], |html| {
            html.leaf(
                "span",
                &[("class", "kind")],
                &moment.label.to_lowercase().replace('_', " "),
            );
        });
        html.element("td", &[("class", "text")], |html| {
            coded(html, &moment.text);
            let data = bundle.events.get(index).map(|event| &event.data);
            if let Some(data) = data.filter(|data| !data.is_empty()) {
                html.element("details", &[], |html| {
                    html.leaf("summary", &[], "data");
                    let text = format!("{:#}", Value::Object(data.clone()));
                    html.element("pre", &[], |html| html.lines(&text));
                });
            }
        });
    });
}
