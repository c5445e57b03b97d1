//! `printf`, `println` and `sprintf`.

mod float;
pub(crate) mod format;
#[cfg(test)]
mod tests;

use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::bytes::StarlarkBytes;
use starlark::values::dict::DictRef;
use starlark::values::float::StarlarkFloat;
use starlark::values::list::ListRef;
use starlark::values::none::NoneType;
use starlark::values::tuple::{TupleRef, UnpackTuple};
use starlark::values::{UnpackValue, Value, ValueLike};

use crate::context::Context;
use crate::outcome::with_try;
use format::{Arg, format, plain};

/// Deeper values are shown as `...`, so that one that contains itself comes to an end.
const MAX_DEPTH: usize = 64;

/// Adds the module `fmt`, and its functions under their own names.
pub(crate) fn register(builder: &mut GlobalsBuilder) {
    functions(builder);
    builder.namespace("fmt", |builder| with_try(builder, functions));
}

#[starlark_module]
fn functions(builder: &mut GlobalsBuilder) {
    /// Writes values into a format and prints the text, without a line end: `printf("%-10s %5.1f\n", name, load)`.
    ///
    /// The verbs are those of Go: `%v` any value, `%s` a string, `%q` in quotes, `%d` a number, `%x` in hexadecimal, `%f`, `%e` and
    /// `%g` with a fraction, `%t` a truth value, `%T` the type, `%%` a percent sign; with a width, a precision and the flags `-`,
    /// `+`, `#`, `0` and space. A format without values is printed as it is.
    fn printf<'v>(
        #[starlark(require = pos)] format: Value<'v>,
        #[starlark(args)] args: UnpackTuple<Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        Context::of(eval)?.session.out(&formatted(format, &args.items)?)?;
        Ok(NoneType)
    }

    /// Writes values into a format, as `printf` does, and returns the text.
    fn sprintf<'v>(
        #[starlark(require = pos)] format: Value<'v>,
        #[starlark(args)] args: UnpackTuple<Value<'v>>,
    ) -> anyhow::Result<String> {
        formatted(format, &args.items)
    }

    /// Prints values with spaces between them and a line end, each as `%v` shows it: `true`, `<nil>`, `[1 2]`.
    fn println<'v>(
        #[starlark(args)] args: UnpackTuple<Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        let texts: Vec<String> = args.items.iter().map(|value| plain(&arg(*value, 0))).collect();
        Context::of(eval)?
            .session
            .out(&format!("{}\n", texts.join(" ")))?;
        Ok(NoneType)
    }
}

/// A format with values in it, as `sprintf` returns it.
pub(crate) fn formatted(pattern: Value<'_>, args: &[Value<'_>]) -> anyhow::Result<String> {
    let pattern = pattern.unpack_str().ok_or_else(|| {
        anyhow::anyhow!(
            "format must be a string, and is a value of type {}",
            pattern.get_type()
        )
    })?;
    // As scripts know it: a text in which nothing is to be filled in may have percent signs.
    if args.is_empty() {
        return Ok(pattern.to_owned());
    }
    let args: Vec<Arg> = args.iter().map(|value| arg(*value, 0)).collect();
    Ok(format(pattern, &args))
}

/// A value as the formatter knows it.
pub(crate) fn arg(value: Value<'_>, depth: usize) -> Arg {
    if depth > MAX_DEPTH {
        return Arg::Str("...".to_owned());
    }
    let all = |items: &[Value<'_>]| Arg::List(items.iter().map(|item| arg(*item, depth + 1)).collect());
    if value.is_none() {
        Arg::Nil
    } else if let Some(truth) = value.unpack_bool() {
        Arg::Bool(truth)
    } else if let Some(text) = value.unpack_str() {
        Arg::Str(text.to_owned())
    } else if let Ok(Some(number)) = i64::unpack_value(value) {
        Arg::Int(number.into())
    } else if value.get_type() == "int" {
        let text = value.to_str();
        match (text.parse::<i128>(), text.strip_prefix('-')) {
            (Ok(number), _) => Arg::Int(number),
            (_, Some(digits)) => Arg::Big {
                negative: true,
                digits: digits.to_owned(),
            },
            (_, None) => Arg::Big {
                negative: false,
                digits: text,
            },
        }
    } else if let Some(number) = value.downcast_ref::<StarlarkFloat>() {
        Arg::Float(number.0)
    } else if let Some(bytes) = value.downcast_ref::<StarlarkBytes>() {
        Arg::Bytes(bytes.as_bytes().to_vec())
    } else if let Some(list) = ListRef::from_value(value) {
        all(list.content())
    } else if let Some(tuple) = TupleRef::from_value(value) {
        all(tuple.content())
    } else if let Some(dict) = DictRef::from_value(value) {
        let fields = dict.iter();
        Arg::Map(
            fields
                .map(|(key, item)| (arg(key, depth + 1), arg(item, depth + 1)))
                .collect(),
        )
    } else {
        Arg::Other {
            type_name: value.get_type().to_owned(),
            text: value.to_str(),
        }
    }
}
