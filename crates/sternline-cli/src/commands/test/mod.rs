//! `sternline test`: run the tests of scripts.

mod args;
mod progress;
mod run;

pub(crate) use args::Args;
pub(crate) use run::run;
