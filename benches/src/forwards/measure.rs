//! What goes through the forwards, and in which order.

use std::error::Error;

use super::peer::{Forwarding, PEERS};
use super::traffic::{HEADER, Target, Traffic};
use crate::cpu;
use crate::measure::{Server, WARM_UP};
use crate::peer::Sample;
use crate::report::{FLAVOURS, LeftOut, Measured, Report, Rounds};

/// A kind of traffic.
#[derive(Debug, Clone, Copy)]
enum Work {
    /// MiB that one connection receives.
    Down,
    /// MiB that one connection sends.
    Up,
    /// Connections that send and receive 100 bytes each, all at once.
    Short,
    /// The same, but never more at a time than any peer's listen backlog holds.
    ShortBy100,
}

impl Work {
    fn name(self) -> &'static str {
        match self {
            Self::Down => "forward-down",
            Self::Up => "forward-up",
            Self::Short => "forward-short",
            Self::ShortBy100 => "forward-short-100",
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::Down => "MiB received through a forward",
            Self::Up => "MiB sent through a forward",
            Self::Short => "short connection through a forward, all at once",
            Self::ShortBy100 => "short connection through a forward, 100 at a time",
        }
    }

    fn traffic(self, count: u32) -> Traffic {
        const MEBIBYTE: u64 = 1024 * 1024;
        const SHORT: u64 = 100;
        let bytes = u64::from(count) * MEBIBYTE;
        let (connections, at_once, request, answer) = match self {
            Self::Down => (1, 1, HEADER, bytes),
            // One byte says that all has arrived.
            Self::Up => (1, 1, bytes, 1),
            Self::Short => (count, count, SHORT, SHORT),
            Self::ShortBy100 => (count, 100, SHORT, SHORT),
        };
        Traffic {
            connections,
            at_once,
            request,
            answer,
        }
    }
}

/// How much of everything.
struct Plan {
    rounds: usize,
    counts: [(Work, u32); 4],
}

impl Plan {
    fn full() -> Self {
        Self {
            rounds: 11,
            counts: [
                (Work::Down, 256),
                (Work::Up, 256),
                (Work::Short, 1000),
                (Work::ShortBy100, 1000),
            ],
        }
    }

    fn quick() -> Self {
        Self {
            rounds: 2,
            counts: [
                (Work::Down, 1),
                (Work::Up, 1),
                (Work::Short, 5),
                (Work::ShortBy100, 5),
            ],
        }
    }
}

/// Runs the plan, in rounds as everywhere.
///
/// # Errors
/// When a peer that is needed does not forward.
pub(crate) fn run(server: &Server, quick: bool) -> Result<Report, Box<dyn Error>> {
    let plan = if quick { Plan::quick() } else { Plan::full() };
    allow_many_files()?;
    let target = Target::start()?;
    let mut peers = Vec::new();
    let mut left_out = Vec::new();
    for peer in PEERS {
        match Forwarding::start(peer, server, target.port) {
            Ok(forwarding) => peers.push(forwarding),
            Err(error) if peer.optional() => left_out.push(LeftOut {
                peer: peer.name(),
                reason: error.to_string(),
            }),
            Err(error) => return Err(error),
        }
    }
    let mut measured = Vec::new();
    for (work, count) in plan.counts {
        let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); peers.len()];
        for round in 0..plan.rounds {
            for (peer, samples) in peers.iter().zip(&mut samples) {
                work.traffic(count.div_ceil(WARM_UP)).send(peer.port)?;
                let sample = sample(peer, work.traffic(count))?;
                if round > 0 {
                    samples.push(sample);
                }
            }
        }
        measured.push(Measured {
            name: work.name(),
            unit: work.unit(),
            count,
            peers: peers
                .iter()
                .zip(samples)
                .map(|(peer, samples)| Rounds::new(peer.peer.name(), &peer.version, &samples, count))
                .collect(),
        });
    }
    Ok(Report {
        ours: FLAVOURS,
        rounds: plan.rounds - 1,
        measured,
        left_out,
    })
}

fn sample(peer: &Forwarding, traffic: Traffic) -> Result<Sample, Box<dyn Error>> {
    let before = cpu::of_process(peer.process())?;
    let outcome = traffic.send(peer.port)?;
    let cpu = cpu::of_process(peer.process())?.saturating_sub(before);
    Ok(Sample {
        seconds: outcome.seconds,
        cpu_seconds: cpu.as_secs_f64(),
        peak_mebibytes: None,
        failed: outcome.failed,
    })
}

/// 1,000 connections need more than the 1,024 file descriptors that many systems allow at first. Every process that is
/// started from here inherits the limit.
fn allow_many_files() -> Result<(), Box<dyn Error>> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}
