//! Whatever a bundle holds: what is said of it is safe to show, and says it.

use proptest::prelude::*;
use serde_json::Value;

use super::bundle::EvidenceBundle;
use super::tests::any_bundle;
use super::{describe, diff, differences_to_dict, explain, timeline};

/// Every text in a JSON value.
fn texts<'a>(value: &'a Value, out: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => out.push(text),
        Value::Array(items) => items.iter().for_each(|item| texts(item, out)),
        Value::Object(fields) => fields.values().for_each(|value| texts(value, out)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn is_safe(text: &str) -> bool {
    !text.contains(|c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c))
}

fn said(bundle: &EvidenceBundle) -> Vec<String> {
    let explanation = explain(bundle).to_dict();
    let mut all = Vec::new();
    texts(&explanation, &mut all);
    let mut all: Vec<String> = all.into_iter().map(str::to_owned).collect();
    all.extend(bundle.events.iter().map(describe));
    all.extend(timeline(bundle).into_iter().map(|moment| moment.text));
    all
}

proptest! {
    #[test]
    fn whatever_a_bundle_holds_what_is_said_of_it_is_safe_to_show(one in any_bundle(), other in any_bundle()) {
        for text in said(&one) {
            prop_assert!(is_safe(&text), "{text:?}");
        }
        prop_assert!(!explain(&one).cause.is_empty());
        prop_assert_eq!(timeline(&one).len() >= one.events.len(), true);
        let differences = differences_to_dict(&diff(&one, &other));
        let mut all = Vec::new();
        texts(&differences, &mut all);
        for text in all {
            prop_assert!(is_safe(text), "{text:?}");
        }
    }

    #[test]
    fn no_bundle_differs_from_itself(bundle in any_bundle()) {
        prop_assert!(diff(&bundle, &bundle).is_empty());
    }
}
