//! Executors by their names: the tables `[sandbox]` and `[executor.NAME]` of `config.toml`.
//!
//! ```toml
//! [sandbox]
//! profile = "readonly"            # a bundled one, or a file
//! default_executor = "prod"
//!
//! [executor.prod]
//! type = "ssh"
//! host = "prod.example.com"
//! username = "admin"
//! key_file = "~/.ssh/id_ed25519"
//!
//! [executor.here]
//! type = "local"
//! ```

use std::collections::BTreeMap;

use super::error::ProfileError;
use super::read::{Fields, Read, at, number, table, text, truth};
use super::value::{self, Value};

/// What `config.toml` says about sandboxes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SandboxConfig {
    /// The profile where neither the command line nor the executor names one: a bundled one, or a file.
    pub profile: Option<String>,
    /// The executor where the command line names none. It is one of [`SandboxConfig::executors`], or `local`.
    pub default_executor: Option<String>,
    /// The executors by their names. `local`, which is always there, is none of them.
    pub executors: BTreeMap<String, ExecutorConfig>,
}

/// One executor.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExecutorConfig {
    /// This machine.
    Local {
        /// Its profile.
        profile: Option<String>,
    },
    /// Another one, over SSH.
    Ssh(SshExecutorConfig),
}

impl ExecutorConfig {
    /// Its profile, a bundled one or a file.
    #[must_use]
    pub fn profile(&self) -> Option<&str> {
        match self {
            Self::Local { profile } => profile.as_deref(),
            Self::Ssh(ssh) => ssh.profile.as_deref(),
        }
    }
}

/// An executor over SSH. Nothing here has been looked for: neither host nor files.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SshExecutorConfig {
    /// The host.
    pub host: String,
    /// Who logs in.
    pub username: Option<String>,
    /// The private key.
    pub key_file: Option<String>,
    /// The port.
    pub port: Option<u16>,
    /// How many connections there are at most, from 1 to 100.
    pub connection_pool_size: Option<usize>,
    /// The file with the host's key.
    pub known_hosts: Option<String>,
    /// Whether the host's key has to be known. Default: yes.
    pub strict_host_key: bool,
    /// Its profile, a bundled one or a file.
    pub profile: Option<String>,
}

impl SandboxConfig {
    /// Reads `config.toml`.
    ///
    /// # Errors
    /// When it is no TOML, has a key that there is not, or names an executor that there is not.
    pub fn from_toml(text: &str) -> Result<Self, ProfileError> {
        let Value::Table(fields) = value::from_toml(text)? else {
            return Ok(Self::default());
        };
        let mut fields = Fields::new("", fields, &["sandbox", "executor"])?;
        let mut config = Self::default();
        if let Some(value) = fields.take("sandbox") {
            let known = ["profile", "default_executor"];
            let mut fields = Fields::new("sandbox", table("sandbox", value)?, &known)?;
            config.profile = optional(&mut fields, "sandbox", "profile")?;
            config.default_executor = optional(&mut fields, "sandbox", "default_executor")?;
        }
        if let Some(value) = fields.take("executor") {
            for (name, value) in table("executor", value)? {
                let place = format!("executor.{name}");
                check_name(&place, &name)?;
                config.executors.insert(name, executor(&place, value)?);
            }
        }
        match &config.default_executor {
            Some(name) if name != LOCAL && !config.executors.contains_key(name) => {
                let reason = format!("there is no executor {name}: add a table [executor.{name}]");
                Err(ProfileError::field("sandbox.default_executor", reason))
            }
            _ => Ok(config),
        }
    }
}

/// The executor that is always there.
const LOCAL: &str = "local";

/// Executors are named where hosts are, and must not be taken for several of them, nor for an option.
fn check_name(place: &str, name: &str) -> Read<()> {
    if name == LOCAL {
        return Err(ProfileError::field(
            place,
            "is reserved: local is always this machine",
        ));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(plain) {
        true => Ok(()),
        false => Err(ProfileError::field(
            place,
            "a name has letters, digits, - _ and . only, and begins with neither of these",
        )),
    }
}

fn executor(place: &str, value: Value) -> Read<ExecutorConfig> {
    let mut fields = table(place, value)?;
    let position = fields.iter().position(|(name, _)| name == "type");
    let kind = position.map(|position| fields.remove(position).1);
    match kind {
        Some(Value::Text(kind)) if kind == "local" => {
            let mut fields = Fields::new(place, fields, &["profile"])?;
            Ok(ExecutorConfig::Local {
                profile: optional(&mut fields, place, "profile")?,
            })
        }
        Some(Value::Text(kind)) if kind == "ssh" => ssh(place, fields),
        _ => Err(ProfileError::field(
            at(place, "type"),
            "must be \"local\" or \"ssh\"",
        )),
    }
}

fn ssh(place: &str, fields: Vec<(String, Value)>) -> Read<ExecutorConfig> {
    let known = [
        "host",
        "username",
        "key_file",
        "port",
        "connection_pool_size",
        "known_hosts",
        "strict_host_key",
        "profile",
    ];
    let mut fields = Fields::new(place, fields, &known)?;
    let Some(host) = optional(&mut fields, place, "host")? else {
        return Err(ProfileError::field(place, "must define 'host'"));
    };
    Ok(ExecutorConfig::Ssh(SshExecutorConfig {
        host,
        username: optional(&mut fields, place, "username")?,
        key_file: optional(&mut fields, place, "key_file")?,
        port: within(&mut fields, place, "port", 65_535)?,
        connection_pool_size: within(&mut fields, place, "connection_pool_size", 100)?,
        known_hosts: optional(&mut fields, place, "known_hosts")?,
        strict_host_key: match fields.take("strict_host_key") {
            Some(value) => truth(&at(place, "strict_host_key"), value)?,
            None => true,
        },
        profile: optional(&mut fields, place, "profile")?,
    }))
}

fn optional(fields: &mut Fields, place: &str, name: &str) -> Read<Option<String>> {
    let value = fields.take(name);
    value.map(|value| text(&at(place, name), value)).transpose()
}

fn within<T: TryFrom<u64>>(fields: &mut Fields, place: &str, name: &str, most: u64) -> Read<Option<T>> {
    let Some(value) = fields.take(name) else {
        return Ok(None);
    };
    let found = number(&at(place, name), value)
        .ok()
        .filter(|number| *number <= most);
    match found.and_then(|number| T::try_from(number).ok()) {
        Some(number) => Ok(Some(number)),
        None => Err(ProfileError::field(
            at(place, name),
            format!("must be a number from 1 to {most}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executors_are_read_with_all_that_they_have() {
        let text = r#"
            [sandbox]
            profile = "readonly"
            default_executor = "prod"
            [executor.prod]
            type = "ssh"
            host = "prod.example.com"
            username = "admin"
            key_file = "~/.ssh/id_ed25519"
            port = 2222
            connection_pool_size = 3
            known_hosts = "/etc/hosts.known"
            strict_host_key = false
            profile = "diagnostics"
            [executor.here]
            type = "local"
        "#;
        let config = SandboxConfig::from_toml(text).unwrap();
        assert_eq!(config.profile.as_deref(), Some("readonly"));
        assert_eq!(config.default_executor.as_deref(), Some("prod"));
        assert_eq!(config.executors["here"], ExecutorConfig::Local { profile: None });
        let ExecutorConfig::Ssh(prod) = &config.executors["prod"] else {
            panic!()
        };
        assert_eq!(
            (prod.host.as_str(), prod.username.as_deref(), prod.port),
            ("prod.example.com", Some("admin"), Some(2222))
        );
        assert_eq!(
            (prod.key_file.as_deref(), prod.connection_pool_size),
            (Some("~/.ssh/id_ed25519"), Some(3))
        );
        assert_eq!(
            (prod.known_hosts.as_deref(), prod.strict_host_key),
            (Some("/etc/hosts.known"), false)
        );
        assert_eq!(config.executors["prod"].profile(), Some("diagnostics"));
        assert_eq!(SandboxConfig::from_toml(""), Ok(SandboxConfig::default()));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (text, expected) in [
            (
                "[sandbox]\nprofil = 'x'",
                "sandbox.profil: there is no such key; is profile meant?",
            ),
            (
                "[executors.a]\ntype = 'ssh'",
                "executors: there is no such key; is executor meant?",
            ),
            (
                "[executor.a]\nhost = 'x'",
                "executor.a.type: must be \"local\" or \"ssh\"",
            ),
            (
                "[executor.a]\ntype = 'vm'",
                "executor.a.type: must be \"local\" or \"ssh\"",
            ),
            ("[executor.a]\ntype = 'ssh'", "executor.a: must define 'host'"),
            (
                "[executor.a]\ntype = 'ssh'\nhost = ''",
                "executor.a.host: must be a non-empty string",
            ),
            (
                "[executor.a]\ntype = 'ssh'\nhost = 'x'\nport = 0",
                "executor.a.port: must be a number from 1 to 65535",
            ),
            (
                "[executor.a]\ntype = 'ssh'\nhost = 'x'\nconnection_pool_size = 101",
                "executor.a.connection_pool_size: must be a number from 1 to 100",
            ),
            (
                "[executor.a]\ntype = 'ssh'\nhost = 'x'\nstrict_host_key = 'no'",
                "executor.a.strict_host_key: must be a boolean value",
            ),
            (
                "[executor.a]\ntype = 'ssh'\nhost = 'x'\npassword = 'y'",
                "executor.a.password: there is no such key: there are host, username, key_file, port, \
                 connection_pool_size, known_hosts, strict_host_key, profile",
            ),
            (
                "[executor.local]\ntype = 'local'",
                "executor.local: is reserved: local is always this machine",
            ),
            (
                "[executor.\"a\\\"]\\nx\"]\ntype = 'local'",
                "executor.a\"]\\nx: a name has letters, digits, - _ and . only, and begins with neither of these",
            ),
            (
                "[sandbox]\ndefault_executor = 'prod'",
                "sandbox.default_executor: there is no executor prod: add a table [executor.prod]",
            ),
        ] {
            assert_eq!(
                SandboxConfig::from_toml(text).unwrap_err().to_string(),
                expected,
                "{text}"
            );
        }
    }
}
