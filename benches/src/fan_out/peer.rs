//! Who runs `true` on many hosts, and how.

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::hosts::Hosts;
use crate::suite::{Bench, parallel_ssh_of_debian};
use crate::worker::{Target, ssh_version};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    /// `sternline ssh`.
    Sternline,
    /// A program that uses the library.
    Library,
    Asyncssh,
    Paramiko,
    ParallelSsh,
    Pssh,
    Clush,
    Ansible,
    /// `ssh` for each host, started by xargs.
    Ssh,
}

/// In the order in which they take turns.
pub(super) const PEERS: [Peer; 9] = [
    Peer::Sternline,
    Peer::Library,
    Peer::Asyncssh,
    Peer::Paramiko,
    Peer::ParallelSsh,
    Peer::Pssh,
    Peer::Clush,
    Peer::Ansible,
    Peer::Ssh,
];

impl Peer {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Sternline => "sternline ssh",
            Self::Library => "sternline, library",
            Self::Asyncssh => "asyncssh",
            Self::Paramiko => "paramiko",
            Self::ParallelSsh => "parallel-ssh",
            Self::Pssh => "pssh",
            Self::Clush => "clush",
            Self::Ansible => "ansible",
            Self::Ssh => "xargs, ssh",
        }
    }

    pub(super) fn is_ours(self) -> bool {
        matches!(self, Self::Sternline | Self::Library)
    }

    /// How many hosts at once it is tried with; what is best for it counts.
    pub(super) fn settings(self) -> &'static [u32] {
        match self {
            Self::Sternline | Self::Library => &[32, 16],
            Self::Asyncssh => &[64, 128],
            Self::Paramiko => &[32, 64],
            // Its own default, and what is near ours.
            Self::ParallelSsh => &[100, 32],
            Self::Pssh | Self::Clush | Self::Ssh => &[32, 64],
            Self::Ansible => &[50],
        }
    }

    /// What it is, more exactly; `None` where it is not installed.
    pub(super) fn version(self, bench: &Bench) -> Option<String> {
        match self {
            Self::Sternline | Self::Library => Some(env!("CARGO_PKG_VERSION").to_owned()),
            Self::Asyncssh => bench.python_version("asyncssh"),
            Self::Paramiko => bench.python_version("paramiko"),
            Self::ParallelSsh => bench.python_version("parallel-ssh"),
            Self::Pssh => {
                let output = parallel_ssh_of_debian()?.arg("--version").output().ok()?;
                let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
                (output.status.success() && !text.is_empty()).then(|| format!("{text}, {}", ssh_version()))
            }
            Self::Clush => {
                bench.python_program("clush")?;
                let version = bench.python_version("clustershell")?;
                Some(format!("{version}, {}", ssh_version()))
            }
            Self::Ansible => {
                bench.python_program("ansible")?;
                let version = bench.python_version("ansible-core")?;
                Some(format!("{version}, {}", ssh_version()))
            }
            Self::Ssh => Some(ssh_version()),
        }
    }

    /// Whether it takes its own time and prints it.
    pub(super) fn is_script(self) -> bool {
        matches!(
            self,
            Self::Library | Self::Asyncssh | Self::Paramiko | Self::ParallelSsh
        )
    }

    /// What runs `true` on all hosts, so many at once, and fails if one of them does.
    pub(super) fn command(
        self,
        at_once: u32,
        hosts: &Hosts,
        target: &Target,
        bench: &Bench,
    ) -> Result<Command, Box<dyn Error>> {
        let at_once = at_once.to_string();
        let script = |name: &str| {
            let mut command = bench.python_script(name);
            command.args(target.arguments()).arg(hosts.list()).arg(&at_once);
            command
        };
        let program = |name: &str| {
            let path = bench.python_program(name);
            path.ok_or_else(|| format!("{name} is not installed"))
        };
        let mut command = match self {
            Self::Sternline => {
                let mut command = Command::new(sternline_tests::cli::program());
                command
                    .args(["ssh", "-F", "none"])
                    .args(["-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none"])
                    .arg("--known-hosts")
                    .arg(&target.known_hosts)
                    .arg("-i")
                    .arg(&target.key)
                    .args(["--login", &target.user, "-p", &target.port.to_string()])
                    .args(["--forks", &at_once, &hosts.range(), "true"]);
                command
            }
            Self::Library => {
                let mut command = Command::new(std::env::current_exe()?);
                command
                    .arg(super::LIBRARY)
                    .args(target.arguments())
                    .arg(hosts.list())
                    .arg(&at_once);
                command
            }
            Self::Asyncssh => script("asyncssh_fan_out.py"),
            Self::Paramiko => script("paramiko_fan_out.py"),
            Self::ParallelSsh => script("parallel_ssh_fan_out.py"),
            Self::Pssh => {
                let mut command = parallel_ssh_of_debian().ok_or("pssh is not installed")?;
                command
                    .arg("-h")
                    .arg(hosts.list())
                    .args(["-p", &at_once, "-t", "0", "-x"])
                    .arg(format!("-F {}", ssh_config(hosts, target)?.display()))
                    .arg("true");
                command
            }
            Self::Clush => {
                let mut command = Command::new(program("clush")?);
                command
                    .args(["-S", "-q", "-f", &at_once, "-w", &hosts.range(), "-o"])
                    .arg(format!("-F {}", ssh_config(hosts, target)?.display()))
                    .arg("true");
                command
            }
            Self::Ansible => {
                let configuration = hosts.file("ansible.cfg");
                fs::write(&configuration, "[defaults]\n")?;
                let mut command = Command::new(program("ansible")?);
                command
                    .args(["all", "-m", "raw", "-a", "true", "-f", &at_once, "-i"])
                    .arg(hosts.list())
                    .env(
                        "ANSIBLE_SSH_ARGS",
                        format!("-F {}", ssh_config(hosts, target)?.display()),
                    )
                    .env("ANSIBLE_INVENTORY_ENABLED", "ini")
                    .env("ANSIBLE_CONFIG", configuration)
                    .env("ANSIBLE_HOME", hosts.file("ansible"))
                    .env("LC_ALL", "C.UTF-8");
                command
            }
            Self::Ssh => {
                let mut command = Command::new("xargs");
                command
                    .arg("-a")
                    .arg(hosts.list())
                    .args(["-P", &at_once, "-I", "{}", "ssh", "-F"])
                    .arg(ssh_config(hosts, target)?)
                    .args(["{}", "true"]);
                command
            }
        };
        command
            // What is left of a run in the caller's home directory would be the caller's.
            .env("HOME", hosts.home())
            .env_remove("XDG_STATE_HOME")
            .env_remove("XDG_CONFIG_HOME")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        Ok(command)
    }
}

/// A configuration for all that start ssh, with the same login and check of host keys as everybody's.
fn ssh_config(hosts: &Hosts, target: &Target) -> Result<PathBuf, Box<dyn Error>> {
    let path = hosts.file("ssh_config");
    let text = format!(
        "User {}\nPort {}\nIdentityFile {}\nIdentitiesOnly yes\nIdentityAgent none\nUserKnownHostsFile {}\n\
         GlobalKnownHostsFile none\nStrictHostKeyChecking yes\nBatchMode yes\nControlMaster no\nControlPath none\n",
        target.user,
        target.port,
        target.key.display(),
        target.known_hosts.display(),
    );
    fs::write(&path, text)?;
    Ok(path)
}
