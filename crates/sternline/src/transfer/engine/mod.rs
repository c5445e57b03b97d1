//! Moving files from one place to another: what is copied, how it gets into its place, and what is removed.

mod ahead;
mod batch;
mod commit;
mod content;
mod file;
mod large;
mod operand;
mod path;
mod pump;
mod remove;
mod report;
mod run;
mod scp;
mod start;
mod tree;

pub(super) use start::{run_scp, run_transfer};
