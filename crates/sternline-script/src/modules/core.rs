//! Functions that belong to no module.

use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::Value;
use starlark::values::none::NoneType;
use starlark::values::tuple::UnpackTuple;

use crate::callback;
use crate::context::Context;
use crate::stop::Why;

/// The script has called `exit`. No `try_` function catches it.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("exit({0})")]
pub(crate) struct Exit(pub(crate) i32);

#[starlark_module]
pub(crate) fn register(builder: &mut GlobalsBuilder) {
    /// Prints values with `sep` between them and a line end: strings as they are, others as `repr` shows them.
    fn print<'v>(
        #[starlark(args)] args: UnpackTuple<Value<'v>>,
        #[starlark(require = named, default = " ")] sep: &str,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        let texts: Vec<String> = args.items.iter().map(|value| value.to_str()).collect();
        Context::of(eval)?
            .session
            .out(&format!("{}\n", texts.join(sep)))?;
        Ok(NoneType)
    }

    /// Ends the script with a message, as an error.
    fn fail(#[starlark(default = "")] msg: &str) -> anyhow::Result<NoneType> {
        let msg = if msg.is_empty() { "script failed" } else { msg };
        Err(anyhow::anyhow!("{msg}"))
    }

    /// Ends the script with a status from 0 to 255, after its deferred functions.
    fn exit(#[starlark(default = 0)] code: i32) -> anyhow::Result<NoneType> {
        anyhow::ensure!(
            (0..=255).contains(&code),
            "exit: {code} is no exit status: give one from 0 to 255"
        );
        Err(Exit(code).into())
    }

    /// Has a function called when the script has ended, however it ends. The last one is called first.
    fn defer<'v>(func: Value<'v>, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<NoneType> {
        let kept = callback::keep(eval, func)?;
        Context::of(eval)?.deferred.borrow_mut().push(kept);
        Ok(NoneType)
    }

    /// Has a function called when a signal tells the script to end: `"SIGINT"` (Ctrl-C) or `"SIGTERM"`, also called `"interrupt"` and
    /// `"terminated"`. It takes nothing. Deferred functions are called after it, all of them within 10 seconds, and the script ends
    /// with the status 130 or 143. The last function for a signal counts.
    fn on_signal<'v>(
        name: &str,
        handler: Value<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        let why = match name {
            "SIGINT" | "INT" | "interrupt" => Why::Interrupted,
            "SIGTERM" | "TERM" | "terminated" => Why::Terminated,
            _ => anyhow::bail!("on_signal: {name:?} cannot be handled: there are \"SIGINT\" and \"SIGTERM\""),
        };
        let kept = callback::keep(eval, handler)?;
        Context::of(eval)?.on_signal.borrow_mut().push((why, kept));
        Ok(NoneType)
    }
}
