//! What evidence of a session holds beside its events, in a form that the library writes and the embedded server reads.

mod command;
mod document;
mod recording;

pub use command::{RecordedCommand, RecordedCommandError, RecordedInput, RecordedOutput};
pub use document::{BUNDLE_VERSION, BundleRecord, BundleTextError, Place, RecordKind, read_bundle};
pub use recording::{Recording, RecordingError};
