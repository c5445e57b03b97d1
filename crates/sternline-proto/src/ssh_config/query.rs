//! What is asked about, and what a configuration may ask in turn.

use std::sync::Arc;

use super::line::ConfigFile;
use super::options::Sourced;

/// What a configuration may ask about the machine it is read on.
pub trait Env {
    /// The home directory, for `~` and `%d`.
    fn home(&self) -> Option<String>;

    /// The name of the local user, for `%u`, for `%r` where no user is configured, and for `Match localuser`.
    fn user(&self) -> Option<String>;

    /// The number of the local user, for `%i`.
    fn user_id(&self) -> Option<u32> {
        None
    }

    /// The name of this machine, for `%l` and `%L`.
    fn local_host(&self) -> Option<String> {
        None
    }

    /// An environment variable, for `${NAME}`.
    fn variable(&self, name: &str) -> Option<String>;

    /// The files that a glob pattern fits, sorted by path. The pattern is an absolute path, unless the home directory
    /// is unknown. A file that does not exist is left out, as ssh does. Asked again for each host: keep the answer.
    ///
    /// # Errors
    /// Why a file that exists cannot be used, to be shown to a person.
    fn include(&self, pattern: &str) -> Result<Arc<[ConfigFile]>, String>;
}

/// A file that no other one includes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootFile {
    /// The file.
    pub file: ConfigFile,
    /// The directory where relative includes are looked for: `~/.ssh` for a user's file, also with `-F`, and
    /// `/etc/ssh` for the system's.
    pub include_directory: String,
}

/// What is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// The host as the user named it, which `Host` patterns are compared with.
    pub host: &'a str,
    /// The user named on the command line, by `-l` or in the target. It comes before everything else, for it is the more
    /// special; to ssh the order on the command line counts, and the target comes last.
    pub user: Option<&'a str>,
    /// The port named on the command line, by `-p` or in the target.
    pub port: Option<u16>,
    /// The values of `-o`, each `Key=Value` or `Key Value`. They come before all files.
    pub options: &'a [String],
    /// Lines of an inventory, with their places. They come after the command line and before the files.
    pub inventory: &'a [Sourced<String>],
    /// The files, in order: the user's before the system's.
    pub files: &'a [RootFile],
}
