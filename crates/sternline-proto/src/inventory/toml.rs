//! Our own format.
//!
//! ```toml
//! [defaults]                     # for all hosts
//! user = "deploy"
//! identity = "~/.ssh/fleet"
//!
//! [hosts.bastion]
//! address = "203.0.113.5"
//! port = 2222
//!
//! [hosts."web-[01-20]"]          # a range, as on the command line
//! address = "10.0.1.[1-20]"      # as many addresses as there are names
//! labels = { role = "web", zone = ["a", "b"] }
//!
//! [groups.prod]
//! hosts = ["web-[01-20]", "db-1"]
//! jump = "bastion"
//!
//! [groups.all-of-it]
//! children = ["prod"]
//! ```
//!
//! `[defaults]`, groups and hosts take `user`, `port`, `identity` (a path or several), `jump` (as `-J` takes it), `options` (as
//! `-o` takes them) and `labels`; hosts take `address` too, groups `hosts` and `children`. What a host says counts more than what
//! its groups say, an inner group more than an outer one, and `[defaults]` least. A name that only a group mentions is a host
//! too. Every other word is an error.

use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{InventoryError, Problem, nearest};
use super::model::{ALL, GroupId, HostId, Inventory, Labels};
use super::value::Value;
use crate::ssh_config::{Source, Sourced};
use crate::target::{MAX_TARGETS, check_host, expand_range};

/// Our words for what Ansible has variables for, and for what it has none.
const SETTINGS: [(&str, &str); 6] = [
    ("address", "ansible_host"),
    ("user", "ansible_user"),
    ("port", "ansible_port"),
    ("identity", "ansible_ssh_private_key_file"),
    ("jump", "sternline_jump"),
    ("options", "sternline_options"),
];

type Table<'a> = DeTable<'a>;
type Field<'a> = (&'a str, Range<usize>, &'a Spanned<DeValue<'a>>);

pub(super) fn read(inventory: &mut Inventory, file: &Arc<str>, text: &str) -> Result<(), InventoryError> {
    let lines = Lines::new(file, text);
    let root = Table::parse(text).map_err(|error| InventoryError {
        place: lines.place(error.span().map_or(0, |span| span.start)),
        problem: Problem::Syntax {
            reason: error.message().to_owned(),
        },
    })?;
    let mut reader = Reader { inventory, lines };
    for (name, place, value) in fields(root.get_ref()) {
        match name {
            "defaults" => reader.defaults(table(&reader.lines, name, value)?)?,
            "hosts" => reader.hosts(table(&reader.lines, name, value)?)?,
            "groups" => reader.groups(table(&reader.lines, name, value)?)?,
            _ => {
                return Err(reader
                    .lines
                    .unknown(name, place, &["defaults", "hosts", "groups"]));
            }
        }
    }
    Ok(())
}

/// The fields in the order in which they stand in the file.
fn fields<'a>(table: &'a Table<'_>) -> Vec<Field<'a>> {
    let mut fields: Vec<Field<'a>> = table
        .iter()
        .map(|(name, value)| (name.get_ref().as_ref(), name.span(), value))
        .collect();
    fields.sort_by_key(|(_, place, _)| place.start);
    fields
}

fn table<'a>(
    lines: &Lines<'_>,
    name: &str,
    value: &'a Spanned<DeValue<'a>>,
) -> Result<&'a Table<'a>, InventoryError> {
    value
        .get_ref()
        .as_table()
        .ok_or_else(|| lines.wrong(name, value, "write a table"))
}

struct Reader<'a> {
    inventory: &'a mut Inventory,
    lines: Lines<'a>,
}

impl Reader<'_> {
    fn defaults(&mut self, table: &Table<'_>) -> Result<(), InventoryError> {
        for (name, place, value) in fields(table) {
            if !self.group_setting(ALL, name, value)? {
                let known = ["user", "port", "identity", "jump", "options", "labels"];
                return Err(self.lines.unknown(name, place, &known));
            }
        }
        Ok(())
    }

    fn groups(&mut self, table: &Table<'_>) -> Result<(), InventoryError> {
        let mut awaited: Vec<(String, Source)> = Vec::new();
        for (name, place, value) in fields(table) {
            let problem = match name {
                "all" => Some("all is the group of all hosts: write [defaults]"),
                "ungrouped" => Some("ungrouped is the group of the hosts that are in no other"),
                _ => None,
            };
            if let Some(reason) = problem {
                return Err(self.lines.syntax(place.start, reason.to_owned()));
            }
            self.name(name, place.start)?;
            let group = self.inventory.group(name);
            for (name, place, value) in fields(self::table(&self.lines, name, value)?) {
                match name {
                    "hosts" => {
                        for (pattern, source) in self.texts(name, value)? {
                            for name in self.expand(&pattern, &source)? {
                                let host = self.inventory.add_host(&name, None, &source)?;
                                self.inventory.join(group, host);
                            }
                        }
                    }
                    "children" => {
                        for (child, source) in self.texts(name, value)? {
                            let id = self.inventory.group(&child);
                            self.inventory.nest(group, id, &source);
                            awaited.push((child, source));
                        }
                    }
                    _ if self.group_setting(group, name, value)? => {}
                    _ => {
                        let known = [
                            "hosts", "children", "user", "port", "identity", "jump", "options", "labels",
                        ];
                        return Err(self.lines.unknown(name, place, &known));
                    }
                }
            }
        }
        let is_declared = |name: &str| table.iter().any(|(declared, _)| declared.get_ref() == name);
        match awaited.into_iter().find(|(name, _)| !is_declared(name)) {
            None => Ok(()),
            Some((group, place)) => Err(InventoryError {
                place,
                problem: Problem::UndeclaredGroup { group },
            }),
        }
    }

    fn hosts(&mut self, table: &Table<'_>) -> Result<(), InventoryError> {
        for (pattern, place, value) in fields(table) {
            let source = self.lines.place(place.start);
            let mut hosts = Vec::new();
            for name in self.expand(pattern, &source)? {
                hosts.push(self.inventory.add_host(&name, None, &source)?);
            }
            for (name, place, value) in fields(self::table(&self.lines, pattern, value)?) {
                match name {
                    "address" => self.addresses(pattern, &hosts, value)?,
                    "labels" => {
                        let labels = self.labels(value)?;
                        for host in &hosts {
                            if let Some(host) = self.inventory.hosts.get_mut(host.0) {
                                host.labels.extend(labels.clone());
                            }
                        }
                    }
                    _ => match self.setting(name, value)? {
                        Some((variable, value)) => {
                            for host in &hosts {
                                self.inventory.set_host(*host, variable.to_owned(), value.clone());
                            }
                        }
                        None => {
                            let known = ["address", "user", "port", "identity", "jump", "options", "labels"];
                            return Err(self.lines.unknown(name, place, &known));
                        }
                    },
                }
            }
        }
        Ok(())
    }

    /// One address for each host.
    fn addresses(
        &mut self,
        pattern: &str,
        hosts: &[HostId],
        value: &Spanned<DeValue<'_>>,
    ) -> Result<(), InventoryError> {
        let text = self.text("address", value)?;
        let source = self.lines.place(value.span().start);
        // Brackets round an IPv6 address are none of a range.
        let addresses = match text.contains(':') {
            true => vec![text.trim_matches(['[', ']']).to_owned()],
            false => self.expand(&text, &source)?,
        };
        if addresses.len() != hosts.len() {
            let reason = format!(
                "{text} is {} addresses, and {pattern} is {} hosts: there has to be one for each",
                addresses.len(),
                hosts.len()
            );
            return Err(self.lines.syntax(value.span().start, reason));
        }
        for (host, address) in hosts.iter().zip(addresses) {
            let value = Sourced {
                value: address.into(),
                source: source.clone(),
            };
            self.inventory.set_host(*host, "ansible_host".to_owned(), value);
        }
        Ok(())
    }

    /// Sets something for the hosts of a group, unless the word is none that groups have.
    fn group_setting(
        &mut self,
        group: GroupId,
        name: &str,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<bool, InventoryError> {
        if name == "labels" {
            let labels = self.labels(value)?;
            if let Some(group) = self.inventory.groups.get_mut(group.0) {
                group.labels.extend(labels);
            }
            return Ok(true);
        }
        match self.setting(name, value)? {
            Some((variable, value)) if name != "address" => {
                self.inventory.set_group(group, variable.to_owned(), value)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// The variable that a word stands for, with its value.
    fn setting(
        &self,
        name: &str,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<Option<(&'static str, Sourced<Value>)>, InventoryError> {
        let Some((_, variable)) = SETTINGS.iter().find(|(word, _)| *word == name) else {
            return Ok(None);
        };
        let read: Value = match name {
            "port" => {
                let port = value.get_ref().as_integer().filter(|number| number.radix() == 10);
                let port = port
                    .and_then(|number| number.as_str().parse::<u16>().ok())
                    .filter(|port| *port > 0);
                port.ok_or_else(|| self.lines.wrong(name, value, "write a number from 1 to 65535"))?
                    .into()
            }
            "identity" if value.get_ref().is_str() => self.text(name, value)?.into(),
            "identity" | "options" => {
                let texts = self.texts(name, value)?.into_iter();
                texts.map(|(text, _)| Value::from(text)).collect()
            }
            _ => self.text(name, value)?.into(),
        };
        let source = self.lines.place(value.span().start);
        Ok(Some((variable, Sourced { value: read, source })))
    }

    fn labels(&self, value: &Spanned<DeValue<'_>>) -> Result<Labels, InventoryError> {
        let mut labels = Labels::new();
        for (key, place, value) in fields(table(&self.lines, "labels", value)?) {
            let is_word = |text: &str| {
                !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "-_./+@".contains(c))
            };
            let words: Vec<String> = match value.get_ref() {
                DeValue::String(text) => vec![text.to_string()],
                DeValue::Integer(number) => vec![number.to_string()],
                DeValue::Boolean(truth) => vec![truth.to_string()],
                _ => self
                    .texts(key, value)?
                    .into_iter()
                    .map(|(text, _)| text)
                    .collect(),
            };
            if let Some(odd) = std::iter::once(key)
                .chain(words.iter().map(String::as_str))
                .find(|word| !is_word(word))
            {
                let reason = format!("the label {odd} has other characters than letters, digits and -_./+@");
                return Err(self.lines.syntax(place.start, reason));
            }
            let source = self.lines.place(place.start);
            labels.insert(key.to_owned(), Sourced { value: words, source });
        }
        Ok(labels)
    }

    fn text(&self, name: &str, value: &Spanned<DeValue<'_>>) -> Result<String, InventoryError> {
        let text = value.get_ref().as_str().filter(|text| !text.is_empty());
        text.map(str::to_owned)
            .ok_or_else(|| self.lines.wrong(name, value, "write a text"))
    }

    fn texts(
        &self,
        name: &str,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<Vec<(String, Source)>, InventoryError> {
        let items = value
            .get_ref()
            .as_array()
            .ok_or_else(|| self.lines.wrong(name, value, "write a list of texts"))?;
        items
            .iter()
            .map(|item| Ok((self.text(name, item)?, self.lines.place(item.span().start))))
            .collect()
    }

    /// The names of a pattern with ranges.
    fn expand(&self, pattern: &str, source: &Source) -> Result<Vec<String>, InventoryError> {
        let refused = |error| InventoryError {
            place: source.clone(),
            problem: Problem::Name(error),
        };
        let names = expand_range(pattern, MAX_TARGETS).map_err(refused)?;
        for name in &names {
            check_host(name).map_err(refused)?;
        }
        Ok(names)
    }

    fn name(&self, name: &str, at: usize) -> Result<(), InventoryError> {
        check_host(name).map_err(|error| InventoryError {
            place: self.lines.place(at),
            problem: Problem::Name(error),
        })
    }
}

/// Where lines begin.
struct Lines<'a> {
    file: &'a Arc<str>,
    begins: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn new(file: &'a Arc<str>, text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self {
            file,
            begins: ends.map(|(at, _)| at + 1).collect(),
        }
    }

    fn place(&self, at: usize) -> Source {
        Source::File {
            path: Arc::clone(self.file),
            line: self.begins.partition_point(|begin| *begin <= at) + 1,
        }
    }

    fn unknown(&self, word: &str, place: Range<usize>, known: &[&str]) -> InventoryError {
        let mut nearest = nearest(word, known.iter().copied());
        if nearest.is_empty() {
            nearest = known.iter().map(|word| (*word).to_owned()).collect();
        }
        InventoryError {
            place: self.place(place.start),
            problem: Problem::Unknown {
                word: word.to_owned(),
                nearest,
            },
        }
    }

    fn wrong(&self, name: &str, value: &Spanned<DeValue<'_>>, expected: &'static str) -> InventoryError {
        let text = match value.get_ref() {
            DeValue::String(text) => format!("\"{text}\""),
            DeValue::Integer(number) => number.to_string(),
            other => format!("a value of type {}", other.type_str()),
        };
        InventoryError {
            place: self.place(value.span().start),
            problem: Problem::Value {
                name: crate::text::escape(name),
                text,
                expected,
            },
        }
    }

    fn syntax(&self, at: usize, reason: String) -> InventoryError {
        InventoryError {
            place: self.place(at),
            problem: Problem::Syntax { reason },
        }
    }
}

#[cfg(test)]
mod tests;
