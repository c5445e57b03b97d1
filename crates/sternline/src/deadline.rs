//! The phases of a request, and how long each may take.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::error::{Error, Result};

/// Where a request is, or was when it failed. In the order in which they happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Connecting to the jump hosts, or starting the proxy command, where there are any.
    Proxy,
    /// Turning a name into addresses.
    Resolve,
    /// Opening the TCP connection.
    Tcp,
    /// Waiting for the server's identification line (RFC 4253 section 4.2).
    Banner,
    /// Negotiating algorithms and keys (RFC 4253 sections 7 and 8).
    Kex,
    /// Deciding whether to trust the server's key.
    HostKey,
    /// Proving who we are (RFC 4252).
    Auth,
    /// Opening a channel (RFC 4254 section 5).
    Channel,
    /// Running a command (RFC 4254 section 6).
    Exec,
    /// Working with the server's files (SFTP).
    Transfer,
}

impl Phase {
    /// The name used in messages, events and JSON: lower case, one word or two joined by `_`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Proxy => "proxy",
            Self::Resolve => "resolve",
            Self::Tcp => "tcp",
            Self::Banner => "banner",
            Self::Kex => "kex",
            Self::HostKey => "host_key",
            Self::Auth => "auth",
            Self::Channel => "channel",
            Self::Exec => "exec",
            Self::Transfer => "transfer",
        }
    }

    /// What the phase does, as the end of a sentence such as "timed out while ...".
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Proxy => "connecting to the jump hosts",
            Self::Resolve => "resolving the host name",
            Self::Tcp => "opening the TCP connection",
            Self::Banner => "waiting for the server's SSH identification",
            Self::Kex => "exchanging keys",
            Self::HostKey => "checking the host key",
            Self::Auth => "authenticating",
            Self::Channel => "opening a channel",
            Self::Exec => "running the command",
            Self::Transfer => "working with the server's files",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How long each phase of a connection attempt may take, under one overall limit.
///
/// Time in which a person is asked something (a passphrase, an unknown host key) does not count. `None` leaves a
/// phase to the overall limit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deadlines {
    /// From the first step to the end of authentication, jump hosts included. Default 30 seconds.
    pub overall: Duration,
    /// Name resolution. Default 10 seconds.
    pub resolve: Option<Duration>,
    /// The TCP connection, over all addresses. Default 15 seconds.
    pub tcp: Option<Duration>,
    /// The server's identification line. Default 10 seconds.
    pub banner: Option<Duration>,
    /// Key exchange. Default 15 seconds.
    pub kex: Option<Duration>,
    /// Authentication, all attempts together. Default: only the overall limit.
    pub auth: Option<Duration>,
    /// Opening one channel, once the budget allows it. Default 15 seconds.
    pub channel: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            overall: Duration::from_secs(30),
            resolve: Some(Duration::from_secs(10)),
            tcp: Some(Duration::from_secs(15)),
            banner: Some(Duration::from_secs(10)),
            kex: Some(Duration::from_secs(15)),
            auth: None,
            channel: Duration::from_secs(15),
        }
    }
}

impl Deadlines {
    /// So long for connecting as a whole, and no shorter limit for any phase of it.
    #[must_use]
    pub fn all_within(limit: Duration) -> Self {
        Self {
            overall: limit,
            resolve: None,
            tcp: None,
            banner: None,
            kex: None,
            ..Self::default()
        }
    }

    /// The limit of one phase of connecting; `None` where only [`Deadlines::overall`] applies.
    pub(crate) fn of(&self, phase: Phase) -> Option<Duration> {
        match phase {
            Phase::Resolve => self.resolve,
            Phase::Tcp => self.tcp,
            Phase::Banner => self.banner,
            Phase::Kex => self.kex,
            Phase::Auth => self.auth,
            Phase::Channel => Some(self.channel),
            Phase::Proxy | Phase::HostKey | Phase::Exec | Phase::Transfer => None,
        }
    }
}

/// Knows which phase a connection attempt is in and for how long, so that one guard can end it in time.
///
/// Clones share one clock. Time spent in [`PhaseClock::pause`] counts for nothing.
#[derive(Debug, Clone)]
pub(crate) struct PhaseClock(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// When the phase began, moved forward by every pause.
    entered: Instant,
    /// When the first phase began, moved forward by every pause.
    started: Instant,
    paused_since: Option<Instant>,
    /// How many pauses there are: the clock goes on after the last one.
    pauses: u32,
    finished: Vec<(Phase, Duration)>,
}

impl PhaseClock {
    /// Starts in the first phase.
    pub(crate) fn start(phase: Phase) -> Self {
        let now = Instant::now();
        Self(Arc::new(Shared {
            state: Mutex::new(State {
                phase,
                entered: now,
                started: now,
                paused_since: None,
                pauses: 0,
                finished: Vec::new(),
            }),
            changed: Notify::new(),
        }))
    }

    /// Ends the current phase and begins another one.
    pub(crate) fn enter(&self, phase: Phase) {
        let mut state = self.lock();
        if state.phase == phase {
            return;
        }
        let now = Instant::now();
        let ended = (state.phase, now.saturating_duration_since(state.entered));
        state.finished.push(ended);
        state.phase = phase;
        state.entered = now;
        drop(state);
        self.0.changed.notify_waiters();
    }

    /// The current phase.
    pub(crate) fn phase(&self) -> Phase {
        self.lock().phase
    }

    /// How long each phase took, in order; the current one so far.
    pub(crate) fn timings(&self) -> Vec<(Phase, Duration)> {
        let state = self.lock();
        let mut timings = state.finished.clone();
        timings.push((state.phase, state.entered.elapsed()));
        timings
    }

    /// Stops the clock until the guard is dropped, for a question to a person.
    pub(crate) fn pause(&self) -> Pause {
        let mut state = self.lock();
        state.pauses += 1;
        state.paused_since.get_or_insert_with(Instant::now);
        drop(state);
        self.0.changed.notify_waiters();
        Pause(self.clone())
    }

    /// Stands still whenever another clock does, for as long as the future is polled: what this one waits for is done
    /// by the other's clock, and a person may be asked something there.
    pub(crate) async fn follow(&self, other: &Self) -> std::convert::Infallible {
        let mut pause = None;
        loop {
            let mut changed = pin!(other.0.changed.notified());
            changed.as_mut().enable();
            match other.lock().paused_since {
                Some(_) if pause.is_none() => pause = Some(self.pause()),
                Some(_) => {}
                None => pause = None,
            }
            changed.await;
        }
    }

    /// Runs `work` until it ends, or the phase it is in has taken too long, or all of it has.
    pub(crate) async fn guard<T>(
        &self,
        deadlines: &Deadlines,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let mut work = pin!(work);
        loop {
            let mut changed = pin!(self.0.changed.notified());
            // Registered before the state is read, so that no change is missed in between.
            changed.as_mut().enable();
            let expiry = self.next_expiry(deadlines);
            tokio::select! {
                biased;
                outcome = &mut work => return outcome,
                () = &mut changed => {}
                () = sleep_until(expiry.as_ref().map(|expiry| expiry.at)) => {
                    if let Some(expiry) = expiry {
                        return Err(Error::phase_timeout(expiry.phase, expiry.limit, expiry.overall));
                    }
                }
            }
        }
    }

    fn next_expiry(&self, deadlines: &Deadlines) -> Option<Expiry> {
        let state = self.lock();
        if state.paused_since.is_some() {
            return None;
        }
        // A limit beyond what the clock can express is none.
        let expiry = |begun: Instant, limit: Duration, overall: bool| {
            Some(Expiry {
                at: begun.checked_add(limit)?,
                phase: state.phase,
                limit,
                overall,
            })
        };
        let overall = expiry(state.started, deadlines.overall, true);
        let own = deadlines
            .of(state.phase)
            .and_then(|limit| expiry(state.entered, limit, false));
        // The phase's own limit last: of two that are equal, the overall one is named.
        [overall, own]
            .into_iter()
            .flatten()
            .min_by_key(|expiry| expiry.at)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Expiry {
    at: Instant,
    phase: Phase,
    limit: Duration,
    overall: bool,
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// The clock stands still until this is dropped.
#[derive(Debug)]
pub(crate) struct Pause(PhaseClock);

impl Drop for Pause {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.pauses -= 1;
        if state.pauses == 0
            && let Some(since) = state.paused_since.take()
        {
            state.started += since.elapsed();
            // A phase that began in the pause has lost only the rest of it.
            let in_phase = since.max(state.entered).elapsed();
            state.entered += in_phase;
        }
        drop(state);
        self.0.0.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    fn deadlines() -> Deadlines {
        Deadlines {
            overall: Duration::from_secs(30),
            banner: Some(Duration::from_secs(10)),
            ..Deadlines::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_phase_that_takes_too_long_is_named() {
        let clock = PhaseClock::start(Phase::Banner);
        let error = clock
            .guard(&deadlines(), pending::<Result<()>>())
            .await
            .unwrap_err();
        assert_eq!(error.phase(), Some(Phase::Banner));
        assert!(error.to_string().contains("the limit of 10 s"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_overall_limit_ends_a_phase_that_has_none() {
        let clock = PhaseClock::start(Phase::Auth);
        let error = clock
            .guard(&deadlines(), pending::<Result<()>>())
            .await
            .unwrap_err();
        assert_eq!(error.phase(), Some(Phase::Auth));
        assert!(error.to_string().contains("the overall limit of 30 s"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_a_person_is_asked_does_not_count() {
        let clock = PhaseClock::start(Phase::Auth);
        let asking = clock.clone();
        let outcome = clock
            .guard(&deadlines(), async move {
                let pause = asking.pause();
                tokio::time::sleep(Duration::from_secs(600)).await;
                drop(pause);
                tokio::time::sleep(Duration::from_secs(29)).await;
                Ok(())
            })
            .await;
        assert!(outcome.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn the_clock_goes_on_only_after_the_last_of_several_questions() {
        let clock = PhaseClock::start(Phase::Auth);
        let asking = clock.clone();
        let outcome = clock
            .guard(&deadlines(), async move {
                let (first, second) = (asking.pause(), asking.pause());
                drop(first);
                tokio::time::sleep(Duration::from_secs(600)).await;
                drop(second);
                Ok(())
            })
            .await;
        assert!(outcome.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_follows_another_one_stands_still_with_it() {
        let (jump, clock) = (PhaseClock::start(Phase::Auth), PhaseClock::start(Phase::Proxy));
        let following = clock.clone();
        let outcome = clock
            .guard(&deadlines(), async move {
                let work = async {
                    let pause = jump.pause();
                    tokio::time::sleep(Duration::from_secs(600)).await;
                    drop(pause);
                    tokio::time::sleep(Duration::from_secs(29)).await;
                };
                tokio::select! {
                    never = following.follow(&jump) => match never {},
                    () = work => Ok(()),
                }
            })
            .await;
        assert!(outcome.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_phase_that_begins_while_a_person_is_asked_gets_no_more_than_its_time() {
        let clock = PhaseClock::start(Phase::Auth);
        let asking = clock.clone();
        let pause = asking.pause();
        tokio::time::sleep(Duration::from_secs(600)).await;
        asking.enter(Phase::Banner);
        drop(pause);
        let begun = Instant::now();
        let error = clock
            .guard(&deadlines(), pending::<Result<()>>())
            .await
            .unwrap_err();
        assert_eq!(error.phase(), Some(Phase::Banner));
        assert_eq!(begun.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn each_phase_gets_its_own_time() {
        let clock = PhaseClock::start(Phase::Banner);
        let moving = clock.clone();
        let outcome = clock
            .guard(&deadlines(), async move {
                tokio::time::sleep(Duration::from_secs(9)).await;
                moving.enter(Phase::Kex);
                tokio::time::sleep(Duration::from_secs(9)).await;
                Ok(())
            })
            .await;
        assert!(outcome.is_ok());
        let timings = clock.timings();
        assert_eq!(timings.first().unwrap(), &(Phase::Banner, Duration::from_secs(9)));
        assert_eq!(timings.last().unwrap(), &(Phase::Kex, Duration::from_secs(9)));
    }
}
