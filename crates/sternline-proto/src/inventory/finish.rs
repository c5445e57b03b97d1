//! What follows from all files together: who is in which group, and whose variables count more.

use std::collections::HashMap;
use std::sync::Arc;

use super::error::{InventoryError, Problem};
use super::model::{ALL, GroupId, HostId, Inventory, UNGROUPED};
use crate::ssh_config::Source;

impl Inventory {
    /// Settles what depends on all files; to be called after the last one, and before anything is asked.
    ///
    /// # Errors
    /// When a group is its own ancestor.
    pub fn finish(&mut self) -> Result<(), InventoryError> {
        for group in self.groups() {
            let has_parents = self
                .groups
                .get(group.0)
                .is_some_and(|group| !group.parents.is_empty());
            if group != ALL && !has_parents {
                self.nest(ALL, group, &Source::CommandLine);
            }
        }
        for host in self.hosts() {
            let groups = self.hosts.get(host.0).map_or(&[][..], |host| &host.groups);
            let is_grouped = groups.iter().any(|group| ![ALL, UNGROUPED].contains(group));
            match is_grouped {
                true => self.leave(UNGROUPED, host),
                false => self.join(UNGROUPED, host),
            }
        }
        self.sweep_ungrouped();
        self.settle_depths()?;
        self.settle_lineages();
        self.warn_of_double_names();
        Ok(())
    }

    /// Those that left are taken from the list in one go: one by one would be quadratic.
    fn sweep_ungrouped(&mut self) {
        let hosts = &self.hosts;
        if let Some(ungrouped) = self.groups.get_mut(UNGROUPED.0) {
            ungrouped.hosts.retain(|host| {
                hosts
                    .get(host.0)
                    .is_some_and(|host| host.groups.contains(&UNGROUPED))
            });
        }
    }

    /// The longest way from `all` to each group. A group on a circle never comes to the front.
    fn settle_depths(&mut self) -> Result<(), InventoryError> {
        let mut waiting_for: Vec<usize> = self.groups.iter().map(|group| group.parents.len()).collect();
        let mut ready: Vec<GroupId> = self
            .groups()
            .filter(|group| waiting_for.get(group.0) == Some(&0))
            .collect();
        let mut settled = 0;
        while let Some(group) = ready.pop() {
            settled += 1;
            let (depth, children) = self
                .groups
                .get(group.0)
                .map(|group| (group.depth, group.children.clone()))
                .unwrap_or_default();
            for child in children {
                if let Some(child) = self.groups.get_mut(child.0) {
                    child.depth = child.depth.max(depth + 1);
                }
                if let Some(waiting) = waiting_for.get_mut(child.0) {
                    *waiting -= 1;
                    if *waiting == 0 {
                        ready.push(child);
                    }
                }
            }
        }
        if settled == self.groups.len() {
            return Ok(());
        }
        // Of those that are left, one that its own children lead back to: others are only below the circle.
        let stuck = self
            .groups()
            .filter(|group| waiting_for.get(group.0).is_some_and(|waiting| *waiting > 0))
            .find(|group| {
                self.descendants(*group)
                    .iter()
                    .any(|below| self.is_parent(*below, *group))
            })
            .unwrap_or(ALL);
        let place = self.groups.get(stuck.0).and_then(|group| group.nested_at.clone());
        Err(InventoryError {
            place: place.unwrap_or(Source::CommandLine),
            problem: Problem::Loop {
                group: self.group_name(stuck).to_owned(),
            },
        })
    }

    fn is_parent(&self, parent: GroupId, child: GroupId) -> bool {
        self.groups
            .get(parent.0)
            .is_some_and(|parent| parent.children.contains(&child))
    }

    /// The group itself, its children, then theirs.
    pub(super) fn descendants(&self, group: GroupId) -> Vec<GroupId> {
        let mut seen = vec![false; self.groups.len()];
        let mut order = Vec::new();
        let mut next = std::collections::VecDeque::from([group]);
        while let Some(group) = next.pop_front() {
            let Some(seen) = seen.get_mut(group.0).filter(|seen| !**seen) else {
                continue;
            };
            *seen = true;
            order.push(group);
            next.extend(self.groups.get(group.0).map_or(&[][..], |group| &group.children));
        }
        order
    }

    /// The hosts of a group and of those below it: its own first.
    pub(super) fn hosts_of(&self, group: GroupId) -> Vec<HostId> {
        let mut seen = vec![false; self.hosts.len()];
        let mut hosts = Vec::new();
        for group in self.descendants(group) {
            for host in self.groups.get(group.0).map_or(&[][..], |group| &group.hosts) {
                if let Some(seen) = seen.get_mut(host.0).filter(|seen| !**seen) {
                    *seen = true;
                    hosts.push(*host);
                }
            }
        }
        hosts
    }

    fn settle_lineages(&mut self) {
        // Most hosts share their groups with many others.
        let mut known: HashMap<Vec<GroupId>, Arc<[GroupId]>> = HashMap::new();
        for index in 0..self.hosts.len() {
            let direct = self
                .hosts
                .get(index)
                .map(|host| host.groups.clone())
                .unwrap_or_default();
            let lineage = match known.get(&direct) {
                Some(lineage) => Arc::clone(lineage),
                None => {
                    let lineage = self.lineage(&direct);
                    known.insert(direct, Arc::clone(&lineage));
                    lineage
                }
            };
            if let Some(host) = self.hosts.get_mut(index) {
                host.lineage = lineage;
            }
        }
    }

    fn lineage(&self, direct: &[GroupId]) -> Arc<[GroupId]> {
        let mut found: Vec<GroupId> = Vec::new();
        let mut next = direct.to_vec();
        let mut seen = vec![false; self.groups.len()];
        while let Some(group) = next.pop() {
            if let Some(seen) = seen.get_mut(group.0).filter(|seen| !**seen) {
                *seen = true;
                next.extend(self.groups.get(group.0).map_or(&[][..], |group| &group.parents));
                if group != ALL {
                    found.push(group);
                }
            }
        }
        let rank = |group: &GroupId| {
            let group = self.groups.get(group.0);
            group.map(|group| (group.depth, group.priority, group.name.clone()))
        };
        found.sort_by_cached_key(rank);
        found.into()
    }

    fn warn_of_double_names(&mut self) {
        let both: Vec<&str> = self
            .groups
            .iter()
            .map(|group| group.name.as_str())
            .filter(|name| self.host_index.contains_key(*name))
            .collect();
        let warnings: Vec<String> = both
            .iter()
            .map(|name| {
                let name = crate::text::escape(name);
                format!("{name} is the name of a host and of a group")
            })
            .collect();
        self.warnings.extend(warnings);
    }
}
