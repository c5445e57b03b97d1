//! What is different between two bundles: it worked yesterday, it fails today.

mod compare;
mod difference;
mod login;
mod settings;
mod work;

#[cfg(test)]
mod tests;

pub use compare::diff;
pub use difference::{Area, Difference, Weight, differences_to_dict};
