//! Lengths of time as scripts write them: Go's grammar, `1m30s` or `1.5h`, and the way that Go writes them.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

const MICROSECOND: i64 = 1_000;
const MILLISECOND: i64 = 1_000_000;
const SECOND: i64 = 1_000_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

/// The digits behind a point that count. What stands behind them is less than a nanosecond in every unit.
const FRACTION_DIGITS: usize = 18;

/// Why a text is no length of time. The messages are Go's, for scripts look for them.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum DurationError {
    /// It is no number with a unit behind it, or longer than 292 years.
    #[error("time: invalid duration {}", quoted(.0))]
    Invalid(String),
    /// A number has no unit, as in `30`.
    #[error("time: missing unit in duration {}", quoted(.0))]
    MissingUnit(String),
    /// A unit that does not exist, as in `3d`.
    #[error("time: unknown unit {} in duration {}", quoted(.unit), quoted(.text))]
    UnknownUnit { unit: String, text: String },
    /// It is below zero, where that makes no sense.
    #[error("time: negative duration {}", quoted(.0))]
    Negative(String),
}

/// A length of time that may be below zero, in nanoseconds: at most about 292 years.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct SignedDuration(i64);

impl SignedDuration {
    pub(crate) const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    pub(crate) const fn nanos(self) -> i64 {
        self.0
    }

    /// Without its sign, or nothing if it is below zero.
    pub(crate) fn unsigned(self) -> Option<Duration> {
        u64::try_from(self.0).ok().map(Duration::from_nanos)
    }
}

impl From<Duration> for SignedDuration {
    /// What is longer than 292 years comes out as 292 years.
    fn from(duration: Duration) -> Self {
        Self(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for SignedDuration {
    /// As Go writes it: `1h30m0s`, `1.5s`, `10ms`, `0s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 0 {
            f.write_str("-")?;
        }
        let nanos = self.0.unsigned_abs();
        let unit = |unit: i64| unit.unsigned_abs();
        if nanos == 0 {
            return f.write_str("0s");
        }
        if nanos < unit(MICROSECOND) {
            return write!(f, "{nanos}ns");
        }
        if nanos < unit(MILLISECOND) {
            return write!(f, "{}µs", decimal(nanos, unit(MICROSECOND)));
        }
        if nanos < unit(SECOND) {
            return write!(f, "{}ms", decimal(nanos, unit(MILLISECOND)));
        }
        if nanos >= unit(HOUR) {
            write!(f, "{}h", nanos / unit(HOUR))?;
        }
        if nanos >= unit(MINUTE) {
            write!(f, "{}m", nanos % unit(HOUR) / unit(MINUTE))?;
        }
        write!(f, "{}s", decimal(nanos % unit(MINUTE), unit(SECOND)))
    }
}

/// How many units it is, with as many digits behind the point as it takes.
fn decimal(nanos: u64, unit: u64) -> String {
    let whole = nanos / unit;
    let rest = nanos % unit;
    if rest == 0 {
        return whole.to_string();
    }
    let width = unit.ilog10() as usize;
    let digits = format!("{rest:0width$}");
    format!("{whole}.{}", digits.trim_end_matches('0'))
}

/// A length of time that is not below zero, such as `10ms`, `1m30s`, `1.5h` or `0`. Units: ns, us, ms, s, m, h.
///
/// # Errors
/// When it is none, in Go's words.
pub(crate) fn parse(text: &str) -> Result<Duration, DurationError> {
    let duration = parse_signed(text)?;
    duration
        .unsigned()
        .ok_or_else(|| DurationError::Negative(text.to_owned()))
}

/// A length of time that may have a sign in front.
///
/// # Errors
/// When it is none, in Go's words.
pub(crate) fn parse_signed(text: &str) -> Result<SignedDuration, DurationError> {
    let invalid = || DurationError::Invalid(text.to_owned());
    let (is_negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(SignedDuration::default());
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut nanos: i128 = 0;
    while !rest.is_empty() {
        let whole = digits(&mut rest);
        let fraction = match rest.strip_prefix('.') {
            Some(behind) => {
                rest = behind;
                digits(&mut rest)
            }
            None => "",
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(invalid());
        }
        let end = rest
            .find(|c: char| c == '.' || c.is_ascii_digit())
            .unwrap_or(rest.len());
        let (name, behind) = rest.split_at(end);
        rest = behind;
        if name.is_empty() {
            return Err(DurationError::MissingUnit(text.to_owned()));
        }
        let unit = unit(name).ok_or_else(|| DurationError::UnknownUnit {
            unit: name.to_owned(),
            text: text.to_owned(),
        })?;
        let part = part(whole, fraction, unit).ok_or_else(invalid)?;
        nanos = nanos.checked_add(part).ok_or_else(invalid)?;
    }
    if is_negative {
        nanos = -nanos;
    }
    i64::try_from(nanos).map(SignedDuration).map_err(|_| invalid())
}

/// The digits at the beginning, which are taken off.
fn digits<'a>(rest: &mut &'a str) -> &'a str {
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, behind) = rest.split_at(end);
    *rest = behind;
    digits
}

fn unit(name: &str) -> Option<i64> {
    Some(match name {
        "ns" => 1,
        // The micro sign, and the Greek letter mu.
        "us" | "\u{b5}s" | "\u{3bc}s" => MICROSECOND,
        "ms" => MILLISECOND,
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        _ => return None,
    })
}

/// The nanoseconds of one number with its unit; nothing, if they are too many.
fn part(whole: &str, fraction: &str, unit: i64) -> Option<i128> {
    let unit = i128::from(unit);
    let whole: i128 = match whole.trim_start_matches('0') {
        "" => 0,
        digits => i128::from(digits.parse::<u64>().ok()?),
    };
    let mut nanos = whole.checked_mul(unit)?;
    let mut behind: i128 = 0;
    let mut scale: i128 = 1;
    for digit in fraction.bytes().take(FRACTION_DIGITS) {
        behind = behind * 10 + i128::from(digit - b'0');
        scale *= 10;
    }
    nanos += behind * unit / scale;
    Some(nanos)
}

/// As Go quotes it: everything outside of printable ASCII as its bytes.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b' '..=b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_with_units_are_lengths_of_time() {
        for (text, nanos) in [
            ("0", 0),
            ("+0", 0),
            ("-0", 0),
            ("0s", 0),
            ("10ms", 10 * MILLISECOND),
            ("1m30s", 90 * SECOND),
            ("1.5h", 90 * MINUTE),
            ("-1h", -HOUR),
            ("+5s", 5 * SECOND),
            (".5s", SECOND / 2),
            ("5.s", 5 * SECOND),
            ("1h2m3s4ms5us6ns", HOUR + 2 * MINUTE + 3 * SECOND + 4_005_006),
            ("3µs", 3_000),
            ("3μs", 3_000),
            ("1.0000000000000000000000000001s", SECOND),
            ("00000000000000000000000000001s", SECOND),
            ("9223372036854775807ns", i64::MAX),
            ("-9223372036854775808ns", i64::MIN),
        ] {
            assert_eq!(parse_signed(text).map(SignedDuration::nanos), Ok(nanos), "{text}");
        }
    }

    #[test]
    fn everything_else_is_an_error_in_gos_words() {
        for (text, message) in [
            ("", r#"time: invalid duration """#),
            ("x", r#"time: invalid duration "x""#),
            ("-", r#"time: invalid duration "-""#),
            (".", r#"time: invalid duration ".""#),
            (".s", r#"time: invalid duration ".s""#),
            (" 1s", r#"time: invalid duration " 1s""#),
            ("é", r#"time: invalid duration "\xc3\xa9""#),
            ("a\"b", r#"time: invalid duration "a\"b""#),
            ("30", r#"time: missing unit in duration "30""#),
            ("1s30", r#"time: missing unit in duration "1s30""#),
            ("3d", r#"time: unknown unit "d" in duration "3d""#),
            ("1s ", r#"time: unknown unit "s " in duration "1s ""#),
            (
                "9223372036854775808ns",
                r#"time: invalid duration "9223372036854775808ns""#,
            ),
            ("3000000h", r#"time: invalid duration "3000000h""#),
            (
                "99999999999999999999999s",
                r#"time: invalid duration "99999999999999999999999s""#,
            ),
        ] {
            let error = parse_signed(text)
                .map(|_| String::new())
                .unwrap_or_else(|error| error.to_string());
            assert_eq!(error, message);
        }
    }

    #[test]
    fn what_cannot_be_below_zero_says_so() {
        assert_eq!(parse("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse("-1s"), Err(DurationError::Negative("-1s".to_owned())));
    }

    #[test]
    fn they_are_written_as_go_writes_them() {
        for (nanos, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1µs"),
            (2_200_000, "2.2ms"),
            (10_000_000, "10ms"),
            (3_300_000_000, "3.3s"),
            (90 * SECOND, "1m30s"),
            (HOUR + 30 * MINUTE, "1h30m0s"),
            (4 * MINUTE + 5_001_000_000, "4m5.001s"),
            (-HOUR, "-1h0m0s"),
            (i64::MAX, "2562047h47m16.854775807s"),
            (i64::MIN, "-2562047h47m16.854775808s"),
        ] {
            assert_eq!(SignedDuration::from_nanos(nanos).to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_as_it_was(nanos in any::<i64>()) {
            let duration = SignedDuration::from_nanos(nanos);
            prop_assert_eq!(parse_signed(&duration.to_string()), Ok(duration));
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>(), number in "[-+]?[0-9.]{0,30}(ns|us|µs|ms|s|m|h|d){0,2}") {
            let _ = parse_signed(&text);
            let _ = parse_signed(&number);
        }
    }
}
