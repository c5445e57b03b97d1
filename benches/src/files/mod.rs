//! Files: the same transfers by `sternline cp` and by what people use today, each a process of its own from its start to its
//! end.

mod bed;
mod command;
mod measure;
mod process;
mod work;

pub(crate) use measure::run;
pub(crate) use process::peak_kibibytes;
