//! `sternline history`: what ran where, when, and with what result.

mod args;
mod diff;
mod json;
mod list;
mod remove;
mod show;
mod since;
mod words;

pub(crate) use args::{Args, run};
