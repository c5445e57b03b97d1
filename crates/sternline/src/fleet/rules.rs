//! What a run may be told about its order, its limits and its end.

use std::fmt;

use crate::error::{Error, ErrorKind, SendState};

/// How many hosts are worked on at once, unless [`Fleet::parallel`](super::Fleet::parallel) says otherwise.
const PARALLEL: usize = 64;

/// How many hosts belong to a batch; see [`Fleet::batch`](super::Fleet::batch).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Batch {
    /// So many, at least 1.
    Hosts(usize),
    /// A share of all hosts, above 0 and at most 1; rounded up.
    Share(f64),
}

/// How many failures are too many; see [`Fleet::stop_after`](super::Fleet::stop_after).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum StopAfter {
    /// So many hosts, at least 1.
    Failures(usize),
    /// A share of all hosts of the run, above 0 and at most 1; rounded up.
    Share(f64),
}

/// In what order hosts begin, and when no more do.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rules {
    pub(super) parallel: usize,
    pub(super) canary: usize,
    pub(super) batch: Option<Batch>,
    pub(super) stop_after: Option<StopAfter>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            parallel: PARALLEL,
            canary: 0,
            batch: None,
            stop_after: None,
        }
    }
}

/// Why a host was never begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Skipped {
    /// The run was stopped or cancelled.
    Stopped,
    /// A host of the canary had failed.
    Canary,
    /// Too many hosts had failed.
    Failures,
    /// The run's deadline had passed.
    Deadline,
}

impl Skipped {
    /// The name in JSON: `stopped`, `canary`, `failures`, `deadline`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Canary => "canary",
            Self::Failures => "failures",
            Self::Deadline => "deadline",
        }
    }

    /// Why a host was never begun, if this is what its error says. The fact `skipped` says so in JSON.
    #[must_use]
    pub fn of(error: &Error) -> Option<Self> {
        let name = error.context().extra().get("skipped")?.as_str()?;
        [Self::Stopped, Self::Canary, Self::Failures, Self::Deadline]
            .into_iter()
            .find(|skipped| skipped.as_str() == name)
    }

    /// The error of a host that was never begun.
    pub(super) fn error(self) -> Error {
        Error::new(ErrorKind::Cancelled, self.to_string())
            .with_sent(SendState::NotSent)
            .with_extra("skipped", self.as_str())
            .with_hint(match self {
                Self::Stopped => "run it on this host when it may go on",
                Self::Canary => "find out why the first hosts failed, then run it again",
                Self::Failures => "find out why the others failed, then run it on the rest",
                Self::Deadline => "give the run more time, or work on more hosts at once",
            })
    }
}

/// A fragment such as `nothing was done here: the run was stopped before`.
impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stopped => "nothing was done here: the run was stopped before its turn came",
            Self::Canary => "nothing was done here: one of the hosts that went first has failed",
            Self::Failures => "nothing was done here: too many hosts had failed before its turn came",
            Self::Deadline => "nothing was done here: the run's time was over before its turn came",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_a_host_that_was_left_out_says_why() {
        for skipped in [
            Skipped::Stopped,
            Skipped::Canary,
            Skipped::Failures,
            Skipped::Deadline,
        ] {
            let error = skipped.error();
            assert_eq!(Skipped::of(&error), Some(skipped));
            assert_eq!(
                (error.kind(), error.sent()),
                (&ErrorKind::Cancelled, SendState::NotSent)
            );
        }
        assert_eq!(Skipped::of(&Error::new(ErrorKind::Cancelled, "cancelled")), None);
    }
}
