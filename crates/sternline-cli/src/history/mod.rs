//! The history of runs: where it is, recording into it, and asking it for the hosts of a run.

mod failed;
mod place;
mod recording;
mod typed;

pub(crate) use failed::failed_hosts;
#[cfg(feature = "script")]
pub(crate) use place::folder;
pub(crate) use place::{find, trouble};
pub(crate) use recording::{About, Recording, seconds};
pub(crate) use typed::{TypedPasswords, without_password};
