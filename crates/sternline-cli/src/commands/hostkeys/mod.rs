//! `sternline hostkeys`: list, record and remove the keys by which hosts are known.

mod add;
mod args;
mod authority;
mod list;
mod remove;

pub(crate) use args::{Args, run};
