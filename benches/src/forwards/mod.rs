//! Local forwards: the same connections through each peer's `-L`, to the same target.
//!
//! Four processes take part in each measurement: the peer that forwards, sshd's for its connection, one that connects, and one
//! that answers. Only the first two differ between peers.

mod measure;
mod peer;
mod traffic;

pub(crate) use measure::run;
pub(crate) use peer::{FORWARD, forward};
pub(crate) use traffic::{LOAD, TARGET, input_ended, load, target};
