//! `sternline doctor`: each phase of a connection, and how to mend what fails.

mod attempts;
mod finding;
mod run;
mod show;

pub(crate) use finding::examine;
pub(crate) use run::{Args, run};
pub(crate) use show::show;
