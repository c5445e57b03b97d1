//! What cannot be asked of a guest.

use thiserror::Error;

use crate::text::escape;

/// Why something cannot be asked of a guest. Nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GuestError {
    /// The command is empty or blank.
    #[error("command cannot be empty")]
    EmptyCommand,
    /// A command holds a NUL byte, at which servers end the session.
    #[error("command cannot hold a NUL byte; one stands at position {position}")]
    Nul {
        /// Counted in bytes from 0.
        position: usize,
    },
    /// The text names no [`ShellMode`](super::ShellMode).
    #[error("shell must be 'login' or 'raw'")]
    UnknownMode,
    /// The text names no [`ShellKind`](super::ShellKind).
    #[error("shell_kind must be 'sh', 'powershell' or 'cmd'")]
    UnknownKind,
    /// A variable's name is not a letter or `_` followed by letters, digits and `_`.
    #[error("{} is not the name of an environment variable: use letters, digits and _", escape(.name))]
    VariableName {
        /// The name as given.
        name: String,
    },
    /// The name is one that Sternline keeps its own books under.
    #[error("{} is reserved: it says which variables of the guest were set from here", escape(.name))]
    ReservedName {
        /// The name as given.
        name: String,
    },
    /// The name is one that bash lets nobody set.
    #[error("{} cannot be set: bash keeps it for itself", escape(.name))]
    ReadOnly {
        /// The name as given.
        name: String,
    },
    /// The value cannot be a variable's.
    #[error("the value of {} {problem}", escape(.name))]
    VariableValue {
        /// The variable's name.
        name: String,
        /// What is wrong with its value: the end of a sentence.
        problem: &'static str,
    },
    /// A file of variables holds something that was not written by [`render_file`](super::render_file).
    #[error("line {line} of the file of variables is none that Sternline writes: {what}")]
    File {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// PowerShell answered to [`read_script`](super::read_script) with something else than variables.
    #[error("the guest's PowerShell answered with something else than its variables")]
    Answer,
}
