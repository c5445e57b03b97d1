//! `sternline cp`: copy files to, from and between hosts.

mod args;
mod board;
mod plan;
mod report;
mod request;
mod run;

pub(crate) use args::Args;
pub(crate) use run::run;
