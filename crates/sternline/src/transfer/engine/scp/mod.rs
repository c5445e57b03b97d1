//! Transfers by scp's old protocol: what is in the records, and what becomes of it.

mod download;
mod receive;
mod upload;

pub(super) use download::download;
pub(super) use upload::upload;
