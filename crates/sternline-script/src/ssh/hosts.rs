//! The hosts of `ssh.config`: texts and dicts, and what holds for one of them alone.

use std::collections::HashMap;

use starlark::values::dict::DictRef;
use starlark::values::list::ListRef;
use starlark::values::{Value, ValueLike};
use sternline::Secret;
use sternline::proto::target::{Target, parse_targets};
use sternline::proto::text::escape;

use super::arguments::{Name, port, strings};
use crate::modules::inventory::Inventory;

/// How to log in, as far as it was said.
#[derive(Debug, Clone, Default)]
pub(super) struct Login {
    pub(super) key: Option<String>,
    pub(super) passphrase: Option<Secret>,
    pub(super) password: Option<Secret>,
    pub(super) identities: Vec<String>,
    pub(super) jump: Option<String>,
}

impl Login {
    fn is_empty(&self) -> bool {
        self.key.is_none() && self.password.is_none() && self.identities.is_empty() && self.jump.is_none()
    }
}

/// One host.
#[derive(Debug, Clone)]
pub(super) struct Host {
    /// What results and messages call it.
    pub(super) label: String,
    /// The host, with user and port where they were said of it alone.
    pub(super) target: Target,
    /// What was said of it alone.
    pub(super) login: Login,
}

const FUNCTION: &str = "ssh.config";

const EXPECTED: &str = "a list of hosts, such as [\"web-1\", \"deploy@web-2:2222\"]";

/// What a dict may say of a host.
const KEYS: [&str; 10] = [
    "host",
    "address",
    "name",
    "user",
    "port",
    "key",
    "key_passphrase",
    "password",
    "identities",
    "jump_host",
];

/// Reads the list. A host that is named twice is worked on twice.
pub(super) fn read(value: Value) -> anyhow::Result<Vec<Host>> {
    let name = Name::new(FUNCTION, "hosts");
    let mut hosts = Vec::new();
    if let Some(inventory) = value.downcast_ref::<Inventory>() {
        for entry in inventory.entries()? {
            hosts.extend(of_entry(name, &entry)?);
        }
        check_repeated(&hosts)?;
        return Ok(hosts);
    }
    let list = ListRef::from_value(value).ok_or_else(|| name.not(EXPECTED, value))?;
    for (index, item) in list.iter().enumerate() {
        let entry = format!("hosts[{index}]");
        let name = Name::new(FUNCTION, &entry);
        if let Some(text) = item.unpack_str() {
            hosts.extend(targets(name, text)?.into_iter().map(|target| Host {
                label: target.to_string(),
                target,
                login: Login::default(),
            }));
        } else if let Some(dict) = DictRef::from_value(item) {
            hosts.extend(of_dict(name, &dict)?);
        } else {
            return Err(name.not(
                "a string, or a dict such as {\"host\": \"web-1\", \"port\": 2222}",
                item,
            ));
        }
    }
    check_repeated(&hosts)?;
    Ok(hosts)
}

/// `user@host:port`, ranges such as `web-[01-20]`, and lists of them with commas.
fn targets(name: Name, text: &str) -> anyhow::Result<Vec<Target>> {
    let list = parse_targets(text).map_err(|error| name.wrong(error))?;
    Ok(list.targets)
}

fn of_dict(name: Name, dict: &DictRef) -> anyhow::Result<Vec<Host>> {
    for key in dict.keys() {
        let known = key.unpack_str().filter(|key| KEYS.contains(key));
        if known.is_none() {
            let shown = key.unpack_str().map_or_else(|| key.to_string(), str::to_owned);
            return Err(name.wrong(format!(
                "\"{}\" says nothing of a host: use {}",
                escape(&shown),
                KEYS.join(", ")
            )));
        }
    }
    let text = |key: &str| -> anyhow::Result<Option<String>> {
        let Some(value) = dict.get_str(key) else {
            return Ok(None);
        };
        let entry = format!("{}[\"{key}\"]", name.argument);
        let text = value
            .unpack_str()
            .ok_or_else(|| Name::new(FUNCTION, &entry).not("a string", value))?;
        Ok((!text.is_empty()).then(|| text.to_owned()))
    };
    let host = match (text("host")?, text("address")?) {
        (Some(host), None) | (None, Some(host)) => host,
        (Some(_), Some(_)) => {
            return Err(name.wrong("it has both a host and an address: leave out one of them"));
        }
        (None, None) => return Err(name.wrong("it names no host: add \"host\"")),
    };
    let entry = |key: &str| format!("{}[\"{key}\"]", name.argument);
    let identities = dict
        .get_str("identities")
        .map(|value| strings(Name::new(FUNCTION, &entry("identities")), value));
    let number = dict.get_str("port").map(|value| {
        let wrong = || Name::new(FUNCTION, &entry("port")).not("a number", value);
        value
            .unpack_i32()
            .ok_or_else(wrong)
            .and_then(|number| port(FUNCTION, number))
    });
    let said = Said {
        host,
        name: text("name")?,
        user: text("user")?,
        port: number.transpose()?,
        login: Login {
            key: text("key")?,
            passphrase: text("key_passphrase")?.map(Secret::from),
            password: text("password")?.map(Secret::from),
            identities: identities.transpose()?.unwrap_or_default(),
            jump: text("jump_host")?,
        },
    };
    said.hosts(name)
}

/// An entry of an inventory, which has checked it.
fn of_entry(name: Name, entry: &serde_json::Map<String, serde_json::Value>) -> anyhow::Result<Vec<Host>> {
    let text = |key: &str| {
        entry
            .get(key)
            .and_then(serde_json::Value::as_str)
            .map(str::to_owned)
    };
    let number = entry.get("port").and_then(serde_json::Value::as_u64);
    let number = number.map(|number| port(FUNCTION, i32::try_from(number).unwrap_or(-1)));
    let said = Said {
        host: text("host").unwrap_or_default(),
        name: text("name"),
        user: text("user"),
        port: number.transpose()?,
        login: Login {
            key: text("key"),
            jump: text("jump_host"),
            ..Login::default()
        },
    };
    said.hosts(name)
}

/// What was said of a host, or of a range of hosts.
struct Said {
    host: String,
    name: Option<String>,
    user: Option<String>,
    port: Option<u16>,
    login: Login,
}

impl Said {
    fn hosts(self, name: Name) -> anyhow::Result<Vec<Host>> {
        let mut hosts = Vec::new();
        for mut target in targets(name, &self.host)? {
            if let Some(user) = &self.user {
                target = target.with_user(user).map_err(|error| name.wrong(error))?;
            }
            if let Some(port) = self.port {
                target = target.with_port(port).map_err(|error| name.wrong(error))?;
            }
            hosts.push(Host {
                label: target.to_string(),
                target,
                login: self.login.clone(),
            });
        }
        match (self.name, hosts.as_mut_slice()) {
            (None, _) => {}
            (Some(label), [host]) => host.label = label,
            (Some(_), _) => {
                return Err(name.wrong("it has one name for several hosts: leave out the name"));
            }
        }
        Ok(hosts)
    }
}

/// A host that is named twice cannot have two settings: it would not be clear which one is meant.
fn check_repeated(hosts: &[Host]) -> anyhow::Result<()> {
    let mut seen: HashMap<&Target, &Host> = HashMap::new();
    for host in hosts {
        if let Some(before) = seen.insert(&host.target, host)
            && !(before.login.is_empty() && host.login.is_empty())
        {
            return Err(anyhow::anyhow!(
                "{FUNCTION}: {} is named twice, with settings of its own: name it once",
                escape(&host.label)
            ));
        }
    }
    Ok(())
}
