//! One kind of work, and what each peer needed for it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::session::Session;
use super::statistics::{Summary, ratio};

/// One kind of work, done by several peers in turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Work {
    /// What `--only` calls it: lower case, with hyphens.
    pub name: String,
    /// A heading: "Warm command".
    pub title: String,
    /// What one round is and what is timed, in full sentences. Markdown.
    pub timed: String,
    /// What is measured of each peer. The page draws the first.
    pub quantities: Vec<Quantity>,
    /// The peers, Sternline first.
    pub rows: Vec<Row>,
    /// What is wanted of Sternline here.
    pub wanted: Vec<Wanted>,
    /// Where and when, as the suite fills it in.
    #[serde(default)]
    pub session: Session,
}

/// Something that is measured. Less is better, always.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantity {
    /// Its name in [`Row::values`]: `time`, `cpu`, `memory`, `round_trips`.
    pub key: String,
    /// Its name for people, with its unit in the same words for all peers: "time for each command".
    pub title: String,
    /// The unit of the values: `ms`, `s`, `MiB`.
    pub unit: String,
}

/// What one peer needed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Who: "asyncssh".
    pub peer: String,
    /// Its version, empty where it is not known because it did not run.
    pub version: String,
    /// Whether this is Sternline, which the others are compared with.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ours: bool,
    /// The settings that it ran with where there was a choice: "64 at once".
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub settings: String,
    /// For each quantity's key one value for each round. Values with the same index are of the same round. A peer that has used up its
    /// time has fewer rounds than others.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, Vec<f64>>,
    /// What else has to be known: "3 connections failed and were tried anew".
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Why it did not run, or did not end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_run: Option<String>,
}

/// What is wanted: a value of ours that is at most so large, or at most so large a share of a peer's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// The [`Row::peer`] of ours that it is wanted of.
    pub of: String,
    /// The [`Quantity::key`].
    pub quantity: String,
    /// The [`Row::peer`] that we are compared with; without one the value itself is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub against: Option<String>,
    /// The largest ratio or value that will do.
    pub at_most: f64,
}

impl Quantity {
    /// One of them.
    #[must_use]
    pub fn new(key: &str, title: &str, unit: &str) -> Self {
        Self {
            key: key.to_owned(),
            title: title.to_owned(),
            unit: unit.to_owned(),
        }
    }
}

impl Row {
    /// A peer without figures yet.
    #[must_use]
    pub fn new(peer: &str, version: &str) -> Self {
        Self {
            peer: peer.to_owned(),
            version: version.to_owned(),
            ..Self::default()
        }
    }

    /// Sternline without figures yet.
    #[must_use]
    pub fn ours(peer: &str) -> Self {
        Self {
            ours: true,
            ..Self::new(peer, env!("CARGO_PKG_VERSION"))
        }
    }

    /// A peer that did not run, and why.
    #[must_use]
    pub fn not_run(peer: &str, reason: impl Into<String>) -> Self {
        Self {
            not_run: Some(reason.into()),
            ..Self::new(peer, "")
        }
    }

    /// Adds one round's value of a quantity. Four significant digits are kept.
    pub fn add(&mut self, quantity: &str, value: f64) {
        let values = self.values.entry(quantity.to_owned()).or_default();
        values.push(rounded(value));
    }

    /// Its values of a quantity, one for each round.
    #[must_use]
    pub fn of(&self, quantity: &str) -> &[f64] {
        self.values.get(quantity).map(Vec::as_slice).unwrap_or_default()
    }

    /// The smallest, the middle and the largest of them.
    #[must_use]
    pub fn summary(&self, quantity: &str) -> Option<Summary> {
        Summary::of(self.of(quantity))
    }
}

impl Wanted {
    /// At most so large a share of a peer's value.
    #[must_use]
    pub fn share(of: &str, quantity: &str, against: &str, at_most: f64) -> Self {
        Self {
            of: of.to_owned(),
            quantity: quantity.to_owned(),
            against: Some(against.to_owned()),
            at_most: rounded(at_most),
        }
    }

    /// At most so large a value.
    #[must_use]
    pub fn value(of: &str, quantity: &str, at_most: f64) -> Self {
        Self {
            of: of.to_owned(),
            quantity: quantity.to_owned(),
            against: None,
            at_most,
        }
    }

    /// What came out, as far as both took part.
    #[must_use]
    pub fn measured(&self, work: &Work) -> Option<f64> {
        match &self.against {
            Some(against) => work.ratio(&self.of, against, &self.quantity),
            None => Some(work.row(&self.of)?.summary(&self.quantity)?.median),
        }
    }
}

impl Work {
    /// The row of a peer.
    #[must_use]
    pub fn row(&self, peer: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.peer == peer)
    }

    /// Sternline's rows.
    pub fn ours(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.ours)
    }

    /// How large the one's value is in parts of the other's: the median over the rounds that both had.
    #[must_use]
    pub fn ratio(&self, of: &str, against: &str, quantity: &str) -> Option<f64> {
        ratio(self.row(of)?.of(quantity), self.row(against)?.of(quantity))
    }

    /// How many rounds the peer with the most of them had.
    #[must_use]
    pub fn rounds(&self) -> usize {
        let lengths = self.rows.iter().flat_map(|row| row.values.values().map(Vec::len));
        lengths.max().unwrap_or_default()
    }
}

/// Four significant digits: more would be noise, and would only make the file long.
fn rounded(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work() -> Work {
        let mut ours = Row::ours("sternline");
        let mut theirs = Row::new("ssh", "9");
        for (a, b) in [(1.0, 2.0), (3.0, 4.0), (10.0, 100.0)] {
            ours.add("time", a);
            theirs.add("time", b);
        }
        theirs.values.get_mut("time").unwrap().truncate(2);
        Work {
            name: "connect".into(),
            title: "Connect".into(),
            timed: "All of it.".into(),
            quantities: vec![Quantity::new("time", "time", "ms")],
            rows: vec![ours, theirs, Row::not_run("other", "missing")],
            wanted: Vec::new(),
            session: Session::default(),
        }
    }

    #[test]
    fn only_rounds_that_both_had_are_compared() {
        let work = work();
        assert_eq!(work.ratio("sternline", "ssh", "time"), Some(0.625));
        assert_eq!(work.ratio("sternline", "other", "time"), None);
        assert_eq!(work.rounds(), 3);
    }

    #[test]
    fn what_is_wanted_is_a_share_or_a_value() {
        let work = work();
        let share = Wanted::share("sternline", "time", "ssh", 0.5);
        assert_eq!(share.measured(&work), Some(0.625));
        assert_eq!(Wanted::value("sternline", "time", 5.0).measured(&work), Some(3.0));
        assert_eq!(Wanted::value("sternline", "memory", 5.0).measured(&work), None);
    }

    #[test]
    fn a_value_keeps_four_digits() {
        assert_eq!(rounded(1.234_567), 1.235);
        assert_eq!(rounded(123_456.0), 123_500.0);
        assert_eq!(rounded(0.0), 0.0);
    }

    #[test]
    fn a_work_is_read_back_as_it_was_written() {
        let text = serde_json::to_string(&work()).unwrap();
        assert_eq!(serde_json::from_str::<Work>(&text).unwrap(), work());
    }
}
