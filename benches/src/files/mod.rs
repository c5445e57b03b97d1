//! Files: the same transfers by `sternline cp` and by what people use today, each a process of its own from its start to its
//! end. Scripts that use a library take their own time, so that the start of their interpreter does not count.

mod bed;
mod command;
mod measure;
mod work;

pub(crate) use measure::{large, long, small};
