//! scp's old protocol as a client, for servers that offer nothing better.

mod dialog;
mod server;

pub(in crate::transfer) use dialog::{Answer, Dialog};
pub(in crate::transfer) use server::{How, ScpServer};
