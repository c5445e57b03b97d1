//! Where the hosts of an inventory come from: a list in YAML or JSON, or an inventory as the whole program reads it.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::Map;
use sternline::config::read_inventory;
use sternline::proto::inventory::{HostId, Inventory};
use sternline::proto::text::escape;

use crate::data::Data;
use crate::modules::yaml::read_document;

/// A host: its fields, in their order.
pub(super) type Item = Map<String, Data>;

/// The largest list that is read.
const MAX_SIZE: u64 = 64 * 1024 * 1024;

/// Fields that say in which groups a host is.
const GROUPS: [&str; 3] = ["_group", "group", "groups"];

/// Fields that name a host, or say where it is.
pub(super) const NAMES: [&str; 4] = ["name", "hostname", "host", "address"];

/// The field that says why a host cannot be reached as its inventory says.
pub(super) const PROBLEM: &str = "_problem";

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) items: Vec<Item>,
    /// The inventory, if it is more than a list.
    pub(super) known: Option<Inventory>,
    pub(super) warnings: Vec<String>,
}

/// Reads a file, or a directory of inventories. Blocks.
///
/// # Errors
/// When it is neither a list of hosts nor an inventory.
pub(super) fn read(path: &Path) -> anyhow::Result<Read> {
    if let Some(items) = read_list(path)? {
        return Ok(Read {
            items,
            ..Read::default()
        });
    }
    let inventory = read_inventory(&[path.to_owned()])
        .map_err(|error| anyhow::anyhow!("{error}; {}", error.problem.hint()))?;
    let items = inventory.hosts().map(|host| item(&inventory, host)).collect();
    let warnings = inventory.warnings().to_vec();
    Ok(Read {
        items,
        known: Some(inventory),
        warnings,
    })
}

/// The hosts of a list; nothing, if the file is no list but may be an inventory of another kind.
fn read_list(path: &Path) -> anyhow::Result<Option<Vec<Item>>> {
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    let extension = path
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or_default();
    let is_other = matches!(extension.to_ascii_lowercase().as_str(), "toml" | "ini" | "cfg");
    if is_other || !metadata.is_file() || metadata.len() > MAX_SIZE {
        return Ok(None);
    }
    let text = std::fs::read(path).map_err(|error| unreadable(path, &error))?;
    // What is no YAML either is an error of the other reader, which knows more formats.
    let document = String::from_utf8(text)
        .ok()
        .and_then(|text| read_document(&text).ok());
    Ok(document.and_then(list))
}

fn unreadable(path: &Path, error: &io::Error) -> anyhow::Error {
    let path = escape(&path.to_string_lossy());
    match error.kind() {
        io::ErrorKind::NotFound => anyhow::anyhow!("inventory.file: open {path}: no such file or directory"),
        _ => anyhow::anyhow!("inventory.file: open {path}: {error}"),
    }
}

/// The hosts of a list of mappings, or of lists of them by the names of their groups.
fn list(document: Data) -> Option<Vec<Item>> {
    match document {
        Data::Array(items) => objects(items),
        Data::Object(groups) => {
            if groups.is_empty() || !groups.values().all(Data::is_array) {
                return None;
            }
            let mut all = Vec::new();
            for (group, items) in groups {
                let Data::Array(items) = items else { return None };
                for mut item in objects(items)? {
                    item.insert("_group".to_owned(), group.as_str().into());
                    all.push(item);
                }
            }
            Some(all)
        }
        _ => None,
    }
}

fn objects(items: Vec<Data>) -> Option<Vec<Item>> {
    let items = items.into_iter().map(|item| match item {
        Data::Object(fields) => Some(fields),
        _ => None,
    });
    items.collect()
}

/// A host of an inventory as fields: what scripts need most first, then its variables.
fn item(inventory: &Inventory, host: HostId) -> Item {
    let name = inventory.host_name(host);
    let mut item = Item::new();
    item.insert("name".to_owned(), name.into());
    item.insert("address".to_owned(), name.into());
    match inventory.ssh_settings(host) {
        Err(error) => {
            item.insert(PROBLEM.to_owned(), error.to_string().into());
        }
        Ok(settings) => {
            if let Some(address) = settings.address {
                item.insert("address".to_owned(), address.value.into());
            }
            for line in settings.lines {
                let (word, value) = line.value.split_once([' ', '=']).unwrap_or((&line.value, ""));
                let value = unquoted(value.trim());
                let (field, value): (_, Data) = match word.to_ascii_lowercase().as_str() {
                    "user" => ("user", value.into()),
                    "port" => (
                        "port",
                        value
                            .parse::<u16>()
                            .map_or_else(|_| value.as_str().into(), Data::from),
                    ),
                    "identityfile" => ("key", value.into()),
                    "proxyjump" => ("jump_host", value.into()),
                    _ => continue,
                };
                item.entry(field).or_insert(value);
            }
        }
    }
    let groups: Vec<Data> = inventory.groups_of(host).into_iter().map(Data::from).collect();
    item.insert("groups".to_owned(), Data::Array(groups));
    let labels = inventory.labels(host);
    if !labels.is_empty() {
        let labels = labels.into_iter().map(|(key, words)| {
            let words = match words.value.as_slice() {
                [word] => word.as_str().into(),
                words => words.to_vec().into(),
            };
            (key, words)
        });
        item.insert("labels".to_owned(), Data::Object(labels.collect()));
    }
    for (name, value) in inventory.vars(host) {
        item.entry(name).or_insert(value.value);
    }
    item
}

/// A value of ssh_config without the quotes around it.
fn unquoted(value: &str) -> String {
    let inner = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    match inner {
        Some(inner) => inner.replace("\\\"", "\"").replace("\\\\", "\\"),
        None => value.to_owned(),
    }
}

/// The name of a host.
pub(super) fn name(item: &Item) -> Option<&str> {
    NAMES.iter().find_map(|field| item.get(*field)?.as_str())
}

/// An inventory of a list's hosts, in the groups that their fields name: so that they can be selected as all others are. What
/// their fields say can be selected by, as labels.
///
/// # Errors
/// When a host has no name, or one that no host can have.
pub(super) fn known(items: &[Item]) -> anyhow::Result<Inventory> {
    let mut hosts = Map::new();
    let mut children = Map::new();
    for (index, item) in items.iter().enumerate() {
        let Some(name) = name(item) else {
            anyhow::bail!("item {index} has no name; give it a field \"name\"");
        };
        let words = |value: &Data| match value {
            Data::String(_) | Data::Number(_) | Data::Bool(_) => Some(value.clone()),
            _ => None,
        };
        let vars = item.iter().filter(|(field, _)| !GROUPS.contains(&field.as_str()));
        let vars: Map<String, Data> = vars
            .filter_map(|(field, value)| Some((field.clone(), words(value)?)))
            .collect();
        hosts.insert(name.to_owned(), Data::Object(vars));
        for field in GROUPS {
            let groups = match item.get(field) {
                Some(Data::String(group)) => vec![group.as_str()],
                Some(Data::Array(groups)) => groups.iter().filter_map(Data::as_str).collect(),
                _ => continue,
            };
            for group in groups {
                let group = children
                    .entry(group)
                    .or_insert_with(|| serde_json::json!({ "hosts": {} }));
                if let Some(Data::Object(members)) = group.get_mut("hosts") {
                    members.insert(name.to_owned(), Data::Null);
                }
            }
        }
    }
    let text = serde_json::json!({ "all": { "hosts": hosts, "children": children } }).to_string();
    let mut inventory = Inventory::new();
    inventory.add("inventory.yaml", &text)?;
    inventory.finish()?;
    Ok(inventory)
}

/// What else is read beside an inventory, where it is there.
pub(super) fn beside(path: &Path) -> Vec<PathBuf> {
    let folder = match path.is_dir() {
        true => path,
        false => path.parent().unwrap_or(Path::new("")),
    };
    let folders = ["group_vars", "host_vars"].map(|name| folder.join(name));
    folders.into_iter().filter(|folder| folder.is_dir()).collect()
}
