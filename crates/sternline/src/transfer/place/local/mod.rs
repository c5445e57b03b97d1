//! The files of this machine.

mod beneath;
mod error;
mod file;
mod files;
mod open;
mod sequence;
mod shared;
mod system;
mod threads;

pub(super) use file::{LocalReading, LocalWriting};
pub(crate) use files::LocalFiles;

#[cfg(test)]
mod tests;
