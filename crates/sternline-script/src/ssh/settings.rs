//! What `ssh.config` was told: plain data that has touched neither the network nor the disk.

use std::time::Duration;

use sternline::exec::{Command, Script, Sudo};
use sternline::{KeepaliveConfig, SharedSecret};

use super::hosts::{Host, Login};
use super::rules::{OnError, Rules};

/// All of it.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) hosts: Vec<Host>,
    pub(super) user: Option<String>,
    pub(super) port: Option<u16>,
    /// Of all hosts that have none of their own.
    pub(super) login: Login,
    /// Whether the agent's keys are used; by default only where no key is named.
    pub(super) agent: Option<bool>,
    pub(super) checking: Checking,
    pub(super) known_hosts_file: Option<String>,
    pub(super) ssh_config: ConfigFiles,
    pub(super) timeout: Option<Duration>,
    pub(super) keepalive: Option<KeepaliveConfig>,
    /// Whether somebody asked for this keepalive, or it is the default.
    pub(super) keepalive_is_given: bool,
    pub(super) rules: Rules,
    pub(super) defaults: Defaults,
    pub(super) on_error: OnError,
    pub(super) dry_run: bool,
}

/// How host keys are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Checking {
    /// Only keys that are known are accepted.
    Strict,
    /// New hosts are recorded; a key that has changed is refused.
    AcceptNew,
    /// Any key is accepted.
    Off,
}

/// Which files of ssh_config are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ConfigFiles {
    None,
    /// The user's and the system's.
    Usual,
    This(String),
}

/// What commands run with, unless a call says otherwise.
#[derive(Debug, Clone, Default)]
pub(super) struct Defaults {
    pub(super) sudo: Option<bool>,
    pub(super) as_user: Option<String>,
    pub(super) cwd: Option<String>,
    pub(super) env: Vec<(String, String)>,
    pub(super) timeout: Option<Duration>,
    pub(super) sudo_password: Option<SharedSecret>,
}

/// What is put round a command.
#[derive(Debug, Clone, Default)]
pub(super) struct Around {
    sudo: Option<Sudo>,
    as_user: Option<String>,
    cwd: Option<String>,
    env: Vec<(String, String)>,
}

/// What a call says about it.
#[derive(Debug, Clone, Default)]
pub(super) struct Called {
    pub(super) sudo: Option<bool>,
    pub(super) as_user: Option<String>,
    pub(super) cwd: Option<String>,
    pub(super) env: Vec<(String, String)>,
}

impl Defaults {
    /// The call's word counts. Another user means sudo, unless sudo was refused in so many words: to run a command silently as
    /// somebody else than was asked for would be worse than an error.
    pub(super) fn around(&self, called: Called) -> anyhow::Result<Around> {
        if called.sudo == Some(false)
            && let Some(user) = &called.as_user
        {
            return Err(anyhow::anyhow!(
                "as_user=\"{user}\" needs sudo, and sudo=False was said: leave out one of them"
            ));
        }
        let implied = called.as_user.as_ref().map(|_| true);
        let sudo = called
            .sudo
            .or(implied)
            .or(self.sudo)
            .unwrap_or(self.as_user.is_some());
        let mut env = self.env.clone();
        for (name, value) in called.env {
            match env.iter_mut().find(|(known, _)| *known == name) {
                Some((_, before)) => *before = value,
                None => env.push((name, value)),
            }
        }
        Ok(Around {
            sudo: sudo.then_some(match self.sudo_password {
                Some(_) => Sudo::Password,
                None => Sudo::NonInteractive,
            }),
            as_user: called.as_user.or_else(|| self.as_user.clone()).filter(|_| sudo),
            cwd: called.cwd.or_else(|| self.cwd.clone()),
            env,
        })
    }
}

impl Around {
    /// Shell text, sent as it is where nothing is put round it.
    pub(super) fn command(&self, text: &str) -> Command {
        let mut command = Command::shell(text).envs(self.env.iter().cloned());
        if let Some(directory) = &self.cwd {
            command = command.cwd(directory.as_str());
        }
        if let Some(sudo) = self.sudo {
            command = command.sudo(sudo);
        }
        if let Some(user) = &self.as_user {
            command = command.as_user(user);
        }
        command
    }

    /// The command with what is put round it, as rules write it: `sudo -u app cd /srv && NAME=value make`.
    pub(super) fn in_words(&self, text: &str) -> String {
        let mut words = String::new();
        if self.sudo.is_some() {
            words.push_str("sudo ");
            if let Some(user) = &self.as_user {
                words.push_str(&format!("-u {user} "));
            }
        }
        if let Some(directory) = &self.cwd {
            words.push_str(&format!("cd {directory} && "));
        }
        for (name, value) in &self.env {
            words.push_str(&format!("{name}={value} "));
        }
        words.push_str(text);
        words
    }

    /// A script with the same round it.
    pub(super) fn script(&self, mut script: Script) -> Script {
        for (name, value) in &self.env {
            script = script.env(name, value.as_str());
        }
        if let Some(directory) = &self.cwd {
            script = script.cwd(directory.as_str());
        }
        if let Some(sudo) = self.sudo {
            script = script.sudo(sudo);
        }
        if let Some(user) = &self.as_user {
            script = script.as_user(user);
        }
        script
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(defaults: &Defaults, called: Called) -> String {
        let command = defaults.around(called).unwrap().command("make deploy");
        String::from_utf8(command.to_line().unwrap()).unwrap()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect()
    }

    #[test]
    fn a_plain_command_is_sent_as_it_was_written() {
        assert_eq!(line(&Defaults::default(), Called::default()), "make deploy");
    }

    #[test]
    fn the_command_sees_the_variables_and_the_directory_and_the_quotes_hold() {
        let called = Called {
            cwd: Some("/opt/my app".to_owned()),
            env: pairs(&[("VERSION", "2.0 $(reboot)")]),
            ..Called::default()
        };
        assert_eq!(
            line(&Defaults::default(), called),
            "cd '/opt/my app' || exit\nexport VERSION='2.0 $(reboot)' || exit\nmake deploy"
        );
    }

    #[test]
    fn the_call_has_the_last_word() {
        let defaults = Defaults {
            sudo: Some(true),
            as_user: Some("app".to_owned()),
            env: pairs(&[("A", "1"), ("B", "2")]),
            ..Defaults::default()
        };
        let called = Called {
            sudo: Some(false),
            env: pairs(&[("A", "3")]),
            ..Called::default()
        };
        assert_eq!(
            line(&defaults, called),
            "export A=3 || exit\nexport B=2 || exit\nmake deploy"
        );
        let other = Called {
            as_user: Some("www-data".to_owned()),
            ..Called::default()
        };
        assert!(line(&defaults, other).starts_with("sudo -u www-data -n -- sh -c "));
    }

    #[test]
    fn another_user_means_sudo_unless_it_was_refused() {
        let called = |sudo| Called {
            sudo,
            as_user: Some("app".to_owned()),
            ..Called::default()
        };
        assert!(line(&Defaults::default(), called(None)).starts_with("sudo -u app "));
        assert!(Defaults::default().around(called(Some(false))).is_err());
        let defaults = Defaults {
            sudo: Some(false),
            as_user: Some("app".to_owned()),
            ..Defaults::default()
        };
        assert_eq!(line(&defaults, Called::default()), "make deploy");
    }
}
