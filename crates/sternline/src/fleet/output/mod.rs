//! What commands write, kept for many hosts at once: a bounded amount in memory, the rest in one unlinked file.

mod collector;
mod group;
mod kept;
mod store;

pub use collector::Collector;
pub use group::group;
pub use kept::{Output, OutputReader};
pub use store::OutputLimits;
