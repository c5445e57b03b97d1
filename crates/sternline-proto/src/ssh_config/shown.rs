//! Settings as text, for people.

use std::fmt;

use super::options::{AddressFamily, IdentityAgent, Options, Proxy, Source, Sourced, StrictHostKeyChecking};

/// A setting as ssh_config(5) would have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown<'a> {
    /// The option's name.
    pub keyword: &'static str,
    /// Its value: not escaped, and a command may hold a secret.
    pub value: String,
    /// Where it was made.
    pub source: &'a Source,
}

impl Options {
    /// All settings that were made, in a fixed order, with one entry for each of several keys. The host's name is among
    /// them in any case.
    #[must_use]
    pub fn shown(&self) -> Vec<Shown<'_>> {
        let mut list = List(Vec::new());
        list.add("HostName", Some(&self.host_name), Clone::clone);
        list.add("User", self.user.as_ref(), Clone::clone);
        list.add("Port", self.port.as_ref(), u16::to_string);
        list.add(
            "AddressFamily",
            self.address_family.as_ref(),
            AddressFamily::to_string,
        );
        list.add("BindAddress", self.bind_address.as_ref(), ToString::to_string);
        let (keyword, value): (_, fn(&Proxy) -> String) = match self.proxy.as_ref().map(|proxy| &proxy.value)
        {
            Some(Proxy::Command(_)) => ("ProxyCommand", |proxy| match proxy {
                Proxy::Command(command) => command.clone(),
                Proxy::Jump(_) => String::new(),
            }),
            _ => ("ProxyJump", |proxy| match proxy {
                Proxy::Jump(hops) => joined(hops, ","),
                Proxy::Command(_) => String::new(),
            }),
        };
        list.add(keyword, self.proxy.as_ref(), value);
        for file in self.identity_files.iter().flatten() {
            list.add("IdentityFile", Some(file), Clone::clone);
        }
        for file in &self.certificate_files {
            list.add("CertificateFile", Some(file), Clone::clone);
        }
        list.flag("IdentitiesOnly", self.identities_only.as_ref());
        list.add(
            "IdentityAgent",
            self.identity_agent.as_ref(),
            IdentityAgent::to_string,
        );
        list.flag("PubkeyAuthentication", self.pubkey_authentication.as_ref());
        list.flag("PasswordAuthentication", self.password_authentication.as_ref());
        list.flag(
            "KbdInteractiveAuthentication",
            self.kbd_interactive_authentication.as_ref(),
        );
        list.add(
            "PreferredAuthentications",
            self.preferred_authentications.as_ref(),
            |methods| methods.join(","),
        );
        list.add(
            "NumberOfPasswordPrompts",
            self.number_of_password_prompts.as_ref(),
            u32::to_string,
        );
        list.add(
            "UserKnownHostsFile",
            self.user_known_hosts_files.as_ref(),
            |files| paths(files),
        );
        list.add(
            "GlobalKnownHostsFile",
            self.global_known_hosts_files.as_ref(),
            |files| paths(files),
        );
        list.add("RevokedHostKeys", self.revoked_host_keys.as_ref(), Clone::clone);
        list.add("HostKeyAlias", self.host_key_alias.as_ref(), Clone::clone);
        list.flag("HashKnownHosts", self.hash_known_hosts.as_ref());
        list.add(
            "StrictHostKeyChecking",
            self.strict_host_key_checking.as_ref(),
            ToString::to_string,
        );
        list.flag("BatchMode", self.batch_mode.as_ref());
        list.add("KexAlgorithms", self.kex_algorithms.as_ref(), ToString::to_string);
        list.add(
            "HostKeyAlgorithms",
            self.host_key_algorithms.as_ref(),
            ToString::to_string,
        );
        list.add("Ciphers", self.ciphers.as_ref(), ToString::to_string);
        list.add("MACs", self.macs.as_ref(), ToString::to_string);
        list.add("ConnectTimeout", self.connect_timeout.as_ref(), |time| {
            time.as_secs().to_string()
        });
        list.add(
            "ServerAliveInterval",
            self.server_alive_interval.as_ref(),
            |time| time.as_secs().to_string(),
        );
        list.add(
            "ServerAliveCountMax",
            self.server_alive_count_max.as_ref(),
            u32::to_string,
        );
        list.0
    }
}

struct List<'a>(Vec<Shown<'a>>);

impl<'a> List<'a> {
    fn add<T>(&mut self, keyword: &'static str, found: Option<&'a Sourced<T>>, value: impl Fn(&T) -> String) {
        if let Some(found) = found {
            self.0.push(Shown {
                keyword,
                value: value(&found.value),
                source: &found.source,
            });
        }
    }

    fn flag(&mut self, keyword: &'static str, found: Option<&'a Sourced<bool>>) {
        self.add(keyword, found, |value| {
            if *value { "yes" } else { "no" }.to_owned()
        });
    }
}

fn joined<T: ToString>(values: &[T], separator: &str) -> String {
    values
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(separator)
}

fn paths(files: &[String]) -> String {
    match files {
        [] => "none".to_owned(),
        files => files.join(" "),
    }
}

impl fmt::Display for AddressFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "any",
            Self::Inet => "inet",
            Self::Inet6 => "inet6",
        })
    }
}

impl fmt::Display for StrictHostKeyChecking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Yes => "yes",
            Self::AcceptNew => "accept-new",
            Self::Ask => "ask",
            Self::Off => "no",
        })
    }
}

impl fmt::Display for IdentityAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disabled => f.write_str("none"),
            Self::Variable(name) if name == "SSH_AUTH_SOCK" => f.write_str(name),
            Self::Variable(name) => write!(f, "${name}"),
            Self::Socket(path) => f.write_str(path),
        }
    }
}
