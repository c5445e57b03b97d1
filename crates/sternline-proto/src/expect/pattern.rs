//! What is waited for.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use memchr::memmem;

use super::cache::Cache;
use super::compile::{Regex, Span};
use super::error::PatternError;

/// How a pattern's text is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PatternType {
    /// As it stands.
    #[default]
    Literal,
    /// As a regular expression.
    Regex,
}

impl PatternType {
    /// The name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Literal => "literal",
            Self::Regex => "regex",
        }
    }
}

/// Where a pattern was found in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternMatch {
    /// The first byte of the match.
    pub start: usize,
    /// The first byte behind it.
    pub end: usize,
    /// What matched.
    pub text: String,
    /// What the groups of a regular expression matched, from group 1; `None` for a group that took no part.
    pub groups: Vec<Option<String>>,
}

/// What is waited for: a text as it stands, or a regular expression of the `regex` crate's syntax.
///
/// A regular expression matches anywhere; `^` is the beginning of the output that was not used up yet, `$` its end once
/// nothing has followed for a moment, `(?m)` makes them line ends, and `.` is anything but a line feed. `\b` goes by ASCII
/// letters. Compiled once; clones share that.
#[derive(Clone)]
pub struct ExpectPattern {
    pattern: Arc<str>,
    name: Option<Arc<str>>,
    compiled: Arc<CompiledPattern>,
}

/// A pattern, ready to be searched for.
pub struct CompiledPattern(Kind);

enum Kind {
    Literal(Box<memmem::Finder<'static>>),
    /// And what earlier searches have worked out.
    Regex(Box<Regex>, Mutex<Option<Box<Cache>>>),
}

impl ExpectPattern {
    /// A pattern of this type.
    ///
    /// # Errors
    /// When the text is empty, or no regular expression.
    pub fn new(pattern: impl AsRef<str>, pattern_type: PatternType) -> Result<Self, PatternError> {
        let pattern = pattern.as_ref();
        if pattern.is_empty() {
            return Err(PatternError::Empty);
        }
        let kind = match pattern_type {
            PatternType::Literal => {
                Kind::Literal(Box::new(memmem::Finder::new(pattern.as_bytes()).into_owned()))
            }
            PatternType::Regex => Kind::Regex(Box::new(Regex::new(pattern)?), Mutex::new(None)),
        };
        Ok(Self {
            pattern: pattern.into(),
            name: None,
            compiled: Arc::new(CompiledPattern(kind)),
        })
    }

    /// The text as it stands.
    ///
    /// # Errors
    /// When it is empty.
    pub fn literal(text: impl AsRef<str>) -> Result<Self, PatternError> {
        Self::new(text, PatternType::Literal)
    }

    /// A regular expression.
    ///
    /// # Errors
    /// When the text is empty, or no regular expression.
    pub fn regex(pattern: impl AsRef<str>) -> Result<Self, PatternError> {
        Self::new(pattern, PatternType::Regex)
    }

    /// Gives it a name, by which results and transcripts call it.
    #[must_use]
    pub fn named(mut self, name: impl AsRef<str>) -> Self {
        self.name = Some(name.as_ref().into());
        self
    }

    /// The text that it was made of.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// How that text is read.
    #[must_use]
    pub fn pattern_type(&self) -> PatternType {
        match self.compiled.0 {
            Kind::Literal(_) => PatternType::Literal,
            Kind::Regex(..) => PatternType::Regex,
        }
    }

    /// Its name, if it has one.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The first match anywhere in a text, taken as complete.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<PatternMatch> {
        self.compiled.find(text)
    }

    /// The compiled pattern.
    #[must_use]
    pub fn compiled(&self) -> &CompiledPattern {
        &self.compiled
    }
}

impl CompiledPattern {
    /// The first match anywhere in a text, taken as complete.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<PatternMatch> {
        let span = self.find_in(text.as_bytes(), 0, text.len())?;
        let part = |(start, end)| text.get(start..end).unwrap_or_default().to_owned();
        Some(PatternMatch {
            start: span.start,
            end: span.end,
            text: part((span.start, span.end)),
            groups: span.groups.iter().map(|group| group.map(part)).collect(),
        })
    }

    /// Whether it is found in a text.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.find_in(text.as_bytes(), 0, text.len()).is_some()
    }

    pub(super) fn find_in(&self, text: &[u8], from: usize, to: usize) -> Option<Span> {
        match &self.0 {
            Kind::Literal(finder) => {
                let start = from + finder.find(text.get(from..to)?)?;
                Some(Span {
                    start,
                    end: start + finder.needle().len(),
                    groups: Vec::new(),
                })
            }
            Kind::Regex(regex, _) => regex.find(text, from, to),
        }
    }

    pub(super) fn as_literal(&self) -> Option<&memmem::Finder<'static>> {
        match &self.0 {
            Kind::Literal(finder) => Some(finder),
            Kind::Regex(..) => None,
        }
    }

    pub(super) fn as_regex(&self) -> Option<&Regex> {
        match &self.0 {
            Kind::Literal(_) => None,
            Kind::Regex(regex, _) => Some(regex),
        }
    }

    /// What earlier searches have worked out, for one search at a time; others begin anew.
    pub(super) fn take_cache(&self) -> Option<Box<Cache>> {
        match &self.0 {
            Kind::Literal(_) => None,
            Kind::Regex(regex, kept) => {
                let kept = kept.lock().unwrap_or_else(PoisonError::into_inner).take();
                Some(kept.unwrap_or_else(|| Box::new(regex.automaton.cache())))
            }
        }
    }

    pub(super) fn keep_cache(&self, cache: Box<Cache>) {
        if let Kind::Regex(_, kept) = &self.0 {
            *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(cache);
        }
    }
}

impl fmt::Debug for CompiledPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Literal(_) => f.write_str("CompiledPattern(literal)"),
            Kind::Regex(..) => f.write_str("CompiledPattern(regex)"),
        }
    }
}

impl fmt::Debug for ExpectPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExpectPattern")
            .field("pattern", &self.pattern())
            .field("pattern_type", &self.pattern_type())
            .field("name", &self.name())
            .finish()
    }
}

/// By text, type and name.
impl PartialEq for ExpectPattern {
    fn eq(&self, other: &Self) -> bool {
        self.pattern == other.pattern
            && self.pattern_type() == other.pattern_type()
            && self.name == other.name
    }
}

impl Eq for ExpectPattern {}

impl Hash for ExpectPattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.pattern.hash(state);
        self.pattern_type().hash(state);
        self.name.hash(state);
    }
}

/// What can be waited for: a pattern, or a text, which is a literal pattern. The result of making a pattern will do as
/// well, so that its error comes out where it is used.
pub trait IntoPattern {
    /// The pattern.
    ///
    /// # Errors
    /// When there is none.
    fn into_pattern(self) -> Result<ExpectPattern, PatternError>;
}

impl IntoPattern for ExpectPattern {
    fn into_pattern(self) -> Result<ExpectPattern, PatternError> {
        Ok(self)
    }
}

impl IntoPattern for &ExpectPattern {
    fn into_pattern(self) -> Result<ExpectPattern, PatternError> {
        Ok(self.clone())
    }
}

impl IntoPattern for &str {
    fn into_pattern(self) -> Result<ExpectPattern, PatternError> {
        ExpectPattern::literal(self)
    }
}

impl IntoPattern for String {
    fn into_pattern(self) -> Result<ExpectPattern, PatternError> {
        ExpectPattern::literal(self)
    }
}

impl<T: IntoPattern> IntoPattern for Result<T, PatternError> {
    fn into_pattern(self) -> Result<ExpectPattern, PatternError> {
        self?.into_pattern()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_is_found_as_it_stands() {
        let pattern = ExpectPattern::literal("a.b*").unwrap().named("dots");
        assert_eq!(pattern.pattern_type(), PatternType::Literal);
        assert_eq!((pattern.pattern(), pattern.name()), ("a.b*", Some("dots")));
        assert_eq!(pattern.find("axbb"), None);
        let found = pattern.find("é a.b*").unwrap();
        assert_eq!((found.start, found.end, found.text.as_str()), (3, 7, "a.b*"));
        assert!(pattern.compiled().is_match("xa.b*x") && found.groups.is_empty());
    }

    #[test]
    fn a_regular_expression_gives_its_groups() {
        let pattern = ExpectPattern::regex(r"(?P<name>\w+)=(\d+)?(x)?").unwrap();
        assert_eq!(pattern.pattern_type().as_str(), "regex");
        let found = pattern.find("né=42;").unwrap();
        assert_eq!(found.text, "né=42");
        let groups = [Some("né".to_owned()), Some("42".to_owned()), None];
        assert_eq!(found.groups, groups);
        // No flags are set: case counts, a dot is no line feed, and ^ and $ are the ends of the text.
        for (pattern, text, found) in [
            ("A", "a", false),
            ("a.b", "a\nb", false),
            ("^b", "a\nb", false),
            ("a$", "a\nb", false),
            ("(?m)^b", "a\nb", true),
            ("b$", "a\nb", true),
            (r"\bé", "é", false),
            (r"\be\b", "a e.", true),
        ] {
            let compiled = ExpectPattern::regex(pattern).unwrap();
            assert_eq!(compiled.find(text).is_some(), found, "{pattern} in {text:?}");
        }
    }

    #[test]
    fn a_wrong_pattern_says_what_to_do_instead() {
        for (pattern, message, hint) in [
            ("", "must not be empty", "prompt"),
            ("a(", "invalid regex pattern \"a(\" at byte 1", "literal pattern"),
            ("(?=x)", "no look-around", "group"),
            ("(?<!x)y", "no look-around", "group"),
            (r"(a)\1", "no back-references", "compare the groups"),
            ("\\w{500}{500}", "too large", "repetition"),
            ("(?-u)\\xff", "invalid regex pattern", "literal pattern"),
        ] {
            let error = ExpectPattern::regex(pattern).unwrap_err();
            assert!(error.to_string().contains(message), "{pattern}: {error}");
            assert!(error.hint().contains(hint), "{pattern}: {}", error.hint());
        }
        assert_eq!(ExpectPattern::literal("").unwrap_err(), PatternError::Empty);
    }

    #[test]
    fn patterns_are_equal_by_text_type_and_name() {
        let literal = ExpectPattern::literal("a").unwrap();
        assert_eq!(literal, ExpectPattern::literal("a").unwrap());
        assert_ne!(literal, ExpectPattern::regex("a").unwrap());
        assert_ne!(literal, literal.clone().named("n"));
        assert_eq!("a".into_pattern().unwrap(), literal);
        assert_eq!(ExpectPattern::literal("a").into_pattern().unwrap(), literal);
    }
}
