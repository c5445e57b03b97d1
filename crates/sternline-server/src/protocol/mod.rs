//! The only place that names the SSH crate; no type of it leaves here.

pub(crate) mod channel;
pub(crate) mod config;
pub(crate) mod connection;
pub(crate) mod forward;
pub(crate) mod handler;
pub(crate) mod key;
pub(crate) mod session;
