//! What a round of chaos is made of.

mod forwards;
mod leftovers;
mod plan;
mod work;

pub(crate) use forwards::{Forwards, echo};
pub(crate) use leftovers::{Leftovers, none_left};
pub(crate) use plan::{Blow, Moment, Round};
pub(crate) use work::{Board, Stream, Tally, Work};
