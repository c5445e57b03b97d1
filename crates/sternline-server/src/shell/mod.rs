//! Commands run in a real shell on this machine. Unix only.

mod modes;
mod process;
mod run;
mod signal;

pub(crate) use run::run;
