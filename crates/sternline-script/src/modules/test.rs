//! The `test` module: assertions, and tests that are left out.

use anyhow::{anyhow, bail};
use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::syntax::ast::{ArgumentP, ExprP, StmtP};
use starlark::values::Value;
use starlark::values::none::NoneType;
use starlark::values::tuple::UnpackTuple;

use crate::dialect::{self, assert_word};
use crate::error::code;
use crate::modules::fmt::formatted;
use crate::outcome::with_try;

/// A longer condition is cut where it is shown.
const MAX_CONDITION: usize = 160;

/// The test has called `skip`. The runner counts it as left out; elsewhere it is an error as any other, which `try_` catches.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", said(.0))]
pub(crate) struct Skipped(pub(crate) String);

fn said(reason: &str) -> String {
    match reason {
        "" => "test skipped".to_owned(),
        reason => format!("test skipped: {reason}"),
    }
}

/// Adds the module, and those of its functions that have a name outside of it.
pub(crate) fn register(builder: &mut GlobalsBuilder) {
    builder.namespace("test", |builder| {
        with_try(builder, assertions);
        with_try(builder, failing);
        name_assert(builder);
    });
    assertions(builder);
    name_assert(builder);
}

/// Gives `assert` the name that the crate's parser sees.
fn name_assert(builder: &mut GlobalsBuilder) {
    let mut own = GlobalsBuilder::new();
    assertions(&mut own);
    let own = own.build();
    builder.frozen_heap().add_reference(own.heap());
    if let Some((_, function)) = own.iter().find(|(name, _)| *name == assert_word::WORD) {
        builder.set(assert_word::ALIAS, function);
    }
}

#[starlark_module]
fn assertions(builder: &mut GlobalsBuilder) {
    /// Fails unless the condition is true. The message, with what follows put into it as `sprintf` does, says what was expected; without one, the
    /// condition's own text stands there.
    fn assert<'v>(
        #[starlark(require = pos)] condition: Value<'v>,
        #[starlark(require = pos)] msg: Option<Value<'v>>,
        #[starlark(args)] args: UnpackTuple<Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<NoneType> {
        if condition.to_bool() {
            return Ok(NoneType);
        }
        let message = match msg {
            Some(msg) => Some(own_message("assert", msg, &args.items)?),
            None => condition_text(eval),
        };
        Err(match message {
            Some(message) => anyhow!("assertion failed: {message}").into(),
            None => anyhow!("assertion failed").into(),
        })
    }

    /// Fails unless both values are equal: first what there is, then what was expected.
    fn assert_equal<'v>(
        #[starlark(require = pos)] a: Value<'v>,
        #[starlark(require = pos)] b: Value<'v>,
        #[starlark(require = pos)] msg: Option<Value<'v>>,
        #[starlark(args)] args: UnpackTuple<Value<'v>>,
    ) -> starlark::Result<NoneType> {
        let told = || format!("got {}, want {}", a.to_repr(), b.to_repr());
        unless(a.equals(b)?, "assert_equal", told, msg, &args.items)
    }

    /// Fails if both values are equal.
    fn assert_not_equal<'v>(
        #[starlark(require = pos)] a: Value<'v>,
        #[starlark(require = pos)] b: Value<'v>,
        #[starlark(require = pos)] msg: Option<Value<'v>>,
        #[starlark(args)] args: UnpackTuple<Value<'v>>,
    ) -> starlark::Result<NoneType> {
        let told = || format!("values are equal: {}", a.to_repr());
        unless(!a.equals(b)?, "assert_not_equal", told, msg, &args.items)
    }

    /// Fails unless the second value is in the first: a part of a text, an element of a list, a key of a dict.
    fn assert_contains<'v>(
        #[starlark(require = pos)] haystack: Value<'v>,
        #[starlark(require = pos)] needle: Value<'v>,
        #[starlark(require = pos)] msg: Option<Value<'v>>,
        #[starlark(args)] args: UnpackTuple<Value<'v>>,
    ) -> starlark::Result<NoneType> {
        let told = || format!("{} does not contain {}", haystack.to_repr(), needle.to_repr());
        unless(haystack.is_in(needle)?, "assert_contains", told, msg, &args.items)
    }

    /// Fails unless the value counts as true.
    fn assert_true<'v>(
        #[starlark(require = pos)] value: Value<'v>,
        #[starlark(require = pos)] msg: Option<Value<'v>>,
        #[starlark(args)] args: UnpackTuple<Value<'v>>,
    ) -> starlark::Result<NoneType> {
        let told = || format!("got {} (falsy)", value.to_repr());
        unless(value.to_bool(), "assert_true", told, msg, &args.items)
    }

    /// Fails if the value counts as true.
    fn assert_false<'v>(
        #[starlark(require = pos)] value: Value<'v>,
        #[starlark(require = pos)] msg: Option<Value<'v>>,
        #[starlark(args)] args: UnpackTuple<Value<'v>>,
    ) -> starlark::Result<NoneType> {
        let told = || format!("got {} (truthy)", value.to_repr());
        unless(!value.to_bool(), "assert_false", told, msg, &args.items)
    }

    /// Calls a function that takes no arguments, and fails unless it fails. Returns the error's text, which must have
    /// `containing` in it.
    fn assert_fails<'v>(
        #[starlark(require = pos)] func: Value<'v>,
        #[starlark(default = "")] containing: &str,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<String> {
        let error = match eval.eval_function(func, &[], &[]) {
            Ok(value) => return Err(anyhow!("assert_fails: it returned {}", value.to_repr()).into()),
            Err(error) if crate::error::ends_the_script(&error) => return Err(error),
            Err(error) => crate::error::message(&error),
        };
        match error.contains(containing) {
            true => Ok(error),
            false => Err(anyhow!(
                "assert_fails: got the error {error:?}, which does not contain {containing:?}"
            )
            .into()),
        }
    }

    /// Leaves the test out from here on. The reason is told beside its name.
    fn skip(#[starlark(default = "")] reason: &str) -> anyhow::Result<NoneType> {
        Err(Skipped(reason.to_owned()).into())
    }
}

#[starlark_module]
fn failing(builder: &mut GlobalsBuilder) {
    /// Ends the test as failed.
    fn fail(#[starlark(default = "")] msg: &str) -> anyhow::Result<NoneType> {
        match msg {
            "" => bail!("test failed"),
            msg => bail!("test failed: {msg}"),
        }
    }
}

/// Fails with what the function says of the values, or with the author's own message.
fn unless<'v>(
    holds: bool,
    function: &str,
    told: impl FnOnce() -> String,
    msg: Option<Value<'v>>,
    args: &[Value<'v>],
) -> starlark::Result<NoneType> {
    if holds {
        return Ok(NoneType);
    }
    let message = match msg {
        Some(msg) => own_message(function, msg, args)?,
        None => told(),
    };
    Err(anyhow!("{function}: {message}").into())
}

/// The message of the test's author, with what follows in it.
fn own_message<'v>(function: &str, msg: Value<'v>, args: &[Value<'v>]) -> anyhow::Result<String> {
    if msg.unpack_str().is_none() {
        bail!("{function}: message must be a string, not {}", msg.to_repr());
    }
    formatted(msg, args)
}

/// The text of the condition, as it stands in the script, if it says anything.
fn condition_text(eval: &Evaluator<'_, '_, '_>) -> Option<String> {
    let call = eval.call_stack_top_location()?;
    let call = code(&call)?;
    let parsed = dialect::parse("", call).ok()?;
    let StmtP::Expression(expression) = &parsed.statement().node else {
        return None;
    };
    let ExprP::Call(_, arguments) = &expression.node else {
        return None;
    };
    let ArgumentP::Positional(condition) = &arguments.args.first()?.node else {
        return None;
    };
    let (begin, end) = (
        condition.span.begin().get() as usize,
        condition.span.end().get() as usize,
    );
    let text = assert_word::restore(call.get(begin..end)?).into_owned();
    let text = match text.contains('\n') {
        true => text.split_whitespace().collect::<Vec<_>>().join(" "),
        false => text,
    };
    let cut: String = text.chars().take(MAX_CONDITION).collect();
    Some(if cut.len() < text.len() {
        format!("{cut}...")
    } else {
        cut
    })
}
