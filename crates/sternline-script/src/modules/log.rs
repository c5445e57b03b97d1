//! The module `log`: lines with a time, a level, a message and attributes.

use std::fmt;
use std::sync::Arc;

use allocative::Allocative;
use jiff::Timestamp;
use serde_json::Map;
use starlark::any::ProvidesStaticType;
use starlark::collections::SmallMap;
use starlark::environment::{GlobalsBuilder, Methods, MethodsBuilder};
use starlark::eval::Evaluator;
use starlark::values::dict::DictRef;
use starlark::values::none::{NoneOr, NoneType};
use starlark::values::{Heap, NoSerialize, StarlarkPagablePanic, StarlarkValue, Value, starlark_value};
use starlark::{starlark_module, starlark_simple_value};
use sternline::proto::text::escape;

use crate::context::Context;
use crate::data::{Data, to_data};
use crate::outcome::with_try;
use crate::session::Session;

/// Adds the module `log`.
pub(crate) fn register(builder: &mut GlobalsBuilder) {
    builder.namespace("log", |builder| with_try(builder, functions));
}

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    fn parse(name: &str) -> anyhow::Result<Self> {
        Ok(match name.to_ascii_lowercase().as_str() {
            "debug" => Self::Debug,
            "info" => Self::Info,
            "warn" | "warning" => Self::Warn,
            "error" => Self::Error,
            _ => anyhow::bail!("log: the level {name:?} is none of debug, info, warn and error"),
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Text,
    Json,
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }

    fn parse(name: &str) -> anyhow::Result<Self> {
        Ok(match name {
            "text" => Self::Text,
            "json" => Self::Json,
            _ => anyhow::bail!("log: the format {name:?} is neither text nor json"),
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Stderr,
    Stdout,
}

impl Target {
    fn name(self) -> &'static str {
        match self {
            Self::Stderr => "stderr",
            Self::Stdout => "stdout",
        }
    }

    fn parse(name: &str) -> anyhow::Result<Self> {
        Ok(match name {
            "stderr" => Self::Stderr,
            "stdout" => Self::Stdout,
            _ => anyhow::bail!("log: the output {name:?} is neither stderr nor stdout"),
        })
    }
}

/// What a logger writes, how, and where to. The module's own settings are one of these, in the script's context.
#[derive(Debug, Clone)]
pub(crate) struct LogSettings {
    level: Level,
    format: Format,
    target: Target,
    /// What each line says, beside its own attributes.
    attributes: Map<String, Data>,
    /// The groups that attributes lie in, the outermost first.
    groups: Vec<String>,
}

impl LogSettings {
    pub(crate) fn new(is_debug: bool) -> Self {
        Self {
            level: if is_debug { Level::Debug } else { Level::Info },
            format: Format::Text,
            target: Target::Stderr,
            attributes: Map::new(),
            groups: Vec::new(),
        }
    }

    /// Takes in attributes, where its groups are.
    fn add(&mut self, attributes: Map<String, Data>) {
        let mut place = &mut self.attributes;
        for group in &self.groups {
            let inner = place
                .entry(group.clone())
                .or_insert_with(|| Data::Object(Map::new()));
            if !inner.is_object() {
                *inner = Data::Object(Map::new());
            }
            let Data::Object(fields) = inner else { return };
            place = fields;
        }
        place.extend(attributes);
    }

    fn write(&self, session: &Session, level: Level, message: &str, attributes: Map<String, Data>) {
        if level < self.level {
            return;
        }
        let mut line = self.clone();
        line.add(attributes);
        let redactor = session.secrets();
        let attributes = match redactor.redact_secrets(&Data::Object(line.attributes)) {
            Data::Object(attributes) => attributes,
            _ => Map::new(),
        };
        let message = redactor.redact_string(message);
        let text = match self.format {
            Format::Text => text_line(&now(), level, &message, &attributes),
            Format::Json => json_line(&now(), level, &message, attributes),
        };
        match self.target {
            Target::Stderr => session.message(&text),
            Target::Stdout => session.out(&format!("{text}\n")),
        }
    }
}

/// This moment in UTC, to the millisecond.
fn now() -> String {
    let now = Timestamp::now();
    now.round(jiff::Unit::Millisecond).unwrap_or(now).to_string()
}

fn text_line(time: &str, level: Level, message: &str, attributes: &Map<String, Data>) -> String {
    let mut line = format!(
        "time={time} level={} msg={}",
        level.name().to_ascii_uppercase(),
        word(message)
    );
    flatten(&mut line, "", attributes);
    line
}

/// Attributes as `key=value`; what lies in groups has their names in front.
fn flatten(line: &mut String, prefix: &str, attributes: &Map<String, Data>) {
    for (name, value) in attributes {
        let name = format!("{prefix}{name}");
        match value {
            Data::Object(fields) if !fields.is_empty() => flatten(line, &format!("{name}."), fields),
            Data::String(text) => line.push_str(&format!(" {}={}", word(&name), word(text))),
            _ => line.push_str(&format!(" {}={}", word(&name), word(&value.to_string()))),
        }
    }
}

/// A text as one word of a line, in quotes if need be. Nothing in it begins another line or moves the cursor.
fn word(text: &str) -> String {
    let shown = escape(text);
    let is_plain = !text.is_empty() && shown == text && !text.contains([' ', '"', '=']);
    match is_plain {
        true => shown,
        false => format!("\"{}\"", shown.replace('"', "\\\"")),
    }
}

fn json_line(time: &str, level: Level, message: &str, attributes: Map<String, Data>) -> String {
    let mut fields = Map::new();
    fields.insert("time".to_owned(), time.into());
    fields.insert("level".to_owned(), level.name().to_ascii_uppercase().into());
    fields.insert("msg".to_owned(), message.into());
    for (name, value) in attributes {
        fields.entry(name).or_insert(value);
    }
    Data::Object(fields).to_string()
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
    settings.write(&context.session, level, &message.to_str(), attributes);
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

/// A logger with settings of its own.
#[derive(Debug, Clone, ProvidesStaticType, NoSerialize, StarlarkPagablePanic, Allocative)]
pub(crate) struct Logger(#[allocative(skip)] Arc<LogSettings>);
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
            .write(&context.session, level, &message.to_str(), attributes);
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::scratch::{fails, run_in, run_script};

    /// What was said, without the times.
    fn said(script: &str) -> Vec<String> {
        let ran = run_script(script);
        if let Err(error) = ran.ended {
            panic!("{script}\nfails: {error}");
        }
        let lines = ran.messages.iter();
        lines
            .map(
                |line| match line.strip_prefix("time=").and_then(|line| line.split_once(' ')) {
                    Some((_, rest)) => rest.to_owned(),
                    None => line.clone(),
                },
            )
            .collect()
    }

    #[test]
    fn a_line_has_its_level_message_and_attributes() {
        let script = r#"
log.info("started", {"port": 8080, "name": "a b"})
log.warn("odd", attrs = {"x": None}, y = [1], z = {"a": {"b": 1}})
log.error("", path = "/x=y", f = len)
log.debug("not shown")
"#;
        assert_eq!(
            said(script),
            [
                "level=INFO msg=started port=8080 name=\"a b\"",
                "level=WARN msg=odd x=null y=[1] z.a.b=1",
                "level=ERROR msg=\"\" path=\"/x=y\" f=len",
            ]
        );
    }

    #[test]
    fn no_text_forges_a_line_or_moves_the_cursor() {
        let lines = said("log.info(\"a\\nlevel=ERROR\", b = \"\\x1b[31m\\\"\")");
        assert_eq!(lines, ["level=INFO msg=\"a\\nlevel=ERROR\" b=\"\\x1b[31m\\\"\""]);
    }

    #[test]
    fn secrets_are_masked() {
        let script = "log.info(\"with --password hunter22 and swordfish7\", password = \"hunter22\", other = \"swordfish7\")";
        let ran = run_in(Path::new("/"), &[], script, |builder| {
            let secrets = sternline::proto::redact::Redactor::new();
            secrets.mark("swordfish7");
            builder.secrets(secrets)
        });
        let line = ran.messages.join("\n");
        assert!(
            !line.contains("hunter22") && !line.contains("swordfish7"),
            "{line}"
        );
    }

    #[test]
    fn levels_formats_and_outputs_can_be_set() {
        let script = r#"
log.set_level("debug")
log.debug("shown")
log.set_format("json")
log.set_output("stdout")
log.info("x", a = 1)
l = log.logger(level = "warn", format = "text")
print(type(l), l.level, l.format, l.output)
l.info("not shown")
l.warn("w")
l.attrs({"app": "a"}).group("db").attrs(kind = "pg").error("e", host = "h")
"#;
        let ran = run_script(script);
        assert!(ran.ended.is_ok());
        let (json, rest) = ran.out.split_once('\n').unwrap();
        assert!(
            json.starts_with("{\"time\":\"")
                && json.ends_with("\",\"level\":\"INFO\",\"msg\":\"x\",\"a\":1}"),
            "{json}"
        );
        assert_eq!(rest, "logger warn text stderr\n");
        let lines: Vec<&str> = ran
            .messages
            .iter()
            .map(|line| line.split_once(' ').unwrap().1)
            .collect();
        assert_eq!(
            lines,
            [
                "level=DEBUG msg=shown",
                "level=WARN msg=w",
                "level=ERROR msg=e app=a db.kind=pg db.host=h"
            ]
        );
    }

    #[test]
    fn wrong_settings_are_said() {
        for (script, part) in [
            (
                "log.set_level(\"loud\")",
                "\"loud\" is none of debug, info, warn and error",
            ),
            ("log.set_format(\"xml\")", "neither text nor json"),
            ("log.logger(output = \"file\")", "neither stderr nor stdout"),
        ] {
            let error = fails(script);
            assert!(error.contains(part), "{script}: {error}");
        }
    }
}
