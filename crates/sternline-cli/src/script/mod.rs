//! What the verbs that run Starlark scripts share: their options, where output goes, signals and time limits, and errors.

mod options;
mod output;
mod report;
mod running;
mod source;
mod variables;

pub(crate) use options::ScriptOptions;
pub(crate) use output::Written;
pub(crate) use report::report;
pub(crate) use running::{Running, status};
pub(crate) use source::read;
