//! The peers at commands, each a worker process that does work on request.

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use crate::measure::Server;
use crate::suite::Bench;
use crate::work::Work;
use crate::worker::{self, Kind, Target};

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
pub(crate) const PEERS: [Peer; 7] = [
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
        name: "parallel-ssh",
        program: Program::Python("parallel_ssh_worker.py", &[]),
    },
    Peer {
        name: "ssh",
        program: Program::Here(Kind::Ssh),
    },
];

impl Peer {
    /// Whether it is Sternline.
    pub(crate) fn is_ours(&self) -> bool {
        matches!(
            self.program,
            Program::Here(Kind::CurrentThread | Kind::MultiThread)
        )
    }

    /// Whether guests are driven with it: Sternline, and the libraries of the same kind.
    pub(crate) fn is_for_guests(&self) -> bool {
        self.is_ours() || matches!(self.package(), Some("asyncssh" | "paramiko"))
    }

    /// The Python package that it is.
    pub(crate) fn package(&self) -> Option<&'static str> {
        match self.program {
            Program::Here(_) => None,
            Program::Python(..) => self.name.split(',').next(),
        }
    }

    fn command(&self, bench: &Bench) -> Result<Command, Box<dyn Error>> {
        match &self.program {
            Program::Here(kind) => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args([worker::ARGUMENT, kind.name()]);
                Ok(command)
            }
            Program::Python(script, arguments) => {
                let mut command = bench.python_script(script);
                command.args(*arguments);
                Ok(command)
            }
        }
    }
}

/// What came of some work.
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
    /// What it is, more exactly.
    pub(crate) version: String,
    name: &'static str,
    process: Child,
    requests: Option<ChildStdin>,
    answers: Receiver<String>,
    limit: Duration,
}

impl Worker {
    /// Starts it and waits for its connection, so that no start-up time is ever measured.
    ///
    /// # Errors
    /// When it does not start, with what it says about that.
    pub(crate) fn start(peer: &Peer, server: &Server, bench: &Bench) -> Result<Self, Box<dyn Error>> {
        Self::start_at(peer, &server.target(), bench)
    }

    /// The same, wherever the server is reached.
    ///
    /// # Errors
    /// As for [`Worker::start`].
    pub(crate) fn start_at(peer: &Peer, target: &Target, bench: &Bench) -> Result<Self, Box<dyn Error>> {
        let mut process = peer
            .command(bench)?
            .args(target.arguments())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("it does not start: {error}"))?;
        let (Some(requests), Some(answers)) = (process.stdin.take(), process.stdout.take()) else {
            return Err("a worker has no standard streams".into());
        };
        let (lines, said) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(answers).lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    break;
                }
            }
        });
        let mut worker = Self {
            version: String::new(),
            name: peer.name,
            process,
            requests: Some(requests),
            answers: said,
            limit: bench.limit(),
        };
        let line = worker.line()?;
        worker.version = match line.strip_prefix("ready ") {
            Some(version) => version.to_owned(),
            None => return Err(format!("it is not ready: {line}").into()),
        };
        Ok(worker)
    }

    /// Has `count` units of work done.
    ///
    /// # Errors
    /// When it ends, or does not answer in time, or answers with something else than two numbers.
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
            _ => Err(format!("{} answered {line:?}", self.name).into()),
        }
    }

    fn line(&mut self) -> Result<String, Box<dyn Error>> {
        match self.answers.recv_timeout(self.limit) {
            Ok(line) => Ok(line.trim_end().to_owned()),
            Err(RecvTimeoutError::Disconnected) => Err("it has ended; its message stands above".into()),
            Err(RecvTimeoutError::Timeout) => {
                let _ = self.process.kill();
                Err(format!("it had not ended after {} s", self.limit.as_secs()).into())
            }
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // The end of its input ends it.
        self.requests = None;
        let _ = self.process.wait();
    }
}
