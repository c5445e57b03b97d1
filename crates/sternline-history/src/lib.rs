//! What fleet runs did: which command, when, on which hosts, and how it ended on each.
//!
//! The records are in one SQLite database, readable by its owner only. A [`Recorder`] writes a run while it goes on, from
//! a thread of its own, so that neither a slow disk nor a locked database holds up the run. [`History`] reads. Texts and
//! output are redacted before they are written; of output that is not kept, its length and a keyed hash are, so that two runs
//! can be compared.
//!
//! The crate knows nothing of connections. Only the command line uses it, and those who use the library do not compile it.

mod diff;
mod error;
mod history;
mod id;
mod place;
mod record;
mod recorder;
mod schema;
mod stream;
#[cfg(test)]
mod tests;
mod write;

pub use diff::{Change, What, diff};
pub use error::HistoryError;
pub use history::{Filter, History, Limits};
pub use id::{RunId, RunRef, RunRefError};
pub use record::{End, Host, HostError, HostRecord, NewHost, NewRun, Outcome, Output, Run, State, Stream};
pub use recorder::{Recorded, Recorder};
pub use stream::StreamRecord;
