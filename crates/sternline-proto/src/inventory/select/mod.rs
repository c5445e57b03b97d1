//! Selections: `web:&prod:!canary`, `web-[01-20],env=prod`, `~db\d+`.

mod error;
mod evaluate;
mod pattern;
mod term;

pub use error::SelectionError;
pub use evaluate::{ReadList, Selected, Selection, select, select_with_lists};
pub use term::split_terms;
