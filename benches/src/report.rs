//! The figures, as tables for people and as JSON.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use crate::peer::Sample;
use crate::statistics::{Summary, ratio};

/// Everything that came out of a session.
pub(crate) struct Report {
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

/// What one peer needed, one value for each round, in milliseconds for one unit of work.
pub(crate) struct Rounds {
    name: &'static str,
    version: String,
    time: Vec<f64>,
    cpu: Vec<f64>,
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
            failed: samples.iter().map(|sample| sample.failed).sum(),
        }
    }
}

/// Time and processor time are shown in the same way.
type Quantity = (&'static str, &'static str, fn(&Rounds) -> &[f64]);

const QUANTITIES: [Quantity; 2] = [
    ("time", "time", |rounds| &rounds.time),
    ("cpu", "client CPU", |rounds| &rounds.cpu),
];

/// The peers that the others are compared with: Sternline's two runtime flavours.
const OURS: usize = 2;

impl Measured {
    /// For one peer: the ratio of each of our flavours to it.
    fn ratios(&self, theirs: &Rounds, values: fn(&Rounds) -> &[f64]) -> [Option<f64>; OURS] {
        std::array::from_fn(|flavour| {
            let ours = self.peers.get(flavour)?;
            ratio(values(ours), values(theirs))
        })
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
                for (key, _, values) in QUANTITIES {
                    let [current_thread, multi_thread] = measured.ratios(rounds, values);
                    peer.insert(format!("{key}_ms"), summary(values(rounds)).into());
                    peer.insert(format!("{key}_ratio_of_current_thread"), current_thread.into());
                    peer.insert(format!("{key}_ratio_of_multi_thread"), multi_thread.into());
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
            for (_, title, values) in QUANTITIES {
                let _ = writeln!(
                    text,
                    "{}: {title} in ms for each ({} rounds of {})",
                    measured.unit, self.rounds, measured.count
                );
                let _ = writeln!(
                    text,
                    "  {:<44} {:>8} {:>8} {:>8}   {:>14} {:>12}",
                    "", "min", "median", "max", "current-thread", "multi-thread"
                );
                for rounds in &measured.peers {
                    table_row(&mut text, measured, rounds, values);
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
            "The last two columns: Sternline's time, on each flavour of the tokio runtime, divided by the peer's in the\n\
             same round; the median of all rounds."
        );
        for left_out in &self.left_out {
            let _ = writeln!(text, "LEFT OUT: {} ({})", left_out.peer, left_out.reason);
        }
        text
    }
}

fn table_row(text: &mut String, measured: &Measured, rounds: &Rounds, values: fn(&Rounds) -> &[f64]) {
    let Some(summary) = Summary::of(values(rounds)) else {
        return;
    };
    let [current_thread, multi_thread] = measured
        .ratios(rounds, values)
        .map(|ratio| ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}")));
    let _ = writeln!(
        text,
        "  {:<44} {:>8.2} {:>8.2} {:>8.2}   {current_thread:>14} {multi_thread:>12}",
        format!("{} ({})", rounds.name, rounds.version),
        summary.min,
        summary.median,
        summary.max,
    );
}
