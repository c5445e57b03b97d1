//! Whether a host gets another attempt, and when: decisions, without effects.

use std::time::Duration;

use crate::connection::RetryPolicy;
use crate::error::{Error, SendState};

/// The waits before further attempts; each is any part of what stands here.
const WAITS: RetryPolicy = RetryPolicy {
    max_retries: u32::MAX,
    base_delay: Duration::from_millis(250),
    max_delay: Duration::from_secs(10),
    exponential_base: 2.0,
    jitter: false,
};

/// As [`WAITS`], for a server that only has too many clients at this moment.
const BUSY_WAITS: RetryPolicy = RetryPolicy {
    base_delay: Duration::from_millis(100),
    max_delay: Duration::from_secs(2),
    ..WAITS
};

/// How often a server may say that it is busy. With the waits above that is about twenty seconds.
const BUSY_RETRIES: u32 = 20;

/// The attempts that one host still has.
#[derive(Debug, Clone)]
pub(super) struct Retries {
    allowed: u32,
    used: u32,
    busy: u32,
}

impl Retries {
    pub(super) fn new(allowed: u32) -> Self {
        Self {
            allowed,
            used: 0,
            busy: 0,
        }
    }

    /// How long to wait before the next attempt; `None` where there is none. `random` is a number from 0 to 1.
    ///
    /// A server that is busy has not refused anything: it asks to be left alone for a moment. Its attempts are not counted
    /// against those that are allowed.
    pub(super) fn after(&mut self, error: &Error, random: f64) -> Option<Duration> {
        if error.sent() != SendState::NotSent || !error.kind().is_connection() {
            return None;
        }
        let (count, most, waits) = match error.server_is_busy() {
            true => (&mut self.busy, BUSY_RETRIES, &BUSY_WAITS),
            false => (&mut self.used, self.allowed, &WAITS),
        };
        if *count >= most {
            return None;
        }
        let wait = waits.full_jitter_delay(*count, random);
        *count += 1;
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{ErrorKind, KeyLoadReason};

    fn error(kind: ErrorKind) -> Error {
        Error::new(kind, "m")
    }

    fn busy() -> Error {
        error(ErrorKind::Connection).with_extra("server_busy", true)
    }

    #[test]
    fn only_what_was_not_sent_and_may_pass_is_tried_again() {
        for (error, again) in [
            (error(ErrorKind::ConnectionRefused), true),
            (error(ErrorKind::ConnectionTimeout), true),
            (error(ErrorKind::HostUnreachable), true),
            (error(ErrorKind::Connection), true),
            (
                error(ErrorKind::Connection).with_sent(SendState::MayHaveRun),
                false,
            ),
            (error(ErrorKind::Connection).with_sent(SendState::Ran), false),
            (error(ErrorKind::AuthFailed), false),
            (error(ErrorKind::HostKeyMismatch), false),
            (error(ErrorKind::KeyLoad(KeyLoadReason::Unknown)), false),
            (error(ErrorKind::Channel), false),
            (error(ErrorKind::CommandTimeout), false),
            (error(ErrorKind::Cancelled), false),
            (error(ErrorKind::Invalid), false),
        ] {
            assert_eq!(Retries::new(1).after(&error, 0.5).is_some(), again, "{error:?}");
            assert_eq!(Retries::new(0).after(&error, 0.5), None);
        }
    }

    #[test]
    fn the_waits_grow_and_end_with_the_attempts() {
        let mut retries = Retries::new(3);
        let waits: Vec<_> = (0..4)
            .map(|_| retries.after(&error(ErrorKind::ConnectionRefused), 1.0))
            .collect();
        let millis = |millis| Some(Duration::from_millis(millis));
        assert_eq!(waits, [millis(250), millis(500), millis(1000), None]);
        assert_eq!(
            Retries::new(1).after(&error(ErrorKind::ConnectionRefused), 0.0),
            millis(0)
        );
    }

    #[test]
    fn a_busy_server_is_asked_again_without_an_attempt_being_counted() {
        let mut retries = Retries::new(1);
        for _ in 0..BUSY_RETRIES {
            assert!(retries.after(&busy(), 0.5).is_some());
        }
        assert_eq!(retries.after(&busy(), 0.5), None);
        assert!(retries.after(&error(ErrorKind::ConnectionRefused), 0.5).is_some());
    }
}
