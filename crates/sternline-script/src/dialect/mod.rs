//! The language as scripts have it, and their text made ready for the crate's parser.

pub(crate) mod assert_word;
mod scan;

use starlark::codemap::{CodeMap, Pos, Span};
use starlark::syntax::{AstModule, Dialect, DialectTypes};

use scan::{Scan, scan};

/// Everything that the crate can, for scripts are written at the top level too.
const DIALECT: Dialect = Dialect {
    enable_def: true,
    enable_lambda: true,
    enable_load: true,
    enable_keyword_only_arguments: true,
    enable_positional_only_arguments: true,
    enable_types: DialectTypes::Enable,
    enable_load_reexport: false,
    enable_top_level_stmt: true,
    enable_f_strings: true,
    _non_exhaustive: (),
};

/// A longer text is no script that somebody wrote.
pub(crate) const MAX_TEXT: usize = 4 * 1024 * 1024;
/// Parsing, compiling and dropping an expression take some stack for each of its levels.
const MAX_BRACKETS: usize = 500;
const MAX_OPERATORS: usize = 20_000;
/// Reading a number takes time by the square of its digits, and at last all of the stack.
const MAX_DIGITS: usize = 10_000;

/// Parses a script. The text in what comes back, and in errors, has `assert` under [another name](assert_word).
pub(crate) fn parse(name: &str, text: &str) -> starlark::Result<AstModule> {
    if text.len() > MAX_TEXT {
        let problem = format!(
            "this script has {} bytes, and at most {MAX_TEXT} are read",
            text.len()
        );
        return Err(refused(name, "", 0, problem));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let Scan {
        text,
        deepest,
        longest,
        digits,
    } = scan(text);
    if deepest.levels > MAX_BRACKETS {
        let problem = format!("brackets lie more than {MAX_BRACKETS} deep in one another");
        return Err(refused(name, &text, deepest.at, problem));
    }
    if longest.levels > MAX_OPERATORS {
        let problem = format!("this expression has more than {MAX_OPERATORS} parts; make several of it");
        return Err(refused(name, &text, longest.at, problem));
    }
    if digits.levels > MAX_DIGITS {
        let problem = format!("this number has more than {MAX_DIGITS} digits");
        return Err(refused(name, &text, digits.at, problem));
    }
    AstModule::parse(name, text.into_owned(), &DIALECT)
}

fn refused(name: &str, text: &str, at: usize, problem: String) -> starlark::Error {
    let at = Pos::new(u32::try_from(at).unwrap_or(0));
    let kind = starlark::ErrorKind::Parser(anyhow::anyhow!(problem));
    let map = CodeMap::new(name.to_owned(), text.to_owned());
    starlark::Error::new_spanned(kind, Span::new(at, at), &map)
}
