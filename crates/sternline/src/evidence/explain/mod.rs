//! What went wrong, in which phase, why, and what to do: from a bundle alone.

mod case;
mod connect;
mod credentials;
mod explain;
mod explanation;
mod failure;
mod login;
mod outcome;
mod progress;
mod session;
mod trust;

#[cfg(test)]
mod tests;

pub use explain::explain;
pub use explanation::{Explanation, Outcome, Step, StepState, SupportingFact};
