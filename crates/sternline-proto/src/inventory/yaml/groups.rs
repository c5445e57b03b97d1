//! From trees to groups, hosts and variables.

use std::sync::Arc;

use super::super::error::{InventoryError, Problem};
use super::super::model::{GroupId, Inventory};
use super::super::range;
use super::super::value::Value;
use super::tree::{self, Content, Node};
use crate::ssh_config::{Source, Sourced};
use crate::text::escape;

/// Reads an inventory: groups by their names, each with `hosts`, `vars` and `children`.
pub(in super::super) fn read(
    inventory: &mut Inventory,
    file: &Arc<str>,
    text: &str,
) -> Result<(), InventoryError> {
    let Some(root) = tree::parse(file, text, &mut inventory.warnings)? else {
        return Err(error(file, 1, "there is nothing in this inventory".to_owned()));
    };
    let line = root.line;
    let Content::Map(groups) = root.content else {
        let reason = format!("an inventory is a mapping of groups, and this is {}", root.kind());
        return Err(error(file, line, reason));
    };
    let plugin = groups
        .iter()
        .find(|(key, _)| key.key().as_deref() == Some("plugin"));
    if let Some((_, plugin)) =
        plugin.filter(|(_, plugin)| matches!(plugin.content, Content::Scalar(Value::String(_))))
    {
        return Err(InventoryError {
            place: place(file, plugin.line),
            problem: Problem::Plugin {
                plugin: plugin.key().unwrap_or_default(),
            },
        });
    }
    let mut reader = Reader { inventory, file };
    for (name, content) in groups {
        reader.group(name, content)?;
    }
    Ok(())
}

/// Reads a file of variables. One that is encrypted holds secrets as a rule, which nobody needs here: it is passed over.
pub(in super::super) fn read_vars(
    inventory: &mut Inventory,
    file: &Arc<str>,
    text: &str,
) -> Result<Vec<(String, Sourced<Value>)>, InventoryError> {
    if is_vault(text) {
        let warning = format!(
            "{} is encrypted by ansible-vault and was not read: what it says of how hosts are reached is not known",
            escape(file)
        );
        inventory.warnings.push(warning);
        return Ok(Vec::new());
    }
    let Some(root) = tree::parse(file, text, &mut inventory.warnings)? else {
        return Ok(Vec::new());
    };
    let line = root.line;
    let Content::Map(fields) = root.content else {
        let reason = format!("variables are a mapping of names, and this is {}", root.kind());
        return Err(error(file, line, reason));
    };
    let fields = fields.into_iter();
    Ok(fields
        .filter_map(|(key, value)| Some((key.key()?, tree::sourced(file, value))))
        .collect())
}

struct Reader<'a> {
    inventory: &'a mut Inventory,
    file: &'a Arc<str>,
}

impl Reader<'_> {
    /// Reads a group, unless it is none, which Ansible passes over.
    fn group(&mut self, name: Node, content: Node) -> Result<Option<GroupId>, InventoryError> {
        let line = name.line;
        let Content::Scalar(Value::String(name)) = name.content else {
            let reason = format!(
                "the name of a group is a text, and this is {}: put it in quotes",
                name.kind()
            );
            return Err(error(self.file, line, reason));
        };
        let fields = match content.content {
            Content::Map(fields) => fields,
            _ if content.is_null() => Vec::new(),
            _ => {
                let reason = format!("{} is no group, but {}", escape(&name), content.kind());
                self.passed_over(line, &reason);
                return Ok(None);
            }
        };
        let group = self.inventory.group(&name);
        for (key, value) in fields {
            let key_line = key.line;
            let what = key.key().unwrap_or_default();
            let entries = match value.content {
                _ if value.is_null() => continue,
                Content::Map(entries) => entries,
                // A single name may stand without a colon.
                Content::Scalar(Value::String(_))
                    if ["hosts", "children", "vars"].contains(&what.as_str()) =>
                {
                    let nothing = tree::null(value.line);
                    vec![(value, nothing)]
                }
                _ if ["hosts", "children", "vars"].contains(&what.as_str()) => {
                    let reason = format!(
                        "{what} of the group {name} is a mapping, and this is {}: write a colon behind each name",
                        value.kind()
                    );
                    return Err(error(self.file, value.line, reason));
                }
                _ => {
                    let reason = format!("{} in the group {} is no mapping", escape(&what), escape(&name));
                    self.passed_over(key_line, &reason);
                    continue;
                }
            };
            match what.as_str() {
                "vars" => self.vars(group, entries)?,
                "children" => {
                    for (child, content) in entries {
                        let line = child.line;
                        if let Some(child) = self.group(child, content)? {
                            self.inventory.nest(group, child, &place(self.file, line));
                        }
                    }
                }
                "hosts" => {
                    for (pattern, variables) in entries {
                        self.hosts(group, pattern, variables)?;
                    }
                }
                _ => {
                    let reason = format!(
                        "{} in the group {} is none of hosts, vars and children",
                        escape(&what),
                        escape(&name)
                    );
                    self.passed_over(key_line, &reason);
                }
            }
        }
        Ok(Some(group))
    }

    fn vars(&mut self, group: GroupId, entries: Vec<(Node, Node)>) -> Result<(), InventoryError> {
        for (name, value) in entries {
            if let Some(name) = name.key() {
                self.inventory
                    .set_group(group, name, tree::sourced(self.file, value))?;
            }
        }
        Ok(())
    }

    fn hosts(&mut self, group: GroupId, pattern: Node, variables: Node) -> Result<(), InventoryError> {
        let line = pattern.line;
        let Content::Scalar(Value::String(pattern)) = pattern.content else {
            let reason = format!(
                "the name of a host is a text, and this is {}: put it in quotes",
                pattern.kind()
            );
            return Err(error(self.file, line, reason));
        };
        let kind = variables.kind();
        let variables = match variables.content {
            Content::Map(variables) => variables,
            Content::Scalar(Value::Null | Value::Bool(false)) => Vec::new(),
            Content::Scalar(Value::String(text)) if text.is_empty() => Vec::new(),
            _ => {
                let reason = format!("the variables of the host {pattern} are a mapping, and this is {kind}");
                return Err(error(self.file, line, reason));
            }
        };
        let place = place(self.file, line);
        let variables: Vec<(String, Sourced<Value>)> = variables
            .into_iter()
            .filter_map(|(name, value)| Some((name.key()?, tree::sourced(self.file, value))))
            .collect();
        let (names, port) = range::expand(&pattern).map_err(|problem| InventoryError {
            place: place.clone(),
            problem,
        })?;
        for name in names {
            let host = self.inventory.add_host(&name, port, &place)?;
            self.inventory.join(group, host);
            for (name, value) in &variables {
                self.inventory.set_host(host, name.clone(), value.clone());
            }
        }
        Ok(())
    }

    fn passed_over(&mut self, line: usize, reason: &str) {
        let warning = format!("{}: passed over: {reason}", place(self.file, line));
        self.inventory.warnings.push(warning);
    }
}

/// Whether a file is encrypted as a whole.
pub(in super::super) fn is_vault(text: &str) -> bool {
    text.starts_with("$ANSIBLE_VAULT;")
}

fn error(file: &Arc<str>, line: usize, reason: String) -> InventoryError {
    InventoryError {
        place: place(file, line),
        problem: Problem::Syntax { reason },
    }
}

fn place(file: &Arc<str>, line: usize) -> Source {
    Source::File {
        path: Arc::clone(file),
        line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn inventory(text: &str) -> Result<Inventory, String> {
        let mut inventory = Inventory::new();
        read(&mut inventory, &"hosts.yml".into(), text)
            .and_then(|()| inventory.finish())
            .map_err(|error| error.to_string())?;
        Ok(inventory)
    }

    const SAMPLE: &str = "\
all:
  vars: {stage: none}
  hosts:
    lonely:
  children:
    prod:
      vars:
        stage: prod
      children:
        web:
          hosts:
            web[01:02]:
              ansible_port: 2200
            web03:2222:
        db:
          hosts: db-a
    canary:
      hosts:
        web01:
";

    #[test]
    fn groups_may_be_nested_and_hosts_may_be_ranges() {
        let inventory = inventory(SAMPLE).unwrap();
        let names = |group: &str| {
            let hosts = inventory.hosts_of(inventory.group_index[group]);
            hosts
                .iter()
                .map(|host| inventory.host_name(*host))
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(names("prod"), "web01 web02 web03 db-a");
        assert_eq!(names("all"), "lonely web01 web02 web03 db-a");
        assert_eq!(names("ungrouped"), "lonely");
        let web01 = inventory.host("web01").unwrap();
        assert_eq!(inventory.groups_of(web01), ["canary", "prod", "web"]);
        let var = |host: &str, name: &str| {
            let var = inventory.var(inventory.host(host).unwrap(), name).unwrap();
            (var.value.clone(), var.source.to_string())
        };
        assert_eq!(
            var("web01", "ansible_port"),
            (json!(2200), "hosts.yml:13".to_owned())
        );
        assert_eq!(
            var("web03", "ansible_port"),
            (json!(2222), "hosts.yml:14".to_owned())
        );
        assert_eq!(var("web01", "stage"), (json!("prod"), "hosts.yml:8".to_owned()));
        assert_eq!(var("lonely", "stage"), (json!("none"), "hosts.yml:2".to_owned()));
    }

    #[test]
    fn what_is_no_inventory_is_refused_with_its_line() {
        for (text, words) in [
            ("", "there is nothing"),
            (
                "[a, b]\n",
                "hosts.yml:1: an inventory is a mapping of groups, and this is a list",
            ),
            ("plugin: aws_ec2\nregions: [x]\n", "the inventory plugin aws_ec2"),
            (
                "web:\n  hosts: [a, b]\n",
                "hosts.yml:2: hosts of the group web is a mapping, and this is a list",
            ),
            (
                "web:\n  hosts:\n    5:\n",
                "hosts.yml:3: the name of a host is a text, and this is a number",
            ),
            (
                "web:\n  hosts:\n    a: 5\n",
                "the variables of the host a are a mapping, and this is a number",
            ),
            (
                "web:\n  hosts:\n    a[1-2]:\n",
                "hosts.yml:3: the range in a[1-2]",
            ),
            ("5:\n  hosts:\n", "the name of a group is a text"),
            (
                "a:\n  children:\n    b:\n      children:\n        a:\n",
                "a child of its own children",
            ),
        ] {
            let error = inventory(text).unwrap_err();
            assert!(error.contains(words), "{text:?}: {error}");
        }
    }

    #[test]
    fn what_ansible_passes_over_is_told_of() {
        let inventory = inventory("web:\n  hosts:\n    a:\n  tasks: {x: 1}\n  y: 5\nz: 5\n").unwrap();
        assert_eq!(
            inventory.warnings(),
            [
                "hosts.yml:4: passed over: tasks in the group web is none of hosts, vars and children",
                "hosts.yml:5: passed over: y in the group web is no mapping",
                "hosts.yml:6: passed over: z is no group, but a number",
            ]
        );
    }

    #[test]
    fn files_beside_an_inventory_count_as_with_ansible() {
        use super::super::super::VarsFile;
        let mut inventory = Inventory::new();
        let text =
            "web:\n  vars: {a: inventory, b: inventory}\n  hosts:\n    h: {c: inventory, d: inventory}\n";
        inventory.add("hosts.yml", text).unwrap();
        let file = |path, text| VarsFile {
            path,
            text,
            source: 0,
        };
        let group = |inventory: &Inventory, name: &str| inventory.group_index[name];
        let (all, web) = (group(&inventory, "all"), group(&inventory, "web"));
        let h = inventory.host("h").unwrap();
        inventory
            .add_group_vars(all, file("group_vars/all.yml", "{a: all, b: all, c: all}"))
            .unwrap();
        inventory
            .add_group_vars(web, file("group_vars/web.yml", "{b: web, c: web}"))
            .unwrap();
        inventory
            .add_host_vars(h, file("host_vars/h.yml", "d: host"))
            .unwrap();
        let vault = file("group_vars/all/vault.yml", "$ANSIBLE_VAULT;1.1;AES256\n6162\n");
        inventory.add_group_vars(all, vault).unwrap();
        assert!(
            inventory.warnings()[0].starts_with("group_vars/all/vault.yml is encrypted by ansible-vault")
        );
        inventory.finish().unwrap();
        let shown: Vec<String> = inventory
            .vars(h)
            .iter()
            .map(|(name, value)| format!("{name}={} {}", value.value.as_str().unwrap(), value.source))
            .collect();
        assert_eq!(
            shown,
            [
                "a=all group_vars/all.yml:1",
                "b=web group_vars/web.yml:1",
                "c=inventory hosts.yml:4",
                "d=host host_vars/h.yml:1",
            ]
        );
    }
}
