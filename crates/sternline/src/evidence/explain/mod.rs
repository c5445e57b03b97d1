//! What went wrong, in which phase, why, and what to do: from a bundle alone.

mod case;
mod connect;
mod credentials;
mod explanation;
mod failure;
mod from_bundle;
mod login;
mod outcome;
mod progress;
mod session;
mod trust;

#[cfg(test)]
mod tests;

pub use explanation::{Explanation, Outcome, Step, StepState, SupportingFact};
pub use from_bundle::explain;
