//! One command on several hosts at once: bounded, with the outcomes in order.

mod host;
mod lines;
mod run;

pub use run::{Fleet, FleetEvent, FleetRun, Outcome};
