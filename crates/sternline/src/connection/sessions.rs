//! The session channels of a connection: as many at once as the server allows, one of them kept for ending processes.
//!
//! sshd allows 10 (MaxSessions) and refuses the next one with a reason that says nothing. Commands therefore wait
//! for one of `limit - 1` permits. The remaining session is opened ahead of its use: the next command takes it and
//! saves a round trip, and when all others are busy it is there to end a process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout};

use super::running::{Running, StartOrder};
use super::spare::Spare;
use crate::connection::Pty;
use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, Result, SendState};
use crate::transport::channel::{Channel, Incoming};
use crate::transport::link::LostReason;
use crate::transport::session::{OpenError, Session, SpillTo};

/// What a session is to run.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Start<'a> {
    /// A command line, exactly as given (RFC 4254 section 6.5).
    Exec(&'a [u8]),
    /// The user's login shell.
    Shell,
    /// A program that the server knows by this name (RFC 4254 section 6.5).
    Subsystem(&'a str),
}

/// How long to wait between attempts to open a session. A closed one is free on the server only once its process has
/// been reaped, which is a matter of milliseconds.
const PAUSES: [Duration; 10] = [
    Duration::from_millis(2),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(20),
    Duration::from_millis(40),
    Duration::from_millis(80),
    Duration::from_millis(160),
    Duration::from_millis(320),
    Duration::from_millis(640),
    Duration::from_millis(640),
];

/// After how many refusals fewer sessions are believed to be allowed, as long as others of ours are open.
const LEARN_AFTER: u32 = 6;

pub(crate) struct Sessions {
    session: Session,
    spill_to: SpillTo,
    open_limit: Duration,
    /// One permit for each command that may run at once.
    permits: Arc<Semaphore>,
    /// How many permits there are in all.
    limit: AtomicU32,
    spare: Spare,
    /// Held while a start is being sent, so that the order of starts is the order on the wire.
    starting: tokio::sync::Mutex<()>,
    pub(super) running: Arc<Running>,
    /// Held while a process is being ended: there is one session for that.
    pub(super) ending: Arc<tokio::sync::Mutex<()>>,
    /// How many dropped commands are being ended in the background.
    dropped: watch::Sender<u32>,
}

impl Sessions {
    /// `max_sessions` is what the server is believed to allow; less is learned when it refuses.
    pub(crate) fn new(
        session: Session,
        spill_to: SpillTo,
        open_limit: Duration,
        max_sessions: u32,
    ) -> Arc<Self> {
        let commands = max_sessions.saturating_sub(1).max(1);
        Arc::new(Self {
            session,
            spill_to,
            open_limit,
            permits: Arc::new(Semaphore::new(commands as usize)),
            limit: AtomicU32::new(commands),
            spare: Spare::default(),
            starting: tokio::sync::Mutex::new(()),
            running: Arc::new(Running::default()),
            ending: Arc::default(),
            dropped: watch::Sender::new(0),
        })
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// Where what nobody has read yet may go.
    pub(crate) fn spill_to(&self) -> SpillTo {
        self.spill_to.clone()
    }

    /// How long opening a channel and starting something on it may take.
    pub(crate) fn open_limit(&self) -> Duration {
        self.open_limit
    }

    /// How many commands may run at once, as far as is known.
    pub(crate) fn limit(&self) -> u32 {
        self.limit.load(Ordering::Relaxed)
    }

    /// Whether the server gives a sign of life within five seconds. If not, the connection is given up for this reason.
    pub(super) async fn lives(&self, otherwise: LostReason) -> bool {
        const PATIENCE: Duration = Duration::from_secs(5);
        let link = self.session.link();
        let asked = Instant::now();
        // An answer may be stuck behind much else that is on its way; anything that arrives will do.
        if timeout(PATIENCE, self.session.ping()).await.is_ok() || link.last_heard() > asked {
            return true;
        }
        link.fail(otherwise);
        false
    }

    /// To be held while a dropped command is being ended, so that closing the connection can wait for it.
    pub(crate) fn ending_dropped(&self) -> impl Drop + Send + use<> {
        self.dropped.send_modify(|count| *count += 1);
        EndingDropped(self.dropped.clone())
    }

    /// Waits, for a while, until the commands that were dropped have been ended.
    pub(crate) async fn dropped_are_ended(&self) {
        const PATIENCE: Duration = Duration::from_secs(5);
        let mut dropped = self.dropped.subscribe();
        let ended = async {
            tokio::select! {
                // The sender lives in `self`, so waiting can only end with the last one.
                _ = dropped.wait_for(|count| *count == 0) => {}
                _ = self.session.link().ended() => {}
            }
        };
        let _ = timeout(PATIENCE, ended).await;
    }

    /// Opens the spare session in the background, if there is none and none is on its way.
    pub(crate) fn open_spare(self: &Arc<Self>) {
        if !self.spare.begin() {
            return;
        }
        let opening = self.session.open_session(self.spill_to.clone(), ());
        let sessions = Arc::clone(self);
        self.session.runtime().spawn(async move {
            match opening.await {
                Ok(channel) => sessions.spare.opened(channel),
                Err(error) => sessions.spare.failed(matches!(error, OpenError::Refused(_))),
            }
        });
    }

    /// Keeps something until the server has answered to the spare session that is on its way.
    pub(super) fn hold_until_served(&self, thing: Box<dyn Send>) {
        self.spare.hold(thing);
    }

    /// No further spare session is opened: one command is all that the connection is for. What ends it, if it has to be
    /// ended, opens a session of its own.
    pub(super) fn no_further_spare(&self) {
        self.spare.is_last();
    }

    /// The spare session, waited for if it is on its way.
    async fn spare(&self) -> Option<Channel> {
        match self.spare.take() {
            Some(channel) => Some(channel),
            None => self.spare.claim()?.await.ok(),
        }
    }

    /// A session for a command, once the budget allows one. Waits as long as it takes: the caller has a deadline.
    ///
    /// # Errors
    /// When the server refuses although nothing else of ours is open, or the connection has ended.
    pub(crate) async fn open_for_command(self: &Arc<Self>) -> Result<Channel> {
        let mut refusals = Refusals::default();
        loop {
            let permit = self.permit().await?;
            let spare = timeout(self.open_limit, self.spare()).await;
            let spare = spare.map_err(|_| Error::phase_timeout(Phase::Channel, self.open_limit, false))?;
            if let Some(channel) = spare {
                channel.hold_until_closed(Box::new(permit));
                return Ok(channel);
            }
            let since = Instant::now();
            match self.try_open(permit, &mut refusals).await? {
                Some(channel) => return Ok(channel),
                None if since.elapsed() >= self.open_limit => return Err(refused(&refusals)),
                None => {}
            }
        }
    }

    /// A session that its user can do without: only where nobody waits for one, another is left after it, and the server
    /// grants it at once. The spare one is left alone.
    pub(crate) async fn open_if_free(&self) -> Option<Channel> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        if self.permits.available_permits() == 0 {
            return None;
        }
        let opening = self.session.open_session(self.spill_to.clone(), ());
        let channel = timeout(self.open_limit, opening).await.ok()?.ok()?;
        channel.hold_until_closed(Box::new(permit));
        Some(channel)
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit> {
        tokio::select! {
            permit = Arc::clone(&self.permits).acquire_owned() => {
                permit.map_err(|_| Error::new(ErrorKind::Connection, "the connection is closed"))
            }
            lost = self.session.link().ended() => Err(lost.in_phase(Phase::Channel)),
        }
    }

    /// Asks the server for a session, again and again while others may be about to close. `None`: fewer are allowed
    /// than was believed, and the caller has to wait for one of the others.
    async fn try_open(
        self: &Arc<Self>,
        permit: OwnedSemaphorePermit,
        refusals: &mut Refusals,
    ) -> Result<Option<Channel>> {
        let mut refused_now = 0;
        for pause in PAUSES {
            let opening = self.session.open_session(self.spill_to.clone(), ());
            match timeout(self.open_limit, opening).await {
                Ok(Ok(channel)) => {
                    channel.hold_until_closed(Box::new(permit));
                    return Ok(Some(channel));
                }
                Ok(Err(OpenError::Refused(reason))) => {
                    refusals.count += 1;
                    refusals.reason = reason.as_str();
                    refused_now += 1;
                }
                Ok(Err(OpenError::Lost(error))) => return Err(error.in_phase(Phase::Channel)),
                Err(_) => return Err(Error::phase_timeout(Phase::Channel, self.open_limit, false)),
            }
            if refused_now >= LEARN_AFTER && self.others_are_open() {
                self.limit.fetch_sub(1, Ordering::Relaxed);
                permit.forget();
                return Ok(None);
            }
            tokio::time::sleep(pause).await;
            // The server may allow so few that the spare is the one too many.
            if let Some(channel) = self.spare.take() {
                channel.hold_until_closed(Box::new(permit));
                return Ok(Some(channel));
            }
        }
        Err(refused(refusals))
    }

    /// Whether a command beside the one that asks holds a permit.
    fn others_are_open(&self) -> bool {
        let free = u32::try_from(self.permits.available_permits()).unwrap_or(u32::MAX);
        self.limit().saturating_sub(free) > 1
    }

    /// A session for ending a process: the spare one, or the last one that the server allows.
    pub(super) async fn open_for_ending(&self) -> Option<Channel> {
        for pause in PAUSES {
            if let Some(channel) = self.spare.take() {
                return Some(channel);
            }
            match self.session.open_session(self.spill_to.clone(), ()).await {
                Ok(channel) => return Some(channel),
                Err(OpenError::Refused(_)) => tokio::time::sleep(pause).await,
                Err(OpenError::Lost(_)) => return None,
            }
        }
        None
    }

    /// Starts a command or shell on an open session, with its environment and terminal.
    ///
    /// Only the terminal is waited for, because the command must not run without it. The answers to everything else
    /// arrive in order on the channel, one for each request.
    pub(crate) async fn start(
        &self,
        channel: &Channel,
        what: Start<'_>,
        env: &[(String, String)],
        pty: Option<&Pty>,
    ) -> Result<StartOrder> {
        let sender = channel.sender();
        // A channel learns of the end of its connection a moment later. Until anything is sent, nothing can have run.
        if self.session.link().has_ended() {
            return Err(self.lost().await);
        }
        if let Some(pty) = pty {
            let granted = timeout(self.open_limit, self.request_pty(channel, pty)).await;
            granted.map_err(|_| Error::phase_timeout(Phase::Channel, self.open_limit, false))??;
        }
        let _order_on_the_wire = self.starting.lock().await;
        let (order, guard) = self.running.add(match what {
            Start::Exec(line) => line,
            Start::Shell | Start::Subsystem(_) => b"",
        });
        channel.hold_until_exited(Box::new(guard));
        let sent = async {
            for (name, value) in env {
                sender.env(name, value).await?;
            }
            match what {
                Start::Exec(line) => sender.exec(line).await,
                Start::Shell => sender.shell().await,
                Start::Subsystem(name) => sender.subsystem(name).await,
            }
        };
        match sent.await {
            Ok(()) => Ok(order),
            Err(_) => Err(self.lost().await.with_sent(SendState::MayHaveRun)),
        }
    }

    async fn request_pty(&self, channel: &Channel, pty: &Pty) -> Result<()> {
        if channel.sender().pty(pty).await.is_err() {
            return Err(self.lost().await);
        }
        loop {
            match channel.next().await {
                Some(Incoming::Reply(true)) => return Ok(()),
                Some(Incoming::Reply(false)) => {
                    return Err(Error::new(ErrorKind::Channel, "the server refused to allocate a terminal")
                        .in_phase(Phase::Channel)
                        .with_hint("do without one (-T), or ask for PermitTTY and a key without the no-pty option"));
                }
                Some(_) => {}
                None => return Err(self.lost().await),
            }
        }
    }

    async fn lost(&self) -> Error {
        self.session.link().settled_loss().await.in_phase(Phase::Channel)
    }
}

struct EndingDropped(watch::Sender<u32>);

impl Drop for EndingDropped {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

#[derive(Debug, Default)]
struct Refusals {
    count: u32,
    reason: &'static str,
}

fn refused(refusals: &Refusals) -> Error {
    Error::new(
        ErrorKind::Channel,
        format!(
            "the server refused to open a session ({}), {} times",
            refusals.reason, refusals.count
        ),
    )
    .in_phase(Phase::Channel)
    .with_hint(
        "the account may be for forwarding only, or MaxSessions may be 0: see the server's configuration",
    )
}
