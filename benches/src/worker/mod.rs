//! The workers that are part of this program.
//!
//! A worker connects, prints `ready VERSION`, and then answers each line `WORK COUNT` of its input with
//! `SECONDS CPU_SECONDS`, until its input ends. `benches/python` has the same for the Python peers.

mod openssh;
mod serve;
mod sternline;

pub(crate) use openssh::{openssh, ssh, version as ssh_version};
pub(crate) use serve::{ARGUMENT, Kind, Target, run};
pub(crate) use sternline::connect;
