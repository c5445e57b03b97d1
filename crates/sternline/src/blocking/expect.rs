//! A dialogue with a command or shell.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use super::connection::Keep;
use super::runtime::Runtime;
use crate::error::Result;
use crate::evidence::Transcript;
use crate::exec::{ExitStatus, StreamExec};
use crate::expect::{
    AutomationEngine as Asynchronous, ExpectRespond, ExpectResult, ExpectTimeout, IntoPattern, Key,
    RespondAction, SequenceError,
};
use crate::secret::Secret;

/// [`sternline::AutomationEngine`](crate::AutomationEngine), for callers that wait. Every wait has a time limit.
///
/// ```no_run
/// # fn example(connection: &sternline::blocking::Connection, password: sternline::Secret) -> sternline::Result<()> {
/// use std::time::Duration;
/// use sternline::exec::{ExecRequest, Pty};
///
/// let limit = Duration::from_secs(10);
/// let mut mysql = connection.automate(ExecRequest::new("mysql -u root -p").pty(Pty::default()))?;
/// mysql.expect("Enter password: ", limit)?;
/// mysql.send_secret(&password)?;
/// mysql.expect("mysql> ", limit)?;
/// # Ok(()) }
/// ```
pub struct AutomationEngine {
    inner: Asynchronous,
    runtime: Runtime,
    _keep: Keep,
}

impl AutomationEngine {
    pub(super) fn new(stream: StreamExec, runtime: &Runtime, keep: Keep) -> Self {
        Self {
            inner: Asynchronous::new(stream),
            runtime: runtime.clone(),
            _keep: keep,
        }
    }

    /// Changes its settings, such as [`ignore_control_sequences`](crate::AutomationEngine::ignore_control_sequences) and
    /// [`buffer_limit`](crate::AutomationEngine::buffer_limit).
    ///
    /// ```no_run
    /// # fn example(connection: &sternline::blocking::Connection) -> sternline::Result<()> {
    /// let shell = connection.automate_shell(sternline::exec::Pty::default())?;
    /// let shell = shell.with(|engine| engine.ignore_control_sequences(true));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn with(self, settings: impl FnOnce(Asynchronous) -> Asynchronous) -> Self {
        Self {
            inner: settings(self.inner),
            ..self
        }
    }

    /// See [`AutomationEngine::expect`](crate::AutomationEngine::expect).
    ///
    /// # Errors
    /// As there.
    pub fn expect(
        &mut self,
        pattern: impl IntoPattern,
        timeout: impl Into<ExpectTimeout>,
    ) -> Result<ExpectResult> {
        self.runtime.wait(self.inner.expect(pattern, timeout))
    }

    /// See [`AutomationEngine::expect_any`](crate::AutomationEngine::expect_any).
    ///
    /// # Errors
    /// As there.
    pub fn expect_any(
        &mut self,
        patterns: impl IntoIterator<Item = impl IntoPattern>,
        timeout: impl Into<ExpectTimeout>,
    ) -> Result<ExpectResult> {
        self.runtime.wait(self.inner.expect_any(patterns, timeout))
    }

    /// See [`AutomationEngine::expect_end`](crate::AutomationEngine::expect_end).
    ///
    /// # Errors
    /// As there.
    pub fn expect_end(&mut self, timeout: impl Into<ExpectTimeout>) -> Result<Option<ExitStatus>> {
        self.runtime.wait(self.inner.expect_end(timeout))
    }

    /// See [`AutomationEngine::expect_respond`](crate::AutomationEngine::expect_respond).
    ///
    /// # Errors
    /// As there.
    pub fn expect_respond(
        &mut self,
        pattern: impl IntoPattern,
        response: impl Into<RespondAction>,
        timeout: impl Into<ExpectTimeout>,
        delay: Duration,
    ) -> Result<ExpectResult> {
        self.runtime
            .wait(self.inner.expect_respond(pattern, response, timeout, delay))
    }

    /// See [`AutomationEngine::run_sequence`](crate::AutomationEngine::run_sequence).
    ///
    /// # Errors
    /// As there.
    pub fn run_sequence(&mut self, sequence: &[ExpectRespond]) -> Result<Vec<ExpectResult>, SequenceError> {
        let refused = |error| SequenceError {
            results: Vec::new(),
            steps: sequence.len(),
            error,
        };
        self.runtime
            .run(self.inner.run_sequence(sequence))
            .map_err(refused)?
    }

    /// See [`AutomationEngine::send`](crate::AutomationEngine::send).
    ///
    /// # Errors
    /// As there.
    pub fn send(&mut self, text: impl AsRef<str>, add_newline: bool) -> Result<()> {
        self.runtime.wait(self.inner.send(text, add_newline))
    }

    /// See [`AutomationEngine::send_line`](crate::AutomationEngine::send_line).
    ///
    /// # Errors
    /// As there.
    pub fn send_line(&mut self, text: impl AsRef<str>) -> Result<()> {
        self.runtime.wait(self.inner.send_line(text))
    }

    /// See [`AutomationEngine::send_secret`](crate::AutomationEngine::send_secret).
    ///
    /// # Errors
    /// As there.
    pub fn send_secret(&mut self, secret: &Secret) -> Result<()> {
        self.runtime.wait(self.inner.send_secret(secret))
    }

    /// See [`AutomationEngine::respond`](crate::AutomationEngine::respond).
    ///
    /// # Errors
    /// As there.
    pub fn respond(&mut self, response: &RespondAction) -> Result<()> {
        self.runtime.wait(self.inner.respond(response))
    }

    /// See [`AutomationEngine::send_control`](crate::AutomationEngine::send_control).
    ///
    /// # Errors
    /// As there.
    pub fn send_control(&mut self, character: char) -> Result<()> {
        self.runtime.wait(self.inner.send_control(character))
    }

    /// See [`AutomationEngine::send_key`](crate::AutomationEngine::send_key).
    ///
    /// # Errors
    /// As there.
    pub fn send_key(&mut self, key: Key) -> Result<()> {
        self.runtime.wait(self.inner.send_key(key))
    }

    /// See [`AutomationEngine::send_eof`](crate::AutomationEngine::send_eof).
    ///
    /// # Errors
    /// As there.
    pub fn send_eof(&mut self) -> Result<()> {
        self.runtime.wait(self.inner.send_eof())
    }

    /// See [`AutomationEngine::resize`](crate::AutomationEngine::resize).
    ///
    /// # Errors
    /// As there.
    pub fn resize(&mut self, columns: u32, rows: u32) -> Result<()> {
        self.runtime.wait(self.inner.resize(columns, rows))
    }

    /// Ends the command, if it still runs. Wait for it with [`AutomationEngine::expect_end`].
    pub fn cancel(&self) {
        self.inner.cancel();
    }

    /// The output that was received and not used up.
    #[must_use]
    pub fn buffer(&self) -> Cow<'_, str> {
        self.inner.buffer()
    }

    /// What was said so far.
    #[must_use]
    pub fn transcript(&self) -> &Transcript {
        self.inner.transcript()
    }

    /// What was said, without a copy. Ends the program as dropping the engine does.
    #[must_use]
    pub fn into_transcript(self) -> Transcript {
        self.inner.into_transcript()
    }
}

impl fmt::Debug for AutomationEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
