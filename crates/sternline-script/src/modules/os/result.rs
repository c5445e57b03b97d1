//! What became of a local process.

use std::fmt;

use allocative::Allocative;
use starlark::any::ProvidesStaticType;
use starlark::environment::{Methods, MethodsBuilder};
use starlark::values::{StarlarkPagablePanic, StarlarkValue, Value, ValueLike, starlark_value};
use starlark::{starlark_module, starlark_simple_value};

/// What `try_exec` returns. It is true when the status is 0.
#[derive(
    Debug, Clone, PartialEq, Eq, ProvidesStaticType, StarlarkPagablePanic, Allocative, serde::Serialize,
)]
pub(crate) struct ExecResult {
    pub(super) ok: bool,
    pub(super) stdout: String,
    pub(super) stderr: String,
    /// The status, 128 and the number of the signal that ended it, or -1 where there is none.
    pub(super) code: i32,
    pub(super) error: String,
}
starlark_simple_value!(ExecResult);

impl fmt::Display for ExecResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ok = if self.ok { "True" } else { "False" };
        write!(
            f,
            "ExecResult(code = {}, error = {:?}, ok = {ok}, stderr = {:?}, stdout = {:?})",
            self.code, self.error, self.stderr, self.stdout
        )
    }
}

starlark::methods_static!(METHODS = methods);

#[starlark_value(type = "ExecResult")]
impl<'v> StarlarkValue<'v> for ExecResult {
    fn get_methods() -> Option<&'static Methods> {
        Some(METHODS.methods())
    }

    fn to_bool(&self) -> bool {
        self.ok
    }

    fn equals(&self, other: Value<'v>) -> starlark::Result<bool> {
        Ok(other.downcast_ref::<Self>() == Some(self))
    }
}

#[starlark_module]
fn methods(builder: &mut MethodsBuilder) {
    /// Whether the status is 0.
    #[starlark(attribute)]
    fn ok(this: &ExecResult) -> anyhow::Result<bool> {
        Ok(this.ok)
    }

    /// What it wrote to its standard output. What is not UTF-8 is replaced.
    #[starlark(attribute)]
    fn stdout(this: &ExecResult) -> anyhow::Result<String> {
        Ok(this.stdout.clone())
    }

    /// What it wrote to its standard error. What is not UTF-8 is replaced.
    #[starlark(attribute)]
    fn stderr(this: &ExecResult) -> anyhow::Result<String> {
        Ok(this.stderr.clone())
    }

    /// The status: 128 and the number of the signal where one ended it, -1 where it could not be run or took too long.
    #[starlark(attribute)]
    fn code(this: &ExecResult) -> anyhow::Result<i32> {
        Ok(this.code)
    }

    /// Another name of `code`.
    #[starlark(attribute)]
    fn exit_code(this: &ExecResult) -> anyhow::Result<i32> {
        Ok(this.code)
    }

    /// What went wrong: an empty string if nothing did.
    #[starlark(attribute)]
    fn error(this: &ExecResult) -> anyhow::Result<String> {
        Ok(this.error.clone())
    }
}
