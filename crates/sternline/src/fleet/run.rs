//! The hosts, the run, and what comes of it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::host::Host;
use crate::connection::ConnectionBuilder;
use crate::error::{Error, ErrorKind, PartialOutput, Result};
use crate::exec::{Command, ExecRequest, ExecResult, OutputStream};
use crate::secret::SharedSecret;

/// How many hosts are worked on at once, unless [`Fleet::parallel`] says otherwise.
const PARALLEL: usize = 64;

/// Events that wait for [`FleetRun::next`]. When as many wait, the hosts' output is held back.
const WAITING: usize = 64;

type Configure = Arc<dyn Fn(&str, ConnectionBuilder) -> ConnectionBuilder + Send + Sync>;

/// Several hosts, and how to connect to them.
///
/// Each host gets a connection of its own, at most 64 at once by default, and at most one outcome. Host keys are
/// verified as on any connection; nobody is asked anything unless [`Fleet::configure`] gives a prompter.
///
/// ```no_run
/// # async fn example() -> sternline::Result<()> {
/// use sternline::Fleet;
/// use sternline::host_key::KnownHosts;
///
/// // Parsed once for all hosts.
/// let known_hosts = KnownHosts::from_bytes("known_hosts", &std::fs::read("known_hosts").unwrap_or_default());
/// let fleet = Fleet::new(["web-1", "web-2"])
///     .configure(move |_host, builder| builder.username("deploy").known_hosts_parsed(known_hosts.clone(), None));
/// for outcome in fleet.exec("uptime").await {
///     match outcome.result {
///         Ok(result) => println!("{}: {}", outcome.host, result.stdout_text()),
///         Err(error) => println!("{}: {error}", outcome.host),
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Fleet {
    pub(super) targets: Vec<String>,
    pub(super) parallel: usize,
    pub(super) configure: Configure,
    sudo_password: Option<SharedSecret>,
}

/// What became of one host.
#[derive(Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// The host, as it was named.
    pub host: String,
    /// How the command ended there, or why it did not.
    pub result: Result<ExecResult>,
    /// How long it took, connecting included.
    pub duration: Duration,
}

impl Outcome {
    /// Whether the command ran and returned 0.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.result.as_ref().is_ok_and(ExecResult::ok)
    }
}

/// Something that happened on one of the hosts. `index` is the host's place in the list, from 0.
#[derive(Debug)]
#[non_exhaustive]
pub enum FleetEvent {
    /// Output: one or more complete lines. Only the last of a stream, and one that is longer than a mebibyte, may lack
    /// its line end. Joined, the bytes are the stream as it came.
    Lines {
        /// Which host.
        index: usize,
        /// Where it was written to.
        stream: OutputStream,
        /// The lines.
        bytes: Bytes,
    },
    /// The end, once for every host. The output of its result is empty, for it came as lines.
    Done {
        /// Which host.
        index: usize,
        /// What became of it.
        outcome: Outcome,
    },
}

impl Fleet {
    /// The hosts, each as `Connection::builder` takes them. Order and number are kept.
    #[must_use]
    pub fn new<T: Into<String>>(targets: impl IntoIterator<Item = T>) -> Self {
        Self {
            targets: targets.into_iter().map(Into::into).collect(),
            parallel: PARALLEL,
            configure: Arc::new(|_, builder| builder),
            sudo_password: None,
        }
    }

    /// How many hosts are worked on at once, at least 1. Default 64.
    #[must_use]
    pub fn parallel(mut self, hosts: usize) -> Self {
        self.parallel = hosts.max(1);
        self
    }

    /// Settles how to connect: called with each host, as it was named, and the beginning of its connection.
    #[must_use]
    pub fn configure(
        mut self,
        configure: impl Fn(&str, ConnectionBuilder) -> ConnectionBuilder + Send + Sync + 'static,
    ) -> Self {
        self.configure = Arc::new(configure);
        self
    }

    /// What to answer sudo on every host, for commands with [`Sudo::Password`](crate::exec::Sudo::Password): see
    /// [`ExecRequest::sudo_password`]. One host is told it first, the others once it was taken, each once at most; after one has
    /// refused it, nobody is.
    #[must_use]
    pub fn sudo_password(mut self, password: impl Into<SharedSecret>) -> Self {
        self.sudo_password = Some(password.into());
        self
    }

    /// Runs a command on all hosts and waits for the last one. The outcomes stand in the order of the hosts.
    ///
    /// All output is kept in memory. Dropping the future ends the commands in the background.
    pub async fn exec(&self, command: impl Into<Command>) -> Vec<Outcome> {
        let command = command.into();
        let mut run = self.start(move |_| ExecRequest::new(command.clone()));
        let mut output: Vec<(BytesMut, BytesMut)> = vec![Default::default(); self.targets.len()];
        let mut outcomes: Vec<Option<Outcome>> = self.targets.iter().map(|_| None).collect();
        while let Some(event) = run.next().await {
            match event {
                FleetEvent::Lines { index, stream, bytes } => {
                    let Some((stdout, stderr)) = output.get_mut(index) else {
                        continue;
                    };
                    match stream {
                        OutputStream::Stdout => stdout.extend_from_slice(&bytes),
                        OutputStream::Stderr => stderr.extend_from_slice(&bytes),
                    }
                }
                FleetEvent::Done { index, mut outcome } => {
                    let Some(output) = output.get_mut(index) else {
                        continue;
                    };
                    let (stdout, stderr) = std::mem::take(output);
                    outcome.result = with_output(outcome.result, stdout.freeze(), stderr.freeze());
                    if let Some(slot) = outcomes.get_mut(index) {
                        *slot = Some(outcome);
                    }
                }
            }
        }
        let outcomes = outcomes.into_iter().zip(&self.targets);
        outcomes
            .map(|(outcome, host)| outcome.unwrap_or_else(|| lost(host)))
            .collect()
    }

    /// Starts a command on all hosts and gives what happens as it happens. `request` is called with each host once
    /// its turn has come.
    ///
    /// Must be called in a tokio runtime, like everything else that connects.
    #[must_use]
    pub fn start(&self, request: impl Fn(&str) -> ExecRequest + Send + 'static) -> FleetRun {
        let (events, receiver) = mpsc::channel(WAITING);
        let cancel = watch::Sender::new(false);
        let cancelled = cancel.subscribe();
        let fleet = self.clone();
        let driver = tokio::spawn(async move {
            let mut running = JoinSet::new();
            for (index, target) in fleet.targets.iter().enumerate() {
                while running.len() >= fleet.parallel {
                    running.join_next().await;
                }
                let builder = (fleet.configure)(target, ConnectionBuilder::new(target.clone()));
                let host = Host {
                    index,
                    name: target.clone(),
                    events: events.clone(),
                    cancelled: cancelled.clone(),
                };
                let mut request = request(target);
                if let Some(password) = &fleet.sudo_password {
                    request = request.sudo_password(password.clone());
                }
                running.spawn(host.run(builder, request));
            }
            drop(events);
            while running.join_next().await.is_some() {}
        });
        FleetRun {
            events: receiver,
            cancel,
            driver,
        }
    }
}

fn with_output(result: Result<ExecResult>, stdout: Bytes, stderr: Bytes) -> Result<ExecResult> {
    match result {
        Ok(result) => Ok(ExecResult {
            stdout,
            stderr,
            ..result
        }),
        Err(error) if error.phase() == Some(crate::deadline::Phase::Exec) => {
            Err(error.with_partial(PartialOutput { stdout, stderr }))
        }
        Err(error) => Err(error),
    }
}

/// A host whose task ended without an outcome, as it does when it panics.
fn lost(host: &str) -> Outcome {
    Outcome {
        host: host.to_owned(),
        result: Err(Error::new(
            ErrorKind::Local,
            "the work on this host was interrupted",
        )),
        duration: Duration::ZERO,
    }
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet")
            .field("targets", &self.targets)
            .field("parallel", &self.parallel)
            .finish_non_exhaustive()
    }
}

/// A run that was started. Dropping it ends the commands in the background.
#[derive(Debug)]
pub struct FleetRun {
    events: mpsc::Receiver<FleetEvent>,
    cancel: watch::Sender<bool>,
    driver: JoinHandle<()>,
}

impl FleetRun {
    /// The next event; `None` after the last host's [`FleetEvent::Done`]. Cancel-safe.
    ///
    /// A slow caller slows no host: what arrives meanwhile is kept as [`StreamExec`](crate::StreamExec) keeps it.
    pub async fn next(&mut self) -> Option<FleetEvent> {
        self.events.recv().await
    }

    /// Asks for the end: running commands are ended on their hosts, and nothing further is begun. Keep calling
    /// [`FleetRun::next`] until the end; hosts without a result get an error of kind [`ErrorKind::Cancelled`].
    pub fn cancel(&self) {
        self.cancel.send_replace(true);
    }
}

impl Drop for FleetRun {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
