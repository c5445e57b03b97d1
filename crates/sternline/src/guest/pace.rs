//! When a guest that is not ready is looked at again.

use std::time::Duration;

use tokio::time::Instant;

use crate::deadline::Phase;
use crate::error::{Error, ErrorKind};

/// The first pause between two looks.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// Between two logins that a server has refused: at most one a second.
pub(super) const A_SECOND: Duration = Duration::from_secs(1);

/// Pauses that grow: 20 ms, and half as much again after each look in vain, up to the interval.
#[derive(Debug)]
pub(super) struct BackOff {
    next: Duration,
    interval: Duration,
}

impl BackOff {
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            next: FIRST_PAUSE.min(interval),
            interval,
        }
    }

    pub(super) fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = pause.mul_f64(1.5).min(self.interval);
        pause
    }
}

/// What follows a look or a login in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Another look after a pause that grows.
    Soon,
    /// Another attempt a second after the one before began.
    InASecond,
    /// Nothing: waiting does not mend it.
    Final,
}

/// What is known of the server that answers now.
#[derive(Debug, Default)]
pub(super) struct Patience {
    /// Since when it has refused logins.
    refused_since: Option<Instant>,
    /// How many logins it has cut off.
    cut_off: u32,
}

impl Patience {
    /// What follows this error, at the time that it is now.
    pub(super) fn after(&mut self, error: &Error, grace: Duration, now: Instant) -> Next {
        match (error.kind(), error.phase()) {
            // Nobody is there any more, or not yet: whoever comes next is another server.
            (ErrorKind::ConnectionRefused, _) => {
                *self = Self::default();
                Next::Soon
            }
            (ErrorKind::AuthFailed, _) => {
                let since = *self.refused_since.get_or_insert(now);
                match now.saturating_duration_since(since) < grace {
                    true => Next::InASecond,
                    false => Next::Final,
                }
            }
            // A server that is being restarted cuts off one login. One that cuts off every login refuses in its own
            // way.
            (kind, Some(Phase::Auth)) if kind.is_connection() => {
                self.cut_off += 1;
                match self.cut_off {
                    1 => Next::Soon,
                    _ => Next::InASecond,
                }
            }
            // A resolver is asked as rarely as a server is troubled.
            (kind, Some(Phase::Resolve)) if kind.is_connection() => Next::InASecond,
            (kind, _) if kind.is_connection() => match error.server_is_busy() {
                true => Next::InASecond,
                false => Next::Soon,
            },
            // Credentials, trust, algorithms, and what is wrong on this machine.
            _ => Next::Final,
        }
    }
}

/// Of the last two reasons, the one that tells why the guest is not ready. What ended only because our time was up says
/// nothing about the guest, unless it came further than the one before.
pub(super) fn real_reason(before: Option<Error>, last: Error, cut_short: bool) -> Error {
    match before {
        Some(before)
            if cut_short
                && last.kind() == &ErrorKind::ConnectionTimeout
                && last.phase() <= before.phase() =>
        {
            before
        }
        _ => last,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{AgentReason, KeyLoadReason};

    fn error(kind: ErrorKind, phase: Phase) -> Error {
        Error::new(kind.clone(), kind.as_str()).in_phase(phase)
    }

    const GRACE: Duration = Duration::from_secs(10);

    #[test]
    fn pauses_grow_by_half_from_20_ms_to_the_interval() {
        let pauses = |interval| {
            let mut back_off = BackOff::new(Duration::from_millis(interval));
            [0; 6].map(|_| back_off.pause().as_micros())
        };
        assert_eq!(pauses(100), [20_000, 30_000, 45_000, 67_500, 100_000, 100_000]);
        assert_eq!(pauses(5), [5_000; 6]);
    }

    #[test]
    fn what_a_guest_that_boots_may_do_is_waited_for_and_all_else_is_final() {
        use ErrorKind::*;
        let now = Instant::now();
        for (kind, phase, expected) in [
            (ConnectionRefused, Phase::Tcp, Next::Soon),
            (ConnectionTimeout, Phase::Tcp, Next::Soon),
            (HostUnreachable, Phase::Tcp, Next::Soon),
            (HostUnreachable, Phase::Resolve, Next::InASecond),
            (ConnectionTimeout, Phase::Banner, Next::Soon),
            (Connection, Phase::Banner, Next::Soon),
            (Connection, Phase::Kex, Next::Soon),
            (ConnectionTimeout, Phase::Kex, Next::Soon),
            (Connection, Phase::Auth, Next::Soon),
            (AuthFailed, Phase::Auth, Next::InASecond),
            (HostKeyMismatch, Phase::HostKey, Next::Final),
            (NoMutualKex, Phase::Kex, Next::Final),
            (KeyLoad(KeyLoadReason::FileNotFound), Phase::Auth, Next::Final),
            (Agent(AgentReason::NoKeys), Phase::Auth, Next::Final),
            (Invalid, Phase::Resolve, Next::Final),
            (Local, Phase::HostKey, Next::Final),
        ] {
            let next = Patience::default().after(&error(kind.clone(), phase), GRACE, now);
            assert_eq!(next, expected, "{kind:?} while {phase}");
        }
        let busy = error(Connection, Phase::Banner).with_extra("server_busy", true);
        assert_eq!(Patience::default().after(&busy, GRACE, now), Next::InASecond);
    }

    #[test]
    fn a_refused_login_is_final_once_the_grace_since_the_first_is_over() {
        let refused = error(ErrorKind::AuthFailed, Phase::Auth);
        let begun = Instant::now();
        let mut patience = Patience::default();
        for (seconds, expected) in [(0, Next::InASecond), (9, Next::InASecond), (10, Next::Final)] {
            let now = begun + Duration::from_secs(seconds);
            assert_eq!(patience.after(&refused, GRACE, now), expected, "{seconds}");
        }
        assert_eq!(
            Patience::default().after(&refused, Duration::ZERO, begun),
            Next::Final
        );
    }

    #[test]
    fn a_server_that_was_gone_is_another_one_when_it_comes_back() {
        let begun = Instant::now();
        let late = begun + GRACE;
        let (refused, cut_off, gone) = (
            error(ErrorKind::AuthFailed, Phase::Auth),
            error(ErrorKind::Connection, Phase::Auth),
            error(ErrorKind::ConnectionRefused, Phase::Tcp),
        );
        let mut patience = Patience::default();
        assert_eq!(patience.after(&refused, GRACE, begun), Next::InASecond);
        assert_eq!(patience.after(&cut_off, GRACE, begun), Next::Soon);
        assert_eq!(patience.after(&cut_off, GRACE, begun), Next::InASecond);
        assert_eq!(patience.after(&gone, GRACE, late), Next::Soon);
        assert_eq!(patience.after(&cut_off, GRACE, late), Next::Soon);
        assert_eq!(patience.after(&refused, GRACE, late), Next::InASecond);
    }

    #[test]
    fn what_only_ran_out_of_our_time_does_not_hide_the_real_reason() {
        use ErrorKind::{ConnectionRefused, ConnectionTimeout};
        let refused = || Some(error(ConnectionRefused, Phase::Tcp));
        let kind = |before, last, cut| real_reason(before, last, cut).kind().clone();
        let silent = |phase| error(ConnectionTimeout, phase);
        assert_eq!(kind(refused(), silent(Phase::Tcp), true), ConnectionRefused);
        assert_eq!(kind(refused(), silent(Phase::Banner), true), ConnectionTimeout);
        assert_eq!(kind(refused(), silent(Phase::Tcp), false), ConnectionTimeout);
        assert_eq!(kind(None, silent(Phase::Tcp), true), ConnectionTimeout);
    }
}
