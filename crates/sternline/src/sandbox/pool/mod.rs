//! A bounded number of connections that any number of commands share.

mod lease;
mod plan;
mod state;

pub(super) use lease::Lease;
pub(super) use state::Pool;
