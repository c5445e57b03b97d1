//! Ranges in host names: `web-[01-20]`, `rack[1-3,7]-[1-2]`.

use super::error::TargetError;

/// The pieces of a host name with ranges, in order.
enum Piece<'a> {
    Text(&'a str),
    Numbers(Vec<Span>),
}

/// A run of numbers, each written with at least `width` digits.
struct Span {
    first: u64,
    last: u64,
    width: usize,
}

impl Span {
    fn len(&self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }
}

/// Writes out a host name with ranges; the last range varies fastest.
///
/// # Errors
/// A malformed range, or more than `limit` names.
pub(crate) fn expand(pattern: &str, limit: usize) -> Result<Vec<String>, TargetError> {
    let pieces = parse(pattern)?;
    let count = pieces.iter().fold(1_u64, |count, piece| match piece {
        Piece::Text(_) => count,
        Piece::Numbers(spans) => {
            count.saturating_mul(spans.iter().fold(0, |sum, span| sum.saturating_add(span.len())))
        }
    });
    if count > u64::try_from(limit).unwrap_or(u64::MAX) {
        return Err(TargetError::TooMany {
            limit: super::MAX_TARGETS,
        });
    }
    let mut names = vec![String::new()];
    for piece in &pieces {
        match piece {
            Piece::Text(text) => names.iter_mut().for_each(|name| name.push_str(text)),
            Piece::Numbers(spans) => {
                names = names
                    .iter()
                    .flat_map(|name| {
                        spans.iter().flat_map(move |span| {
                            (span.first..=span.last)
                                .map(move |n| format!("{name}{n:0width$}", width = span.width))
                        })
                    })
                    .collect();
            }
        }
    }
    Ok(names)
}

fn parse(pattern: &str) -> Result<Vec<Piece<'_>>, TargetError> {
    let brackets = || TargetError::Brackets {
        text: pattern.to_owned(),
    };
    let mut pieces = Vec::new();
    let mut rest = pattern;
    while let Some((text, after)) = rest.split_once('[') {
        let (inside, after) = after.split_once(']').ok_or_else(brackets)?;
        if text.contains(']') || inside.contains('[') {
            return Err(brackets());
        }
        pieces.push(Piece::Text(text));
        pieces.push(Piece::Numbers(
            inside
                .split(',')
                .map(|span| parse_span(span, inside))
                .collect::<Result<_, _>>()?,
        ));
        rest = after;
    }
    if rest.contains(']') {
        return Err(brackets());
    }
    pieces.push(Piece::Text(rest));
    Ok(pieces)
}

/// Reads `7` or `01-20`. Leading zeros of the first number set the width for all.
fn parse_span(text: &str, whole: &str) -> Result<Span, TargetError> {
    let malformed = || TargetError::Range {
        text: whole.to_owned(),
    };
    let (start, end) = text.split_once('-').unwrap_or((text, text));
    let number = |digits: &str| {
        // 18 digits always fit; a longer number is no host number anyway.
        let is_number = (1..=18).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        digits
            .parse::<u64>()
            .ok()
            .filter(|_| is_number)
            .ok_or_else(malformed)
    };
    let (first, last) = (number(start)?, number(end)?);
    if first > last {
        return Err(TargetError::ReversedRange {
            start: start.to_owned(),
            end: end.to_owned(),
        });
    }
    let is_padded = |digits: &str| digits.len() > 1 && digits.starts_with('0');
    // `1-03` leaves open whether 1 is meant as `1` or `01`.
    if is_padded(end) && start.len() != end.len() {
        return Err(malformed());
    }
    Ok(Span {
        first,
        last,
        width: if is_padded(start) { start.len() } else { 1 },
    })
}
