//! Each peer in turn, through a link of its own.

use std::cell::RefCell;
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use sternline_tests::beats::{Beat, Beats};
use sternline_tests::sshd::{Settings, Sshd};
use tokio::runtime::Runtime;

use super::purpose::{purposes, until_exit};
use crate::peer::{PEERS, Peer, Worker};
use crate::results::{Quantity, Row, Session, Wanted, Work};
use crate::suite::{Bench, missing};
use crate::turns::{self, Values, in_turns};
use crate::work::Work as Asked;
use crate::worker::Target;

const OURS: &str = "sternline, multi-thread";

/// Its runtime stands still between two requests, where a program's goes on and opens the next session meanwhile.
const STANDS_STILL: &str = "sternline, current-thread";

/// How long a peer may take for all rounds.
const BUDGET: Duration = Duration::from_secs(30);

/// Counts every peer's round trips.
///
/// # Errors
/// When there is no server.
pub(crate) fn run(bench: &mut Bench) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let sshd = Arc::new(Settings::default().option("LogLevel DEBUG3").start());
    // What each needed its round trips for, as the last round has it.
    let counted: Vec<&Peer> = PEERS.iter().filter(|peer| peer.name != STANDS_STILL).collect();
    let found: Vec<RefCell<Option<String>>> = counted.iter().map(|_| RefCell::default()).collect();
    let mut peers = Vec::new();
    for (peer, found) in counted.into_iter().zip(&found) {
        let row = match peer.package().map(|package| bench.python_version(package)) {
            Some(None) => missing(peer.name, peer.name),
            Some(Some(version)) => Row::new(peer.name, &version),
            None if peer.is_ours() => Row::ours(peer.name),
            None => Row::new(peer.name, &crate::worker::ssh_version()),
        };
        let (sshd, runtime, bench) = (&sshd, &runtime, &*bench);
        peers.push(turns::Peer {
            row,
            turn: Box::new(move || turn(peer, sshd, runtime, bench, found)),
        });
    }
    let mut rows = in_turns(peers, bench.rounds(3, BUDGET));
    for (row, found) in rows.iter_mut().zip(&found) {
        row.notes.extend(found.take());
    }
    bench.done(Work {
        name: "round-trips".to_owned(),
        title: "Round trips".to_owned(),
        timed: "`true` through a link that holds what each end sends until both are silent, and then lets it all arrive: half a round trip. \
                How many of them it takes until the exit status is there does not depend on any machine's speed. A new connection begins \
                with TCP's; what each trip was for is taken from sshd's log. ssh's open connection is a control master's."
            .to_owned(),
        quantities: vec![
            Quantity::new("new", "round trips of a new connection and a command", "trips"),
            Quantity::new("open", "round trips of a command on an open connection", "trips"),
        ],
        rows,
        wanted: vec![
            Wanted::value(OURS, "new", 8.0),
            Wanted::value(OURS, "open", 1.0),
        ],
        session: Session::default(),
    })
}

fn turn(
    peer: &Peer,
    sshd: &Arc<Sshd>,
    runtime: &Runtime,
    bench: &Bench,
    found: &RefCell<Option<String>>,
) -> Result<Values, Box<dyn Error>> {
    let logging = Arc::clone(sshd);
    let upstream = SocketAddr::from((Ipv4Addr::LOCALHOST, sshd.port()));
    let link = runtime.block_on(Beats::start(upstream, move || logging.log()));
    let mut worker = Worker::start_at(peer, &target(sshd, link.addr().port())?, bench)?;
    let mut ask = |work| -> Result<Vec<Beat>, Box<dyn Error>> {
        runtime.block_on(link.begin());
        worker.ask(work, 1)?;
        Ok(runtime.block_on(link.since_the_beginning()))
    };
    let open = ask(Asked::Exec)?;
    let new = ask(Asked::Connect)?;
    let trips = |beats: &[Beat]| {
        let half = until_exit(beats).ok_or("the server's log does not say that the command has ended")?;
        Ok::<_, Box<dyn Error>>(f64::from(half) / 2.0)
    };
    let values = vec![("new", trips(&new)?), ("open", trips(&open)?)];
    found.replace(Some(format!("a new connection: {}", purposes(&new))));
    Ok(values)
}

/// The server, as it is reached through the link.
fn target(sshd: &Sshd, port: u16) -> Result<Target, Box<dyn Error>> {
    let line = sshd.known_hosts_line("ed25519");
    let (_, key) = line
        .split_once(' ')
        .ok_or("a known_hosts line has a name and a key")?;
    let known_hosts = sshd.path(&format!("known_hosts_{port}"));
    std::fs::write(&known_hosts, format!("[127.0.0.1]:{port} {key}"))?;
    Ok(Target {
        port,
        user: sshd.user().name.clone(),
        key: sshd.key(),
        known_hosts,
    })
}
