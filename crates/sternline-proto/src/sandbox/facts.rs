//! What is known of a host that sandboxes are made on.

use std::collections::{BTreeMap, BTreeSet};

/// The architecture that a filter is made for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Arch {
    /// 64-bit x86.
    X86_64,
    /// 64-bit ARM.
    Aarch64,
    /// Another one, as `uname -m` names it.
    Other(String),
}

impl Arch {
    /// As `uname -m` names it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
            Self::Other(name) => name,
        }
    }

    pub(super) fn from_uname(machine: &str) -> Self {
        match machine {
            "x86_64" | "amd64" => Self::X86_64,
            "aarch64" | "arm64" => Self::Aarch64,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// How a number of bytes is read from standard input without a byte more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadExactly {
    /// `head -c`, which some implementations let read ahead.
    Head,
    /// `dd bs=1`: slower, and the same everywhere.
    Dd,
}

/// Programs that go round bubblewrap. All paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tools {
    /// setpriv(1) of util-linux, which changes users and ends a process with its parent. busybox has one that does
    /// neither, and it does not count.
    pub setpriv: Option<String>,
    /// timeout(1) of GNU, which keeps the wall clock. Without it a loop in the shell does, to the second: busybox's leaves a
    /// process behind that holds on to everything it was given.
    pub timeout: Option<String>,
    /// How exact reading is done.
    pub read_exactly: ReadExactly,
}

/// What [`PROBE`](super::PROBE) found on a host. [`parse_probe`](super::parse_probe) makes it.
///
/// It may be kept for as long as the host is not changed: a program that is installed later is unknown here, and
/// [`Refusal::NoSuchProgram`](super::Refusal::NoSuchProgram) is then the reason to ask again.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HostFacts {
    /// The architecture.
    pub arch: Arch,
    /// The distribution's id from os-release(5), or that of one like it that is better known.
    pub os: String,
    /// Who logs in.
    pub uid: u32,
    /// The name of who logs in.
    pub user: String,
    /// Where bubblewrap is.
    pub bwrap: String,
    /// Which one, for example `0.8.0`.
    pub bwrap_version: String,
    /// Whether it is setuid root, as where users may make no namespaces.
    pub bwrap_setuid: bool,
    /// Its options.
    pub bwrap_options: BTreeSet<String>,
    /// What goes round it.
    pub tools: Tools,
    /// Top directories that are symbolic links, with what is in them: `/bin` and `usr/bin`.
    pub links: BTreeMap<String, String>,
    /// Top directories that are none.
    pub directories: BTreeSet<String>,
    /// Directories of programs, with the names in them.
    pub programs: BTreeMap<String, BTreeSet<String>>,
    /// The users of its own user list, with their uid and gid.
    pub users: BTreeMap<String, (u32, u32)>,
    /// The groups of its own group list, with their gid.
    pub groups: BTreeMap<String, u32>,
}

impl HostFacts {
    /// Whether bubblewrap has an option, and takes it in the way in which it is installed.
    pub(super) fn takes(&self, option: &str) -> bool {
        // Neither is allowed where bubblewrap is setuid root.
        let not_setuid = ["--size", "--disable-userns"].contains(&option);
        self.bwrap_options.contains(option) && !(self.bwrap_setuid && not_setuid)
    }

    /// What sandboxes lack on this host, each as one fragment: nothing on one with a current bubblewrap and util-linux.
    #[must_use]
    pub fn weaknesses(&self) -> Vec<&'static str> {
        let mut found = Vec::new();
        if !self.takes("--size") {
            found.push("the size of a tmpfs is not limited: bubblewrap before 0.7, or setuid, has no --size");
        }
        if !self.takes("--disable-userns") {
            found.push(
                "only the seccomp filter forbids nested user namespaces: bubblewrap before 0.8, or setuid, has no \
                 --disable-userns",
            );
        }
        if self.tools.setpriv.is_none() {
            found.push(
                "a sandbox outlives a lost connection by up to a second: there is no setpriv of util-linux, and a \
                 shell looks whether the connection is there",
            );
        }
        found
    }
}

/// How a package is installed there.
pub(super) fn distribution_package(os: &str, package: &str) -> String {
    let command = match os {
        "debian" | "ubuntu" => "apt-get install",
        "fedora" | "rhel" | "centos" | "rocky" | "almalinux" | "ol" | "amzn" => "dnf install",
        "alpine" => "apk add",
        "arch" => "pacman -S",
        "opensuse" | "opensuse-leap" | "opensuse-tumbleweed" | "sles" | "suse" => "zypper install",
        "void" => "xbps-install",
        "gentoo" => "emerge",
        _ => return format!("install the package {package} there"),
    };
    format!("install it there: {command} {package}")
}
