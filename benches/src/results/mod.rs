//! What comes of a session: one [`Work`] for each kind of work, with a [`Row`] for each peer. That is what the tables show,
//! what stands in `docs/benchmarks/results.json`, and all that the page is made from.

mod file;
mod row;
mod session;
mod statistics;
mod text;

pub use file::Results;
pub use row::{Quantity, Row, Wanted, Work};
pub use session::Session;
pub use statistics::{Summary, ratio};
pub(crate) use text::figure;
