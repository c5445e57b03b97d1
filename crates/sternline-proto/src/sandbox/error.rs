//! Why a profile is not taken, a host cannot have sandboxes, or a command is not run.

use thiserror::Error;

use super::facts::distribution_package;
use crate::text::escape;

/// What is wrong with a profile.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// The text is not JSON or TOML.
    #[error("is not valid {format}: line {line}: {}", escape(.reason))]
    Syntax {
        /// `JSON` or `TOML`.
        format: &'static str,
        /// The line, counted from 1.
        line: usize,
        /// What the parser says.
        reason: String,
    },
    /// The text is JSON, but no object.
    #[error("must contain a JSON object")]
    NotAnObject,
    /// One field is wrong.
    #[error("{}: {}", escape(.field), escape(.reason))]
    Field {
        /// Which, for example `binds[0].source`.
        field: String,
        /// Why.
        reason: String,
    },
    /// There is no bundled profile of this name.
    #[error("there is no bundled profile {}: there are {}", escape(.name), super::BUNDLED.join(", "))]
    NotBundled {
        /// The name as given.
        name: String,
    },
}

impl ProfileError {
    pub(super) fn field(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Field {
            field: field.into(),
            reason: reason.into(),
        }
    }
}

/// Why a command is not run under a profile; nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// There is no command.
    #[error("the command is empty: name a program")]
    EmptyCommand,
    /// The program is not on the list.
    #[error("the profile {} does not allow the command {}", escape(.profile), escape(.command))]
    NotAllowed {
        /// The profile's name.
        profile: String,
        /// The program as asked for.
        command: String,
    },
    /// An argument is refused by a rule.
    #[error("the profile {} does not allow the argument {} of {}", escape(.profile), escape(.argument), escape(.command))]
    ArgumentNotAllowed {
        /// The profile's name.
        profile: String,
        /// The program.
        command: String,
        /// The argument.
        argument: String,
    },
    /// A word of the command holds a NUL byte.
    #[error("word {index} of the command holds a NUL byte: arguments cannot contain one")]
    Nul {
        /// Which, counted from 0, the program's name.
        index: usize,
    },
    /// A word is longer than Linux passes on.
    #[error("word {index} of the command has {bytes} bytes: Linux passes on at most {limit} bytes in one", limit = super::argv::MAX_WORD_BYTES)]
    WordTooLong {
        /// Which, counted from 0.
        index: usize,
        /// Its length.
        bytes: usize,
    },
    /// All words together are longer than what is passed on for certain.
    #[error("the command and its sandbox have {bytes} bytes of arguments: at most {limit} are passed on", limit = super::argv::MAX_ARGV_BYTES)]
    TooLong {
        /// Their length.
        bytes: usize,
    },
    /// An allowed program is nowhere on the host where the sandbox would find it.
    #[error("the host has no {} in {}", escape(.command), escape(&.searched.join(", ")))]
    NoSuchProgram {
        /// The program.
        command: String,
        /// The directories that were looked through.
        searched: Vec<String>,
    },
    /// The host lacks something that this profile needs.
    #[error("the host has no {what}, which is needed to {purpose}")]
    Missing {
        /// What it lacks.
        what: String,
        /// What for.
        purpose: &'static str,
        /// How to get it.
        hint: String,
    },
    /// There is no default filter for this machine's architecture.
    #[error("there is no default seccomp filter for {}", escape(.arch))]
    NoFilter {
        /// What `uname -m` says.
        arch: String,
    },
    /// The profile's own filter was not loaded.
    #[error("the seccomp filter {} was not loaded", escape(.path))]
    FilterNotLoaded {
        /// Where it is.
        path: String,
    },
    /// The user to drop to is unknown on the host.
    #[error("the host has no user {}", escape(.user))]
    NoSuchUser {
        /// The user.
        user: String,
    },
    /// The user to drop to is root.
    #[error("the user {} is root, and a sandbox never runs as root", escape(.user))]
    RootUser {
        /// The user.
        user: String,
    },
    /// Somebody else than root logs in, and the profile wants another user.
    #[error("the profile wants the user {}, and only root can become another one", escape(.user))]
    CannotBecome {
        /// The user.
        user: String,
    },
}

impl Refusal {
    /// What to do next, as a fragment without a full stop.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::EmptyCommand => "give the program and its arguments as separate words".into(),
            Self::NotAllowed { .. } => {
                "add it to allowed_commands, in just this spelling, if it may run".into()
            }
            Self::ArgumentNotAllowed { .. } => "change argument_rules if it may be given".into(),
            Self::Nul { .. } => "take the NUL byte out".into(),
            Self::WordTooLong { .. } | Self::TooLong { .. } => "give the data on standard input".into(),
            Self::NoSuchProgram { .. } => {
                "install it there, or bind the directory that has it and put that into PATH".into()
            }
            Self::Missing { hint, .. } => hint.clone(),
            Self::NoFilter { .. } => "give a filter for it as seccomp_profile".into(),
            Self::FilterNotLoaded { .. } => "load the profile from its file".into(),
            Self::NoSuchUser { .. } => "create it there, or name another one as user".into(),
            Self::RootUser { .. } => "name an unprivileged user".into(),
            Self::CannotBecome { user } => format!("log in as {} or as root", escape(user)),
        }
    }
}

/// Why a host cannot have sandboxes.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Unsuitable {
    /// What came back is not what the probe writes: the account has no shell that runs commands, or it ended early.
    #[error("the host did not run the probe{}", said(.output))]
    NotRun {
        /// What came instead.
        output: String,
    },
    /// It is no Linux.
    #[error("the host runs {}, and sandboxes need Linux", escape(.system))]
    NotLinux {
        /// What `uname -s` says.
        system: String,
    },
    /// There is no bubblewrap.
    #[error("bubblewrap is not installed: there is no bwrap in the account's PATH nor in /usr/bin")]
    NoBubblewrap {
        /// The distribution's id from os-release(5).
        os: String,
    },
    /// bubblewrap is there, but cannot make a sandbox.
    #[error("bubblewrap cannot make a sandbox{}", said(.message))]
    Forbidden {
        /// The distribution's id from os-release(5).
        os: String,
        /// What bubblewrap says.
        message: String,
    },
    /// bubblewrap is too old.
    #[error("bubblewrap {} is too old: it has no {missing}", escape(.version))]
    TooOld {
        /// Its version.
        version: String,
        /// The option that it lacks.
        missing: &'static str,
    },
}

impl Unsuitable {
    /// What to do next, as a fragment without a full stop.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NotRun { .. } => {
                "give the account a shell that runs commands, such as /bin/sh, and see that nothing ends it early".into()
            }
            Self::NotLinux { .. } => "use a Linux host".into(),
            Self::NoBubblewrap { os } => distribution_package(os, "bubblewrap"),
            Self::Forbidden { os, message } => forbidden(os, message),
            Self::TooOld { .. } => "update bubblewrap to 0.4.1 or newer".into(),
        }
    }
}

/// How to allow what bubblewrap was refused.
fn forbidden(os: &str, message: &str) -> String {
    let says = |text: &str| message.contains(text);
    if says("ENOSPC") || says("nesting depth") || says("No space left") {
        return "raise it there: sysctl -w user.max_user_namespaces=15000; inside another sandbox, allow nested \
                user namespaces"
            .into();
    }
    if says("proc") && (says("Can't mount proc") || says("mount proc")) {
        return "the host is itself a container that hides parts of /proc: run that with an unmasked /proc (Docker: \
                --security-opt systempaths=unconfined)"
            .into();
    }
    let knob = match os {
        "ubuntu" => {
            "allow bwrap user namespaces there: an AppArmor profile for /usr/bin/bwrap with `userns,`, or sysctl -w \
             kernel.apparmor_restrict_unprivileged_userns=0"
        }
        "debian" => "allow user namespaces there: sysctl -w kernel.unprivileged_userns_clone=1",
        "centos" | "rhel" | "rocky" | "almalinux" | "ol" => {
            "allow user namespaces there: sysctl -w user.max_user_namespaces=15000"
        }
        "arch" => {
            "allow user namespaces there: sysctl -w kernel.unprivileged_userns_clone=1, which linux-hardened turns off"
        }
        _ => "allow unprivileged user namespaces there: see sysctl user.max_user_namespaces",
    };
    format!("{knob}; in a container or chroot, allow unshare(2) with CLONE_NEWUSER as well")
}

fn said(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() {
        return String::new();
    }
    let short: String = text.chars().take(300).collect();
    format!(": {}", escape(&short))
}
