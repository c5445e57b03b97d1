//! The hosts, how they are connected to, and the rules of their runs.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::drive::Control;
use super::keep::Keep;
use super::output::OutputLimits;
use super::pace::Pace;
use super::plan::Plan;
use super::retry::Retries;
use super::rules::{Batch, Rules, StopAfter};
use super::shells::Shells;
use super::way::{To, Way};
use crate::config::Env;
use crate::connection::{Connection, ConnectionBuilder};
use crate::error::Result;
use crate::secret::SharedSecret;

/// How many connections are made to one server at once. From ten on sshd turns clients away that have not logged in
/// yet (MaxStartups 10:30:100), and we need not be its only one.
const STARTUPS: usize = 8;

type Configure = Arc<dyn Fn(&str, ConnectionBuilder) -> ConnectionBuilder + Send + Sync>;

/// Several hosts, and how to work on them.
///
/// Each host gets a connection of its own, 64 at once by default, and one outcome. Host keys are verified as on any
/// connection; nobody is asked anything unless [`Fleet::configure`] gives a prompter. A fleet without hosts is refused
/// when something is to be done with it.
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
/// for outcome in fleet.exec("uptime").await? {
///     match &outcome.result {
///         Ok(result) => println!("{}: {}: {}", outcome.host, result.status, outcome.stdout.text().await?),
///         Err(error) => println!("{}: {error}", outcome.host),
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Fleet {
    pub(super) targets: Arc<[String]>,
    pub(super) rules: Rules,
    pub(super) deadline: Option<Duration>,
    host_deadline: Option<Duration>,
    retries: u32,
    startups: usize,
    pub(super) output: OutputLimits,
    configure: Configure,
    pub(super) sudo_password: Option<SharedSecret>,
    /// The environment of all its connections, looked at once.
    env: Arc<Env>,
    /// Connections that were made before, one for each host.
    pub(super) kept: Option<Arc<[Result<Connection>]>>,
    /// Where connections stay between runs.
    keep: Option<Keep>,
    /// The shells on them, where those were asked for.
    pub(super) shells: Option<Shells>,
    /// Whether any exit status is a success.
    pub(super) any_status: bool,
}

impl Fleet {
    /// The hosts, each as `Connection::builder` takes them. Order and number are kept.
    #[must_use]
    pub fn new<T: Into<String>>(targets: impl IntoIterator<Item = T>) -> Self {
        Self {
            targets: targets.into_iter().map(Into::into).collect(),
            rules: Rules::default(),
            deadline: None,
            host_deadline: None,
            retries: 0,
            startups: STARTUPS,
            output: OutputLimits::default(),
            configure: Arc::new(|_, builder| builder),
            sudo_password: None,
            env: Arc::new(Env::system()),
            kept: None,
            keep: None,
            shells: None,
            any_status: false,
        }
    }

    /// How many hosts are worked on at once, at least 1. Default 64. More is rarely faster: with 1,000 at once real servers
    /// on the same machine needed half as much time again.
    #[must_use]
    pub fn parallel(mut self, hosts: usize) -> Self {
        self.rules.parallel = hosts;
        self
    }

    /// Works on the hosts batch by batch: the next one begins when all hosts of the one before have ended, however
    /// they ended. Default: all are one batch.
    #[must_use]
    pub fn batch(mut self, batch: Batch) -> Self {
        self.rules.batch = Some(batch);
        self
    }

    /// Works on the first hosts alone, before all others. If one of them fails, no other host is begun. Default 0: there are
    /// none.
    #[must_use]
    pub fn canary(mut self, hosts: usize) -> Self {
        self.rules.canary = hosts;
        self
    }

    /// Begins no further host once so many have failed: a command that returned anything but 0 counts, and so does
    /// a host that could not be reached. Those that are running go on. Default: all hosts have their turn.
    #[must_use]
    pub fn stop_after(mut self, stop: StopAfter) -> Self {
        self.rules.stop_after = Some(stop);
        self
    }

    /// Whether a command that returned anything but 0 counts as a success, as far as the canary and [`Fleet::stop_after`] are
    /// concerned. Default: it counts as a failure.
    #[must_use]
    pub fn any_status(mut self, any: bool) -> Self {
        self.any_status = any;
        self
    }

    /// Keeps the connections of each run open for the next one. A host's connection is made when its turn comes for the first
    /// time, and again when it was lost meanwhile; what may have run on the lost one is not run again. Default: each run
    /// makes its own, and closes them.
    ///
    /// ```no_run
    /// # async fn example() -> sternline::Result<()> {
    /// use sternline::Fleet;
    /// use sternline::fleet::Keep;
    ///
    /// let keep = Keep::new();
    /// let fleet = Fleet::new(["web-1", "web-2"]).keep(&keep);
    /// fleet.exec("systemctl stop app").await?;
    /// fleet.exec("systemctl start app").await?;
    /// keep.close().await;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn keep(mut self, keep: &Keep) -> Self {
        self.keep = Some(keep.clone());
        self
    }

    /// Runs each host's commands one after another through one POSIX shell on its kept connection, instead of each on a channel of its
    /// own: short ones are two to four times as fast from the second run on. See [`ShellSession`](crate::ShellSession) for what is different;
    /// text is text for `/bin/sh` then. A connection that is made again gets another shell. A command gets a channel all the same while
    /// another run's has the shell, where the host has none, and if it has a terminal, a password for sudo or long input.
    ///
    /// The shell takes one of the connection's sessions. Without meaning where connections are not kept, by [`Fleet::connect`] or
    /// [`Fleet::keep`]: one command needs no shell. Default: no.
    #[must_use]
    pub fn shell_session(mut self) -> Self {
        self.shells = Some(Shells::new(self.targets.len()));
        self
    }

    /// How long all of the work on one host may take: connecting, further attempts, and the command or transfer. It begins
    /// with the first attempt, and its end is that of a time limit of the phase it happens in: a command is ended on the host. Default: the limits of
    /// the connection and of the command alone.
    #[must_use]
    pub fn host_deadline(mut self, limit: Duration) -> Self {
        self.host_deadline = Some(limit);
        self
    }

    /// How long a run may take. Then those that are running are cancelled, and no further host is begun. Default: no limit.
    #[must_use]
    pub fn deadline(mut self, limit: Duration) -> Self {
        self.deadline = Some(limit);
        self
    }

    /// How many further attempts a host gets when it could not be reached, or was lost before the command was sent: see
    /// [`Error::sent`](crate::Error::sent). What may have run is never run again, and refused credentials and host keys
    /// are final. Before each attempt passes a random part of a wait that doubles from a quarter of a second to ten
    /// seconds. Default 0.
    ///
    /// Whatever is allowed here, a server that says that it has too many clients (MaxStartups) is asked up to twenty
    /// more times.
    #[must_use]
    pub fn retries(mut self, attempts: u32) -> Self {
        self.retries = attempts;
        self
    }

    /// How many connections are made to one server at once, at least 1. Default 8, because sshd turns clients away from
    /// the tenth on that has not logged in yet (MaxStartups in sshd_config(5)).
    ///
    /// What counts is who is asked: the host's own address and port; before it a jump host, as long as the connection to it
    /// is not open; with a proxy command whatever it leads to, which is taken to be the same server for the same command.
    #[must_use]
    pub fn startups(mut self, connections: usize) -> Self {
        self.startups = connections;
        self
    }

    /// How much output [`Fleet::exec`] and [`FleetRun::outcomes`](super::FleetRun::outcomes) keep, and where.
    #[must_use]
    pub fn output_limits(mut self, limits: OutputLimits) -> Self {
        self.output = limits;
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
    /// [`ExecRequest::sudo_password`](crate::ExecRequest::sudo_password). One host is told it first, the others once it was taken, each once at
    /// most; after one has refused it, nobody is.
    #[must_use]
    pub fn sudo_password(mut self, password: impl Into<SharedSecret>) -> Self {
        self.sudo_password = Some(password.into());
        self
    }

    /// The hosts, in their order.
    #[must_use]
    pub fn hosts(&self) -> &[String] {
        &self.targets
    }

    pub(super) fn plan(&self) -> Result<Plan> {
        Plan::new(self.targets.len(), &self.rules)
    }

    pub(super) fn pace(&self) -> Arc<Pace> {
        Arc::new(Pace::new(self.startups))
    }

    /// The way to one of the hosts. `adjust` has the last word about a connection that is made for this run alone.
    pub(super) fn way(
        &self,
        index: usize,
        control: &Control,
        pace: &Arc<Pace>,
        adjust: impl FnOnce(ConnectionBuilder) -> ConnectionBuilder,
    ) -> Way {
        let kept = self.kept.as_ref().and_then(|kept| kept.get(index));
        let to = match kept {
            Some(connection) => To::Kept(connection.clone()),
            None => {
                let target = self.target(index);
                let builder = ConnectionBuilder::new(target.to_owned()).env(Arc::clone(&self.env));
                let builder = Box::new((self.configure)(target, builder));
                match &self.keep {
                    Some(keep) => To::Keep(builder, keep.slot(index)),
                    None => To::Make(Box::new(adjust(*builder))),
                }
            }
        };
        Way {
            to,
            pace: Arc::clone(pace),
            retries: Retries::new(self.retries),
            deadline: self.host_deadline,
            ending: control.listen(),
            begun: None,
            attempts: 0,
            reused: false,
        }
    }

    pub(super) fn target(&self, index: usize) -> &str {
        self.targets.get(index).map(String::as_str).unwrap_or_default()
    }
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet")
            .field("targets", &self.targets)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}
