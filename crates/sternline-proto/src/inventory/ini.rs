//! Ansible's INI inventories.

use std::sync::Arc;

use super::error::{InventoryError, Problem};
use super::model::{GroupId, Inventory, UNGROUPED};
use super::{literal, range, words};
use crate::ssh_config::{Source, Sourced};

/// What the lines of a section are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Hosts,
    Children,
    Vars,
}

/// A group that has to be declared in this file or before, and is not yet.
struct Awaited {
    name: String,
    group: GroupId,
    place: Source,
}

pub(super) fn read(inventory: &mut Inventory, file: &Arc<str>, text: &str) -> Result<(), InventoryError> {
    let mut reader = Reader {
        group: UNGROUPED,
        section: Section::Hosts,
        awaited: Vec::new(),
        // Groups that other files have named are declared.
        declared: vec![true; inventory.groups.len()],
        inventory,
    };
    for (index, line) in text.lines().enumerate() {
        let place = Source::File {
            path: Arc::clone(file),
            line: index + 1,
        };
        let line = line.trim();
        if !line.is_empty() && !line.starts_with(['#', ';']) {
            reader.line(line, &place).map_err(|problem| InventoryError {
                place: place.clone(),
                problem,
            })??;
        }
    }
    reader.finish()
}

struct Reader<'a> {
    inventory: &'a mut Inventory,
    group: GroupId,
    section: Section,
    awaited: Vec<Awaited>,
    declared: Vec<bool>,
}

/// A problem of the line itself outside, an error with a place of its own inside.
type Read = Result<Result<(), InventoryError>, Problem>;

impl Reader<'_> {
    fn line(&mut self, line: &str, place: &Source) -> Read {
        if let Some(section) = line.strip_prefix('[').and_then(header) {
            return self.begin(section, place).map(Ok);
        }
        if line.starts_with('[') && line.ends_with(']') {
            return Err(syntax(format!(
                "{line} is no section: write [GROUP], [GROUP:children] or [GROUP:vars], without blanks"
            )));
        }
        match self.section {
            Section::Hosts => self.hosts(line, place),
            Section::Vars => {
                let (name, value) = line
                    .split_once('=')
                    .ok_or_else(|| syntax(format!("{line} sets no variable: write NAME=VALUE")))?;
                let value = Sourced {
                    value: literal::value(value.trim()),
                    source: place.clone(),
                };
                Ok(self
                    .inventory
                    .set_group(self.group, name.trim().to_owned(), value))
            }
            Section::Children => {
                let name = name_before_comment(line)
                    .ok_or_else(|| syntax(format!("{line} is no name of a group")))?;
                let child = self.group(name, place);
                self.inventory.nest(self.group, child, place);
                Ok(Ok(()))
            }
        }
    }

    /// `GROUP` or `GROUP:WHAT`.
    fn begin(&mut self, section: &str, place: &Source) -> Result<(), Problem> {
        let (name, what) = match section.split_once(':') {
            Some((name, what)) => (name, Some(what)),
            None => (section, None),
        };
        self.section = match what {
            None | Some("hosts") => Section::Hosts,
            Some("children") => Section::Children,
            Some("vars") => Section::Vars,
            Some(other) => {
                return Err(syntax(format!(
                    "[{section}] is no section: {other} is neither hosts, children nor vars"
                )));
            }
        };
        self.group = self.group(name, place);
        if self.section != Section::Vars
            && let Some(declared) = self.declared.get_mut(self.group.0)
        {
            *declared = true;
        }
        Ok(())
    }

    /// A group that is named somewhere; it has to be declared in the end.
    fn group(&mut self, name: &str, place: &Source) -> GroupId {
        let group = self.inventory.group(name);
        if self.declared.len() <= group.0 {
            self.declared.resize(group.0 + 1, false);
            self.awaited.push(Awaited {
                name: name.to_owned(),
                group,
                place: place.clone(),
            });
        }
        group
    }

    fn hosts(&mut self, line: &str, place: &Source) -> Read {
        let words = words::split(line, true).map_err(|reason| syntax(reason.to_owned()))?;
        let Some((pattern, variables)) = words.split_first() else {
            return Ok(Ok(()));
        };
        if pattern == "---" {
            return Err(syntax(
                "--- begins a file of YAML: give it a name that ends in .yml".to_owned(),
            ));
        }
        if pattern.ends_with(':') {
            return Err(syntax(format!(
                "{pattern} ends with a colon, which has a port behind it"
            )));
        }
        let (names, port) = range::expand(pattern)?;
        let mut vars = Vec::new();
        for variable in variables {
            let (name, value) = variable
                .split_once('=')
                .ok_or_else(|| syntax(format!("{variable} sets no variable: write NAME=VALUE")))?;
            let value = Sourced {
                value: literal::value(value),
                source: place.clone(),
            };
            vars.push((name, value));
        }
        for name in names {
            let host = match self.inventory.add_host(&name, port, place) {
                Ok(host) => host,
                Err(error) => return Ok(Err(error)),
            };
            self.inventory.join(self.group, host);
            for (name, value) in &vars {
                self.inventory.set_host(host, (*name).to_owned(), value.clone());
            }
        }
        Ok(Ok(()))
    }

    fn finish(self) -> Result<(), InventoryError> {
        let missing = self
            .awaited
            .into_iter()
            .find(|awaited| self.declared.get(awaited.group.0) == Some(&false));
        match missing {
            None => Ok(()),
            Some(Awaited { name, place, .. }) => Err(InventoryError {
                place,
                problem: Problem::UndeclaredGroup { group: name },
            }),
        }
    }
}

/// What stands between the brackets, if nothing but a comment follows them.
fn header(line: &str) -> Option<&str> {
    let (inside, after) = line.split_once(']')?;
    let name = inside.split(':').next().unwrap_or_default();
    let is_header = !name.is_empty()
        && !inside.contains(char::is_whitespace)
        && inside.matches(':').count() <= 1
        && !inside.ends_with(':');
    let after = after.trim_start();
    (is_header && (after.is_empty() || after.starts_with('#'))).then_some(inside)
}

fn name_before_comment(line: &str) -> Option<&str> {
    let end = line
        .find(|c: char| c.is_whitespace() || c == '#')
        .unwrap_or(line.len());
    let (name, after) = line.split_at(end);
    let after = after.trim_start();
    let is_name = !name.is_empty() && !name.contains([':', ']']);
    (is_name && (after.is_empty() || after.starts_with('#'))).then_some(name)
}

fn syntax(reason: String) -> Problem {
    Problem::Syntax { reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn inventory(text: &str) -> Inventory {
        let mut inventory = Inventory::new();
        let read = read(&mut inventory, &"hosts.ini".into(), text).and_then(|()| inventory.finish());
        read.unwrap_or_else(|e| panic!("{e}"));
        inventory
    }

    fn refused(text: &str) -> String {
        let mut inventory = Inventory::new();
        let read = read(&mut inventory, &"hosts.ini".into(), text).and_then(|()| inventory.finish());
        read.unwrap_err().to_string()
    }

    fn names(inventory: &Inventory, group: &str) -> String {
        let group = inventory.group_index[group];
        let hosts = inventory.hosts_of(group);
        hosts
            .iter()
            .map(|host| inventory.host_name(*host))
            .collect::<Vec<_>>()
            .join(" ")
    }

    const SAMPLE: &str = "\
# hosts of nobody
lonely ansible_host=127.0.0.9 note='a b' # comment

[web]
web[01:03] ansible_port=2200
web02:2222 color=blue
[web:vars]
color=red
port = 8080
[db]
db-a
[prod:children]
web
db # both
[prod:vars]
color=green
stage=prod
[all:vars]
stage=none
";

    #[test]
    fn hosts_groups_children_and_variables_are_read() {
        let inventory = inventory(SAMPLE);
        assert_eq!(names(&inventory, "all"), "lonely web01 web02 web03 db-a");
        assert_eq!(names(&inventory, "prod"), "web01 web02 web03 db-a");
        assert_eq!(names(&inventory, "ungrouped"), "lonely");
        let var = |host: &str, name: &str| {
            let host = inventory.host(host).unwrap();
            let var = inventory.var(host, name).unwrap();
            (var.value.clone(), var.source.to_string())
        };
        assert_eq!(
            var("lonely", "ansible_host"),
            (json!("127.0.0.9"), "hosts.ini:2".to_owned())
        );
        assert_eq!(var("lonely", "note").0, json!("a b"));
        assert_eq!(var("web01", "color"), (json!("red"), "hosts.ini:8".to_owned()));
        assert_eq!(var("web01", "port").0, json!(8080));
        assert_eq!(var("web02", "color").0, json!("blue"));
        // As with Ansible, the port of a host that is known already is not taken.
        assert_eq!(var("web02", "ansible_port").0, json!(2200));
        assert_eq!(var("db-a", "color").0, json!("green"));
        assert_eq!(var("db-a", "stage").0, json!("prod"));
        assert_eq!(var("lonely", "stage").0, json!("none"));
        assert_eq!(
            inventory.groups_of(inventory.host("web01").unwrap()),
            ["prod", "web"]
        );
    }

    #[test]
    fn a_host_in_a_group_is_not_ungrouped_wherever_it_was_named_first() {
        let inventory = inventory("a\nb\n[web]\na\n");
        assert_eq!(names(&inventory, "ungrouped"), "b");
        assert_eq!(inventory.groups_of(inventory.host("a").unwrap()), ["web"]);
    }

    #[test]
    fn priority_decides_between_groups_of_the_same_depth() {
        let text = "[a]\nh\n[b]\nh\n[a:vars]\nx=1\n[b:vars]\nx=2\n";
        let x = |text: &str| {
            let inventory = inventory(text);
            inventory
                .var(inventory.host("h").unwrap(), "x")
                .unwrap()
                .value
                .clone()
        };
        assert_eq!(x(text), json!(2));
        assert_eq!(
            x(&format!("{text}[a:vars]\nansible_group_priority=10\n")),
            json!(1)
        );
    }

    #[test]
    fn passwords_are_not_kept() {
        let inventory = inventory("a ansible_password=hunter2\n[all:vars]\nansible_become_pass=hunter2\n");
        assert!(!format!("{inventory:?}").contains("hunter2"));
        let places: Vec<String> = inventory.passwords().iter().map(ToString::to_string).collect();
        assert_eq!(places, ["hosts.ini:1"]);
    }

    #[test]
    fn what_ansible_would_refuse_is_refused_with_its_line() {
        for (text, words) in [
            ("a\n[web:x]\n", "hosts.ini:2: [web:x] is no section"),
            ("[web ]\n", "hosts.ini:1: [web ] is no section"),
            ("a b\n", "hosts.ini:1: b sets no variable"),
            ("a x='\n", "hosts.ini:1: a quote is not closed"),
            ("web:\n", "ends with a colon"),
            ("---\n", "begins a file of YAML"),
            ("web[1-3]\n", "the range in web[1-3]"),
            ("[a:vars]\nx\n", "hosts.ini:2: x sets no variable"),
            ("[a:vars]\nx=1\n", "hosts.ini:1: the group a is declared nowhere"),
            (
                "[a:children]\nb\n",
                "hosts.ini:2: the group b is declared nowhere",
            ),
            (
                "[a:children]\nb\n[b:children]\na\n",
                "the group a is a child of its own children",
            ),
            ("[a:children]\na\n", "the group a is a child of its own children"),
            (
                "[a]\n[a:vars]\nansible_group_priority=x\n",
                "x\" is no value for ansible_group_priority",
            ),
        ] {
            let error = refused(text);
            assert!(error.contains(words), "{text:?}: {error}");
        }
    }

    #[test]
    fn an_encrypted_inventory_is_refused_whatever_its_name() {
        for name in ["hosts", "hosts.ini", "hosts.yml", "hosts.toml"] {
            let error = Inventory::new()
                .add(name, "$ANSIBLE_VAULT;1.1;AES256\n6162\n")
                .unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(
                    "{name}:1: the file is encrypted by ansible-vault, which is not supported: write the value itself"
                )
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(\\[[a-c]{1,2}(:vars|:children)?\\]\n|[a-c0-9 =:'\"#\\[\\]-]{0,12}\n){0,8}") {
            let mut inventory = Inventory::new();
            if read(&mut inventory, &"x".into(), &text).is_ok() {
                let _ = inventory.finish();
            }
        }
    }
}
