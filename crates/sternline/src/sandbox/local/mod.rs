//! Sandboxes on this machine.

mod executor;
mod process;

pub use executor::LocalExecutor;
