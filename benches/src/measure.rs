//! What is measured, on what server, and in which order.

use std::error::Error;
use std::path::PathBuf;

use sternline_tests::sshd::{Settings, Sshd};

use crate::peer::{PEERS, Sample, Worker};
use crate::report::{FLAVOURS, LeftOut, Measured, Report, Rounds};
use crate::worker::Target;

/// A kind of work that every peer knows how to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// `true` on a connection that is open already, one after another.
    Exec,
    /// A new connection and `true` on it, one after another.
    Connect,
    /// MiB of zeros read from one command's output.
    Stream,
}

impl Work {
    /// Its name in a request to a worker, and in the JSON report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Exec => "exec",
            Self::Connect => "connect",
            Self::Stream => "stream",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Exec, Self::Connect, Self::Stream]
            .into_iter()
            .find(|work| work.name() == name)
    }

    /// What one unit of it is.
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::Exec => "warm exec of `true`",
            Self::Connect => "connect and first `true`",
            Self::Stream => "MiB of output",
        }
    }
}

/// Before its turn each peer does this fraction of the work without being measured.
pub(crate) const WARM_UP: u32 = 5;

/// How much of everything.
pub(crate) struct Plan {
    rounds: usize,
    counts: [(Work, u32); 3],
}

impl Plan {
    pub(crate) fn full() -> Self {
        Self {
            rounds: 21,
            counts: [(Work::Exec, 50), (Work::Connect, 5), (Work::Stream, 64)],
        }
    }

    pub(crate) fn quick() -> Self {
        Self {
            rounds: 2,
            counts: [(Work::Exec, 3), (Work::Connect, 1), (Work::Stream, 1)],
        }
    }
}

/// The sshd that everybody talks to.
pub(crate) struct Server {
    sshd: Sshd,
    known_hosts: PathBuf,
    _home: tempfile::TempDir,
}

impl Server {
    /// With `ciphers` everybody uses the first of them that both sides have.
    pub(crate) fn start(ciphers: Option<&str>) -> Result<Self, Box<dyn Error>> {
        // A shell's start-up files would be most of what is measured.
        let home = tempfile::tempdir()?;
        let mut settings = Settings::default()
            .option(&format!("SetEnv HOME={}", home.path().display()))
            .option("LogLevel INFO");
        if let Some(ciphers) = ciphers {
            settings = settings.option(&format!("Ciphers {ciphers}"));
        }
        let sshd = settings.start();
        let known_hosts = sshd.known_hosts();
        Ok(Self {
            sshd,
            known_hosts,
            _home: home,
        })
    }

    /// What a worker has to know, as its arguments: port, user, private key, known_hosts file.
    pub(crate) fn arguments(&self) -> [PathBuf; 4] {
        let target = self.target();
        [
            target.port.to_string().into(),
            target.user.into(),
            target.key,
            target.known_hosts,
        ]
    }

    pub(crate) fn target(&self) -> Target {
        Target {
            port: self.sshd.port(),
            user: self.sshd.user().name.clone(),
            key: self.sshd.key(),
            known_hosts: self.known_hosts.clone(),
        }
    }

    /// The same server behind another port.
    ///
    /// # Errors
    /// When its key cannot be written down for that port.
    pub(crate) fn target_at(&self, port: u16) -> Result<Target, Box<dyn Error>> {
        let key = std::fs::read_to_string(self.sshd.path("host_ed25519.pub"))?;
        let known_hosts = self.sshd.path(&format!("known_hosts_{port}"));
        std::fs::write(&known_hosts, format!("[127.0.0.1]:{port} {key}"))?;
        Ok(Target {
            port,
            known_hosts,
            ..self.target()
        })
    }
}

/// Runs the plan: in each round each peer does the same work once, and the first round does not count.
pub(crate) fn run(server: &Server, plan: &Plan, stream: bool) -> Result<Report, Box<dyn Error>> {
    let mut workers = Vec::new();
    let mut left_out = Vec::new();
    for peer in &PEERS {
        match Worker::start(peer, server) {
            Ok(worker) => workers.push(worker),
            Err(error) if peer.optional() => left_out.push(LeftOut {
                peer: peer.name,
                reason: error.to_string(),
            }),
            Err(error) => return Err(error),
        }
    }
    let mut measured = Vec::new();
    for (work, count) in plan.counts {
        if work == Work::Stream && !stream {
            continue;
        }
        let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); workers.len()];
        for round in 0..plan.rounds {
            for (worker, samples) in workers.iter_mut().zip(&mut samples) {
                // Not counted: the server still cleans up after the one before, and the caches are cold.
                worker.ask(work, count.div_ceil(WARM_UP))?;
                let sample = worker.ask(work, count)?;
                if round > 0 {
                    samples.push(sample);
                }
            }
        }
        measured.push(Measured {
            name: work.name(),
            unit: work.unit(),
            count,
            peers: workers
                .iter()
                .zip(samples)
                .map(|(worker, samples)| Rounds::new(worker.peer.name, &worker.version, &samples, count))
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
