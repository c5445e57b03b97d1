//! Selections: `web:&prod:!canary`, `web-[01-20],env=prod`, `~db\d+`.

mod error;
mod evaluate;
mod pattern;
mod term;

pub use error::SelectionError;
pub use evaluate::{Selected, Selection, select};
pub use term::split_terms;
