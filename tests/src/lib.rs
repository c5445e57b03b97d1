//! Fixtures for the tests against real peers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a fixture that cannot be set up has to fail its test"
)]

pub mod cli;
mod documents;
pub mod left_out;
pub mod processes;
pub mod sshd;
pub mod users;
