//! Reading what scripts give: strictly, and with errors that say what is expected.

use std::time::Duration;

use either::Either;
use starlark::values::dict::{DictRef, UnpackDictEntries};
use starlark::values::list::{ListRef, UnpackList};
use starlark::values::{Value, ValueOfUnchecked};
use sternline::Secret;
use sternline::proto::text::escape;

use crate::duration;

/// A value that is looked at here, so that the error says more; the type is for the reference, and for `sternline validate`.
pub(super) type Of<'v, T> = ValueOfUnchecked<'v, T>;

/// What `hosts` takes.
pub(super) type HostList = UnpackList<Either<String, UnpackDictEntries<String, Value<'static>>>>;

/// What `env` takes.
pub(super) type Variables = UnpackDictEntries<String, String>;

/// What an argument is called in messages: its function and its own name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name<'a> {
    pub(super) function: &'a str,
    pub(super) argument: &'a str,
}

impl<'a> Name<'a> {
    pub(super) fn new(function: &'a str, argument: &'a str) -> Self {
        Self { function, argument }
    }

    /// The error of a value that is not what it should be.
    pub(super) fn not(self, expected: &str, value: Value) -> anyhow::Error {
        anyhow::anyhow!(
            "{}: {} must be {expected}, not {}",
            self.function,
            self.argument,
            described(value)
        )
    }

    pub(super) fn wrong(self, why: impl std::fmt::Display) -> anyhow::Error {
        anyhow::anyhow!("{}: {}: {why}", self.function, self.argument)
    }
}

/// A value in a message: its type, and the value itself where it is short and no secret can be in it.
fn described(value: Value) -> String {
    match value.get_type() {
        "NoneType" => "None".to_owned(),
        "int" | "float" | "bool" => format!("{value}"),
        "string" => "a string".to_owned(),
        "int_range" => "a range".to_owned(),
        other if other.starts_with(['a', 'e', 'i', 'o', 'u']) => format!("an {other}"),
        other => format!("a {other}"),
    }
}

/// A text that says something: nothing stands for "not given", as the empty string does in this module.
pub(super) fn text(given: Option<&str>) -> Option<String> {
    given.filter(|text| !text.is_empty()).map(str::to_owned)
}

/// As [`text`], for what nobody is to see.
pub(super) fn secret(given: Option<&str>) -> Option<Secret> {
    given.filter(|text| !text.is_empty()).map(Secret::from)
}

/// A length of time in Go's grammar.
pub(super) fn length(
    function: &str,
    argument: &str,
    given: Option<&str>,
) -> anyhow::Result<Option<Duration>> {
    let Some(text) = given.filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    match duration::parse(text) {
        Ok(length) => Ok(Some(length)),
        Err(error) => Err(anyhow::anyhow!(
            "{function}: invalid {argument} \"{}\": {error}",
            escape(text)
        )),
    }
}

/// A length of time of which one that is none, or below zero, switches something off.
pub(super) fn interval(function: &str, argument: &str, text: &str) -> anyhow::Result<Duration> {
    match duration::parse_signed(text) {
        Ok(length) => Ok(length.unsigned().unwrap_or_default()),
        Err(error) => Err(anyhow::anyhow!(
            "{function}: invalid {argument} \"{}\": {error}",
            escape(text)
        )),
    }
}

/// A list of strings.
pub(super) fn strings(name: Name, value: Value) -> anyhow::Result<Vec<String>> {
    let expected = "a list of strings";
    let list = ListRef::from_value(value).ok_or_else(|| name.not(expected, value))?;
    list.iter()
        .map(|item| match item.unpack_str() {
            Some(text) => Ok(text.to_owned()),
            None => Err(name.not(&format!("{expected} without anything else in it"), item)),
        })
        .collect()
}

/// Variables for a command, in the order of the dict.
pub(super) fn environment(name: Name, value: Value) -> anyhow::Result<Vec<(String, String)>> {
    let expected = "a dict of strings such as {\"NAME\": \"value\"}";
    let dict = DictRef::from_value(value).ok_or_else(|| name.not(expected, value))?;
    dict.iter()
        .map(|(key, value)| {
            let key = key
                .unpack_str()
                .ok_or_else(|| name.not("a dict with strings for names", key))?;
            let text = value.unpack_str().ok_or_else(|| {
                let entry = format!("{}[\"{}\"]", name.argument, escape(key));
                let name = Name::new(name.function, &entry);
                match value.get_type() {
                    "int" => name.not(&format!("a string, such as \"{value}\""), value),
                    _ => name.not("a string", value),
                }
            })?;
            Ok((key.to_owned(), text.to_owned()))
        })
        .collect()
}

/// A port.
pub(super) fn port(function: &str, number: i32) -> anyhow::Result<u16> {
    u16::try_from(number)
        .ok()
        .filter(|port| *port > 0)
        .ok_or_else(|| {
            let hint = match number {
                0 => "; a test server has a port once it was started",
                _ => "",
            };
            anyhow::anyhow!("{function}: port must be a number from 1 to 65535, not {number}{hint}")
        })
}

/// The permission bits of a file, as `chmod` takes them in octal.
pub(super) fn mode(function: &str, text: &str) -> anyhow::Result<u32> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    let digits = if text.is_empty() { "0644" } else { digits };
    let is_octal = digits.len() <= 5 && digits.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
    match u32::from_str_radix(digits, 8) {
        Ok(mode) if is_octal && mode <= 0o7777 => Ok(mode),
        _ => Err(anyhow::anyhow!(
            "{function}: mode must be octal digits in a string, such as \"0644\", not \"{}\"",
            escape(text)
        )),
    }
}

/// One of several words.
pub(super) fn word<T: Copy>(
    function: &str,
    argument: &str,
    given: &str,
    words: &[(&str, T)],
) -> anyhow::Result<T> {
    match words.iter().find(|(word, _)| *word == given) {
        Some((_, meaning)) => Ok(*meaning),
        None => {
            let all: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            Err(anyhow::anyhow!(
                "{function}: {argument} must be {}, got \"{}\"",
                all.join(" or "),
                escape(given)
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_octal_and_nothing_else() {
        for (text, mode_of) in [
            ("0644", 0o644),
            ("644", 0o644),
            ("0o600", 0o600),
            ("", 0o644),
            ("4755", 0o4755),
            ("0", 0),
        ] {
            assert_eq!(mode("f", text).unwrap(), mode_of, "{text}");
        }
        for text in [
            "u=rw", "0888", "77777", "-644", "+644", " 644", "0x1ff", "0o", "00000644",
        ] {
            assert!(
                mode("f", text)
                    .unwrap_err()
                    .to_string()
                    .contains("such as \"0644\""),
                "{text}"
            );
        }
    }

    #[test]
    fn a_port_that_is_none_is_an_error() {
        assert_eq!(port("f", 22).unwrap(), 22);
        for number in [-1, 0, 65536] {
            assert!(port("f", number).is_err());
        }
    }

    #[test]
    fn lengths_of_time_are_those_of_go_and_their_errors_name_the_argument() {
        assert_eq!(
            length("f", "timeout", Some("1m30s")).unwrap(),
            Some(Duration::from_secs(90))
        );
        assert_eq!(length("f", "timeout", Some("")).unwrap(), None);
        assert_eq!(
            interval("f", "keep_alive_interval", "-1s").unwrap(),
            Duration::ZERO
        );
        let error = length("ssh.config", "timeout", Some("x"))
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "ssh.config: invalid timeout \"x\": time: invalid duration \"x\""
        );
    }
}
