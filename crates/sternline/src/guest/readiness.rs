//! Waiting until a guest takes logins.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::builder::{WAIT_INTERVAL, WAIT_TIMEOUT};
use super::client::{GuestClient, Pin};
use super::pace::{A_SECOND, BackOff, Next, Patience, real_reason};
use crate::auth::check_key_file;
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
    /// First it looks whether an SSH server answers: a TCP connection, its `SSH-` line, and the beginning of its key
    /// exchange. A port that is open and silent does not count, nor one that says no more than that line. The looks
    /// follow each other after 20 ms at first, and after half as much again each time, up to `interval`; one that gets no answer does not
    /// keep the next one waiting. Then it logs in, with `connect_timeout` for each attempt, all within `timeout`.
    ///
    /// What a guest may do while it boots is waited for, a restart of its server included. A refused login is final only
    /// after [`auth_grace`](super::GuestClientBuilder::auth_grace): servers often run before their keys are in place. There is at most
    /// one such attempt a second, so after a refusal it may be a second until the guest is seen to accept the key; in all other cases it is ready
    /// within the interval and the time of a login. (OpenSSH 9.8 and newer shut an address out for a while after three refused logins,
    /// unless `PerSourcePenalties no` is set there: choose a shorter grace for such a guest if it is not ready by then.) Final at once are: a key file
    /// that cannot be used, a host key that is not the right one, and what is wrong on this machine.
    ///
    /// A connection that exists already has to give a sign of life within a second. Cancel-safe.
    ///
    /// # Errors
    /// [`ErrorKind::OperationTimeout`] when the time has passed, never later than that, with the last real reason as its message and in the fact
    /// `last_error`; else the error that was final. [`ErrorKind::Invalid`] when `timeout` or `interval` is zero.
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
        let Some(mut pin) = self.guest.turn(self.left()).await else {
            let busy = "another call was still connecting to the guest";
            self.reason = Some(Error::new(ErrorKind::ConnectionTimeout, busy));
            return Err(Ended::TooLate);
        };
        // Whoever had the turn before may have made it.
        if self.guest.connected() {
            return Ok(Ready);
        }
        loop {
            self.until_it_answers().await?;
            let began = Instant::now();
            match self.log_in(&mut pin).await? {
                None => return Ok(Ready),
                Some(Next::InASecond) => sleep_until((began + A_SECOND).min(self.deadline)).await,
                Some(_) => sleep(self.back_off.pause().min(self.left())).await,
            }
            if self.left().is_zero() {
                return Err(Ended::TooLate);
            }
        }
    }

    /// The first phase.
    async fn until_it_answers(&mut self) -> std::result::Result<(), Ended> {
        let settings = self.guest.settings();
        let look = |limit: Duration, patient| async move { (patient, settings.builder(limit).probe().await) };
        let mut looks = FuturesUnordered::new();
        // A slow guest may need longer for its answer than others are given.
        let mut patient_one = false;
        loop {
            let limit = match patient_one {
                true => LOOK,
                false => settings.connect_timeout,
            };
            looks.push(look(limit.min(self.left()), !patient_one));
            patient_one = true;
            let begun = Instant::now();
            let mut due = begun + self.back_off.pause();
            loop {
                // While others wait for an answer there is more time between two.
                let next = if looks.is_empty() {
                    due
                } else {
                    due.max(begun + APART)
                };
                tokio::select! {
                    biased;
                    Some((patient, outcome)) = looks.next(), if !looks.is_empty() => {
                        patient_one &= !patient;
                        match outcome {
                            Ok(()) => return Ok(()),
                            Err(error) => if self.heard(error)? == Next::InASecond {
                                due = due.max(begun + A_SECOND);
                            }
                        }
                    }
                    () = sleep_until(next.min(self.deadline)) => break,
                }
            }
            if self.left().is_zero() {
                // The time of what is still under way is over as well, and it says why.
                while let Some((_, Err(error))) = looks.next().await {
                    self.heard(error)?;
                }
                return Err(Ended::TooLate);
            }
        }
    }

    /// The second phase: `None` once there is a connection.
    async fn log_in(&mut self, pin: &mut Pin) -> std::result::Result<Option<Next>, Ended> {
        self.logins += 1;
        match self.guest.connect(pin, self.left()).await {
            Ok(_) => Ok(None),
            Err(error) => Ok(Some(self.heard(error)?)),
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
