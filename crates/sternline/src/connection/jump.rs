//! Jump hosts: connections that carry other connections.

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use sternline_proto::forward::ConnectAddress;
use sternline_proto::text::escape;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::builder::ConnectionBuilder;
use super::direct::DirectError;
use super::handle::Connection;
use super::open::{Destination, destination, open};
use super::proxy::Via;
use crate::deadline::{Phase, PhaseClock};
use crate::error::{Error, ErrorKind, Hop, Result};
use crate::transport::carried::{Carried, CarrierEnd};
use crate::transport::channel::Channel;
use crate::transport::link::{Link, LostReason};
use crate::transport::relay::{self, ChannelStream};
use crate::transport::session::OpenFailure;

/// A host that others are reached through (`ProxyJump` in ssh_config(5)), and the one connection to it.
///
/// The connection is opened when it is first needed, once however many wait for it, and again when it has died. Clones
/// share it; so do all connections whose settings were given one of them with
/// [`ConnectionBuilder::jump_through`]. It stays open for as long as a clone, settings with a clone, or a connection
/// through it exists.
///
/// A jump host has settings of its own: its user, credentials, known hosts and host key policy, its keepalive, its own
/// time limits, and its own jump host or proxy command. Nothing is taken over from the host behind it.
///
/// ```no_run
/// # async fn example() -> sternline::Result<()> {
/// use sternline::{Connection, connection::JumpHost};
///
/// let bastion = JumpHost::new(Connection::builder("ops@bastion.example.com"));
/// let web = Connection::builder("web-1.internal").jump_through(&bastion).connect().await?;
/// let db = Connection::builder("db-1.internal").jump_through(&bastion).connect().await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct JumpHost(Arc<Shared>);

struct Shared {
    builder: ConnectionBuilder,
    /// `user@host:port`, once somebody has asked.
    name: OnceLock<String>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    open: Option<Connection>,
    /// The attempt to open it that somebody waits for.
    attempt: Weak<Attempt>,
    /// The clock of the last attempt that has not come to its end.
    unfinished: Option<PhaseClock>,
}

/// An attempt to open the connection, for all who wait for it. It ends when the last of them has gone.
struct Attempt {
    clock: PhaseClock,
    outcome: watch::Receiver<Option<Result<Connection>>>,
    task: AbortHandle,
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl JumpHost {
    /// Nothing is opened yet.
    #[must_use]
    pub fn new(settings: impl Into<ConnectionBuilder>) -> Self {
        let mut builder = settings.into();
        builder.is_jump_host = true;
        Self(Arc::new(Shared {
            builder,
            name: OnceLock::new(),
            state: Mutex::default(),
        }))
    }

    /// The connection, opened if need be. `waiting` stands still while somebody is asked something about it.
    async fn connection(&self, waiting: &PhaseClock) -> Result<Connection> {
        let attempt = match self.open_or_attempt() {
            Ok(connection) => return Ok(connection),
            Err(attempt) => attempt,
        };
        let mut outcome = attempt.outcome.clone();
        let outcome = tokio::select! {
            never = waiting.follow(&attempt.clock) => match never {},
            outcome = outcome.wait_for(Option::is_some) => outcome.ok().and_then(|outcome| outcome.clone()),
        };
        let interrupted = || Err(Error::new(ErrorKind::Local, "connecting to it was interrupted"));
        outcome
            .unwrap_or_else(interrupted)
            .map_err(|error| error.on_the_way(&self.hop()))
    }

    fn open_or_attempt(&self) -> std::result::Result<Connection, Arc<Attempt>> {
        let mut state = self.lock();
        if let Some(connection) = state.open.as_ref().filter(|open| open.is_connected()) {
            return Ok(connection.clone());
        }
        // One that has succeeded has left a connection, and that has ended since.
        let running = state.attempt.upgrade().filter(|attempt| {
            let outcome = attempt.outcome.borrow();
            !matches!(&*outcome, Some(Ok(_)))
        });
        Err(running.unwrap_or_else(|| {
            state.open = None;
            let attempt = self.attempt();
            state.attempt = Arc::downgrade(&attempt);
            state.unfinished = Some(attempt.clock.clone());
            attempt
        }))
    }

    /// What [`ConnectionBuilder::startups`] says of this one, if its connection has to be opened now.
    pub(super) fn startups(&self) -> Vec<String> {
        let state = self.lock();
        let is_open = state.open.as_ref().is_some_and(Connection::is_connected);
        let is_tried = state
            .attempt
            .upgrade()
            .is_some_and(|attempt| attempt.outcome.borrow().is_none());
        drop(state);
        match is_open || is_tried {
            true => Vec::new(),
            false => self.0.builder.startups(),
        }
    }

    fn attempt(&self) -> Arc<Attempt> {
        let clock = PhaseClock::start(self.0.builder.first_phase());
        let (finished, outcome) = watch::channel(None);
        let opening = boxed(self.0.builder.clone(), clock.clone());
        let jump = self.clone();
        let task = tokio::spawn(async move {
            let outcome = opening.await;
            if let Ok(connection) = &outcome {
                let mut state = jump.lock();
                state.open = Some(connection.clone());
                state.unfinished = None;
            }
            finished.send_replace(Some(outcome));
        });
        Arc::new(Attempt {
            clock,
            outcome,
            task: task.abort_handle(),
        })
    }

    /// Has the jump host connect to a host behind it.
    pub(super) async fn reach(
        &self,
        destination: &Destination,
        clock: &PhaseClock,
        link: &Arc<Link>,
    ) -> Result<(Carried<ChannelStream>, Connection)> {
        let to = ConnectAddress::Tcp {
            host: destination.address.clone(),
            port: destination.port,
        };
        let mut jump = self.connection(clock).await?;
        clock.enter(Phase::Tcp);
        let mut opened = open_through(&jump, to.clone()).await;
        if opened.as_ref().is_err_and(|failed| failed.refused.is_none()) {
            // It was shared, and on its last legs.
            clock.enter(Phase::Proxy);
            jump = self.connection(clock).await?;
            clock.enter(Phase::Tcp);
            opened = open_through(&jump, to).await;
        }
        let channel = opened.map_err(|failed| not_forwarded(destination, failed).on_the_way(&self.hop()))?;
        let stream = Carried::new(relay::stream(channel), Arc::clone(link), self.end_of(&jump));
        Ok((stream, jump))
    }

    /// Does not keep the connection open.
    fn end_of(&self, connection: &Connection) -> CarrierEnd {
        let (link, hop) = (Arc::clone(connection.link()), self.hop());
        Box::pin(async move { link.loss().await.on_the_way(&hop) })
    }

    /// The error of whoever has waited too long for this jump host: the hop that was not reached yet is to blame.
    pub(super) fn too_slow(&self, limit: Duration) -> Error {
        let way = self.way();
        let unfinished = |jump: &&JumpHost| {
            jump.lock()
                .unfinished
                .clone()
                .map(|clock| (clock.phase(), jump.hop()))
        };
        let (phase, hop) = way
            .iter()
            .find_map(unfinished)
            .unwrap_or_else(|| (Phase::Proxy, self.hop()));
        Error::phase_timeout(phase, limit, true)
            .on_the_way(&hop)
            .on_the_way(&self.hop())
    }

    /// All jump hosts up to this one, the nearest first.
    fn way(&self) -> Vec<&Self> {
        let mut way = match &self.0.builder.via {
            Some(Via::Jump(before)) => before.way(),
            _ => Vec::new(),
        };
        way.push(self);
        way
    }

    /// This jump host, as the last one on the way.
    pub(super) fn hop(&self) -> Hop {
        let count = self.way().len();
        Hop {
            number: count,
            count,
            target: self.name().to_owned(),
        }
    }

    fn name(&self) -> &str {
        self.0.name.get_or_init(|| {
            let builder = &self.0.builder;
            let env = builder.environment();
            match destination(builder, &env) {
                Ok(destination) => destination.to_string(),
                Err(_) => escape(&builder.target),
            }
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The hosts as `ssh -J` takes them: `alice@bastion:22,bob@inner:22`.
impl fmt::Display for JumpHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.way().into_iter().map(Self::name).collect();
        f.write_str(&names.join(","))
    }
}

impl fmt::Debug for JumpHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JumpHost({self})")
    }
}

/// Opening a connection may open another one first. The box is where that ends for the compiler.
fn boxed(
    builder: ConnectionBuilder,
    clock: PhaseClock,
) -> Pin<Box<dyn Future<Output = Result<Connection>> + Send>> {
    Box::pin(open(builder, clock))
}

/// Opens a channel. A jump host whose link has died unnoticed would answer nothing for ever, so one that is slow to
/// answer has to give a sign of life meanwhile.
async fn open_through(jump: &Connection, to: ConnectAddress) -> std::result::Result<Channel, DirectError> {
    const SLOW: Duration = Duration::from_secs(1);
    let silent = async {
        loop {
            tokio::time::sleep(SLOW).await;
            let sessions = Arc::clone(jump.sessions());
            let silent = LostReason::of(
                ErrorKind::Connection,
                "it gave no sign of life when a connection through it was wanted",
            );
            // A task of its own: whoever has less time than this takes must not find the dead link again the next time.
            let lives = tokio::spawn(async move { sessions.lives(silent).await });
            if matches!(lives.await, Ok(false)) {
                return;
            }
        }
    };
    let mut opening = pin!(jump.open_direct(to, None));
    tokio::select! {
        opened = &mut opening => opened,
        () = silent => opening.await,
    }
}

/// A jump host refused, or could not connect, or was lost.
fn not_forwarded(destination: &Destination, failed: DirectError) -> Error {
    let to = format!("{} port {}", escape(&destination.address), destination.port);
    match failed.refused {
        None => failed.error,
        Some(OpenFailure::AdministrativelyProhibited | OpenFailure::UnknownChannelType) => Error::new(
            ErrorKind::Channel,
            format!("it does not allow connections through it to {to}"),
        )
        .in_phase(Phase::Tcp)
        .with_hint("allow them on the jump host: AllowTcpForwarding and PermitOpen in its sshd_config"),
        Some(reason) => Error::new(
            ErrorKind::HostUnreachable,
            format!("it cannot connect to {to}: {}", reason.as_str()),
        )
        .in_phase(Phase::Tcp)
        .with_hint(
            "check the name and the port as the jump host sees them, and that an SSH server listens there",
        ),
    }
}
