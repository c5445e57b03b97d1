//! The page as a whole.

use data_encoding::BASE64;
use sha2::{Digest, Sha256};
use sternline::EvidenceBundle;
use sternline::evidence::{Outcome, explain, timeline, utc};

use super::markup::Html;
use super::{events, overview, session, waterfall};
use crate::commands::evidence::head::{origin, verdict};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// The page. Nothing of the bundle gets into it but as encoded text; the browser may run nothing but our script, apply
/// nothing but our style, and load nothing at all.
pub(super) fn page(bundle: &EvidenceBundle) -> String {
    let explanation = explain(bundle);
    let moments = timeline(bundle);
    let origin = origin(bundle, moments.first().map(|moment| moment.start_ms()));
    let host = bundle.host_info.as_ref().map_or_else(
        || "unknown host".to_owned(),
        |info| format!("{} port {}", info.host, info.port),
    );
    let verdict = verdict(&explanation);
    let mood = match explanation.outcome {
        Outcome::Succeeded | Outcome::Recovered => "good",
        Outcome::Failed => "bad",
        _ => "warning",
    };

    let mut html = Html::default();
    html.constant("<!DOCTYPE html>\n");
    html.element("html", &[("lang", "en")], |html| {
        html.element("head", &[], |html| {
            html.empty("meta", &[("charset", "utf-8")]);
            html.empty("meta", &[("http-equiv", "Content-Security-Policy"), ("content", &policy())]);
            html.empty("meta", &[("name", "viewport"), ("content", "width=device-width, initial-scale=1")]);
            html.empty("meta", &[("name", "referrer"), ("content", "no-referrer")]);
            html.leaf("title", &[], &format!("{host}: {verdict}"));
            html.element("style", &[], |html| html.constant(STYLE));
        });
        html.element("body", &[], |html| {
            html.leaf("a", &[("class", "skip"), ("href", "#main")], "Skip to the content");
            html.element("header", &[], |html| {
                html.element("div", &[("class", "wrap")], |html| {
                    html.leaf("p", &[("class", "kicker")], "Evidence of an SSH session");
                    html.element("h1", &[], |html| {
                        html.leaf("span", &[("class", "host")], &host);
                        html.text(" ");
                        html.leaf("span", &[("class", &format!("badge {mood}"))], &verdict);
                    });
                    html.element("p", &[("class", "cause")], |html| overview::coded(html, &explanation.cause));
                    overview::meta(html, bundle);
                });
            });
            search(html);
            html.element("main", &[("id", "main"), ("class", "wrap")], |html| {
                overview::explanation(html, &explanation, origin);
                waterfall::phases(html, &explanation.steps);
                waterfall::session(html, &moments, origin);
                overview::facts(html, bundle);
                events::section(html, bundle, &moments, origin);
                session::transcript(html, bundle, origin);
                session::commands(html, bundle, origin);
            });
            html.element("footer", &[], |html| {
                html.element("div", &[("class", "wrap")], |html| {
                    let made = utc(bundle.created_ms).unwrap_or_else(|| "an unknown time".to_owned());
                    html.leaf("p", &[], &format!(
                        "Made by sternline {} from a bundle of {made} (format {}). This page is complete: it loads nothing and sends nothing.",
                        env!("CARGO_PKG_VERSION"),
                        bundle.version,
                    ));
                });
            });
            html.element("script", &[], |html| html.constant(SCRIPT));
        });
    });
    html.constant("\n");
    html.finish()
}

/// What the browser may do (Content Security Policy, level 3): our style and our script, named by their hashes.
fn policy() -> String {
    let hash = |text: &str| BASE64.encode(&Sha256::digest(text.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
}

/// The search. Without a script it would do nothing, so the script shows it.
fn search(html: &mut Html) {
    html.element(
        "div",
        &[
            ("id", "search"),
            ("class", "search"),
            ("role", "search"),
            ("hidden", ""),
        ],
        |html| {
            html.element("div", &[("class", "wrap")], |html| {
                html.leaf("label", &[("for", "q")], "Search events, transcript and commands");
                html.empty(
                    "input",
                    &[
                        ("id", "q"),
                        ("type", "search"),
                        ("autocomplete", "off"),
                        ("spellcheck", "false"),
                        ("placeholder", "words, all of which have to be there"),
                        ("aria-describedby", "hits"),
                    ],
                );
                html.element("label", &[("class", "check")], |html| {
                    html.empty("input", &[("id", "trouble"), ("type", "checkbox")]);
                    html.text("Only trouble");
                });
                html.leaf(
                    "output",
                    &[("id", "hits"), ("for", "q trouble"), ("aria-live", "polite")],
                    "",
                );
            });
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_style_and_script_end_where_they_should_and_load_nothing() {
        for text in [STYLE, SCRIPT] {
            let lower = text.to_ascii_lowercase();
            for part in [
                "</", "<!--", "http:", "https:", "@import", "url(", "import(", "fetch(", "eval(",
            ] {
                assert!(!lower.contains(part), "{part}");
            }
            assert!(text.is_ascii());
        }
        for way in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "setAttribute",
        ] {
            assert!(!SCRIPT.contains(way), "the script only hides and shows: {way}");
        }
    }

    #[test]
    fn the_policy_allows_nothing_but_our_style_and_script() {
        let policy = policy();
        assert!(
            policy.starts_with("default-src 'none'; style-src 'sha256-"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
    }
}
