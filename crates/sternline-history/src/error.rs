//! What can go wrong with the history.

use std::path::Path;

use sternline_proto::text::escape;
use thiserror::Error;

use crate::id::RunRefError;

/// Why the history could not be read or written. Texts from outside are escaped.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// The directory or a file in it cannot be used.
    #[error("{path} cannot hold the history: {reason}")]
    Place {
        /// The directory or file.
        path: String,
        /// Why not.
        reason: String,
    },
    /// A later version of the program made the database.
    #[error(
        "{path} was written by a newer version of Sternline: its format is {found}, and {known} is known here"
    )]
    Newer {
        /// The database.
        path: String,
        /// Its format.
        found: i64,
        /// The latest format that this version knows.
        known: i64,
    },
    /// The file is no database, or a damaged one.
    #[error("{path} is damaged: {reason}")]
    Damaged {
        /// The database.
        path: String,
        /// What SQLite says.
        reason: String,
    },
    /// SQLite did not do what was asked of it.
    #[error("{path} cannot be {doing}: {reason}")]
    Database {
        /// The database.
        path: String,
        /// `read` or `written`.
        doing: &'static str,
        /// What SQLite says.
        reason: String,
    },
    /// No run has this name.
    #[error("no run {0} is recorded")]
    NoSuchRun(String),
    /// Several runs have names that begin so.
    #[error("{count} runs have names that begin with {prefix}")]
    Ambiguous {
        /// The beginning.
        prefix: String,
        /// How many.
        count: usize,
    },
    /// The run has not come to its end.
    #[error("the run {0} is still going on")]
    GoingOn(String),
    /// This names no run.
    #[error(transparent)]
    RunRef(#[from] RunRefError),
    /// The database did not take everything in time.
    #[error("the history was not written in time: the last results may be missing from it")]
    TooSlow,
    /// The thread that writes could not be started, or ended before its time.
    #[error("the history was not written: {0}")]
    Thread(String),
}

impl HistoryError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Place { .. } => {
                "name a directory of your own with STERNLINE_HISTORY, or record nothing with STERNLINE_HISTORY=off"
            }
            Self::Newer { .. } => "use the newer version, or name another directory with STERNLINE_HISTORY",
            Self::Damaged { .. } => "the next run that is recorded moves it aside and begins a new history",
            Self::Database { .. } | Self::TooSlow | Self::Thread(_) => {
                "check the disk, or record nothing with STERNLINE_HISTORY=off"
            }
            Self::NoSuchRun(_) => "see `sternline history` for the runs that are recorded",
            Self::GoingOn(_) => "wait for its end, or stop it",
            Self::Ambiguous { .. } => "write more of the name; `sternline history` shows it in full",
            Self::RunRef(_) => "name a run as `sternline history` does, or write last, last~1 and so on",
        }
    }

    pub(crate) fn place(path: &Path, reason: impl ToString) -> Self {
        Self::Place {
            path: shown(path),
            reason: reason.to_string(),
        }
    }

    /// An error of SQLite, told apart by what follows from it. `doing` is `read` or `written`.
    pub(crate) fn database(path: &Path, doing: &'static str, error: &rusqlite::Error) -> Self {
        let (path, reason) = (shown(path), escape(&error.to_string()));
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt) => {
                Self::Damaged { path, reason }
            }
            _ => Self::Database { path, doing, reason },
        }
    }
}

pub(crate) fn shown(path: &Path) -> String {
    escape(&path.to_string_lossy())
}
