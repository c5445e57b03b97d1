//! Files of profiles, in YAML or TOML:
//!
//! ```yaml
//! permissions:
//!   deploy:
//!     default: deny
//!     allow: ["ssh.connect(web-*:**)", "fs.read($CWD/**)"]
//!     deny: ["ssh.connect(**:reboot*)"]
//! ```

use std::path::{Path, PathBuf};

use saphyr_parser::{Event, Parser};
use toml::de::{DeTable, DeValue};

use super::guard::Roots;
use super::rule::Effect;
use super::{Permissions, PermissionsError, inline};

/// More is no file of rules.
const MAX_SIZE: u64 = 1024 * 1024;

const MAX_DEPTH: usize = 8;

#[derive(Debug, PartialEq)]
enum Tree {
    Text(String),
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>),
}

type Profiles = Vec<(String, Permissions)>;

/// The profile of this name in a file, or the only one there is.
pub(super) fn from_file(
    file: &str,
    name: Option<&str>,
    roots: &Roots,
) -> Result<Permissions, PermissionsError> {
    let path = match (file.strip_prefix("~/"), &roots.home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => roots.cwd.join(file),
    };
    let mut profiles = read(&path).map_err(|reason| PermissionsError::File {
        file: file.to_owned(),
        reason,
    })?;
    let names = names(&profiles);
    match name {
        None if profiles.len() == 1 => Ok(profiles.remove(0).1),
        None => Err(PermissionsError::File {
            file: file.to_owned(),
            reason: format!("it has several profiles: write {file}#NAME with one of {names}"),
        }),
        Some(name) => take(profiles, name).ok_or_else(|| PermissionsError::UnknownProfile {
            name: name.to_owned(),
            searched: format!("{file} has {names}"),
        }),
    }
}

/// The profile of this name in the first of the user's files that has it.
pub(super) fn from_user_files(name: &str, files: &[PathBuf]) -> Result<Permissions, PermissionsError> {
    let mut searched = Vec::new();
    for path in files {
        let file = path.display().to_string();
        if !path.exists() {
            searched.push(format!("{file} does not exist"));
            continue;
        }
        let profiles = read(path).map_err(|reason| PermissionsError::File {
            file: file.clone(),
            reason,
        })?;
        let names = names(&profiles);
        if let Some(found) = take(profiles, name) {
            return Ok(found);
        }
        searched.push(format!("{file} has {names}"));
    }
    Err(PermissionsError::UnknownProfile {
        name: name.to_owned(),
        searched: searched.join("; "),
    })
}

fn names(profiles: &Profiles) -> String {
    let names: Vec<&str> = profiles.iter().map(|(name, _)| name.as_str()).collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

fn take(profiles: Profiles, name: &str) -> Option<Permissions> {
    profiles
        .into_iter()
        .find_map(|(known, permissions)| (known == name).then_some(permissions))
}

fn read(path: &Path) -> Result<Profiles, String> {
    let size = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > MAX_SIZE {
        return Err("it is too large for a file of rules".to_owned());
    }
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let is_toml = path.extension().is_some_and(|extension| extension == "toml");
    parse(&text, is_toml)
}

/// Reads all profiles of a text.
pub(super) fn parse(text: &str, is_toml: bool) -> Result<Profiles, String> {
    let tree = if is_toml {
        toml_tree(text)?
    } else {
        yaml_tree(text)?
    };
    let mut profiles = Vec::new();
    for (key, value) in map(tree, "the file")? {
        if key != "permissions" {
            return Err(format!("{key} does not belong here, only `permissions`"));
        }
        for (name, value) in map(value, "permissions")? {
            let permissions = profile(&name, value)?;
            profiles.push((name, permissions));
        }
    }
    Ok(profiles)
}

fn profile(name: &str, tree: Tree) -> Result<Permissions, String> {
    let mut permissions = Permissions::deny_all();
    for (key, value) in map(tree, name)? {
        let effect = match (key.as_str(), value) {
            ("default", Tree::Text(text)) => {
                permissions.by_default = inline::by_default(&text).map_err(|error| error.to_string())?;
                continue;
            }
            ("allow", value) => (Effect::Allow, value),
            ("deny", value) => (Effect::Deny, value),
            _ => {
                return Err(format!(
                    "{name}: {key} is not understood: there are `default` (allow or deny), `allow` and `deny` (lists of rules)"
                ));
            }
        };
        let (effect, Tree::List(rules)) = effect else {
            return Err(format!("{name}: {key} is a list of rules"));
        };
        for rule in rules {
            let Tree::Text(rule) = rule else {
                return Err(format!("{name}: a rule in {key} is no text: put it in quotes"));
            };
            permissions
                .add(effect, &rule)
                .map_err(|error| format!("{name}: {error}"))?;
        }
    }
    Ok(permissions)
}

fn map(tree: Tree, what: &str) -> Result<Vec<(String, Tree)>, String> {
    let Tree::Map(fields) = tree else {
        return Err(format!("{what} is no mapping of names"));
    };
    for (index, (name, _)) in fields.iter().enumerate() {
        if fields.iter().take(index).any(|(before, _)| before == name) {
            return Err(format!("{what} has {name} twice"));
        }
    }
    Ok(fields)
}

fn toml_tree(text: &str) -> Result<Tree, String> {
    let root = DeTable::parse(text).map_err(|error| error.message().to_owned())?;
    Ok(toml_table(root.get_ref()))
}

fn toml_table(table: &DeTable<'_>) -> Tree {
    Tree::Map(
        table
            .iter()
            .map(|(name, value)| (name.get_ref().to_string(), toml_value(value.get_ref())))
            .collect(),
    )
}

fn toml_value(value: &DeValue<'_>) -> Tree {
    if let Some(table) = value.as_table() {
        return toml_table(table);
    }
    if let Some(items) = value.as_array() {
        return Tree::List(items.iter().map(|item| toml_value(item.get_ref())).collect());
    }
    Tree::Text(value.as_str().unwrap_or_default().to_owned())
}

/// What is being read of a YAML text: lists, and mappings with the key that waits for its value.
enum Open {
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>, Option<String>),
}

fn yaml_tree(text: &str) -> Result<Tree, String> {
    let mut open: Vec<Open> = Vec::new();
    let mut document = None;
    for event in Parser::new_from_str(text.strip_prefix('\u{feff}').unwrap_or(text)) {
        let (event, span) =
            event.map_err(|error| format!("line {}: {}", error.marker().line(), error.info()))?;
        let line = span.start.line();
        let node = match event {
            Event::Scalar(text, ..) => Tree::Text(text.into_owned()),
            Event::SequenceStart(..) | Event::MappingStart(..) if open.len() >= MAX_DEPTH => {
                return Err(format!("line {line}: it is nested too deep"));
            }
            Event::SequenceStart(..) => {
                open.push(Open::List(Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(Vec::new(), None));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(items)) => Tree::List(items),
                Some(Open::Map(fields, _)) => Tree::Map(fields),
                None => continue,
            },
            Event::Alias(_) => return Err(format!("line {line}: write rules out, without aliases")),
            Event::DocumentStart(_) if document.is_some() => {
                return Err(format!("line {line}: a second document begins here"));
            }
            _ => continue,
        };
        match (open.last_mut(), node) {
            (None, node) => document = Some(node),
            (Some(Open::List(items)), node) => items.push(node),
            (Some(Open::Map(_, key @ None)), Tree::Text(name)) => *key = Some(name),
            (Some(Open::Map(_, None)), _) => return Err(format!("line {line}: a name is a text")),
            (Some(Open::Map(fields, key)), node) => fields.extend(key.take().map(|name| (name, node))),
        }
    }
    document.ok_or_else(|| "there is nothing in it".to_owned())
}
