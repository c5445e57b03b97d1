//! From a text to a time.

use jiff::Zoned;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};
use sternline::proto::text::escape;

use super::{MONTHS, Piece, SHORT, WEEKDAYS, next};

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
pub(in super::super) fn parse(layout: &str, text: &str) -> Result<Zoned, String> {
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
