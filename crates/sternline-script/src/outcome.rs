//! `Result`, and the `try_` form of every function: what went wrong as a value.

use std::fmt;

use allocative::Allocative;
use starlark::any::ProvidesStaticType;
use starlark::environment::{Globals, GlobalsBuilder};
use starlark::eval::{Arguments, Evaluator};
use starlark::values::function::FUNCTION_TYPE;
use starlark::values::{
    Coerce, Freeze, FreezeResult, Freezer, Heap, NoSerialize, StarlarkPagablePanic, StarlarkValue, Trace,
    Value, ValueLike, starlark_value,
};
use starlark::{starlark_complex_value, starlark_module};

use crate::error::ends_the_script;
use crate::ssh::HostsFailed;

/// What became of a call: `ok`, and `value` or `error`. It is true when it is ok.
///
/// Of a call that could not work on all hosts, `results` are those of all hosts and `failed` those of the hosts that failed;
/// otherwise `results` is the value, and `failed` is empty.
#[derive(Debug, Trace, Coerce, ProvidesStaticType, serde::Serialize, StarlarkPagablePanic, Allocative)]
#[repr(C)]
pub(crate) struct OutcomeGen<V> {
    ok: bool,
    error: String,
    value: V,
    /// Why a call that concerned several hosts has failed: the results of all of them are in it.
    #[trace(unsafe_ignore)]
    #[allocative(skip)]
    #[serde(skip)]
    hosts: Option<HostsFailed>,
}
starlark_complex_value!(pub(crate) Outcome);

impl<'v> Outcome<'v> {
    pub(crate) fn ok(value: Value<'v>) -> Self {
        Self {
            ok: true,
            error: String::new(),
            value,
            hosts: None,
        }
    }

    pub(crate) fn failed(error: String) -> Self {
        Self {
            ok: false,
            error,
            value: Value::new_none(),
            hosts: None,
        }
    }

    /// Of a function that has failed.
    fn of_error(error: &starlark::Error) -> Self {
        Self {
            hosts: HostsFailed::of(error).cloned(),
            ..Self::failed(crate::error::message(error))
        }
    }
}

impl<V: fmt::Display> fmt::Display for OutcomeGen<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ok {
            write!(f, "Result(ok=True, value={})", self.value)
        } else {
            write!(f, "Result(ok=False, error={:?})", self.error)
        }
    }
}

impl<'v> Freeze for Outcome<'v> {
    type Frozen = FrozenOutcome;
    fn freeze(self, freezer: &Freezer) -> FreezeResult<Self::Frozen> {
        Ok(OutcomeGen {
            ok: self.ok,
            error: self.error,
            value: self.value.freeze(freezer)?,
            hosts: self.hosts,
        })
    }
}

#[starlark_value(type = "Result")]
impl<'v, V: ValueLike<'v>> StarlarkValue<'v> for OutcomeGen<V>
where
    Self: ProvidesStaticType<'v>,
{
    fn to_bool(&self) -> bool {
        self.ok
    }

    fn get_attr(&self, attribute: &str, heap: Heap<'v>) -> Option<Value<'v>> {
        match attribute {
            "ok" => Some(Value::new_bool(self.ok)),
            "error" => Some(heap.alloc(self.error.as_str())),
            "value" => Some(self.value.to_value()),
            "results" => Some(match &self.hosts {
                Some(hosts) => hosts.results(heap),
                None => self.value.to_value(),
            }),
            "failed" => Some(match &self.hosts {
                Some(hosts) => hosts.failed(heap),
                None => heap.alloc(Vec::<i32>::new()),
            }),
            _ => None,
        }
    }

    fn dir_attr(&self) -> Vec<String> {
        ["error", "failed", "ok", "results", "value"]
            .map(str::to_owned)
            .to_vec()
    }
}

/// A function that never fails: it returns a `Result` of what another one returns or fails with.
#[derive(Debug, Trace, Coerce, ProvidesStaticType, NoSerialize, StarlarkPagablePanic, Allocative)]
#[repr(C)]
pub(crate) struct TryFunctionGen<V>(V);
starlark_complex_value!(pub(crate) TryFunction);

impl<'v> TryFunction<'v> {
    pub(crate) fn of(function: Value<'v>) -> Self {
        TryFunctionGen(function)
    }
}

impl<V: fmt::Display> fmt::Display for TryFunctionGen<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<try_ of {}>", self.0)
    }
}

impl<'v> Freeze for TryFunction<'v> {
    type Frozen = FrozenTryFunction;
    fn freeze(self, freezer: &Freezer) -> FreezeResult<Self::Frozen> {
        Ok(TryFunctionGen(self.0.freeze(freezer)?))
    }
}

#[starlark_value(type = FUNCTION_TYPE)]
impl<'v, V: ValueLike<'v>> StarlarkValue<'v> for TryFunctionGen<V>
where
    Self: ProvidesStaticType<'v>,
{
    fn invoke(
        &self,
        _me: Value<'v>,
        args: &Arguments<'v, '_>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Value<'v>> {
        let outcome = match self.0.invoke(args, eval) {
            Ok(value) => Outcome::ok(value),
            Err(error) if ends_the_script(&error) => return Err(error),
            Err(error) => Outcome::of_error(&error),
        };
        Ok(eval.heap().alloc(outcome))
    }
}

/// The `try_` form of a method of a value: for `get_attr` of values whose methods all have one. `this` is the value itself.
pub(crate) fn try_method<'v>(this: Value<'v>, attribute: &str, heap: Heap<'v>) -> Option<Value<'v>> {
    let method = attribute.strip_prefix("try_")?;
    let function = this.get_attr(method, heap).ok()??;
    Some(heap.alloc(TryFunction::of(function)))
}

/// Adds functions to a module, and to each its `try_` form.
pub(crate) fn with_try(builder: &mut GlobalsBuilder, functions: impl FnOnce(&mut GlobalsBuilder)) {
    let mut own = GlobalsBuilder::new();
    functions(&mut own);
    let own: Globals = own.build();
    builder.frozen_heap().add_reference(own.heap());
    for (name, function) in own.iter() {
        builder.set(name, function);
        if function.to_value().get_type() == FUNCTION_TYPE && !name.starts_with("try_") {
            let tried = builder.alloc(TryFunctionGen(function));
            builder.set(&format!("try_{name}"), tried);
        }
    }
}

#[starlark_module]
pub(crate) fn register(builder: &mut GlobalsBuilder) {
    /// What became of something: `Result(True, value=1)` or `Result(False, error="why")`.
    #[allow(non_snake_case)]
    fn Result<'v>(
        ok: bool,
        #[starlark(default = starlark::values::none::NoneOr::None)] value: starlark::values::none::NoneOr<
            Value<'v>,
        >,
        #[starlark(default = "")] error: &str,
    ) -> anyhow::Result<Outcome<'v>> {
        Ok(if ok {
            Outcome::ok(value.into_option().unwrap_or_else(Value::new_none))
        } else {
            Outcome::failed(error.to_owned())
        })
    }
}
