//! The seam to the protocol: the only place that names `russh`.
//!
//! What it offers upward is written as SSH means it, whatever the protocol crate underneath does today, so that
//! replacing that crate touches nothing above.

pub(crate) mod agent;
pub(crate) mod algorithms;
mod buffered;
pub(crate) mod carried;
pub(crate) mod certificate;
pub(crate) mod channel;
pub(crate) mod dial;
mod handler;
pub(crate) mod handshake;
pub(crate) mod keys;
pub(crate) mod link;
pub(crate) mod listener;
pub(crate) mod login;
pub(crate) mod proxy_command;
mod queue;
pub(crate) mod relay;
pub(crate) mod session;
mod socket;
pub(crate) mod spill;
#[cfg(test)]
pub(crate) mod test_server;
