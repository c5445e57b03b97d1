//! The peers, each a process that holds one local forward and does nothing else.

use std::error::Error;
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sternline::forward::ForwardManager;
use sternline_tests::sshd::free_port;
use tokio::runtime::Builder;

use super::traffic::input_ended;
use crate::measure::Server;
use crate::suite::Bench;
use crate::worker::{Kind, Target, connect, ssh, ssh_version};

/// The first argument of a process that holds a forward with Sternline.
pub(crate) const FORWARD: &str = "forward";

/// How long a peer may take until it listens.
const START_LIMIT: Duration = Duration::from_secs(10);

/// How often a port is looked for: somebody else may take one before the peer does.
const TRIES: usize = 3;

/// Who forwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    Sternline(Kind),
    Asyncssh,
    Ssh,
}

/// In the order in which they take turns, our own flavours first.
pub(super) const PEERS: [Peer; 4] = [
    Peer::Sternline(Kind::CurrentThread),
    Peer::Sternline(Kind::MultiThread),
    Peer::Asyncssh,
    Peer::Ssh,
];

impl Peer {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Sternline(Kind::MultiThread) => "sternline, multi-thread",
            Self::Sternline(_) => "sternline, current-thread",
            Self::Asyncssh => "asyncssh",
            Self::Ssh => "ssh -L",
        }
    }

    fn version(self, bench: &Bench) -> Result<String, Box<dyn Error>> {
        match self {
            Self::Sternline(_) => Ok(env!("CARGO_PKG_VERSION").to_owned()),
            Self::Asyncssh => Ok(bench
                .python_version("asyncssh")
                .ok_or("asyncssh is not installed")?),
            Self::Ssh => Ok(ssh_version()),
        }
    }

    /// What forwards from one port of this machine to another.
    fn command(self, server: &Server, from: u16, to: u16, bench: &Bench) -> Result<Command, Box<dyn Error>> {
        let mut command = match self {
            Self::Sternline(kind) => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args([FORWARD, kind.name()]);
                command
            }
            Self::Asyncssh => bench.python_script("asyncssh_forward.py"),
            Self::Ssh => {
                let mut command = ssh(&server.target());
                command.args([
                    "-N",
                    "-o",
                    "ExitOnForwardFailure=yes",
                    "-L",
                    &format!("127.0.0.1:{from}:127.0.0.1:{to}"),
                    "127.0.0.1",
                ]);
                return Ok(command);
            }
        };
        command
            .args(server.arguments())
            .args([from, to].map(|port| port.to_string()))
            .stdin(Stdio::piped());
        Ok(command)
    }
}

/// A running peer. Dropping it ends it.
pub(super) struct Forwarding {
    pub(super) version: String,
    /// Where to connect to.
    pub(super) port: u16,
    process: Child,
}

impl Forwarding {
    pub(super) fn start(peer: Peer, server: &Server, to: u16, bench: &Bench) -> Result<Self, Box<dyn Error>> {
        let mut started = Self::try_start(peer, server, to, bench);
        for _ in 1..TRIES {
            if started.is_ok() {
                break;
            }
            started = Self::try_start(peer, server, to, bench);
        }
        started
    }

    /// Starts it and waits until it listens.
    fn try_start(peer: Peer, server: &Server, to: u16, bench: &Bench) -> Result<Self, Box<dyn Error>> {
        let version = peer.version(bench)?;
        let port = free_port();
        let process = peer.command(server, port, to, bench)?.spawn()?;
        let mut this = Self {
            version,
            port,
            process,
        };
        let give_up = Instant::now() + START_LIMIT;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if let Some(status) = this.process.try_wait()? {
                return Err(format!("{} has ended: {status}", peer.name()).into());
            }
            if Instant::now() > give_up {
                return Err(format!("{} does not listen", peer.name()).into());
            }
            std::thread::yield_now();
        }
        Ok(this)
    }

    pub(super) fn process(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Holds a forward with Sternline until the input ends.
///
/// # Errors
/// When the arguments are not those of such a process, or there is no connection or no forward.
pub(crate) fn forward(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let [kind, target @ .., from, to] = arguments else {
        return Err("a forward needs a kind, a server and two ports".into());
    };
    let (target, from, to) = (Target::parse(target)?, from.parse()?, to.parse()?);
    let mut builder = if kind == Kind::MultiThread.name() {
        Builder::new_multi_thread()
    } else {
        Builder::new_current_thread()
    };
    let runtime = builder.enable_all().build()?;
    runtime.block_on(async {
        let connection = connect(&target).await?;
        let manager = ForwardManager::new(&connection);
        manager.forward_local(from, "127.0.0.1", to).await?;
        input_ended().await;
        Ok(())
    })
}
