//! One command on several hosts at once, or files to and from them: bounded, with the outcomes in order.

mod host;
mod lines;
mod run;
mod transfer;

pub use run::{Fleet, FleetEvent, FleetRun, Outcome};
pub use transfer::FleetTransfer;
