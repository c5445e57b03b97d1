//! The figures, as tables for people and as JSON.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use crate::peer::Sample;
use crate::statistics::{Summary, ratio};

/// Sternline's flavours where it is measured on both of the runtime's.
pub(crate) const FLAVOURS: &[&str] = &["current-thread", "multi-thread"];

/// Everything that came out of a session.
pub(crate) struct Report {
    /// What the first peers of all kinds of work are: the others are compared with each of them.
    pub(crate) ours: &'static [&'static str],
    /// How many rounds counted.
    pub(crate) rounds: usize,
    pub(crate) measured: Vec<Measured>,
    pub(crate) left_out: Vec<LeftOut>,
}

/// A peer that could not take part.
pub(crate) struct LeftOut {
    pub(crate) peer: &'static str,
    pub(crate) reason: String,
}

/// One kind of work, with everybody's rounds.
pub(crate) struct Measured {
    /// Its name in the JSON report.
    pub(crate) name: &'static str,
    /// What one unit of it is.
    pub(crate) unit: &'static str,
    /// How many units of it a round had.
    pub(crate) count: u32,
    pub(crate) peers: Vec<Rounds>,
}

/// What one peer needed, one value for each round: times in milliseconds for one unit of work, memory in MiB.
pub(crate) struct Rounds {
    name: &'static str,
    version: String,
    time: Vec<f64>,
    cpu: Vec<f64>,
    /// Empty where it was not looked at.
    memory: Vec<f64>,
    /// Connections of all rounds that failed and were tried anew.
    failed: u32,
}

impl Rounds {
    pub(crate) fn new(name: &'static str, version: &str, samples: &[Sample], count: u32) -> Self {
        let per_unit = |seconds: f64| seconds * 1000.0 / f64::from(count);
        Self {
            name,
            version: version.to_owned(),
            time: samples.iter().map(|sample| per_unit(sample.seconds)).collect(),
            cpu: samples
                .iter()
                .map(|sample| per_unit(sample.cpu_seconds))
                .collect(),
            memory: samples
                .iter()
                .filter_map(|sample| sample.peak_mebibytes)
                .collect(),
            failed: samples.iter().map(|sample| sample.failed).sum(),
        }
    }
}

/// What is shown of the rounds, all in the same way.
struct Quantity {
    /// Its name in the JSON report, and the name that its values have there.
    key: &'static str,
    values_key: &'static str,
    title: &'static str,
    values: fn(&Rounds) -> &[f64],
}

const QUANTITIES: [Quantity; 3] = [
    Quantity {
        key: "time",
        values_key: "time_ms",
        title: "time in ms for each",
        values: |rounds| &rounds.time,
    },
    Quantity {
        key: "cpu",
        values_key: "cpu_ms",
        title: "client CPU in ms for each",
        values: |rounds| &rounds.cpu,
    },
    Quantity {
        key: "memory",
        values_key: "memory_mib",
        title: "peak memory in MiB",
        values: |rounds| &rounds.memory,
    },
];

impl Measured {
    /// The ratio of one of our flavours to a peer.
    fn ratio(&self, flavour: usize, theirs: &Rounds, values: fn(&Rounds) -> &[f64]) -> Option<f64> {
        let ours = self.peers.get(flavour)?;
        ratio(values(ours), values(theirs))
    }

    fn has(&self, quantity: &Quantity) -> bool {
        self.peers
            .iter()
            .any(|rounds| !(quantity.values)(rounds).is_empty())
    }
}

impl Report {
    pub(crate) fn json(&self) -> Value {
        let summary = |values: &[f64]| {
            Summary::of(values)
                .map(|summary| json!({ "min": summary.min, "median": summary.median, "max": summary.max }))
        };
        let peers = |measured: &Measured| -> Vec<Value> {
            let one = |rounds: &Rounds| {
                let mut peer = Map::new();
                peer.insert("peer".into(), rounds.name.into());
                peer.insert("version".into(), rounds.version.as_str().into());
                for quantity in QUANTITIES.iter().filter(|quantity| measured.has(quantity)) {
                    let (key, values) = (quantity.key, quantity.values);
                    peer.insert(quantity.values_key.into(), summary(values(rounds)).into());
                    for (flavour, name) in self.ours.iter().enumerate() {
                        let ratio = measured.ratio(flavour, rounds, values);
                        peer.insert(format!("{key}_ratio_of_{}", name.replace('-', "_")), ratio.into());
                    }
                }
                peer.insert("failed".into(), rounds.failed.into());
                Value::Object(peer)
            };
            measured.peers.iter().map(one).collect()
        };
        json!({
            "schema": 1,
            "rounds": self.rounds,
            "measured": self.measured.iter().map(|measured| json!({
                "work": measured.name,
                "unit": measured.unit,
                "per_round": measured.count,
                "peers": peers(measured),
            })).collect::<Vec<_>>(),
            "left_out": self.left_out.iter().map(|left_out| json!({
                "peer": left_out.peer, "reason": left_out.reason,
            })).collect::<Vec<_>>(),
        })
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for measured in &self.measured {
            for quantity in QUANTITIES.iter().filter(|quantity| measured.has(quantity)) {
                let _ = writeln!(
                    text,
                    "{}: {} ({} rounds of {})",
                    measured.unit, quantity.title, self.rounds, measured.count
                );
                let _ = write!(text, "  {:<44} {:>8} {:>8} {:>8}  ", "", "min", "median", "max");
                for name in self.ours {
                    let _ = write!(text, " {name:>14}");
                }
                text.push('\n');
                for rounds in &measured.peers {
                    self.table_row(&mut text, measured, rounds, quantity.values);
                }
                text.push('\n');
            }
            for rounds in measured.peers.iter().filter(|rounds| rounds.failed > 0) {
                let _ = writeln!(
                    text,
                    "{}: {} connections failed and were tried anew\n",
                    rounds.name, rounds.failed
                );
            }
        }
        let _ = writeln!(
            text,
            "The columns on the right: Sternline's figure divided by the peer's in the same round; the median of all rounds."
        );
        for left_out in &self.left_out {
            let _ = writeln!(text, "LEFT OUT: {} ({})", left_out.peer, left_out.reason);
        }
        text
    }

    fn table_row(
        &self,
        text: &mut String,
        measured: &Measured,
        rounds: &Rounds,
        values: fn(&Rounds) -> &[f64],
    ) {
        let Some(summary) = Summary::of(values(rounds)) else {
            return;
        };
        let _ = write!(
            text,
            "  {:<44} {:>8.2} {:>8.2} {:>8.2}  ",
            format!("{} ({})", rounds.name, rounds.version),
            summary.min,
            summary.median,
            summary.max,
        );
        for flavour in 0..self.ours.len() {
            let ratio = measured.ratio(flavour, rounds, values);
            let _ = write!(
                text,
                " {:>14}",
                ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"))
            );
        }
        text.push('\n');
    }
}
