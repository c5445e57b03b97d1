//! Why a text is not a target.

use std::fmt;

use thiserror::Error;

use crate::text::escape;

/// The part of a target that an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamePart {
    /// The name or address of the host.
    Host,
    /// The name of the account.
    User,
}

impl fmt::Display for NamePart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "host name",
            Self::User => "user name",
        })
    }
}

/// Why a text is not a target or a list of targets. Each message shows the text with control characters escaped.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TargetError {
    /// A host or user name is empty, as in `@host`, `user@` or `a,,b`.
    #[error("the {part} is empty: write HOST, USER@HOST or USER@HOST:PORT")]
    Empty {
        /// Which name.
        part: NamePart,
    },
    /// A name begins with a dash, so that a program might read it as an option.
    #[error("the {part} {} begins with a dash, which other programs would take for an option", escape(.text))]
    LeadingDash {
        /// Which name.
        part: NamePart,
        /// The name as given.
        text: String,
    },
    /// A name holds a character that no host or user name needs: white space, a control character, or one that a
    /// shell obeys.
    #[error("the {part} {} holds the character '{}', which is refused there", escape(.text), escape(&character.to_string()))]
    ForbiddenCharacter {
        /// Which name.
        part: NamePart,
        /// The name as given.
        text: String,
        /// The first refused character.
        character: char,
    },
    /// What follows the last colon is no port number.
    #[error("the port {} is not a number from 1 to 65535", escape(.text))]
    Port {
        /// The port as given.
        text: String,
    },
    /// Several colons, or brackets round something with a colon, but no IPv6 address.
    #[error("{} is not an IPv6 address: write ADDRESS, or [ADDRESS]:PORT", escape(.text))]
    Ipv6 {
        /// The address as given, without brackets.
        text: String,
    },
    /// A bracket without its partner, or text between `]` and the port.
    #[error("the brackets in {} do not match: write [ADDRESS]:PORT for IPv6, NAME[01-20] for a range", escape(.text))]
    Brackets {
        /// The target as given.
        text: String,
    },
    /// A `[...]` in a host name holds something other than numbers and ranges of numbers.
    #[error("the range [{}] is not a list of numbers such as 01-20 or 1-3,7", escape(.text))]
    Range {
        /// What stands between the brackets.
        text: String,
    },
    /// A range whose end is smaller than its start.
    #[error("the range {start}-{end} runs backwards: write {end}-{start}")]
    ReversedRange {
        /// The first number as written.
        start: String,
        /// The last number as written.
        end: String,
    },
    /// The list names more hosts than [`super::MAX_TARGETS`].
    #[error("the list names more than {limit} hosts: split it, or check the ranges in it")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// A range where exactly one host is expected.
    #[error("{} names several hosts, but one is expected here", escape(.text))]
    SeveralHosts {
        /// The target as given.
        text: String,
    },
    /// An `ssh://` URL with a password, a broken percent escape, or a path.
    #[error("the URL {} {problem}", escape(.text))]
    Url {
        /// The URL as given, without the password if it had one.
        text: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}
