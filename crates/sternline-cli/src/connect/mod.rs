//! What every verb that connects shares: its options, and how they become settings of a connection.

mod duration;
mod options;

pub(crate) use options::ConnectOptions;
