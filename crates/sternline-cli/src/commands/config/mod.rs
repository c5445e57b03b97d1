//! `sternline config`: what ssh_config comes to.

mod args;
mod rows;
mod show;

pub(crate) use args::{Args, run};
