//! Running programs that are not trusted, in sandboxes of bubblewrap on other hosts or on this one.

mod conclude;
mod executor;
mod file;
mod gather;
mod input;
mod limit;
mod load;
mod local;
mod look;
mod pool;
mod refusal;
mod request;
mod result;
mod ssh;
mod verify;

pub use executor::{SandboxExecutor, Work};
pub use load::LoadProfile;
pub use local::LocalExecutor;
pub use request::{DEFAULT_TIMEOUT, SandboxRequest};
pub use result::{ProcessResult, Side};
pub use ssh::{SshExecutor, SshExecutorBuilder};
pub use verify::{Attempt, Outcome, verify};

pub use sternline_proto::sandbox::{
    ArgumentRule, BUNDLED, Bind, HostFacts, Limits, ProfileError, SandboxProfile, SandboxProfileBuilder,
    Seccomp, Tmpfs,
};
