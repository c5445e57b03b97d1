//! Which files of a tree take part in a transfer: lists of include and exclude patterns.

use thiserror::Error;

use crate::text::escape_bytes;

/// An ordered list of patterns that include or exclude files.
///
/// The first pattern that matches a file decides about it; a file that none matches is included. The paths are
/// those below the root of the transfer, and the root itself is always included. A caller does not enter a
/// directory that is excluded, so what lies below one needs no pattern of its own and cannot be included again.
///
/// Patterns mean what they mean to rsync(1), "PATTERN MATCHING RULES":
///
/// | written | matches |
/// |---|---|
/// | `*` | any run of characters, also none, except `/` |
/// | `?` | one character except `/` |
/// | `[a-z]`, `[!a]`, `[^a]` | one character of the set, or not of it; never `/` |
/// | `**` | any run of characters, `/` too |
/// | `**/` at the start of a component | any number of whole directories, also none |
/// | `/***` at the end | the directory itself and everything below it |
/// | `\` | makes the next character an ordinary one |
/// | `/` at the start | nothing; the pattern then speaks of the root of the transfer only |
/// | `/` at the end | nothing; the pattern then speaks of directories only |
///
/// A pattern that does not begin with `/` matches at any depth: `*.o` is about the last component, `build/*.o` about
/// the last two. A character is one of UTF-8, or one byte that belongs to none. Upper and lower case differ.
/// Unlike in rsync, `a/**/b` matches `a/b` as well. Named classes such as `[[:digit:]]` are refused.
///
/// The time for one decision is bounded by the length of the path times the length of all patterns.
///
/// ```
/// use sternline_proto::files::Filter;
///
/// let sources = Filter::new().include("*/")?.include("*.rs")?.exclude("*")?;
/// assert!(sources.decide(b"src", true) && sources.decide(b"src/main.rs", false));
/// assert!(!sources.decide(b"src/main.o", false));
/// # Ok::<(), sternline_proto::files::PatternError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    includes: bool,
    pattern: Pattern,
}

impl Filter {
    /// A filter without patterns: everything is included.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same filter with one more pattern at its end, for files to include.
    ///
    /// # Errors
    /// [`PatternError`] if it is no pattern, or can match nothing.
    pub fn include(self, pattern: impl AsRef<[u8]>) -> Result<Self, PatternError> {
        self.with(true, pattern.as_ref())
    }

    /// The same filter with one more pattern at its end, for files to exclude.
    ///
    /// # Errors
    /// [`PatternError`] if it is no pattern, or can match nothing.
    pub fn exclude(self, pattern: impl AsRef<[u8]>) -> Result<Self, PatternError> {
        self.with(false, pattern.as_ref())
    }

    fn with(mut self, includes: bool, text: &[u8]) -> Result<Self, PatternError> {
        let pattern = Pattern::parse(text).map_err(|problem| PatternError {
            pattern: text.to_owned(),
            problem,
        })?;
        self.rules.push(Rule { includes, pattern });
        Ok(self)
    }

    /// Whether the filter has no pattern, and so includes everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether a file takes part, by its path below the root of the transfer: components separated by single
    /// slashes, without one at either end. Symlinks are no directories.
    #[must_use]
    pub fn decide(&self, path: &[u8], is_directory: bool) -> bool {
        if path.is_empty() || self.rules.is_empty() {
            return true;
        }
        let path: Vec<u32> = characters(path).collect();
        self.rules
            .iter()
            .find(|rule| rule.pattern.matches(&path, is_directory))
            .is_none_or(|rule| rule.includes)
    }
}

/// Why a text is no pattern for a [`Filter`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the pattern {} {problem}", escape_bytes(.pattern))]
pub struct PatternError {
    /// The pattern as given.
    pub pattern: Vec<u8>,
    /// What is wrong with it.
    pub problem: PatternProblem,
}

/// What is wrong with a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PatternProblem {
    /// Nothing but slashes, or nothing at all.
    #[error("names no file: write a name such as *.o, or /build/ for a directory")]
    Empty,
    /// A component that no path below a root has.
    #[error(
        "has an empty component, . or .., so it would match nothing: paths begin at the root of the transfer"
    )]
    Component,
    /// A `[` that nothing closes.
    #[error("has a [ without its ]: write \\[ for the character itself")]
    OpenClass,
    /// A range such as `z-a`.
    #[error("has a range in brackets that ends before it begins")]
    Range,
    /// A named class such as `[:alpha:]`.
    #[error("has a named class in brackets: write the characters, such as [0-9]")]
    NamedClass,
    /// A backslash with nothing behind it.
    #[error("ends with a backslash, which has nothing to make ordinary there")]
    Backslash,
}

const SLASH: u32 = b'/' as u32;

/// The characters of a path or a pattern: Unicode's numbers, and numbers above those for bytes that are not UTF-8.
fn characters(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.utf8_chunks().flat_map(|chunk| {
        let valid = chunk.valid().chars().map(u32::from);
        valid.chain(chunk.invalid().iter().map(|byte| 0x11_0000 + u32::from(*byte)))
    })
}

/// One step of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Literal(u32),
    /// `?`
    One,
    /// `[...]`
    Class {
        negated: bool,
        ranges: Vec<(u32, u32)>,
    },
    /// `*`
    Star,
    /// `**`
    Everything,
    /// `**/`
    Directories,
    /// `/***`: the end of the path, or a slash. [`Step::Everything`] follows it and ends the pattern.
    Below,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    steps: Vec<Step>,
    directories_only: bool,
}

impl Pattern {
    fn parse(text: &[u8]) -> Result<Self, PatternProblem> {
        let text: Vec<u32> = characters(text).collect();
        let (anchored, text) = match text.as_slice() {
            [SLASH, rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        // A slash behind a backslash is still a slash: no name holds one.
        let (directories_only, text) = match text {
            [rest @ .., SLASH] => (true, rest),
            rest => (false, rest),
        };
        if text.is_empty() {
            return Err(PatternProblem::Empty);
        }
        let is_never =
            |component: &[u32]| component.iter().all(|c| *c == u32::from(b'.')) && component.len() < 3;
        if text.split(|c| *c == SLASH).any(is_never) {
            return Err(PatternProblem::Component);
        }
        let mut steps = Vec::with_capacity(text.len() + 1);
        if !anchored {
            steps.push(Step::Directories);
        }
        let mut rest = text;
        let mut at_start = true;
        while let Some((step, after)) = Step::parse(rest, at_start)? {
            at_start = matches!(step, Step::Literal(SLASH) | Step::Directories);
            let is_below = step == Step::Below;
            steps.push(step);
            if is_below {
                steps.push(Step::Everything);
            }
            rest = after;
        }
        Ok(Self {
            steps,
            directories_only,
        })
    }

    /// Follows all ways through the pattern at once, so that the time is bounded by the product of the lengths.
    fn matches(&self, path: &[u32], is_directory: bool) -> bool {
        if self.directories_only && !is_directory {
            return false;
        }
        // Where in the pattern the characters read so far can lead; the place behind the last step is a match.
        let mut here = vec![false; self.steps.len() + 1];
        let mut next = here.clone();
        self.reach(&mut here, 0);
        for &c in path {
            next.fill(false);
            for (place, step) in self.steps.iter().enumerate() {
                if !here.get(place).is_some_and(|is_here| *is_here) {
                    continue;
                }
                if step.passes(c) {
                    self.reach(&mut next, place + 1);
                }
                match step {
                    Step::Star if c != SLASH => self.reach(&mut next, place),
                    Step::Everything => self.reach(&mut next, place),
                    // In the middle of a directory's name: only a slash leads further.
                    Step::Directories => next
                        .iter_mut()
                        .skip(place)
                        .take(1)
                        .for_each(|there| *there = true),
                    _ => {}
                }
            }
            std::mem::swap(&mut here, &mut next);
            if !here.contains(&true) {
                return false;
            }
        }
        here.last().is_some_and(|is_match| *is_match)
    }

    /// Marks a place, and those behind it that need no further character.
    fn reach(&self, places: &mut [bool], from: usize) {
        let mut steps = self.steps.iter().skip(from);
        for place in places.iter_mut().skip(from) {
            *place = true;
            match steps.next() {
                Some(Step::Star | Step::Everything | Step::Directories) => {}
                Some(Step::Below) => {
                    if let Some(end) = places.last_mut() {
                        *end = true;
                    }
                    return;
                }
                _ => return,
            }
        }
    }
}

impl Step {
    /// The first step of a pattern's text and what follows it; nothing at its end.
    fn parse(text: &[u32], at_start: bool) -> Result<Option<(Self, &[u32])>, PatternProblem> {
        const STAR: u32 = b'*' as u32;
        const QUESTION: u32 = b'?' as u32;
        const OPEN: u32 = b'[' as u32;
        const BACKSLASH: u32 = b'\\' as u32;
        Ok(Some(match text {
            [] => return Ok(None),
            [SLASH, STAR, STAR, STAR] => (Self::Below, &[]),
            [STAR, STAR, rest @ ..] => {
                let stars = rest.iter().take_while(|c| **c == STAR).count();
                match rest.get(stars..).unwrap_or_default() {
                    [SLASH, rest @ ..] if at_start => (Self::Directories, rest),
                    rest => (Self::Everything, rest),
                }
            }
            [STAR, rest @ ..] => (Self::Star, rest),
            [QUESTION, rest @ ..] => (Self::One, rest),
            [OPEN, rest @ ..] => Self::parse_class(rest)?,
            [BACKSLASH] => return Err(PatternProblem::Backslash),
            [BACKSLASH, c, rest @ ..] | [c, rest @ ..] => (Self::Literal(*c), rest),
        }))
    }

    /// What follows a `[`. A `]` that stands first is one of the characters.
    fn parse_class(text: &[u32]) -> Result<(Self, &[u32]), PatternProblem> {
        const CLOSE: u32 = b']' as u32;
        const DASH: u32 = b'-' as u32;
        const OPEN: u32 = b'[' as u32;
        const COLON: u32 = b':' as u32;
        let (negated, mut rest) = match text {
            [first, rest @ ..] if [u32::from(b'!'), u32::from(b'^')].contains(first) => (true, rest),
            rest => (false, rest),
        };
        let mut ranges = Vec::new();
        loop {
            rest = match rest {
                [CLOSE, rest @ ..] if !ranges.is_empty() => {
                    return Ok((Self::Class { negated, ranges }, rest));
                }
                [OPEN, COLON, ..] => return Err(PatternProblem::NamedClass),
                _ => {
                    let (low, after) = class_character(rest)?;
                    let (high, after) = match after {
                        [DASH, end, ..] if *end != CLOSE => {
                            class_character(after.get(1..).unwrap_or_default())?
                        }
                        _ => (low, after),
                    };
                    if high < low {
                        return Err(PatternProblem::Range);
                    }
                    ranges.push((low, high));
                    after
                }
            };
        }
    }

    /// Whether this character completes the step.
    fn passes(&self, c: u32) -> bool {
        match self {
            Self::Literal(literal) => c == *literal,
            Self::One => c != SLASH,
            Self::Class { negated, ranges } => {
                c != SLASH && ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated
            }
            Self::Directories | Self::Below => c == SLASH,
            Self::Star | Self::Everything => false,
        }
    }
}

fn class_character(text: &[u32]) -> Result<(u32, &[u32]), PatternProblem> {
    const BACKSLASH: u32 = b'\\' as u32;
    match text {
        [] | [BACKSLASH] => Err(PatternProblem::OpenClass),
        [BACKSLASH, c, rest @ ..] | [c, rest @ ..] => Ok((*c, rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: impl AsRef<[u8]>, path: impl AsRef<[u8]>, is_directory: bool) -> bool {
        let filter = Filter::new()
            .exclude(pattern)
            .unwrap_or_else(|error| panic!("{error}"));
        !filter.decide(path.as_ref(), is_directory)
    }

    #[test]
    fn patterns_match_as_documented() {
        for (pattern, path, expected) in [
            // Without a slash inside: the last component at any depth.
            ("*.o", "a.o", true),
            ("*.o", "deep/er/a.o", true),
            ("*.o", "a.o/b", false),
            ("*.o", ".o", true),
            ("foo", "foo", true),
            ("foo", "xfoo", false),
            ("foo", "foox", false),
            ("foo", "a/foo", true),
            ("*", "anything/at all", true),
            // With one inside: the last components.
            ("build/*.o", "build/a.o", true),
            ("build/*.o", "x/build/a.o", true),
            ("build/*.o", "xbuild/a.o", false),
            ("build/*.o", "build/x/a.o", false),
            // Anchored.
            ("/foo", "foo", true),
            ("/foo", "a/foo", false),
            ("/*", "foo", true),
            ("/*", "a/foo", false),
            ("/a/*/c", "a/b/c", true),
            ("/a/*/c", "a/c", false),
            ("/a/*/c", "a/b/b/c", false),
            // Question marks and classes.
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("/a?c", "a/c", false),
            ("a?c", "aéc", true),
            ("a??c", "aéc", false),
            ("[abc]", "b", true),
            ("[a-c]x", "cx", true),
            ("[a-c]x", "dx", false),
            ("[!a-c]x", "dx", true),
            ("[^a-c]x", "ax", false),
            ("/a[!b]c", "a/c", false),
            ("/a[.-0]c", "a/c", false),
            ("[]]", "]", true),
            ("[!]]", "]", false),
            ("[]-]", "-", true),
            ("[a-]", "-", true),
            ("[\\]]", "]", true),
            ("[\\a-\\c]", "b", true),
            ("[ä-ü]", "ö", true),
            ("[[]", "[", true),
            // Two stars.
            ("/a/**", "a/b/c", true),
            ("/a/**", "a", false),
            ("/a**c", "a/b/c", true),
            ("foo**bar", "x/foo/y/bar", true),
            ("**/foo", "foo", true),
            ("**/foo", "a/b/foo", true),
            ("**/foo", "a/xfoo", false),
            ("/a/**/b", "a/b", true),
            ("/a/**/b", "a/x/y/b", true),
            ("/a/**/b", "a/xb", false),
            ("/**/b", "b", true),
            ("/x**/b", "xyz/b", true),
            ("/x**/b", "b", false),
            ("****", "a/b", true),
            // Three at the end.
            ("/dir/***", "dir", true),
            ("/dir/***", "dir/a/b", true),
            ("/dir/***", "dirx", false),
            ("dir/***", "a/dir/b", true),
            ("/dir/***", "di", false),
            // Backslashes.
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("a\\\\b", "a\\b", true),
            ("\\a", "a", true),
            ("\\[a]", "[a]", true),
            // Names that begin strangely.
            ("-rf", "-rf", true),
            (".*", ".profile", true),
            ("...", "...", true),
            ("#a b\n", "#a b\n", true),
            ("!a", "!a", true),
            ("A", "a", false),
        ] {
            assert_eq!(
                matches(pattern, path, false),
                expected,
                "{pattern} against {path}"
            );
        }
    }

    #[test]
    fn a_slash_at_the_end_speaks_of_directories_only() {
        for (pattern, path, is_directory, expected) in [
            ("build/", "build", true, true),
            ("build/", "build", false, false),
            ("build/", "a/build", true, true),
            ("/build/", "a/build", true, false),
            ("*/", "a/b", true, true),
            ("build", "build", true, true),
            ("/dir/***/", "dir/a", true, true),
        ] {
            assert_eq!(
                matches(pattern, path, is_directory),
                expected,
                "{pattern} against {path}"
            );
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_characters_of_their_own() {
        assert!(matches(b"a\xff*", b"a\xffb", false));
        assert!(matches(b"a?b", b"a\xffb", false));
        assert!(matches(b"[\xfe-\xff]", b"\xff", false));
        assert!(!matches(b"\xfe", b"\xff", false));
        assert!(!matches("ÿ", b"\xff", false));
    }

    #[test]
    fn the_first_pattern_that_matches_decides_and_none_includes() {
        let filter = Filter::new()
            .include("keep.o")
            .and_then(|filter| filter.exclude("*.o"))
            .and_then(|filter| filter.include("late.o"))
            .unwrap();
        for (path, included) in [
            ("keep.o", true),
            ("a/keep.o", true),
            ("x.o", false),
            ("late.o", false),
            ("x.c", true),
        ] {
            assert_eq!(filter.decide(path.as_bytes(), false), included, "{path}");
        }
        assert!(Filter::new().is_empty() && !filter.is_empty());
        assert!(Filter::new().decide(b"x.o", false));
    }

    #[test]
    fn the_root_itself_is_always_included() {
        assert!(Filter::new().exclude("*").unwrap().decide(b"", true));
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_the_text_and_what_is_wrong() {
        use PatternProblem::{Backslash, Component, Empty, NamedClass, OpenClass, Range};
        for (pattern, problem) in [
            ("", Empty),
            ("/", Empty),
            ("//", Empty),
            ("a//b", Component),
            ("./a", Component),
            ("/../a", Component),
            ("a/.", Component),
            ("..", Component),
            ("[", OpenClass),
            ("[]", OpenClass),
            ("[a-", OpenClass),
            ("[a\\", OpenClass),
            ("a[b/c", OpenClass),
            ("[z-a]", Range),
            ("[[:alpha:]]", NamedClass),
            ("a\\", Backslash),
        ] {
            let error = Filter::new().exclude(pattern).expect_err(pattern);
            assert_eq!(error.problem, problem, "{pattern}");
        }
        let error = Filter::new().include("\x1b[2J").unwrap_err().to_string();
        assert!(
            error.contains("the pattern \\x1b[2J has a [ without its ]"),
            "{error}"
        );
    }

    #[test]
    fn many_stars_do_not_take_exponential_time() {
        for star in ["*", "**", "**/"] {
            let pattern = format!("{}b", format!("{star}a").repeat(200));
            assert!(!matches(pattern, "a/".repeat(500) + "a", false));
        }
    }

    /// What a pattern of letters, `*`, `?` and `/` means, written as plainly as possible.
    fn plain_match(pattern: &[u8], path: &[u8]) -> bool {
        match (pattern, path) {
            ([], []) => true,
            ([b'*', after @ ..], _) if plain_match(after, path) => true,
            ([b'*', ..], [c, rest @ ..]) => *c != b'/' && plain_match(pattern, rest),
            ([b'?', after @ ..], [c, rest @ ..]) => *c != b'/' && plain_match(after, rest),
            ([p, after @ ..], [c, rest @ ..]) => p == c && plain_match(after, rest),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn an_anchored_pattern_agrees_with_its_plain_meaning(
            pattern in "[ab?]\\*?([ab?]|/b|\\*a){0,6}",
            path in "[ab]([ab]|/b){0,8}",
        ) {
            prop_assume!(!pattern.contains("**"));
            prop_assert_eq!(
                matches(format!("/{pattern}"), &path, false),
                plain_match(pattern.as_bytes(), path.as_bytes())
            );
        }

        #[test]
        fn every_name_matches_itself_when_it_is_escaped(name in proptest::collection::vec(1_u8.., 1..20)) {
            prop_assume!(!name.contains(&b'/') && name != b"." && name != b"..");
            let escaped: Vec<u8> = characters(&name)
                .zip(name.utf8_chunks().flat_map(|chunk| {
                    let valid = chunk.valid().chars().map(|c| c.to_string().into_bytes());
                    valid.chain(chunk.invalid().iter().map(|byte| vec![*byte])).collect::<Vec<_>>()
                }))
                .flat_map(|(_, character)| [b"\\".to_vec(), character].concat())
                .collect();
            prop_assert!(matches(&escaped, &name, false));
            prop_assert!(matches([b"/", &escaped[..]].concat(), &name, false));
            prop_assert!(!matches(&escaped, [&name[..], b"x"].concat(), false));
        }

        #[test]
        fn no_bytes_at_all_make_it_panic(
            pattern in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..30),
                "[ab/*?\\[\\]!\\\\.:-]{0,20}".prop_map(String::into_bytes),
            ],
            path: Vec<u8>,
        ) {
            match Filter::new().exclude(&pattern) {
                Ok(filter) => {
                    let _ = filter.decide(&path, true);
                }
                Err(error) => prop_assert!(!error.to_string().chars().any(char::is_control)),
            }
        }
    }
}
