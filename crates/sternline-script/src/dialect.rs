//! The language as scripts have it.

use starlark::syntax::{AstModule, Dialect, DialectTypes};

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

/// Parses a script.
pub(crate) fn parse(name: &str, text: &str) -> starlark::Result<AstModule> {
    AstModule::parse(name, text.to_owned(), &DIALECT)
}
