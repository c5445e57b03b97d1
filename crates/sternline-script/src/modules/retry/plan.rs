//! How often a function is called, and how long it is waited between.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::{Duration, Instant};

use starlark::eval::Evaluator;
use starlark::values::Value;

use super::judge::{Success, judge};
use super::result::{RetryResult, RetryResultGen};
use crate::context::Context;
use crate::duration::SignedDuration;
use crate::error::{ends_the_script, message};
use crate::modules::time::LengthArg;
use crate::wait::wait;

/// How far jitter moves a pause, either way, in hundredths.
const JITTER: u64 = 25;

/// How often, and how long between.
pub(super) struct Plan {
    pub(super) name: &'static str,
    pub(super) max_attempts: usize,
    pub(super) delay: Duration,
    /// Pauses double up to that; else they stay the same.
    pub(super) max_delay: Option<Duration>,
    pub(super) timeout: Option<Duration>,
    pub(super) jitter: bool,
}

/// What the script has to say about it.
#[derive(Clone, Copy)]
pub(super) struct Hooks<'v> {
    pub(super) retry_on: Option<Value<'v>>,
    pub(super) on_retry: Option<Value<'v>>,
}

impl Plan {
    pub(super) fn new(
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
    pub(super) fn pause(&self, attempt: usize, random: u64) -> Duration {
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

    pub(super) fn run<'v>(
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
