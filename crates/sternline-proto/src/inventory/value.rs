//! Variables and their values.

use std::collections::BTreeMap;

use serde_json::Map;

use super::error::Problem;
use crate::ssh_config::Sourced;

/// A value: what JSON has. A vaulted one is `{"__ansible_vault": "..."}`, as `ansible-inventory` shows it.
pub type Value = serde_json::Value;

/// Variables by their names.
pub type Vars = BTreeMap<String, Sourced<Value>>;

/// What stands in the place of a password, which is not kept.
pub(super) const REDACTED_PASSWORD: &str = crate::redact::REDACTED;

const VAULT: &str = "__ansible_vault";

/// What stands in the place of an encrypted value.
pub(super) fn vaulted(text: &str) -> Value {
    let mut fields = Map::new();
    fields.insert(VAULT.to_owned(), text.into());
    Value::Object(fields)
}

/// A value that is a single word or number, as text. `name` is the variable's, for errors.
pub(super) fn scalar(name: &str, value: &Value, expected: &'static str) -> Result<String, Problem> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Object(fields) if fields.contains_key(VAULT) => {
            return Err(Problem::Vault {
                name: name.to_owned(),
            });
        }
        Value::Null | Value::Object(_) | Value::Array(_) => {
            return Err(Problem::Value {
                name: name.to_owned(),
                text: value.to_string(),
                expected,
            });
        }
    };
    if is_template(&text) {
        return Err(Problem::Template {
            name: name.to_owned(),
            text,
        });
    }
    if text.starts_with("$ANSIBLE_VAULT;") {
        return Err(Problem::Vault {
            name: name.to_owned(),
        });
    }
    Ok(text)
}

/// Whether Ansible would evaluate the text before it uses it.
pub(super) fn is_template(text: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|mark| text.contains(mark))
}

/// Whether the variable says a password to log in with.
pub(super) fn is_login_password(name: &str) -> bool {
    matches!(
        name,
        "ansible_password" | "ansible_ssh_pass" | "ansible_ssh_password"
    )
}

/// Whether the variable says a password of a login or of sudo. Such a value is forgotten as soon as it is read.
pub(super) fn is_password(name: &str) -> bool {
    is_login_password(name)
        || matches!(
            name,
            "ansible_become_password"
                | "ansible_become_pass"
                | "ansible_sudo_pass"
                | "ansible_su_pass"
                | "ansible_private_key"
                | "ansible_ssh_private_key"
                | "ansible_private_key_passphrase"
                | "ansible_ssh_private_key_passphrase"
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_single_words_that_need_no_evaluation_are_used() {
        let text = |value: Value| scalar("x", &value, "write a name");
        assert_eq!(text(json!("a")), Ok("a".to_owned()));
        assert_eq!(text(json!(22)), Ok("22".to_owned()));
        assert_eq!(text(json!(true)), Ok("yes".to_owned()));
        for (value, words) in [
            (json!("{{ a }}"), "is a template ({{ a }})"),
            (json!("{% if a %}"), "is a template"),
            (vaulted("x"), "encrypted by ansible-vault"),
            (
                json!("$ANSIBLE_VAULT;1.1;AES256\n6162"),
                "encrypted by ansible-vault",
            ),
            (json!(null), "null is no value for x: write a name"),
            (json!(["a"]), "[\"a\"] is no value"),
        ] {
            let problem = text(value).unwrap_err().to_string();
            assert!(problem.contains(words), "{problem}");
        }
    }
}
