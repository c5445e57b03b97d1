//! What a scalar without quotes means: the core schema of YAML 1.2, in which `yes` and `on` are texts.

use serde_json::Number;

use crate::data::Data;

/// What a plain scalar is.
///
/// # Errors
/// For numbers that scripts do not have.
pub(super) fn resolve(text: &str) -> Result<Data, String> {
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Data::Null,
        "true" | "True" | "TRUE" => Data::Bool(true),
        "false" | "False" | "FALSE" => Data::Bool(false),
        _ if is_infinite(text) => return Err(format!("{text} is no finite number; write a text in quotes")),
        _ => match number(text)? {
            Some(number) => Data::Number(number),
            None => text.into(),
        },
    })
}

/// Whether others could take a text without quotes for something else: by the core schema, or by what YAML was before.
pub(super) fn is_ambiguous(text: &str) -> bool {
    let old = [
        "y", "n", "yes", "no", "on", "off", "true", "false", "null", "=", "<<",
    ];
    // Numbers with underscores, and times of day, which were numbers of base 60; and dates.
    let is_numeric = |c: char| c.is_ascii_digit() || "_:.-+ eExXoOabcdefABCDEFtTzZ".contains(c);
    let begins_as_number = text
        .trim_start_matches(['+', '-', '.'])
        .starts_with(|c: char| c.is_ascii_digit());
    old.contains(&text.to_lowercase().as_str())
        || !matches!(resolve(text), Ok(Data::String(_)))
        || (begins_as_number && text.chars().all(is_numeric))
}

fn is_infinite(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN")
}

fn number(text: &str) -> Result<Option<Number>, String> {
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(text, digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(text, digits, 8);
    }
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let end = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (whole, rest) = unsigned.split_at(end(unsigned));
    if !whole.is_empty() && rest.is_empty() {
        let digits = match whole.trim_start_matches('0') {
            "" => return Ok(Some(0.into())),
            digits => digits,
        };
        return Ok(format!("{sign}{digits}").parse().ok());
    }
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(end(rest)),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Ok(None);
    }
    if !rest.is_empty() {
        let Some(exponent) = rest.strip_prefix(['e', 'E']) else {
            return Ok(None);
        };
        let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        if digits.is_empty() || end(digits) != digits.len() {
            return Ok(None);
        }
    }
    let float: f64 = unsigned.parse().map_err(|_| format!("{text} is no number"))?;
    let float = if sign.is_empty() { float } else { -float };
    Number::from_f64(float)
        .map(Some)
        .ok_or_else(|| format!("the number {text} is too large"))
}

fn radix(text: &str, digits: &str, radix: u32) -> Result<Option<Number>, String> {
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Ok(None);
    }
    u64::from_str_radix(digits, radix)
        .map(|number| Some(number.into()))
        .map_err(|_| format!("the number {text} is too large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_mean_what_the_core_schema_says() {
        for (text, json) in [
            ("", "null"),
            ("~", "null"),
            ("Null", "null"),
            ("True", "true"),
            ("FALSE", "false"),
            ("42", "42"),
            ("-7", "-7"),
            ("+7", "7"),
            ("007", "7"),
            ("0", "0"),
            ("-0", "0"),
            ("0x1F", "31"),
            ("0o17", "15"),
            ("1.5", "1.5"),
            ("1.", "1.0"),
            (".5", "0.5"),
            ("-1e3", "-1000.0"),
            ("12345678901234567890123", "12345678901234567890123"),
            ("yes", "\"yes\""),
            ("on", "\"on\""),
            ("0xZZ", "\"0xZZ\""),
            ("1e", "\"1e\""),
            ("1.2.3", "\"1.2.3\""),
            (".", "\".\""),
            ("-", "\"-\""),
            ("1_000", "\"1_000\""),
            ("tRUE", "\"tRUE\""),
        ] {
            assert_eq!(
                resolve(text).map(|data| data.to_string()),
                Ok(json.to_owned()),
                "{text}"
            );
        }
        for text in [".inf", "-.INF", ".nan", "1e999", "0xfffffffffffffffffff"] {
            assert!(resolve(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_older_parsers_take_for_something_else_is_ambiguous() {
        for text in [
            "yes",
            "NO",
            "y",
            "1_000",
            "12:30",
            "2024-01-01",
            "1.5",
            "",
            "~",
            "<<",
            ".inf",
        ] {
            assert!(is_ambiguous(text), "{text}");
        }
        for text in ["web-1", "10ms", "a:b", "v1.2", "1.2.3-rc1", "yes please"] {
            assert!(!is_ambiguous(text), "{text}");
        }
    }
}
