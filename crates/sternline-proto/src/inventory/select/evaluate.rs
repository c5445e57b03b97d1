//! From terms to hosts.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};

use super::super::error::nearest;
use super::super::model::{ALL, GroupId, HostId, Inventory, UNGROUPED};
use super::super::value::scalar;
use super::error::SelectionError;
use super::pattern::{Pattern, Subscript, is_wildcard};
use super::term::{Sign, sign, split_terms};
use crate::ssh_config::Source;
use crate::target::{Target, parse_targets};

/// A selected host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected {
    /// Its name in the inventory, with the user and the port that the selection gave, if it did. Outside the inventory the
    /// target itself.
    pub target: Target,
    /// The host in the inventory.
    pub host: Option<HostId>,
    /// It was named itself, and not only by a group, a pattern or a label.
    pub by_name: bool,
}

/// What a selection selects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// The hosts, each target once, in the order of the terms; a group's own hosts before those of its children.
    pub hosts: Vec<Selected>,
    /// Patterns that fit nothing. Others may have, so that is no error.
    pub unmatched: Vec<String>,
    /// What was named twice.
    pub duplicates: Vec<Target>,
}

/// The hosts of an inventory that a selection means.
///
/// Terms stand between commas or colons: first all that have no sign are put together, then `&` keeps what they have in common
/// with it, then `!` takes away, wherever they stand. Without a term that has no sign, all hosts are where it begins. A term is
/// `all`, a group, a host, a list of names with ranges such as `web-[01-20]`, a pattern such as `web*`, a regular expression
/// behind `~`, a label such as `env=prod` (in an inventory of Ansible's: a variable), a target outside the inventory such as
/// `user@host`, `host:port` or `ssh://host`, or a group or pattern with a subscript: `web[0]`, `web[0:2]`, `web[-1]`.
///
/// # Errors
/// A name that the inventory does not have, a term that makes no sense, and a selection of no hosts.
pub fn select(inventory: &Inventory, text: &str) -> Result<Selection, SelectionError> {
    select_from(inventory, text, None)
}

/// Gives the text of a list of hosts, by its name, or why it cannot be read.
pub type ReadList<'a> = &'a dyn Fn(&str) -> Result<String, String>;

/// As [`select`], and a term may be `@NAME`: the hosts of a list, which has on each line one or more terms without a sign. Blank
/// lines and those that begin with `#` are passed over.
///
/// # Errors
/// As for [`select`], and for a list that cannot be read or whose lines are no such terms.
pub fn select_with_lists(
    inventory: &Inventory,
    text: &str,
    read: ReadList<'_>,
) -> Result<Selection, SelectionError> {
    select_from(inventory, text, Some(read))
}

fn select_from(
    inventory: &Inventory,
    text: &str,
    lists: Option<ReadList<'_>>,
) -> Result<Selection, SelectionError> {
    let mut evaluation = Evaluation {
        inventory,
        lists,
        selection: Selection::default(),
        seen: HashSet::new(),
    };
    evaluation.evaluate(text)?;
    Ok(evaluation.selection)
}

impl Selection {
    /// Keeps the hosts that another selection means too. It may name hosts outside the inventory that were selected.
    ///
    /// # Errors
    /// As for [`select`], and when no host is left.
    pub fn limit(&mut self, inventory: &Inventory, text: &str) -> Result<(), SelectionError> {
        self.limit_from(inventory, text, None)
    }

    /// As [`Selection::limit`], with the terms of [`select_with_lists`].
    ///
    /// # Errors
    /// As for [`select_with_lists`], and when no host is left.
    pub fn limit_with_lists(
        &mut self,
        inventory: &Inventory,
        text: &str,
        read: ReadList<'_>,
    ) -> Result<(), SelectionError> {
        self.limit_from(inventory, text, Some(read))
    }

    fn limit_from(
        &mut self,
        inventory: &Inventory,
        text: &str,
        lists: Option<ReadList<'_>>,
    ) -> Result<(), SelectionError> {
        let mut known = Cow::Borrowed(inventory);
        for outside in self.hosts.iter().filter(|selected| selected.host.is_none()) {
            let name = outside.target.host();
            if known.host(name).is_none() {
                let known = known.to_mut();
                let host = known.add_host(name, None, &Source::CommandLine)?;
                known.join(UNGROUPED, host);
            }
        }
        let mut limit = select_from(&known, text, lists)?;
        let names: HashSet<&str> = limit
            .hosts
            .iter()
            .map(|selected| selected.target.host())
            .collect();
        let before = self.hosts.len();
        self.hosts
            .retain(|selected| names.contains(selected.target.host()));
        if self.hosts.is_empty() {
            return Err(SelectionError::NoneLeft {
                term: format!("the limit {text}"),
                before,
            });
        }
        self.unmatched.append(&mut limit.unmatched);
        Ok(())
    }
}

struct Evaluation<'a> {
    inventory: &'a Inventory,
    /// What reads lists, where there may be some.
    lists: Option<ReadList<'a>>,
    selection: Selection,
    seen: HashSet<Target>,
}

impl Evaluation<'_> {
    fn evaluate(&mut self, text: &str) -> Result<(), SelectionError> {
        let terms: Vec<(Sign, &str, &str)> = split_terms(text)
            .into_iter()
            .map(|term| {
                let (sign, body) = sign(term);
                (sign, body, term)
            })
            .collect();
        if terms.iter().any(|(_, body, _)| body.is_empty()) {
            return Err(SelectionError::Empty);
        }
        let of = |wanted: Sign| terms.iter().filter(move |(sign, ..)| *sign == wanted);
        for (_, body, _) in of(Sign::Add) {
            for selected in self.term(body)? {
                self.add(selected);
            }
        }
        let first = match of(Sign::Add).next() {
            Some((_, body, _)) => body,
            None => {
                for selected in self.all()? {
                    self.add(selected);
                }
                "all"
            }
        };
        if self.selection.hosts.is_empty() {
            return Err(SelectionError::Nothing {
                term: first.to_owned(),
            });
        }
        let chosen = self.selection.hosts.iter();
        let chosen: HashSet<String> = chosen.map(|selected| selected.target.host().to_owned()).collect();
        for (sign, body, term) in of(Sign::And).chain(of(Sign::Not)) {
            let named = self.term(body)?;
            // A host outside has to be among those chosen: else its name is wrong, and the one that was meant would stay.
            let mut outside = named.iter().filter(|selected| selected.host.is_none());
            if let Some(odd) = outside.find(|selected| !chosen.contains(selected.target.host())) {
                return Err(self.unknown(odd.target.host()));
            }
            let named: HashSet<String> = named
                .into_iter()
                .map(|selected| selected.target.host().to_owned())
                .collect();
            let before = self.selection.hosts.len();
            let keeps = *sign == Sign::And;
            self.selection
                .hosts
                .retain(|selected| named.contains(selected.target.host()) == keeps);
            if self.selection.hosts.is_empty() {
                return Err(SelectionError::NoneLeft {
                    term: (*term).to_owned(),
                    before,
                });
            }
        }
        Ok(())
    }

    fn add(&mut self, selected: Selected) {
        if self.seen.insert(selected.target.clone()) {
            self.selection.hosts.push(selected);
            return;
        }
        // That a host is in several groups is nothing odd.
        if selected.by_name {
            let known = self
                .selection
                .hosts
                .iter_mut()
                .find(|known| known.target == selected.target);
            if let Some(known) = known {
                match known.by_name {
                    true => self.selection.duplicates.push(selected.target),
                    false => known.by_name = true,
                }
            }
        }
    }

    /// The hosts that a term names, without its sign.
    fn term(&mut self, text: &str) -> Result<Vec<Selected>, SelectionError> {
        if let Some(regex) = text.strip_prefix('~') {
            let pattern = Pattern::regex(regex)?;
            let hosts = self.fitting(&pattern);
            return self.matched(text, hosts);
        }
        if let (Some(name), Some(read)) = (text.strip_prefix('@'), self.lists) {
            return self.list(name, read);
        }
        if text == "all" || text == "*" {
            return self.all();
        }
        let group = self.inventory.group_index.get(text).copied();
        let host = self.inventory.host(text);
        match (group, host) {
            (Some(group), None) => {
                let hosts = self.inventory.hosts_of(group);
                return self.matched(text, hosts);
            }
            (None, Some(host)) => return Ok(vec![self.selected(host, true)?]),
            (Some(group), Some(host)) if self.inventory.hosts_of(group) == [host] => {
                return Ok(vec![self.selected(host, true)?]);
            }
            (Some(_), Some(_)) => {
                return Err(SelectionError::Ambiguous {
                    name: text.to_owned(),
                });
            }
            (None, None) => {}
        }
        if let Some((key, value)) = text.split_once('=') {
            let hosts = self.labelled(key, value)?;
            return self.matched(text, hosts);
        }
        if let Some((base, subscript)) = Subscript::split(text) {
            let is_group = base == "all" || self.inventory.group_index.contains_key(base);
            if is_group || is_wildcard(base) {
                let hosts = subscript.choose(&self.term(base)?);
                return self.matched_or(text, hosts);
            }
            if let Subscript::From(first, last) = subscript {
                let last = last.map(|last| last.to_string()).unwrap_or_default();
                return Err(SelectionError::Subscript {
                    base: base.to_owned(),
                    text: text.to_owned(),
                    range: format!("{}[{first}-{last}]", crate::text::escape(base)),
                });
            }
        }
        if is_wildcard(text) {
            let pattern = Pattern::wildcard(text)?;
            let hosts = self.fitting(&pattern);
            return self.matched(text, hosts);
        }
        self.targets(text)
    }

    /// The hosts of a list.
    fn list(&mut self, name: &str, read: ReadList<'_>) -> Result<Vec<Selected>, SelectionError> {
        let text = read(name).map_err(|reason| SelectionError::List {
            name: name.to_owned(),
            reason,
        })?;
        let mut hosts = Vec::new();
        for (index, line) in text.lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let of_line = split_terms(line)
                .into_iter()
                .try_fold(Vec::new(), |mut hosts, term| {
                    match sign(term) {
                        (_, "") => return Err(SelectionError::Empty),
                        (Sign::Add, body) if !body.starts_with('@') => hosts.extend(self.term(body)?),
                        _ => {
                            return Err(SelectionError::NotInAList {
                                term: term.to_owned(),
                            });
                        }
                    }
                    Ok(hosts)
                });
            hosts.extend(of_line.map_err(|error| SelectionError::InList {
                name: name.to_owned(),
                line: index + 1,
                error: Box::new(error),
            })?);
        }
        Ok(hosts)
    }

    /// Names with ranges, users and ports.
    fn targets(&self, text: &str) -> Result<Vec<Selected>, SelectionError> {
        let is_url = text.starts_with("ssh://");
        let targets = parse_targets(text)?.targets.into_iter();
        targets
            .map(|target| {
                let host = self.inventory.host(target.host());
                let is_outside = is_url || target.user().is_some() || target.port().is_some();
                if host.is_none() && !is_outside {
                    return Err(self.unknown(target.host()));
                }
                if host.is_none() && !is_url && self.inventory.group_index.contains_key(target.host()) {
                    return Err(SelectionError::NotAHost {
                        name: target.host().to_owned(),
                    });
                }
                Ok(Selected {
                    target,
                    host,
                    by_name: true,
                })
            })
            .collect()
    }

    fn unknown(&self, name: &str) -> SelectionError {
        let hosts = self.inventory.hosts.iter().map(|host| host.name.as_str());
        let groups = self.inventory.groups.iter().map(|group| group.name.as_str());
        SelectionError::Unknown {
            what: "host or group",
            name: name.to_owned(),
            nearest: nearest(name, hosts.chain(groups)),
        }
    }

    fn all(&mut self) -> Result<Vec<Selected>, SelectionError> {
        let hosts = self.inventory.hosts_of(ALL);
        self.matched("all", hosts)
    }

    /// The hosts whose names or groups' names fit. The two groups that always exist are none of them: `a*` does not mean all.
    fn fitting(&self, pattern: &Pattern) -> Vec<HostId> {
        let is_own = |group: &GroupId| ![ALL, UNGROUPED].contains(group);
        let groups = self.inventory.groups().filter(is_own);
        let groups = groups.filter(|group| pattern.fits(self.inventory.group_name(*group)));
        let hosts = self.inventory.hosts();
        let hosts = hosts.filter(|host| pattern.fits(self.inventory.host_name(*host)));
        let mut seen = HashSet::new();
        groups
            .flat_map(|group| self.inventory.hosts_of(group))
            .chain(hosts)
            .filter(|host| seen.insert(*host))
            .collect()
    }

    /// The hosts with a label, or with a variable of that value. Where nobody has it, it was probably mistyped.
    fn labelled(&self, key: &str, value: &str) -> Result<Vec<HostId>, SelectionError> {
        let pattern = is_wildcard(value).then(|| Pattern::wildcard(value)).transpose()?;
        let mut found = Vec::new();
        let mut known = BTreeSet::new();
        for host in self.inventory.hosts() {
            let words = self.words(host, key)?;
            let fits = |word: &String| match &pattern {
                Some(pattern) => pattern.fits(word),
                None => word == value,
            };
            if words.iter().any(fits) {
                found.push(host);
            }
            known.extend(words);
        }
        if known.is_empty() {
            let keys: BTreeSet<String> = self.inventory.hosts().flat_map(|host| self.keys(host)).collect();
            return Err(SelectionError::Unknown {
                what: "label",
                name: key.to_owned(),
                nearest: nearest(key, keys.iter().map(String::as_str)),
            });
        }
        if found.is_empty() && pattern.is_none() {
            return Err(SelectionError::Unknown {
                what: "host with the label",
                name: format!("{key}={value}"),
                nearest: nearest(value, known.iter().map(String::as_str))
                    .iter()
                    .map(|word| format!("{key}={word}"))
                    .collect(),
            });
        }
        Ok(found)
    }

    /// What a label or variable says on a host.
    fn words(&self, host: HostId, key: &str) -> Result<Vec<String>, SelectionError> {
        if let Some(label) = self.inventory.label(host, key) {
            return Ok(label.value.clone());
        }
        let Some(found) = self.inventory.var(host, key) else {
            return Ok(Vec::new());
        };
        let items = match &found.value {
            super::super::Value::Array(items) => items.as_slice(),
            super::super::Value::Null | super::super::Value::Object(_)
                if found.value.get("__ansible_vault").is_none() =>
            {
                &[]
            }
            one => std::slice::from_ref(one),
        };
        items
            .iter()
            .filter(|item| !item.is_null())
            .map(|item| match item {
                super::super::Value::Bool(truth) => Ok(truth.to_string()),
                item => scalar(key, item, "only single words can be compared"),
            })
            .collect::<Result<_, _>>()
            .map_err(|problem| {
                SelectionError::Variable(super::super::InventoryError {
                    place: found.source.clone(),
                    problem,
                })
            })
    }

    fn keys(&self, host: HostId) -> Vec<String> {
        let labels = self.inventory.labels(host).into_keys();
        labels.chain(self.inventory.vars(host).into_keys()).collect()
    }

    fn selected(&self, host: HostId, by_name: bool) -> Result<Selected, SelectionError> {
        let target = Target::new(self.inventory.host_name(host)).map_err(|error| {
            match self.inventory.place(host) {
                Some(place) => SelectionError::Variable(super::super::InventoryError {
                    place: place.clone(),
                    problem: super::super::Problem::Name(error),
                }),
                None => error.into(),
            }
        })?;
        Ok(Selected {
            target,
            host: Some(host),
            by_name,
        })
    }

    fn matched(&mut self, term: &str, hosts: Vec<HostId>) -> Result<Vec<Selected>, SelectionError> {
        let hosts = hosts.into_iter().map(|host| self.selected(host, false));
        let hosts = hosts.collect::<Result<Vec<_>, _>>()?;
        self.matched_or(term, hosts)
    }

    /// The hosts; that there are none is remembered.
    fn matched_or(&mut self, term: &str, hosts: Vec<Selected>) -> Result<Vec<Selected>, SelectionError> {
        if hosts.is_empty() {
            self.selection.unmatched.push(term.to_owned());
        }
        Ok(hosts)
    }
}

#[cfg(test)]
mod tests;
