//! What a line of a log says, how it is written, and where it goes.

use jiff::Timestamp;
use serde_json::Map;
use sternline::proto::text::escape;

use crate::data::Data;
use crate::session::Session;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

impl Level {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    pub(super) fn parse(name: &str) -> anyhow::Result<Self> {
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
pub(super) enum Format {
    Text,
    Json,
}

impl Format {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }

    pub(super) fn parse(name: &str) -> anyhow::Result<Self> {
        Ok(match name {
            "text" => Self::Text,
            "json" => Self::Json,
            _ => anyhow::bail!("log: the format {name:?} is neither text nor json"),
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Stderr,
    Stdout,
}

impl Target {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Stderr => "stderr",
            Self::Stdout => "stdout",
        }
    }

    pub(super) fn parse(name: &str) -> anyhow::Result<Self> {
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
    pub(super) level: Level,
    pub(super) format: Format,
    pub(super) target: Target,
    /// What each line says, beside its own attributes.
    pub(super) attributes: Map<String, Data>,
    /// The groups that attributes lie in, the outermost first.
    pub(super) groups: Vec<String>,
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
    pub(super) fn add(&mut self, attributes: Map<String, Data>) {
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

    pub(super) fn write(
        &self,
        session: &Session,
        level: Level,
        message: &str,
        attributes: Map<String, Data>,
    ) -> anyhow::Result<()> {
        if level < self.level {
            return Ok(());
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
            Target::Stdout => session.out(&format!("{text}\n"))?,
        }
        Ok(())
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
