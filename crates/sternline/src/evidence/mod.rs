//! Evidence: everything that is known of a session, in one file that explains itself later and elsewhere.
//!
//! Nothing here connects or runs anything. What happens is told to it, as events and facts.

mod asciicast;
mod attempt;
mod bundle;
mod diff;
mod entry;
mod explain;
mod facts;
mod file;
mod private_file;
mod read;
mod reading;
mod recorder;
mod redacted;
mod story;
mod timeline;
mod transcript;
mod words;

#[cfg(test)]
mod faces_tests;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;

pub use bundle::{BundleFormat, EvidenceBundle, Redaction};
pub use diff::{Area, Difference, Weight, diff, differences_to_dict};
pub use entry::{InteractionType, Stream, TranscriptEntry, TranscriptParseError};
pub use explain::{Explanation, Outcome, Step, StepState, SupportingFact, explain};
pub use facts::{AlgorithmInfo, HostInfo, PhaseTiming, TimingInfo};
pub use file::{check_private, write_private};
pub use recorder::{EvidenceRecorder, RecordOutput};
pub use sternline_proto::evidence::{BundleTextError, RecordedCommand, RecordedInput, RecordedOutput};
pub use timeline::{Moment, MomentKind, Mood, timeline, utc};
pub use transcript::Transcript;
pub use words::describe;

pub(crate) use recorder::{RecordedStdin, Recording, setting};
pub(crate) use story::Story;
