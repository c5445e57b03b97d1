//! `sternline ssh`: run a command on one or several hosts, or open a shell on one.

mod args;
mod run;

pub(crate) use args::Args;
pub(crate) use run::run;
