//! From a pattern's text to what is needed to find it.

use regex_automata::meta;
use regex_automata::nfa::thompson;
use regex_automata::util::prefilter::Prefilter;
use regex_automata::{Input, MatchKind};
use regex_syntax::ast;
use regex_syntax::hir::{Capture, Dot, Hir, HirKind, Look, Repetition};
use regex_syntax::{Error as SyntaxError, Parser};

use super::automaton::Automaton;
use super::error::PatternError;
use crate::text::escape;

/// How large a compiled pattern may be.
const LARGEST: usize = 10 * 1024 * 1024;

/// A regular expression, ready to be searched for.
#[derive(Debug)]
pub(super) struct Regex {
    /// Says where a match ends, in text that arrives in pieces.
    pub(super) automaton: Automaton,
    /// Says where a match that is known to end somewhere begins, and what its groups are.
    regex: meta::Regex,
}

/// Where a match and its groups stand in the text that was searched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
    /// Without the whole match, which would be group 0.
    pub(super) groups: Vec<Option<(usize, usize)>>,
}

impl Regex {
    pub(super) fn new(pattern: &str) -> Result<Self, PatternError> {
        Self::from_hir(&parse(pattern)?).map_err(|reason| PatternError::TooLarge { reason })
    }

    pub(super) fn from_hir(hir: &Hir) -> Result<Self, String> {
        let nfa = thompson::Compiler::new()
            .configure(thompson::Config::new().nfa_size_limit(Some(LARGEST)))
            .build_from_hir(&anywhere(hir))
            .map_err(|error| error.to_string())?;
        let regex = meta::Builder::new()
            .configure(meta::Config::new().nfa_size_limit(Some(LARGEST)))
            .build_from_hir(hir)
            .map_err(|error| error.to_string())?;
        let prefilter = Prefilter::from_hir_prefix(MatchKind::LeftmostFirst, hir);
        let prefilter = prefilter.filter(Prefilter::is_fast);
        Ok(Self {
            automaton: Automaton::new(nfa, prefilter, needed(hir)),
            regex,
        })
    }

    /// The first match in this part of the text. What stands before and behind the part counts for `^`, `\b` and `$`.
    pub(super) fn find(&self, text: &[u8], from: usize, to: usize) -> Option<Span> {
        if from > to || to > text.len() {
            return None;
        }
        let mut captures = self.regex.create_captures();
        self.regex
            .captures(Input::new(text).span(from..to), &mut captures);
        let whole = captures.get_match()?;
        let groups = (1..captures.group_len())
            .map(|group| captures.get_group(group).map(|span| (span.start, span.end)));
        Some(Span {
            start: whole.start(),
            end: whole.end(),
            groups: groups.collect(),
        })
    }
}

/// The longest text that stands in every match, where there is one.
fn needed(hir: &Hir) -> Option<&[u8]> {
    match hir.kind() {
        HirKind::Literal(literal) => Some(&literal.0),
        HirKind::Capture(capture) => needed(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => needed(&repetition.sub),
        HirKind::Concat(parts) => parts
            .iter()
            .filter_map(needed)
            // Blanks stand everywhere.
            .max_by_key(|literal| literal.iter().filter(|byte| !byte.is_ascii_whitespace()).count()),
        _ => None,
    }
}

/// The pattern behind any characters, as few as possible. Whole characters, so that nothing matches inside of one.
fn anywhere(hir: &Hir) -> Hir {
    if hir.properties().look_set_prefix().contains(Look::Start) {
        return hir.clone();
    }
    let before = Hir::repetition(Repetition {
        min: 0,
        max: None,
        greedy: false,
        sub: Box::new(Hir::dot(Dot::AnyChar)),
    });
    Hir::concat(vec![before, hir.clone()])
}

/// The meaning of a pattern's text, with word boundaries that look at ASCII letters, digits and underscores only: whether a
/// character that arrives in pieces is a letter would be known too late.
pub(super) fn parse(pattern: &str) -> Result<Hir, PatternError> {
    match Parser::new().parse(pattern) {
        Ok(hir) => Ok(with_ascii_boundaries(&hir)),
        Err(error) => Err(explain(pattern, &error)),
    }
}

fn explain(pattern: &str, error: &SyntaxError) -> PatternError {
    let pattern = escape(pattern);
    let (at, reason) = match error {
        SyntaxError::Parse(error) => match error.kind() {
            ast::ErrorKind::UnsupportedLookAround => return PatternError::LookAround { pattern },
            ast::ErrorKind::UnsupportedBackreference => return PatternError::BackReference { pattern },
            kind => (error.span().start.offset, kind.to_string()),
        },
        SyntaxError::Translate(error) => (error.span().start.offset, error.kind().to_string()),
        other => (0, escape(&other.to_string())),
    };
    PatternError::Syntax { pattern, at, reason }
}

fn with_ascii_boundaries(hir: &Hir) -> Hir {
    let all = |parts: &[Hir]| parts.iter().map(with_ascii_boundaries).collect();
    match hir.kind() {
        HirKind::Look(look) => Hir::look(match look {
            Look::WordUnicode => Look::WordAscii,
            Look::WordUnicodeNegate => Look::WordAsciiNegate,
            Look::WordStartUnicode => Look::WordStartAscii,
            Look::WordEndUnicode => Look::WordEndAscii,
            Look::WordStartHalfUnicode => Look::WordStartHalfAscii,
            Look::WordEndHalfUnicode => Look::WordEndHalfAscii,
            other => *other,
        }),
        HirKind::Repetition(repetition) => Hir::repetition(Repetition {
            sub: Box::new(with_ascii_boundaries(&repetition.sub)),
            ..repetition.clone()
        }),
        HirKind::Capture(capture) => Hir::capture(Capture {
            sub: Box::new(with_ascii_boundaries(&capture.sub)),
            ..capture.clone()
        }),
        HirKind::Concat(parts) => Hir::concat(all(parts)),
        HirKind::Alternation(parts) => Hir::alternation(all(parts)),
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) => hir.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_text_that_no_match_can_do_without_is_needed() {
        for (pattern, expected) in [
            (r"\w+ ready", Some(" ready")),
            (r"(\d+)-(abc)+[xy]de", Some("abc")),
            (r"\w+@\w+:.*[$#] ", Some(":")),
            (r"\w(?:abc)?d{2,}", Some("d")),
            (r"\w(abc|abd)*", None),
            (r"(?i)\w+abc", None),
            (r"\w+ ready|[^\s\S]", None),
            (r"^$", None),
        ] {
            let hir = parse(pattern).unwrap();
            let found = needed(&hir).map(|text| std::str::from_utf8(text).unwrap());
            assert_eq!(found, expected, "{pattern}");
        }
    }
}
