//! Patterns for names: wildcards as in a shell, regular expressions as Python's `match`, subscripts.

use regex_automata::meta::{Config, Regex};
use regex_automata::{Anchored, Input};

use super::error::SelectionError;

/// What a compiled pattern may take.
const MAX_SIZE: usize = 10 * 1024 * 1024;

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Pattern(Regex);

impl Pattern {
    /// `*`, `?`, `[abc]`, `[a-c]` and `[!abc]`; it has to fit the whole name.
    pub(super) fn wildcard(text: &str) -> Result<Self, SelectionError> {
        Self::compile(&format!("(?s:{})\\z", translate(text)), text)
    }

    /// A regular expression that fits from the beginning of the name on, and not necessarily to its end.
    pub(super) fn regex(text: &str) -> Result<Self, SelectionError> {
        Self::compile(text, text)
    }

    fn compile(regex: &str, text: &str) -> Result<Self, SelectionError> {
        let config = Config::new()
            .nfa_size_limit(Some(MAX_SIZE))
            .onepass_size_limit(Some(MAX_SIZE));
        let compiled = Regex::builder().configure(config).build(regex);
        compiled.map(Self).map_err(|error| SelectionError::Regex {
            text: text.to_owned(),
            reason: match error.syntax_error() {
                Some(error) => first_cause(error),
                None => "it is too large".to_owned(),
            },
        })
    }

    pub(super) fn fits(&self, name: &str) -> bool {
        self.0.is_match(Input::new(name).anchored(Anchored::Yes))
    }
}

/// What is wrong, without the drawing of where.
fn first_cause(error: &regex_syntax::Error) -> String {
    match error {
        regex_syntax::Error::Parse(error) => error.kind().to_string(),
        regex_syntax::Error::Translate(error) => error.kind().to_string(),
        _ => "it cannot be read".to_owned(),
    }
}

/// Whether a term is a wildcard pattern. Brackets alone are a range unless they hold something else than numbers.
pub(super) fn is_wildcard(text: &str) -> bool {
    text.contains(['*', '?']) || has_class(text)
}

/// Whether there are brackets whose content is no list of numbers and ranges.
fn has_class(text: &str) -> bool {
    text.split('[').skip(1).any(|part| {
        part.split_once(']')
            .is_some_and(|(inside, _)| inside.chars().any(|c| !c.is_ascii_digit() && !"-,:".contains(c)))
    })
}

/// The wildcard pattern as a regular expression.
fn translate(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
        match c {
            '*' => out.push_str(".*"),
            '?' => out.push('.'),
            '[' => {
                // A bracket at the beginning of a class belongs to it.
                let skip = usize::from(rest.starts_with('!'));
                let skip = skip + usize::from(rest.get(skip..).is_some_and(|rest| rest.starts_with(']')));
                match rest.get(skip..).and_then(|inside| inside.find(']')) {
                    Some(end) => {
                        let inside = rest.get(..skip + end).unwrap_or_default();
                        rest = rest.get(skip + end + 1..).unwrap_or_default();
                        let (negation, inside) = match inside.strip_prefix('!') {
                            Some(inside) => ("^", inside),
                            None => ("", inside),
                        };
                        out.push_str(&format!("[{negation}{}]", class(inside)));
                    }
                    None => out.push_str("\\["),
                }
            }
            c => out.push_str(&regex_syntax::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    out
}

/// What stands in a class. Only `-` between two characters has a meaning there.
fn class(inside: &str) -> String {
    let chars: Vec<char> = inside.chars().collect();
    let last = chars.len().saturating_sub(1);
    chars
        .iter()
        .enumerate()
        .map(|(at, c)| match c {
            '-' if at > 0 && at < last => "-".to_owned(),
            c if c.is_ascii_punctuation() => format!("\\{c}"),
            c => c.to_string(),
        })
        .collect()
}

/// Which of the hosts that a term names are meant: Ansible's subscripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subscript {
    /// The one at this place, counted from the end if it is negative.
    At(i64),
    /// Those from the first place to the second, which is included; to the end without it.
    From(usize, Option<usize>),
}

impl Subscript {
    /// Takes the subscript from the end of a term.
    pub(super) fn split(text: &str) -> Option<(&str, Self)> {
        let (base, inside) = text.strip_suffix(']')?.rsplit_once('[')?;
        let number = |digits: &str| {
            let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            is_number.then(|| digits.parse::<usize>().ok()).flatten()
        };
        if base.is_empty() {
            return None;
        }
        let subscript = match inside.split_once(':') {
            Some((first, "")) => Self::From(number(first)?, None),
            Some((first, last)) => Self::From(number(first)?, Some(number(last)?)),
            None => {
                let digits = inside.strip_prefix('-').unwrap_or(inside);
                let place = i64::try_from(number(digits)?).ok()?;
                Self::At(if inside.starts_with('-') { -place } else { place })
            }
        };
        Some((base, subscript))
    }

    /// The chosen ones; none where there are fewer.
    pub(super) fn choose<T: Clone>(self, hosts: &[T]) -> Vec<T> {
        match self {
            Self::At(place) => {
                let place = match usize::try_from(place) {
                    Ok(place) => Some(place),
                    Err(_) => usize::try_from(place.unsigned_abs())
                        .ok()
                        .and_then(|back| hosts.len().checked_sub(back)),
                };
                place
                    .and_then(|place| hosts.get(place))
                    .cloned()
                    .into_iter()
                    .collect()
            }
            Self::From(first, last) => {
                let count = last.map_or(usize::MAX, |last| (last + 1).saturating_sub(first));
                hosts.iter().skip(first).take(count).cloned().collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn wildcards_fit_whole_names() {
        for (pattern, name, fits) in [
            ("web*", "web-1", true),
            ("web*", "db-web", false),
            ("*", "", true),
            ("web-?", "web-1", true),
            ("web-?", "web-10", false),
            ("web-[ab]", "web-b", true),
            ("web-[!ab]", "web-b", false),
            ("web-[a-c]x", "web-bx", true),
            ("web-[]]", "web-]", true),
            ("web-[^a]", "web-^", true),
            ("web.*", "webx1", false),
            ("a[b", "a[b", true),
            ("(a|b)", "a", false),
            ("w\\*", "w\\x", true),
        ] {
            assert_eq!(
                Pattern::wildcard(pattern).unwrap().fits(name),
                fits,
                "{pattern} {name}"
            );
        }
    }

    #[test]
    fn regular_expressions_fit_from_the_beginning() {
        let fits = |pattern: &str, name: &str| Pattern::regex(pattern).unwrap().fits(name);
        assert!(fits("web", "web-1"));
        assert!(!fits("web$", "web-1"));
        assert!(!fits("1", "web-1"));
        assert!(fits("(web|db)-\\d", "db-7"));
        for (pattern, words) in [
            ("(", "unclosed group"),
            ("(?=a)", "look-around"),
            ("a{1000}{1000}{1000}", "too large"),
        ] {
            let error = Pattern::regex(pattern).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn brackets_with_numbers_are_no_pattern() {
        for (text, expected) in [
            ("web[1-3]", false),
            ("web[0:2]", false),
            ("web[1,3]", false),
            ("web[-1]", false),
            ("web[a-c]", true),
            ("web[!1]", true),
            ("web*", true),
            ("web", false),
        ] {
            assert_eq!(is_wildcard(text), expected, "{text}");
        }
    }

    #[test]
    fn subscripts_choose_as_with_ansible() {
        let hosts = ["a", "b", "c", "d"];
        for (text, chosen) in [
            ("g[0]", "a"),
            ("g[-1]", "d"),
            ("g[-4]", "a"),
            ("g[0:1]", "ab"),
            ("g[1:]", "bcd"),
            ("g[2:9]", "cd"),
            ("g[4]", ""),
            ("g[-5]", ""),
            ("g[3:1]", ""),
        ] {
            let (base, subscript) = Subscript::split(text).unwrap();
            assert_eq!(
                (base, subscript.choose(&hosts).concat().as_str()),
                ("g", chosen),
                "{text}"
            );
        }
        for text in [
            "g",
            "g[]",
            "g[a]",
            "g[1-2]",
            "g[1,2]",
            "[1]",
            "g[1",
            "g[99999999999999999999]",
        ] {
            assert_eq!(Subscript::split(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_wildcard_pattern_or_refused(text in any::<String>(), name in "[a-z\\[\\]-]{0,8}") {
            if let Ok(pattern) = Pattern::wildcard(&text) {
                let _ = pattern.fits(&name);
            }
            let _ = Subscript::split(&text);
        }
    }
}
