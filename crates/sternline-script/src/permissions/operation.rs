//! What scripts want to do beyond their own text, as rules see it.

use std::fmt;
use std::path::Path;

use sternline::proto::text::escape;

use super::category::{self, Category};

/// Something that a script wants to do, and that its permissions may refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    pub(super) category: &'static Category,
    pub(super) function: &'static str,
    pub(super) resource: Resource,
}

/// What it wants to do it to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Resource {
    Nothing,
    /// A host, whatever is then done on it.
    Host(String),
    /// Something on a host: a command, or where a forward leads.
    OnHost {
        host: String,
        what: String,
    },
    Transfer {
        host: String,
        src: String,
        dst: String,
        remote: Side,
    },
    /// A local file, by its absolute name without `.` and `..`, and by where its links lead.
    Path {
        named: String,
        resolved: String,
    },
    /// A local command, or the name of a variable.
    Text(String),
}

/// Which side of a transfer is on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Src,
    Dst,
}

/// What is done to a local file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// It is read, listed or looked at.
    Read,
    /// It is made or changed.
    Write,
    /// It is removed, or goes elsewhere.
    Delete,
}

impl Operation {
    /// A client for a host is made: `ssh.connect`. Whoever may do anything at all on the host may do this.
    pub(crate) fn connect(host: &str) -> Self {
        Self {
            category: &category::CONNECT,
            function: "config",
            resource: Resource::Host(host.to_owned()),
        }
    }

    /// A command runs on a host: `ssh.connect`. `command` is all that runs, with `sudo`, `cwd` and `env`.
    pub(crate) fn command(function: &'static str, host: &str, command: &str) -> Self {
        Self {
            category: &category::CONNECT,
            function,
            resource: Resource::OnHost {
                host: host.to_owned(),
                what: command.to_owned(),
            },
        }
    }

    /// A file goes to a host: `ssh.transfer`. Reading the local side is an operation of its own.
    pub(crate) fn upload(host: &str, src: &str, dst: &str) -> Self {
        Self::transfer("upload", host, src, dst, Side::Dst)
    }

    /// A file comes from a host: `ssh.transfer`. Writing the local side is an operation of its own.
    pub(crate) fn download(host: &str, src: &str, dst: &str) -> Self {
        Self::transfer("download", host, src, dst, Side::Src)
    }

    fn transfer(function: &'static str, host: &str, src: &str, dst: &str, remote: Side) -> Self {
        Self {
            category: &category::TRANSFER,
            function,
            resource: Resource::Transfer {
                host: host.to_owned(),
                src: src.to_owned(),
                dst: dst.to_owned(),
                remote,
            },
        }
    }

    /// A port is forwarded through a host: `ssh.forward`. `what` is where it leads, such as `127.0.0.1:5432`.
    pub(crate) fn forward(function: &'static str, host: &str, what: &str) -> Self {
        Self {
            category: &category::FORWARD,
            function,
            resource: Resource::OnHost {
                host: host.to_owned(),
                what: what.to_owned(),
            },
        }
    }

    /// Something is done to a local file: `fs.read`, `fs.write`, `fs.delete`. `named` is absolute, and `resolved` is where its
    /// links lead: see [`resolve`](super::resolve).
    pub(crate) fn file(access: Access, function: &'static str, named: &Path, resolved: &Path) -> Self {
        Self {
            category: match access {
                Access::Read => &category::READ,
                Access::Write => &category::WRITE,
                Access::Delete => &category::DELETE,
            },
            function,
            resource: Resource::Path {
                named: super::resolve::lexical(named).to_string_lossy().into_owned(),
                resolved: resolved.to_string_lossy().into_owned(),
            },
        }
    }

    /// A local process is started: `os.process`.
    pub(crate) fn process(function: &'static str, command: &str) -> Self {
        Self {
            category: &category::PROCESS,
            function,
            resource: Resource::Text(command.to_owned()),
        }
    }

    /// The process of the script itself is ended: `os.process`.
    pub(crate) fn exit() -> Self {
        Self {
            category: &category::PROCESS,
            function: "exit",
            resource: Resource::Nothing,
        }
    }

    /// A variable of the environment is read or changed: `os.env`.
    pub(crate) fn variable(function: &'static str, name: &str) -> Self {
        Self {
            category: &category::ENV,
            function,
            resource: Resource::Text(name.to_owned()),
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.category.module, self.function)?;
        let resource = match &self.resource {
            Resource::Nothing => return Ok(()),
            Resource::Host(host) => bracketed(host),
            Resource::OnHost { host, what } => format!("{}:{what}", bracketed(host)),
            Resource::Transfer { host, src, dst, .. } => format!("{}:{src}->{dst}", bracketed(host)),
            Resource::Path { resolved, .. } => resolved.clone(),
            Resource::Text(text) => text.clone(),
        };
        write!(f, "(\"{}\")", escape(&resource))
    }
}

/// A host as rules write it.
fn bracketed(host: &str) -> String {
    if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    }
}

/// An operation that the permissions refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    pub(super) operation: String,
    /// The rule that refuses it; `None` where none allows it.
    pub(super) rule: Option<String>,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "permission denied: {} - ", self.operation)?;
        match &self.rule {
            Some(rule) => write!(f, "blocked by deny rule: {}", escape(rule)),
            None => f.write_str("no matching allow rule"),
        }
    }
}

impl std::error::Error for Denied {}
