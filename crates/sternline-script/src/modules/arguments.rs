//! What a script was started with.

use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;

use crate::context::Context;

#[starlark_module]
pub(crate) fn register(builder: &mut GlobalsBuilder) {
    /// The script's own arguments, as a list of strings: what stands behind its name where it was started.
    fn args(eval: &mut Evaluator<'_, '_, '_>) -> anyhow::Result<Vec<String>> {
        Ok(Context::of(eval)?.session.arguments().to_vec())
    }
}
