//! Why a pattern was not found: what came nearest to it.

use std::fmt;

use regex_syntax::hir::{Hir, HirKind};

use super::compile::{Regex, parse};
use super::control::ControlFilter;
use super::pattern::{ExpectPattern, PatternType};
use crate::text::escape;

/// Of several patterns that were not found, the one that came nearest, and how near.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nearest {
    /// The pattern.
    pub pattern: ExpectPattern,
    /// What was missing.
    pub closeness: Closeness,
}

/// How near a pattern came to a match.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Closeness {
    /// This would match if control sequences were left out.
    ControlSequences(String),
    /// This would match if case were ignored.
    Case(String),
    /// This would match if line breaks and other white space were all alike.
    Spacing(String),
    /// This matches, but an earlier match has used it up.
    UsedUp(String),
    /// This matches the beginning of the pattern.
    Begun(String),
    /// Nothing like it was seen.
    Nothing,
}

/// How much of the output's end is looked at.
const LOOKED_AT: usize = 64 * 1024;

/// How much of it is shown.
const SHOWN: usize = 200;

impl Nearest {
    /// Compares patterns with the output that was not used up, and with the end of what was. `None` without patterns.
    #[must_use]
    pub fn find(patterns: &[ExpectPattern], remaining: &str, used: &str) -> Option<Self> {
        let remaining = end_of(remaining, LOOKED_AT);
        let mut best: Option<(u32, Self)> = None;
        for pattern in patterns {
            let (score, closeness) = compare(pattern, remaining, used);
            if best.as_ref().is_none_or(|(highest, _)| score > *highest) {
                let pattern = pattern.clone();
                best = Some((score, Self { pattern, closeness }));
            }
        }
        best.map(|(_, nearest)| nearest)
    }

    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self.closeness {
            Closeness::ControlSequences(_) => Some("ignore control sequences"),
            Closeness::Case(_) => {
                Some("put (?i) in front of a regular expression, or write the text as it comes")
            }
            Closeness::Spacing(_) => {
                Some("wait for less text, or put \\s+ in a regular expression where white space may differ")
            }
            Closeness::UsedUp(_) => Some("each output matches once: wait for what comes after it"),
            Closeness::Begun(_) | Closeness::Nothing => None,
        }
    }
}

/// For example `"Password:" would match "password:" if case were ignored`; the texts are escaped.
impl fmt::Display for Nearest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pattern = shown_pattern(&self.pattern);
        match &self.closeness {
            Closeness::ControlSequences(text) => {
                let text = shown(text);
                write!(
                    f,
                    "\"{pattern}\" would match \"{text}\" without the control sequences in it"
                )
            }
            Closeness::Case(text) => {
                write!(
                    f,
                    "\"{pattern}\" would match \"{}\" if case were ignored",
                    shown(text)
                )
            }
            Closeness::Spacing(text) => {
                let text = shown(text);
                write!(
                    f,
                    "\"{pattern}\" would match \"{text}\" but for white space or line breaks"
                )
            }
            Closeness::UsedUp(text) => {
                write!(
                    f,
                    "\"{pattern}\" matches \"{}\", which an earlier match has used up",
                    shown(text)
                )
            }
            Closeness::Begun(text) => write!(f, "\"{pattern}\" matches no further than \"{}\"", shown(text)),
            Closeness::Nothing => write!(f, "nothing like \"{pattern}\" was seen"),
        }
    }
}

/// The end of some output, for a message: escaped, and with `...` for a colon and spaces at its end, which redaction would
/// take for the name of a secret that follows.
#[must_use]
pub fn seen_last(output: &str) -> String {
    shown(output)
}

fn shown(text: &str) -> String {
    let end = end_of(text, SHOWN);
    let before = if end.len() < text.len() { "..." } else { "" };
    let shown = escape(end);
    // A message that went on after `password: ` would look as if it told one.
    let kept = shown.trim_end_matches([' ', ':', '=']);
    let after = if kept.len() < shown.len() { "..." } else { "" };
    format!("{before}{kept}{after}")
}

/// A pattern by its name or its text, for a message.
#[must_use]
pub fn shown_pattern(pattern: &ExpectPattern) -> String {
    shown(pattern.name().unwrap_or(pattern.pattern()))
}

/// At most so many bytes from the end of a text.
fn end_of(text: &str, longest: usize) -> &str {
    let from = text.len().saturating_sub(longest);
    let from = (from..text.len()).find(|&at| text.is_char_boundary(at));
    text.get(from.unwrap_or(text.len())..).unwrap_or_default()
}

fn compare(pattern: &ExpectPattern, remaining: &str, used: &str) -> (u32, Closeness) {
    let source = match pattern.pattern_type() {
        PatternType::Literal => regex_syntax::escape(pattern.pattern()),
        PatternType::Regex => pattern.pattern().to_owned(),
    };
    if remaining.contains('\x1b') || remaining.contains('\x08') {
        let stripped = ControlFilter::strip(remaining);
        if let Some(found) = pattern.find(&stripped) {
            return (100, Closeness::ControlSequences(found.text));
        }
    }
    if let Some(text) = found_as(&format!("(?i:{source})"), remaining) {
        return (90, Closeness::Case(text));
    }
    if let Some(text) = found_as(&loosely_spaced(pattern, &source), remaining) {
        return (80, Closeness::Spacing(text));
    }
    let begun = begun(pattern, &source, remaining);
    if let Some((share, text)) = &begun
        && *share >= 50
    {
        return (*share, Closeness::Begun(text.clone()));
    }
    if let Some(found) = pattern.find(used) {
        return (49, Closeness::UsedUp(found.text));
    }
    match begun {
        Some((share, text)) => (share, Closeness::Begun(text)),
        None => (0, Closeness::Nothing),
    }
}

fn found_as(source: &str, text: &str) -> Option<String> {
    Some(ExpectPattern::regex(source).ok()?.find(text)?.text)
}

/// The pattern with all white space alike, and `.` matching line breaks too.
fn loosely_spaced(pattern: &ExpectPattern, source: &str) -> String {
    match pattern.pattern_type() {
        PatternType::Literal => {
            let words = pattern.pattern().split_whitespace().map(regex_syntax::escape);
            words.collect::<Vec<_>>().join(r"\s+")
        }
        PatternType::Regex => {
            let spaced: Vec<&str> = source.trim_matches(' ').split(' ').collect();
            format!("(?s:{})", spaced.join(r"\s+"))
        }
    }
}

/// The longest beginning of the pattern that is there, and its share of the pattern in percent, if it is worth mentioning.
fn begun(pattern: &ExpectPattern, source: &str, text: &str) -> Option<(u32, String)> {
    /// Anything shorter is there by chance.
    const SHORTEST: usize = 3;
    let (share, found) = match pattern.pattern_type() {
        PatternType::Literal => {
            let whole = pattern.pattern();
            let ends: Vec<usize> = whole.char_indices().map(|(at, _)| at).collect();
            // A longer beginning is there only where all shorter ones are.
            let count =
                ends.partition_point(|&end| whole.get(..end).is_some_and(|begun| text.contains(begun)));
            let length = *ends.get(count.checked_sub(1)?)?;
            (length * 100 / whole.len(), whole.get(..length)?.to_owned())
        }
        PatternType::Regex => {
            let hir = parse(source).ok()?;
            let HirKind::Concat(parts) = hir.kind() else {
                return None;
            };
            let text = end_of(text, LOOKED_AT / 4);
            let mut best = None;
            let (mut low, mut high) = (1, parts.len());
            while low < high {
                let middle = usize::midpoint(low, high);
                match beginning(parts.get(..middle)?, text) {
                    Some(found) => {
                        best = Some((middle * 100 / parts.len(), found));
                        low = middle + 1;
                    }
                    None => high = middle,
                }
            }
            best?
        }
    };
    (found.chars().count() >= SHORTEST).then_some((u32::try_from(share).unwrap_or_default(), found))
}

fn beginning(parts: &[Hir], text: &str) -> Option<String> {
    let regex = Regex::from_hir(&Hir::concat(parts.to_vec())).ok()?;
    let span = regex.find(text.as_bytes(), 0, text.len())?;
    Some(text.get(span.start..span.end)?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_came_nearest() {
        let literal = |text: &str| ExpectPattern::literal(text).unwrap();
        let regex = |text: &str| ExpectPattern::regex(text).unwrap();
        for (patterns, output, used, explained) in [
            (
                vec![literal("Password:")],
                "login\npassword: ",
                "",
                "\"Password...\" would match \"password...\" if case were ignored",
            ),
            (
                vec![literal("$ ls")],
                "\x1b[1m$\x1b[0m ls",
                "",
                "\"$ ls\" would match \"$ ls\" without the control sequences in it",
            ),
            (
                vec![literal("are you sure")],
                "are you\nsure?",
                "",
                "\"are you sure\" would match \"are you\\nsure\" but for white space or line breaks",
            ),
            (
                vec![regex("begin.*end")],
                "begin\nend",
                "",
                "\"begin.*end\" would match \"begin\\nend\" but for white space or line breaks",
            ),
            (
                vec![literal("Password: ")],
                "\nlast login",
                "Password: ",
                "\"Password...\" matches \"Password...\", which an earlier match has used up",
            ),
            (
                vec![literal("Password for alice:")],
                "Password for bob:",
                "",
                "\"Password for alice...\" matches no further than \"Password for...\"",
            ),
            (
                vec![regex(r"exit code: (\d+)\n(done)")],
                "exit code: 12",
                "",
                "\"exit code: (\\\\d+)\\\\n(done)\" matches no further than \"exit code: 12\"",
            ),
            (
                vec![literal("xyzzy").named("magic")],
                "",
                "",
                "nothing like \"magic\" was seen",
            ),
            (
                vec![literal("nowhere"), literal("Almost there!"), regex("^$x")],
                "almost there!",
                "",
                "\"Almost there!\" would match \"almost there!\" if case were ignored",
            ),
        ] {
            let nearest = Nearest::find(&patterns, output, used).unwrap();
            assert_eq!(nearest.to_string(), explained);
            assert_eq!(crate::redact::redact_string(explained), explained);
        }
        assert_eq!(Nearest::find(&[], "", ""), None);
    }

    #[test]
    fn the_end_of_the_output_is_shown_escaped() {
        assert_eq!(seen_last("a\x1b[1mb\n"), "a\\x1b[1mb\\n");
        assert_eq!(seen_last("Password: "), "Password...");
        let long = seen_last(&format!("{}é", "x".repeat(500)));
        assert!(long.starts_with("...xx") && long.ends_with("xé"), "{long}");
    }
}
