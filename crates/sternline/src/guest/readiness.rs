//! Waiting until a guest takes logins.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::builder::{WAIT_INTERVAL, WAIT_TIMEOUT};
use super::client::{Begins, GuestClient, Pin};
use super::pace::{A_SECOND, BackOff, Next, Patience, real_reason};
use crate::auth::check_key_file;
use crate::connection::Connection;
use crate::error::{Error, ErrorKind, Result};

/// How long a look may take, beside the one that is given all the time of an attempt.
const LOOK: Duration = Duration::from_millis(500);

/// At the least this long between two looks while others wait for an answer, so that a silent port has eight of them at
/// most. sshd begins to turn clients away when ten have not logged in (MaxStartups).
const APART: Duration = Duration::from_millis(62);

/// How long a guest may take to give a sign of life on a connection that was made before.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);

impl GuestClient {
    /// [`GuestClient::wait_for_ssh`] with its usual limits: [`WAIT_TIMEOUT`] and [`WAIT_INTERVAL`].
    ///
    /// # Errors
    /// As there.
    pub async fn wait_ready(&self) -> Result<()> {
        self.wait_for_ssh(WAIT_TIMEOUT, WAIT_INTERVAL).await
    }

    /// Waits until the guest takes logins, and keeps the connection for what comes next.
    ///
    /// It looks whether an SSH server answers: a TCP connection, its `SSH-` line, and the beginning of its key
    /// exchange. A port that is open and silent does not count, nor one that says no more than that line. The looks
    /// follow each other after 20 ms at first, and after half as much again each time, up to `interval`; one that
    /// gets no answer does not keep the next one waiting. The first that a server goes on with becomes the
    /// connection: it logs in, and the others hang up. Each attempt may take `connect_timeout`, and all of it
    /// `timeout`.
    ///
    /// What a guest may do while it boots is waited for, a restart of its server included. A refused login is final
    /// only after [`auth_grace`](super::GuestClientBuilder::auth_grace): servers often run before their keys are in
    /// place. There is at most one such attempt a second, so after a refusal it may be a second until the guest is
    /// seen to accept the key; in all other cases it is ready within the interval and the time of a login. (OpenSSH
    /// 9.8 and newer may shut an address out for a while after a few refused logins, unless `PerSourcePenalties no`
    /// is set there.) Final at once are: a key file
    /// that cannot be used, a host key that is not the right one, and what is wrong on this machine.
    ///
    /// A connection that exists already has to give a sign of life within a second. Cancel-safe.
    ///
    /// # Errors
    /// [`ErrorKind::OperationTimeout`] when the time has passed, never later than that, with the last real reason as
    /// its message and in the fact `last_error`; else the error that was final. [`ErrorKind::Invalid`] when `timeout`
    /// or `interval` is zero.
    pub async fn wait_for_ssh(&self, timeout: Duration, interval: Duration) -> Result<()> {
        for (name, value) in [("timeout", timeout), ("interval", interval)] {
            if value.is_zero() {
                return Err(Error::new(ErrorKind::Invalid, format!("{name} must be > 0")));
            }
        }
        let begun = Instant::now();
        // A limit beyond what the clock can express is as good as a year.
        let deadline = begun
            .checked_add(timeout)
            .unwrap_or(begun + Duration::from_secs(365 * 24 * 3600));
        let mut wait = Wait {
            guest: self,
            deadline,
            back_off: BackOff::new(interval),
            patience: Patience::default(),
            reason: None,
            looks: 0,
            logins: 0,
        };
        match wait.until_ready().await {
            Ok(Ready) => Ok(()),
            Err(Ended::Final(error)) => Err(self.locate(error).with_extra("connect_attempts", wait.logins)),
            Err(Ended::TooLate) => Err(self.too_late(wait.reason, timeout, wait.logins)),
        }
    }

    fn too_late(&self, reason: Option<Error>, limit: Duration, logins: u32) -> Error {
        let reason = reason.unwrap_or_else(|| {
            Error::new(
                ErrorKind::ConnectionTimeout,
                "the time was over before the first look had an answer",
            )
        });
        let what = format!("wait_for_ssh({})", self.settings().place());
        let last = reason.to_dict();
        self.locate(reason)
            .into_operation_timeout(&what, limit)
            .with_extra("connect_attempts", logins)
            .with_extra("last_error", last)
    }
}

/// The guest takes logins.
struct Ready;

/// Why there will be no connection.
enum Ended {
    TooLate,
    Final(Error),
}

/// One wait.
struct Wait<'a> {
    guest: &'a GuestClient,
    deadline: Instant,
    back_off: BackOff,
    patience: Patience,
    /// The last real reason why the guest is not ready.
    reason: Option<Error>,
    looks: u32,
    /// How many looks a server went on with.
    logins: u32,
}

impl Wait<'_> {
    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    async fn until_ready(&mut self) -> std::result::Result<Ready, Ended> {
        if let Some(connection) = self.guest.current() {
            match timeout(SIGN_OF_LIFE.min(self.left()), connection.ping()).await {
                Ok(Ok(_)) => return Ok(Ready),
                _ => self.guest.drop_stale(&connection),
            }
        }
        let settings = self.guest.settings();
        if let Some(path) = &settings.key_path {
            check_key_file(&settings.environment(), path)
                .await
                .map_err(Ended::Final)?;
        }
        let Some(pin) = self.guest.turn(self.left()).await else {
            let busy = "another call was still connecting to the guest";
            self.reason = Some(Error::new(ErrorKind::ConnectionTimeout, busy));
            return Err(Ended::TooLate);
        };
        // Whoever had the turn before may have made it.
        if self.guest.connected() {
            return Ok(Ready);
        }
        // One attempt a second is for all who wait.
        if let Some((began, error)) = pin.refusal().filter(|(began, _)| began.elapsed() < A_SECOND) {
            self.reason = Some(error);
            sleep_until((began + A_SECOND).min(self.deadline)).await;
            if self.left().is_zero() {
                return Err(Ended::TooLate);
            }
        }
        loop {
            match self.until_one_is_answered(&pin).await? {
                Answer::Ready => return Ok(Ready),
                Answer::Refused(Next::InASecond, began) => {
                    sleep_until((began + A_SECOND).min(self.deadline)).await;
                }
                Answer::Refused(..) => sleep(self.back_off.pause().min(self.left())).await,
            }
            if self.left().is_zero() {
                return Err(Ended::TooLate);
            }
        }
    }

    /// Looks again and again, until a server goes on with one of the looks and that has come to its end.
    async fn until_one_is_answered(&mut self, pin: &Pin) -> std::result::Result<Answer, Ended> {
        let guest = self.guest;
        let leader = Arc::new(watch::Sender::new(None));
        let mut looks = FuturesUnordered::new();
        // A slow guest may need longer for its answer than others are given.
        let mut patient_one = false;
        loop {
            self.looks += 1;
            looks.push(look(
                guest,
                pin,
                Look {
                    number: self.looks,
                    limit: self.left(),
                    patient: !std::mem::replace(&mut patient_one, true),
                    leader: Arc::clone(&leader),
                },
            ));
            let begun = Instant::now();
            let mut due = begun + self.back_off.pause();
            loop {
                let waits = leader.borrow().is_none();
                // While others wait for an answer there is more time between two.
                let next = if looks.is_empty() {
                    due
                } else {
                    due.max(begun + APART)
                };
                tokio::select! {
                    biased;
                    Some(seen) = looks.next(), if !looks.is_empty() => {
                        patient_one &= !seen.patient;
                        let error = match seen.outcome {
                            None => continue,
                            Some(Ok(_)) => return Ok(Answer::Ready),
                            Some(Err(error)) => error,
                        };
                        let led = *leader.borrow() == Some(seen.number);
                        self.logins += u32::from(led);
                        if error.kind() == &ErrorKind::AuthFailed {
                            pin.refused(seen.began, &error);
                        }
                        let next = self.heard(error)?;
                        if led {
                            return Ok(Answer::Refused(next, seen.began));
                        }
                        if next == Next::InASecond {
                            due = due.max(begun + A_SECOND);
                        }
                    }
                    () = sleep_until(next.min(self.deadline)), if waits => break,
                }
            }
            if self.left().is_zero() {
                // The time of what is still under way is over as well, and it says why.
                while let Some(seen) = looks.next().await {
                    if let Some(Err(error)) = seen.outcome {
                        self.heard(error)?;
                    }
                }
                return Err(Ended::TooLate);
            }
        }
    }

    /// Takes note of an error, and what follows it.
    fn heard(&mut self, error: Error) -> std::result::Result<Next, Ended> {
        let grace = self.guest.settings().auth_grace;
        let next = self.patience.after(&error, grace, Instant::now());
        if next == Next::Final {
            return Err(Ended::Final(error));
        }
        let cut_short = self.left().is_zero();
        self.reason = Some(real_reason(self.reason.take(), error, cut_short));
        Ok(next)
    }
}

/// How looking has ended.
enum Answer {
    Ready,
    /// The server was there, and this is what follows; with when the look began.
    Refused(Next, Instant),
}

/// One look: an attempt to connect that goes on for as long as a server answers.
struct Look {
    number: u32,
    limit: Duration,
    /// Whether it waits for its answer as long as connecting may take.
    patient: bool,
    /// The look with which the server goes on, once there is one.
    leader: Arc<watch::Sender<Option<u32>>>,
}

/// What has become of a look; nothing where it was given up.
struct Seen {
    number: u32,
    patient: bool,
    began: Instant,
    outcome: Option<Result<Connection>>,
}

async fn look(guest: &GuestClient, pin: &Pin, look: Look) -> Seen {
    let Look {
        number,
        limit,
        patient,
        leader,
    } = look;
    let began = Instant::now();
    let mut led = leader.subscribe();
    let begins: Begins = Arc::new(move || {
        leader.send_if_modified(|leader| {
            let first = leader.is_none();
            leader.get_or_insert(number);
            first
        });
    });
    let mut connecting = pin!(guest.connect(pin, limit, Some(begins)));
    let outcome = tokio::select! {
        biased;
        // One login at a time: whoever is not the first to be answered hangs up.
        leader = led.wait_for(Option::is_some) => match leader.is_ok_and(|leader| *leader == Some(number)) {
            true => None,
            false => Some(None),
        },
        outcome = &mut connecting => Some(Some(outcome)),
        () = sleep(LOOK), if !patient => Some(None),
    };
    let outcome = match outcome {
        Some(outcome) => outcome,
        None => Some(connecting.await),
    };
    Seen {
        number,
        patient,
        began,
        outcome,
    }
}
