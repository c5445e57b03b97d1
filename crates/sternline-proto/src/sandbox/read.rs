//! Profiles from JSON and TOML.

use std::path::{Path, PathBuf};

use super::error::ProfileError;
use super::parts::{ArgumentRule, Bind, Limits, Seccomp, Tmpfs};
use super::profile::{SandboxProfile, SandboxProfileBuilder};
use super::value::{self, Value};
use crate::inventory::nearest;

pub(super) fn from_json(text: &str, base_dir: Option<&Path>) -> Result<SandboxProfile, ProfileError> {
    profile(value::from_json(text)?, base_dir)
}

pub(super) fn from_toml(text: &str, base_dir: Option<&Path>) -> Result<SandboxProfile, ProfileError> {
    profile(value::from_toml(text)?, base_dir)
}

type Read<T> = Result<T, ProfileError>;

fn profile(value: Value, base_dir: Option<&Path>) -> Read<SandboxProfile> {
    let Value::Table(fields) = value else {
        return Err(ProfileError::NotAnObject);
    };
    let known = [
        "name",
        "allowed_commands",
        "allow_any_command",
        "argument_rules",
        "binds",
        "tmpfs_paths",
        "environment",
        "seccomp",
        "seccomp_profile",
        "network_isolation",
        "user_namespace_isolation",
        "limits",
        "user",
        "groups",
        "additional_args",
    ];
    let mut fields = Fields::new("", fields, &known)?;
    let name = match fields.take("name") {
        Some(value) => text("name", value)?,
        None => return Err(ProfileError::field("name", "must be a non-empty string")),
    };
    let mut builder = SandboxProfile::builder(name);
    if let Some(value) = fields.take("allowed_commands") {
        builder = builder.allow_commands(texts("allowed_commands", value)?);
    }
    if let Some(value) = fields.take("allow_any_command") {
        builder = builder.allow_any_command(truth("allow_any_command", value)?);
    }
    for (place, value) in fields.list("argument_rules")? {
        builder = builder.argument_rule(rule(&place, value)?);
    }
    for (place, value) in fields.list("binds")? {
        builder = builder.bind(bind(&place, value)?);
    }
    for (place, value) in fields.list("tmpfs_paths")? {
        builder = builder.tmpfs(tmpfs(&place, value)?);
    }
    if let Some(value) = fields.take("environment") {
        for (name, value) in table("environment", value)? {
            let Value::Text(value) = value else {
                return Err(ProfileError::field(
                    format!("environment.{name}"),
                    "must be a string",
                ));
            };
            builder = builder.env(name, value);
        }
    }
    builder = builder.seccomp(seccomp(&mut fields, base_dir)?);
    if let Some(value) = fields.take("network_isolation") {
        builder = builder.network_isolation(truth("network_isolation", value)?);
    }
    if let Some(value) = fields.take("user_namespace_isolation")
        && !truth("user_namespace_isolation", value)?
    {
        let reason = "must be true: without a user namespace of its own a sandbox keeps the login's rights";
        return Err(ProfileError::field("user_namespace_isolation", reason));
    }
    if let Some(value) = fields.take("limits") {
        builder = builder.limits(limits(value)?);
    }
    account(builder, &mut fields)?.build()
}

fn account(mut builder: SandboxProfileBuilder, fields: &mut Fields) -> Read<SandboxProfileBuilder> {
    if let Some(value) = fields.take("user") {
        builder = builder.user(text("user", value)?);
    }
    if let Some(value) = fields.take("groups") {
        for group in texts("groups", value)? {
            builder = builder.group(group);
        }
    }
    if let Some(value) = fields.take("additional_args") {
        builder = builder.additional_args(texts("additional_args", value)?);
    }
    Ok(builder)
}

/// The fields of a table that have not been read yet. `null` is as if the field were not there.
struct Fields {
    place: String,
    fields: Vec<(String, Value)>,
}

impl Fields {
    fn new(place: &str, fields: Vec<(String, Value)>, known: &[&str]) -> Read<Self> {
        for (index, (name, _)) in fields.iter().enumerate() {
            let here = at(place, name);
            if !known.contains(&name.as_str()) {
                let near = nearest(name, known.iter().copied());
                let reason = match near.first() {
                    Some(near) => format!("there is no such key; is {near} meant?"),
                    None => format!("there is no such key: there are {}", known.join(", ")),
                };
                return Err(ProfileError::field(here, reason));
            }
            if fields.iter().take(index).any(|(other, _)| other == name) {
                return Err(ProfileError::field(here, "is there twice"));
            }
        }
        Ok(Self {
            place: place.to_owned(),
            fields,
        })
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        let index = self.fields.iter().position(|(other, _)| other == name)?;
        Some(self.fields.swap_remove(index).1).filter(|value| *value != Value::Null)
    }

    /// The items of a list, each with its place.
    fn list(&mut self, name: &str) -> Read<Vec<(String, Value)>> {
        let here = at(&self.place, name);
        match self.take(name) {
            None => Ok(Vec::new()),
            Some(Value::List(items)) => {
                let items = items.into_iter().enumerate();
                Ok(items
                    .map(|(index, item)| (format!("{here}[{index}]"), item))
                    .collect())
            }
            Some(_) => Err(ProfileError::field(here, "must be a sequence")),
        }
    }
}

fn at(place: &str, name: &str) -> String {
    match place {
        "" => name.to_owned(),
        place => format!("{place}.{name}"),
    }
}

fn text(place: &str, value: Value) -> Read<String> {
    match value {
        Value::Text(text) if !text.is_empty() => Ok(text),
        _ => Err(ProfileError::field(place, "must be a non-empty string")),
    }
}

fn texts(place: &str, value: Value) -> Read<Vec<String>> {
    let Value::List(items) = value else {
        return Err(ProfileError::field(place, "must be a sequence of strings"));
    };
    let items = items.into_iter().enumerate();
    items
        .map(|(index, item)| text(&format!("{place}[{index}]"), item))
        .collect()
}

fn truth(place: &str, value: Value) -> Read<bool> {
    match value {
        Value::Bool(truth) => Ok(truth),
        _ => Err(ProfileError::field(place, "must be a boolean value")),
    }
}

fn number(place: &str, value: Value) -> Read<u64> {
    let number = match value {
        Value::Integer(number) => u64::try_from(number).ok().filter(|number| *number > 0),
        _ => None,
    };
    number.ok_or_else(|| ProfileError::field(place, "must be a whole number of at least 1, and below 2^63"))
}

fn table(place: &str, value: Value) -> Read<Vec<(String, Value)>> {
    let Value::Table(fields) = value else {
        return Err(ProfileError::field(place, "must be an object"));
    };
    for (index, (name, _)) in fields.iter().enumerate() {
        if fields.iter().take(index).any(|(other, _)| other == name) {
            return Err(ProfileError::field(at(place, name), "is there twice"));
        }
    }
    Ok(fields)
}

fn bind(place: &str, value: Value) -> Read<Bind> {
    let known = ["source", "target", "read_only", "create_target", "optional"];
    let mut fields = Fields::new(place, table(place, value)?, &known)?;
    let mut path = |name: &str| match fields.take(name) {
        Some(value) => text(&at(place, name), value),
        None => Err(ProfileError::field(place, format!("must define '{name}'"))),
    };
    let mut bind = Bind::new(path("source")?, path("target")?);
    if let Some(value) = fields.take("read_only") {
        bind.read_only = truth(&at(place, "read_only"), value)?;
    }
    if let Some(value) = fields.take("optional") {
        bind.optional = truth(&at(place, "optional"), value)?;
    }
    // bubblewrap makes mount points of the right kind by itself: the key is taken, and changes nothing.
    if let Some(value) = fields.take("create_target") {
        truth(&at(place, "create_target"), value)?;
    }
    Ok(bind)
}

fn tmpfs(place: &str, value: Value) -> Read<Tmpfs> {
    if !matches!(value, Value::Table(_)) {
        return Ok(Tmpfs::new(text(place, value)?));
    }
    let mut fields = Fields::new(place, table(place, value)?, &["path", "size"])?;
    let Some(path) = fields.take("path") else {
        return Err(ProfileError::field(place, "must define 'path'"));
    };
    let mut tmpfs = Tmpfs::new(text(&at(place, "path"), path)?);
    if let Some(value) = fields.take("size") {
        tmpfs.size_bytes = number(&at(place, "size"), value)?;
    }
    Ok(tmpfs)
}

fn rule(place: &str, value: Value) -> Read<ArgumentRule> {
    let mut fields = Fields::new(place, table(place, value)?, &["command", "allow", "deny"])?;
    let Some(command) = fields.take("command") else {
        return Err(ProfileError::field(place, "must define 'command'"));
    };
    let mut rule = ArgumentRule::new(text(&at(place, "command"), command)?);
    if let Some(value) = fields.take("allow") {
        rule.allow = texts(&at(place, "allow"), value)?;
    }
    if let Some(value) = fields.take("deny") {
        rule.deny = texts(&at(place, "deny"), value)?;
    }
    Ok(rule)
}

fn limits(value: Value) -> Read<Limits> {
    let known = [
        "cpu_seconds",
        "memory_bytes",
        "processes",
        "file_size_bytes",
        "wall_clock_seconds",
        "output_bytes",
    ];
    let mut fields = Fields::new("limits", table("limits", value)?, &known)?;
    let mut limits = Limits::default();
    for (name, limit) in known.into_iter().zip([
        &mut limits.cpu_seconds,
        &mut limits.memory_bytes,
        &mut limits.processes,
        &mut limits.file_size_bytes,
        &mut limits.wall_clock_seconds,
        &mut limits.output_bytes,
    ]) {
        if let Some(value) = fields.take(name) {
            *limit = number(&at("limits", name), value)?;
        }
    }
    Ok(limits)
}

fn seccomp(fields: &mut Fields, base_dir: Option<&Path>) -> Read<Seccomp> {
    let named = match fields.take("seccomp") {
        None => None,
        Some(value) => Some(text("seccomp", value)?),
    };
    let file = match fields.take("seccomp_profile") {
        None => None,
        Some(value) => Some(text("seccomp_profile", value)?),
    };
    match (named.as_deref(), file) {
        (None | Some("default"), None) => Ok(Seccomp::Default),
        (Some("danger-off"), None) => Ok(Seccomp::DangerOff),
        (None, Some(path)) => {
            let path = PathBuf::from(path);
            let path = match base_dir {
                _ if path.is_absolute() => path,
                Some(base) => base.join(path),
                None => {
                    let reason = format!("must be absolute: {}", path.display());
                    return Err(ProfileError::field("seccomp_profile", reason));
                }
            };
            Ok(Seccomp::File { path, program: None })
        }
        (Some(_), Some(_)) => Err(ProfileError::field(
            "seccomp",
            "and seccomp_profile say the same: give one of them",
        )),
        (Some("off"), None) => Err(ProfileError::field(
            "seccomp",
            "must be \"danger-off\" to go without a filter",
        )),
        (Some(_), None) => Err(ProfileError::field(
            "seccomp",
            "must be \"default\" or \"danger-off\"",
        )),
    }
}
