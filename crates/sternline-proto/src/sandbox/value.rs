//! JSON and TOML as the same plain values, with every key that stands in the text.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use toml::de::{DeTable, DeValue};

use super::error::ProfileError;

/// A value, whatever it was written in.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    /// A number that is no integer, or too large: nothing here takes one.
    Number,
    Text(String),
    List(Vec<Value>),
    /// In the order of the text. A key that occurs twice is here twice.
    Table(Vec<(String, Value)>),
}

/// Nothing in a profile is deeper than a table in a list in a table.
const MAX_DEPTH: usize = 16;

pub(super) fn from_json(text: &str) -> Result<Value, ProfileError> {
    // Editors on Windows put it there.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    serde_json::from_str(text).map_err(|error| ProfileError::Syntax {
        format: "JSON",
        line: error.line(),
        reason: plain_reason(&error.to_string()),
    })
}

/// Without the place, which the message has already.
fn plain_reason(text: &str) -> String {
    text.rsplit_once(" at line ")
        .map_or(text, |(reason, _)| reason)
        .to_owned()
}

pub(super) fn from_toml(text: &str) -> Result<Value, ProfileError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let table = DeTable::parse(text).map_err(|error| {
        let before = text
            .get(..error.span().map_or(0, |span| span.start))
            .unwrap_or_default();
        ProfileError::Syntax {
            format: "TOML",
            line: before.matches('\n').count() + 1,
            reason: error.message().to_owned(),
        }
    })?;
    from_table(table.get_ref(), 0)
}

fn from_table(table: &DeTable<'_>, depth: usize) -> Result<Value, ProfileError> {
    let mut fields: Vec<_> = table.iter().collect();
    fields.sort_by_key(|(name, _)| name.span().start);
    let fields = fields.into_iter().map(|(name, value)| {
        let name = name.get_ref().to_string();
        Ok((name, from_toml_value(value.get_ref(), depth + 1)?))
    });
    Ok(Value::Table(fields.collect::<Result<_, ProfileError>>()?))
}

fn from_toml_value(value: &DeValue<'_>, depth: usize) -> Result<Value, ProfileError> {
    if depth > MAX_DEPTH {
        return Err(ProfileError::field("the profile", "is nested too deeply"));
    }
    Ok(match value {
        DeValue::Boolean(truth) => Value::Bool(*truth),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).map_or(Value::Number, Value::Integer)
        }
        DeValue::Float(_) => Value::Number,
        DeValue::Datetime(time) => Value::Text(time.to_string()),
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Array(list) => {
            let items = list.iter().map(|item| from_toml_value(item.get_ref(), depth + 1));
            Value::List(items.collect::<Result<_, _>>()?)
        }
        DeValue::Table(table) => from_table(table, depth)?,
    })
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Integer(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(i64::try_from(number).map_or(Value::Number, Value::Integer))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Number)
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut table = Vec::new();
        while let Some(field) = fields.next_entry()? {
            table.push(field);
        }
        Ok(Value::Table(table))
    }
}
