//! Several steps, one after the other.

use std::time::Duration;

use sternline_proto::expect::{ExpectResult, IntoPattern};
use thiserror::Error as ThisError;

use super::engine::AutomationEngine;
use super::step::{ExpectRespond, ExpectTimeout, RespondAction, RespondDelay, no_pattern};
use crate::error::{Error, ErrorKind, Result};

/// Why a sequence stopped, and how far it got.
#[derive(Debug, Clone, ThisError)]
#[error("step {} of {steps}: {error}", self.results.len() + 1)]
pub struct SequenceError {
    /// The results of the steps before the one that failed.
    pub results: Vec<ExpectResult>,
    /// How many steps there were to be.
    pub steps: usize,
    /// What went wrong.
    pub error: Error,
}

impl SequenceError {
    /// The error alone, which then says in which step it happened.
    #[must_use]
    pub fn into_error(self) -> Error {
        let step = self.results.len() + 1;
        self.error
            .within(&format!("step {step} of {}", self.steps))
            .with_extra("step", step)
            .with_extra("steps", self.steps)
    }
}

impl AutomationEngine {
    /// Waits for a pattern, and answers it if it was found.
    ///
    /// # Errors
    /// As [`AutomationEngine::expect`] and [`AutomationEngine::respond`].
    pub async fn expect_respond(
        &mut self,
        pattern: impl IntoPattern,
        response: impl Into<RespondAction>,
        timeout: impl Into<ExpectTimeout>,
        delay: Duration,
    ) -> Result<ExpectResult> {
        let step = ExpectRespond {
            pattern: pattern.into_pattern().map_err(no_pattern)?,
            response: response.into(),
            delay: RespondDelay(delay),
            timeout: timeout.into(),
        };
        self.step(&step).await
    }

    /// Goes through some steps, and gives their results.
    ///
    /// When the output ends before a step's pattern came, that step's result is the last one and says so: it is neither
    /// matched nor timed out. A step whose time is over is an error, or with [`OnTimeout::Continue`] a result like any
    /// other, without a response. Not cancel-safe: what was answered stays answered.
    ///
    /// [`OnTimeout::Continue`]: super::OnTimeout::Continue
    ///
    /// # Errors
    /// As [`AutomationEngine::expect`] and [`AutomationEngine::respond`], with the results so far. An empty sequence is
    /// [`ErrorKind::Invalid`].
    pub async fn run_sequence(
        &mut self,
        sequence: &[ExpectRespond],
    ) -> Result<Vec<ExpectResult>, SequenceError> {
        let mut results = Vec::with_capacity(sequence.len());
        let failed = |results, error| SequenceError {
            results,
            steps: sequence.len(),
            error,
        };
        if sequence.is_empty() {
            let error = Error::new(ErrorKind::Invalid, "the sequence has no steps");
            return Err(failed(results, error));
        }
        for step in sequence {
            match self.step(step).await {
                Ok(result) => {
                    let goes_on = result.matched || result.timed_out;
                    results.push(result);
                    if !goes_on {
                        break;
                    }
                }
                Err(error) => return Err(failed(results, error)),
            }
        }
        Ok(results)
    }

    async fn step(&mut self, step: &ExpectRespond) -> Result<ExpectResult> {
        let result = self.expect(&step.pattern, step.timeout).await?;
        if result.matched {
            if !step.delay.0.is_zero() {
                tokio::time::sleep(step.delay.0).await;
            }
            self.respond(&step.response).await?;
        }
        Ok(result)
    }
}
