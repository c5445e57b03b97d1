//! What is moved, how much of it, and in which order.

use std::error::Error;
use std::time::Duration;

use super::bed::Bed;
use super::command::{commands, script};
use super::work::{Peer, Work};
use crate::measure::Server;
use crate::process;
use crate::results::{Quantity, Row, Session, Wanted, Work as Measured};
use crate::suite::{Bench, missing};
use crate::turns::{self, Rounds, Values, in_turns};
use crate::worker::ssh_version;

/// How long a peer may take for all rounds of one kind of work.
const BUDGET: Duration = Duration::from_secs(15);

/// One large file, both ways.
///
/// # Errors
/// When there is no server.
pub(crate) fn large(bench: &mut Bench) -> Result<(), Box<dyn Error>> {
    run(bench, &[Work::Down, Work::Up], (1024, 1), 5)
}

/// Many small files, both ways, into a new directory and over what is there.
///
/// # Errors
/// When there is no server.
pub(crate) fn small(bench: &mut Bench) -> Result<(), Box<dyn Error>> {
    run(bench, &[Work::NewDown, Work::NewUp], (10_000, 5), 3)?;
    run(bench, &[Work::AgainDown, Work::AgainUp], (10_000, 5), 2)
}

/// A file over a link with long round trips, both ways.
///
/// # Errors
/// When there is no server.
pub(crate) fn long(bench: &mut Bench) -> Result<(), Box<dyn Error>> {
    run(bench, &[Work::LongDown, Work::LongUp], (256, 1), 3)
}

fn run(
    bench: &mut Bench,
    works: &[Work],
    (full, quick): (u32, u32),
    rounds: usize,
) -> Result<(), Box<dyn Error>> {
    let server = Server::start(Some("aes128-gcm@openssh.com"))?;
    let bed = Bed::new(&server)?;
    let count = bench.amount(full, quick);
    for &work in works {
        bed.make(work, count)?;
        let rounds = Rounds {
            // What is replaced has to be there.
            warm_up: work.replaces(),
            ..bench.rounds(rounds, BUDGET)
        };
        let peers = work
            .peers()
            .iter()
            .map(|&peer| contestant(peer, work, &bed, bench));
        let rows = in_turns(peers.collect(), rounds);
        bed.clear(&bed.source(work))?;
        bed.clear(&bed.result(work))?;
        bench.done(measured(work, count, rows))?;
    }
    Ok(())
}

fn contestant<'a>(peer: Peer, work: Work, bed: &'a Bed, bench: &'a Bench) -> turns::Peer<'a> {
    let row = match peer {
        Peer::Sternline => Row::ours(peer.name()),
        _ if peer.script().is_some() => match bench.python_version(peer.name()) {
            Some(version) => Row::new(peer.name(), &version),
            None => missing(peer.name(), peer.name()),
        },
        _ => Row::new(peer.name(), &ssh_version()),
    };
    turns::Peer {
        row,
        turn: Box::new(move || turn(peer, work, bed, bench)),
    }
}

fn turn(peer: Peer, work: Work, bed: &Bed, bench: &Bench) -> Result<Values, Box<dyn Error>> {
    // What is replaced is what the peer before has left.
    if !work.replaces() {
        bed.clear(&bed.result(work))?;
    }
    let sample = match peer.script() {
        Some(name) => process::run_script(script(name, work, bed, bench), bench.limit())?,
        None => process::run(commands(peer, work, bed)?, bench.limit())?,
    };
    if !bed.has_arrived(work)? {
        return Err("not all has arrived".into());
    }
    Ok(vec![
        ("time", sample.seconds),
        ("cpu", sample.cpu_seconds),
        ("memory", sample.peak_mebibytes.unwrap_or_default()),
    ])
}

fn measured(work: Work, count: u32, rows: Vec<Row>) -> Measured {
    let ours = Peer::Sternline.name();
    let (shares, memory) = work.wanted();
    let mut wanted: Vec<Wanted> = shares
        .iter()
        .map(|(peer, at_most)| Wanted::share(ours, "time", peer.name(), *at_most))
        .collect();
    wanted.push(Wanted::value(ours, "memory", memory));
    Measured {
        name: work.name().to_owned(),
        title: work.title(count),
        timed: work.timed(count),
        quantities: vec![
            Quantity::new("time", "time", "s"),
            Quantity::new("cpu", "client CPU", "s"),
            Quantity::new("memory", "peak memory", "MiB"),
        ],
        rows,
        wanted,
        session: Session::default(),
    }
}
