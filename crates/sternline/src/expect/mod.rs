//! Dialogues with programs: waiting for what they write, and answering.
//!
//! An [`AutomationEngine`] drives one running command or shell. What it waits for are [`ExpectPattern`]s; how they are
//! found is decided in [`sternline_proto::expect`].

mod engine;
mod options;
mod outcome;
mod record;
mod send;
mod sequence;
mod source;
mod start;
mod step;

pub use engine::AutomationEngine;
pub use sequence::SequenceError;
pub use step::{ExpectRespond, ExpectTimeout, OnTimeout, RespondAction, RespondDelay};
pub use sternline_proto::expect::{
    Closeness, CompiledPattern, ExpectPattern, ExpectResult, IntoPattern, Key, Nearest, PatternError,
    PatternMatch, PatternType,
};
