//! `ssh.test_server`: an SSH server inside a test.

mod cat;
mod exec;
mod file;
mod shared;
#[cfg(test)]
mod tests;
mod uploads;
mod value;

pub(crate) use file::ServedFile;
pub(crate) use shared::Shared;
pub(crate) use value::{TestServer, register};
