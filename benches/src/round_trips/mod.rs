//! Round trips: how many of them a command takes, on a new connection and on an open one, counted on a link that knows
//! nothing of time.

mod measure;
mod purpose;

pub(crate) use measure::run;
