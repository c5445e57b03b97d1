//! Why something is no pattern.

use thiserror::Error;

/// Why a text is no pattern. The texts in it are escaped.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PatternError {
    /// It would match everything at once.
    #[error("the pattern must not be empty")]
    Empty,
    /// The text is no regular expression.
    #[error("invalid regex pattern \"{pattern}\" at byte {at}: {reason}")]
    Syntax {
        /// The pattern.
        pattern: String,
        /// Where in the pattern.
        at: usize,
        /// What is wrong there.
        reason: String,
    },
    /// It looks ahead or behind.
    #[error("invalid regex pattern \"{pattern}\": regular expressions have no look-around here")]
    LookAround {
        /// The pattern.
        pattern: String,
    },
    /// It refers to what a group has matched.
    #[error("invalid regex pattern \"{pattern}\": regular expressions have no back-references here")]
    BackReference {
        /// The pattern.
        pattern: String,
    },
    /// It grows too large, by repetitions of repetitions for example.
    #[error("the regex pattern is too large: {reason}")]
    TooLarge {
        /// Which limit was met.
        reason: String,
    },
}

impl PatternError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Empty => "name a text that ends what you wait for, such as the prompt",
            Self::Syntax { .. } => {
                "the syntax is that of Rust's regex crate; to wait for the text as it stands use a literal pattern"
            }
            Self::LookAround { .. } => {
                "match the text around it as well, and put what you want of it in a group: foo(bar) for (?<=foo)bar; \
                 to tell two outcomes apart wait for two patterns at once"
            }
            Self::BackReference { .. } => {
                "match both places with a group each, and compare the groups of the result"
            }
            Self::TooLarge { .. } => "use smaller repetition counts, or fewer alternatives",
        }
    }
}
