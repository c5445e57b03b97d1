//! Scripts: what they add to the library's work on many hosts, and how long the program takes until one runs.

mod fan_out;
mod start;

pub(crate) use fan_out::run as fan_out;
pub(crate) use start::run as start;
