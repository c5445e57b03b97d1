//! Hosts on which nothing was begun, and why.

use std::collections::BTreeMap;

use sternline::fleet::Skipped;

use super::names::folded;

/// The places of such hosts in the list, by the reason.
#[derive(Debug, Default)]
pub(crate) struct NotBegun(BTreeMap<&'static str, Vec<usize>>);

impl NotBegun {
    pub(crate) fn add(&mut self, place: usize, why: Skipped) {
        let why = match why {
            Skipped::Canary => "a host of the canary failed",
            Skipped::Failures => "as many hosts had failed as may",
            Skipped::Deadline => "the time for the whole run was over",
            _ => "the run was stopped before",
        };
        self.0.entry(why).or_default().push(place);
    }

    /// How many there are.
    pub(crate) fn hosts(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// A line for each reason.
    pub(crate) fn lines(&self, labels: &[String]) -> Vec<String> {
        let line = |(why, places): (&&str, &Vec<usize>)| {
            let mut places = places.clone();
            places.sort_unstable();
            format!("{}: {why}", folded(labels, &places))
        };
        self.0.iter().map(line).collect()
    }
}
