//! Keepalive: probes that tell a dead connection from a quiet one.

use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::sessions::Sessions;
use crate::error::{DisconnectReason, Error, ErrorKind, Result};
use crate::event::{Emitter, EventType};
use crate::transport::link::{Link, LostReason};

/// How a connection notices that the other side is gone, and how long a command may stall.
///
/// A connection on which nothing has arrived for [`KeepaliveConfig::total_timeout`] is given up with the reason
/// `keepalive_timeout`. On the way there `max_count` probes are sent (`keepalive@openssh.com`, a request that every
/// server answers), in even steps of `interval * max_count / (max_count + 1)`; so each has as long to be answered as
/// the next one waits to be sent. Everything that arrives counts as a sign of life, not only the answers, so a busy
/// connection is never probed. `interval` and `max_count` are `ServerAliveInterval` and `ServerAliveCountMax` of
/// ssh_config(5), with one difference: OpenSSH sends a probe every `interval` and gives up one interval after the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepaliveConfig {
    /// Together with `max_count`, how long a silence may last. Default 30 seconds.
    pub interval: Duration,
    /// How many probes may stay unanswered before the connection counts as lost. Default 3.
    pub max_count: u32,
    /// How long a command may neither write nor read anything before it is ended. Default: without limit.
    ///
    /// It applies to `Connection::exec` and `Connection::stream_exec`, while somebody waits for output there, and not
    /// to shells, which may idle. The command's
    /// error has the kind [`ErrorKind::ProgressTimeout`]; its connection goes on, unless the server then gives no
    /// sign of life either.
    pub progress_timeout: Option<Duration>,
}

impl Default for KeepaliveConfig {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(30),
            max_count: 3,
            progress_timeout: None,
        }
    }
}

impl KeepaliveConfig {
    /// How long nothing may arrive before the connection counts as lost: `interval` times `max_count`.
    #[must_use]
    pub fn total_timeout(&self) -> Duration {
        self.interval.saturating_mul(self.max_count)
    }

    /// The time from the last sign of life to the first probe, from each probe to the next one, and from the last
    /// probe to the end: `max_count + 1` of them make up the total.
    fn pace(&self) -> Duration {
        self.interval
            .saturating_sub(self.interval / self.max_count.saturating_add(1))
    }

    /// # Errors
    /// When a value is zero.
    pub(super) fn check(&self) -> Result<()> {
        let positive = |name: &str, positive: bool, hint: &str| {
            if positive {
                return Ok(());
            }
            Err(Error::new(ErrorKind::Invalid, format!("keepalive: {name} must be positive")).with_hint(hint))
        };
        let none = "connect without keepalive to send no probes";
        positive("interval", !self.interval.is_zero(), none)?;
        positive("max_count", self.max_count > 0, none)?;
        positive(
            "progress_timeout",
            self.progress_timeout != Some(Duration::ZERO),
            "leave it out to let commands stall for as long as they like",
        )
    }
}

/// How late a timer may be without anything being wrong: it counts in milliseconds.
const TIMER_SLACK: Duration = Duration::from_millis(5);

/// What there is to decide on.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// Probes since the last sign of life.
    unanswered: u32,
    /// The time since the last sign of life or the last probe, whichever came later.
    waited: Duration,
    /// How much later than it should the task woke up, by either clock: this machine slept, or was too busy.
    overslept: Duration,
}

#[derive(Debug, PartialEq, Eq)]
enum Next {
    Wait(Duration),
    /// Send the probe with this number, counted from the last sign of life.
    Probe(u32),
    Lost,
}

/// What to do next. Whoever has slept cannot tell what would have arrived meanwhile, so the silence is begun anew, with
/// a probe.
fn next(pace: Duration, max_count: u32, seen: Seen) -> Next {
    match seen {
        Seen { waited, .. } if waited < pace => Next::Wait(pace.saturating_sub(waited)),
        Seen { overslept, .. } if overslept > (pace / 2).max(TIMER_SLACK) => Next::Probe(1),
        Seen { unanswered, .. } if unanswered >= max_count => Next::Lost,
        Seen { unanswered, .. } => Next::Probe(unanswered + 1),
    }
}

/// Watches over a connection until it ends, or is found dead and ended. Does not keep it open.
pub(super) async fn keep_alive(
    config: KeepaliveConfig,
    sessions: Weak<Sessions>,
    link: Arc<Link>,
    events: KeepaliveEvents,
) {
    tokio::select! {
        _ = link.ended() => {}
        () = watch(config, &sessions, &link, &events) => {}
    }
}

async fn watch(config: KeepaliveConfig, sessions: &Weak<Sessions>, link: &Link, events: &KeepaliveEvents) {
    let pace = config.pace();
    // Tasks of their own, because sending waits while the other side takes nothing.
    let mut probes = JoinSet::new();
    let mut asked = link.last_heard();
    let mut unanswered = 0;
    let mut overslept = Duration::ZERO;
    loop {
        let heard = link.last_heard();
        if heard > asked {
            unanswered = 0;
        }
        let seen = Seen {
            unanswered,
            waited: heard.max(asked).elapsed(),
            overslept,
        };
        match next(pace, config.max_count, seen) {
            Next::Wait(rest) => {
                overslept = tokio::select! {
                    biased;
                    Some(answered) = probes.join_next() => {
                        if let Ok(Ok((number, took))) = answered {
                            events.received(number, took);
                        }
                        Duration::ZERO
                    }
                    overslept = oversleep(rest) => overslept,
                };
            }
            Next::Probe(number) => {
                let Some(sessions) = sessions.upgrade() else {
                    return;
                };
                if number == 1 {
                    // A server that does not answer although it lives must not pile them up.
                    probes.abort_all();
                }
                let probe = sessions.session().ping();
                probes.spawn(async move { probe.await.map(|took| (number, took)) });
                events.sent(number, &config);
                unanswered = number;
                asked = Instant::now();
                overslept = Duration::ZERO;
            }
            Next::Lost => {
                events.timeout(&config, heard.elapsed());
                link.fail(LostReason {
                    hint: Some(
                        "the network or the host is gone; raise the interval or the count if it is only slow"
                            .to_owned(),
                    ),
                    disconnect: DisconnectReason::KeepaliveTimeout,
                    ..LostReason::of(
                        ErrorKind::Connection,
                        "the server stopped answering keepalive probes",
                    )
                });
                return;
            }
        }
    }
}

/// Sleeps, and returns how much too long it was. The monotonic clock stands still while the machine is suspended, on
/// most systems; the wall clock does not.
async fn oversleep(rest: Duration) -> Duration {
    let (before, wall) = (Instant::now(), SystemTime::now());
    sleep(rest).await;
    // An error means that the wall clock was set back, which says nothing.
    let by_wall = wall.elapsed().unwrap_or_default();
    before.elapsed().max(by_wall).saturating_sub(rest)
}

/// Tells of the probes of one connection.
pub(super) struct KeepaliveEvents {
    emitter: Emitter,
    host: String,
    port: u16,
}

impl KeepaliveEvents {
    pub(super) fn new(emitter: Emitter, host: &str, port: u16) -> Self {
        Self {
            emitter,
            host: host.to_owned(),
            port,
        }
    }

    fn sent(&self, number: u32, config: &KeepaliveConfig) {
        self.emit(
            EventType::KeepaliveSent,
            json!({
                "probe": number, "max_count": config.max_count, "interval_sec": config.interval.as_secs_f64(),
            }),
        );
    }

    fn received(&self, number: u32, took: Duration) {
        self.emit(
            EventType::KeepaliveReceived,
            json!({ "probe": number, "round_trip_ms": took.as_secs_f64() * 1000.0 }),
        );
    }

    fn timeout(&self, config: &KeepaliveConfig, silence: Duration) {
        self.emit(
            EventType::KeepaliveTimeout,
            json!({
                "unanswered": config.max_count, "max_count": config.max_count,
                "interval_sec": config.interval.as_secs_f64(),
                "total_timeout_sec": config.total_timeout().as_secs_f64(),
                "silence_sec": silence.as_secs_f64(),
            }),
        );
    }

    fn emit(&self, event_type: EventType, mut data: Value) {
        if let Some(fields) = data.as_object_mut() {
            fields.insert("host".to_owned(), self.host.clone().into());
            fields.insert("port".to_owned(), self.port.into());
        }
        self.emitter.emit(event_type, data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn config(interval: Duration, max_count: u32) -> KeepaliveConfig {
        KeepaliveConfig {
            interval,
            max_count,
            ..KeepaliveConfig::default()
        }
    }

    #[test]
    fn the_next_step_follows_from_what_was_seen() {
        let pace = millis(1000);
        for (unanswered, waited, overslept, expected) in [
            (0, 0, 0, Next::Wait(pace)),
            (0, 400, 0, Next::Wait(millis(600))),
            (0, 1000, 0, Next::Probe(1)),
            (1, 999, 0, Next::Wait(millis(1))),
            (1, 1000, 3, Next::Probe(2)),
            (2, 1000, 0, Next::Probe(3)),
            (3, 999, 0, Next::Wait(millis(1))),
            (3, 1000, 500, Next::Lost),
            // The machine slept or was busy: what it missed must not count against the server.
            (3, 1700, 700, Next::Probe(1)),
            (3, 1000, 3_600_000, Next::Probe(1)),
            (0, 60_000, 59_000, Next::Probe(1)),
            // What arrived meanwhile has been seen already.
            (0, 10, 3_600_000, Next::Wait(millis(990))),
        ] {
            let seen = Seen {
                unanswered,
                waited: millis(waited),
                overslept: millis(overslept),
            };
            assert_eq!(next(pace, 3, seen), expected, "{seen:?}");
        }
    }

    #[test]
    fn a_silence_ends_after_the_total_timeout_with_every_probe_sent() {
        for (interval, max_count) in [(30_000, 3), (1000, 1), (1000, 2), (50, 2), (10_000, 100)] {
            let config = config(millis(interval), max_count);
            let (mut silence, mut waited, mut unanswered) = (Duration::ZERO, Duration::ZERO, 0);
            loop {
                let seen = Seen {
                    unanswered,
                    waited,
                    overslept: Duration::ZERO,
                };
                match next(config.pace(), max_count, seen) {
                    Next::Wait(rest) => {
                        waited += rest;
                        silence += rest;
                    }
                    Next::Probe(number) => {
                        assert_eq!(number, unanswered + 1);
                        (unanswered, waited) = (number, Duration::ZERO);
                    }
                    Next::Lost => break,
                }
            }
            assert_eq!(unanswered, max_count);
            let total = config.total_timeout();
            assert_eq!(total, millis(interval) * max_count);
            assert!(
                silence <= total + millis(1) && silence + millis(1) >= total,
                "{config:?}: {silence:?}"
            );
        }
    }

    #[test]
    fn the_longest_times_there_are_do_no_harm() {
        let config = config(Duration::MAX, u32::MAX);
        assert_eq!(config.total_timeout(), Duration::MAX);
        assert!(config.pace() > Duration::from_secs(u64::from(u32::MAX)));
    }

    #[test]
    fn every_value_must_be_positive() {
        let good = KeepaliveConfig {
            progress_timeout: Some(millis(1)),
            ..config(millis(1), 1)
        };
        assert!(good.check().is_ok());
        for (bad, message) in [
            (config(Duration::ZERO, 1), "keepalive: interval must be positive"),
            (config(millis(1), 0), "keepalive: max_count must be positive"),
            (
                KeepaliveConfig {
                    progress_timeout: Some(Duration::ZERO),
                    ..good
                },
                "keepalive: progress_timeout must be positive",
            ),
        ] {
            let error = bad.check().unwrap_err();
            assert_eq!(
                (error.kind(), error.to_string().as_str()),
                (&ErrorKind::Invalid, message)
            );
        }
    }
}
