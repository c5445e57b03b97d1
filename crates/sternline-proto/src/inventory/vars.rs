//! Which of several values a variable has on a host: Ansible's precedence.
//!
//! From the weakest: what the inventory says of `all`, of groups from the outermost to the innermost (of the same depth by
//! `ansible_group_priority`, then by name), then `group_vars/all`, the other `group_vars` in the same order, then what the
//! inventory says of the host, and `host_vars`.

use super::model::{ALL, Group, GroupId, HostId, Inventory, Labels};
use super::value::{Value, Vars};
use crate::ssh_config::Sourced;

impl Inventory {
    /// All variables of a host.
    #[must_use]
    pub fn vars(&self, host: HostId) -> Vars {
        let mut all = Vars::new();
        for layer in self.layers(host) {
            for (name, value) in layer {
                all.insert(name.clone(), value.clone());
            }
        }
        all
    }

    /// One variable of a host.
    #[must_use]
    pub fn var(&self, host: HostId, name: &str) -> Option<&Sourced<Value>> {
        self.layers(host)
            .into_iter()
            .rev()
            .find_map(|layer| layer.get(name))
    }

    /// The words of a label of a host. The host's own come before those of its groups, the inner before the outer.
    #[must_use]
    pub fn label(&self, host: HostId, key: &str) -> Option<&Sourced<Vec<String>>> {
        self.label_layers(host)
            .into_iter()
            .rev()
            .find_map(|layer| layer.get(key))
    }

    /// All labels of a host.
    #[must_use]
    pub fn labels(&self, host: HostId) -> Labels {
        let mut all = Labels::new();
        for layer in self.label_layers(host) {
            for (key, words) in layer {
                all.insert(key.clone(), words.clone());
            }
        }
        all
    }

    /// The groups that a host is in, sorted by name, without `all`.
    #[must_use]
    pub fn groups_of(&self, host: HostId) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .lineage_of(host)
            .iter()
            .map(|group| self.group_name(*group))
            .collect();
        names.sort_unstable();
        names
    }

    fn lineage_of(&self, host: HostId) -> &[GroupId] {
        self.hosts.get(host.0).map_or(&[], |host| &host.lineage)
    }

    /// Where variables come from, the weakest first.
    fn layers(&self, host: HostId) -> Vec<&Vars> {
        let mut layers = Vec::new();
        let all = self.groups.get(ALL.0);
        let groups: Vec<&Group> = self
            .lineage_of(host)
            .iter()
            .filter_map(|group| self.groups.get(group.0))
            .collect();
        layers.extend(all.map(|all| &all.vars));
        layers.extend(groups.iter().map(|group| &group.vars));
        layers.extend(all.iter().flat_map(|all| all.adjacent.values()));
        let mut sources: Vec<usize> = groups
            .iter()
            .flat_map(|group| group.adjacent.keys().copied())
            .collect();
        sources.sort_unstable();
        sources.dedup();
        for source in sources {
            layers.extend(groups.iter().filter_map(|group| group.adjacent.get(&source)));
        }
        if let Some(host) = self.hosts.get(host.0) {
            layers.push(&host.vars);
            layers.extend(host.adjacent.values());
        }
        layers
    }

    fn label_layers(&self, host: HostId) -> Vec<&Labels> {
        let groups = std::iter::once(&ALL).chain(self.lineage_of(host));
        let mut layers: Vec<&Labels> = groups
            .filter_map(|group| self.groups.get(group.0))
            .map(|group| &group.labels)
            .collect();
        layers.extend(self.hosts.get(host.0).map(|host| &host.labels));
        layers
    }
}
