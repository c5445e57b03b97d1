//! sudo(8) with a password: what is sent, what comes back before the command starts, and what a refusal means.
//!
//! sudo reads the password from its standard input (`-S`), and so does the command after it. So nothing may be sent before it is
//! known who reads: sudo, which then prints a prompt that carries a random marker, or the command, which is started by a
//! shell that first prints another one. Both are looked for here, wherever the pieces of the output begin and end.

mod dialog;
mod line;
mod markers;
mod refusal;
mod request;

pub use dialog::{SudoDialog, SudoStep};
pub(crate) use line::sudo_line;
pub use markers::SudoMarkers;
pub(crate) use markers::prompt_in_line;
pub use refusal::SudoRefusal;
pub use request::SudoRequest;
