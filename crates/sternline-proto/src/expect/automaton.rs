//! Where the match of a regular expression ends, in text that arrives in pieces.

use memchr::memmem::{Finder, FinderRev};
use regex_automata::Span;
use regex_automata::nfa::thompson::{NFA, State};
use regex_automata::util::prefilter::Prefilter;
use regex_automata::util::primitives::StateID;

use super::cache::{Cache, DEAD, FINAL, MATCH, START};
use super::look::{Next, Prev, holds};

/// A Thompson automaton whose deterministic form is worked out as it is needed.
///
/// It differs from those of the regex crate in two ways. It can stop after any byte and go on later, so nothing is ever
/// searched twice. And it knows whether a match is final, as no further output could change it, or might still grow: so the
/// digits of `port (\d+)` are never cut short because they came in two pieces.
#[derive(Debug)]
pub(super) struct Automaton {
    nfa: NFA,
    /// For each byte its class; all bytes of a class are alike to the pattern.
    classes: Box<[u8; 256]>,
    /// One byte of each class.
    representatives: Vec<u8>,
    /// Whether there are assertions, such as `$` or `\b`.
    has_looks: bool,
    prefilter: Option<Prefilter>,
    /// A text that stands in every match.
    needed: Option<Needed>,
}

/// A text that is looked for instead, wherever no match can be under way.
#[derive(Debug)]
struct Needed {
    forward: Finder<'static>,
    backward: FinderRev<'static>,
}

impl Needed {
    fn new(text: &[u8]) -> Self {
        Self {
            forward: Finder::new(text).into_owned(),
            backward: FinderRev::new(text).into_owned(),
        }
    }

    fn len(&self) -> u64 {
        self.forward.needle().len() as u64
    }
}

/// How far a search has come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    /// Where it began.
    pub(super) from: u64,
    /// In the cache.
    state: u32,
    /// Where the match ends that would be taken if nothing followed.
    candidate: Option<u64>,
    /// Where this stands.
    pub(super) at: u64,
    /// Up to where every byte has to be read, because a needed text stands near. `None`: nothing of a match was read, and
    /// the state means nothing.
    awake_to: Option<u64>,
}

/// A match that no further output can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decision {
    /// Where the match ends.
    pub(super) end: u64,
    /// How much had to be read to be sure.
    pub(super) known_at: u64,
}

/// Text, and its place in the whole stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a> {
    pub(super) bytes: &'a [u8],
    /// The place of the first byte.
    pub(super) base: u64,
}

impl<'a> Text<'a> {
    /// The bytes between two places, as far as they are there.
    pub(super) fn between(self, from: u64, to: u64) -> &'a [u8] {
        self.bytes
            .get(self.index(from)..self.index(to))
            .unwrap_or_default()
    }

    pub(super) fn index(self, place: u64) -> usize {
        usize::try_from(place.saturating_sub(self.base)).unwrap_or(usize::MAX)
    }

    /// The first place at or after this one at which a character begins.
    pub(super) fn boundary(self, place: u64) -> u64 {
        let rest = self.bytes.get(self.index(place)..).unwrap_or_default();
        place
            + rest
                .iter()
                .take_while(|byte| (0x80..0xc0).contains(*byte))
                .count() as u64
    }

    pub(super) fn end(self) -> u64 {
        self.base + self.bytes.len() as u64
    }

    fn before(self, place: u64) -> Option<u8> {
        self.bytes.get(self.index(place).checked_sub(1)?).copied()
    }
}

impl Automaton {
    /// `needed` is a text that stands in every match.
    pub(super) fn new(nfa: NFA, prefilter: Option<Prefilter>, needed: Option<&[u8]>) -> Self {
        let mut classes = Box::new([0; 256]);
        let mut representatives = Vec::new();
        for (byte, class) in (0..=u8::MAX).zip(classes.iter_mut()) {
            *class = nfa.byte_classes().get(byte);
            if usize::from(*class) == representatives.len() {
                representatives.push(byte);
            }
        }
        let has_looks = !nfa.look_set_any().is_empty();
        Self {
            nfa,
            classes,
            representatives,
            has_looks,
            // Where a match may begin can then depend on what stands before it.
            prefilter: prefilter.filter(|_| !has_looks),
            needed: needed.map(Needed::new),
        }
        .with_one_filter()
    }

    /// What finds the beginnings of matches needs no help.
    fn with_one_filter(mut self) -> Self {
        self.needed = self.needed.filter(|_| self.prefilter.is_none());
        self
    }

    pub(super) fn cache(&self) -> Cache {
        Cache::new(
            self.representatives.len(),
            self.nfa.states().len(),
            self.prefilter.is_some(),
        )
    }

    /// Begins at a place of the text.
    pub(super) fn begin(&self, cache: &mut Cache, text: Text<'_>, at: u64) -> Run {
        let prev = Prev::of(text.before(at), self.has_looks);
        let state = self.start(cache, prev);
        let candidate = cache.has(state, MATCH).then_some(at);
        Run {
            from: at,
            state,
            candidate,
            at,
            awake_to: self.needed.is_none().then_some(u64::MAX),
        }
    }

    fn start(&self, cache: &mut Cache, prev: Prev) -> u32 {
        cache.begin_list();
        self.close(cache, self.nfa.start_anchored(), prev, Next::Unknown);
        cache.note_start();
        self.intern(cache, prev)
    }

    /// Reads on to a place, and stops as soon as a match is final. A match is at most so long.
    ///
    /// Of a match that needs a certain text only what stands so near to one is read.
    pub(super) fn advance(
        &self,
        cache: &mut Cache,
        run: &mut Run,
        text: Text<'_>,
        to: u64,
        longest: u64,
    ) -> Option<Decision> {
        let Some(needed) = &self.needed else {
            return self.read(cache, run, text, to);
        };
        while run.at < to {
            let Some(awake_to) = run.awake_to else {
                // Its beginning may have been the end of what was read.
                let from = run.at.saturating_sub(needed.len() - 1);
                let from = from.max(run.from).max(text.base);
                let Some(found) = needed.forward.find(text.between(from, to)) else {
                    run.at = to;
                    return None;
                };
                let end = from + found as u64 + needed.len();
                let begin = run.from.max(text.base).max(end.saturating_sub(longest));
                *run = Run {
                    from: run.from,
                    awake_to: Some(end.saturating_add(longest)),
                    ..self.begin(cache, text, text.boundary(begin))
                };
                continue;
            };
            if let Some(decision) = self.read(cache, run, text, to.min(awake_to)) {
                return Some(decision);
            }
            if run.at >= awake_to {
                let from = run.at.saturating_sub(longest).max(text.base);
                let seen = needed.backward.rfind(text.between(from, run.at));
                let seen = seen.map(|found| from + found as u64 + needed.len());
                // What could still grow may have been decided long ago; it only waits for its turn.
                let near = run.candidate.map(|_| run.at).max(seen);
                run.awake_to = near
                    .map(|near| near.saturating_add(longest))
                    .filter(|to| *to > run.at);
            }
        }
        None
    }

    fn read(&self, cache: &mut Cache, run: &mut Run, text: Text<'_>, to: u64) -> Option<Decision> {
        // An empty match may be final before anything was read.
        if let Some(end) = run.candidate
            && (cache.has(run.state, FINAL) || cache.has(run.state, DEAD))
        {
            return Some(Decision {
                end,
                known_at: run.at,
            });
        }
        // The last bytes of a piece may be the beginning of what the prefilter looks for.
        let mut unfiltered_to = run.at;
        while run.at < to {
            if cache.has(run.state, DEAD) {
                run.at = to;
                return None;
            }
            if run.at >= unfiltered_to && cache.has(run.state, START) {
                unfiltered_to = self.skip(run, text, to);
                continue;
            }
            let bytes = text.between(run.at, to);
            let (state, passed) = cache.run(run.state, bytes, &self.classes);
            run.state = state;
            run.at += passed as u64;
            let byte = bytes.get(passed).copied()?;
            let (state, ended_before) = self.step(cache, run.state, byte);
            if ended_before {
                run.candidate = Some(run.at);
            }
            run.state = state;
            run.at += 1;
            if cache.has(state, MATCH) {
                run.candidate = Some(run.at);
            }
            if let Some(end) = run.candidate
                && (cache.has(state, FINAL) || cache.has(state, DEAD))
            {
                return Some(Decision {
                    end,
                    known_at: run.at,
                });
            }
        }
        None
    }

    /// Passes over what cannot begin a match, and says from where on that is not known.
    fn skip(&self, run: &mut Run, text: Text<'_>, to: u64) -> u64 {
        let Some(prefilter) = &self.prefilter else {
            return to;
        };
        let (from, until) = (text.index(run.at), text.index(to).min(text.bytes.len()));
        match prefilter.find(
            text.bytes,
            Span {
                start: from,
                end: until,
            },
        ) {
            Some(found) => {
                run.at += found.start.saturating_sub(from) as u64;
                run.at + 1
            }
            None => {
                let begun = prefilter.max_needle_len().saturating_sub(1) as u64;
                // At the beginning of a character, where the state is the right one.
                let mut at = to.saturating_sub(begun);
                while at > run.at && text.boundary(at) != at {
                    at -= 1;
                }
                run.at = run.at.max(at);
                to
            }
        }
    }

    /// Where the match ends that is there if nothing follows, at least not for a while.
    pub(super) fn if_nothing_follows(&self, cache: &mut Cache, run: &Run) -> Option<u64> {
        run.awake_to?;
        if self.has_looks {
            let prev = Prev::of_flag(cache.prev(run.state));
            cache.load_list(run.state);
            if self.resolve(cache, prev, Next::End) {
                return Some(run.at);
            }
        }
        run.candidate
    }

    /// The state after a byte, and whether a match ended before it.
    fn step(&self, cache: &mut Cache, state: u32, byte: u8) -> (u32, bool) {
        let class = self.classes.get(usize::from(byte)).copied().unwrap_or_default();
        if let Some(known) = cache.known(state, class) {
            return known;
        }
        // All bytes of a class lead to the same state, so that it does not matter which of them stands for it.
        let byte = self
            .representatives
            .get(usize::from(class))
            .copied()
            .unwrap_or(byte);
        let mut ended_before = false;
        cache.load_list(state);
        if self.has_looks {
            let prev = Prev::of_flag(cache.prev(state));
            ended_before = self.resolve(cache, prev, Next::Byte(byte)) && !cache.has(state, MATCH);
        }
        let prev = Prev::of(Some(byte), self.has_looks);
        let threads = cache.take_list();
        cache.begin_list();
        for &thread in &threads {
            let next = match self.state(thread) {
                State::ByteRange { trans } => trans.matches_byte(byte).then_some(trans.next),
                State::Sparse(sparse) => sparse.matches_byte(byte),
                State::Dense(dense) => dense.matches_byte(byte),
                // Whatever comes after a match in this order is of less importance than the match.
                State::Match { .. } => break,
                _ => None,
            };
            if let Some(next) = next
                && self.close(cache, next, prev, Next::Unknown)
            {
                break;
            }
        }
        cache.give_back(threads);
        let next = self.intern(cache, prev);
        cache.remember(state, class, next, ended_before);
        (next, ended_before)
    }

    fn state(&self, id: u32) -> &State {
        self.nfa.state(StateID::new_unchecked(id as usize))
    }

    /// Follows the assertions that had to wait for what comes next, in place. Whether a match is reached.
    fn resolve(&self, cache: &mut Cache, prev: Prev, next: Next) -> bool {
        let threads = cache.take_list();
        cache.begin_list();
        let mut matched = false;
        for &thread in &threads {
            if self.close(cache, StateID::new_unchecked(thread as usize), prev, next) {
                matched = true;
                break;
            }
        }
        cache.give_back(threads);
        matched
    }

    /// Adds all that can be reached without reading anything, in order of importance. Ends at a match, and says so.
    fn close(&self, cache: &mut Cache, from: StateID, prev: Prev, next: Next) -> bool {
        cache.push(from.as_u32());
        while let Some(id) = cache.pop() {
            if !cache.visit(id) {
                continue;
            }
            match self.state(id) {
                State::ByteRange { .. } | State::Sparse(_) | State::Dense(_) => cache.add(id),
                State::Match { .. } => {
                    cache.add(id);
                    cache.clear_stack();
                    return true;
                }
                State::Look { look, next: then } => match holds(*look, prev, next) {
                    Some(true) => cache.push(then.as_u32()),
                    Some(false) => {}
                    None => cache.add(id),
                },
                State::Union { alternates } => {
                    for alternate in alternates.iter().rev() {
                        cache.push(alternate.as_u32());
                    }
                }
                State::BinaryUnion { alt1, alt2 } => {
                    cache.push(alt2.as_u32());
                    cache.push(alt1.as_u32());
                }
                State::Capture { next, .. } => cache.push(next.as_u32()),
                State::Fail => {}
            }
        }
        false
    }

    /// The state that the list makes.
    fn intern(&self, cache: &mut Cache, prev: Prev) -> u32 {
        let mut flags = 0;
        let mut waits = false;
        for (place, &thread) in cache.list().iter().enumerate() {
            match self.state(thread) {
                State::Match { .. } if place == 0 => flags |= MATCH | FINAL,
                State::Match { .. } => flags |= MATCH,
                State::Look { .. } => waits = true,
                _ => {}
            }
        }
        if cache.list().is_empty() {
            flags |= DEAD;
        }
        // What went before matters only to assertions that still wait.
        cache.intern(if waits { prev.flag() } else { 0 }, flags)
    }
}
