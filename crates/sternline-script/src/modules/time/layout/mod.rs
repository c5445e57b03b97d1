//! Go's layouts: a time is written as one certain moment would be, Mon Jan 2 15:04:05 2006 -0700.

mod read;
mod write;

pub(super) use read::parse;
pub(super) use write::format;

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

#[cfg(test)]
mod tests;
