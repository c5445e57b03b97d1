//! Waiting for output: patterns, and finding the first match in text that arrives in pieces.
//!
//! A [`Matcher`] holds what was written and not yet used up; a [`Search`] looks for some patterns in it and goes on where
//! it stopped. How the output is cut into pieces never changes what is found. [`Decoder`] makes text of bytes, and
//! [`ControlFilter`] takes away what only moves a cursor or colours a letter. `docs/design/expect.md` says why it is built
//! this way.

mod automaton;
mod cache;
mod compile;
mod control;
mod decode;
mod error;
mod key;
mod look;
mod matcher;
mod nearest;
mod pattern;
mod result;
mod search;

pub use control::ControlFilter;
pub use decode::Decoder;
pub use error::PatternError;
pub use key::{CursorKeys, Key};
pub use matcher::{Consumed, Matcher};
pub use nearest::{Closeness, Nearest, seen_last, shown_pattern};
pub use pattern::{CompiledPattern, ExpectPattern, IntoPattern, PatternMatch, PatternType};
pub use result::ExpectResult;
pub use search::{Found, Search};
