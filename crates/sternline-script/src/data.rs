//! A script's values as data, both ways: what JSON and YAML can say.

use num_bigint::BigInt;
use serde_json::{Map, Number};
use starlark::values::dict::{AllocDict, DictRef};
use starlark::values::float::StarlarkFloat;
use starlark::values::list::ListRef;
use starlark::values::structs::StructRef;
use starlark::values::tuple::TupleRef;
use starlark::values::{Heap, Value, ValueLike as _};

/// What JSON has. Whole numbers may be of any size.
pub(crate) type Data = serde_json::Value;

/// How deep values may lie in one another. What contains itself is deeper.
pub(crate) const MAX_DEPTH: usize = 128;

/// The digits of a whole number that is read. Scripts reckon with longer ones, but they take for ever to be read.
const MAX_DIGITS: usize = 1000;

/// A value as data. Tuples, sets and ranges become lists, structs and results of ours objects. Keys become texts.
///
/// # Errors
/// For functions and other values that are no data, numbers that are not finite, and what contains itself.
pub(crate) fn to_data<'v>(value: Value<'v>, heap: Heap<'v>) -> anyhow::Result<Data> {
    convert(value, heap, 0)
}

fn convert<'v>(value: Value<'v>, heap: Heap<'v>, depth: usize) -> anyhow::Result<Data> {
    if depth > MAX_DEPTH {
        anyhow::bail!(
            "values lie more than {MAX_DEPTH} deep in one another; check whether a list or dict contains itself"
        );
    }
    let each = |values: &mut dyn Iterator<Item = Value<'v>>| -> anyhow::Result<Data> {
        let items: anyhow::Result<Vec<Data>> = values.map(|item| convert(item, heap, depth + 1)).collect();
        Ok(Data::Array(items?))
    };
    if value.is_none() {
        return Ok(Data::Null);
    }
    if let Some(truth) = value.unpack_bool() {
        return Ok(Data::Bool(truth));
    }
    if let Some(text) = value.unpack_str() {
        return Ok(text.into());
    }
    if let Some(number) = value.downcast_ref::<StarlarkFloat>() {
        let number = Number::from_f64(number.0)
            .ok_or_else(|| anyhow::anyhow!("{} is no number that can be written", number.0))?;
        return Ok(Data::Number(number));
    }
    if let Some(list) = ListRef::from_value(value) {
        return each(&mut list.iter());
    }
    if let Some(tuple) = TupleRef::from_value(value) {
        return each(&mut tuple.iter());
    }
    if let Some(dict) = DictRef::from_value(value) {
        let mut fields = Map::new();
        for (key, item) in dict.iter() {
            fields.insert(key_text(key)?, convert(item, heap, depth + 1)?);
        }
        return Ok(Data::Object(fields));
    }
    if let Some(fields) = StructRef::from_value(value) {
        let mut object = Map::new();
        for (name, item) in fields.iter() {
            object.insert(name.as_str().to_owned(), convert(item, heap, depth + 1)?);
        }
        return Ok(Data::Object(object));
    }
    match value.get_type() {
        "int" => {
            let number: Number = value.to_str().parse()?;
            Ok(Data::Number(number))
        }
        "set" | "range" => {
            let items = value.iterate(heap).map_err(starlark::Error::into_anyhow)?;
            each(&mut items.into_iter())
        }
        kind => value
            .to_json_value()
            .map_err(|_| anyhow::anyhow!("a value of the type {kind} cannot be written as data")),
    }
}

/// The text of a key.
fn key_text(key: Value<'_>) -> anyhow::Result<String> {
    if let Some(text) = key.unpack_str() {
        return Ok(text.to_owned());
    }
    if let Some(truth) = key.unpack_bool() {
        return Ok(truth.to_string());
    }
    match key.get_type() {
        "int" | "float" => Ok(key.to_str()),
        "NoneType" => Ok("null".to_owned()),
        kind => {
            anyhow::bail!("a key of the type {kind} cannot be written as data; use texts or numbers as keys")
        }
    }
}

/// Data as a value. Whole numbers stay whole, and fields stay in their order.
///
/// # Errors
/// For numbers that are too large.
pub(crate) fn from_data<'v>(data: &Data, heap: Heap<'v>) -> anyhow::Result<Value<'v>> {
    Ok(match data {
        Data::Null => Value::new_none(),
        Data::Bool(truth) => Value::new_bool(*truth),
        Data::String(text) => heap.alloc(text.as_str()),
        Data::Number(number) => from_number(number, heap)?,
        Data::Array(items) => {
            let items: anyhow::Result<Vec<Value<'v>>> =
                items.iter().map(|item| from_data(item, heap)).collect();
            heap.alloc(items?)
        }
        Data::Object(fields) => from_fields(fields, heap)?,
    })
}

/// Fields as a dict.
///
/// # Errors
/// As [`from_data`].
pub(crate) fn from_fields<'v>(fields: &Map<String, Data>, heap: Heap<'v>) -> anyhow::Result<Value<'v>> {
    let fields: anyhow::Result<Vec<(&str, Value<'v>)>> = fields
        .iter()
        .map(|(name, item)| Ok((name.as_str(), from_data(item, heap)?)))
        .collect();
    Ok(heap.alloc(AllocDict(fields?)))
}

fn from_number<'v>(number: &Number, heap: Heap<'v>) -> anyhow::Result<Value<'v>> {
    if let Some(whole) = number.as_i64() {
        return Ok(heap.alloc(whole));
    }
    if let Some(whole) = number.as_u64() {
        return Ok(heap.alloc(whole));
    }
    let text = number.to_string();
    if text.contains(['.', 'e', 'E']) {
        let float = text.parse::<f64>().ok().filter(|float| float.is_finite());
        return float
            .map(|float| heap.alloc(float))
            .ok_or_else(|| anyhow::anyhow!("the number {text} is too large"));
    }
    if text.len() > MAX_DIGITS {
        anyhow::bail!(
            "a number has {} digits, and more than {MAX_DIGITS} are not read",
            text.len()
        );
    }
    Ok(heap.alloc(text.parse::<BigInt>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(json: &str) -> String {
        Heap::temp(|heap| {
            let data: Data = serde_json::from_str(json).unwrap();
            let value = from_data(&data, heap).unwrap();
            to_data(value, heap).unwrap().to_string()
        })
    }

    #[test]
    fn data_comes_back_as_it_was() {
        for json in [
            "null",
            "true",
            "42",
            "-7",
            "9223372036854775807",
            "18446744073709551615",
            "123456789123456789123456789",
            "1.5",
            "1.0",
            "\"naïve\"",
            "[1,[2,{\"b\":1,\"a\":[]}]]",
            "{\"z\":1,\"a\":{\"y\":null}}",
        ] {
            assert_eq!(there_and_back(json), json);
        }
    }

    #[test]
    fn a_number_that_no_float_holds_is_an_error() {
        Heap::temp(|heap| {
            let data: Data = serde_json::from_str("1e999").unwrap();
            let error = from_data(&data, heap).unwrap_err();
            assert!(error.to_string().contains("too large"), "{error}");
            let data: Data = serde_json::from_str(&"9".repeat(2000)).unwrap();
            assert!(from_data(&data, heap).is_err());
        });
    }

    #[test]
    fn what_contains_itself_is_an_error() {
        Heap::temp(|heap| {
            let list = heap.alloc(vec![1]);
            list.set_at(heap.alloc(0), list).unwrap();
            let error = to_data(list, heap).unwrap_err();
            assert!(error.to_string().contains("contains itself"), "{error}");
        });
    }
}
