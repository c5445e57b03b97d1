//! Secrets in structured data.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::REDACTED;
use super::base64::is_basic_credential;
use super::line::{Line, Part, Step};
use super::marked::Marked;
use super::name::is_secret;
use super::span::{Span, apply};
use super::text::{settled, spans};

/// A copy of the data without its secrets.
///
/// Under a key that announces a secret, every text and number is replaced, however deep it stands; `null`, booleans,
/// empty texts and the structure stay. So is the value beside a name that announces one, as in
/// `{"name": "DB_PASSWORD", "value": "x"}`, and the word behind `--password` in a list of arguments. Everywhere else
/// texts, keys among them, pass through [`redact_string`](super::redact_string).
#[must_use]
pub fn redact_secrets(data: &Value) -> Value {
    walk(data, false, &Marked::default())
}

/// The text without marked values and without what is recognised by its surroundings.
pub(super) fn redact_text<'a>(text: &'a str, marked: &Marked) -> Cow<'a, str> {
    settled(text, |text| {
        let mut found = marked.spans(text);
        found.extend(spans(text));
        apply(text, found)
    })
}

pub(super) fn walk(data: &Value, is_covered: bool, marked: &Marked) -> Value {
    match data {
        Value::Object(fields) => {
            let named = is_secret_pair(fields);
            let mut out = Map::with_capacity(fields.len());
            for (key, value) in fields {
                let is_value = named && key.eq_ignore_ascii_case("value");
                let is_auth =
                    key.eq_ignore_ascii_case("auth") && value.as_str().is_some_and(is_basic_credential);
                let is_cookie = ["cookie", "set-cookie"]
                    .iter()
                    .any(|name| key.eq_ignore_ascii_case(name));
                let is_cookie = is_cookie && value.as_str().is_some_and(|text| text.contains('='));
                // What was taken out of a key may have been what told that it is no name.
                let is_name = !key.contains("[REDACTED");
                let covers = is_covered || is_value || is_auth || is_cookie || is_name && is_secret(key);
                out.insert(
                    free_key(&out, redact_text(key, marked)),
                    walk(value, covers, marked),
                );
            }
            Value::Object(out)
        }
        Value::Array(items) if !is_covered => match arguments(items) {
            Some(words) => Value::Array(redact_arguments(&words, marked)),
            None => items.iter().map(|item| walk(item, false, marked)).collect(),
        },
        Value::Array(items) => items.iter().map(|item| walk(item, true, marked)).collect(),
        Value::String(text) if text.is_empty() => data.clone(),
        Value::String(_) | Value::Number(_) if is_covered => Value::from(REDACTED),
        Value::String(text) => Value::from(redact_text(text, marked).into_owned()),
        Value::Number(number) if marked.is_value(number.to_string().as_bytes()) => Value::from(REDACTED),
        Value::Number(_) | Value::Bool(_) | Value::Null => data.clone(),
    }
}

/// Two keys that differ in a secret only would become one.
fn free_key(fields: &Map<String, Value>, key: Cow<'_, str>) -> String {
    if !fields.contains_key(&*key) {
        return key.into_owned();
    }
    let numbered = (2..).map(|number| format!("{key} ({number})"));
    numbered
        .into_iter()
        .find(|key| !fields.contains_key(key))
        .unwrap_or_default()
}

/// `{"name": "DB_PASSWORD", "value": ...}`, as containers and templates list their variables.
fn is_secret_pair(fields: &Map<String, Value>) -> bool {
    fields.iter().any(|(key, value)| {
        let names = ["name", "key", "variable", "header", "field"];
        names.iter().any(|name| key.eq_ignore_ascii_case(name)) && value.as_str().is_some_and(is_secret)
    })
}

fn arguments(items: &[Value]) -> Option<Vec<&str>> {
    items.iter().map(Value::as_str).collect()
}

fn redact_arguments(words: &[&str], marked: &Marked) -> Vec<Value> {
    let is_list_of_variables = words.iter().all(|word| word.contains('='));
    let mut line = Line::default();
    let mut awaited: Option<Part> = None;
    let mut out = Vec::with_capacity(words.len());
    for word in words {
        let mut found = marked.spans(word);
        found.extend(spans(word));
        if let Some(part) = awaited.take()
            && !word.starts_with('-')
        {
            found.extend(part.span(word, 0, word.len()));
        } else {
            match line.word(word) {
                Step::Here(at, part) => found.extend(part.span(word, at, word.len())),
                Step::Next(part) => awaited = Some(part),
                Step::Nothing => {}
            }
        }
        if let Some((name, value)) = word.split_once('=')
            && is_list_of_variables
            && !value.is_empty()
            && is_secret(name)
        {
            found.push(Span::new(name.len() + 1, word.len()));
        }
        out.push(Value::from(apply(word, found).into_owned()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn everything_under_a_secret_name_is_replaced_at_any_depth() {
        let data = json!({
            "host": "db",
            "password": "hunter2",
            "token": {"value": "abc", "parts": ["d", 7, null, true]},
            "nested": [{"api_key": "k"}, {"plain": ["password=x", "ok"]}],
            "pin": 1234,
            "passphrase": "",
            "secret": null,
        });
        assert_eq!(
            redact_secrets(&data),
            json!({
                "host": "db",
                "password": "[REDACTED]",
                "token": {"value": "[REDACTED]", "parts": ["[REDACTED]", "[REDACTED]", null, true]},
                "nested": [{"api_key": "[REDACTED]"}, {"plain": ["password=[REDACTED]", "ok"]}],
                "pin": "[REDACTED]",
                "passphrase": "",
                "secret": null,
            })
        );
    }

    #[test]
    fn names_beside_values_and_words_behind_options_announce_secrets_too() {
        let data = json!({
            "env": [{"name": "DB_PASSWORD", "value": "a b"}, {"name": "DB_HOST", "value": "db"}],
            "Env": ["PATH=/bin", "DB_PASSWORD=a b"],
            "argv": ["mysql", "-u", "root", "-phunter2", "--token", "abc", "-h", "db"],
            "auths": {"r.example.com": {"auth": "YWxpY2U6aHVudGVyMg=="}},
            "mysql -phunter2": 1,
        });
        assert_eq!(
            redact_secrets(&data),
            json!({
                "env": [{"name": "DB_PASSWORD", "value": "[REDACTED]"}, {"name": "DB_HOST", "value": "db"}],
                "Env": ["PATH=/bin", "DB_PASSWORD=[REDACTED]"],
                "argv": ["mysql", "-u", "root", "-p[REDACTED]", "--token", "[REDACTED]", "-h", "db"],
                "auths": {"r.example.com": {"auth": "[REDACTED]"}},
                "mysql -p[REDACTED]": 1,
            })
        );
    }

    #[test]
    fn ordinary_data_stays_as_it_is() {
        let data = json!({
            "spinner": "dots", "mapping": {"pinned": true}, "auth_method": "password", "key_path": "/k", "port": 22,
            "methods_tried": ["private_key", "password"], "auth": "none", "argv": ["ssh", "-p", "22", "host"],
            "configuration": {"PasswordAuthentication": "no", "NumberOfPasswordPrompts": 3},
        });
        assert_eq!(redact_secrets(&data), data);
    }
}
