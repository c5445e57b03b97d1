//! One attempt to get out, and what came of it.

use sternline_proto::text::escape;

/// One attempt to get out of a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// A short name that does not change, such as `remount`.
    pub name: &'static str,
    /// What was tried, as a sentence without a full stop.
    pub tried: &'static str,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of an [`Attempt`]. The texts are escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The sandbox held.
    Held(String),
    /// It did not: what got out, or how far.
    Escaped(String),
    /// It could not be tried there, for this reason. It says nothing about the sandbox.
    NotTried(String),
}

impl Outcome {
    /// The name in JSON.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Held(_) => "held",
            Self::Escaped(_) => "escaped",
            Self::NotTried(_) => "not_tried",
        }
    }

    /// The detail.
    #[must_use]
    pub fn detail(&self) -> &str {
        match self {
            Self::Held(detail) | Self::Escaped(detail) | Self::NotTried(detail) => detail,
        }
    }

    /// Reads what the script of an attempt wrote: lines that begin with `held`, `escaped` or `untried`, and a colon. One that
    /// escaped counts for all; and a script that says nothing was not able to try.
    pub(super) fn read(output: &str) -> Self {
        let find = |verdict: &str| {
            let mut lines = output.lines();
            lines.find_map(|line| Some(escape(line.strip_prefix(verdict)?.strip_prefix(':')?.trim())))
        };
        if let Some(detail) = find("escaped") {
            return Self::Escaped(detail);
        }
        if let Some(detail) = find("held") {
            return Self::Held(detail);
        }
        let reason = find("untried").unwrap_or_else(|| "the attempt did not say what came of it".to_owned());
        Self::NotTried(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_escape_outweighs_everything_and_silence_is_no_success() {
        for (output, expected) in [
            ("held: read-only\n", Outcome::Held("read-only".into())),
            (
                "held: a\nescaped: b\x1b\nheld: c\n",
                Outcome::Escaped("b\\x1b".into()),
            ),
            ("untried: no mount\n", Outcome::NotTried("no mount".into())),
            ("untried: no mount\nheld: x\n", Outcome::Held("x".into())),
            (
                "",
                Outcome::NotTried("the attempt did not say what came of it".into()),
            ),
            (
                "unheld: x\n",
                Outcome::NotTried("the attempt did not say what came of it".into()),
            ),
        ] {
            assert_eq!(Outcome::read(output), expected, "{output:?}");
        }
    }
}
