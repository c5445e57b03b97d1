//! `sternline ssh`: run a command on one or several hosts, or open a shell on one.

mod args;
mod escape;
mod interactive;
mod one;
mod output;
mod present;
mod run;
mod several;
mod summary;

pub(crate) use args::Args;
pub(crate) use run::run;
