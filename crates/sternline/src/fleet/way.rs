//! How one host is connected to: as often as it takes, and within its time.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::drive::Ending;
use super::keep::Slot;
use super::pace::Pace;
use super::retry::Retries;
use crate::connection::{Connection, ConnectionBuilder};
use crate::error::{Error, ErrorKind, Result, SendState, seconds};

/// The way to one host, for one run.
pub(super) struct Way {
    pub(super) to: To,
    pub(super) pace: Arc<Pace>,
    pub(super) retries: Retries,
    /// How long all of the work on the host may take.
    pub(super) deadline: Option<Duration>,
    pub(super) ending: Ending,
    /// When the first attempt began.
    pub(super) begun: Option<Instant>,
    /// How many there were.
    pub(super) attempts: u32,
    /// The connection is one of an earlier run.
    pub(super) reused: bool,
}

/// Where a connection comes from.
pub(super) enum To {
    /// It is made for this run.
    Make(Box<ConnectionBuilder>),
    /// One of an earlier run, or one that is made now for further runs.
    Keep(Box<ConnectionBuilder>, Slot),
    /// It was made before, or could not be.
    Kept(Result<Connection>),
}

impl Way {
    /// A connection. Cancel-safe in that nothing is left open.
    pub(super) async fn connect(&mut self) -> Result<Connection> {
        loop {
            let error = match self.attempt().await {
                Ok(connection) => return Ok(connection),
                Err(error) => error,
            };
            self.again(error).await?;
        }
    }

    async fn attempt(&mut self) -> Result<Connection> {
        let builder = match &self.to {
            To::Make(builder) => builder.as_ref().clone(),
            To::Keep(builder, slot) => match slot.open() {
                Some(connection) => {
                    self.begun.get_or_insert_with(Instant::now);
                    self.attempts += 1;
                    self.reused = true;
                    return Ok(connection);
                }
                None => builder.as_ref().clone(),
            },
            To::Kept(connection) => {
                self.begun.get_or_insert_with(Instant::now);
                self.attempts = 1;
                return connection.clone();
            }
        };
        let pace = Arc::clone(&self.pace);
        let turn = tokio::select! {
            biased;
            error = self.ending.asked("before a connection was made") => return Err(error),
            turn = pace.turn(&builder) => turn,
        };
        self.begun.get_or_insert_with(Instant::now);
        self.attempts += 1;
        let builder = match self.time_left() {
            Some(left) => builder.within(left),
            None => builder,
        };
        let connection = tokio::select! {
            biased;
            error = self.ending.asked("while it was connecting") => Err(error),
            connection = builder.connect() => connection,
        };
        if let Ok(connection) = &connection {
            // The server tells this client that it is logged in a little before it tells itself.
            connection.hold_until_served(turn);
            if let To::Keep(_, slot) = &self.to {
                slot.put(connection);
            }
        }
        connection
    }

    /// Waits until it is time for another attempt after this error.
    ///
    /// # Errors
    /// The same one, where there is no other attempt.
    pub(super) async fn again(&mut self, error: Error) -> Result<()> {
        if self.was_lost(&error) {
            return Ok(());
        }
        let wait = match self.to {
            To::Make(_) | To::Keep(..) => self.retries.after(&error, random()),
            To::Kept(_) => None,
        };
        let left = self.time_left();
        let Some(wait) = wait.filter(|wait| left.is_none_or(|left| left > *wait)) else {
            return Err(self.explained(error));
        };
        tokio::select! {
            biased;
            ended = self.ending.asked("before another attempt was made") => Err(ended),
            () = tokio::time::sleep(wait) => Ok(()),
        }
    }

    /// Whether the connection of an earlier run had been lost before anything was sent on it. Then another one costs no
    /// attempt, and is made at once.
    pub(super) fn was_lost(&mut self, error: &Error) -> bool {
        let lost = std::mem::take(&mut self.reused)
            && error.sent() == SendState::NotSent
            && error.kind().is_connection();
        if let (true, To::Keep(_, slot)) = (lost, &self.to) {
            slot.forget();
        }
        lost
    }

    /// What is left of the host's time; `None` where there is no limit.
    pub(super) fn time_left(&self) -> Option<Duration> {
        let limit = self.deadline?;
        let spent = self.begun.map(|begun| begun.elapsed()).unwrap_or_default();
        Some(limit.saturating_sub(spent))
    }

    /// The error, with the host's deadline where that is what ended the work.
    pub(super) fn explained(&self, error: Error) -> Error {
        let is_late = matches!(
            error.kind(),
            ErrorKind::ConnectionTimeout | ErrorKind::CommandTimeout
        );
        match self.deadline {
            Some(limit) if is_late && self.time_left() == Some(Duration::ZERO) => {
                error.within(&format!("the host had {} in all", seconds(limit)))
            }
            _ => error,
        }
    }

    /// Leaves a connection that was made for this run.
    pub(super) async fn leave(&self, connection: &Connection) {
        if matches!(self.to, To::Make(_)) {
            connection.close().await;
        }
    }
}

/// A number from 0 to 1; the middle where the system has no randomness to give.
fn random() -> f64 {
    let mut bytes = [0; 4];
    match getrandom::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 0.5,
    }
}
