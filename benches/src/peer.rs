//! The peers, each a worker process that does work on request.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::measure::{Server, Work};
use crate::worker::{self, Kind};

/// Somebody who is measured.
pub(crate) struct Peer {
    /// Its name in the report.
    pub(crate) name: &'static str,
    program: Program,
}

enum Program {
    /// This program again, as a worker.
    Here(Kind),
    /// A script of `benches/python`, and what to tell it first.
    Python(&'static str, &'static [&'static str]),
}

/// In the order in which they take turns. The first is the one whose ratios the targets are about.
pub(crate) const PEERS: [Peer; 6] = [
    Peer {
        name: "sternline, current-thread",
        program: Program::Here(Kind::CurrentThread),
    },
    Peer {
        name: "sternline, multi-thread",
        program: Program::Here(Kind::MultiThread),
    },
    Peer {
        name: "asyncssh",
        program: Program::Python("asyncssh_worker.py", &[]),
    },
    Peer {
        name: "paramiko",
        program: Program::Python("paramiko_worker.py", &[]),
    },
    Peer {
        name: "paramiko, TCP_NODELAY",
        program: Program::Python("paramiko_worker.py", &["nodelay"]),
    },
    Peer {
        name: "ssh",
        program: Program::Here(Kind::Ssh),
    },
];

impl Peer {
    /// Whether the measurement makes sense without it.
    pub(crate) fn optional(&self) -> bool {
        matches!(self.program, Program::Python(..))
    }

    fn command(&self) -> Result<Command, Box<dyn Error>> {
        match &self.program {
            Program::Here(kind) => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args([worker::ARGUMENT, kind.name()]);
                Ok(command)
            }
            Program::Python(script, arguments) => {
                let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "python"].iter().collect();
                let mut command = python();
                command.arg(folder.join(script)).args(*arguments);
                Ok(command)
            }
        }
    }
}

/// The Python that has the peers.
pub(crate) fn python() -> Command {
    Command::new(std::env::var_os("STERNLINE_TEST_PYTHON").unwrap_or_else(|| "python3".into()))
}

/// What a worker says about some work.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sample {
    /// Sum of the times that are compared.
    pub(crate) seconds: f64,
    /// Processor time of the client's processes for all of it.
    pub(crate) cpu_seconds: f64,
    /// The most memory that the client's process has had at once, where that is looked at.
    pub(crate) peak_mebibytes: Option<f64>,
    /// Connections that failed and were tried anew.
    pub(crate) failed: u32,
}

/// A running worker. Dropping it ends it.
pub(crate) struct Worker {
    pub(crate) peer: &'static Peer,
    /// What it is, more exactly.
    pub(crate) version: String,
    process: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Worker {
    /// Starts it and waits for its connection, so that no start-up time is ever measured.
    ///
    /// # Errors
    /// When it does not start, with what it says about that.
    pub(crate) fn start(peer: &'static Peer, server: &Server) -> Result<Self, Box<dyn Error>> {
        let mut process = peer
            .command()?
            .args(server.arguments())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{} does not start: {error}", peer.name))?;
        let (Some(requests), Some(answers)) = (process.stdin.take(), process.stdout.take()) else {
            return Err("a worker has no standard streams".into());
        };
        let mut worker = Self {
            peer,
            version: String::new(),
            process,
            requests: Some(requests),
            answers: BufReader::new(answers),
        };
        let line = worker.line()?;
        worker.version = match line.strip_prefix("ready ") {
            Some(version) => version.to_owned(),
            None => return Err(format!("{} is not ready: {line}", peer.name).into()),
        };
        Ok(worker)
    }

    /// Has `count` units of work done.
    ///
    /// # Errors
    /// When it ends, or answers with something else than two numbers.
    pub(crate) fn ask(&mut self, work: Work, count: u32) -> Result<Sample, Box<dyn Error>> {
        if let Some(requests) = &mut self.requests {
            writeln!(requests, "{} {count}", work.name())?;
        }
        let line = self.line()?;
        let numbers = line
            .split_once(' ')
            .map(|(seconds, cpu)| (seconds.parse(), cpu.parse()));
        match numbers {
            Some((Ok(seconds), Ok(cpu_seconds))) => Ok(Sample {
                seconds,
                cpu_seconds,
                peak_mebibytes: None,
                failed: 0,
            }),
            _ => Err(format!("{} answered {line:?}", self.peer.name).into()),
        }
    }

    fn line(&mut self) -> Result<String, Box<dyn Error>> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err(format!("{} has ended; see its message above", self.peer.name).into());
        }
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // The end of its input ends it.
        self.requests = None;
        let _ = self.process.wait();
    }
}
