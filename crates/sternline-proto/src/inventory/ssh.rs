//! What an inventory says about the way to a host, in the words of ssh_config.

use super::error::{InventoryError, Problem};
use super::model::{HostId, Inventory};
use super::ssh_args::{keyword, line, lines, option};
use super::value::{Value, scalar};
use crate::ssh_config::{Source, Sourced};
use crate::target::{Target, check_host};

/// What an inventory says about the way to a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SshSettings {
    /// What ssh would be given as the host, where that is not the name in the inventory.
    pub address: Option<Sourced<String>>,
    /// Lines of ssh_config(5); of each option the first one counts. As with a file, what is no option that we obey is refused
    /// or ignored where they are resolved.
    pub lines: Vec<Sourced<String>>,
}

/// The connections of Ansible that ssh makes. Others lead elsewhere: to this machine, into a container.
const SSH: [&str; 5] = ["ssh", "smart", "paramiko", "paramiko_ssh", "libssh"];

impl Inventory {
    /// What is connected with, where that is not SSH: `local`, `docker` and the like.
    ///
    /// # Errors
    /// When that is a template, encrypted, or no word.
    pub fn other_connection(&self, host: HostId) -> Result<Option<Sourced<String>>, InventoryError> {
        let found = self.text(host, &["ansible_connection"], "write ssh")?;
        Ok(found.map(|(_, found)| found).filter(|connection| {
            let name = connection.value.rsplit('.').next().unwrap_or_default();
            !SSH.contains(&name)
        }))
    }

    /// How a host is reached.
    ///
    /// Ansible's variables become what Ansible gives to ssh, in that order. A host is never its own jump host: a list of jump
    /// hosts that it is in ends before it.
    ///
    /// # Errors
    /// The first value that would be used and is a template, encrypted or of the wrong kind, and the first argument for ssh
    /// that is not known.
    pub fn ssh_settings(&self, host: HostId) -> Result<SshSettings, InventoryError> {
        let mut settings = SshSettings::default();
        let names = ["ansible_ssh_host", "ansible_host"];
        if let Some((_, address)) = self.text(host, &names, "write a name or an address")? {
            check_host(&address.value).map_err(|error| InventoryError {
                place: address.source.clone(),
                problem: Problem::Name(error),
            })?;
            settings.address = Some(address);
        }
        let mut add = |value: String, source: Source| settings.lines.push(Sourced { value, source });
        if let Some(jump) = self.text(host, &["sternline_jump"], "write hosts as -J takes them")? {
            add(line("ProxyJump", &jump.1.value), jump.1.source);
        }
        for (value, source) in self.texts(host, "sternline_options")? {
            let line = option("sternline_options", &value).map_err(|problem| InventoryError {
                place: source.clone(),
                problem,
            })?;
            add(line, source);
        }
        self.arguments(host, "ansible_ssh_args", &mut add)?;
        let names = ["ansible_ssh_host_key_checking", "ansible_host_key_checking"];
        if let Some((_, checking)) = self.text(host, &names, "write true or false")?
            && ["no", "false", "off", "0", "n"].contains(&checking.value.to_ascii_lowercase().as_str())
        {
            add("StrictHostKeyChecking no".to_owned(), checking.source);
        }
        if let Some((_, port)) = self.text(host, &["ansible_ssh_port", "ansible_port"], "write a number")? {
            add(line("Port", &port.value), port.source);
        }
        for name in ["ansible_ssh_private_key_file", "ansible_private_key_file"] {
            let files = self.texts(host, name)?;
            if !files.is_empty() {
                for (file, source) in files {
                    add(line("IdentityFile", &file), source);
                }
                break;
            }
        }
        if let Some((_, user)) = self.text(host, &["ansible_ssh_user", "ansible_user"], "write a name")? {
            add(line("User", &user.value), user.source);
        }
        if let Some((_, timeout)) =
            self.text(host, &["ansible_ssh_timeout", "ansible_timeout"], "write seconds")?
        {
            add(line("ConnectTimeout", &timeout.value), timeout.source);
        }
        self.arguments(host, "ansible_ssh_common_args", &mut add)?;
        self.arguments(host, "ansible_ssh_extra_args", &mut add)?;
        let names = [
            Some(self.host_name(host)),
            settings.address.as_ref().map(|found| found.value.as_str()),
        ];
        let names: Vec<&str> = names.into_iter().flatten().collect();
        settings.lines = settings
            .lines
            .into_iter()
            .filter_map(|line| not_through_itself(line, &names))
            .collect();
        Ok(settings)
    }

    /// The first of the variables that has a value that is not empty, as text, with its name.
    fn text(
        &self,
        host: HostId,
        names: &[&'static str],
        expected: &'static str,
    ) -> Result<Option<(&'static str, Sourced<String>)>, InventoryError> {
        for name in names {
            let Some(found) = self.var(host, name).filter(|found| !found.value.is_null()) else {
                continue;
            };
            let text = scalar(name, &found.value, expected).map_err(|problem| InventoryError {
                place: found.source.clone(),
                problem,
            })?;
            if !text.is_empty() {
                let source = found.source.clone();
                return Ok(Some((name, Sourced { value: text, source })));
            }
        }
        Ok(None)
    }

    /// A variable that is one text or several.
    fn texts(&self, host: HostId, name: &'static str) -> Result<Vec<(String, Source)>, InventoryError> {
        let Some(found) = self.var(host, name) else {
            return Ok(Vec::new());
        };
        let items = match &found.value {
            Value::Null => &[][..],
            Value::Array(items) => items,
            one => std::slice::from_ref(one),
        };
        let texts = items
            .iter()
            .map(|item| scalar(name, item, "write a text or a list of them"));
        texts
            .filter(|text| text.as_deref() != Ok(""))
            .map(|text| Ok((text?, found.source.clone())))
            .collect::<Result<_, Problem>>()
            .map_err(|problem| InventoryError {
                place: found.source.clone(),
                problem,
            })
    }

    fn arguments(
        &self,
        host: HostId,
        name: &'static str,
        add: &mut impl FnMut(String, Source),
    ) -> Result<(), InventoryError> {
        let Some((_, text)) = self.text(host, &[name], "write arguments for ssh")? else {
            return Ok(());
        };
        let lines = lines(name, &text.value).map_err(|problem| InventoryError {
            place: text.source.clone(),
            problem,
        })?;
        for line in lines {
            add(line, text.source.clone());
        }
        Ok(())
    }
}

/// A list of jump hosts ends before the host that it is for.
fn not_through_itself(mut line: Sourced<String>, names: &[&str]) -> Option<Sourced<String>> {
    if keyword(&line.value) != "proxyjump" {
        return Some(line);
    }
    let value = line.value.get("proxyjump".len()..).unwrap_or_default();
    let value = value.trim_matches([' ', '\t', '=', '"']);
    let hops: Vec<&str> = value.split(',').collect();
    let is_itself = |hop: &&str| {
        let target = hop.trim().parse::<Target>();
        target.is_ok_and(|target| names.contains(&target.host()))
    };
    let before: Vec<&str> = hops.iter().copied().take_while(|hop| !is_itself(hop)).collect();
    if before.len() < hops.len() {
        if before.is_empty() {
            return None;
        }
        line.value = self::line("ProxyJump", &before.join(","));
    }
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str, host: &str) -> Result<(Option<String>, Vec<String>), String> {
        let mut inventory = Inventory::new();
        inventory
            .add("hosts", text)
            .and_then(|()| inventory.finish())
            .unwrap();
        let found = inventory
            .ssh_settings(inventory.host(host).unwrap())
            .map_err(|error| error.to_string())?;
        let lines = found
            .lines
            .iter()
            .map(|line| format!("{} {}", line.source, line.value));
        Ok((found.address.map(|address| address.value), lines.collect()))
    }

    #[test]
    fn ansibles_variables_become_what_ansible_gives_to_ssh() {
        let text = "a ansible_host=10.0.0.5 ansible_port=2222 ansible_user=bob\n[all:vars]\n\
                    ansible_ssh_private_key_file=~/key\nansible_ssh_common_args=-o StrictHostKeyChecking=accept-new -J 'jump'\n\
                    ansible_host_key_checking=False\nansible_timeout=5\n";
        let (address, lines) = settings(text, "a").unwrap();
        assert_eq!(address.as_deref(), Some("10.0.0.5"));
        assert_eq!(
            lines,
            [
                "hosts:5 StrictHostKeyChecking no",
                "hosts:1 Port \"2222\"",
                "hosts:3 IdentityFile \"~/key\"",
                "hosts:1 User \"bob\"",
                "hosts:6 ConnectTimeout \"5\"",
                "hosts:4 StrictHostKeyChecking=accept-new",
                "hosts:4 ProxyJump \"jump\"",
            ]
        );
        let old =
            "a ansible_ssh_host=x ansible_host=y ansible_ssh_port=1 ansible_port=2 ansible_ssh_user=''\n";
        let (address, lines) = settings(old, "a").unwrap();
        assert_eq!(
            (address.as_deref(), lines),
            (Some("x"), vec!["hosts:1 Port \"1\"".to_owned()])
        );
    }

    #[test]
    fn a_host_is_not_its_own_jump_host() {
        let text = "edge\ninner ansible_host=10.0.0.2\nweb\n[all:vars]\nsternline_jump=edge,root@10.0.0.2\n";
        for (host, expected) in [
            ("web", &["hosts:5 ProxyJump \"edge,root@10.0.0.2\""][..]),
            ("inner", &["hosts:5 ProxyJump \"edge\""]),
            ("edge", &[]),
        ] {
            assert_eq!(settings(text, host).unwrap().1, expected, "{host}");
        }
        let text = "a ansible_ssh_common_args='-o ProxyJump=b,a'\n";
        assert_eq!(settings(text, "a").unwrap().1, ["hosts:1 ProxyJump \"b\""]);
    }

    #[test]
    fn only_values_that_are_used_have_to_be_known() {
        let text = "[all]\na x='{{ y }}' ansible_become_password='{{ z }}'\nb ansible_host='{{ y }}'\n";
        assert_eq!(settings(text, "a").unwrap(), (None, Vec::new()));
        let error = settings(text, "b").unwrap_err();
        assert!(
            error.starts_with("hosts:3: ansible_host is a template ({{ y }})"),
            "{error}"
        );
        for (text, words) in [
            ("a ansible_host='a b'", "hosts:1: the host name a b holds"),
            (
                "a ansible_user=\"['x']\"",
                "is no value for ansible_user: write a name",
            ),
            (
                "a ansible_ssh_common_args='-A'",
                "hosts:1: ansible_ssh_common_args has the argument -A",
            ),
            (
                "---\nall: {hosts: {a: {ansible_user: !vault x}}}",
                "hosts:2: ansible_user is encrypted",
            ),
        ] {
            let error = settings(text, "a").unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn other_connections_than_ssh_are_known() {
        let text = "a ansible_connection=local\nb ansible_connection=ansible.builtin.ssh\nc\nd ansible_connection='{{ x }}'\n";
        let mut inventory = Inventory::new();
        inventory
            .add("hosts", text)
            .and_then(|()| inventory.finish())
            .unwrap();
        let connection = |host: &str| inventory.other_connection(inventory.host(host).unwrap());
        assert_eq!(connection("a").unwrap().unwrap().value, "local");
        assert_eq!(connection("b").unwrap(), None);
        assert_eq!(connection("c").unwrap(), None);
        assert!(connection("d").unwrap_err().to_string().contains("is a template"));
    }
}
