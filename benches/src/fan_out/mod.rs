//! Fan-out: `true` on many hosts, all of them addresses of 127.0.0.0/8 that lead to one server.
//!
//! Two hundred are real sshds: each login forks, and is most of the work. A thousand and ten thousand are one embedded server,
//! which does not fork, so that the client is most of the work.

mod hosts;
mod library;
mod measure;
mod peer;
mod server;

pub(crate) use hosts::Hosts;
pub(crate) use library::{LIBRARY, library};
pub(crate) use measure::{real, ten_thousand, thousand};
pub(crate) use server::{Behind, SERVE, serve};
