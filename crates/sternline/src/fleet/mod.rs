//! One command on several hosts at once, or files to and from them: bounded, with the outcomes in order.

mod builder;
mod drive;
mod host;
mod in_shell;
mod keep;
mod lines;
mod open;
mod outcome;
mod output;
mod pace;
mod plan;
mod retry;
mod rules;
mod run;
mod shells;
mod transfer;
mod way;

pub use builder::Fleet;
pub use keep::Keep;
pub use open::OpenFleet;
pub use outcome::{FleetEvent, Outcome};
pub use output::{Collector, Output, OutputLimits, OutputReader, group};
pub use rules::{Batch, Skipped, StopAfter};
pub use run::{FleetCanceller, FleetRun};
pub use transfer::FleetTransfer;

pub use crate::exec::Script;
