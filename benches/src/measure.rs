//! Commands, one after another, by each peer in turn. And the server that most workloads talk to.

use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use sternline_tests::processes;
use sternline_tests::sshd::{Settings, Sshd};

use crate::peer::{PEERS, Peer, Worker};
use crate::results::{Row, Work as Measured};
use crate::suite::Bench;
use crate::turns::{self, Rounds, in_turns};
use crate::work::{COMMANDS, GUEST, Work};
use crate::worker::Target;

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

/// Measures commands on a connection that is open, on a new one, and with long output.
///
/// # Errors
/// When there is no server.
pub(crate) fn run(bench: &mut Bench) -> Result<(), Box<dyn Error>> {
    measure(bench, &COMMANDS, |_| true)
}

/// Measures what somebody does who has one guest and many commands: against the two libraries that guests are driven with.
///
/// # Errors
/// When there is no server.
pub(crate) fn guest(bench: &mut Bench) -> Result<(), Box<dyn Error>> {
    measure(bench, &GUEST, Peer::is_for_guests)
}

fn measure(
    bench: &mut Bench,
    works: &[Work],
    takes_part: impl Fn(&Peer) -> bool,
) -> Result<(), Box<dyn Error>> {
    let server = Server::start(None)?;
    for &work in works {
        let count = work.count(bench);
        let unit = f64::from(count);
        let mut peers = Vec::new();
        for peer in PEERS.iter().filter(|peer| takes_part(peer)) {
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
                    peers.push(turns::Peer {
                        row: Row {
                            not_run: Some(error.to_string()),
                            ..row
                        },
                        turn: Box::new(|| Err("it does not run".into())),
                    });
                    continue;
                }
            };
            peers.push(turns::Peer {
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
