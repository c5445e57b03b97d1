//! The names of runs.

use std::fmt;
use std::str::FromStr;

use sternline_proto::text::escape;
use thiserror::Error;

/// Digits and letters in their order, without those that are taken for others: i, l, o and u (Crockford's base 32).
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The characters of the time: milliseconds since 1970 for another thousand years.
const TIME: usize = 9;

/// The characters that tell runs of the same millisecond apart.
const RANDOM: usize = 5;

/// The name of a run: fourteen digits and small letters. They sort by time, so the first seven or eight usually suffice.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(String);

impl RunId {
    /// The name of a run that began at this time.
    pub(crate) fn new(unix_ms: u64, random: u32) -> Self {
        let mut text = String::with_capacity(TIME + RANDOM);
        push(&mut text, unix_ms, TIME);
        push(&mut text, u64::from(random), RANDOM);
        Self(text)
    }

    /// A name as it was written into the database.
    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The last `digits` digits of a number.
fn push(text: &mut String, number: u64, digits: usize) {
    for place in (0..digits).rev() {
        let digit = (number >> (5 * place)) & 31;
        let digit = usize::try_from(digit).unwrap_or_default();
        text.push(ALPHABET.get(digit).copied().map(char::from).unwrap_or('0'));
    }
}

/// How a person names a run: by its name, by a beginning of it that no other has, or from the latest one backwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunRef {
    /// `last`, or with a number `last~2`: how many runs before the latest.
    Last(u32),
    /// The beginning of a name, in small letters.
    Prefix(String),
}

/// This names no run.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0} names no run")]
pub struct RunRefError(String);

impl FromStr for RunRef {
    type Err = RunRefError;

    fn from_str(text: &str) -> Result<Self, RunRefError> {
        let refused = || RunRefError(escape(text));
        let lower = text.to_ascii_lowercase();
        if let Some(behind) = lower.strip_prefix("last") {
            return match behind.strip_prefix('~') {
                None if behind.is_empty() => Ok(Self::Last(0)),
                Some(number) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
                    number.parse().map(Self::Last).map_err(|_| refused())
                }
                _ => Err(refused()),
            };
        }
        let fits = (1..=TIME + RANDOM).contains(&lower.len());
        match fits && lower.bytes().all(|byte| ALPHABET.contains(&byte)) {
            true => Ok(Self::Prefix(lower)),
            false => Err(refused()),
        }
    }
}

impl fmt::Display for RunRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Last(0) => f.write_str("last"),
            Self::Last(back) => write!(f, "last~{back}"),
            Self::Prefix(prefix) => f.write_str(prefix),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn runs_are_named_by_their_names_and_from_the_latest_backwards() {
        for (text, found) in [
            ("last", RunRef::Last(0)),
            ("LAST", RunRef::Last(0)),
            ("last~0", RunRef::Last(0)),
            ("last~12", RunRef::Last(12)),
            ("1C", RunRef::Prefix("1c".into())),
            ("0123456789abcd", RunRef::Prefix("0123456789abcd".into())),
        ] {
            assert_eq!(text.parse(), Ok(found), "{text}");
        }
        for text in [
            "",
            "last~",
            "last~-1",
            "last~+1",
            "last~x",
            "last~99999999999",
            "lastly",
            "1l",
            "1 2",
            "../x",
            "é",
            "0123456789abcde",
            "\u{1b}[31m",
        ] {
            let error = text.parse::<RunRef>().unwrap_err();
            assert!(!error.to_string().contains('\u{1b}'), "{error}");
        }
    }

    proptest! {
        #[test]
        fn names_sort_as_their_times_do(a in 0..1_u64 << 45, b in 0..1_u64 << 45, x in any::<u32>(), y in any::<u32>()) {
            let (first, second) = (RunId::new(a, x), RunId::new(b, y));
            prop_assert_eq!(first.as_str().len(), TIME + RANDOM);
            if a != b {
                prop_assert_eq!(first.cmp(&second), a.cmp(&b));
            }
        }

        #[test]
        fn every_beginning_of_a_name_names_it(ms in 0..1_u64 << 45, random in any::<u32>(), length in 1..=14_usize) {
            let id = RunId::new(ms, random);
            let prefix = &id.as_str()[..length];
            prop_assert_eq!(prefix.to_uppercase().parse(), Ok(RunRef::Prefix(prefix.to_owned())));
        }

        #[test]
        fn what_is_read_is_written_as_it_was_meant(text in "(last(~[0-9]{1,6})?|[0-9a-z~]{0,16})") {
            if let Ok(found) = text.parse::<RunRef>() {
                prop_assert_eq!(found.to_string().parse(), Ok(found));
            }
        }
    }
}
