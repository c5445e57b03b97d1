//! Trying to get out of a sandbox, to see that it holds on a given host.

mod attacks;
mod attempt;
mod run;

pub use attempt::{Attempt, Outcome};
pub use run::verify;
