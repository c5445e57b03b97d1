//! Looking for several patterns in text that arrives in pieces.

use super::automaton::{Automaton, Decision, Run, Text};
use super::cache::Cache;
use super::pattern::ExpectPattern;

/// How much of the text is read for one pattern before the others get their turn, at first and at most. What stands behind
/// the first match is then hardly read, so that many matches in one piece cost no more than a few.
const FIRST_STRETCH: u64 = 1024;
const LONGEST_STRETCH: u64 = 256 * 1024;

/// A search for the first match of some patterns. Begun by [`Matcher::begin`](super::Matcher::begin), it goes on where it
/// stopped whenever there is more text.
#[derive(Debug)]
pub struct Search {
    patterns: Vec<ExpectPattern>,
    scanners: Vec<Scanner>,
    /// Where it began.
    from: u64,
    /// How far all patterns have been looked for.
    at: u64,
}

#[derive(Debug)]
enum Scanner {
    /// Looked for up to here.
    Literal(u64),
    Regex(Run, Box<Cache>),
    /// A pattern of neither kind does not exist; this finds nothing.
    Idle,
}

/// Which pattern matched, and where in the whole output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The pattern.
    pub pattern: ExpectPattern,
    /// Its place among those that were looked for.
    pub place: usize,
    /// The first byte of the match.
    pub start: u64,
    /// The first byte behind it.
    pub end: u64,
    /// Where its groups are, from group 1.
    pub(super) groups: Vec<Option<(u64, u64)>>,
}

impl Search {
    pub(super) fn begin(patterns: Vec<ExpectPattern>, text: Text<'_>, from: u64) -> Self {
        let scanners = patterns.iter().map(|pattern| {
            let compiled = pattern.compiled();
            match (compiled.as_regex(), compiled.take_cache()) {
                (Some(regex), Some(mut cache)) => {
                    Scanner::Regex(regex.automaton.begin(&mut cache, text, from), cache)
                }
                _ if compiled.as_literal().is_some() => Scanner::Literal(from),
                _ => Scanner::Idle,
            }
        });
        Self {
            scanners: scanners.collect(),
            patterns,
            from,
            at: from,
        }
    }

    /// The patterns that are looked for.
    #[must_use]
    pub fn patterns(&self) -> &[ExpectPattern] {
        &self.patterns
    }

    /// The first match in what has not been read yet. A match is at most so long.
    pub(super) fn scan(&mut self, text: Text<'_>, longest: u64) -> Option<Found> {
        let end = text.end();
        let mut stretch = if self.patterns.len() > 1 {
            FIRST_STRETCH
        } else {
            u64::MAX
        };
        loop {
            let to = end.min(self.at.saturating_add(stretch));
            while let Some((pattern, decision)) = self.first(text, to, longest) {
                if let Some(found) = self.locate(pattern, text, decision.end, longest) {
                    return Some(found);
                }
                // It began before what may be part of a match; so it is looked for anew in what may.
                let from = self.from.max(decision.end.saturating_sub(longest));
                self.restart(pattern, text, from);
            }
            self.at = to;
            if to >= end {
                return None;
            }
            stretch = stretch.saturating_mul(2).min(LONGEST_STRETCH);
        }
    }

    /// The pattern whose match is final first, up to a place.
    fn first(&mut self, text: Text<'_>, to: u64, longest: u64) -> Option<(usize, Decision)> {
        let mut first: Option<(usize, Decision)> = None;
        for (place, (pattern, scanner)) in self.patterns.iter().zip(&mut self.scanners).enumerate() {
            // A later pattern has to be quicker.
            let to = first.map_or(to, |(_, decision)| decision.known_at.saturating_sub(1));
            if let Some(decision) = scanner.scan(pattern, text, (self.from, to), longest)
                && first.is_none_or(|(_, first)| decision.known_at < first.known_at)
            {
                first = Some((place, decision));
            }
        }
        first
    }

    /// The match that is there if nothing follows, at least not for a while: the one that ends first.
    pub(super) fn settle(&mut self, text: Text<'_>, longest: u64) -> Option<Found> {
        let mut ends: Vec<(u64, usize)> = self.endings().collect();
        ends.sort_unstable();
        ends.into_iter()
            .find_map(|(end, pattern)| self.locate(pattern, text, end, longest))
    }

    /// Whether there is such a match, or what looks like one.
    pub(super) fn is_pending(&mut self) -> bool {
        self.endings().next().is_some()
    }

    fn endings(&mut self) -> impl Iterator<Item = (u64, usize)> {
        let pairs = self.patterns.iter().zip(&mut self.scanners).enumerate();
        pairs.filter_map(|(place, (pattern, scanner))| {
            let automaton = &pattern.compiled().as_regex()?.automaton;
            match scanner {
                Scanner::Regex(run, cache) => Some((automaton.if_nothing_follows(cache, run)?, place)),
                Scanner::Literal(_) | Scanner::Idle => None,
            }
        })
    }

    /// Where a match that ends there begins. `None` if it began too early.
    fn locate(&self, place: usize, text: Text<'_>, end: u64, longest: u64) -> Option<Found> {
        let from = text.boundary(self.from.max(end.saturating_sub(longest)).max(text.base));
        let pattern = self.patterns.get(place)?;
        let span = pattern
            .compiled()
            .find_in(text.bytes, text.index(from), text.index(end))?;
        let at = |index: usize| text.base + index as u64;
        Some(Found {
            pattern: pattern.clone(),
            place,
            start: at(span.start),
            end: at(span.end),
            groups: span
                .groups
                .iter()
                .map(|group| group.map(|(start, end)| (at(start), at(end))))
                .collect(),
        })
    }

    fn restart(&mut self, pattern: usize, text: Text<'_>, from: u64) {
        let regex = self
            .patterns
            .get(pattern)
            .and_then(|pattern| pattern.compiled().as_regex());
        match (self.scanners.get_mut(pattern), regex) {
            (Some(Scanner::Regex(run, cache)), Some(regex)) => {
                // Always further on, so that it ends whatever happens.
                let from = text.boundary(from.max(run.from + 1));
                *run = regex.automaton.begin(cache, text, from);
            }
            (Some(scanner), _) => *scanner = Scanner::Idle,
            (None, _) => {}
        }
    }
}

impl Scanner {
    fn scan(
        &mut self,
        pattern: &ExpectPattern,
        text: Text<'_>,
        (from, to): (u64, u64),
        longest: u64,
    ) -> Option<Decision> {
        match self {
            Self::Literal(at) => {
                let finder = pattern.compiled().as_literal()?;
                // Its beginning may have been the end of what was read.
                let begun = finder.needle().len().saturating_sub(1) as u64;
                let from = from.max(at.saturating_sub(begun)).max(text.base);
                match finder.find(text.between(from, to)) {
                    Some(start) => {
                        let end = from + (start + finder.needle().len()) as u64;
                        Some(Decision { end, known_at: end })
                    }
                    None => {
                        *at = to.max(*at);
                        None
                    }
                }
            }
            Self::Regex(run, cache) => {
                let automaton: &Automaton = &pattern.compiled().as_regex()?.automaton;
                automaton.advance(cache, run, text, to, longest)
            }
            Self::Idle => None,
        }
    }
}

impl Drop for Search {
    fn drop(&mut self) {
        for (pattern, scanner) in self.patterns.iter().zip(self.scanners.drain(..)) {
            if let Scanner::Regex(_, cache) = scanner {
                pattern.compiled().keep_cache(cache);
            }
        }
    }
}
