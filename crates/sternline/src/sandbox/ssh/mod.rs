//! Sandboxes on another host, over SSH.

mod builder;
mod executor;
mod host;

pub use builder::SshExecutorBuilder;
pub use executor::SshExecutor;
