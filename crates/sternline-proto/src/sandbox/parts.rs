//! What a profile is made of.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// The size of a tmpfs for which none is given: 64 MiB.
pub const DEFAULT_TMPFS_BYTES: u64 = 64 << 20;

/// A file or directory of the host that can be seen in the sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    pub(super) source: String,
    pub(super) target: String,
    pub(super) read_only: bool,
    pub(super) create_target: bool,
    pub(super) optional: bool,
}

impl Bind {
    /// Shows `source`, an absolute path on the host, at `target`, read-only.
    #[must_use]
    pub fn new(source: impl Into<String>, target: impl Into<String>) -> Self {
        Self {
            source: source.into(),
            target: target.into(),
            read_only: true,
            create_target: true,
            optional: false,
        }
    }

    /// Lets the sandbox write there: what it writes stays on the host.
    #[must_use]
    pub fn writable(mut self) -> Self {
        self.read_only = false;
        self
    }

    /// Starts without it where the host has no such path. Default: nothing is started there.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// Whether a mount point is made first, as a directory. Default: yes. bubblewrap makes one of the right kind where it
    /// can, so this matters only for a directory on which nothing is to be mounted when an optional source is missing.
    #[must_use]
    pub fn create_target(mut self, create: bool) -> Self {
        self.create_target = create;
        self
    }

    /// The path on the host.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The path in the sandbox.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Whether the sandbox can only read it.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Whether it may be missing.
    #[must_use]
    pub fn is_optional(&self) -> bool {
        self.optional
    }
}

/// An empty directory in memory, which is gone with the sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tmpfs {
    pub(super) path: String,
    pub(super) size_bytes: u64,
}

impl Tmpfs {
    /// One of [`DEFAULT_TMPFS_BYTES`].
    #[must_use]
    pub fn new(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            size_bytes: DEFAULT_TMPFS_BYTES,
        }
    }

    /// How much it holds, in bytes.
    #[must_use]
    pub fn size(mut self, bytes: u64) -> Self {
        self.size_bytes = bytes;
        self
    }

    /// The path in the sandbox.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// How much it holds, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }
}

/// How much one run may use. No limit can be left out; raise what is too low.
///
/// All but the last two are limits of each process, see getrlimit(2). That on processes counts everything that the
/// account runs on the host, as the kernel does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// CPU time in seconds. Default: 300.
    pub cpu_seconds: u64,
    /// Address space in bytes. Default: 4 GiB; some runtimes reserve more than they ever use.
    pub memory_bytes: u64,
    /// Processes and threads of the account. Default: 4096.
    pub processes: u64,
    /// Size of one file in bytes. Default: 1 GiB.
    pub file_size_bytes: u64,
    /// How long a run may take, kept on the host itself. Default: one hour; a run's own timeout is kept as well.
    pub wall_clock_seconds: u64,
    /// How much a run may write to standard output and error together, in bytes. Default: 64 MiB.
    pub output_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            cpu_seconds: 300,
            memory_bytes: 4 << 30,
            processes: 4096,
            file_size_bytes: 1 << 30,
            wall_clock_seconds: 3600,
            output_bytes: 64 << 20,
        }
    }
}

impl Limits {
    /// How long a run may take that asks for `timeout`: the shorter of the two.
    #[must_use]
    pub fn wall_clock(&self, timeout: Duration) -> Duration {
        timeout.min(Duration::from_secs(self.wall_clock_seconds))
    }
}

/// Which system calls are refused.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Seccomp {
    /// The filter of [`default_filter`](super::seccomp::default_filter).
    #[default]
    Default,
    /// None. A hole in the kernel is then within reach of the program.
    DangerOff,
    /// A compiled filter from a file of this machine, as bubblewrap's `--seccomp` takes it.
    File {
        /// Where it is.
        path: PathBuf,
        /// What it holds, once it is loaded: see [`SandboxProfile::with_seccomp_program`](super::SandboxProfile::with_seccomp_program).
        program: Option<Vec<u8>>,
    },
}

impl Seccomp {
    /// The file that has still to be loaded.
    #[must_use]
    pub fn file_to_load(&self) -> Option<&Path> {
        match self {
            Self::File { path, program: None } => Some(path),
            _ => None,
        }
    }
}

/// What the arguments of one command may be.
///
/// Patterns are compared with each argument as a whole; `*` stands for anything, `?` for one character, `[a-z]` and `[!a-z]`
/// for one of a set. Only the argv that is asked for is looked at. A program that an allowed program starts gets whatever
/// arguments that one gives it, so a rule is no boundary: the sandbox is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArgumentRule {
    pub(super) command: String,
    pub(super) allow: Vec<String>,
    pub(super) deny: Vec<String>,
}

impl ArgumentRule {
    /// A rule for commands of this name, in whatever directory they are; with a `/`, for exactly this one.
    #[must_use]
    pub fn new(command: impl Into<String>) -> Self {
        Self {
            command: command.into(),
            allow: Vec::new(),
            deny: Vec::new(),
        }
    }

    /// With at least one such pattern, each argument has to match one of them.
    #[must_use]
    pub fn allow(mut self, pattern: impl Into<String>) -> Self {
        self.allow.push(pattern.into());
        self
    }

    /// No argument may match this pattern.
    #[must_use]
    pub fn deny(mut self, pattern: impl Into<String>) -> Self {
        self.deny.push(pattern.into());
        self
    }

    /// Whose arguments these are.
    #[must_use]
    pub fn command(&self) -> &str {
        &self.command
    }

    /// What is allowed; everything if empty.
    #[must_use]
    pub fn allowed(&self) -> &[String] {
        &self.allow
    }

    /// What is refused.
    #[must_use]
    pub fn denied(&self) -> &[String] {
        &self.deny
    }
}
