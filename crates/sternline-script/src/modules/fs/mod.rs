//! Files: the module `fs`, and the functions that have names of their own.

pub(crate) mod arguments;
pub(crate) mod content;
mod entry;
mod lexical;
mod look;
pub(crate) mod path;
pub(crate) mod problem;
mod search;
pub(crate) mod write;

use starlark::environment::GlobalsBuilder;
use starlark::starlark_module;

use crate::outcome::with_try;
use arguments::PathArg;
use path::PathValue;

/// Adds the module `fs`, and its functions under their own names.
pub(crate) fn register(builder: &mut GlobalsBuilder) {
    all_functions(builder);
    builder.namespace("fs", |builder| with_try(builder, all_functions));
}

fn all_functions(builder: &mut GlobalsBuilder) {
    functions(builder);
    look::functions(builder);
    content::functions(builder);
}

#[starlark_module]
fn functions(builder: &mut GlobalsBuilder) {
    /// A path as a value, with methods to read, write and look at what it names. Relative ones begin in the script's current
    /// directory, and `~` is the home directory.
    fn path(#[starlark(require = pos)] path: PathArg) -> anyhow::Result<PathValue> {
        Ok(PathValue::new(path.0))
    }
}
