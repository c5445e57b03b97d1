//! What every workload gets: how much to do, where the peers are, and where the results go.

use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use super::install::Peers;
use super::namespace;
use super::options::Options;
use crate::results::{Results, Session, Work};
use crate::turns::Rounds;

/// A session of the suite.
pub(crate) struct Bench {
    quick: bool,
    limit: Duration,
    json: Option<PathBuf>,
    results: Results,
    session: Session,
    peers: Peers,
    failed: bool,
    started: Instant,
}

impl Bench {
    pub(super) fn new(options: &Options, peers: Peers) -> Result<Self, Box<dyn Error>> {
        let results = match &options.json {
            Some(path) if path.exists() => Results::read(path)?,
            _ => Results::default(),
        };
        allow_many_files()?;
        Ok(Self {
            quick: options.quick,
            limit: options.limit,
            json: options.json.clone(),
            results,
            session: Session::now(options.quick),
            peers,
            failed: false,
            started: Instant::now(),
        })
    }

    /// Whether only to show that everything works, with the smallest amounts.
    pub(crate) fn quick(&self) -> bool {
        self.quick
    }

    /// How long a peer may take for one turn.
    pub(crate) fn limit(&self) -> Duration {
        self.limit
    }

    /// Rounds, or as few as possible if it is only to be quick.
    pub(crate) fn rounds(&self, count: usize, budget: Duration) -> Rounds {
        Rounds {
            count: if self.quick { 1 } else { count },
            budget,
            warm_up: false,
        }
    }

    /// An amount, or the smallest one.
    pub(crate) fn amount<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// The interpreter that has the Python peers.
    pub(crate) fn python(&self) -> Command {
        Command::new(&self.peers.python)
    }

    /// A program that a Python package has brought; `None` where it has not.
    pub(crate) fn python_program(&self, name: &str) -> Option<PathBuf> {
        let path = self.peers.python.with_file_name(name);
        path.is_file().then_some(path)
    }

    /// The version of a Python package; `None` where it is not installed.
    pub(crate) fn python_version(&self, package: &str) -> Option<String> {
        let program = "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))";
        let output = self.python().args(["-c", program, package]).output().ok()?;
        let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        (output.status.success() && !version.is_empty()).then_some(version)
    }

    /// A script of `benches/python`.
    pub(crate) fn python_script(&self, name: &str) -> Command {
        let mut command = self.python();
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(name));
        command
    }

    /// Whether a server that listens on 0.0.0.0 is one that only this suite reaches, on each address of 127.0.0.0/8. Otherwise
    /// none may listen there.
    pub(crate) fn all_of_loopback(&self) -> bool {
        namespace::is_own()
    }

    /// What was measured before, in this session or, of what stands in the file, in another.
    pub(crate) fn earlier(&self, work: &str) -> Option<&Work> {
        self.results.works.iter().find(|known| known.name == work)
    }

    /// Takes what was measured: prints it and writes it down.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn done(&mut self, mut work: Work) -> Result<(), Box<dyn Error>> {
        work.session = self.session.clone();
        let minutes = self.started.elapsed().as_secs_f64() / 60.0;
        let mut out = std::io::stdout().lock();
        writeln!(
            out,
            "[{minutes:.1} min] {}, up to {} rounds\n{work}",
            work.name,
            work.rounds()
        )?;
        out.flush()?;
        self.results.put(work);
        match &self.json {
            Some(path) => Ok(self.results.write(path)?),
            None => Ok(()),
        }
    }

    /// Tells of a workload that could not be measured at all.
    pub(super) fn failed(&mut self, workload: &str, reason: &str) -> Result<(), Box<dyn Error>> {
        self.failed = true;
        writeln!(std::io::stderr(), "peers: {workload}: {reason}")?;
        Ok(())
    }

    pub(super) fn finish(self) -> Result<ExitCode, Box<dyn Error>> {
        writeln!(
            std::io::stdout(),
            "The columns on the right: Sternline's figure divided by the peer's in the same round; the median of all rounds."
        )?;
        Ok(match self.failed {
            true => ExitCode::FAILURE,
            false => ExitCode::SUCCESS,
        })
    }
}

/// 1,000 connections need more than the 1,024 file descriptors that many systems allow at first. Every process that is
/// started from here inherits the limit.
fn allow_many_files() -> Result<(), Box<dyn Error>> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}
