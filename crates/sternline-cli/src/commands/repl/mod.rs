//! `sternline repl`: Starlark, typed line by line.

mod editor;
mod history;
mod run;
mod typed;

pub(crate) use run::{Args, run};
