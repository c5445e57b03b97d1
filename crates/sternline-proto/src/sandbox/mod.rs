//! Running a program that is not trusted: what a sandbox lets it have, and the bubblewrap command that makes one.
//!
//! A [`SandboxProfile`] says what is visible, what may be run, and how much may be used up. [`PROBE`] is run once on a host and
//! [`parse_probe`] reads what it found. [`compose`] makes one exec request from profile, host and argv, and [`read_status`]
//! tells from what came back how it ended. The rest of this module are the decisions in between, each on its own:
//! [`check_allowed`], [`bwrap_argv`], [`seccomp::default_filter`].
//!
//! What holds the program in is the kernel, by way of bubblewrap: namespaces, mounts, no capabilities, a seccomp filter,
//! limits. The list of allowed commands is kept by mounts too, so that no allowed program starts one that is not. Two
//! things pass by it: the dynamic loader, which runs any file that can be read, and interpreters that are themselves
//! allowed. They get no further than the sandbox.

mod argv;
mod bundled;
mod command_line;
mod config;
mod error;
mod facts;
mod mounts;
mod parts;
mod path;
mod pattern;
mod probe;
mod profile;
mod read;
mod rules;
pub mod seccomp;
mod status;
mod value;

pub use argv::bwrap_argv;
pub use bundled::{BUNDLED, bundled_text};
pub use command_line::{RemoteCommand, compose, probe_command, probe_command_with};
pub use config::{ExecutorConfig, SandboxConfig, SshExecutorConfig};
pub use error::{ProfileError, Refusal, Unsuitable};
pub use facts::{Arch, HostFacts, ReadExactly, Tools};
pub use parts::{ArgumentRule, Bind, DEFAULT_TMPFS_BYTES, Limits, Seccomp, Tmpfs};
pub use probe::{PROBE, parse_probe};
pub use profile::{SandboxProfile, SandboxProfileBuilder};
pub use rules::check_allowed;
pub use status::{End, Nonce, Status, read_output, read_status};

#[cfg(test)]
mod tests;
