//! The module `log`: lines with a time, a level, a message and attributes.

mod line;
mod logger;

use std::sync::Arc;

use serde_json::Map;
use starlark::collections::SmallMap;
use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::dict::DictRef;
use starlark::values::none::{NoneOr, NoneType};
use starlark::values::{Heap, Value};

use crate::context::Context;
use crate::data::{Data, to_data};
use crate::outcome::with_try;
pub(crate) use line::LogSettings;
use line::{Format, Level, Target};
pub(crate) use logger::Logger;

/// Adds the module `log`.
pub(crate) fn register(builder: &mut GlobalsBuilder) {
    builder.namespace("log", |builder| with_try(builder, functions));
}

/// The attributes of a call: a dict, and keywords.
fn collect<'v>(
    attrs: NoneOr<DictRef<'v>>,
    keywords: SmallMap<String, Value<'v>>,
    heap: Heap<'v>,
) -> anyhow::Result<Map<String, Data>> {
    let mut fields = Map::new();
    // What is no data is shown as the script would print it: a line of a log is no reason to fail.
    let shown = |value: Value<'v>| to_data(value, heap).unwrap_or_else(|_| value.to_str().into());
    if let NoneOr::Other(attrs) = attrs {
        for (name, value) in attrs.iter() {
            fields.insert(name.to_str(), shown(value));
        }
    }
    for (name, value) in keywords {
        fields.insert(name, shown(value));
    }
    Ok(fields)
}

/// Writes a line by the module's settings.
fn write_line<'v>(
    eval: &mut Evaluator<'v, '_, '_>,
    level: Level,
    message: Value<'v>,
    attrs: NoneOr<DictRef<'v>>,
    keywords: SmallMap<String, Value<'v>>,
) -> anyhow::Result<NoneType> {
    let context = Context::of(eval)?;
    let attributes = collect(attrs, keywords, eval.heap())?;
    let settings = context.log.borrow().clone();
    settings.write(&context.session, level, &message.to_str(), attributes)?;
    Ok(NoneType)
}

#[starlark_module]
fn functions(builder: &mut GlobalsBuilder) {
    /// Logs what matters only when something is searched for. It is not shown unless the level is set to "debug".
    ///
    /// Args:
    ///   msg: the message.
    ///   attrs: a dict of attributes; they can also be given as keywords. Secrets in them are masked.
    fn debug<'v>(
        msg: Value<'v>,
        #[starlark(default = NoneOr::None)] attrs: NoneOr<DictRef<'v>>,
        #[starlark(kwargs)] more: SmallMap<String, Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        write_line(eval, Level::Debug, msg, attrs, more)
    }

    /// Logs what goes on, as a line on standard error. Arguments as for `debug`.
    fn info<'v>(
        msg: Value<'v>,
        #[starlark(default = NoneOr::None)] attrs: NoneOr<DictRef<'v>>,
        #[starlark(kwargs)] more: SmallMap<String, Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        write_line(eval, Level::Info, msg, attrs, more)
    }

    /// Logs what is odd. Arguments as for `debug`.
    fn warn<'v>(
        msg: Value<'v>,
        #[starlark(default = NoneOr::None)] attrs: NoneOr<DictRef<'v>>,
        #[starlark(kwargs)] more: SmallMap<String, Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        write_line(eval, Level::Warn, msg, attrs, more)
    }

    /// Logs what failed. Arguments as for `debug`.
    fn error<'v>(
        msg: Value<'v>,
        #[starlark(default = NoneOr::None)] attrs: NoneOr<DictRef<'v>>,
        #[starlark(kwargs)] more: SmallMap<String, Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        write_line(eval, Level::Error, msg, attrs, more)
    }

    /// From which level on lines are written: "debug", "info", "warn" or "error". Default: "info".
    fn set_level<'v>(level: &str, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<NoneType> {
        Context::of(eval)?.log.borrow_mut().level = Level::parse(level)?;
        Ok(NoneType)
    }

    /// How lines are written: "text", or "json" for one object a line. Default: "text".
    fn set_format<'v>(format: &str, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<NoneType> {
        Context::of(eval)?.log.borrow_mut().format = Format::parse(format)?;
        Ok(NoneType)
    }

    /// Where lines go: "stderr" or "stdout". Default: "stderr".
    fn set_output<'v>(output: &str, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<NoneType> {
        Context::of(eval)?.log.borrow_mut().target = Target::parse(output)?;
        Ok(NoneType)
    }

    /// A logger with settings of its own.
    fn logger(
        #[starlark(default = "info")] level: &str,
        #[starlark(default = "text")] format: &str,
        #[starlark(default = "stderr")] output: &str,
    ) -> anyhow::Result<Logger> {
        let mut settings = LogSettings::new(false);
        settings.level = Level::parse(level)?;
        settings.format = Format::parse(format)?;
        settings.target = Target::parse(output)?;
        Ok(Logger(Arc::new(settings)))
    }
}

#[cfg(test)]
mod tests;
