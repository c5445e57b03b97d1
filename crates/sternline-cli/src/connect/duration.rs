//! Durations as people write them on a command line.

use std::time::Duration;

/// Reads `30s`, `1m30s`, `500ms`, `2h`, or plain seconds such as `30` or `1.5`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let duration = parse_any_duration(text)?;
    if duration.is_zero() {
        return Err("the duration must be longer than 0".to_owned());
    }
    Ok(duration)
}

/// The same, and no time at all: `0`.
pub(crate) fn parse_any_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration: write 30, 30s, 1m30s, 500ms or 2h");
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).map_err(|_| wrong());
    }
    if text.is_empty() {
        return Err(wrong());
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let letters = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let millis = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        let part = Duration::from_millis(number.checked_mul(millis).ok_or_else(wrong)?);
        total = total.checked_add(part).ok_or_else(wrong)?;
        rest = after;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, millis) in [
            ("30", 30_000),
            ("1.5", 1500),
            ("30s", 30_000),
            ("1m30s", 90_000),
            ("500ms", 500),
            ("2h", 7_200_000),
            ("1d", 86_400_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "0",
            "0s",
            "-1",
            "s",
            "1x",
            "1m30",
            "m1",
            "inf",
            "nan",
            "99999999999999999999s",
            "1 s",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn no_time_at_all_is_a_duration_only_where_that_makes_sense() {
        for text in ["0", "0s", "0m0s", "0.0"] {
            assert_eq!(parse_any_duration(text), Ok(Duration::ZERO), "{text}");
            assert!(parse_duration(text).is_err(), "{text}");
        }
        for text in ["", "s", "-1", "1x"] {
            assert!(parse_any_duration(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[0-9a-z. -]{0,24}") {
            let _ = parse_duration(&text);
        }
    }
}
