//! What was offered to log in, and what came of it.

use super::compare::{got_to_login, listed, told};
use super::difference::{Area, Found};
use crate::event::EventType;
use crate::evidence::attempt::Attempt;
use crate::evidence::bundle::EvidenceBundle;

pub(super) fn compare(before: &EvidenceBundle, after: &EvidenceBundle, found: &mut Found) {
    // Who did not get as far as the login has offered nothing, which follows from the outcome.
    if !(got_to_login(before) && got_to_login(after)) {
        return;
    }
    let methods = |bundle: &EvidenceBundle| {
        let names = ["methods_offered", "auth_methods_offered"];
        let mut list = listed(bundle, EventType::Connect, &names);
        if list.is_empty() {
            list = listed(bundle, EventType::Auth, &names);
        }
        list.sort();
        Some(list.join(", ")).filter(|text| !text.is_empty())
    };
    if let (Some(one), Some(other)) = (methods(before), methods(after))
        && found.value(
            Area::Login,
            "methods that the server takes",
            Some(one),
            Some(other),
        )
    {
        found.note("The server's rules for this user have changed.");
    }
    let (were, are) = (attempts(before), attempts(after));
    for (what, then) in &were {
        match are.iter().find(|(other, _)| other == what) {
            Some((_, now)) => {
                if found.value(Area::Login, what, Some(then.clone()), Some(now.clone())) && now == REFUSED {
                    found.note(
                        "The server does not take it any more: see authorized_keys and the account there.",
                    );
                }
            }
            None => {
                found.value(Area::Login, what, Some(then.clone()), None);
                found.note(match then.as_str() {
                    ACCEPTED => "This let us in before, and was not offered now.",
                    _ => "It was offered before, and is not now.",
                });
            }
        }
    }
    for (what, now) in are
        .iter()
        .filter(|(what, _)| were.iter().all(|(other, _)| other != what))
    {
        found.value(Area::Login, what, None, Some(now.clone()));
        found.note("It was not offered before.");
    }
    let by = |bundle: &EvidenceBundle| told(bundle, EventType::Connect, &["auth_method"]);
    if let (Some(one), Some(other)) = (by(before), by(after)) {
        found.value(Area::Login, "method that let us in", Some(one), Some(other));
    }
}

const ACCEPTED: &str = "accepted";
const REFUSED: &str = "refused";

/// What was offered, each once, with the last that came of it.
fn attempts(bundle: &EvidenceBundle) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    let events = bundle
        .events
        .iter()
        .filter(|event| event.event_type == EventType::Auth);
    for attempt in events.map(Attempt::of).filter(|attempt| attempt.method != "none") {
        let what = attempt.what();
        let outcome = match (attempt.accepted, attempt.partial) {
            (true, true) => "accepted as one factor".to_owned(),
            (true, false) => ACCEPTED.to_owned(),
            (false, _) if attempt.was_refused() => REFUSED.to_owned(),
            (false, _) => match &attempt.message {
                Some(message) => format!("not offered: {message}"),
                None => "not offered".to_owned(),
            },
        };
        // More than anybody has keys, and little enough to compare.
        let room = all.len() < 200;
        match all.iter_mut().find(|(known, _)| *known == what) {
            Some((_, last)) => *last = outcome,
            None if room => all.push((what, outcome)),
            None => {}
        }
    }
    all
}
