//! Many connections at once: a connection to each of many loopback addresses, `true` on each, all kept open together.
//!
//! The addresses are 127.1.0.1 and those after it. One embedded server answers at all of them, in a process of its own.
//! Each client gets a server that nobody has used before. Both are asked for their memory before the first connection and after the
//! last one.

mod client;
mod measure;
mod process;
mod server;

pub(crate) use client::{CLIENT, client};
pub(crate) use measure::run;
pub(crate) use server::{SERVER, server};
