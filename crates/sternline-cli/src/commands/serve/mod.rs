//! `sternline serve`: the embedded SSH server, to try things on.

mod replay;
mod run;

pub(crate) use run::{Args, run};
