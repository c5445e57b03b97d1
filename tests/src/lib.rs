//! Fixtures for the tests against real peers.

pub mod beats;
pub mod cli;
mod documents;
pub mod left_out;
pub mod processes;
pub mod spread;
pub mod sshd;
pub mod sudoers;
pub mod targets;
pub mod throwaway;
pub mod users;
