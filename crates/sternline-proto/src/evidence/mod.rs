//! What evidence of a session holds beside its events, in a form that the library writes and the embedded server reads.

mod command;

pub use command::{RecordedCommand, RecordedCommandError, RecordedInput, RecordedOutput};
