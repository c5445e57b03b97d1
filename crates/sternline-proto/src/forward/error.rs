//! Why a text is not a forward.

use thiserror::Error;

use crate::target::TargetError;
use crate::text::escape;

/// Why a text is not a forward.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the forward {option} {} {problem}", escape(.spec))]
pub struct ForwardError {
    /// The option: `-L`, `-R` or `-D`.
    pub option: &'static str,
    /// The forward as given.
    pub spec: String,
    /// What is wrong with it.
    pub problem: ForwardProblem,
}

/// What is wrong with the text of a forward.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ForwardProblem {
    /// Too few fields, too many, or a path in the place of something else.
    #[error("does not have one of its forms: write {forms}, with an IPv6 address in [brackets]")]
    Form {
        /// The forms that the option has.
        forms: &'static str,
    },
    /// A bracket without its partner, or text between `]` and the next colon.
    #[error("has brackets that do not match: write [ADDRESS] round a whole IPv6 address")]
    Brackets,
    /// A backslash at the end.
    #[error("ends with a backslash, which has nothing to escape there")]
    Backslash,
    /// The port to listen on.
    #[error("has the port {} to listen on, which is not a number from 0 to 65535", escape(.text))]
    ListenPort {
        /// The port as given.
        text: String,
    },
    /// The port to connect to.
    #[error("has the port {} to connect to, which is not a number from 1 to 65535", escape(.text))]
    ConnectPort {
        /// The port as given.
        text: String,
    },
    /// The bind address.
    #[error("has a bad bind address: {0}")]
    Bind(TargetError),
    /// The host to connect to.
    #[error("has a bad host to connect to: {0}")]
    Host(TargetError),
    /// A path with a zero byte in it.
    #[error("has a zero byte in a path")]
    Path,
}
