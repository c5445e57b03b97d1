//! What became of a local process.

use std::fmt;

use allocative::Allocative;
use starlark::any::ProvidesStaticType;
use starlark::starlark_simple_value;
use starlark::values::{Heap, StarlarkPagablePanic, StarlarkValue, Value, ValueLike, starlark_value};

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

#[starlark_value(type = "ExecResult")]
impl<'v> StarlarkValue<'v> for ExecResult {
    fn to_bool(&self) -> bool {
        self.ok
    }

    fn get_attr(&self, attribute: &str, heap: Heap<'v>) -> Option<Value<'v>> {
        match attribute {
            "ok" => Some(Value::new_bool(self.ok)),
            "stdout" => Some(heap.alloc(self.stdout.as_str())),
            "stderr" => Some(heap.alloc(self.stderr.as_str())),
            "code" | "exit_code" => Some(heap.alloc(self.code)),
            "error" => Some(heap.alloc(self.error.as_str())),
            _ => None,
        }
    }

    fn dir_attr(&self) -> Vec<String> {
        ["code", "error", "exit_code", "ok", "stderr", "stdout"]
            .map(str::to_owned)
            .to_vec()
    }

    fn equals(&self, other: Value<'v>) -> starlark::Result<bool> {
        Ok(other.downcast_ref::<Self>() == Some(self))
    }
}
