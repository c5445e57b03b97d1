//! Output that has not been used up yet, and matches in it.

use std::borrow::Cow;

use super::automaton::Text;
use super::pattern::ExpectPattern;
use super::search::{Found, Search};

/// Output as it arrives, of which each match uses up what stands before its end.
///
/// Bounded: of output that nothing matches only the last part is kept, and a match is at most as long as that.
///
/// What is found is the match that the output decides first: a literal with its last byte, a regular expression once
/// nothing that follows could change its match. Of two that are decided by the same byte it is the pattern named first. A
/// regular expression that could still match more, or that looks at what follows, waits: [`Matcher::settle`] takes it as it
/// is when nothing has followed for a while. Between those moments it does not matter how the output was cut.
#[derive(Debug)]
pub struct Matcher {
    limit: usize,
    buffer: Vec<u8>,
    /// The place of the buffer's first byte in the whole output.
    base: u64,
    /// Where in the buffer `^` is: what was used up ends here. Where the beginning was dropped, it is a byte before `head`.
    origin: usize,
    /// The first byte that may be part of a match.
    head: usize,
    dropped: u64,
    /// The end of what was used up.
    used: Vec<u8>,
}

/// What a match used up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumed {
    /// What matched.
    pub match_text: String,
    /// Its groups, from group 1.
    pub groups: Vec<Option<String>>,
    /// The output since the match before, as much as is kept, with this match at its end.
    pub buffer: String,
}

/// How much of what was used up is remembered at least, to explain why something was not found.
const REMEMBERED: usize = 4096;

/// What stays before the head, so that assertions can look back.
const CONTEXT: usize = 8;

impl Matcher {
    /// How many bytes are kept by default: 1 MiB.
    pub const DEFAULT_LIMIT: usize = 1024 * 1024;

    /// A matcher that keeps so many bytes of output that nothing has matched.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit: limit.max(1),
            buffer: Vec::new(),
            base: 0,
            origin: 0,
            head: 0,
            dropped: 0,
            used: Vec::new(),
        }
    }

    /// The number of bytes that are kept.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// How many bytes were dropped without having matched.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The output that has not been used up.
    #[must_use]
    pub fn remaining(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.buffer.get(self.head..).unwrap_or_default())
    }

    /// The end of the output that matches have used up: 4 to 8 KiB.
    #[must_use]
    pub fn used(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.used)
    }

    /// Begins to look for patterns in what has not been used up.
    #[must_use]
    pub fn begin(&self, patterns: Vec<ExpectPattern>) -> Search {
        Search::begin(patterns, self.text(), self.base + self.head as u64)
    }

    /// Appends output that nobody is looking for anything in yet.
    pub fn append(&mut self, text: &str) {
        self.buffer.extend_from_slice(text.as_bytes());
        self.trim();
    }

    /// Appends output, and looks on.
    pub fn push(&mut self, search: &mut Search, text: &str) -> Option<Found> {
        self.buffer.extend_from_slice(text.as_bytes());
        self.find(search)
    }

    /// The first match in what a search has not read yet.
    pub fn find(&mut self, search: &mut Search) -> Option<Found> {
        let found = search.scan(self.text(), self.limit as u64);
        if found.is_none() {
            self.trim();
        }
        found
    }

    /// Whether a match is there, should nothing follow. Ask after [`Matcher::find`] has found none.
    #[must_use]
    pub fn is_pending(&self, search: &mut Search) -> bool {
        search.is_pending()
    }

    /// The match that is there as nothing follows: at the end of the output, or after a while of silence.
    pub fn settle(&self, search: &mut Search) -> Option<Found> {
        search.settle(self.text(), self.limit as u64)
    }

    /// Uses up the output through a match that was just found.
    pub fn consume(&mut self, found: &Found) -> Consumed {
        let text = self.text();
        let part = |from, to| String::from_utf8_lossy(text.between(from, to)).into_owned();
        let consumed = Consumed {
            match_text: part(found.start, found.end),
            groups: found
                .groups
                .iter()
                .map(|group| group.map(|(start, end)| part(start, end)))
                .collect(),
            // As much as there would be if every byte had come by itself.
            buffer: part(
                text.boundary(
                    (self.base + self.head as u64).max(found.end.saturating_sub(self.limit as u64)),
                ),
                found.end,
            ),
        };
        let end = usize::try_from(found.end.saturating_sub(self.base)).unwrap_or(usize::MAX);
        self.use_up(end.clamp(self.head, self.buffer.len()));
        consumed
    }

    /// Uses up all there is.
    pub fn consume_all(&mut self) {
        self.use_up(self.buffer.len());
    }

    fn use_up(&mut self, end: usize) {
        let used = self.buffer.get(self.head..end).unwrap_or_default();
        let used = used
            .get(used.len().saturating_sub(REMEMBERED)..)
            .unwrap_or_default();
        self.used.extend_from_slice(used);
        // Not each time, as it may be little that was used up.
        if self.used.len() > 2 * REMEMBERED {
            self.used.drain(..self.used.len() - REMEMBERED);
        }
        self.head = end;
        self.origin = end;
        self.compact();
    }

    fn text(&self) -> Text<'_> {
        Text {
            bytes: self.buffer.get(self.origin..).unwrap_or_default(),
            base: self.base + self.origin as u64,
        }
    }

    /// Drops what is more than the limit. Only after it has been searched.
    fn trim(&mut self) {
        let excess = (self.buffer.len() - self.head).saturating_sub(self.limit);
        if excess > 0 {
            let before = self.head;
            let head = self.text().boundary(self.base + (self.head + excess) as u64);
            self.head = usize::try_from(head - self.base).unwrap_or(self.head);
            self.dropped += (self.head - before) as u64;
        }
        self.compact();
    }

    /// Frees what stands before the head, once it is as much as what stands behind it: so each byte is moved once at most.
    fn compact(&mut self) {
        let unused = self.head.saturating_sub(CONTEXT);
        if unused > 0 && unused >= self.buffer.len() - unused {
            self.buffer.drain(..unused);
            self.base += unused as u64;
            self.head -= unused;
            self.origin = self.origin.saturating_sub(unused);
        }
    }
}

impl Default for Matcher {
    fn default() -> Self {
        Self::new(Self::DEFAULT_LIMIT)
    }
}

#[cfg(test)]
mod tests;
