//! One step of a dialogue, as data.

use std::fmt;
use std::time::Duration;

use sternline_proto::expect::{ExpectPattern, IntoPattern, PatternError};

use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

/// How long to wait for output, and what to do when it has not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ExpectTimeout {
    /// The time. It must not be zero.
    pub duration: Duration,
    /// What happens when it is over.
    pub on_timeout: OnTimeout,
}

/// What happens when the time for a pattern is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OnTimeout {
    /// It is an error.
    #[default]
    Raise,
    /// The result says so. A sequence leaves this step's response out and goes on with the next step.
    Continue,
}

impl OnTimeout {
    /// The name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Raise => "raise",
            Self::Continue => "continue",
        }
    }
}

impl ExpectTimeout {
    /// So long, and an error afterwards.
    #[must_use]
    pub fn new(duration: Duration) -> Self {
        Self {
            duration,
            on_timeout: OnTimeout::Raise,
        }
    }

    /// So long, and afterwards a result that says so.
    #[must_use]
    pub fn or_continue(duration: Duration) -> Self {
        Self {
            duration,
            on_timeout: OnTimeout::Continue,
        }
    }

    pub(super) fn check(self) -> Result<Self> {
        if self.duration.is_zero() {
            return Err(Error::new(
                ErrorKind::Invalid,
                "the time limit for output must be positive",
            ));
        }
        Ok(self)
    }
}

/// 30 seconds, and an error afterwards.
impl Default for ExpectTimeout {
    fn default() -> Self {
        Self::new(Duration::from_secs(30))
    }
}

impl From<Duration> for ExpectTimeout {
    fn from(duration: Duration) -> Self {
        Self::new(duration)
    }
}

/// How long to wait before a response is sent. Default: not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct RespondDelay(pub Duration);

impl RespondDelay {
    /// In seconds.
    #[must_use]
    pub fn seconds(self) -> f64 {
        self.0.as_secs_f64()
    }
}

impl From<Duration> for RespondDelay {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

/// What to answer. Made from a text, or from a [`Secret`], which is then recorded nowhere.
#[derive(Clone)]
pub struct RespondAction {
    payload: Payload,
    add_newline: bool,
}

#[derive(Clone)]
enum Payload {
    Text(String),
    Secret(Secret),
}

impl RespondAction {
    /// This text, with a line feed.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            payload: Payload::Text(text.into()),
            add_newline: true,
        }
    }

    /// This secret, with a line feed.
    #[must_use]
    pub fn secret(secret: impl Into<Secret>) -> Self {
        Self {
            payload: Payload::Secret(secret.into()),
            add_newline: true,
        }
    }

    /// Whether a line feed is sent after it. Default: yes.
    #[must_use]
    pub fn add_newline(mut self, add_newline: bool) -> Self {
        self.add_newline = add_newline;
        self
    }

    /// What is sent, without the line feed; for a secret, the secret itself.
    #[must_use]
    pub fn text(&self) -> &str {
        match &self.payload {
            Payload::Text(text) => text,
            Payload::Secret(secret) => secret.expose(),
        }
    }

    /// Whether a line feed is sent after it.
    #[must_use]
    pub fn has_newline(&self) -> bool {
        self.add_newline
    }

    /// Whether it is a secret.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.as_secret().is_some()
    }

    pub(super) fn as_secret(&self) -> Option<&Secret> {
        match &self.payload {
            Payload::Text(_) => None,
            Payload::Secret(secret) => Some(secret),
        }
    }
}

/// A secret shows as `[REDACTED]`.
impl fmt::Debug for RespondAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("RespondAction");
        match &self.payload {
            Payload::Text(text) => shown.field("text", text),
            Payload::Secret(secret) => shown.field("text", secret),
        };
        shown.field("add_newline", &self.add_newline).finish()
    }
}

impl From<&str> for RespondAction {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for RespondAction {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<Secret> for RespondAction {
    fn from(secret: Secret) -> Self {
        Self::secret(secret)
    }
}

impl From<&Secret> for RespondAction {
    fn from(secret: &Secret) -> Self {
        Self::secret(secret.clone())
    }
}

/// Waiting for a pattern, and the answer to it.
#[derive(Debug, Clone)]
pub struct ExpectRespond {
    /// What is waited for.
    pub pattern: ExpectPattern,
    /// What is answered.
    pub response: RespondAction,
    /// How long to wait before the answer.
    pub delay: RespondDelay,
    /// How long to wait for the pattern.
    pub timeout: ExpectTimeout,
}

impl ExpectRespond {
    /// Without delay, and with the default time limit.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when the pattern is none.
    pub fn new(pattern: impl IntoPattern, response: impl Into<RespondAction>) -> Result<Self> {
        Ok(Self {
            pattern: pattern.into_pattern().map_err(no_pattern)?,
            response: response.into(),
            delay: RespondDelay::default(),
            timeout: ExpectTimeout::default(),
        })
    }

    /// How long to wait before the answer.
    #[must_use]
    pub fn delay(mut self, delay: impl Into<RespondDelay>) -> Self {
        self.delay = delay.into();
        self
    }

    /// How long to wait for the pattern.
    #[must_use]
    pub fn timeout(mut self, timeout: impl Into<ExpectTimeout>) -> Self {
        self.timeout = timeout.into();
        self
    }
}

/// What is wrong with a pattern, as an error of ours.
pub(super) fn no_pattern(error: PatternError) -> Error {
    Error::new(ErrorKind::Invalid, error.to_string()).with_hint(error.hint())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_the_seed() {
        let step = ExpectRespond::new("Password: ", Secret::from("hunter2")).unwrap();
        assert_eq!(step.timeout, ExpectTimeout::new(Duration::from_secs(30)));
        assert_eq!(step.timeout.on_timeout.as_str(), "raise");
        assert_eq!(step.delay.seconds(), 0.0);
        assert!(step.response.has_newline() && step.response.is_secret());
        assert_eq!(step.response.text(), "hunter2");
        assert!(!format!("{step:?}").contains("hunter2"));
        let plain = RespondAction::from("yes").add_newline(false);
        assert!(!plain.has_newline() && !plain.is_secret());
    }

    #[test]
    fn no_time_at_all_is_no_time_limit() {
        let error = ExpectTimeout::new(Duration::ZERO).check().unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Invalid);
        assert!(error.to_string().contains("must be positive"));
    }
}
