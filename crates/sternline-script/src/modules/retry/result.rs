//! What becomes of all attempts.

use std::fmt;

use allocative::Allocative;
use serde::Serialize;
use starlark::any::ProvidesStaticType;
use starlark::starlark_complex_value;
use starlark::values::{
    Coerce, Freeze, FreezeResult, Freezer, Heap, StarlarkPagablePanic, StarlarkValue, Trace, Value,
    ValueLike, starlark_value,
};

/// What became of all attempts: `ok`, `value`, `error`, `attempts`, `elapsed` (such as "1.5s") and `errors`, one for each attempt
/// that failed. It is true when it is ok.
#[derive(Debug, Trace, Coerce, ProvidesStaticType, Serialize, StarlarkPagablePanic, Allocative)]
#[repr(C)]
pub(crate) struct RetryResultGen<V> {
    pub(super) ok: bool,
    pub(super) value: V,
    pub(super) error: String,
    pub(super) attempts: usize,
    pub(super) elapsed: String,
    pub(super) errors: Vec<String>,
}
starlark_complex_value!(pub(crate) RetryResult);

impl<V: fmt::Display> fmt::Display for RetryResultGen<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            value,
            error,
            attempts,
            ..
        } = self;
        match self.ok {
            true => write!(f, "RetryResult(ok=True, value={value}, attempts={attempts})"),
            false => write!(f, "RetryResult(ok=False, error={error:?}, attempts={attempts})"),
        }
    }
}

impl<'v> Freeze for RetryResult<'v> {
    type Frozen = FrozenRetryResult;
    fn freeze(self, freezer: &Freezer) -> FreezeResult<Self::Frozen> {
        Ok(RetryResultGen {
            ok: self.ok,
            value: self.value.freeze(freezer)?,
            error: self.error,
            attempts: self.attempts,
            elapsed: self.elapsed,
            errors: self.errors,
        })
    }
}

#[starlark_value(type = "RetryResult")]
impl<'v, V: ValueLike<'v>> StarlarkValue<'v> for RetryResultGen<V>
where
    Self: ProvidesStaticType<'v>,
{
    fn to_bool(&self) -> bool {
        self.ok
    }

    fn get_attr(&self, attribute: &str, heap: Heap<'v>) -> Option<Value<'v>> {
        Some(match attribute {
            "ok" => Value::new_bool(self.ok),
            "value" => self.value.to_value(),
            "error" => heap.alloc(self.error.as_str()),
            "attempts" => heap.alloc(i64::try_from(self.attempts).unwrap_or(i64::MAX)),
            "elapsed" => heap.alloc(self.elapsed.as_str()),
            "errors" => heap.alloc(self.errors.clone()),
            _ => return None,
        })
    }

    fn dir_attr(&self) -> Vec<String> {
        ["attempts", "elapsed", "error", "errors", "ok", "value"]
            .map(str::to_owned)
            .to_vec()
    }
}
