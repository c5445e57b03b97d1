//! Why a selection selects nothing, or nothing that makes sense.

use thiserror::Error;

use super::super::error::{InventoryError, suggestion};
use crate::target::TargetError;
use crate::text::escape;

/// What is wrong with a selection. Its words are shown with control characters escaped.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SelectionError {
    /// A term is empty, as in `a,,b`.
    #[error("a term of the selection is empty")]
    Empty,
    /// A name that no host, group or label has.
    #[error("the inventory has no {what} {}{}", escape(.name), suggestion(.nearest))]
    Unknown {
        /// What it would be.
        what: &'static str,
        /// The name.
        name: String,
        /// The names that are nearest to it.
        nearest: Vec<String>,
    },
    /// The name of a host and of a group that has other hosts.
    #[error("{} is the name of a host and of a group with other hosts: rename one of them", escape(.name))]
    Ambiguous {
        /// The name.
        name: String,
    },
    /// A group with a user or a port of its own.
    #[error(
        "{} is a group, and only a host is named with a user or port: give them with -l and -p, or write ssh://{} for a host of \
         that name",
        escape(.name), escape(.name)
    )]
    NotAHost {
        /// The name.
        name: String,
    },
    /// A pattern behind `~` that is no regular expression.
    #[error("{} is no regular expression: {reason}", escape(.text))]
    Regex {
        /// The pattern.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A subscript behind something that is neither a group nor a pattern.
    #[error(
        "{} is neither a group nor a pattern, so {} has nothing to choose from: for a range of names write {range}",
        escape(.base), escape(.text)
    )]
    Subscript {
        /// What stands in front of the brackets.
        base: String,
        /// The whole term.
        text: String,
        /// The range that was probably meant.
        range: String,
    },
    /// No host is left.
    #[error("no host is left: {} takes away {}", escape(.term), all_of(*.before))]
    NoneLeft {
        /// The term that took the last ones away.
        term: String,
        /// How many there were before it.
        before: usize,
    },
    /// No host fits.
    #[error("{} selects no host", escape(.term))]
    Nothing {
        /// The term.
        term: String,
    },
    /// What names a host outside the inventory is no target.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// A list of hosts that cannot be read.
    #[error("cannot read the list of hosts {}: {}", escape(.name), escape(.reason))]
    List {
        /// Its name.
        name: String,
        /// What is in the way.
        reason: String,
    },
    /// A line of a list that makes no sense.
    #[error("{}:{line}: {error}", escape(.name))]
    InList {
        /// The list.
        name: String,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        error: Box<SelectionError>,
    },
    /// A term with a sign in a list, or another list.
    #[error("{} cannot stand in a list of hosts, which has names, groups and patterns only", escape(.term))]
    NotInAList {
        /// The term.
        term: String,
    },
    /// A name that is none, or a variable whose value cannot be compared.
    #[error(transparent)]
    Variable(#[from] InventoryError),
}

fn all_of(count: usize) -> String {
    match count {
        1 => "the only one".to_owned(),
        count => format!("all {count}"),
    }
}
