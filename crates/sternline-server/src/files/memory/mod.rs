//! A tree in memory.

mod handle;
mod nodes;
mod tree;

pub use handle::{VirtualFile, VirtualFiles};
