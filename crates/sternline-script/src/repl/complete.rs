//! What can be completed at a place in a text that is being typed, and with what.

use starlark::docs::{DocItem, DocMember, DocParams};
use starlark::environment::Globals;
use starlark::eval::Evaluator;
use starlark::values::Value;

use super::text::Scan;
use crate::dialect::{self, assert_word};

/// What a half-typed word may become.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Completion {
    /// Where the word begins, in bytes.
    pub start: usize,
    /// The whole words that begin like it, in order.
    pub words: Vec<String>,
}

const KEYWORDS: [&str; 15] = [
    "and", "break", "continue", "def", "elif", "else", "for", "if", "in", "lambda", "load", "not", "or",
    "pass", "return",
];

/// What stands before the cursor.
#[derive(Debug, PartialEq, Eq)]
enum Place<'t> {
    /// Where no name stands: in a string, a comment or a number.
    Nowhere,
    /// A name, and the function whose argument it begins, with the names of those that it has been given.
    Name {
        word: &'t str,
        call: Option<(&'t str, Vec<&'t str>)>,
    },
    /// A member of what this expression is; it calls nothing.
    Member { of: &'t str, word: &'t str },
}

impl<'t> Place<'t> {
    fn at_end_of(text: &'t str) -> Self {
        let scan = Scan::of(text);
        if scan.in_string || scan.in_comment {
            return Self::Nowhere;
        }
        let (before, word) = text.split_at(word_start(text));
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            return Self::Nowhere;
        }
        if let Some(before) = before.strip_suffix('.') {
            return match primary(before) {
                "" => Self::Nowhere,
                of => Self::Member { of, word },
            };
        }
        let call = scan
            .brackets
            .last()
            .filter(|(bracket, _)| *bracket == '(')
            .and_then(|(_, at)| {
                let callee = primary(text.get(..*at)?);
                let arguments = before.get(at + 1..)?;
                let begins = arguments.trim_end();
                let at_argument = begins.is_empty() || begins.ends_with(',');
                (at_argument && !callee.is_empty()).then(|| (callee, named(arguments)))
            });
        Self::Name { word, call }
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where the word at the end of a text begins.
fn word_start(text: &str) -> usize {
    text.len()
        - text
            .chars()
            .rev()
            .take_while(|c| is_word(*c))
            .map(char::len_utf8)
            .sum::<usize>()
}

/// The longest expression at the end of a text that consists of names, members and plain indexes: `a.b[0].c`. To evaluate it
/// has no effect.
fn primary(text: &str) -> &str {
    let mut start = text.len();
    loop {
        let before = text.get(..start).unwrap_or_default();
        if let Some(index) = before.strip_suffix(']') {
            let Some(open) = index.rfind('[') else { break };
            let plain = index.get(open + 1..).is_some_and(|inside| {
                !inside.is_empty() && inside.chars().all(|c| is_word(c) || "'\"-./ ".contains(c))
            });
            if !plain {
                return "";
            }
            start = open;
            continue;
        }
        let word = word_start(before);
        if word == start {
            // What is called, or a string: no name begins it.
            return "";
        }
        start = word;
        match text.get(..start).and_then(|before| before.strip_suffix('.')) {
            Some(before) => start = before.len(),
            None => break,
        }
    }
    let found = text.get(start..).unwrap_or_default();
    if found.starts_with(|c: char| c.is_alphabetic() || c == '_') {
        found
    } else {
        ""
    }
}

/// The names of arguments in the text of some: `a=1, b = 2`. What is meant by one in a bracket of theirs is taken too, which
/// only offers less.
fn named(arguments: &str) -> Vec<&str> {
    let pieces = arguments.split('=').collect::<Vec<_>>();
    let before_signs = pieces.split_last().map(|(_, before)| before).unwrap_or_default();
    let names = before_signs.iter().map(|piece| {
        let piece = piece.trim_end();
        piece.get(word_start(piece)..).unwrap_or_default()
    });
    names.filter(|name| !name.is_empty()).collect()
}

/// What the word that `text` ends with may become.
pub(super) fn complete(text: &str, eval: &mut Evaluator<'_, '_, '_>, globals: &Globals) -> Completion {
    let (word, mut words) = match Place::at_end_of(text) {
        Place::Nowhere => {
            return Completion {
                start: text.len(),
                words: Vec::new(),
            };
        }
        Place::Member { of, word } => {
            let members = evaluate(of, eval, globals)
                .map(Value::dir_attr)
                .unwrap_or_default();
            (word, members)
        }
        Place::Name { word, call } => {
            let mut words: Vec<String> = KEYWORDS.map(str::to_owned).to_vec();
            words.extend(
                globals
                    .names()
                    .map(|name| assert_word::restore(name.as_str()).into_owned()),
            );
            words.extend(
                eval.module()
                    .names_and_visibilities()
                    .map(|(name, _)| name.as_str().to_owned()),
            );
            if let Some((callee, given)) = call {
                let parameters = parameters(callee, eval, globals);
                let left = parameters
                    .into_iter()
                    .filter(|name| !given.contains(&name.as_str()));
                words.extend(left.map(|name| format!("{name}=")));
            }
            (word, words)
        }
    };
    // What is private is offered to those who have typed its underscore.
    words.retain(|offer| offer.starts_with(word) && (word.starts_with('_') || !offer.starts_with('_')));
    words.sort_unstable();
    words.dedup();
    Completion {
        start: text.len() - word.len(),
        words,
    }
}

/// The value of an expression without effects.
fn evaluate<'v>(expression: &str, eval: &mut Evaluator<'v, '_, '_>, globals: &Globals) -> Option<Value<'v>> {
    let ast = dialect::parse("<completion>", expression).ok()?;
    eval.eval_module(ast, globals).ok()
}

/// The names by which a function's parameters can be given.
fn parameters(callee: &str, eval: &mut Evaluator<'_, '_, '_>, globals: &Globals) -> Vec<String> {
    let Some(function) = evaluate(callee, eval, globals) else {
        return Vec::new();
    };
    let described = named_parameters(&function.documentation());
    if !described.is_empty() {
        return described;
    }
    // A `try_` function has the parameters of the one that it tries.
    let (of, name) = callee.split_at(word_start(callee));
    let tried = name
        .strip_prefix("try_")
        .and_then(|name| evaluate(&format!("{of}{name}"), eval, globals));
    tried
        .map(|function| named_parameters(&function.documentation()))
        .unwrap_or_default()
}

fn named_parameters(item: &DocItem) -> Vec<String> {
    let DocItem::Member(DocMember::Function(function)) = item else {
        return Vec::new();
    };
    let DocParams {
        pos_or_named,
        named_only,
        ..
    } = &function.params;
    pos_or_named
        .iter()
        .chain(named_only)
        .map(|parameter| parameter.name.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(word: &str) -> Place<'_> {
        Place::Name { word, call: None }
    }

    #[test]
    fn a_name_or_a_member_stands_at_the_end() {
        for (text, place) in [
            ("", name("")),
            ("pri", name("pri")),
            ("x = pri", name("pri")),
            ("f(1) + pri", name("pri")),
            ("ssh.", Place::Member { of: "ssh", word: "" }),
            (
                "x = ssh.con",
                Place::Member {
                    of: "ssh",
                    word: "con",
                },
            ),
            ("a.b.c", Place::Member { of: "a.b", word: "c" }),
            (
                "results[0].std",
                Place::Member {
                    of: "results[0]",
                    word: "std",
                },
            ),
            (
                "d['k'][-1].x",
                Place::Member {
                    of: "d['k'][-1]",
                    word: "x",
                },
            ),
            ("f(a.", Place::Member { of: "a", word: "" }),
        ] {
            assert_eq!(Place::at_end_of(text), place, "{text}");
        }
    }

    #[test]
    fn nothing_is_completed_where_no_name_stands_or_something_would_be_called() {
        for text in [
            "'pri", "# pri", "1", "1.", "0x", "f().", "x[f()].", "'a'.", "[1].", ".", "\"\"\"a.",
        ] {
            assert_eq!(Place::at_end_of(text), Place::Nowhere, "{text}");
        }
    }

    #[test]
    fn an_argument_of_a_call_may_begin_with_a_parameters_name() {
        for (text, word, callee, given) in [
            ("f(", "", "f", &[][..]),
            ("x = ssh.config(ho", "ho", "ssh.config", &[]),
            ("ssh.config(hosts=['a', 'b'], us", "us", "ssh.config", &["hosts"]),
            ("f(\n  a = 1,\n  b=2,\n  ", "", "f", &["a", "b"]),
        ] {
            let place = Place::Name {
                word,
                call: Some((callee, given.to_vec())),
            };
            assert_eq!(Place::at_end_of(text), place, "{text}");
        }
        for text in ["f(a=", "f([", "f(1 + ", "f(g(x), [", "(", "f(a)("] {
            assert_eq!(Place::at_end_of(text), name(""), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a=.,'\"#()\\[\\]0é_ \n]{0,30}") {
            let _ = Place::at_end_of(&text);
        }
    }
}
