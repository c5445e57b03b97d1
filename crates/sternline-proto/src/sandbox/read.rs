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

pub(super) type Read<T> = Result<T, ProfileError>;

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
pub(super) struct Fields {
    place: String,
    fields: Vec<(String, Value)>,
}

impl Fields {
    pub(super) fn new(place: &str, fields: Vec<(String, Value)>, known: &[&str]) -> Read<Self> {
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

    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
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

pub(super) fn at(place: &str, name: &str) -> String {
    match place {
        "" => name.to_owned(),
        place => format!("{place}.{name}"),
    }
}

pub(super) fn text(place: &str, value: Value) -> Read<String> {
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

pub(super) fn truth(place: &str, value: Value) -> Read<bool> {
    match value {
        Value::Bool(truth) => Ok(truth),
        _ => Err(ProfileError::field(place, "must be a boolean value")),
    }
}

pub(super) fn number(place: &str, value: Value) -> Read<u64> {
    let number = match value {
        Value::Integer(number) => u64::try_from(number).ok().filter(|number| *number > 0),
        _ => None,
    };
    number.ok_or_else(|| ProfileError::field(place, "must be a whole number of at least 1, and below 2^63"))
}

pub(super) fn table(place: &str, value: Value) -> Read<Vec<(String, Value)>> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refused(text: &str) -> String {
        from_json(text, None).unwrap_err().to_string()
    }

    fn with(field: &str) -> String {
        format!(r#"{{"name": "p", "allowed_commands": ["ls"], {field}}}"#)
    }

    #[test]
    fn every_key_is_read() {
        let text = r#"{
            "name": "all", "allowed_commands": ["ls", "/usr/bin/*"],
            "argument_rules": [{"command": "find", "deny": ["-delete"]}, {"command": "x", "allow": ["-a"]}],
            "binds": [{"source": "/usr/", "target": "/usr"},
                      {"source": "/srv", "target": "/data", "read_only": false, "create_target": false, "optional": true}],
            "tmpfs_paths": ["/tmp", {"path": "/work", "size": 4096}],
            "environment": {"HOME": "/work", "EMPTY": ""},
            "network_isolation": false, "user_namespace_isolation": true,
            "seccomp": "danger-off", "seccomp_profile": null,
            "limits": {"cpu_seconds": 1, "memory_bytes": 2, "processes": 3, "file_size_bytes": 4,
                       "wall_clock_seconds": 5, "output_bytes": 6},
            "user": "deploy", "groups": ["adm"], "additional_args": ["--hostname", "h", "--new-session"]
        }"#;
        let read = from_json(text, None).unwrap();
        let built = SandboxProfile::builder("all")
            .allow_commands(["ls", "/usr/bin/*"])
            .argument_rule(ArgumentRule::new("find").deny("-delete"))
            .argument_rule(ArgumentRule::new("x").allow("-a"))
            .bind(Bind::new("/usr", "/usr"))
            .bind(Bind::new("/srv", "/data").writable().optional())
            .tmpfs(Tmpfs::new("/tmp"))
            .tmpfs(Tmpfs::new("/work").size(4096))
            .env("HOME", "/work")
            .env("EMPTY", "")
            .network_isolation(false)
            .seccomp(Seccomp::DangerOff)
            .limits(Limits {
                cpu_seconds: 1,
                memory_bytes: 2,
                processes: 3,
                file_size_bytes: 4,
                wall_clock_seconds: 5,
                output_bytes: 6,
            })
            .user("deploy")
            .group("adm")
            .additional_args(["--hostname", "h", "--new-session"])
            .build()
            .unwrap();
        assert_eq!(read, built);
    }

    #[test]
    fn toml_says_the_same() {
        let text = "name = 'p'\nallowed_commands = ['ls']\ntmpfs_paths = ['/tmp', { path = '/w', size = 0x1000 }]\n\
                    [limits]\ncpu_seconds = 9\n[[binds]]\nsource = '/usr'\ntarget = '/usr'\n[environment]\nA = 'b'\n";
        let json = with(
            r#""tmpfs_paths": ["/tmp", {"path": "/w", "size": 4096}], "limits": {"cpu_seconds": 9},
               "binds": [{"source": "/usr", "target": "/usr"}], "environment": {"A": "b"}"#,
        );
        assert_eq!(from_toml(text, None), from_json(&json, None));
        let error = from_toml("name = 'p'\nallowed_commands = ['ls']\nname = 'q'\n", None).unwrap_err();
        assert!(
            error.to_string().starts_with("is not valid TOML: line 3: "),
            "{error}"
        );
        let error = from_toml("name = 'p'\nallowed_command = ['ls']\n", None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "allowed_command: there is no such key; is allowed_commands meant?"
        );
    }

    #[test]
    fn whatever_is_wrong_is_named_with_its_place() {
        for (text, expected) in [
            ("[]", "must contain a JSON object"),
            ("{", "is not valid JSON: line 1: EOF while parsing an object"),
            (
                r#"{"allowed_commands": ["ls"]}"#,
                "name: must be a non-empty string",
            ),
            (
                r#"{"name": " ", "allowed_commands": ["ls"]}"#,
                "name: must be a non-empty string",
            ),
            (
                r#"{"name": 1, "allowed_commands": ["ls"]}"#,
                "name: must be a non-empty string",
            ),
            (
                r#"{"name": "p", "name": "q", "allowed_commands": ["ls"]}"#,
                "name: is there twice",
            ),
            (
                r#"{"name": "p"}"#,
                "allowed_commands: must name at least one command; set allow_any_command to true to allow every one",
            ),
            (
                r#"{"name": "p", "allowed_commands": []}"#,
                "allowed_commands: must name at least one command; set allow_any_command to true to allow every one",
            ),
            (
                r#"{"name": "p", "allowed_commands": "ls"}"#,
                "allowed_commands: must be a sequence of strings",
            ),
            (
                r#"{"name": "p", "allowed_commands": ["ls", ""]}"#,
                "allowed_commands[1]: must be a non-empty string",
            ),
            (
                r#"{"name": "p", "allowed_commands": ["./ls"]}"#,
                "allowed_commands[0]: must be a bare name or an absolute path: ./ls",
            ),
        ] {
            assert_eq!(refused(text), expected, "{text}");
        }
        for (field, expected) in [
            (
                r#""network_isolaton": false"#,
                "network_isolaton: there is no such key; is network_isolation meant?",
            ),
            (
                r#""network_isolation": 1"#,
                "network_isolation: must be a boolean value",
            ),
            (
                r#""user_namespace_isolation": false"#,
                "user_namespace_isolation: must be true: without a user namespace of its own a sandbox keeps the login's \
                 rights",
            ),
            (r#""binds": [{"target": "/x"}]"#, "binds[0]: must define 'source'"),
            (r#""binds": [{"source": "/x"}]"#, "binds[0]: must define 'target'"),
            (
                r#""binds": [{"source": "data", "target": "/x"}]"#,
                "binds[0].source: must be absolute: data; it is a path on the host, not beside the profile's file",
            ),
            (
                r#""binds": [{"source": "/x", "target": "x"}]"#,
                "binds[0].target: must be absolute: x",
            ),
            (
                r#""binds": [{"source": "/x/../y", "target": "/x"}]"#,
                "binds[0].source: must not hold ..: /x/../y",
            ),
            (
                r#""binds": [{"source": "/proc", "target": "/p"}]"#,
                "binds[0].source: must not be in /proc, which shows all processes of the host; the sandbox has its own",
            ),
            (
                r#""binds": [{"source": "/x", "target": "/proc/x"}]"#,
                "binds[0].target: must not be in /proc: every sandbox has one of its own",
            ),
            (
                r#""binds": [{"source": "/", "target": "/x", "read_only": false}]"#,
                "binds[0].read_only: must be true for /, /dev and /sys",
            ),
            (
                r#""binds": [{"source": "/x", "target": "/x", "readonly": true}]"#,
                "binds[0].readonly: there is no such key; is read_only meant?",
            ),
            (
                r#""binds": [{"source": "/x", "target": "/x"}], "tmpfs_paths": ["/x/"]"#,
                "binds: two things are mounted on /x",
            ),
            (
                r#""tmpfs_paths": ["tmp"]"#,
                "tmpfs_paths[0]: must be absolute: tmp",
            ),
            (
                r#""tmpfs_paths": [{"path": "/t", "size": 0}]"#,
                "tmpfs_paths[0].size: must be a whole number of at least 1, and below 2^63",
            ),
            (
                r#""tmpfs_paths": ["/"]"#,
                "tmpfs_paths[0]: must not be /, which is read-only in every sandbox",
            ),
            (r#""environment": {"A": 1}"#, "environment.A: must be a string"),
            (
                r#""environment": {"": "x"}"#,
                "environment: keys must be non-empty strings",
            ),
            (
                r#""environment": {"A": "1", "A": "2"}"#,
                "environment.A: is there twice",
            ),
            (
                r#""environment": {"A=B": "x"}"#,
                "environment.A=B: names must not hold = and neither names nor values a NUL",
            ),
            (
                r#""seccomp": "off""#,
                "seccomp: must be \"danger-off\" to go without a filter",
            ),
            (
                r#""seccomp": "none""#,
                "seccomp: must be \"default\" or \"danger-off\"",
            ),
            (
                r#""seccomp_profile": "x.bpf""#,
                "seccomp_profile: must be absolute: x.bpf",
            ),
            (
                r#""limits": {"cpu_seconds": 1.5}"#,
                "limits.cpu_seconds: must be a whole number of at least 1, and below 2^63",
            ),
            (
                r#""user": "-x""#,
                "user: must be a user's name, or a uid and gid as 1000:1000",
            ),
            (
                r#""additional_args": ["--bind", "/", "/"]"#,
                "additional_args[0]: --bind is not taken: it could undo the sandbox; use binds",
            ),
            (
                r#""additional_args": ["--hostname"]"#,
                "additional_args[0]: --hostname needs a name",
            ),
            (
                r#""argument_rules": [{"command": "ls"}]"#,
                "argument_rules[0].deny: must name something, or allow must",
            ),
        ] {
            assert_eq!(refused(&with(field)), expected, "{field}");
        }
    }

    #[test]
    fn what_could_undo_the_sandbox_is_not_taken_from_additional_arguments() {
        for option in [
            "--bind",
            "--dev-bind",
            "--ro-bind",
            "--tmpfs",
            "--share-net",
            "--unshare-all",
            "--cap-add",
            "--proc",
            "--dev",
            "--args",
            "--file",
            "--seccomp",
            "--userns",
            "--pidns",
            "--uid",
            "--setenv",
            "--exec-label",
            "--",
            "ls",
            "-x",
            "--remount-ro",
            "--chmod",
            "--perms",
            "--sync-fd",
            "--json-status-fd",
            "--as-pid-1",
            "--hostname=x",
        ] {
            let error = refused(&with(&format!(r#""additional_args": ["{option}", "/a", "/b"]"#)));
            assert!(
                error.starts_with(&format!("additional_args[0]: {option} is not taken")),
                "{error}"
            );
        }
    }

    #[test]
    fn null_is_as_if_the_key_were_not_there_and_a_byte_order_mark_is_none() {
        let text = format!(
            "\u{feff}{}",
            with(r#""binds": null, "network_isolation": null, "user": null"#)
        );
        assert_eq!(
            from_json(&text, None),
            SandboxProfile::builder("p").allow_command("ls").build()
        );
    }

    #[test]
    fn a_filter_is_looked_for_beside_the_profile() {
        let profile = from_json(&with(r#""seccomp_profile": "x.bpf""#), Some(Path::new("/etc/p"))).unwrap();
        assert_eq!(profile.seccomp().file_to_load(), Some(Path::new("/etc/p/x.bpf")));
    }

    #[test]
    fn bundled_profiles_can_be_read_and_others_are_named() {
        for name in super::super::BUNDLED {
            assert_eq!(SandboxProfile::bundled(name).unwrap().name(), name);
        }
        assert_eq!(
            SandboxProfile::bundled("nosuch").unwrap_err().to_string(),
            "there is no bundled profile nosuch: there are minimal, readonly, diagnostics, systemd"
        );
    }

    proptest! {
        #[test]
        fn any_text_is_a_profile_or_an_error_of_one_line(text in ".{0,200}") {
            for read in [from_json(&text, None), from_toml(&text, None)] {
                if let Err(error) = read {
                    prop_assert!(!error.to_string().chars().any(char::is_control));
                }
            }
        }
    }
}
