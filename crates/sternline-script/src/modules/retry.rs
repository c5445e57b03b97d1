//! The module `retry`: calling a function until it succeeds.

#![allow(clippy::too_many_arguments, reason = "scripts give them by name")]

use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::{Duration, Instant};

use allocative::Allocative;
use serde::Serialize;
use starlark::any::ProvidesStaticType;
use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::values::list::ListRef;
use starlark::values::none::NoneOr;
use starlark::values::{
    Coerce, Freeze, FreezeResult, Freezer, Heap, StarlarkPagablePanic, StarlarkValue, Trace, Value,
    ValueLike, starlark_value,
};
use starlark::{starlark_complex_value, starlark_module};

use super::time::LengthArg;
use crate::context::Context;
use crate::duration::SignedDuration;
use crate::error::{ends_the_script, message};
use crate::outcome::{Outcome, with_try};
use crate::wait::wait;

/// How far jitter moves a pause, either way, in hundredths.
const JITTER: u64 = 25;

/// Adds the module `retry`.
pub(crate) fn register(builder: &mut GlobalsBuilder) {
    builder.namespace("retry", |builder| with_try(builder, functions));
}

/// What became of all attempts: `ok`, `value`, `error`, `attempts`, `elapsed` (such as "1.5s") and `errors`, one for each attempt
/// that failed. It is true when it is ok.
#[derive(Debug, Trace, Coerce, ProvidesStaticType, Serialize, StarlarkPagablePanic, Allocative)]
#[repr(C)]
pub(crate) struct RetryResultGen<V> {
    ok: bool,
    value: V,
    error: String,
    attempts: usize,
    elapsed: String,
    errors: Vec<String>,
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

/// How often, and how long between.
struct Plan {
    name: &'static str,
    max_attempts: usize,
    delay: Duration,
    /// Pauses double up to that; else they stay the same.
    max_delay: Option<Duration>,
    timeout: Option<Duration>,
    jitter: bool,
}

/// What the script has to say about it.
#[derive(Clone, Copy)]
struct Hooks<'v> {
    retry_on: Option<Value<'v>>,
    on_retry: Option<Value<'v>>,
}

impl Plan {
    fn new(
        name: &'static str,
        max_attempts: i32,
        delay: LengthArg,
        max_delay: Option<LengthArg>,
        timeout: Option<LengthArg>,
        jitter: bool,
    ) -> anyhow::Result<Self> {
        let length = |what: &str, value: LengthArg| -> anyhow::Result<Duration> {
            let length = value.read().map_err(|error| {
                anyhow::anyhow!("{name}: invalid {what} {:?}: {error}", value.to_string())
            })?;
            length
                .unsigned()
                .ok_or_else(|| anyhow::anyhow!("{name}: {what} is below zero: {value}"))
        };
        let max_attempts = usize::try_from(max_attempts)
            .ok()
            .filter(|attempts| *attempts > 0)
            .ok_or_else(|| anyhow::anyhow!("{name}: max_attempts must be at least 1, got {max_attempts}"))?;
        let timeout = match timeout {
            Some(timeout) if !timeout.is_nothing() => Some(length("timeout", timeout)?),
            _ => None,
        };
        Ok(Self {
            name,
            max_attempts,
            delay: length("delay", delay)?,
            max_delay: max_delay.map(|delay| length("max_delay", delay)).transpose()?,
            timeout: timeout.filter(|timeout| !timeout.is_zero()),
            jitter,
        })
    }

    /// How long to wait behind an attempt, which are counted from 1.
    fn pause(&self, attempt: usize, random: u64) -> Duration {
        let pause = match self.max_delay {
            None => self.delay,
            Some(max) => {
                let doublings = u32::try_from(attempt - 1).unwrap_or(u32::MAX).min(31);
                self.delay.saturating_mul(1 << doublings).min(max)
            }
        };
        if !self.jitter {
            return pause;
        }
        let hundredths = 100 - JITTER + random % (2 * JITTER + 1);
        pause.mul_f64(hundredths as f64 / 100.0)
    }

    fn run<'v>(
        &self,
        eval: &mut Evaluator<'v, '_, '_>,
        func: Value<'v>,
        hooks: Hooks<'v>,
    ) -> starlark::Result<RetryResult<'v>> {
        let began = Instant::now();
        let mut errors: Vec<String> = Vec::new();
        let mut attempt = 0;
        let (value, error) = loop {
            attempt += 1;
            let judged = match eval.eval_function(func, &[], &[]) {
                Ok(value) => judge(value, eval.heap()),
                Err(error) if ends_the_script(&error) => return Err(error),
                Err(error) => Err(message(&error)),
            };
            let again = self.asks_again(eval, hooks.retry_on, &judged)?;
            let error = match (judged, again) {
                (Ok(success), None | Some(false)) => break (Some(success.value), String::new()),
                (Ok(_), Some(true)) => "retry_on asked for another attempt".to_owned(),
                (Err(error), _) => error,
            };
            errors.push(error.clone());
            if attempt == self.max_attempts || again == Some(false) {
                break (None, error);
            }
            let pause = self.pause(attempt, RandomState::new().build_hasher().finish());
            let is_late = |timeout: Duration| began.elapsed().saturating_add(pause) >= timeout;
            if self.timeout.is_some_and(is_late) {
                break (None, format!("timeout exceeded; the last error was: {error}"));
            }
            if let Some(on_retry) = hooks.on_retry {
                let arguments = [eval.heap().alloc(attempt as i64), eval.heap().alloc(error)];
                self.hook(eval, "on_retry", on_retry, &arguments)?;
            }
            wait(eval, async move { tokio::time::sleep(pause).await })?;
        };
        Ok(RetryResultGen {
            ok: value.is_some(),
            value: value.unwrap_or_else(Value::new_none),
            error,
            attempts: attempt,
            elapsed: SignedDuration::from(began.elapsed()).to_string(),
            errors,
        })
    }

    /// What `retry_on` says to an attempt, if it says anything: to a failed one by its error, to a successful one by what was
    /// returned. Texts that were returned are not shown to it, for it would take them for errors.
    fn asks_again<'v>(
        &self,
        eval: &mut Evaluator<'v, '_, '_>,
        retry_on: Option<Value<'v>>,
        judged: &Result<Success<'v>, String>,
    ) -> starlark::Result<Option<bool>> {
        let Some(retry_on) = retry_on else { return Ok(None) };
        let shown = match judged {
            Err(error) => eval.heap().alloc(error.as_str()),
            Ok(success) if success.returned.is_none() || success.returned.unpack_str().is_some() => {
                return Ok(None);
            }
            Ok(success) => success.returned,
        };
        Ok(self
            .hook(eval, "retry_on", retry_on, &[shown])?
            .map(Value::to_bool))
    }

    /// Calls what the script gave. When that fails, it is said, and counts for nothing.
    fn hook<'v>(
        &self,
        eval: &mut Evaluator<'v, '_, '_>,
        name: &str,
        function: Value<'v>,
        arguments: &[Value<'v>],
    ) -> starlark::Result<Option<Value<'v>>> {
        match eval.eval_function(function, arguments, &[]) {
            Ok(value) => Ok(Some(value)),
            Err(error) if ends_the_script(&error) => Err(error),
            Err(error) => {
                let session = &Context::of(eval)?.session;
                session.warn_once(&format!(
                    "warning: {}: {name} failed: {}",
                    self.name,
                    message(&error)
                ));
                Ok(None)
            }
        }
    }
}

/// An attempt that succeeded.
struct Success<'v> {
    /// What the function returned.
    returned: Value<'v>,
    /// That, or what is in it when it is a `Result`.
    value: Value<'v>,
}

/// Whether what a function returned is a success: a `Result` is when it is ok, and so is whatever else has an attribute `ok`;
/// a list of such when all are; of truth values True. Everything else is.
fn judge<'v>(returned: Value<'v>, heap: Heap<'v>) -> Result<Success<'v>, String> {
    let success = |value| Ok(Success { returned, value });
    if let Some(truth) = returned.unpack_bool() {
        return if truth {
            success(returned)
        } else {
            Err("returned False".to_owned())
        };
    }
    if let Some(list) = ListRef::from_value(returned) {
        let failures: Vec<String> = list.iter().filter_map(|item| failure(item, heap)).collect();
        return match failures.as_slice() {
            [] => success(returned),
            failures => Err(failures.join("; ")),
        };
    }
    if let Some(failure) = failure(returned, heap) {
        return Err(failure);
    }
    let is_wrapped = Outcome::from_value(returned).is_some() || RetryResult::from_value(returned).is_some();
    let inner = returned
        .get_attr("value", heap)
        .ok()
        .flatten()
        .filter(|_| is_wrapped);
    success(inner.unwrap_or(returned))
}

/// Why a result is a failure, if it is one.
fn failure<'v>(result: Value<'v>, heap: Heap<'v>) -> Option<String> {
    let attribute = |name: &str| result.get_attr(name, heap).ok().flatten();
    let text = |name: &str| {
        let text = attribute(name)?.unpack_str()?.trim();
        (!text.is_empty()).then(|| text.to_owned())
    };
    if attribute("ok")?.unpack_bool()? {
        return None;
    }
    let code = || {
        attribute("code")?
            .unpack_i32()
            .map(|code| format!("exit code {code}"))
    };
    let why = text("error").or_else(|| text("stderr")).or_else(code);
    let why = why.unwrap_or_else(|| "not ok".to_owned());
    Some(match text("host") {
        Some(host) => format!("host {host}: {why}"),
        None => why,
    })
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
mod tests {
    use super::*;
    use crate::scratch::{fails, prints, run_script};

    const FLAKY: &str = r#"
def flaky(failures, value = "done"):
    state = {"n": 0}
    def call():
        state["n"] += 1
        if state["n"] <= failures:
            return Result(ok = False, error = "not yet %d" % state["n"])
        return value
    return call
"#;

    fn prints_flaky(script: &str) -> String {
        prints(&format!("{FLAKY}{script}"))
    }

    #[test]
    fn a_function_is_called_until_it_succeeds() {
        let script = r#"
r = retry.do(flaky(2), max_attempts = 5, delay = "1ms")
print(r.ok, r.value, r.attempts, r.errors, repr(r.error), type(r), type(r.elapsed), bool(r))
r = retry.do(flaky(9), delay = "1ms")
print(r.ok, r.value, r.attempts, r.error, bool(r), len(r.errors))
r = retry.with_backoff(flaky(2), delay = "1ms", max_delay = "2ms", jitter = False)
print(r.ok, r.attempts)
print(r)
print(json.encode(retry.do(lambda: fail("boom"), max_attempts = 1)).startswith('{"attempts":1,"elapsed":'))
"#;
        assert_eq!(
            prints_flaky(script),
            "True done 3 [\"not yet 1\", \"not yet 2\"] \"\" RetryResult string True\n\
             False None 3 not yet 3 False 3\n\
             True 3\n\
             RetryResult(ok=True, value=\"done\", attempts=3)\n\
             True\n"
        );
    }

    #[test]
    fn what_a_function_returns_says_whether_it_succeeded() {
        let script = r#"
def ok(value):
    r = retry.do(lambda: value, max_attempts = 2, delay = "1ms")
    return (r.ok, r.attempts, r.error)
print(ok(None), ok(True), ok("x"), ok(0), ok([]), ok(Result(True, value = 1)), ok(struct(ok = True)))
print(ok(False), ok(Result(False, error = "e")), ok(struct(ok = False, host = "h", stderr = "s\n", code = 2)))
print(ok([struct(ok = True), struct(ok = False, code = 2), struct(ok = False, host = "b", error = "gone")]))
print(retry.do(lambda: Result(True, value = 7)).value, retry.do(lambda: {"ok": False}).ok)
"#;
        assert_eq!(
            prints(script),
            "(True, 1, \"\") (True, 1, \"\") (True, 1, \"\") (True, 1, \"\") (True, 1, \"\") (True, 1, \"\") (True, 1, \"\")\n\
             (False, 2, \"returned False\") (False, 2, \"e\") (False, 2, \"host h: s\")\n\
             (False, 2, \"exit code 2; host b: gone\")\n\
             7 True\n"
        );
    }

    #[test]
    fn retry_on_decides_by_the_error_or_by_what_was_returned() {
        let script = r#"
r = retry.do(flaky(2), delay = "1ms", retry_on = lambda error: "yet 1" in error)
print(r.ok, r.attempts, r.error)
state = {"n": 0}
def work():
    state["n"] += 1
    return Result(ok = True, value = "ready" if state["n"] == 3 else "not ready")
r = retry.do(work, max_attempts = 5, delay = "1ms", retry_on = lambda r: r.value == "not ready")
print(r.ok, r.value, r.attempts)
r = retry.do(lambda: "a timeout in a text", retry_on = lambda error: "timeout" in error)
print(r.ok, r.attempts)
"#;
        assert_eq!(prints_flaky(script), "False 2 not yet 2\nTrue ready 3\nTrue 1\n");
    }

    #[test]
    fn on_retry_is_told_before_each_pause() {
        let script = r#"
r = retry.do(flaky(9), max_attempts = 3, delay = "1ms", on_retry = lambda attempt, error: print(attempt, error))
r = retry.do(flaky(1), delay = "1ms", on_retry = lambda: None)
print(r.ok)
"#;
        let ran = run_script(&format!("{FLAKY}{script}"));
        assert_eq!(ran.out, "1 not yet 1\n2 not yet 2\nTrue\n");
        assert!(
            ran.messages
                .iter()
                .any(|line| line.starts_with("warning: retry.do: on_retry failed"))
        );
    }

    #[test]
    fn time_limits_end_it_before_a_pause_that_is_too_long() {
        let script = r#"
r = retry.do(flaky(9), delay = "60s", timeout = "50ms")
print(r.ok, r.attempts, r.error)
"#;
        assert_eq!(
            prints_flaky(script),
            "False 1 timeout exceeded; the last error was: not yet 1\n"
        );
    }

    #[test]
    fn exit_is_no_failure_to_be_tried_again() {
        let ran = run_script("retry.do(lambda: exit(4))");
        assert_eq!(ran.ended.map(|ended| ended.status).ok(), Some(4));
    }

    #[test]
    fn wrong_options_are_said() {
        for (call, part) in [
            (
                "retry.do(str, max_attempts = 0)",
                "max_attempts must be at least 1, got 0",
            ),
            (
                "retry.do(str, delay = \"x\")",
                "invalid delay \"x\": time: invalid duration \"x\"",
            ),
            ("retry.do(str, delay = \"-1s\")", "delay is below zero"),
            ("retry.with_backoff(str, max_delay = 3)", "max_delay"),
        ] {
            let error = fails(call);
            assert!(error.contains(part), "{call}: {error}");
        }
    }

    #[test]
    fn pauses_double_and_jitter_stays_within_a_quarter() {
        let mut plan = Plan {
            name: "",
            max_attempts: 9,
            delay: Duration::from_millis(100),
            max_delay: Some(Duration::from_secs(1)),
            timeout: None,
            jitter: false,
        };
        let pauses: Vec<u128> = (1..7).map(|attempt| plan.pause(attempt, 0).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(plan.pause(usize::MAX, 0), Duration::from_secs(1));
        plan.jitter = true;
        for random in 0..200 {
            let pause = plan.pause(1, random).as_millis();
            assert!((75..=125).contains(&pause), "{pause}");
        }
    }
}
