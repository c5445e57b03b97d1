//! Watching over work that should move: a warning when it has been quiet for a while, and an end when it stays so.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

use super::sessions::Sessions;
use crate::error::{DisconnectReason, Error, ErrorKind, Result};
use crate::event::{Emitter, EventCollector, EventType};
use crate::transport::link::LostReason;

/// After which part of the time limit a warning is due, unless something else is asked for.
const WARNING_THRESHOLD: f64 = 0.75;

/// Calls a function when work has made no progress for too long.
///
/// It warns first: a PROGRESS_WARNING event, once in each quiet period. Sternline watches over commands by itself, see
/// [`KeepaliveConfig::progress_timeout`](crate::KeepaliveConfig::progress_timeout); this is for work of the caller's.
/// Dropping it stops it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> sternline::Result<()> {
/// use std::time::Duration;
/// use sternline::ProgressWatchdog;
///
/// let watchdog = ProgressWatchdog::new(Duration::from_secs(60)).on_timeout(|| eprintln!("stuck"));
/// watchdog.start()?;
/// for _step in 0..3 {
///     watchdog.progress()?;
/// }
/// watchdog.stop();
/// # Ok(()) }
/// ```
pub struct ProgressWatchdog {
    timeout: Duration,
    warning_threshold: f64,
    emitter: Emitter,
    on_timeout: Arc<dyn Fn() + Send + Sync>,
    state: Arc<Mutex<State>>,
}

enum State {
    Stopped,
    Running { quiet: Arc<Quiet>, task: AbortHandle },
    TimedOut,
}

impl ProgressWatchdog {
    /// A watchdog that is not running yet. It warns after 0.75 of the time limit, tells nobody, and only remembers
    /// that the limit has passed.
    #[must_use]
    pub fn new(timeout: Duration) -> Self {
        Self {
            timeout,
            warning_threshold: WARNING_THRESHOLD,
            emitter: Emitter::default(),
            on_timeout: Arc::new(|| {}),
            state: Arc::new(Mutex::new(State::Stopped)),
        }
    }

    /// After which part of the time limit to warn, between 0 and 1.
    #[must_use]
    pub fn warning_threshold(mut self, part: f64) -> Self {
        self.warning_threshold = part;
        self
    }

    /// Collects the warnings; may be called several times.
    #[must_use]
    pub fn events(mut self, collector: &EventCollector) -> Self {
        self.emitter.add_collector(collector.clone());
        self
    }

    /// What to call when the limit has passed: once, on a task of the runtime, so it should not block. The watchdog
    /// has stopped by then, and the function may use it.
    #[must_use]
    pub fn on_timeout(mut self, call: impl Fn() + Send + Sync + 'static) -> Self {
        self.on_timeout = Arc::new(call);
        self
    }

    /// The time limit.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Begins to watch, with the whole time ahead. Also starts it again after [`ProgressWatchdog::stop`] or a timeout.
    ///
    /// # Errors
    /// When it is running already, when the limit is zero or the threshold is not between 0 and 1, and outside of a
    /// Tokio runtime.
    pub fn start(&self) -> Result<()> {
        let invalid = |message: &str| Error::new(ErrorKind::Invalid, message);
        if self.timeout.is_zero() {
            return Err(invalid("watchdog: timeout must be positive"));
        }
        if !(self.warning_threshold > 0.0 && self.warning_threshold < 1.0) {
            return Err(invalid("watchdog: warning_threshold must lie between 0 and 1"));
        }
        let runtime = Handle::try_current().map_err(|error| {
            Error::new(
                ErrorKind::Local,
                "the watchdog cannot start outside of a Tokio runtime",
            )
            .with_source_text(&error)
            .with_hint("start it from an async function")
        })?;
        let mut state = lock(&self.state);
        if matches!(*state, State::Running { .. }) {
            return Err(invalid("the watchdog is already running").with_hint("stop it first"));
        }
        let quiet = Arc::new(Quiet::new(self.timeout, self.warning_threshold));
        let run = Run {
            quiet: Arc::clone(&quiet),
            emitter: self.emitter.clone(),
            on_timeout: Arc::clone(&self.on_timeout),
            state: Arc::clone(&self.state),
        };
        let task = runtime.spawn(run.watch()).abort_handle();
        *state = State::Running { quiet, task };
        Ok(())
    }

    /// Stops watching. Does nothing when it is not running.
    pub fn stop(&self) {
        let mut state = lock(&self.state);
        if let State::Running { task, .. } = &*state {
            task.abort();
            *state = State::Stopped;
        }
    }

    /// Says that the work has moved: the whole time lies ahead again, and a further warning becomes possible.
    ///
    /// # Errors
    /// When it is not running, because it was not started, was stopped, or has timed out.
    pub fn progress(&self) -> Result<()> {
        match &*lock(&self.state) {
            State::Running { quiet, .. } => {
                quiet.progress();
                Ok(())
            }
            State::Stopped => {
                Err(Error::new(ErrorKind::Invalid, "the watchdog is not running").with_hint("start it"))
            }
            State::TimedOut => {
                Err(Error::new(ErrorKind::Invalid, "the watchdog has timed out").with_hint("start it again"))
            }
        }
    }

    /// Whether it is watching.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(*lock(&self.state), State::Running { .. })
    }

    /// Whether the limit has passed since it was last started.
    #[must_use]
    pub fn timed_out(&self) -> bool {
        matches!(*lock(&self.state), State::TimedOut)
    }
}

impl Drop for ProgressWatchdog {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for ProgressWatchdog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProgressWatchdog")
            .field("timeout", &self.timeout)
            .field("warning_threshold", &self.warning_threshold)
            .field("is_running", &self.is_running())
            .field("timed_out", &self.timed_out())
            .finish_non_exhaustive()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What one start of a watchdog runs.
struct Run {
    quiet: Arc<Quiet>,
    emitter: Emitter,
    on_timeout: Arc<dyn Fn() + Send + Sync>,
    state: Arc<Mutex<State>>,
}

impl Run {
    async fn watch(self) {
        let warn = |data| self.emitter.emit(EventType::ProgressWarning, data);
        self.quiet.expired(warn).await;
        {
            let mut state = lock(&self.state);
            match &*state {
                State::Running { quiet, .. } if Arc::ptr_eq(quiet, &self.quiet) => *state = State::TimedOut,
                // Stopped, and perhaps started again, in this very moment.
                _ => return,
            }
        }
        (self.on_timeout)();
    }
}

/// How long something has not moved, and how long it may.
#[derive(Debug)]
pub(crate) struct Quiet {
    limits: Limits,
    silence: Mutex<Silence>,
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    /// When it is over.
    end: Duration,
    /// When to warn.
    warn: Duration,
    /// How late the end may be found without doubt, and how long the doubt lasts.
    grace: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Silence {
    since: Instant,
    warned: bool,
    /// When the end was found much too late.
    doubted: Option<Instant>,
}

impl Silence {
    fn new() -> Self {
        Self {
            since: Instant::now(),
            warned: false,
            doubted: None,
        }
    }
}

impl Quiet {
    fn new(limit: Duration, warning_threshold: f64) -> Self {
        Self {
            limits: Limits {
                end: limit,
                warn: limit.mul_f64(warning_threshold),
                grace: (limit / 4).min(Duration::from_secs(1)),
            },
            silence: Mutex::new(Silence::new()),
        }
    }

    /// For a command that may stall for as long as `limit`.
    pub(crate) fn of_command(limit: Duration) -> Self {
        Self::new(limit, WARNING_THRESHOLD)
    }

    pub(crate) fn limit(&self) -> Duration {
        self.limits.end
    }

    /// It has moved.
    pub(crate) fn progress(&self) {
        *self.lock() = Silence::new();
    }

    /// Waits until it has not moved for as long as the limit, and hands the data of a warning to `warn` once in each
    /// quiet period. Cancel-safe: it can be called again, and goes on where it was.
    pub(crate) async fn expired(&self, warn: impl Fn(Value)) {
        loop {
            let step = {
                let mut silence = self.lock();
                let step = next(self.limits, *silence, Instant::now());
                match step {
                    Next::Warn(_) => silence.warned = true,
                    Next::Doubt => silence.doubted = Some(Instant::now()),
                    Next::Wait(_) | Next::Expired => {}
                }
                step
            };
            match step {
                Next::Wait(rest) => sleep(rest).await,
                Next::Warn(quiet_for) => warn(warning(self.limits.end, quiet_for)),
                Next::Doubt => {}
                Next::Expired => return,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Silence> {
        self.silence.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Next {
    Wait(Duration),
    Warn(Duration),
    Doubt,
    Expired,
}

/// What to do next. Whoever finds the end much too late has not looked for a while, because the program was busy or its
/// reader away; what has moved meanwhile needs a moment to show.
fn next(limits: Limits, silence: Silence, now: Instant) -> Next {
    let quiet_for = now.saturating_duration_since(silence.since);
    let late = quiet_for.saturating_sub(limits.end) > limits.grace;
    let doubted_for = silence.doubted.map(|since| now.saturating_duration_since(since));
    if quiet_for >= limits.end {
        match doubted_for {
            _ if !late => Next::Expired,
            Some(doubted_for) if doubted_for < limits.grace => {
                Next::Wait(limits.grace.saturating_sub(doubted_for))
            }
            Some(doubted_for) if doubted_for <= limits.grace * 2 => Next::Expired,
            Some(_) | None => Next::Doubt,
        }
    } else if silence.warned {
        Next::Wait(limits.end.saturating_sub(quiet_for))
    } else if quiet_for >= limits.warn {
        Next::Warn(quiet_for)
    } else {
        Next::Wait(limits.warn.saturating_sub(quiet_for))
    }
}

/// What a PROGRESS_WARNING event says.
fn warning(limit: Duration, quiet_for: Duration) -> Value {
    let remaining = limit.saturating_sub(quiet_for).as_secs_f64();
    json!({
        "seconds_remaining": (remaining * 100.0).round() / 100.0,
        "timeout_sec": limit.as_secs_f64(),
        "message": format!("No progress for {:.1}s", quiet_for.as_secs_f64()),
    })
}

impl Sessions {
    /// After a command has stalled: whether the server still gives a sign of life. If it does not, the connection is
    /// given up.
    pub(crate) async fn lives_after_stall(&self) -> bool {
        self.lives(LostReason {
            hint: Some("the network or the host is gone, or the server hangs".to_owned()),
            disconnect: DisconnectReason::ProgressTimeout,
            ..LostReason::of(
                ErrorKind::Connection,
                "a command stalled, and the server gave no sign of life any more",
            )
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_next_step_follows_from_the_silence() {
        let millis = Duration::from_millis;
        let limits = Quiet::new(SECOND, 0.75).limits;
        let now = Instant::now() + Duration::from_secs(3600);
        for (quiet_for, warned, doubted_for, expected) in [
            (0, false, None, Next::Wait(millis(750))),
            (700, false, None, Next::Wait(millis(50))),
            (750, false, None, Next::Warn(millis(750))),
            (999, false, None, Next::Warn(millis(999))),
            (750, true, None, Next::Wait(millis(250))),
            (1000, true, None, Next::Expired),
            (1250, false, None, Next::Expired),
            // Found too late: what has moved gets a moment to show, and again if that is overslept as well.
            (1251, false, None, Next::Doubt),
            (5000, true, Some(0), Next::Wait(millis(250))),
            (5000, true, Some(200), Next::Wait(millis(50))),
            (5000, true, Some(250), Next::Expired),
            (5000, true, Some(600), Next::Doubt),
        ] {
            let silence = Silence {
                since: now - millis(quiet_for),
                warned,
                doubted: doubted_for.map(|doubted_for| now - millis(doubted_for)),
            };
            assert_eq!(
                next(limits, silence, now),
                expected,
                "{quiet_for} {warned} {doubted_for:?}"
            );
        }
    }

    /// A watchdog with its collector and the number of calls.
    fn watchdog(timeout: Duration) -> (ProgressWatchdog, EventCollector, Arc<AtomicU32>) {
        let events = EventCollector::new();
        let calls = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&calls);
        let watchdog = ProgressWatchdog::new(timeout)
            .events(&events)
            .on_timeout(move || {
                counted.fetch_add(1, Ordering::Relaxed);
            });
        (watchdog, events, calls)
    }

    /// Lets the (paused) clock go on, and the watchdog run.
    async fn pass(seconds: f64) {
        sleep(Duration::from_secs_f64(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn it_warns_once_and_then_calls_once() {
        let (watchdog, events, calls) = watchdog(Duration::from_secs(8));
        assert_eq!(watchdog.timeout(), Duration::from_secs(8));
        watchdog.start().unwrap();
        assert!(watchdog.is_running() && !watchdog.timed_out());
        pass(5.9).await;
        assert!(events.events().is_empty());
        pass(0.2).await;
        let warnings = events.by_type(EventType::ProgressWarning);
        assert_eq!(warnings.len(), 1);
        assert_eq!(warnings[0].data["seconds_remaining"], 2.0);
        assert_eq!(warnings[0].data["timeout_sec"], 8.0);
        assert_eq!(warnings[0].data["message"], "No progress for 6.0s");
        assert_eq!(calls.load(Ordering::Relaxed), 0);
        pass(2.0).await;
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        assert!(watchdog.timed_out() && !watchdog.is_running());
        assert!(watchdog.progress().is_err());
        watchdog.stop();
        pass(60.0).await;
        assert!(watchdog.timed_out());
        assert_eq!((calls.load(Ordering::Relaxed), events.events().len()), (1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn progress_puts_the_end_off_and_allows_another_warning() {
        let (watchdog, events, calls) = watchdog(Duration::from_secs(8));
        watchdog.start().unwrap();
        for _ in 0..3 {
            pass(7.0).await;
            watchdog.progress().unwrap();
        }
        assert_eq!((events.events().len(), calls.load(Ordering::Relaxed)), (3, 0));
        pass(8.1).await;
        assert_eq!((events.events().len(), calls.load(Ordering::Relaxed)), (4, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stopped_one_calls_nobody_and_can_be_started_again() {
        let (watchdog, events, calls) = watchdog(Duration::from_secs(8));
        watchdog.stop();
        assert!(watchdog.progress().is_err());
        watchdog.start().unwrap();
        assert!(watchdog.start().is_err());
        watchdog.stop();
        watchdog.stop();
        assert!(!watchdog.is_running());
        pass(60.0).await;
        assert_eq!((events.events().len(), calls.load(Ordering::Relaxed)), (0, 0));
        watchdog.start().unwrap();
        pass(60.0).await;
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        watchdog.start().unwrap();
        assert!(!watchdog.timed_out());
        drop(watchdog);
        pass(60.0).await;
        assert_eq!(calls.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn its_function_may_use_it() {
        let slot = Arc::new(Mutex::new(None::<Arc<ProgressWatchdog>>));
        let (own, seen) = (Arc::clone(&slot), Arc::new(Mutex::new(None)));
        let result = Arc::clone(&seen);
        let watchdog = Arc::new(ProgressWatchdog::new(SECOND).on_timeout(move || {
            let watchdog = own.lock().unwrap().take().unwrap();
            *result.lock().unwrap() = Some((watchdog.timed_out(), watchdog.start().is_ok()));
            watchdog.stop();
        }));
        *slot.lock().unwrap() = Some(Arc::clone(&watchdog));
        watchdog.start().unwrap();
        pass(1.1).await;
        assert_eq!(*seen.lock().unwrap(), Some((true, true)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_threshold_says_when_to_warn() {
        let events = EventCollector::new();
        let watchdog = ProgressWatchdog::new(Duration::from_secs(10))
            .warning_threshold(0.2)
            .events(&events);
        watchdog.start().unwrap();
        pass(2.1).await;
        assert_eq!(events.events()[0].data["seconds_remaining"], 8.0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_defaults_tell_nobody_and_call_nothing() {
        let watchdog = ProgressWatchdog::new(SECOND);
        watchdog.start().unwrap();
        pass(1.1).await;
        assert!(watchdog.timed_out());
    }

    #[test]
    fn what_makes_no_sense_is_an_error_when_it_is_started() {
        let outside = ProgressWatchdog::new(SECOND).start().unwrap_err();
        assert_eq!(outside.kind(), &ErrorKind::Local, "{outside}");
        assert!(ProgressWatchdog::new(Duration::ZERO).start().is_err());
        for threshold in [0.0, 1.0, -1.0, f64::NAN, f64::INFINITY] {
            let error = ProgressWatchdog::new(SECOND)
                .warning_threshold(threshold)
                .start()
                .unwrap_err();
            assert_eq!(error.kind(), &ErrorKind::Invalid, "{threshold}");
        }
        // The longest limit there is means none.
        assert!(Quiet::of_command(Duration::MAX).limits.warn > SECOND);
    }
}
