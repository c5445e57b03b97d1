//! A script while it runs: signals and a time limit end it in good order.

use std::future::pending;
use std::process::ExitCode;
use std::time::Duration;

use sternline_script::{Ended, ErrorKind, ScriptError, Stop, Why};
use tokio::time::{Instant, sleep_until};

use super::{Written, report};
use crate::exit;
use crate::ui::{Failure, INTERRUPT, Signals, Ui};

/// How long a script may take to end once it was told to: its commands on hosts are ended, and deferred functions called.
const GRACE: Duration = Duration::from_secs(30);

/// What may end a script early.
#[derive(Debug)]
pub(crate) struct Running<'a> {
    pub(crate) stop: &'a Stop,
    pub(crate) signals: &'a mut Signals,
    pub(crate) limit: Option<Duration>,
}

/// How it went, if it ended by itself or as it was told.
pub(crate) struct Outcome<T> {
    pub(crate) result: T,
    /// The signal that has told it to end.
    pub(crate) signal: Option<u8>,
}

impl Running<'_> {
    /// Waits for the end of a script's work. The first signal, or the time limit, tells it to end; a second signal leaves without
    /// waiting for that.
    pub(crate) async fn until_end<T>(self, work: impl Future<Output = T>) -> Result<Outcome<T>, Failure> {
        let mut work = std::pin::pin!(work);
        let limit = self
            .limit
            .and_then(|limit| Some((Instant::now().checked_add(limit)?, limit)));
        let mut limit = limit.map(|(at, limit)| (at, Why::TimedOut(limit)));
        let mut told: Option<Instant> = None;
        let mut signalled = None;
        loop {
            tokio::select! {
                biased;
                result = &mut work => return Ok(Outcome { result, signal: signalled }),
                signal = self.signals.next() => {
                    if signalled.is_some() {
                        return Err(Failure::interrupted(signal));
                    }
                    signalled = Some(signal);
                    limit = None;
                    told.get_or_insert_with(Instant::now);
                    self.stop.stop(if signal == INTERRUPT { Why::Interrupted } else { Why::Terminated });
                }
                why = passed(limit) => {
                    limit = None;
                    told.get_or_insert_with(Instant::now);
                    self.stop.stop(why);
                }
                () = until(told.map(|told| told + GRACE)) => {
                    let failure = Failure::local("the script did not end within 30 s of being told to")
                        .with_hint("what it has begun on hosts may go on: look there");
                    return Err(match signalled {
                        Some(signal) => failure.with_status(exit::SIGNAL_BASE + signal),
                        None => failure.with_status(exit::TIMED_OUT),
                    });
                }
            }
        }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}

async fn passed(limit: Option<(Instant, Why)>) -> Why {
    match limit {
        Some((at, why)) => {
            sleep_until(at).await;
            why
        }
        None => pending().await,
    }
}

/// The exit status of a script that has ended, once its error was told.
pub(crate) fn status(
    outcome: Outcome<Result<Ended, ScriptError>>,
    written: &Written,
    ui: &Ui,
) -> Result<ExitCode, Failure> {
    if let Some(failure) = written.failed() {
        return Err(failure);
    }
    match outcome.result {
        Ok(ended) => Ok(ExitCode::from(u8::try_from(ended.status).unwrap_or(u8::MAX))),
        Err(error) => match (error.kind(), outcome.signal) {
            (ErrorKind::Stopped(Why::Interrupted | Why::Terminated), Some(signal)) => {
                Err(Failure::interrupted(signal))
            }
            (ErrorKind::Stopped(Why::TimedOut(_)), _) => {
                report(&error, ui);
                ui.hint("allow it more with --timeout; what it ran on hosts was ended there");
                Ok(ExitCode::from(exit::TIMED_OUT))
            }
            (ErrorKind::Unreadable, _) => {
                report(&error, ui);
                Ok(ExitCode::from(exit::USAGE))
            }
            _ => {
                report(&error, ui);
                Ok(ExitCode::from(exit::FAILED))
            }
        },
    }
}
