//! Patterns as shells have them, for names of files and for the rules of permissions.
//!
//! `*` is any text, `?` any one character, `[a-z]` and `[!a-z]` one of some, `\` takes the meaning from what follows. None of these
//! stand for a character at which the matcher was told to stop. `**` is any text at all, and `**/` in a path also nothing.

/// A pattern, read once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Glob {
    tokens: Vec<Token>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Char(char),
    One,
    Class {
        not: bool,
        ranges: Vec<(char, char)>,
    },
    Star,
    DoubleStar,
    /// What follows, a [`Token::DoubleStar`] and a slash, may be missing.
    Optional,
}

/// What is wrong with a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GlobError {
    #[error("a `[` without its `]`")]
    Class,
    #[error("a range in `[...]` whose end comes before its beginning")]
    Range,
    #[error("a `\\` with nothing behind it")]
    Escape,
    #[error("more than {MAX_LENGTH} characters")]
    Length,
}

/// No pattern that a person writes is longer, and matching one takes time.
const MAX_LENGTH: usize = 4096;

/// A character at which `*`, `?` and `[...]` stop, if it is one.
pub(crate) type Stops = fn(char) -> bool;

/// For paths.
pub(crate) fn at_slash(c: char) -> bool {
    c == '/'
}

/// For what has no borders.
pub(crate) fn nowhere(_: char) -> bool {
    false
}

impl Glob {
    pub(crate) fn new(pattern: &str) -> Result<Self, GlobError> {
        if pattern.len() > MAX_LENGTH {
            return Err(GlobError::Length);
        }
        let mut tokens = Vec::new();
        let mut chars = pattern.chars().peekable();
        let mut at_start = true;
        while let Some(c) = chars.next() {
            let begins_part = at_start;
            at_start = c == '/';
            match c {
                '*' if chars.peek() == Some(&'*') => {
                    while chars.next_if_eq(&'*').is_some() {}
                    if begins_part && chars.peek() == Some(&'/') {
                        tokens.push(Token::Optional);
                    }
                    tokens.push(Token::DoubleStar);
                }
                '*' => tokens.push(Token::Star),
                '?' => tokens.push(Token::One),
                '[' => tokens.push(class(&mut chars)?),
                '\\' => tokens.push(Token::Char(chars.next().ok_or(GlobError::Escape)?)),
                c => tokens.push(Token::Char(c)),
            }
        }
        Ok(Self { tokens })
    }

    /// The text itself, where nothing in the pattern is special.
    pub(crate) fn literal(&self) -> Option<String> {
        self.tokens
            .iter()
            .map(|token| match token {
                Token::Char(c) => Some(*c),
                _ => None,
            })
            .collect()
    }

    /// Whether it is nothing but stars.
    pub(crate) fn is_any(&self) -> bool {
        let is_star = |token: &Token| matches!(token, Token::Star | Token::DoubleStar);
        !self.tokens.is_empty() && self.tokens.iter().all(is_star)
    }

    /// Whether the pattern is the whole of a text. Takes time in proportion to the product of their lengths.
    pub(crate) fn matches(&self, text: &str, stops: Stops) -> bool {
        let end = self.tokens.len();
        let mut now = vec![false; end + 1];
        self.enter(&mut now, 0);
        for c in text.chars() {
            let mut next = vec![false; end + 1];
            for (at, token) in self.tokens.iter().enumerate() {
                if now.get(at) != Some(&true) {
                    continue;
                }
                let (stays, goes_on) = match token {
                    Token::Char(wanted) => (false, *wanted == c),
                    Token::One => (false, !stops(c)),
                    Token::Class { not, ranges } => {
                        let inside = ranges.iter().any(|(from, to)| (*from..=*to).contains(&c));
                        (false, !stops(c) && inside != *not)
                    }
                    Token::Star => (!stops(c), false),
                    Token::DoubleStar => (true, false),
                    Token::Optional => (false, false),
                };
                if stays {
                    self.enter(&mut next, at);
                }
                if goes_on {
                    self.enter(&mut next, at + 1);
                }
            }
            now = next;
        }
        now.last() == Some(&true)
    }

    /// Marks a place in the pattern as reached, and those that are reached from there without any text.
    fn enter(&self, states: &mut [bool], at: usize) {
        let Some(state) = states.get_mut(at) else { return };
        if std::mem::replace(state, true) {
            return;
        }
        match self.tokens.get(at) {
            Some(Token::Star | Token::DoubleStar) => self.enter(states, at + 1),
            Some(Token::Optional) => {
                self.enter(states, at + 1);
                self.enter(states, at + 3);
            }
            _ => {}
        }
    }
}

fn class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Token, GlobError> {
    let not = chars.next_if(|c| matches!(c, '!' | '^')).is_some();
    let mut ranges = Vec::new();
    loop {
        let from = match chars.next().ok_or(GlobError::Class)? {
            // As the first one it means itself.
            ']' if !ranges.is_empty() => return Ok(Token::Class { not, ranges }),
            '\\' => chars.next().ok_or(GlobError::Escape)?,
            c => c,
        };
        let mut ahead = chars.clone();
        let is_range = ahead.next() == Some('-') && ahead.next().is_some_and(|c| c != ']');
        if !is_range {
            ranges.push((from, from));
            continue;
        }
        chars.next();
        let to = match chars.next().ok_or(GlobError::Class)? {
            '\\' => chars.next().ok_or(GlobError::Escape)?,
            c => c,
        };
        if to < from {
            return Err(GlobError::Range);
        }
        ranges.push((from, to));
    }
}

/// A text as a pattern that means just this text.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '*' | '?' | '[' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted
}

/// Whether a text has a character that is special in patterns.
pub(crate) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '[', '\\'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Glob::new(pattern).unwrap().matches(text, at_slash)
    }

    #[test]
    fn patterns_mean_what_shells_mean_by_them() {
        for (pattern, text, is_match) in [
            ("/etc/hosts", "/etc/hosts", true),
            ("/etc/*", "/etc/hosts", true),
            ("/etc/*", "/etc/", true),
            ("/etc/*", "/etc/ssh/config", false),
            ("/etc/**", "/etc/ssh/config", true),
            ("/etc/**", "/etc", false),
            ("/a/**/z", "/a/z", true),
            ("/a/**/z", "/a/b/c/z", true),
            ("/a/**/z", "/a/bz", false),
            ("**/z", "z", true),
            ("**.pem", "/a/b.pem", true),
            ("/a?c", "/abc", true),
            ("/a?c", "/a/c", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[!a]x", "/x", false),
            ("[]a]", "]", true),
            ("[a-]", "-", true),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("", "", true),
            ("*", "", true),
            ("äö*", "äöü", true),
        ] {
            assert_eq!(matches(pattern, text), is_match, "{pattern} {text}");
        }
    }

    #[test]
    fn a_broken_pattern_is_an_error() {
        assert_eq!(Glob::new("[a"), Err(GlobError::Class));
        assert_eq!(Glob::new("[z-a]"), Err(GlobError::Range));
        assert_eq!(Glob::new("a\\"), Err(GlobError::Escape));
    }

    #[test]
    fn many_stars_take_no_time() {
        let pattern = "*a".repeat(200);
        assert!(!matches(&pattern, &"a".repeat(199)));
        assert!(matches(&pattern, &"a".repeat(200)));
    }

    proptest! {
        #[test]
        fn a_quoted_text_matches_itself_only(text in "[a*?\\[\\]\\\\/!^-]{0,12}", other in "[a*?\\[\\]\\\\/!^-]{0,12}") {
            let glob = Glob::new(&quote(&text)).unwrap();
            prop_assert_eq!(glob.literal(), Some(text.clone()));
            prop_assert_eq!(glob.matches(&other, at_slash), text == other);
        }

        #[test]
        fn a_star_stops_where_it_is_told(text in "[ab/]{0,12}") {
            prop_assert_eq!(matches("*", &text), !text.contains('/'));
            prop_assert!(matches("**", &text));
        }

        #[test]
        fn no_pattern_brings_it_down(pattern in ".{0,20}", text in ".{0,20}") {
            if let Ok(glob) = Glob::new(&pattern) {
                glob.matches(&text, at_slash);
            }
        }
    }
}
