//! What people see: messages, questions, and the state of their terminal.

mod colour;
mod failure;
pub(crate) mod figures;
pub(crate) mod log;
mod messages;
mod output;
mod output_file;
pub(crate) mod progress;
pub(crate) mod prompter;
pub(crate) mod report;
mod signals;
pub(crate) mod status_line;
pub(crate) mod terminal;

pub(crate) use colour::Colour;
pub(crate) use failure::Failure;
pub(crate) use messages::Ui;
#[cfg(feature = "script")]
pub(crate) use output::Stream;
pub(crate) use output::{Output, Sink, Unwritten};
pub(crate) use output_file::{OutputFile, OutputFolder};
pub(crate) use signals::{INTERRUPT, Signals};
