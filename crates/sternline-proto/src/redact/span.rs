//! What is to be replaced in a text, and by what.

use std::borrow::Cow;

use super::REDACTED;

/// A part of a text that must not stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    pub(super) from: usize,
    pub(super) to: usize,
    /// What stands in its place.
    pub(super) with: &'static str,
}

impl Span {
    pub(super) fn new(from: usize, to: usize) -> Self {
        Self {
            from,
            to,
            with: REDACTED,
        }
    }
}

/// The text with the spans replaced, in any order and overlapping as they like; borrowed when nothing changes.
pub(super) fn apply(text: &str, mut spans: Vec<Span>) -> Cow<'_, str> {
    spans.retain(|span| {
        span.from < span.to.min(text.len()) && text.get(span.from..span.to) != Some(span.with)
    });
    if spans.is_empty() {
        return Cow::Borrowed(text);
    }
    spans.sort_unstable();
    let mut out = String::with_capacity(text.len());
    let mut copied = 0;
    let mut spans = spans.into_iter().peekable();
    while let Some(span) = spans.next() {
        let (mut to, mut with) = (span.to, span.with);
        while let Some(next) = spans.next_if(|next| next.from < to) {
            // What covers more says better what it was.
            if next.to - next.from > to - span.from {
                with = next.with;
            }
            to = to.max(next.to);
        }
        // A character that is covered in part goes as a whole.
        let (from, to) = (floor(text, span.from).max(copied), ceiling(text, to));
        out.push_str(text.get(copied..from).unwrap_or_default());
        out.push_str(with);
        copied = to;
    }
    out.push_str(text.get(copied..).unwrap_or_default());
    Cow::Owned(out)
}

fn floor(text: &str, mut at: usize) -> usize {
    while at > 0 && !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn ceiling(text: &str, mut at: usize) -> usize {
    while at < text.len() && !text.is_char_boundary(at) {
        at += 1;
    }
    at.min(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_merged_in_any_order_and_never_cut_a_character() {
        let text = "ab-secret-ü-end";
        assert_eq!(
            apply(text, vec![Span::new(5, 9), Span::new(3, 7)]),
            "ab-[REDACTED]-ü-end"
        );
        assert_eq!(apply(text, vec![Span::new(11, 12)]), "ab-secret-[REDACTED]-end");
        assert_eq!(apply(text, vec![Span::new(16, 90)]), text);
        assert!(matches!(apply(text, vec![Span::new(2, 2)]), Cow::Borrowed(_)));
    }

    #[test]
    fn a_placeholder_that_would_be_replaced_by_itself_is_no_change() {
        let text = "password=[REDACTED]";
        assert!(matches!(apply(text, vec![Span::new(9, 19)]), Cow::Borrowed(_)));
    }
}
