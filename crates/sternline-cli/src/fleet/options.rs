//! The options for several hosts.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use sternline::fleet::{Batch, Fleet, StopAfter};

use crate::connect::parse_duration;
use crate::limits;
use crate::ui::Ui;

/// One group of options for the verbs that work on several hosts at once.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Several hosts")]
pub(crate) struct FleetOptions {
    /// How many hosts are worked on at once
    #[arg(long, value_name = "N", default_value = "64")]
    pub(crate) forks: NonZeroUsize,

    /// Work on so many hosts, or on such a share of all; on the next as many when all of these are done, and so on
    #[arg(long, value_name = "N|P%", value_parser = portion)]
    pub(crate) batch: Option<Portion>,

    /// Work on the first N hosts alone; on the others only if all of these succeed
    #[arg(long, value_name = "N")]
    pub(crate) canary: Option<NonZeroUsize>,

    /// Begin no further host once one has failed
    #[arg(long, conflicts_with = "max_failures")]
    pub(crate) fail_fast: bool,

    /// Begin no further host once so many have failed, or such a share of all
    #[arg(long, value_name = "N|P%", value_parser = portion)]
    pub(crate) max_failures: Option<Portion>,

    /// How long a host may take, from the beginning of connecting, further attempts included, such as 2m [default: no limit]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) host_timeout: Option<Duration>,

    /// Try a host so many times more if connecting fails for a reason that may pass, such as a server that refuses; what may have
    /// begun is never done again
    #[arg(long, value_name = "N")]
    pub(crate) retries: Option<NonZeroU32>,

    /// Leave out all hosts but those that did not succeed in an earlier run: `last`, a run of the history by its id, or a file that
    /// lists them, such as ./out/failed
    #[arg(long, value_name = "RUN|FILE")]
    pub(crate) retry_failed: Option<String>,

    /// Do not ask before working on more than 50 hosts
    #[arg(short, long)]
    pub(crate) yes: bool,
}

impl FleetOptions {
    /// Lowers the number of hosts that are worked on at once to what files can be open for, `each` for one host.
    pub(crate) fn fit(&mut self, hosts: usize, each: u64, ui: &Ui) {
        let fitting = limits::at_once(self.forks.get().min(hosts), each, ui);
        self.forks = self
            .forks
            .min(NonZeroUsize::new(fitting).unwrap_or(NonZeroUsize::MIN));
    }

    /// Gives a fleet these settings.
    pub(crate) fn apply(&self, mut fleet: Fleet) -> Fleet {
        fleet = fleet.parallel(self.forks.get());
        if let Some(batch) = self.batch {
            fleet = fleet.batch(match batch {
                Portion::Hosts(hosts) => Batch::Hosts(hosts),
                Portion::Share(share) => Batch::Share(share),
            });
        }
        if let Some(hosts) = self.canary {
            fleet = fleet.canary(hosts.get());
        }
        if let Some(failures) = self.most_failures() {
            fleet = fleet.stop_after(match failures {
                Portion::Hosts(hosts) => StopAfter::Failures(hosts),
                Portion::Share(share) => StopAfter::Share(share),
            });
        }
        if let Some(limit) = self.host_timeout {
            fleet = fleet.host_deadline(limit);
        }
        if let Some(retries) = self.retries {
            fleet = fleet.retries(retries.get());
        }
        fleet
    }

    /// After how many failures no further host is begun.
    pub(crate) fn most_failures(&self) -> Option<Portion> {
        match self.fail_fast {
            true => Some(Portion::Hosts(1)),
            false => self.max_failures,
        }
    }
}

/// A number of hosts, or a share of all of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Portion {
    /// At least 1.
    Hosts(usize),
    /// More than 0, at most 1.
    Share(f64),
}

fn portion(text: &str) -> Result<Portion, String> {
    let refused = || "write a number of hosts from 1, or a share of them such as 25%".to_owned();
    match text.strip_suffix('%') {
        Some(percent) => percent
            .parse::<f64>()
            .ok()
            .filter(|percent| *percent > 0.0 && *percent <= 100.0)
            .map(|percent| Portion::Share(percent / 100.0))
            .ok_or_else(refused),
        None => text
            .parse::<NonZeroUsize>()
            .map(|hosts| Portion::Hosts(hosts.get()))
            .map_err(|_| refused()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_portion_is_a_number_or_a_share() {
        for (text, expected) in [
            ("1", Some(Portion::Hosts(1))),
            ("500", Some(Portion::Hosts(500))),
            ("25%", Some(Portion::Share(0.25))),
            ("0.5%", Some(Portion::Share(0.005))),
            ("100%", Some(Portion::Share(1.0))),
            ("0", None),
            ("0%", None),
            ("101%", None),
            ("-1", None),
            ("NaN%", None),
            ("%", None),
            ("", None),
            ("half", None),
        ] {
            assert_eq!(portion(text).ok(), expected, "{text}");
        }
    }
}
