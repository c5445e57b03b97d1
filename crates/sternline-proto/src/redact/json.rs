//! Secrets in structured data.

use serde_json::{Map, Value};

use super::name::is_secret;
use super::{REDACTED, redact_string};

/// A copy of the data without its secrets.
///
/// Under a key that announces a secret, every text and number is replaced, however deep it stands; `null`, booleans,
/// empty texts and the structure stay. Everywhere else texts pass through [`redact_string`].
#[must_use]
pub fn redact_secrets(data: &Value) -> Value {
    walk(data, false)
}

fn walk(data: &Value, is_covered: bool) -> Value {
    match data {
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(key, value)| (key.clone(), walk(value, is_covered || is_secret(key))));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        Value::Array(items) => items.iter().map(|item| walk(item, is_covered)).collect(),
        Value::String(text) if text.is_empty() => data.clone(),
        Value::String(_) | Value::Number(_) if is_covered => Value::from(REDACTED),
        Value::String(text) => Value::from(redact_string(text).into_owned()),
        Value::Number(_) | Value::Bool(_) | Value::Null => data.clone(),
    }
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
    fn ordinary_data_stays_as_it_is() {
        let data = json!({
            "spinner": "dots", "mapping": {"pinned": true}, "auth_method": "password", "key_path": "/k", "port": 22,
            "methods_tried": ["private_key", "password"],
        });
        assert_eq!(redact_secrets(&data), data);
    }
}
