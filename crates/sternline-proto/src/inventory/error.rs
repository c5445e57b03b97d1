//! Why an inventory cannot be used.

use thiserror::Error;

use crate::ssh_config::Source;
use crate::target::TargetError;
use crate::text::escape;

/// A problem and the line it stands in.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{place}: {problem}")]
pub struct InventoryError {
    /// The line.
    pub place: Source,
    /// What is wrong there.
    #[source]
    pub problem: Problem,
}

/// What is wrong with an inventory. Words from the file are shown with control characters escaped.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Problem {
    /// The file is not what its format demands.
    #[error("{}", escape(.reason))]
    Syntax {
        /// What is wrong.
        reason: String,
    },
    /// A range in a host name that makes no sense.
    #[error("the range in {} {reason}", escape(.pattern))]
    Range {
        /// The name as written.
        pattern: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A name that is none, whatever it came from.
    #[error("{0}")]
    Name(#[from] TargetError),
    /// More hosts, or more deeply nested, than any inventory has.
    #[error("this is more than an inventory may hold: at most {limit} {what}")]
    TooMuch {
        /// The limit.
        limit: usize,
        /// What there may be so much of.
        what: &'static str,
    },
    /// A word that our TOML does not know.
    #[error("{} does not belong here{}", escape(.word), suggestion(.nearest))]
    Unknown {
        /// The word as written.
        word: String,
        /// What was probably meant, and what else may stand here.
        nearest: Vec<String>,
    },
    /// A group that is its own ancestor.
    #[error("the group {} is a child of its own children", escape(.group))]
    Loop {
        /// One of the groups that go round.
        group: String,
    },
    /// A group that is named as a child or given variables, and that nothing declares.
    #[error("the group {} is declared nowhere", escape(.group))]
    UndeclaredGroup {
        /// The group.
        group: String,
    },
    /// The configuration of a plugin, which would have to be run.
    #[error(
        "this is the configuration of the inventory plugin {}, and plugins are not run: save what `ansible-inventory --list \
         --yaml` makes of it, and use that",
        escape(.plugin)
    )]
    Plugin {
        /// The plugin.
        plugin: String,
    },
    /// A value that Sternline would use, and that is a template.
    #[error("{name} is a template ({}), and templates are not evaluated: write the value itself", escape(.text))]
    Template {
        /// The variable.
        name: String,
        /// The template.
        text: String,
    },
    /// A value that Sternline would use, and that is encrypted.
    #[error("{name} is encrypted by ansible-vault, which is not supported: write the value itself")]
    Vault {
        /// The variable or the file.
        name: String,
    },
    /// A value of the wrong kind.
    #[error("{} is no value for {name}: {expected}", escape(.text))]
    Value {
        /// The variable.
        name: String,
        /// The value.
        text: String,
        /// What would be accepted.
        expected: &'static str,
    },
    /// An argument for ssh that we do not know.
    #[error(
        "{name} has the argument {}, which is not supported: only -o, -J, -p, -l and -i are",
        escape(.argument)
    )]
    Argument {
        /// The variable.
        name: String,
        /// The argument.
        argument: String,
    },
}

/// `: did you mean a, b?`, or nothing.
pub(super) fn suggestion(nearest: &[String]) -> String {
    match nearest {
        [] => String::new(),
        names => {
            let names: Vec<String> = names.iter().map(|name| escape(name)).collect();
            format!(": did you mean {}?", names.join(" or "))
        }
    }
}

/// Up to three of the names that are nearest to a word, the nearest first; none that is far.
pub(crate) fn nearest<'a>(word: &str, names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let limit = (word.chars().count() / 3).max(1);
    let mut found: Vec<(usize, &str)> = names
        .filter_map(|name| Some((distance(word, name, limit)?, name)))
        .collect();
    found.sort_unstable();
    found.dedup();
    found
        .into_iter()
        .take(3)
        .map(|(_, name)| name.to_owned())
        .collect()
}

/// How many letters have to be put in, taken out, replaced or swapped with their neighbour; `None` beyond the limit.
fn distance(a: &str, b: &str, limit: usize) -> Option<usize> {
    let a: Vec<char> = a.chars().flat_map(char::to_lowercase).take(256).collect();
    let b: Vec<char> = b.chars().flat_map(char::to_lowercase).take(256).collect();
    if a.len().abs_diff(b.len()) > limit {
        return None;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        next.push(i + 1);
        for (j, y) in b.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX - 1);
            let mut best = (at(&row, j) + usize::from(x != y))
                .min(at(&row, j + 1) + 1)
                .min(at(&next, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if swapped {
                best = best.min(at(&before, j - 1) + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().filter(|distance| *distance <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_names_are_found_and_far_ones_are_not() {
        let names = ["web-1", "web-2", "db-1", "canary", "Prod"];
        for (word, expected) in [
            ("web1", &["web-1"][..]),
            ("web-3", &["web-1", "web-2"]),
            ("cnary", &["canary"]),
            ("acnary", &["canary"]),
            ("prod", &["Prod"]),
            ("zzz", &[]),
            ("", &[]),
        ] {
            assert_eq!(nearest(word, names.into_iter()), expected, "{word}");
        }
    }
}
