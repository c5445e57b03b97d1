//! `sternline sandbox`: run what is not trusted, and see what a sandbox holds.

mod args;
mod configuration;
mod place;
mod present;
mod profiles;
mod run;
mod show;
mod verify;

pub(crate) use args::{Args, run};
