//! Hosts and groups.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::error::{InventoryError, Problem};
use super::value::{REDACTED_PASSWORD, Value, Vars, is_login_password, is_password};
use super::{Format, detect, ini, toml, yaml};
use crate::ssh_config::{Source, Sourced};
use crate::target::MAX_TARGETS;

/// A host of an [`Inventory`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostId(pub(super) usize);

/// A group of an [`Inventory`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupId(pub(super) usize);

/// The group of all hosts.
pub(super) const ALL: GroupId = GroupId(0);
/// The group of the hosts that are in no other.
pub(super) const UNGROUPED: GroupId = GroupId(1);

/// Labels by their keys, each with one or several words.
pub(super) type Labels = BTreeMap<String, Sourced<Vec<String>>>;

#[derive(Debug, Clone, Default)]
pub(super) struct Host {
    pub(super) name: String,
    /// Where it was named first.
    pub(super) place: Option<Source>,
    pub(super) vars: Vars,
    /// What `host_vars` says beside each source.
    pub(super) adjacent: BTreeMap<usize, Vars>,
    pub(super) labels: Labels,
    /// The groups that name it.
    pub(super) groups: Vec<GroupId>,
    /// The groups that it is in, each with all that it is in turn in, but for `all`: those whose variables count least first.
    pub(super) lineage: Arc<[GroupId]>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) vars: Vars,
    /// What `group_vars` says beside each source.
    pub(super) adjacent: BTreeMap<usize, Vars>,
    pub(super) labels: Labels,
    pub(super) hosts: Vec<HostId>,
    pub(super) children: Vec<GroupId>,
    pub(super) parents: Vec<GroupId>,
    /// Where its first parent was given to it.
    pub(super) nested_at: Option<Source>,
    pub(super) priority: i64,
    /// The longest way down from `all`.
    pub(super) depth: usize,
}

/// A file of variables that lies beside an inventory, for one host or group.
#[derive(Debug, Clone, Copy)]
pub struct VarsFile<'a> {
    /// Its name, for messages.
    pub path: &'a str,
    /// What it says.
    pub text: &'a str,
    /// Which of the sources it lies beside, counted in the order in which they are given.
    pub source: usize,
}

/// Hosts, the groups they are in, and what is said about both.
#[derive(Debug, Clone)]
pub struct Inventory {
    pub(super) hosts: Vec<Host>,
    pub(super) groups: Vec<Group>,
    pub(super) host_index: HashMap<String, HostId>,
    pub(super) group_index: HashMap<String, GroupId>,
    members: HashSet<(GroupId, HostId)>,
    nested: HashSet<(GroupId, GroupId)>,
    pub(super) warnings: Vec<String>,
    passwords: Vec<Source>,
}

impl Default for Inventory {
    fn default() -> Self {
        Self::new()
    }
}

impl Inventory {
    /// An inventory without hosts.
    #[must_use]
    pub fn new() -> Self {
        let mut inventory = Self {
            hosts: Vec::new(),
            groups: Vec::new(),
            host_index: HashMap::new(),
            group_index: HashMap::new(),
            members: HashSet::new(),
            nested: HashSet::new(),
            warnings: Vec::new(),
            passwords: Vec::new(),
        };
        inventory.group("all");
        let ungrouped = inventory.group("ungrouped");
        inventory.nest(ALL, ungrouped, &Source::CommandLine);
        inventory
    }

    /// Takes in a file in whichever format its name or its content tells. `path` is its name.
    ///
    /// # Errors
    /// The first thing in it that is wrong. What was read before stays in the inventory, which is best dropped.
    pub fn add(&mut self, path: &str, text: &str) -> Result<(), InventoryError> {
        let file: Arc<str> = path.into();
        if yaml::is_vault(text) {
            return Err(InventoryError {
                place: Source::File { path: file, line: 1 },
                problem: Problem::Vault {
                    name: "the file".to_owned(),
                },
            });
        }
        match detect(path, text) {
            Format::Toml => toml::read(self, &file, text),
            Format::Ini => ini::read(self, &file, text),
            Format::Yaml => yaml::read(self, &file, text),
        }
    }

    /// Takes in a file of variables for all hosts of a group. A group that does not exist is left alone.
    ///
    /// # Errors
    /// When it is not a mapping in YAML or JSON.
    pub fn add_group_vars(&mut self, group: GroupId, file: VarsFile<'_>) -> Result<(), InventoryError> {
        let vars = self.read_vars(file)?;
        if let Some(group) = self.groups.get_mut(group.0) {
            group.adjacent.entry(file.source).or_default().extend(vars);
        }
        Ok(())
    }

    /// Takes in a file of variables for a host.
    ///
    /// # Errors
    /// As for [`Inventory::add_group_vars`].
    pub fn add_host_vars(&mut self, host: HostId, file: VarsFile<'_>) -> Result<(), InventoryError> {
        let vars = self.read_vars(file)?;
        if let Some(host) = self.hosts.get_mut(host.0) {
            host.adjacent.entry(file.source).or_default().extend(vars);
        }
        Ok(())
    }

    fn read_vars(&mut self, file: VarsFile<'_>) -> Result<Vars, InventoryError> {
        let mut vars = Vars::new();
        for (name, value) in yaml::read_vars(self, &file.path.into(), file.text)? {
            self.put(&mut vars, name, value);
        }
        Ok(vars)
    }

    /// A host by its name.
    #[must_use]
    pub fn host(&self, name: &str) -> Option<HostId> {
        self.host_index.get(name).copied()
    }

    /// All hosts, in the order in which they were named first.
    pub fn hosts(&self) -> impl Iterator<Item = HostId> + use<> {
        (0..self.hosts.len()).map(HostId)
    }

    /// All groups, `all` and `ungrouped` first, then in the order in which they were named first.
    pub fn groups(&self) -> impl Iterator<Item = GroupId> + use<> {
        (0..self.groups.len()).map(GroupId)
    }

    /// The name of a host.
    #[must_use]
    pub fn host_name(&self, host: HostId) -> &str {
        self.hosts.get(host.0).map_or("", |host| &host.name)
    }

    /// Where a host was named first.
    pub(super) fn place(&self, host: HostId) -> Option<&Source> {
        self.hosts.get(host.0)?.place.as_ref()
    }

    /// The name of a group.
    #[must_use]
    pub fn group_name(&self, group: GroupId) -> &str {
        self.groups.get(group.0).map_or("", |group| &group.name)
    }

    /// What is odd and was passed over, each with its place.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Where passwords for logins stand, which were not kept.
    #[must_use]
    pub fn passwords(&self) -> &[Source] {
        &self.passwords
    }

    /// The group of that name, made if there is none.
    pub(super) fn group(&mut self, name: &str) -> GroupId {
        if let Some(id) = self.group_index.get(name) {
            return *id;
        }
        let id = GroupId(self.groups.len());
        self.groups.push(Group {
            name: name.to_owned(),
            priority: 1,
            ..Group::default()
        });
        self.group_index.insert(name.to_owned(), id);
        id
    }

    /// The host of that name, made if there is none. A port counts for a new one only, as with Ansible.
    pub(super) fn add_host(
        &mut self,
        name: &str,
        port: Option<u16>,
        place: &Source,
    ) -> Result<HostId, InventoryError> {
        if let Some(id) = self.host_index.get(name) {
            return Ok(*id);
        }
        if self.hosts.len() == MAX_TARGETS {
            return Err(InventoryError {
                place: place.clone(),
                problem: Problem::TooMuch {
                    limit: MAX_TARGETS,
                    what: "hosts",
                },
            });
        }
        let id = HostId(self.hosts.len());
        self.hosts.push(Host {
            name: name.to_owned(),
            place: Some(place.clone()),
            ..Host::default()
        });
        self.host_index.insert(name.to_owned(), id);
        if let Some(port) = port {
            let value = Sourced {
                value: port.into(),
                source: place.clone(),
            };
            self.set_host(id, "ansible_port".to_owned(), value);
        }
        Ok(id)
    }

    /// Makes a host a member of a group.
    pub(super) fn join(&mut self, group: GroupId, host: HostId) {
        if self.members.insert((group, host)) {
            if let Some(group) = self.groups.get_mut(group.0) {
                group.hosts.push(host);
            }
            if let Some(host) = self.hosts.get_mut(host.0) {
                host.groups.push(group);
            }
        }
    }

    /// Takes a host out of a group.
    pub(super) fn leave(&mut self, group: GroupId, host: HostId) {
        if self.members.remove(&(group, host))
            && let Some(host) = self.hosts.get_mut(host.0)
        {
            host.groups.retain(|other| *other != group);
        }
    }

    /// Makes a group a child of another.
    pub(super) fn nest(&mut self, parent: GroupId, child: GroupId, place: &Source) {
        if self.nested.insert((parent, child)) {
            if let Some(parent) = self.groups.get_mut(parent.0) {
                parent.children.push(child);
            }
            if let Some(child) = self.groups.get_mut(child.0) {
                child.parents.push(parent);
                child.nested_at.get_or_insert_with(|| place.clone());
            }
        }
    }

    pub(super) fn set_group(
        &mut self,
        id: GroupId,
        name: String,
        value: Sourced<Value>,
    ) -> Result<(), InventoryError> {
        if name == "ansible_group_priority" {
            let priority = match &value.value {
                Value::String(text) => text.trim().parse().ok(),
                number => number.as_i64(),
            };
            let Some(priority) = priority else {
                return Err(InventoryError {
                    place: value.source,
                    problem: Problem::Value {
                        name,
                        text: value.value.to_string(),
                        expected: "write a whole number",
                    },
                });
            };
            if let Some(group) = self.groups.get_mut(id.0) {
                group.priority = priority;
            }
            return Ok(());
        }
        let mut vars = self
            .groups
            .get_mut(id.0)
            .map(|group| std::mem::take(&mut group.vars))
            .unwrap_or_default();
        self.put(&mut vars, name, value);
        if let Some(group) = self.groups.get_mut(id.0) {
            group.vars = vars;
        }
        Ok(())
    }

    pub(super) fn set_host(&mut self, id: HostId, name: String, value: Sourced<Value>) {
        let mut vars = self
            .hosts
            .get_mut(id.0)
            .map(|host| std::mem::take(&mut host.vars))
            .unwrap_or_default();
        self.put(&mut vars, name, value);
        if let Some(host) = self.hosts.get_mut(id.0) {
            host.vars = vars;
        }
    }

    /// Keeps a variable. A password is not kept, only that there is one.
    fn put(&mut self, vars: &mut Vars, name: String, mut value: Sourced<Value>) {
        if is_password(&name) {
            if is_login_password(&name) {
                self.passwords.push(value.source.clone());
            }
            value.value = REDACTED_PASSWORD.into();
        }
        vars.insert(name, value);
    }
}
