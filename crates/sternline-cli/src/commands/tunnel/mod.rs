//! `sternline tunnel`: forwards that stay up.

mod args;
mod run;
mod status;

pub(crate) use args::Args;
pub(crate) use run::run;
