//! What people see: messages, questions, and the state of their terminal.

mod failure;
pub(crate) mod log;
mod messages;
pub(crate) mod progress;
pub(crate) mod prompter;
pub(crate) mod report;
mod signals;
pub(crate) mod status_line;
pub(crate) mod terminal;

pub(crate) use failure::Failure;
pub(crate) use messages::Ui;
pub(crate) use signals::Signals;
