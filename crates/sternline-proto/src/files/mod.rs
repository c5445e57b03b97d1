//! What is decided about files that are moved: which of them, under which temporary name, to where, and which way.

mod filter;
mod partial;

pub use filter::{Filter, PatternError, PatternProblem};
pub use partial::{PARTIAL_RANDOM, is_partial, is_partial_of, partial_name};
