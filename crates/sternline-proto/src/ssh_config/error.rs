//! Why a configuration cannot be used.

use thiserror::Error;

use super::options::Source;
use crate::target::TargetError;
use crate::text::escape;

/// A problem and the line it stands in.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{place}: {problem}")]
pub struct ConfigError {
    /// The line.
    pub place: Source,
    /// What is wrong there.
    #[source]
    pub problem: Problem,
}

/// What is wrong with a line of a configuration. Words from the file are shown with control characters escaped.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Problem {
    /// A word that ssh_config(5) does not know.
    #[error("unknown option {}: correct it, or list it in IgnoreUnknown", escape(.keyword))]
    UnknownOption {
        /// The word as written.
        keyword: String,
    },
    /// An option that ssh knows and Sternline does not obey, where going on without it would be less secure, or lead
    /// elsewhere.
    #[error("{} is not supported: {reason}", escape(.keyword))]
    NotSupported {
        /// The option as written.
        keyword: String,
        /// What would go wrong without it, and how to go on.
        reason: &'static str,
    },
    /// A criterion of a `Match` line that is not supported, where it would decide whether the block applies.
    #[error("Match {} is not supported, and so it is not known whether this block applies: limit the line to other \
             hosts with a further criterion such as originalhost, or set another file with -F", escape(.criterion))]
    MatchUnknown {
        /// Its name.
        criterion: String,
    },
    /// A word that is no criterion of a `Match` line.
    #[error("{} is no criterion for Match: write all, canonical, final, host, originalhost, user or localuser",
            escape(.criterion))]
    MatchCriterion {
        /// The word as written.
        criterion: String,
    },
    /// A criterion without the patterns that it needs.
    #[error("Match {} needs a pattern", escape(.criterion))]
    MatchArgument {
        /// The criterion as written.
        criterion: String,
    },
    /// `Match all` together with other criteria.
    #[error("Match all cannot be combined with further criteria")]
    MatchAll,
    /// `Host`, `Match` or `Include` given with `-o`.
    #[error("{} cannot be given with -o: put it into a file", escape(.keyword))]
    OnlyInFiles {
        /// The option as written.
        keyword: String,
    },
    /// A quote that is never closed.
    #[error("a quote is not closed")]
    Quote,
    /// An option without a value, or with an empty one.
    #[error("{} needs a value", escape(.keyword))]
    NoValue {
        /// The option as written.
        keyword: String,
    },
    /// More values than the option takes.
    #[error("{} takes one value: quote it if it holds spaces", escape(.keyword))]
    ExtraValue {
        /// The option as written.
        keyword: String,
    },
    /// A value that the option does not take.
    #[error("{} is no value for {}: {expected}", escape(.value), escape(.keyword))]
    Value {
        /// The option as written.
        keyword: String,
        /// The value as written.
        value: String,
        /// What would be accepted.
        expected: &'static str,
    },
    /// A host or user name that is refused whatever it came from.
    #[error("{0}")]
    Name(#[from] TargetError),
    /// A `%` token that is unknown, not supported, or cut off.
    #[error("the token {} in {} is not supported here", escape(.token), escape(.text))]
    Token {
        /// The token, with its percent sign.
        token: String,
        /// The value it stands in.
        text: String,
    },
    /// A name that would stand for a `%` token in a command, and holds something that a shell does not take for a part
    /// of a word.
    #[error("{token} cannot stand in a command for a shell: {} has the character {}", escape(.value),
            escape(&.character.to_string()))]
    ShellToken {
        /// The token, with its percent sign.
        token: String,
        /// The name.
        value: String,
        /// The first such character.
        character: char,
    },
    /// A `${NAME}` of a variable that is not set.
    #[error("the environment variable {} is not set", escape(.name))]
    Variable {
        /// The variable's name.
        name: String,
    },
    /// A path that begins with `~`, where the home directory is not known or is somebody else's.
    #[error("cannot tell which directory {} means: write the path in full", escape(.path))]
    Home {
        /// The path as written.
        path: String,
    },
    /// An included file that exists and cannot be read.
    #[error("cannot include {}: {}", escape(.pattern), escape(.reason))]
    Include {
        /// The pattern, as an absolute path.
        pattern: String,
        /// What the reader of files said.
        reason: String,
    },
    /// Files that include each other without end.
    #[error("includes are nested more than {limit} deep: does a file include itself?")]
    IncludeDepth {
        /// The limit, which is ssh's own.
        limit: usize,
    },
}
