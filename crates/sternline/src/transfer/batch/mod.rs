//! Many small files as one stream of tar(1) through the server's shell.
//!
//! Over SFTP a small file costs several round trips, and 64 of them are on their way at once at most. A stream costs none,
//! so that the longer the way the more it saves.

mod complaint;
mod fetch;
mod send;

#[cfg(test)]
mod tests;

pub(in crate::transfer) use fetch::{Fetched, fetch};
pub(in crate::transfer) use send::{Item, send};
