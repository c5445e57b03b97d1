//! Commands that one POSIX shell runs one after another, told apart by random markers.
//!
//! The shell is started once, by [`SHELL`](crate::remote_process::SHELL), and reads lines from its standard input. For each command it
//! gets one line ([`run_line`]), and what it writes for it ends in a marker on both of its streams ([`FramedOutput`]). The
//! descriptors 8 and 9 are copies of the streams for the markers alone: the commands do not have them.
//!
//! Nothing is escaped in the output, and nothing is ever looked for but 16 characters that nobody has seen before. The marker is told to
//! the shell alone: it stands in no argument list and in no variable. It keeps outputs apart, which makes no boundary between the
//! commands of one user: what runs as the shell's user can do to the shell whatever it likes.

mod line;
mod marker;
mod output;
mod under;

pub use line::{LONGEST_INPUT, Place, changes_nothing, hello_line, run_line};
pub use marker::Marker;
pub use output::{FramedOutput, ShellIds, parse_hello};
pub use under::{UNDER, finish_under_line};
