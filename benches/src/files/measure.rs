//! What is moved, how much of it, and in which order.

use std::error::Error;

use super::bed::Bed;
use super::command::commands;
use super::process;
use super::work::{Peer, Work};
use crate::measure::Server;
use crate::peer::Sample;
use crate::report::{Measured, Report, Rounds};
use crate::worker::ssh_version;

/// How much of everything.
struct Plan {
    rounds: usize,
    counts: [(Work, u32); 8],
}

impl Plan {
    fn new(rounds: usize, large: u32, small: u32, long: u32) -> Self {
        Self {
            rounds,
            counts: [
                (Work::Down, large),
                (Work::Up, large),
                (Work::NewDown, small),
                (Work::NewUp, small),
                (Work::AgainDown, small),
                (Work::AgainUp, small),
                (Work::LongDown, long),
                (Work::LongUp, long),
            ],
        }
    }

    fn full() -> Self {
        Self::new(8, 1024, 10_000, 256)
    }

    fn quick() -> Self {
        Self::new(2, 1, 5, 1)
    }
}

/// Runs the plan, in rounds as everywhere.
///
/// # Errors
/// When a transfer fails, or not all of it arrives.
pub(crate) fn run(server: &Server, quick: bool) -> Result<Report, Box<dyn Error>> {
    let plan = if quick { Plan::quick() } else { Plan::full() };
    let bed = Bed::new(server)?;
    let mut measured = Vec::new();
    for (work, count) in plan.counts {
        bed.make(work, count)?;
        let peers = work.peers();
        let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); peers.len()];
        for round in 0..plan.rounds {
            for (peer, samples) in peers.iter().zip(&mut samples) {
                let sample = sample(*peer, work, &bed)?;
                if round > 0 {
                    samples.push(sample);
                }
            }
        }
        bed.clear(&bed.source(work))?;
        bed.clear(&bed.result(work))?;
        measured.push(Measured {
            name: work.name(),
            unit: work.unit(),
            count,
            peers: peers
                .iter()
                .zip(samples)
                .map(|(peer, samples)| Rounds::new(peer.name(), &version(*peer), &samples, count))
                .collect(),
        });
    }
    Ok(Report {
        ours: &["sternline"],
        rounds: plan.rounds - 1,
        measured,
        left_out: Vec::new(),
    })
}

fn sample(peer: Peer, work: Work, bed: &Bed) -> Result<Sample, Box<dyn Error>> {
    // What is replaced is what the peer before has left, and in the first round, which does not count, nothing.
    if !work.replaces() {
        bed.clear(&bed.result(work))?;
    }
    let told = |error: Box<dyn Error>| format!("{} by {}: {error}", work.name(), peer.name());
    let sample = process::run(commands(peer, work, bed)?).map_err(told)?;
    if !bed.has_arrived(work)? {
        return Err(format!("{} by {}: not all has arrived", work.name(), peer.name()).into());
    }
    Ok(sample)
}

fn version(peer: Peer) -> String {
    match peer {
        Peer::Sternline => env!("CARGO_PKG_VERSION").to_owned(),
        _ => ssh_version(),
    }
}
