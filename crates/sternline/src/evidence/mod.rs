//! Evidence: everything that is known of a session, in one file that explains itself later and elsewhere.
//!
//! Nothing here connects or runs anything. What happens is told to it, as events and facts.

mod bundle;
mod entry;
mod facts;
mod private_file;
mod transcript;

pub use bundle::{EvidenceBundle, Redaction};
pub use entry::{InteractionType, Stream, TranscriptEntry, TranscriptParseError};
pub use facts::{AlgorithmInfo, HostInfo, PhaseTiming, TimingInfo};
pub use sternline_proto::evidence::{RecordedCommand, RecordedInput, RecordedOutput};
pub use transcript::Transcript;
