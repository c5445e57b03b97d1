//! From a time to a text.

use jiff::Zoned;

use super::{MONTHS, Piece, SHORT, WEEKDAYS, next};

/// A time in a layout.
pub(in super::super) fn format(time: &Zoned, mut layout: &str) -> String {
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
