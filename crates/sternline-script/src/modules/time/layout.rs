//! Go's layouts: a time is written as one certain moment would be, Mon Jan 2 15:04:05 2006 -0700.

use jiff::Zoned;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};
use sternline::proto::text::escape;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const WEEKDAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

/// How many letters the short names have.
const SHORT: usize = 3;

/// What a piece of a layout stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Literal(char),
    Year,
    ShortYear,
    Month,
    PaddedMonth,
    MonthName,
    ShortMonthName,
    Day,
    PaddedDay,
    BlankDay,
    YearDay,
    BlankYearDay,
    WeekdayName,
    ShortWeekdayName,
    Hour,
    Hour12,
    PaddedHour12,
    Minute,
    PaddedMinute,
    Second,
    PaddedSecond,
    /// Digits behind a point or comma. Trimmed ones lose the zeros at their end, and the mark if nothing is left.
    Fraction {
        mark: char,
        digits: usize,
        is_trimmed: bool,
    },
    Half {
        is_upper: bool,
    },
    Abbreviation,
    Offset {
        has_z: bool,
        has_colons: bool,
        parts: usize,
    },
}

const fn offset(has_z: bool, has_colons: bool, parts: usize) -> Piece {
    Piece::Offset {
        has_z,
        has_colons,
        parts,
    }
}

/// The words of layouts. Of two that begin alike the longer one comes first.
const WORDS: &[(&str, Piece)] = &[
    ("January", Piece::MonthName),
    ("Monday", Piece::WeekdayName),
    ("MST", Piece::Abbreviation),
    ("_2006", Piece::Literal('_')),
    ("2006", Piece::Year),
    ("__2", Piece::BlankYearDay),
    ("002", Piece::YearDay),
    ("_2", Piece::BlankDay),
    ("01", Piece::PaddedMonth),
    ("02", Piece::PaddedDay),
    ("03", Piece::PaddedHour12),
    ("04", Piece::PaddedMinute),
    ("05", Piece::PaddedSecond),
    ("06", Piece::ShortYear),
    ("15", Piece::Hour),
    ("PM", Piece::Half { is_upper: true }),
    ("pm", Piece::Half { is_upper: false }),
    ("-07:00:00", offset(false, true, 3)),
    ("-070000", offset(false, false, 3)),
    ("-07:00", offset(false, true, 2)),
    ("-0700", offset(false, false, 2)),
    ("-07", offset(false, false, 1)),
    ("Z07:00:00", offset(true, true, 3)),
    ("Z070000", offset(true, false, 3)),
    ("Z07:00", offset(true, true, 2)),
    ("Z0700", offset(true, false, 2)),
    ("Z07", offset(true, false, 1)),
    ("Jan", Piece::ShortMonthName),
    ("Mon", Piece::ShortWeekdayName),
    ("1", Piece::Month),
    ("2", Piece::Day),
    ("3", Piece::Hour12),
    ("4", Piece::Minute),
    ("5", Piece::Second),
];

/// The piece at the beginning of a layout, and what is behind it.
fn next(layout: &str) -> Option<(Piece, &str)> {
    for (word, piece) in WORDS {
        let Some(rest) = layout.strip_prefix(word) else {
            continue;
        };
        let is_name = matches!(piece, Piece::ShortMonthName | Piece::ShortWeekdayName);
        if is_name && rest.starts_with(|c: char| c.is_ascii_lowercase()) {
            continue;
        }
        // Only the bar is taken; the year behind it is a piece of its own.
        let rest = if *piece == Piece::Literal('_') {
            layout.strip_prefix('_')?
        } else {
            rest
        };
        return Some((*piece, rest));
    }
    let mut chars = layout.chars();
    let first = chars.next()?;
    let rest = chars.as_str();
    if matches!(first, '.' | ',') && rest.starts_with(['0', '9']) {
        let digit = if rest.starts_with('0') { '0' } else { '9' };
        let behind = rest.trim_start_matches(digit);
        if !behind.starts_with(|c: char| c.is_ascii_digit()) {
            let digits = (rest.len() - behind.len()).min(9);
            return Some((
                Piece::Fraction {
                    mark: first,
                    digits,
                    is_trimmed: digit == '9',
                },
                behind,
            ));
        }
    }
    Some((Piece::Literal(first), rest))
}

/// A time in a layout.
pub(super) fn format(time: &Zoned, mut layout: &str) -> String {
    let mut out = String::new();
    while let Some((piece, rest)) = next(layout) {
        layout = rest;
        write(&mut out, time, piece);
    }
    out
}

fn write(out: &mut String, time: &Zoned, piece: Piece) {
    let hour12 = match time.hour() % 12 {
        0 => 12,
        hour => hour,
    };
    let month = || {
        MONTHS
            .get((time.month() - 1) as usize)
            .copied()
            .unwrap_or_default()
    };
    let weekday = || {
        let day = time.weekday().to_sunday_zero_offset();
        WEEKDAYS.get(day as usize).copied().unwrap_or_default()
    };
    let short = |name: &'static str| name.get(..SHORT).unwrap_or_default();
    match piece {
        Piece::Literal(c) => out.push(c),
        Piece::Year => out.push_str(&format!("{:04}", time.year())),
        Piece::ShortYear => out.push_str(&format!("{:02}", time.year().rem_euclid(100))),
        Piece::Month => out.push_str(&time.month().to_string()),
        Piece::PaddedMonth => out.push_str(&format!("{:02}", time.month())),
        Piece::MonthName => out.push_str(month()),
        Piece::ShortMonthName => out.push_str(short(month())),
        Piece::Day => out.push_str(&time.day().to_string()),
        Piece::PaddedDay => out.push_str(&format!("{:02}", time.day())),
        Piece::BlankDay => out.push_str(&format!("{:2}", time.day())),
        Piece::YearDay => out.push_str(&format!("{:03}", time.day_of_year())),
        Piece::BlankYearDay => out.push_str(&format!("{:3}", time.day_of_year())),
        Piece::WeekdayName => out.push_str(weekday()),
        Piece::ShortWeekdayName => out.push_str(short(weekday())),
        Piece::Hour => out.push_str(&format!("{:02}", time.hour())),
        Piece::Hour12 => out.push_str(&hour12.to_string()),
        Piece::PaddedHour12 => out.push_str(&format!("{hour12:02}")),
        Piece::Minute => out.push_str(&time.minute().to_string()),
        Piece::PaddedMinute => out.push_str(&format!("{:02}", time.minute())),
        Piece::Second => out.push_str(&time.second().to_string()),
        Piece::PaddedSecond => out.push_str(&format!("{:02}", time.second())),
        Piece::Fraction {
            mark,
            digits,
            is_trimmed,
        } => {
            let nanos = format!("{:09}", time.subsec_nanosecond());
            let mut shown = nanos.get(..digits).unwrap_or(&nanos);
            if is_trimmed {
                shown = shown.trim_end_matches('0');
            }
            if !shown.is_empty() {
                out.push(mark);
                out.push_str(shown);
            }
        }
        Piece::Half { is_upper } => out.push_str(match (time.hour() >= 12, is_upper) {
            (true, true) => "PM",
            (true, false) => "pm",
            (false, true) => "AM",
            (false, false) => "am",
        }),
        Piece::Abbreviation => {
            let zone = time.time_zone().to_offset_info(time.timestamp());
            out.push_str(zone.abbreviation());
        }
        Piece::Offset {
            has_z,
            has_colons,
            parts,
        } => {
            let seconds = time.offset().seconds();
            if has_z && seconds == 0 {
                out.push('Z');
                return;
            }
            out.push(if seconds < 0 { '-' } else { '+' });
            let seconds = seconds.unsigned_abs();
            let all = [seconds / 3600, seconds / 60 % 60, seconds % 60];
            for (index, part) in all.iter().take(parts).enumerate() {
                if index > 0 && has_colons {
                    out.push(':');
                }
                out.push_str(&format!("{part:02}"));
            }
        }
    }
}

/// What was read so far. Where a layout says nothing, the first moment counts.
struct Read {
    year: i16,
    month: i8,
    day: i8,
    year_day: Option<i16>,
    hour: i8,
    is_afternoon: Option<bool>,
    minute: i8,
    second: i8,
    nanosecond: i32,
    offset: Option<Offset>,
}

/// A time that is written in a layout. Where neither a zone nor an offset is in it, it is one of UTC.
///
/// # Errors
/// What does not fit, in the words that Go has for it.
pub(super) fn parse(layout: &str, text: &str) -> Result<Zoned, String> {
    let mut read = Read {
        year: 0,
        month: 1,
        day: 1,
        year_day: None,
        hour: 0,
        is_afternoon: None,
        minute: 0,
        second: 0,
        nanosecond: 0,
        offset: None,
    };
    let problem = |what: String| {
        format!(
            "parsing time \"{}\" as \"{}\": {what}",
            escape(text),
            escape(layout)
        )
    };
    let mut rest = text;
    let mut left = layout;
    while let Some((piece, behind)) = next(left) {
        let word = left.get(..left.len() - behind.len()).unwrap_or_default();
        let before = rest;
        let fraction_follows = matches!(next(behind), Some((Piece::Fraction { .. }, _)));
        read.piece(piece, &mut rest, fraction_follows).ok_or_else(|| {
            problem(format!(
                "cannot parse \"{}\" as \"{}\"",
                escape(before),
                escape(word)
            ))
        })?;
        left = behind;
    }
    if !rest.is_empty() {
        return Err(problem(format!("extra text: \"{}\"", escape(rest))));
    }
    read.time()
        .ok_or_else(|| problem("there is no such day or time".to_owned()))
}

impl Read {
    /// Reads one piece; nothing, if it is something else.
    fn piece(&mut self, piece: Piece, rest: &mut &str, fraction_follows: bool) -> Option<()> {
        match piece {
            Piece::Literal(' ') => {
                if !rest.is_empty() && !rest.starts_with(' ') {
                    return None;
                }
                *rest = rest.trim_start_matches(' ');
            }
            Piece::Literal(c) => *rest = rest.strip_prefix(c)?,
            Piece::Year => self.year = number(rest, 4, 4)?,
            Piece::ShortYear => {
                let year: i16 = number(rest, 2, 2)?;
                self.year = if year >= 69 { 1900 + year } else { 2000 + year };
            }
            Piece::Month => self.month = number(rest, 1, 2)?,
            Piece::PaddedMonth => self.month = number(rest, 2, 2)?,
            Piece::MonthName => self.month = 1 + name(rest, &MONTHS, false)?,
            Piece::ShortMonthName => self.month = 1 + name(rest, &MONTHS, true)?,
            Piece::Day => self.day = number(rest, 1, 2)?,
            Piece::PaddedDay => self.day = number(rest, 2, 2)?,
            Piece::BlankDay => {
                *rest = rest.strip_prefix(' ').unwrap_or(rest);
                self.day = number(rest, 1, 2)?;
            }
            Piece::YearDay => self.year_day = Some(number(rest, 3, 3)?),
            Piece::BlankYearDay => {
                *rest = rest.trim_start_matches(' ');
                self.year_day = Some(number(rest, 1, 3)?);
            }
            Piece::WeekdayName => {
                name(rest, &WEEKDAYS, false)?;
            }
            Piece::ShortWeekdayName => {
                name(rest, &WEEKDAYS, true)?;
            }
            Piece::Hour | Piece::Hour12 => self.hour = number(rest, 1, 2)?,
            Piece::PaddedHour12 => self.hour = number(rest, 2, 2)?,
            Piece::Minute => self.minute = number(rest, 1, 2)?,
            Piece::PaddedMinute => self.minute = number(rest, 2, 2)?,
            Piece::Second | Piece::PaddedSecond => {
                self.second = number(rest, if piece == Piece::Second { 1 } else { 2 }, 2)?;
                // A fraction may be there though the layout has none.
                if !fraction_follows {
                    self.fraction(rest, None)?;
                }
            }
            Piece::Fraction {
                digits, is_trimmed, ..
            } => {
                self.fraction(rest, (!is_trimmed).then_some(digits))?;
            }
            Piece::Half { .. } => {
                let half = rest.get(..2)?.to_ascii_uppercase();
                self.is_afternoon = Some(match half.as_str() {
                    "AM" => false,
                    "PM" => true,
                    _ => return None,
                });
                *rest = rest.get(2..)?;
            }
            Piece::Abbreviation => {
                let zone = ["UTC", "GMT"].into_iter().find(|zone| rest.starts_with(zone))?;
                *rest = rest.strip_prefix(zone)?;
                self.offset.get_or_insert(Offset::UTC);
            }
            Piece::Offset {
                has_z,
                has_colons,
                parts,
            } => {
                self.offset = Some(read_offset(rest, has_z, has_colons, parts)?);
            }
        }
        Some(())
    }

    /// Digits behind a point or comma: so many, or as many as there are, and perhaps none.
    fn fraction(&mut self, rest: &mut &str, exactly: Option<usize>) -> Option<()> {
        let is_there =
            rest.starts_with(['.', ',']) && rest.get(1..).is_some_and(|rest| rest.starts_with(is_digit));
        if !is_there {
            return exactly.is_none().then_some(());
        }
        let behind = rest.get(1..)?;
        let length = behind.find(|c| !is_digit(c)).unwrap_or(behind.len());
        if exactly.is_some_and(|exactly| exactly != length) {
            return None;
        }
        let digits = behind.get(..length.min(9))?;
        self.nanosecond = format!("{digits:0<9}").parse().ok()?;
        *rest = behind.get(length..)?;
        Some(())
    }

    fn time(&self) -> Option<Zoned> {
        let hour = match self.is_afternoon {
            None => self.hour,
            Some(_) if self.hour > 12 => return None,
            Some(is_afternoon) => self.hour % 12 + if is_afternoon { 12 } else { 0 },
        };
        let mut date = Date::new(self.year, self.month, self.day).ok()?;
        if let Some(day) = self.year_day {
            date = Date::new(self.year, 1, 1)
                .ok()?
                .with()
                .day_of_year(day)
                .build()
                .ok()?;
        }
        let time = Time::new(hour, self.minute, self.second, self.nanosecond).ok()?;
        let zone = TimeZone::fixed(self.offset.unwrap_or(Offset::UTC));
        DateTime::from_parts(date, time).to_zoned(zone).ok()
    }
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit()
}

/// A number of so many digits.
fn number<T: std::str::FromStr>(rest: &mut &str, least: usize, most: usize) -> Option<T> {
    let length = rest.find(|c| !is_digit(c)).unwrap_or(rest.len()).min(most);
    if length < least {
        return None;
    }
    let (digits, behind) = rest.split_at(length);
    *rest = behind;
    digits.parse().ok()
}

/// Which of the names it is, in capitals or not.
fn name(rest: &mut &str, names: &[&str], is_short: bool) -> Option<i8> {
    let index = names.iter().position(|name| {
        let length = if is_short { SHORT } else { name.len() };
        let fits = rest.get(..length).zip(name.get(..length));
        fits.is_some_and(|(text, name)| text.eq_ignore_ascii_case(name))
    })?;
    let length = if is_short { SHORT } else { names.get(index)?.len() };
    *rest = rest.get(length..)?;
    i8::try_from(index).ok()
}

fn read_offset(rest: &mut &str, has_z: bool, has_colons: bool, parts: usize) -> Option<Offset> {
    if has_z && let Some(behind) = rest.strip_prefix('Z') {
        *rest = behind;
        return Some(Offset::UTC);
    }
    let sign = if rest.starts_with('-') { -1 } else { 1 };
    *rest = rest.strip_prefix(['+', '-'])?;
    let mut seconds: i32 = 0;
    for (index, unit) in [3600, 60, 1].into_iter().take(parts).enumerate() {
        if index > 0 && has_colons {
            *rest = rest.strip_prefix(':')?;
        }
        let part: i32 = number(rest, 2, 2)?;
        if index > 0 && part > 59 {
            return None;
        }
        seconds += part * unit;
    }
    Offset::from_seconds(sign * seconds).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RFC3339: &str = "2006-01-02T15:04:05Z07:00";

    fn moment(text: &str) -> Zoned {
        parse(RFC3339, text).unwrap()
    }

    #[test]
    fn a_layout_says_how_a_time_is_written() {
        let time = moment("2026-03-01T14:05:09.120Z");
        for (layout, text) in [
            (RFC3339, "2026-03-01T14:05:09Z"),
            ("2006-01-02T15:04:05.999999999Z07:00", "2026-03-01T14:05:09.12Z"),
            ("15:04:05.000", "14:05:09.120"),
            ("15:04:05,000000", "14:05:09,120000"),
            ("3:04PM", "2:05PM"),
            ("03:04:05 pm", "02:05:09 pm"),
            ("Mon, 02 Jan 2006 15:04:05 MST", "Sun, 01 Mar 2026 14:05:09 UTC"),
            ("Monday, January 2, 06", "Sunday, March 1, 26"),
            ("Jan _2 2006 __2 002", "Mar  1 2026  60 060"),
            ("1/2/06 3:4:5", "3/1/26 2:5:9"),
            ("-07 -0700 -07:00 Z0700", "+00 +0000 +00:00 Z"),
            ("at 15h in Januaryx, Janus", "at 14h in Marchx, Janus"),
            ("_2006", "_2026"),
            ("naïve", "naïve"),
            ("", ""),
        ] {
            assert_eq!(format(&time, layout), text, "{layout}");
        }
        let west = moment("2026-03-01T14:05:09-05:30");
        assert_eq!(
            format(&west, "Z07:00 -0700 Z07 -07:00:00"),
            "-05:30 -0530 -05 -05:30:00"
        );
    }

    #[test]
    fn what_is_written_in_a_layout_can_be_read() {
        for (layout, text, time) in [
            ("2006-01-02", "2024-06-15", "2024-06-15T00:00:00Z"),
            ("3:04PM", "2:30PM", "0000-01-01T14:30:00Z"),
            ("3:04PM", "12:30AM", "0000-01-01T00:30:00Z"),
            (
                "2 Jan 2006 15:04 MST",
                "5 jun 2024 10:00 UTC",
                "2024-06-05T10:00:00Z",
            ),
            (
                "Monday, January 2 2006",
                "Saturday, June 15 2024",
                "2024-06-15T00:00:00Z",
            ),
            ("06 1 2", "69 6 5", "1969-06-05T00:00:00Z"),
            ("2006 002", "2024 060", "2024-02-29T00:00:00Z"),
            ("15:04:05", "10:20:30.5", "0000-01-01T10:20:30.5Z"),
            ("15:04:05.000", "10:20:30.250", "0000-01-01T10:20:30.25Z"),
            (
                "2006-01-02 15:04:05 -0700",
                "2024-06-15   10:30:00 +0230",
                "2024-06-15T10:30:00+02:30",
            ),
        ] {
            assert_eq!(parse(layout, text), Ok(moment(time)), "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_said_in_gos_words() {
        for (layout, text, message) in [
            (
                RFC3339,
                "x",
                "parsing time \"x\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"x\" as \"2006\"",
            ),
            (
                "2006-01-02",
                "2024-06",
                "parsing time \"2024-06\" as \"2006-01-02\": cannot parse \"\" as \"-\"",
            ),
            (
                "2006",
                "20245",
                "parsing time \"20245\" as \"2006\": extra text: \"5\"",
            ),
            (
                "2006-01-02",
                "2024-02-30",
                "parsing time \"2024-02-30\" as \"2006-01-02\": there is no such day or time",
            ),
            (
                "15:04 MST",
                "10:00 CEST",
                "parsing time \"10:00 CEST\" as \"15:04 MST\": cannot parse \"CEST\" as \"MST\"",
            ),
        ] {
            assert_eq!(parse(layout, text), Err(message.to_owned()));
        }
        assert!(parse("3PM", "13PM").is_err());
        assert!(parse("15:04:05.000", "10:00:00.5").is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(layout in "[ -~é]{0,30}", odd in "(2006|01|2|Jan|PM|Z07:00|.999|_2|é| ){0,6}", text in any::<String>()) {
            let time = moment("2026-03-01T14:05:09.120Z");
            let _ = format(&time, &layout);
            let _ = parse(&odd, &text);
            let _ = parse(&odd, &format(&time, &odd));
        }

        #[test]
        fn rfc_3339_reads_as_it_was(second in -60_000_000_000i64..250_000_000_000, nano in 0i32..1_000_000_000) {
            let layout = "2006-01-02T15:04:05.999999999Z07:00";
            let time = jiff::Timestamp::new(second, nano).unwrap().to_zoned(TimeZone::UTC);
            prop_assert_eq!(parse(layout, &format(&time, layout)), Ok(time));
        }
    }
}
