//! The module `retry`: calling a function until it succeeds.

#![allow(clippy::too_many_arguments, reason = "scripts give them by name")]

mod judge;
mod plan;
mod result;

use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::Value;
use starlark::values::none::NoneOr;

use super::time::LengthArg;
use crate::outcome::with_try;
use plan::{Hooks, Plan};
pub(crate) use result::{FrozenRetryResult, RetryResult};

/// Adds the module `retry`.
pub(crate) fn register(builder: &mut GlobalsBuilder) {
    builder.namespace("retry", |builder| with_try(builder, functions));
}

#[starlark_module]
fn functions(builder: &mut GlobalsBuilder) {
    /// Calls a function until it succeeds, with the same pause between attempts. Never fails because the function does: what
    /// became of it is in the RetryResult.
    ///
    /// An attempt fails when the function fails, or returns False, a `Result` or another result that is not ok, or a list with
    /// one in it, such as that of `client.exec`.
    ///
    /// Args:
    ///   func: is called without arguments.
    ///   max_attempts: how often it is called at most.
    ///   delay: the pause. Default: "1s".
    ///   retry_on: is called with the error of an attempt that failed; False gives up. It is also called with what a successful
    ///     attempt returned, unless that is None or a text; True makes another attempt. Default: every failure is tried again.
    ///   on_retry: is called before each pause with the number of the attempt and its error.
    ///   timeout: no pause ends later than that after the beginning. An attempt is not interrupted. Default: none.
    ///   jitter: whether pauses differ by up to a quarter.
    fn r#do<'v>(
        func: Value<'v>,
        #[starlark(default = 3)] max_attempts: i32,
        delay: Option<LengthArg>,
        #[starlark(default = NoneOr::None)] retry_on: NoneOr<Value<'v>>,
        #[starlark(default = NoneOr::None)] on_retry: NoneOr<Value<'v>>,
        timeout: Option<LengthArg>,
        #[starlark(default = false)] jitter: bool,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<RetryResult<'v>> {
        let delay = delay.unwrap_or_else(|| LengthArg::Text("1s".to_owned()));
        let plan = Plan::new("retry.do", max_attempts, delay, None, timeout, jitter)?;
        let hooks = Hooks {
            retry_on: retry_on.into_option(),
            on_retry: on_retry.into_option(),
        };
        plan.run(eval, func, hooks)
    }

    /// As `do`, with pauses that double from one to the next.
    ///
    /// Args:
    ///   func: is called without arguments.
    ///   max_attempts: how often it is called at most.
    ///   delay: the first pause. Default: "500ms".
    ///   max_delay: the longest pause. Default: "30s".
    ///   retry_on: as for `do`.
    ///   on_retry: as for `do`.
    ///   timeout: as for `do`.
    ///   jitter: whether pauses differ by up to a quarter.
    fn with_backoff<'v>(
        func: Value<'v>,
        #[starlark(default = 5)] max_attempts: i32,
        delay: Option<LengthArg>,
        max_delay: Option<LengthArg>,
        #[starlark(default = NoneOr::None)] retry_on: NoneOr<Value<'v>>,
        #[starlark(default = NoneOr::None)] on_retry: NoneOr<Value<'v>>,
        timeout: Option<LengthArg>,
        #[starlark(default = true)] jitter: bool,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<RetryResult<'v>> {
        let delay = delay.unwrap_or_else(|| LengthArg::Text("500ms".to_owned()));
        let max_delay = max_delay.unwrap_or_else(|| LengthArg::Text("30s".to_owned()));
        let plan = Plan::new(
            "retry.with_backoff",
            max_attempts,
            delay,
            Some(max_delay),
            timeout,
            jitter,
        )?;
        let hooks = Hooks {
            retry_on: retry_on.into_option(),
            on_retry: on_retry.into_option(),
        };
        plan.run(eval, func, hooks)
    }
}

#[cfg(test)]
mod tests;
