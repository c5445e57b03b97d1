//! What a plain scalar is. Ansible reads YAML 1.1, where `yes` is true, `010` is eight and `1:30` is ninety.

use super::super::value::Value;

/// The value of a scalar without quotes and tag.
pub(super) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return true.into(),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => return false.into(),
        _ => {}
    }
    integer(text)
        .map(Value::from)
        .or_else(|| {
            float(text)
                .and_then(serde_json::Number::from_f64)
                .map(Value::Number)
        })
        .unwrap_or_else(|| text.into())
}

fn integer(text: &str) -> Option<i64> {
    let (is_negative, digits) = sign(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let plain: String = digits.chars().filter(|c| *c != '_').collect();
    let of = |digits: &str, radix| match digits.starts_with(['+', '-']) {
        true => None,
        false => i64::from_str_radix(digits, radix).ok(),
    };
    let value = if let Some(bits) = plain.strip_prefix("0b") {
        of(bits, 2)?
    } else if let Some(hex) = plain.strip_prefix("0x") {
        of(hex, 16)?
    } else if plain.contains(':') {
        sexagesimal(&plain)?
    } else if plain.len() > 1 && plain.starts_with('0') {
        of(&plain, 8)?
    } else {
        of(&plain, 10)?
    };
    Some(if is_negative { -value } else { value })
}

/// Hours, minutes and seconds.
fn sexagesimal(text: &str) -> Option<i64> {
    let mut parts = text.split(':');
    let first = parts.next().filter(|first| !first.starts_with('0'))?;
    parts.try_fold(number(first)?, |value, part| {
        let part = (part.len() <= 2)
            .then(|| number(part))
            .flatten()
            .filter(|part| *part < 60)?;
        value.checked_mul(60)?.checked_add(part)
    })
}

fn number(digits: &str) -> Option<i64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

fn float(text: &str) -> Option<f64> {
    let (is_negative, digits) = sign(text);
    let (whole, fraction) = digits.split_once('.')?;
    let (fraction, exponent) = match fraction.split_once(['e', 'E']) {
        // YAML 1.1 wants a sign there.
        Some((fraction, exponent))
            if exponent.starts_with(['+', '-']) && number(exponent.get(1..)?).is_some() =>
        {
            (fraction, exponent)
        }
        Some(_) => return None,
        None => (fraction, "0"),
    };
    let are_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let begins_well = match whole.is_empty() {
        // With a sign it is none.
        true => digits == text && fraction.starts_with(|c: char| c.is_ascii_digit()),
        false => whole.starts_with(|c: char| c.is_ascii_digit()),
    };
    if !begins_well || !are_digits(whole) || !are_digits(fraction) {
        return None;
    }
    let plain: String = format!("0{whole}.{fraction}0e{exponent}").replace('_', "");
    let value: f64 = plain.parse().ok()?;
    Some(if is_negative { -value } else { value })
}

fn sign(text: &str) -> (bool, &str) {
    match (text.strip_prefix('-'), text.strip_prefix('+')) {
        (Some(digits), _) => (true, digits),
        (None, Some(digits)) => (false, digits),
        (None, None) => (false, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn scalars_are_those_of_yaml_1_1() {
        for (text, expected) in [
            ("yes", json!(true)),
            ("Off", json!(false)),
            ("~", json!(null)),
            ("", json!(null)),
            ("22", json!(22)),
            ("-5", json!(-5)),
            ("+5", json!(5)),
            ("1_000", json!(1000)),
            ("0", json!(0)),
            ("010", json!(8)),
            ("09", json!("09")),
            ("0x1F", json!(31)),
            ("0b101", json!(5)),
            ("1:30", json!(90)),
            ("1:60", json!("1:60")),
            ("1.5", json!(1.5)),
            (".5", json!(0.5)),
            ("-.5", json!("-.5")),
            ("1.", json!(1.0)),
            ("1.5e+3", json!(1500.0)),
            ("1.5e3", json!("1.5e3")),
            ("1e3", json!("1e3")),
            ("10.0.0.5", json!("10.0.0.5")),
            ("web", json!("web")),
            ("y", json!("y")),
            ("-", json!("-")),
            (".", json!(".")),
            ("2024-01-01", json!("2024-01-01")),
            ("0x", json!("0x")),
            ("99999999999999999999", json!("99999999999999999999")),
        ] {
            assert_eq!(resolve(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_has_a_value(text in "[-+0-9a-fxeE_:.]{0,12}") {
            let _ = resolve(&text);
        }
    }
}
