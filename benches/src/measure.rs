//! Commands: on a connection that is open, on a new one, and with long output. And the server that most workloads talk to.

use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use sternline_tests::processes;
use sternline_tests::sshd::{Settings, Sshd};

use crate::peer::{PEERS, Worker};
use crate::results::{Quantity, Row, Session, Wanted, Work as Measured};
use crate::suite::Bench;
use crate::turns::{Peer, Rounds, in_turns};
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

const WORKS: [Work; 3] = [Work::Exec, Work::Connect, Work::Stream];

impl Work {
    /// Its name in a request to a worker.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Exec => "exec",
            Self::Connect => "connect",
            Self::Stream => "stream",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        WORKS.into_iter().find(|work| work.name() == name)
    }

    fn count(self, bench: &Bench) -> u32 {
        match self {
            Self::Exec => bench.amount(50, 3),
            Self::Connect => bench.amount(5, 1),
            Self::Stream => bench.amount(64, 1),
        }
    }

    /// What is compared, without rows yet.
    fn measured(self, count: u32) -> Measured {
        let (name, title, timed, of) = match self {
            Self::Exec => (
                "warm-command",
                "A command on an open connection",
                format!(
                    "{count} times `true`, one after another, on a connection that was opened before. Timed is the call, until the \
                     exit status is known. ssh runs a process for each command, through a control master, and all of the \
                     process is timed."
                ),
                "for each command",
            ),
            Self::Connect => (
                "connect",
                "A new connection and the first command",
                format!(
                    "{count} times a new connection and `true` on it, one after another. Timed is from before the connection \
                     until the exit status; closing it is not. ssh is timed from its start to its end."
                ),
                "for each connection",
            ),
            Self::Stream => (
                "long-output",
                "Long output of one command",
                format!("{count} MiB of zeros from `head -c`, until the last byte."),
                "for each MiB",
            ),
        };
        Measured {
            name: name.to_owned(),
            title: title.to_owned(),
            timed,
            quantities: vec![
                Quantity::new("time", &format!("time {of}"), "ms"),
                Quantity::new("cpu", &format!("client CPU {of}"), "ms"),
            ],
            rows: Vec::new(),
            wanted: self.wanted(),
            session: Session::default(),
        }
    }

    fn wanted(self) -> Vec<Wanted> {
        const OURS: &str = "sternline, current-thread";
        match self {
            Self::Exec => vec![
                Wanted::share(OURS, "time", "asyncssh", 0.85),
                Wanted::share(OURS, "time", "paramiko", 0.85),
                Wanted::share(OURS, "time", "paramiko, TCP_NODELAY", 0.85),
                Wanted::share(OURS, "time", "ssh", 0.35),
                Wanted::share(OURS, "cpu", "asyncssh", 0.2),
            ],
            Self::Connect => vec![
                Wanted::share(OURS, "time", "asyncssh", 0.4),
                Wanted::share(OURS, "time", "ssh", 0.25),
            ],
            Self::Stream => Vec::new(),
        }
    }
}

/// Before its turn each peer does this fraction of the work without being measured.
pub(crate) const WARM_UP: u32 = 5;

/// How long a peer may take for all rounds of one kind of work.
const BUDGET: Duration = Duration::from_secs(30);

/// The sshd that everybody talks to.
pub(crate) struct Server {
    sshd: Sshd,
    known_hosts: PathBuf,
    _home: tempfile::TempDir,
}

impl Server {
    /// On 127.0.0.1. With `ciphers` everybody uses the first of them that both sides have.
    pub(crate) fn start(ciphers: Option<&str>) -> Result<Self, Box<dyn Error>> {
        let mut settings = Settings::default();
        if let Some(ciphers) = ciphers {
            settings = settings.option(&format!("Ciphers {ciphers}"));
        }
        Self::start_with(settings)
    }

    /// On each address of 127.0.0.0/8, for so many logins at once. Only where [`Bench::all_of_loopback`] says so.
    pub(crate) fn start_on_all_of_loopback() -> Result<Self, Box<dyn Error>> {
        Self::start_with(Settings::default().address("0.0.0.0").option("MaxStartups 5000"))
    }

    fn start_with(settings: Settings) -> Result<Self, Box<dyn Error>> {
        // A shell's start-up files would be most of what is measured.
        let home = tempfile::tempdir()?;
        let sshd = settings
            .option(&format!("SetEnv HOME={}", home.path().display()))
            .option("LogLevel INFO")
            .start();
        let known_hosts = sshd.known_hosts();
        Ok(Self {
            sshd,
            known_hosts,
            _home: home,
        })
    }

    /// Waits until no process of an earlier connection is left, or for ten seconds.
    pub(crate) fn calm_down(&self) {
        let give_up = Instant::now() + Duration::from_secs(10);
        while processes::tree(self.sshd.pid()).len() > 1 && Instant::now() < give_up {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What a worker has to know, as its arguments: port, user, private key, known_hosts file.
    pub(crate) fn arguments(&self) -> [PathBuf; 4] {
        self.target().arguments()
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
        self.target_as(&format!("127.0.0.1]:{port}"), port)
    }

    /// The same server at any address of 127.0.0.0/8.
    ///
    /// # Errors
    /// When its key cannot be written down for them.
    pub(crate) fn target_anywhere(&self) -> Result<Target, Box<dyn Error>> {
        let port = self.sshd.port();
        self.target_as(&format!("127.*]:{port}"), port)
    }

    fn target_as(&self, name: &str, port: u16) -> Result<Target, Box<dyn Error>> {
        let key = std::fs::read_to_string(self.sshd.path("host_ed25519.pub"))?;
        let known_hosts = self.sshd.path("known_hosts_elsewhere");
        std::fs::write(&known_hosts, format!("[{name} {key}"))?;
        Ok(Target {
            port,
            known_hosts,
            ..self.target()
        })
    }
}

/// Measures the three kinds of work.
///
/// # Errors
/// When there is no server.
pub(crate) fn run(bench: &mut Bench) -> Result<(), Box<dyn Error>> {
    let server = Server::start(None)?;
    for work in WORKS {
        let count = work.count(bench);
        let unit = f64::from(count);
        let mut peers = Vec::new();
        for peer in &PEERS {
            let row = match peer.is_ours() {
                true => Row::ours(peer.name),
                false => Row::new(peer.name, ""),
            };
            let absent = peer
                .package()
                .filter(|package| bench.python_version(package).is_none());
            let started = match absent {
                Some(package) => Err(format!("{package} is not installed").into()),
                None => Worker::start(peer, &server, bench),
            };
            let mut worker = match started {
                Ok(worker) => worker,
                Err(error) => {
                    peers.push(Peer {
                        row: Row {
                            not_run: Some(error.to_string()),
                            ..row
                        },
                        turn: Box::new(|| Err("it does not run".into())),
                    });
                    continue;
                }
            };
            peers.push(Peer {
                row: Row {
                    version: worker.version.clone(),
                    ..row
                },
                turn: Box::new(move || {
                    // Not counted: the server still cleans up after the one before, and the caches are cold.
                    worker.ask(work, count.div_ceil(WARM_UP))?;
                    let sample = worker.ask(work, count)?;
                    Ok(vec![
                        ("time", sample.seconds * 1000.0 / unit),
                        ("cpu", sample.cpu_seconds * 1000.0 / unit),
                    ])
                }),
            });
        }
        let rounds = Rounds {
            warm_up: !bench.quick(),
            ..bench.rounds(8, BUDGET)
        };
        let rows = in_turns(peers, rounds);
        bench.done(Measured {
            rows,
            ..work.measured(count)
        })?;
    }
    Ok(())
}
