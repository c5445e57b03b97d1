//! What comes from outside the program: the environment, and the places where SSH keeps its files.

mod env;
mod glob;
mod inventory;
pub mod paths;
#[cfg(unix)]
#[path = "unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "windows.rs"]
mod platform;
mod ssh_config;

pub use env::Env;
pub(crate) use env::{ARCH, OS};
pub use inventory::{InventoryFileError, InventoryFileProblem, read_inventory};
pub use ssh_config::{ConfigFileError, SshConfig};
