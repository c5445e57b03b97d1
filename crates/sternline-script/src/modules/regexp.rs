//! The module `regexp`: finding and replacing text by regular expressions.

use std::fmt;
use std::sync::Arc;

use allocative::Allocative;
use regex_automata::meta::Regex;
use regex_automata::util::syntax;
use starlark::any::ProvidesStaticType;
use starlark::environment::{GlobalsBuilder, Methods, MethodsBuilder};
use starlark::values::none::NoneOr;
use starlark::values::tuple::AllocTuple;
use starlark::values::{Heap, NoSerialize, StarlarkPagablePanic, StarlarkValue, Value, starlark_value};
use starlark::{starlark_module, starlark_simple_value};

use crate::outcome::{try_method, with_try};

/// A pattern that comes to more is a mistake, or an attack.
const MAX_SIZE: usize = 10 * 1024 * 1024;

/// Adds the module.
pub(crate) fn register(builder: &mut GlobalsBuilder) {
    builder.namespace("regexp", |builder| with_try(builder, functions));
}

/// A pattern, read once.
#[derive(Debug, Clone, ProvidesStaticType, NoSerialize, StarlarkPagablePanic, Allocative)]
pub(crate) struct Pattern {
    text: String,
    #[allocative(skip)]
    regex: Arc<Regex>,
}
starlark_simple_value!(Pattern);

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "regexp.compile({:?})", self.text)
    }
}

starlark::methods_static!(PATTERN = pattern_methods);

#[starlark_value(type = "regexp.pattern")]
impl<'v> StarlarkValue<'v> for Pattern {
    fn get_methods() -> Option<&'static Methods> {
        Some(PATTERN.methods())
    }

    fn get_attr(&self, attribute: &str, heap: Heap<'v>) -> Option<Value<'v>> {
        try_method(heap.alloc(self.clone()), attribute, heap)
    }
}

/// A place where a pattern matches.
#[derive(Debug, Clone, ProvidesStaticType, NoSerialize, StarlarkPagablePanic, Allocative)]
pub(crate) struct Match {
    start: usize,
    end: usize,
    /// The whole match first; `None` where a group has no part in it.
    groups: Vec<Option<String>>,
    names: Vec<Option<String>>,
}
starlark_simple_value!(Match);

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What it is as a string is what was matched.
        f.write_str(self.groups.first().and_then(Option::as_deref).unwrap_or_default())
    }
}

starlark::methods_static!(MATCH = match_methods);

#[starlark_value(type = "regexp.match")]
impl<'v> StarlarkValue<'v> for Match {
    fn get_methods() -> Option<&'static Methods> {
        Some(MATCH.methods())
    }
}

impl Pattern {
    fn new(pattern: &str, flags: &str) -> anyhow::Result<Self> {
        let mut config = syntax::Config::new();
        for flag in flags.chars() {
            config = match flag {
                'i' => config.case_insensitive(true),
                'm' => config.multi_line(true),
                's' => config.dot_matches_new_line(true),
                'U' => config.swap_greed(true),
                _ => anyhow::bail!("regexp: there is no flag {flag:?}: there are i, m, s and U"),
            };
        }
        let regex = Regex::builder()
            .syntax(config)
            .configure(Regex::config().nfa_size_limit(Some(MAX_SIZE)))
            .build(pattern)
            .map_err(|error| {
                let cause =
                    std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
                anyhow::anyhow!("error parsing regexp {pattern:?}: {cause}")
            })?;
        Ok(Self {
            text: pattern.to_owned(),
            regex: Arc::new(regex),
        })
    }

    /// The names of the groups, the whole match among them.
    fn names(&self) -> impl Iterator<Item = Option<String>> + '_ {
        self.regex
            .group_info()
            .pattern_names(regex_automata::PatternID::ZERO)
            .map(|name| name.map(str::to_owned))
    }

    /// The first matches, as many as are wanted.
    fn matches(&self, text: &str, limit: usize) -> Vec<Match> {
        let names: Vec<Option<String>> = self.names().collect();
        // Strings of scripts are indexed by characters.
        let mut counted = (0, 0);
        let mut place = |byte: usize| {
            let (from, characters) = counted;
            let more = text.get(from..byte).map_or(0, |text| text.chars().count());
            counted = (byte, characters + more);
            characters + more
        };
        let found = self.regex.captures_iter(text).take(limit);
        found
            .filter_map(|captures| {
                let whole = captures.get_match()?;
                let start = place(whole.start());
                Some(Match {
                    start,
                    end: start + text.get(whole.range()).map_or(0, |text| text.chars().count()),
                    groups: captures
                        .iter()
                        .map(|span| span.and_then(|span| text.get(span.range())).map(str::to_owned))
                        .collect(),
                    names: names.clone(),
                })
            })
            .collect()
    }

    fn replace(&self, text: &str, with: &str) -> String {
        let (mut out, mut last) = (String::new(), 0);
        for captures in self.regex.captures_iter(text) {
            let Some(whole) = captures.get_match() else {
                continue;
            };
            out.push_str(text.get(last..whole.start()).unwrap_or_default());
            captures.interpolate_string_into(text, with, &mut out);
            last = whole.end();
        }
        out.push_str(text.get(last..).unwrap_or_default());
        out
    }

    /// At most `limit` pieces. A match of nothing at either end cuts nothing off.
    fn split(&self, text: &str, limit: usize) -> Vec<String> {
        let (mut pieces, mut last) = (Vec::new(), 0);
        for found in self.regex.find_iter(text) {
            if pieces.len() + 1 >= limit {
                break;
            }
            if found.is_empty() && (found.start() == 0 || found.start() == text.len()) {
                continue;
            }
            pieces.push(text.get(last..found.start()).unwrap_or_default().to_owned());
            last = found.end();
        }
        if limit > 0 {
            pieces.push(text.get(last..).unwrap_or_default().to_owned());
        }
        pieces
    }
}

/// As in Go, a number below zero is no limit.
fn limit(n: i32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

#[starlark_module]
fn pattern_methods(builder: &mut MethodsBuilder) {
    /// The pattern as it was written.
    #[starlark(attribute)]
    fn pattern(this: &Pattern) -> anyhow::Result<String> {
        Ok(this.text.clone())
    }

    /// How many groups it has, without the whole match.
    #[starlark(attribute)]
    fn group_count(this: &Pattern) -> anyhow::Result<u32> {
        Ok(u32::try_from(this.names().count().saturating_sub(1))?)
    }

    /// The names of its groups, without those that have none.
    #[starlark(attribute)]
    fn group_names(this: &Pattern) -> anyhow::Result<Vec<String>> {
        Ok(this.names().flatten().collect())
    }

    /// Whether the pattern matches anywhere in a string.
    fn r#match(this: &Pattern, s: &str) -> anyhow::Result<bool> {
        Ok(this.regex.is_match(s))
    }

    /// The first match, or `None`.
    fn find(this: &Pattern, s: &str) -> anyhow::Result<NoneOr<Match>> {
        Ok(NoneOr::from_option(this.matches(s, 1).pop()))
    }

    /// All matches, or the first `n`.
    fn find_all(this: &Pattern, s: &str, #[starlark(default = -1)] n: i32) -> anyhow::Result<Vec<Match>> {
        Ok(this.matches(s, limit(n)))
    }

    /// The string with all matches replaced. In `repl`, `$1` and `${name}` are groups, and `$$` is a dollar sign.
    fn replace(this: &Pattern, s: &str, repl: &str) -> anyhow::Result<String> {
        Ok(this.replace(s, repl))
    }

    /// The pieces between the matches, at most `n`.
    fn split(this: &Pattern, s: &str, #[starlark(default = -1)] n: i32) -> anyhow::Result<Vec<String>> {
        Ok(this.split(s, limit(n)))
    }
}

#[starlark_module]
fn match_methods(builder: &mut MethodsBuilder) {
    /// What was matched.
    #[starlark(attribute)]
    fn text(this: &Match) -> anyhow::Result<String> {
        Ok(this.groups.first().cloned().flatten().unwrap_or_default())
    }

    /// The index of its first character.
    #[starlark(attribute)]
    fn start(this: &Match) -> anyhow::Result<u32> {
        Ok(u32::try_from(this.start).unwrap_or(u32::MAX))
    }

    /// The index behind its last character.
    #[starlark(attribute)]
    fn end(this: &Match) -> anyhow::Result<u32> {
        Ok(u32::try_from(this.end).unwrap_or(u32::MAX))
    }

    /// A tuple of the whole match and of what the groups have matched: `None` for one that has no part in it.
    #[starlark(attribute)]
    fn groups<'v>(this: &Match, heap: Heap<'v>) -> anyhow::Result<Value<'v>> {
        let groups = this.groups.iter().cloned();
        Ok(heap.alloc(AllocTuple(groups.map(NoneOr::from_option))))
    }

    /// What a group has matched, by its number or its name; 0 is the whole match. `None` if it has no part in it.
    fn group(
        this: &Match,
        #[starlark(default = 0)] n: u32,
        #[starlark(default = "")] name: &str,
    ) -> anyhow::Result<NoneOr<String>> {
        let index = if name.is_empty() {
            usize::try_from(n).ok()
        } else {
            this.names.iter().position(|known| known.as_deref() == Some(name))
        };
        match index.and_then(|index| this.groups.get(index)) {
            Some(group) => Ok(NoneOr::from_option(group.clone())),
            None if name.is_empty() => {
                let last = this.groups.len().saturating_sub(1);
                anyhow::bail!("group: there is no group {n}, the last one is {last}")
            }
            None => anyhow::bail!("group: there is no group {name:?}"),
        }
    }
}

#[starlark_module]
fn functions(builder: &mut GlobalsBuilder) {
    /// A pattern for repeated use. `flags`: `i` upper and lower case are the same, `m` `^` and `$` are the borders of lines, `s` a dot is
    /// also a line end, `U` as little as possible is matched.
    fn compile(pattern: &str, #[starlark(default = "")] flags: &str) -> anyhow::Result<Pattern> {
        Pattern::new(pattern, flags)
    }

    /// Whether a pattern matches anywhere in a string.
    fn r#match(
        pattern: &str,
        s: &str,
        #[starlark(require = named, default = "")] flags: &str,
    ) -> anyhow::Result<bool> {
        Ok(Pattern::new(pattern, flags)?.regex.is_match(s))
    }

    /// The first match in a string, or `None`.
    fn find(
        pattern: &str,
        s: &str,
        #[starlark(require = named, default = "")] flags: &str,
    ) -> anyhow::Result<NoneOr<Match>> {
        Ok(NoneOr::from_option(
            Pattern::new(pattern, flags)?.matches(s, 1).pop(),
        ))
    }

    /// All matches in a string, or the first `n`.
    fn find_all(
        pattern: &str,
        s: &str,
        #[starlark(default = -1)] n: i32,
        #[starlark(require = named, default = "")] flags: &str,
    ) -> anyhow::Result<Vec<Match>> {
        Ok(Pattern::new(pattern, flags)?.matches(s, limit(n)))
    }

    /// The string with all matches replaced. In `repl`, `$1` and `${name}` are groups, and `$$` is a dollar sign.
    fn replace(
        pattern: &str,
        s: &str,
        repl: &str,
        #[starlark(require = named, default = "")] flags: &str,
    ) -> anyhow::Result<String> {
        Ok(Pattern::new(pattern, flags)?.replace(s, repl))
    }

    /// The pieces of a string between the matches, at most `n`.
    fn split(
        pattern: &str,
        s: &str,
        #[starlark(default = -1)] n: i32,
        #[starlark(require = named, default = "")] flags: &str,
    ) -> anyhow::Result<Vec<String>> {
        Ok(Pattern::new(pattern, flags)?.split(s, limit(n)))
    }
}
