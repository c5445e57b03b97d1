//! Sandboxes on this machine.

mod descriptors;
mod executor;
mod process;

pub use executor::LocalExecutor;
