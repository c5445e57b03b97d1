//! Moments as people write them: a time ago, or a date.

use std::time::{Duration, SystemTime};

use crate::connect::parse_any_duration;

/// The moment from which on runs are wanted, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Since(pub(super) u64);

/// Reads `2h`, `7d`, `2026-11-29`, `2026-11-29T12:30` or `2026-11-29 12:30:05`, the latter two with or without `Z`.
pub(super) fn parse_since(text: &str) -> Result<Since, String> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since(text, now.unwrap_or_default()).map(Since).ok_or_else(|| {
        format!(
            "`{text}` is no moment: write 2h or 7d for a time ago, or 2026-11-29 or 2026-11-29T12:30 in UTC"
        )
    })
}

fn since(text: &str, now: Duration) -> Option<u64> {
    // A plain number would be seconds, which nobody means here.
    let has_unit = text.ends_with(|c: char| c.is_ascii_lowercase());
    if let Some(ago) = parse_any_duration(text).ok().filter(|_| has_unit) {
        return u64::try_from(now.saturating_sub(ago).as_millis()).ok();
    }
    let (date, time) = match text.split_once(['T', ' ']) {
        Some((date, time)) => (date, time.strip_suffix('Z').unwrap_or(time)),
        None => (text, "00:00"),
    };
    let [year, month, day] = numbers(date, '-', &[4, 2, 2])?.try_into().ok()?;
    let [hour, minute, second] = match numbers(time, ':', &[2, 2, 2]) {
        Some(all) => all.try_into().ok()?,
        None => {
            let [hour, minute] = numbers(time, ':', &[2, 2])?.try_into().ok()?;
            [hour, minute, 0]
        }
    };
    if hour > 23 || minute > 59 || second > 59 || year < 1970 || !(1..=12).contains(&month) {
        return None;
    }
    if !(1..=days_in(year, month)).contains(&day) {
        return None;
    }
    let years = (1970..year).map(|year| if is_leap(year) { 366 } else { 365 });
    let months = (1..month).map(|month| days_in(year, month));
    let days: u64 = years.chain(months).sum::<u64>() + day - 1;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000)
}

/// The numbers of a text with these separators, if it has so many, each of so many digits.
fn numbers(text: &str, separator: char, digits: &[usize]) -> Option<Vec<u64>> {
    let parts: Vec<&str> = text.split(separator).collect();
    let fit = parts.len() == digits.len()
        && parts
            .iter()
            .zip(digits)
            .all(|(part, digits)| part.len() == *digits && part.bytes().all(|byte| byte.is_ascii_digit()));
    fit.then(|| parts.iter().filter_map(|part| part.parse().ok()).collect())
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sternline::evidence::utc;

    const NOW: Duration = Duration::from_secs(1_800_000_000);

    #[test]
    fn moments_are_read_as_people_write_them() {
        for (text, expected) in [
            ("2h", 1_799_992_800_000),
            ("7d", 1_799_395_200_000),
            ("0s", 1_800_000_000_000),
            ("99999d", 0),
            ("1970-01-01", 0),
            ("2026-11-29", 1_795_910_400_000),
            ("2026-11-29T12:30", 1_795_955_400_000),
            ("2026-11-29 12:30:05", 1_795_955_405_000),
            ("2026-11-29T12:30:05Z", 1_795_955_405_000),
            ("2024-02-29", 1_709_164_800_000),
        ] {
            assert_eq!(since(text, NOW), Some(expected), "{text}");
        }
        for text in [
            "",
            "5",
            "-2h",
            "2 h",
            "yesterday",
            "2026-11",
            "2026-13-01",
            "2026-02-29",
            "2026-11-00",
            "26-11-29",
            "2026-11-29T24:00",
            "2026-11-29T12",
            "2026-11-29T12:30:05.5",
            "1969-12-31",
            "+026-11-29",
            "2026-11-29T12:30+01:00",
            "2026-11-29Z",
        ] {
            assert_eq!(since(text, NOW), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_moment_that_is_shown_is_read_again(seconds in 0..4_102_444_800_u64) {
            #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
            let shown = utc((seconds * 1000) as f64).unwrap();
            prop_assert_eq!(since(shown.strip_suffix(" UTC").unwrap(), NOW), Some(seconds * 1000));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[0-9TZ:h -]{0,24}|\\PC{0,12}") {
            let _ = since(&text, NOW);
        }
    }
}
