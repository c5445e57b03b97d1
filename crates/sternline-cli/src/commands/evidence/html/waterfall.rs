//! Where the time went: bars under one another, on one scale.

use sternline::evidence::{Moment, MomentKind, Step, StepState};

use super::markup::Html;
use crate::commands::evidence::head::{since, took};

/// The width of all bars, in units of the drawing.
const WIDTH: f64 = 1000.0;

/// How many bars of the session are drawn.
const MOST: usize = 200;

/// One row.
struct Bar<'a> {
    name: String,
    state: &'static str,
    class: &'static str,
    start_ms: f64,
    duration_ms: Option<f64>,
    note: &'a str,
}

/// The phases of connecting, each beginning where the one before it ended.
pub(super) fn phases(html: &mut Html, steps: &[Step]) {
    if steps.is_empty() {
        return;
    }
    let mut bars = Vec::new();
    let mut at = 0.0;
    for step in steps {
        let duration_ms = step.duration_ms.filter(|took| took.is_finite() && *took >= 0.0);
        let (state, class) = match step.state {
            StepState::Passed => ("passed", "good"),
            StepState::Failed => ("failed", "bad"),
            StepState::NotReached => ("not reached", "none"),
            StepState::NotKnown => ("not known", "none"),
        };
        bars.push(Bar {
            name: step.phase.replace('_', " "),
            state,
            class,
            start_ms: at,
            duration_ms,
            note: "",
        });
        at += duration_ms.unwrap_or_default();
    }
    html.element(
        "section",
        &[("id", "phases"), ("aria-labelledby", "h-phases")],
        |html| {
            html.leaf("h2", &[("id", "h-phases")], "Connecting, phase by phase");
            chart(
                html,
                "How long each phase of connecting took",
                "Phase",
                &bars,
                at,
                false,
            );
        },
    );
}

/// Everything on the connection that took time.
pub(super) fn session(html: &mut Html, moments: &[Moment], origin: f64) {
    let lasting: Vec<&Moment> = moments
        .iter()
        .filter(|moment| moment.duration_ms.is_some() && !matches!(moment.kind, MomentKind::Transcript(_)))
        .collect();
    if lasting.is_empty() {
        return;
    }
    let bars: Vec<Bar<'_>> = lasting
        .iter()
        .take(MOST)
        .map(|moment| Bar {
            name: moment.label.to_lowercase().replace('_', " "),
            state: "",
            class: super::events::class(moment.mood),
            start_ms: moment.start_ms() - origin,
            duration_ms: moment.duration_ms,
            note: &moment.text,
        })
        .collect();
    let end = bars
        .iter()
        .map(|bar| bar.start_ms + bar.duration_ms.unwrap_or_default())
        .fold(0.0, f64::max);
    html.element(
        "section",
        &[("id", "session"), ("aria-labelledby", "h-session")],
        |html| {
            html.leaf("h2", &[("id", "h-session")], "The session, step by step");
            chart(
                html,
                "When each login attempt, probe and command began, and how long it took",
                "What",
                &bars,
                end,
                true,
            );
            let more = lasting.len().saturating_sub(MOST);
            if more > 0 {
                html.leaf(
                    "p",
                    &[("class", "note")],
                    &format!("{more} more are in the table of events."),
                );
            }
        },
    );
}

fn chart(html: &mut Html, caption: &str, first: &str, bars: &[Bar<'_>], total_ms: f64, began: bool) {
    let total = if total_ms.is_finite() && total_ms > 0.0 {
        total_ms
    } else {
        1.0
    };
    html.element(
        "div",
        &[
            ("class", "scroll"),
            ("tabindex", "0"),
            ("role", "region"),
            ("aria-label", caption),
        ],
        |html| {
            html.element("table", &[("class", "chart")], |html| {
                html.leaf("caption", &[], caption);
                html.element("thead", &[], |html| {
                    html.element("tr", &[], |html| {
                        html.leaf("th", &[("scope", "col")], first);
                        let second = if began { "Began" } else { "State" };
                        html.leaf("th", &[("scope", "col")], second);
                        html.leaf("th", &[("scope", "col"), ("class", "number")], "Took");
                        html.element("th", &[("scope", "col"), ("class", "scale")], |html| {
                            html.leaf("span", &[("class", "hidden")], "Bar, on a scale of");
                            for part in [0.0, 0.25, 0.5, 0.75, 1.0] {
                                html.leaf("span", &[], &took(total * part));
                            }
                        });
                    });
                });
                html.element("tbody", &[], |html| {
                    for bar in bars {
                        row(html, bar, total, began);
                    }
                });
            });
        },
    );
}

fn row(html: &mut Html, bar: &Bar<'_>, total: f64, began: bool) {
    html.element("tr", &[("class", bar.class)], |html| {
        html.element("th", &[("scope", "row")], |html| {
            html.text(&bar.name);
            if !bar.note.is_empty() {
                html.leaf("span", &[("class", "what"), ("title", bar.note)], bar.note);
            }
        });
        match began {
            true => html.leaf("td", &[("class", "time")], &since(0.0, bar.start_ms)),
            false => html.leaf("td", &[("class", "state")], bar.state),
        }
        let duration = bar.duration_ms.map(took).unwrap_or_default();
        html.leaf("td", &[("class", "number")], &duration);
        html.element("td", &[("class", "bar")], |html| {
            let Some(duration) = bar.duration_ms else {
                return;
            };
            // A bar that is too short to see is drawn as a mark.
            let width = (duration / total * WIDTH).clamp(3.0, WIDTH);
            let x = (bar.start_ms / total * WIDTH).clamp(0.0, WIDTH - width);
            let (x, width) = (format!("{x:.1}"), format!("{width:.1}"));
            html.element(
                "svg",
                &[
                    ("viewBox", "0 0 1000 14"),
                    ("preserveAspectRatio", "none"),
                    ("aria-hidden", "true"),
                    ("focusable", "false"),
                ],
                |html| {
                    html.element(
                        "rect",
                        &[
                            ("x", &x),
                            ("y", "2"),
                            ("width", &width),
                            ("height", "10"),
                            ("rx", "2"),
                        ],
                        |_| {},
                    );
                },
            );
        });
    });
}
