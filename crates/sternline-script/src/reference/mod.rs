//! What there is for scripts, as documentation: for people, and for whoever looks at a script without running it.

mod markdown;
mod types;

use starlark::environment::GlobalsBuilder;

use crate::modules;
pub(crate) use types::types;

/// The page that describes every module, function and value that scripts have, in Markdown. It is made of what stands in the
/// code.
#[must_use]
pub fn reference() -> String {
    let known = modules::known(true).documentation();
    let language = GlobalsBuilder::extended_by(modules::LANGUAGE).build();
    markdown::page(&known, &language.documentation(), &types())
}
