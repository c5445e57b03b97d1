//! Which sizes there are, and who runs them.

use std::error::Error;
use std::time::Duration;

use super::hosts::Hosts;
use super::peer::{PEERS, Peer};
use super::server::Behind;
use crate::peer::Sample;
use crate::process;
use crate::results::{Quantity, Row, Session, Wanted, Work};
use crate::suite::{Bench, missing};
use crate::turns::{self, Rounds, in_turns};
use crate::worker::Target;

/// A peer that takes longer in its first trial is not tried with further settings.
const QUICK_ENOUGH: f64 = 6.0;

/// A size.
struct Size {
    name: &'static str,
    /// The next smaller one, from which it is known how long a peer will take.
    smaller: Option<&'static str>,
    /// How many hosts, in full and if it has to be quick.
    hosts: (u32, u32),
    real: bool,
    rounds: usize,
    budget: Duration,
}

const REAL: Size = Size {
    name: "fan-out-200",
    smaller: None,
    hosts: (200, 3),
    real: true,
    rounds: 5,
    budget: Duration::from_secs(35),
};

const THOUSAND: Size = Size {
    name: "fan-out-1000",
    smaller: Some("fan-out-200"),
    hosts: (1000, 4),
    real: false,
    rounds: 4,
    budget: Duration::from_secs(25),
};

const TEN_THOUSAND: Size = Size {
    name: "fan-out-10000",
    smaller: Some("fan-out-1000"),
    hosts: (10_000, 5),
    real: false,
    rounds: 2,
    budget: Duration::from_secs(50),
};

/// `true` on 200 hosts behind a real sshd.
///
/// # Errors
/// When there is no server.
pub(crate) fn real(bench: &mut Bench) -> Result<(), Box<dyn Error>> {
    run(bench, &REAL)
}

/// `true` on 1,000 hosts behind a server that does not fork.
///
/// # Errors
/// When there is no server.
pub(crate) fn thousand(bench: &mut Bench) -> Result<(), Box<dyn Error>> {
    run(bench, &THOUSAND)
}

/// `true` on 10,000 hosts behind a server that does not fork.
///
/// # Errors
/// When there is no server.
pub(crate) fn ten_thousand(bench: &mut Bench) -> Result<(), Box<dyn Error>> {
    run(bench, &TEN_THOUSAND)
}

fn run(bench: &mut Bench, size: &Size) -> Result<(), Box<dyn Error>> {
    let (full, quick) = size.hosts;
    let count = bench.amount(full, quick);
    let rows = if bench.all_of_loopback() {
        measure(bench, size, count)?
    } else {
        let reason = "only root can make a network in which all of 127.0.0.0/8 is one server's";
        PEERS.map(|peer| Row::not_run(peer.name(), reason)).into()
    };
    bench.done(work(size, count, rows))
}

fn measure(bench: &Bench, size: &Size, count: u32) -> Result<Vec<Row>, Box<dyn Error>> {
    let hosts = Hosts::new(count)?;
    let behind = match size.real {
        true => Behind::sshd()?,
        false => Behind::embedded()?,
    };
    let fan_out = FanOut {
        target: behind.target()?,
        hosts,
        behind,
        bench,
    };
    let mut peers = Vec::new();
    for peer in PEERS {
        let (row, at_once) = fan_out.prepare(peer, size);
        let fan_out = &fan_out;
        peers.push(turns::Peer {
            row,
            turn: Box::new(move || {
                let sample = fan_out.once(peer, at_once)?;
                Ok(vec![
                    ("time", sample.seconds),
                    (
                        "cpu",
                        sample.cpu_seconds * 1000.0 / f64::from(fan_out.hosts.count),
                    ),
                ])
            }),
        });
    }
    let rounds = Rounds {
        warm_up: false,
        ..bench.rounds(size.rounds, size.budget)
    };
    Ok(in_turns(peers, rounds))
}

struct FanOut<'a> {
    hosts: Hosts,
    target: Target,
    behind: Behind,
    bench: &'a Bench,
}

impl FanOut<'_> {
    fn once(&self, peer: Peer, at_once: u32) -> Result<Sample, Box<dyn Error>> {
        self.behind.calm_down();
        let command = peer.command(at_once, &self.hosts, &self.target, self.bench)?;
        match peer.is_script() {
            true => process::run_script(command, self.bench.limit()),
            false => process::run_one(command, self.bench.limit()),
        }
    }

    /// A peer's row and how many hosts at once are best for it.
    fn prepare(&self, peer: Peer, size: &Size) -> (Row, u32) {
        let Some(version) = peer.version(self.bench) else {
            return (missing(peer.name(), peer.name()), 0);
        };
        let mut row = match peer.is_ours() {
            true => Row::ours(peer.name()),
            false => Row::new(peer.name(), &version),
        };
        let earlier = size
            .smaller
            .and_then(|smaller| self.bench.earlier(smaller)?.row(peer.name()));
        if let Some(reason) = earlier.and_then(|earlier| self.too_long(earlier, size)) {
            row.not_run = Some(reason);
            return (row, 0);
        }
        let at_once = match peer.settings() {
            // What has been found to be best with real servers need not be best with this one.
            settings if size.smaller.is_none_or(|smaller| smaller == REAL.name) => {
                self.best(peer, settings, earlier)
            }
            settings => Ok(earlier
                .and_then(at_once)
                .or(settings.first().copied())
                .unwrap_or(1)),
        };
        match at_once {
            Ok(at_once) => {
                row.settings = format!("{at_once} at once");
                (row, at_once)
            }
            Err(error) => {
                row.not_run = Some(error.to_string());
                (row, 0)
            }
        }
    }

    /// Why a peer is not even begun, if the smaller size tells that it would take too long.
    fn too_long(&self, earlier: &Row, size: &Size) -> Option<String> {
        let limit = self.bench.limit().as_secs_f64();
        // A real server's logins say nothing about the embedded one's.
        let smaller = size.smaller.filter(|smaller| *smaller != REAL.name)?;
        let smaller = self.bench.earlier(smaller)?;
        let seconds = earlier.summary("time")?.median;
        let fewer: f64 = smaller.name.rsplit('-').next()?.parse().ok()?;
        let more = f64::from(size.hosts.0);
        (!self.bench.quick() && seconds * more / fewer > limit).then(|| {
            format!("{fewer} hosts took it {seconds:.0} s, so that {more} would take longer than the limit of {limit} s")
        })
    }

    /// Which of the settings is best, from one trial with each. A slow peer has only one: with what was best for it before.
    fn best(&self, peer: Peer, settings: &[u32], earlier: Option<&Row>) -> Result<u32, Box<dyn Error>> {
        let before = earlier.and_then(at_once);
        let first = before
            .or(settings.first().copied())
            .ok_or("there is no setting to try")?;
        let is_slow = |row: &Row| {
            let time = row.summary("time");
            time.is_some_and(|time| time.median > QUICK_ENOUGH)
        };
        if self.bench.quick() || earlier.is_some_and(is_slow) {
            return Ok(first);
        }
        let mut best = (first, self.once(peer, first)?.seconds);
        for &other in settings.iter().filter(|other| **other != first) {
            if best.1 > QUICK_ENOUGH {
                break;
            }
            let seconds = self.once(peer, other)?.seconds;
            if seconds < best.1 {
                best = (other, seconds);
            }
        }
        Ok(best.0)
    }
}

/// How many at once a row says.
fn at_once(row: &Row) -> Option<u32> {
    row.settings.split(' ').next()?.parse().ok()
}

fn work(size: &Size, count: u32, rows: Vec<Row>) -> Work {
    let ours = Peer::Sternline.name();
    let (server, wanted) = match size.real {
        true => (
            "one real sshd with MaxStartups raised, where each login forks and is most of the work",
            [
                (Peer::ParallelSsh, 0.5),
                (Peer::Pssh, 0.6),
                (Peer::Clush, 0.6),
                (Peer::Asyncssh, 1.0),
                (Peer::Paramiko, 1.0),
            ]
            .map(|(peer, at_most)| Wanted::share(ours, "time", peer.name(), at_most))
            .into(),
        ),
        false => (
            "one embedded server in a process of its own, which does not fork, so that the client is most of the work",
            vec![Wanted::share(
                Peer::Library.name(),
                "cpu",
                Peer::Asyncssh.name(),
                0.3,
            )],
        ),
    };
    Work {
        name: size.name.to_owned(),
        title: format!("`true` on {count} hosts"),
        timed: format!(
            "A connection to each of {count} addresses of 127.0.0.0/8, and `true` on it. Behind all of them is {server}. Programs are \
             timed from their start to their end; libraries (`sternline, library`, asyncssh, paramiko, parallel-ssh) by a script, from \
             before the first connection until the last one is closed, without the start of the interpreter. Each peer has the \
             better of two numbers of hosts at once. parallel-ssh checks no host keys; \
             all others do. Ansible runs its `raw` module, which needs nothing on the host."
        ),
        quantities: vec![
            Quantity::new("time", "time for all hosts", "s"),
            Quantity::new("cpu", "client CPU for each host", "ms"),
        ],
        rows,
        wanted,
        session: Session::default(),
    }
}
