//! What goes through the forwards, and in which order.

use std::error::Error;
use std::time::Duration;

use super::peer::{Forwarding, PEERS, Peer};
use super::traffic::{HEADER, Target, Traffic};
use crate::cpu;
use crate::measure::{Server, WARM_UP};
use crate::results::{Quantity, Row, Session, Wanted, Work as Measured};
use crate::suite::Bench;
use crate::turns::{self, Rounds, Values, in_turns};

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

    fn title(self, count: u32) -> String {
        match self {
            Self::Down => format!("{count} MiB received through a forward"),
            Self::Up => format!("{count} MiB sent through a forward"),
            Self::Short => format!("{count} short connections through a forward, all at once"),
            Self::ShortBy100 => format!("{count} short connections through a forward, 100 at a time"),
        }
    }

    fn timed(self, count: u32) -> String {
        let what = match self {
            Self::Down => format!(
                "One connection receives {count} MiB, from before it connects until the end of the answer."
            ),
            Self::Up => format!(
                "One connection sends {count} MiB, from before it connects until the end of an answer of one byte, which comes when \
                 all has arrived."
            ),
            Self::Short => format!(
                "{count} connections, all begun at once, send 100 bytes, read 100 and wait for the end. Timed from before the first \
                 until the last one's end. One that is refused, reset or cut short is tried anew at once, which counts as time. \
                 The listen backlog of ssh is 128 and that of asyncssh 100: of so many connections at once the kernel drops \
                 some, and makes them again after a second. This is what users get, so it counts."
            ),
            Self::ShortBy100 => format!(
                "The same {count} connections, but never more than 100 open, which is below everybody's listen backlog."
            ),
        };
        format!(
            "{what} The local forward is held by a process of its own, on one connection, with its favourite cipher: aes128-gcm for \
             Sternline, chacha20-poly1305 for ssh and asyncssh."
        )
    }

    fn count(self, bench: &Bench) -> u32 {
        match self {
            Self::Down | Self::Up => bench.amount(256, 1),
            Self::Short | Self::ShortBy100 => bench.amount(1000, 5),
        }
    }

    fn wanted(self) -> Vec<Wanted> {
        let at_most = match self {
            Self::Down | Self::Up => 1.0,
            Self::Short => 0.5,
            Self::ShortBy100 => return Vec::new(),
        };
        let ours = PEERS.map(Peer::name);
        ours.into_iter()
            .take(2)
            .map(|name| Wanted::share(name, "time", Peer::Ssh.name(), at_most))
            .collect()
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

const WORKS: [Work; 4] = [Work::Down, Work::Up, Work::Short, Work::ShortBy100];

/// How long a peer may take for all rounds of one kind of traffic.
const BUDGET: Duration = Duration::from_secs(20);

/// Measures the four kinds of traffic through each peer's forward.
///
/// # Errors
/// When there is no server, or nothing that the forwards could lead to.
pub(crate) fn run(bench: &mut Bench) -> Result<(), Box<dyn Error>> {
    let server = Server::start(None)?;
    let target = Target::start()?;
    let forwarding: Vec<_> = PEERS
        .into_iter()
        .map(|peer| (peer, Forwarding::start(peer, &server, target.port, bench)))
        .collect();
    for work in WORKS {
        let count = work.count(bench);
        let peers = forwarding.iter().map(|(peer, forwarding)| match forwarding {
            Ok(forwarding) => turns::Peer {
                row: row(*peer, &forwarding.version),
                turn: Box::new(move || turn(forwarding, work, count)),
            },
            Err(error) => turns::Peer {
                row: Row {
                    not_run: Some(error.to_string()),
                    ..row(*peer, "")
                },
                turn: Box::new(|| Err("it does not forward".into())),
            },
        });
        let rounds = Rounds {
            warm_up: !bench.quick(),
            ..bench.rounds(5, BUDGET)
        };
        let mut rows = in_turns(peers.collect(), rounds);
        for row in &mut rows {
            let retried: f64 = row.values.remove(RETRIED).unwrap_or_default().iter().sum();
            if retried > 0.0 {
                row.notes
                    .push(format!("{retried} connections failed and were tried anew"));
            }
        }
        bench.done(Measured {
            name: work.name().to_owned(),
            title: work.title(count),
            timed: work.timed(count),
            quantities: vec![
                Quantity::new("time", "time", "s"),
                Quantity::new("cpu", "CPU of the process that forwards", "s"),
            ],
            rows,
            wanted: work.wanted(),
            session: Session::default(),
        })?;
    }
    Ok(())
}

/// Connections that failed and were tried anew, which is no quantity but a note.
const RETRIED: &str = "retried";

fn row(peer: Peer, version: &str) -> Row {
    match peer {
        Peer::Sternline(_) => Row::ours(peer.name()),
        _ => Row::new(peer.name(), version),
    }
}

fn turn(peer: &Forwarding, work: Work, count: u32) -> Result<Values, Box<dyn Error>> {
    work.traffic(count.div_ceil(WARM_UP)).send(peer.port)?;
    let before = cpu::of_process(peer.process())?;
    let outcome = work.traffic(count).send(peer.port)?;
    let cpu = cpu::of_process(peer.process())?.saturating_sub(before);
    Ok(vec![
        ("time", outcome.seconds),
        ("cpu", cpu.as_secs_f64()),
        (RETRIED, f64::from(outcome.failed)),
    ])
}
