//! What an explanation says.

use serde_json::{Value, json};

/// What became of the session, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// It went well.
    Succeeded,
    /// Something failed, was done again, and then went well.
    Recovered,
    /// The connection was good. A command on it ended with a status other than 0, or by a signal.
    CommandFailed,
    /// It failed.
    Failed,
    /// The bundle does not say.
    Unknown,
}

impl Outcome {
    /// The name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Recovered => "recovered",
            Self::CommandFailed => "command_failed",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

/// How far one phase of connecting got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StepState {
    /// It went well.
    Passed,
    /// It failed here.
    Failed,
    /// Something before it failed.
    NotReached,
    /// The bundle does not say.
    NotKnown,
}

impl StepState {
    /// The name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::NotReached => "not_reached",
            Self::NotKnown => "not_known",
        }
    }
}

/// One phase of connecting.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Its name, as [`Phase`](crate::Phase) writes it.
    pub phase: String,
    /// How far it got.
    pub state: StepState,
    /// How long it took, in milliseconds, where the bundle says so.
    pub duration_ms: Option<f64>,
}

/// Something that the bundle says, and that supports the cause.
#[derive(Debug, Clone, PartialEq)]
pub struct SupportingFact {
    /// When, in milliseconds since the Unix epoch, where the bundle says so.
    pub at_ms: Option<f64>,
    /// What, as a sentence.
    pub text: String,
}

/// Why a session ended as it did, and what to do about it, as far as its bundle tells.
///
/// All texts are sentences, and safe to show: what comes from the bundle is escaped.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// What became of it.
    pub outcome: Outcome,
    /// The class name of the error, for example `ConnectionRefused`, where something failed and the bundle names it.
    pub error_type: Option<String>,
    /// The phase in which it failed, as [`Phase`](crate::Phase) writes it.
    pub phase: Option<String>,
    /// The jump host at which it failed, as `user@host:port`, where it was one.
    pub hop: Option<String>,
    /// What went wrong, in one sentence.
    pub cause: String,
    /// What supports that, oldest first, then what has no time.
    pub facts: Vec<SupportingFact>,
    /// How far it got, in one sentence.
    pub how_far: String,
    /// How far each phase of connecting got; empty where the bundle says nothing of any.
    pub steps: Vec<Step>,
    /// What to do, the most promising first. Empty where nothing has to be done.
    pub next_steps: Vec<String>,
    /// What would help, but is not in the bundle.
    pub not_known: Vec<String>,
}

impl Explanation {
    /// The name and version of the JSON object. It changes when a field changes its meaning or goes.
    pub const SCHEMA: &'static str = "sternline.evidence.explain/1";

    /// One JSON object with a key for each field, and `schema`. What is not known is null.
    #[must_use]
    pub fn to_dict(&self) -> Value {
        let facts = self
            .facts
            .iter()
            .map(|fact| json!({ "at_ms": fact.at_ms, "text": fact.text }));
        let steps = self.steps.iter().map(|step| {
            json!({
                "phase": step.phase, "state": step.state.as_str(), "duration_ms": step.duration_ms,
            })
        });
        json!({
            "schema": Self::SCHEMA,
            "outcome": self.outcome.as_str(),
            "error_type": self.error_type,
            "phase": self.phase,
            "hop": self.hop,
            "cause": self.cause,
            "facts": facts.collect::<Vec<_>>(),
            "how_far": self.how_far,
            "steps": steps.collect::<Vec<_>>(),
            "next_steps": self.next_steps,
            "not_known": self.not_known,
        })
    }
}

/// What one kind of failure has to say, while it is put together.
#[derive(Debug, Default)]
pub(super) struct Finding {
    pub(super) cause: String,
    pub(super) facts: Vec<SupportingFact>,
    pub(super) next_steps: Vec<String>,
    pub(super) not_known: Vec<String>,
    /// How many facts there were beyond [`MOST_FACTS`].
    pub(super) left_out: usize,
}

/// How many facts are told: more than anybody reads.
const MOST_FACTS: usize = 100;

impl Finding {
    pub(super) fn new(cause: impl Into<String>) -> Self {
        Self {
            cause: cause.into(),
            ..Self::default()
        }
    }

    pub(super) fn fact(&mut self, at_ms: Option<f64>, text: impl Into<String>) {
        let text = text.into();
        if text.is_empty() || self.facts.iter().any(|fact| fact.text == text) {
            return;
        }
        match self.facts.len() < MOST_FACTS {
            true => self.facts.push(SupportingFact { at_ms, text }),
            false => self.left_out += 1,
        }
    }

    pub(super) fn next(&mut self, step: impl Into<String>) {
        let step = step.into();
        if !step.is_empty() && !self.next_steps.contains(&step) {
            self.next_steps.push(step);
        }
    }

    pub(super) fn missing(&mut self, what: impl Into<String>) {
        self.not_known.push(what.into());
    }
}
