//! Many commands through one remote shell: for those who run so many, and so short ones, that opening a channel for each is most of
//! the work.

mod attended;
mod end;
mod run;
mod session;
mod shell;
mod state;
mod telling;

pub(crate) use attended::Attended;
pub use session::ShellSession;
