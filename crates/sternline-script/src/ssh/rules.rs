//! In what order hosts begin, and when no more do: `max_parallel`, `batch`, `canary`, `stop_after`, `exec_policy`.

use std::time::Duration;

use starlark::values::Value;
use sternline::Fleet;
use sternline::fleet::{Batch, StopAfter};

use super::arguments::Name;

/// What becomes of hosts that could not be worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnError {
    /// The call fails once all hosts have ended.
    Raise,
    /// Their results say so.
    Continue,
}

impl OnError {
    pub(super) fn read(function: &str, word: &str) -> anyhow::Result<Self> {
        let words = [("raise", Self::Raise), ("continue", Self::Continue)];
        super::arguments::word(function, "on_error", word, &words)
    }
}

/// The rules of all calls of a client.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) parallel: Option<usize>,
    pub(super) batch: Option<Batch>,
    pub(super) canary: usize,
    pub(super) stop_after: Option<StopAfter>,
    /// One host after another (`exec_policy="linear"`).
    pub(super) linear: bool,
    pub(super) retries: u32,
    pub(super) host_deadline: Option<Duration>,
    pub(super) deadline: Option<Duration>,
}

impl Rules {
    /// Gives a fleet these rules.
    ///
    /// One host after another stops at a host that could not be worked on, unless the call is to go on, or says itself when to
    /// stop. An exit status is no such failure.
    pub(super) fn apply(&self, mut fleet: Fleet, on_error: OnError) -> Fleet {
        if let Some(parallel) = self.parallel {
            fleet = fleet.parallel(parallel);
        }
        if let Some(batch) = self.batch {
            fleet = fleet.batch(batch);
        }
        if let Some(stop) = self.stop_after {
            fleet = fleet.stop_after(stop);
        }
        if let Some(limit) = self.host_deadline {
            fleet = fleet.host_deadline(limit);
        }
        if let Some(limit) = self.deadline {
            fleet = fleet.deadline(limit);
        }
        if self.linear {
            fleet = fleet.parallel(1);
            let says_itself = self.stop_after.is_some() || self.canary > 0;
            if on_error == OnError::Raise && !says_itself {
                fleet = fleet.stop_after(StopAfter::Failures(1)).any_status(true);
            }
        }
        fleet.canary(self.canary).retries(self.retries)
    }
}

/// So many hosts, or a share of them such as `"25%"`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Amount {
    Hosts(usize),
    Share(f64),
}

impl Amount {
    /// At least `least` hosts, or more than 0 % and not more than 100 %.
    pub(super) fn read(name: Name, value: Value, least: i32) -> anyhow::Result<Self> {
        let expected = format!("a number of hosts from {least} on, or a share such as \"25%\"");
        if let Some(number) = value.unpack_i32() {
            return match usize::try_from(number) {
                Ok(hosts) if number >= least => Ok(Self::Hosts(hosts)),
                _ => Err(name.not(&expected, value)),
            };
        }
        let share = value.unpack_str().and_then(|text| text.strip_suffix('%'));
        let Some(share) = share else {
            return Err(name.not(&expected, value));
        };
        let plain = share.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        match share.parse::<f64>() {
            Ok(percent) if plain && percent > 0.0 && percent <= 100.0 => Ok(Self::Share(percent / 100.0)),
            _ => Err(name.wrong(format!(
                "\"{}%\" is no share: it is above 0% and at most 100%",
                sternline::proto::text::escape(share)
            ))),
        }
    }
}

impl From<Amount> for Batch {
    fn from(amount: Amount) -> Self {
        match amount {
            Amount::Hosts(hosts) => Self::Hosts(hosts),
            Amount::Share(share) => Self::Share(share),
        }
    }
}

impl From<Amount> for StopAfter {
    fn from(amount: Amount) -> Self {
        match amount {
            Amount::Hosts(hosts) => Self::Failures(hosts),
            Amount::Share(share) => Self::Share(share),
        }
    }
}
