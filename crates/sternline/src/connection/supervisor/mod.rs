//! A connection that is made again when it is lost.

mod builder;
mod events;
mod handle;
mod history;
mod surroundings;
mod task;
#[cfg(test)]
mod tests;

pub use builder::SupervisorBuilder;
pub use handle::{Supervisor, SupervisorStatus};
pub use history::{ConnectionEnd, ConnectionRecord};

pub(crate) use handle::Attached;
