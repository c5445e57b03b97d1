//! Waiting until a host accepts logins.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::builder::ConnectionBuilder;
use super::handle::Connection;
use crate::deadline::Phase;
use crate::error::{Error, ErrorKind, Result, seconds};

/// Between two looks at a port that is still closed. Nothing on the other side does work for them.
const SOON: Duration = Duration::from_millis(200);

/// Between two attempts of which the first one reached a resolver or a server: at most one a second.
const A_SECOND: Duration = Duration::from_secs(1);

/// How long to wait for a host; see [`ConnectionBuilder::connect_when_ready`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadinessPolicy {
    /// For all attempts together. Default 60 seconds.
    pub timeout: Duration,
    /// For how long after the first refused login further ones are made: a guest that boots may refuse until its
    /// accounts are set up. Default zero, so that a refused login is final.
    pub auth_grace: Duration,
}

impl Default for ReadinessPolicy {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(60),
            auth_grace: Duration::ZERO,
        }
    }
}

impl ConnectionBuilder {
    /// Connects again and again until the host accepts: its name resolves, its port is open, an SSH server answers, and
    /// the login succeeds.
    ///
    /// What a host that is still starting may do is waited for, at most one attempt a second once a server answers.
    /// What waiting does not mend ends it at once: a key file, an agent or a setting that cannot be used, a host key
    /// that is not trusted, no algorithm in common, and a refused login after [`ReadinessPolicy::auth_grace`]. Each
    /// attempt has the builder's [`Deadlines`](crate::Deadlines), shortened to what is left of the time; a question to a
    /// person is waited for in any case. `tell` hears the reason of every attempt that failed.
    ///
    /// Cancel-safe: dropping the future closes what was opened.
    ///
    /// # Errors
    /// The error that ended it at once, or a [`ErrorKind::ConnectionTimeout`] when the time has passed. That one has the
    /// message, the phase and the hint of the last real reason, all of it in the extra fact `last_error`. Both have
    /// the number of attempts in `connect_attempts`.
    pub async fn connect_when_ready(
        &self,
        policy: ReadinessPolicy,
        mut tell: impl FnMut(&Error),
    ) -> Result<Connection> {
        let begun = Instant::now();
        let left = || policy.timeout.saturating_sub(begun.elapsed());
        let mut attempts: u32 = 0;
        let mut refused_since: Option<Instant> = None;
        let mut reason: Option<Error> = None;
        loop {
            let mut builder = self.clone();
            builder.deadlines.overall = builder.deadlines.overall.min(left());
            attempts += 1;
            let error = match builder.connect().await {
                Ok(connection) => return Ok(connection),
                Err(error) => error,
            };
            tell(&error);
            if error.kind() == &ErrorKind::AuthFailed {
                refused_since.get_or_insert_with(Instant::now);
            }
            let in_grace = refused_since.is_some_and(|since| since.elapsed() < policy.auth_grace);
            let pause = match next(error.kind(), error.phase(), in_grace) {
                Next::Final => return Err(error.with_extra("connect_attempts", attempts)),
                Next::Soon => SOON,
                Next::InASecond => A_SECOND,
            };
            let cut_short = left().is_zero();
            let last = match reason.take() {
                Some(before) => real_reason(before, error, cut_short),
                None => error,
            };
            sleep(pause.min(left())).await;
            if left().is_zero() {
                return Err(too_late(&last, policy.timeout, attempts));
            }
            reason = Some(last);
        }
    }
}

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Another attempt after [`SOON`].
    Soon,
    /// Another attempt after [`A_SECOND`].
    InASecond,
    /// None: waiting does not mend it.
    Final,
}

fn next(kind: &ErrorKind, phase: Option<Phase>, in_grace: bool) -> Next {
    match (kind, phase) {
        (kind, Some(Phase::Tcp)) if kind.is_connection() => Next::Soon,
        // The name of a host may appear with it. A server that hangs up may be starting or stopping.
        (kind, _) if kind.is_connection() => Next::InASecond,
        (ErrorKind::AuthFailed, _) if in_grace => Next::InASecond,
        // Credentials, trust, algorithms, and what is wrong on this machine.
        _ => Next::Final,
    }
}

/// Of the last two reasons, the one that tells why the host is not ready. An attempt that ended only because our time
/// was up says nothing about the host, unless it came further than the one before.
fn real_reason(before: Error, last: Error, cut_short: bool) -> Error {
    let only_cut = cut_short && last.kind() == &ErrorKind::ConnectionTimeout;
    if only_cut && last.phase() <= before.phase() {
        before
    } else {
        last
    }
}

fn too_late(reason: &Error, timeout: Duration, attempts: u32) -> Error {
    let context = reason.context();
    let host = context.host.as_deref().unwrap_or("the host");
    let port = context.port.unwrap_or_default();
    let times = if attempts == 1 { "attempt" } else { "attempts" };
    let mut error = Error::new(
        ErrorKind::ConnectionTimeout,
        format!(
            "{host} port {port} was not ready within {} ({attempts} {times}): {reason}",
            seconds(timeout)
        ),
    )
    .at(host, port, context.username.as_deref().unwrap_or_default())
    .with_hint(reason.hint())
    .with_extra("connect_attempts", attempts)
    .with_extra("last_error", reason.to_dict());
    if let Some(phase) = reason.phase() {
        error = error.in_phase(phase);
    }
    error
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::io;
    use std::net::SocketAddr;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::connection::Resolve;
    use crate::error::{AgentReason, KeyLoadReason};

    #[test]
    fn what_follows_a_failure_depends_on_its_kind_its_phase_and_the_grace() {
        use ErrorKind::*;
        use Next::*;
        let all_phases = [
            None,
            Some(Phase::Resolve),
            Some(Phase::Tcp),
            Some(Phase::Banner),
            Some(Phase::Kex),
            Some(Phase::HostKey),
            Some(Phase::Auth),
        ];
        for kind in [Connection, ConnectionRefused, ConnectionTimeout, HostUnreachable] {
            for phase in all_phases {
                let expected = if phase == Some(Phase::Tcp) {
                    Soon
                } else {
                    InASecond
                };
                for in_grace in [false, true] {
                    assert_eq!(next(&kind, phase, in_grace), expected, "{kind:?} {phase:?}");
                }
            }
        }
        assert_eq!(next(&AuthFailed, Some(Phase::Auth), true), InASecond);
        assert_eq!(next(&AuthFailed, Some(Phase::Auth), false), Final);
        for kind in [
            HostKeyMismatch,
            NoMutualKex,
            KeyLoad(KeyLoadReason::FileNotFound),
            Agent(AgentReason::NoKeys),
            Invalid,
            Local,
            Channel,
            CommandTimeout,
            ProgressTimeout,
            Cancelled,
            NoExitStatus,
            CommandFailed,
            OutputOverflow,
        ] {
            for phase in all_phases {
                for in_grace in [false, true] {
                    assert_eq!(next(&kind, phase, in_grace), Final, "{kind:?} {phase:?}");
                }
            }
        }
    }

    #[test]
    fn an_attempt_that_only_ran_out_of_time_does_not_hide_the_real_reason() {
        let error = |kind: ErrorKind, phase| Error::new(kind.clone(), kind.as_str()).in_phase(phase);
        use ErrorKind::{Connection, ConnectionRefused, ConnectionTimeout};
        for (before, last, cut_short, expected) in [
            (
                (ConnectionRefused, Phase::Tcp),
                (ConnectionTimeout, Phase::Tcp),
                true,
                ConnectionRefused,
            ),
            (
                (ConnectionRefused, Phase::Tcp),
                (ConnectionTimeout, Phase::Resolve),
                true,
                ConnectionRefused,
            ),
            // It had come further: the port was open at last, and silent.
            (
                (ConnectionRefused, Phase::Tcp),
                (ConnectionTimeout, Phase::Banner),
                true,
                ConnectionTimeout,
            ),
            // It had all the time of its phase.
            (
                (ConnectionRefused, Phase::Tcp),
                (ConnectionTimeout, Phase::Tcp),
                false,
                ConnectionTimeout,
            ),
            (
                (Connection, Phase::Banner),
                (ConnectionRefused, Phase::Tcp),
                true,
                ConnectionRefused,
            ),
        ] {
            let chosen = real_reason(error(before.0, before.1), error(last.0, last.1), cut_short);
            assert_eq!(chosen.kind(), &expected, "{chosen:?}");
        }
    }

    /// Knows no name, and counts how often it was asked.
    #[derive(Default)]
    struct NoName(AtomicU32);

    impl Resolve for NoName {
        fn resolve<'a>(
            &'a self,
            _host: &'a str,
            _port: u16,
        ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Box::pin(async { Err(io::Error::other("no such name yet")) })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_never_appears_is_asked_for_once_a_second_and_told_as_the_reason() {
        let resolver = Arc::new(NoName::default());
        let empty: [std::path::PathBuf; 0] = [];
        let builder = Connection::builder("ann@guest:2222")
            .known_hosts(empty)
            .resolver(Arc::clone(&resolver) as Arc<dyn Resolve>);
        let policy = ReadinessPolicy {
            timeout: Duration::from_millis(4500),
            ..ReadinessPolicy::default()
        };
        let begun = Instant::now();
        let mut heard = 0;
        let error = builder
            .connect_when_ready(policy, |_| heard += 1)
            .await
            .unwrap_err();
        assert_eq!((heard, resolver.0.load(Ordering::Relaxed)), (5, 5));
        assert_eq!(begun.elapsed(), policy.timeout);
        assert_eq!(error.kind(), &ErrorKind::ConnectionTimeout);
        assert_eq!(error.phase(), Some(Phase::Resolve));
        assert_eq!(
            error.to_string(),
            "guest port 2222 was not ready within 4.5 s (5 attempts): cannot resolve guest"
        );
        assert!(error.hint().contains("spelling"), "{}", error.hint());
        let dict = error.to_dict();
        assert_eq!(dict["connect_attempts"], 5);
        assert_eq!(dict["last_error"]["error_type"], "HostUnreachable");
        assert_eq!(dict["last_error"]["original_error"], "no such name yet");
        assert_eq!(dict["username"], "ann");
    }

    #[tokio::test]
    async fn a_setting_that_makes_no_sense_is_final_at_the_first_attempt() {
        let error = Connection::builder("ann@guest@")
            .connect_when_ready(ReadinessPolicy::default(), |_| {})
            .await
            .unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Invalid);
        assert_eq!(error.to_dict()["connect_attempts"], 1);
    }
}
