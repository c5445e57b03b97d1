//! `sternline ssh`: run a command on one or several hosts, or open a shell on one.

mod args;
mod escape;
mod interactive;
mod one;
mod output;
mod report;
mod run;
mod several;

pub(crate) use args::Args;
pub(crate) use run::run;
