//! Reading a bundle's JSON. It comes from somebody else: nothing in it can be relied on, and no text of it is handed out
//! before it is safe to show.

use serde_json::{Map, Value};
use sternline_proto::text::escape_again;

/// How much of one text is shown, in characters.
const LONGEST: usize = 2000;

/// How many items of a list are looked at.
const MOST: usize = 200;

/// The details of an event, an error or a setting, by name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts<'a>(pub(super) &'a Map<String, Value>);

impl<'a> Facts<'a> {
    /// A text that is there and not empty.
    pub(super) fn text(self, name: &str) -> Option<String> {
        let text = self.0.get(name)?.as_str()?;
        Some(shown(text)).filter(|text| !text.is_empty())
    }

    /// Whether a text is there and is this one.
    pub(super) fn is(self, name: &str, text: &str) -> bool {
        self.0.get(name).and_then(Value::as_str) == Some(text)
    }

    /// The texts of a list; none where there is no list.
    pub(super) fn texts(self, name: &str) -> Vec<String> {
        let items = self.0.get(name).and_then(Value::as_array);
        let texts = items.into_iter().flatten().take(MOST);
        texts.map(plain).filter(|text| !text.is_empty()).collect()
    }

    pub(super) fn number(self, name: &str) -> Option<f64> {
        self.0.get(name)?.as_f64().filter(|number| number.is_finite())
    }

    pub(super) fn count(self, name: &str) -> Option<u64> {
        self.0.get(name)?.as_u64()
    }

    pub(super) fn flag(self, name: &str) -> Option<bool> {
        self.0.get(name)?.as_bool()
    }

    pub(super) fn facts(self, name: &str) -> Option<Facts<'a>> {
        self.0.get(name)?.as_object().map(Facts)
    }

    /// The objects of a list.
    pub(super) fn list(self, name: &str) -> Vec<Facts<'a>> {
        let items = self.0.get(name).and_then(Value::as_array);
        let items = items.into_iter().flatten().take(MOST);
        items.filter_map(Value::as_object).map(Facts).collect()
    }

    /// `host port 22`, or only the host.
    pub(super) fn place(self) -> Option<String> {
        let host = self.text("host")?;
        Some(match self.count("port") {
            Some(port) => format!("{host} port {port}"),
            None => host,
        })
    }
}

/// Any JSON value in one line: texts as they are, lists with commas, objects as names and values. How deep JSON goes was
/// bounded when it was read.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => shown(text),
        Value::Array(items) if items.iter().all(|item| !item.is_object() && !item.is_array()) => {
            let texts: Vec<String> = items.iter().take(MOST).map(plain).collect();
            shown(&texts.join(", "))
        }
        Value::Array(items) => {
            let texts: Vec<String> = items.iter().take(MOST).map(plain).collect();
            shown(&texts.join("; "))
        }
        Value::Object(fields) => {
            let texts = fields.iter().take(MOST);
            let texts: Vec<String> = texts
                .map(|(name, value)| format!("{name} {}", plain(value)))
                .collect();
            shown(&texts.join(" "))
        }
        other => other.to_string(),
    }
}

/// Foreign text as it may be shown: escaped, and cut where it is too long to read.
pub(super) fn shown(text: &str) -> String {
    let text = text.trim_end();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", escape_again(text.get(..end).unwrap_or_default())),
        None => escape_again(text),
    }
}

/// A duration as people compare it: `0.4 ms`, `12 ms`, `1.5 s`, `3 min 5 s`.
pub(super) fn millis(millis: f64) -> String {
    if millis < 10.0 {
        format!("{millis:.1} ms")
    } else if millis < 1000.0 {
        format!("{millis:.0} ms")
    } else if millis < 100_000.0 {
        let seconds = format!("{:.1}", millis / 1000.0);
        format!("{} s", seconds.strip_suffix(".0").unwrap_or(&seconds))
    } else {
        let seconds = (millis / 1000.0).round();
        format!("{:.0} min {:.0} s", (seconds / 60.0).floor(), seconds % 60.0)
    }
}

/// `1 attempt`, `2 attempts`.
pub(super) fn counted(number: usize, one: &str, many: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        number => format!("{number} {many}"),
    }
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn listed(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// A fragment as a sentence: a capital first, a full stop last.
pub(super) fn sentence(fragment: &str) -> String {
    let fragment = fragment.trim();
    let mut chars = fragment.chars();
    let Some(first) = chars.next() else {
        return String::new();
    };
    let rest = chars.as_str();
    // A command or a name in front stays as it is.
    let first = match rest.chars().next() {
        Some(second) if second.is_ascii_lowercase() || second == ' ' => first.to_uppercase().to_string(),
        _ => first.to_string(),
    };
    let stop = if fragment.ends_with(['.', '!', '?']) {
        ""
    } else {
        "."
    };
    format!("{first}{rest}{stop}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn what_is_missing_or_mistyped_is_nothing() {
        let map = map(json!({"a": 1, "b": "", "c": ["x", 2, null], "d": {"e": true}, "f": [{"g": "h"}, 3]}));
        let facts = Facts(&map);
        assert_eq!(facts.text("a"), None);
        assert_eq!(facts.text("b"), None);
        assert_eq!(facts.texts("c"), ["x", "2"]);
        assert!(facts.texts("a").is_empty());
        assert_eq!(facts.facts("d").and_then(|d| d.flag("e")), Some(true));
        assert_eq!(facts.list("f").len(), 1);
        assert_eq!(facts.count("a"), Some(1));
    }

    #[test]
    fn foreign_text_is_escaped_and_cut() {
        assert_eq!(shown("a\x1b[2J\u{202e}"), "a\\x1b[2J\\u{202e}");
        assert_eq!(shown(&"ä".repeat(5000)).chars().count(), LONGEST + 3);
    }

    #[test]
    fn durations_and_counts_read_well() {
        for (number, text) in [
            (0.44, "0.4 ms"),
            (12.3, "12 ms"),
            (1500.0, "1.5 s"),
            (30_000.0, "30 s"),
            (185_000.0, "3 min 5 s"),
        ] {
            assert_eq!(millis(number), text);
        }
        assert_eq!(counted(1, "key", "keys"), "1 key");
        assert_eq!(listed(&["a".into(), "b".into(), "c".into()]), "a, b and c");
    }

    #[test]
    fn a_fragment_becomes_a_sentence() {
        assert_eq!(sentence("check the port"), "Check the port.");
        assert_eq!(sentence("a key is missing"), "A key is missing.");
        assert_eq!(sentence("`ssh-add` helps!"), "`ssh-add` helps!");
        assert_eq!(sentence("sK_X is odd"), "sK_X is odd.");
        assert_eq!(sentence(""), "");
    }
}
