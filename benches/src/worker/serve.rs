//! The conversation with the measuring process.

use std::error::Error;
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::time::Duration;

use super::openssh::OpenSsh;
use super::sternline::Sternline;
use crate::cpu;
use crate::work::Work;

/// The first argument of a worker.
pub(crate) const ARGUMENT: &str = "worker";

/// Which worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Sternline on tokio's current-thread runtime.
    CurrentThread,
    /// Sternline on tokio's multi-thread runtime, with its default number of threads.
    MultiThread,
    /// OpenSSH's ssh: a process for each command.
    Ssh,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::CurrentThread => "current-thread",
            Self::MultiThread => "multi-thread",
            Self::Ssh => "ssh",
        }
    }
}

/// Where to connect to, and with what.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) key: PathBuf,
    pub(crate) known_hosts: PathBuf,
}

impl Target {
    /// As [`Target::parse`] takes them.
    pub(crate) fn arguments(&self) -> [PathBuf; 4] {
        [
            self.port.to_string().into(),
            self.user.clone().into(),
            self.key.clone(),
            self.known_hosts.clone(),
        ]
    }

    /// From the arguments of a process: port, user, private key, known_hosts file.
    ///
    /// # Errors
    /// When these are not all there.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, Box<dyn Error>> {
        let [port, user, key, known_hosts] = arguments else {
            return Err("a peer needs a port, a user, a key and a known_hosts file".into());
        };
        Ok(Self {
            port: port.parse()?,
            user: user.clone(),
            key: key.into(),
            known_hosts: known_hosts.into(),
        })
    }
}

/// Something that is measured.
pub(super) trait Client {
    /// What it is.
    fn version(&self) -> String;

    /// Does the work and returns the time that is compared.
    fn work(&mut self, work: Work, count: u32) -> Result<Duration, Box<dyn Error>>;

    /// The processor time of other processes that work for this one.
    fn cpu_elsewhere(&self) -> Result<Duration, Box<dyn Error>> {
        Ok(Duration::ZERO)
    }
}

/// Works until the input ends.
///
/// # Errors
/// When the arguments are not those of a worker, or anything that was asked for fails: a benchmark of failures is worthless.
pub(crate) fn run(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let Some((kind, target)) = arguments.split_first() else {
        return Err("a worker needs its kind".into());
    };
    let target = Target::parse(target)?;
    let kinds = [Kind::CurrentThread, Kind::MultiThread, Kind::Ssh];
    let mut client: Box<dyn Client> = match kinds.into_iter().find(|known| known.name() == kind) {
        Some(Kind::CurrentThread) => Box::new(Sternline::current_thread(target)?),
        Some(Kind::MultiThread) => Box::new(Sternline::multi_thread(target)?),
        Some(Kind::Ssh) => Box::new(OpenSsh::start(target)?),
        None => return Err(format!("there is no worker {kind}").into()),
    };
    serve(&mut *client)
}

fn serve(client: &mut dyn Client) -> Result<(), Box<dyn Error>> {
    let mut answers = std::io::stdout().lock();
    writeln!(answers, "ready {}", client.version())?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (work, count) = line.split_once(' ').unwrap_or((&line, "1"));
        let work = Work::from_name(work).ok_or_else(|| format!("there is no work {work}"))?;
        let count = count.parse()?;
        let before = cpu::own() + client.cpu_elsewhere()?;
        let time = client.work(work, count)?;
        let cpu = (cpu::own() + client.cpu_elsewhere()?).saturating_sub(before);
        writeln!(answers, "{} {}", time.as_secs_f64(), cpu.as_secs_f64())?;
        answers.flush()?;
    }
    Ok(())
}
