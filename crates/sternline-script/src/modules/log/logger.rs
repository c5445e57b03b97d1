//! Loggers with settings of their own.

use std::fmt;
use std::sync::Arc;

use allocative::Allocative;
use starlark::any::ProvidesStaticType;
use starlark::collections::SmallMap;
use starlark::environment::{Methods, MethodsBuilder};
use starlark::eval::Evaluator;
use starlark::values::dict::DictRef;
use starlark::values::none::{NoneOr, NoneType};
use starlark::values::{Heap, NoSerialize, StarlarkPagablePanic, StarlarkValue, Value, starlark_value};
use starlark::{starlark_module, starlark_simple_value};

use super::collect;
use super::line::{Level, LogSettings};
use crate::context::Context;

/// A logger with settings of its own.
#[derive(Debug, Clone, ProvidesStaticType, NoSerialize, StarlarkPagablePanic, Allocative)]
pub(crate) struct Logger(#[allocative(skip)] pub(super) Arc<LogSettings>);
starlark_simple_value!(Logger);

impl fmt::Display for Logger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LogSettings {
            level,
            format,
            target,
            ..
        } = &*self.0;
        write!(
            f,
            "<logger level={} format={} output={}>",
            level.name(),
            format.name(),
            target.name()
        )
    }
}

impl Logger {
    fn write<'v>(
        &self,
        eval: &mut Evaluator<'v, '_, '_>,
        level: Level,
        message: Value<'v>,
        attrs: NoneOr<DictRef<'v>>,
        keywords: SmallMap<String, Value<'v>>,
    ) -> anyhow::Result<NoneType> {
        let context = Context::of(eval)?;
        let attributes = collect(attrs, keywords, eval.heap())?;
        self.0
            .write(&context.session, level, &message.to_str(), attributes)?;
        Ok(NoneType)
    }
}

starlark::methods_static!(METHODS = methods);

#[starlark_value(type = "logger")]
impl<'v> StarlarkValue<'v> for Logger {
    fn get_methods() -> Option<&'static Methods> {
        Some(METHODS.methods())
    }

    fn get_attr(&self, attribute: &str, heap: Heap<'v>) -> Option<Value<'v>> {
        let text = match attribute {
            "level" => self.0.level.name(),
            "format" => self.0.format.name(),
            "output" => self.0.target.name(),
            _ => return None,
        };
        Some(heap.alloc(text))
    }

    fn dir_attr(&self) -> Vec<String> {
        ["format", "level", "output"].map(str::to_owned).to_vec()
    }
}

#[starlark_module]
fn methods(builder: &mut MethodsBuilder) {
    /// As `log.debug`.
    fn debug<'v>(
        this: &Logger,
        msg: Value<'v>,
        #[starlark(default = NoneOr::None)] attrs: NoneOr<DictRef<'v>>,
        #[starlark(kwargs)] more: SmallMap<String, Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        this.write(eval, Level::Debug, msg, attrs, more)
    }

    /// As `log.info`.
    fn info<'v>(
        this: &Logger,
        msg: Value<'v>,
        #[starlark(default = NoneOr::None)] attrs: NoneOr<DictRef<'v>>,
        #[starlark(kwargs)] more: SmallMap<String, Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        this.write(eval, Level::Info, msg, attrs, more)
    }

    /// As `log.warn`.
    fn warn<'v>(
        this: &Logger,
        msg: Value<'v>,
        #[starlark(default = NoneOr::None)] attrs: NoneOr<DictRef<'v>>,
        #[starlark(kwargs)] more: SmallMap<String, Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        this.write(eval, Level::Warn, msg, attrs, more)
    }

    /// As `log.error`.
    fn error<'v>(
        this: &Logger,
        msg: Value<'v>,
        #[starlark(default = NoneOr::None)] attrs: NoneOr<DictRef<'v>>,
        #[starlark(kwargs)] more: SmallMap<String, Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        this.write(eval, Level::Error, msg, attrs, more)
    }

    /// A logger whose lines all have these attributes too.
    fn attrs<'v>(
        this: &Logger,
        #[starlark(default = NoneOr::None)] attrs: NoneOr<DictRef<'v>>,
        #[starlark(kwargs)] more: SmallMap<String, Value<'v>>,
        heap: Heap<'v>,
    ) -> anyhow::Result<Logger> {
        let mut settings = LogSettings::clone(&this.0);
        settings.add(collect(attrs, more, heap)?);
        Ok(Logger(Arc::new(settings)))
    }

    /// A logger whose further attributes lie in a group of that name.
    fn group(this: &Logger, name: &str) -> anyhow::Result<Logger> {
        let mut settings = LogSettings::clone(&this.0);
        settings.groups.push(name.to_owned());
        Ok(Logger(Arc::new(settings)))
    }
}
