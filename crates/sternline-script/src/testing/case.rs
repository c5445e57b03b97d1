//! One test: `setup`, the test, `teardown`, what was deferred, and what is left to clean up.

use std::time::Duration;

use starlark::environment::Module;
use starlark::eval::Evaluator;
use starlark::values::OwnedFrozenValue;

use super::limit::Limit;
use super::report::{Outcome, Problem, Stage};
use crate::context::Context;
use crate::error::{ScriptError, exited, skipped};
use crate::evaluate::{Printer, evaluator, guarded, run_deferred};
use crate::stop::{Stop, Why};

/// What a test consists of. The functions are those of the frozen module, so that they can be called from a fresh one.
pub(super) struct Case<'a> {
    pub(super) setup: Option<&'a OwnedFrozenValue>,
    pub(super) test: &'a OwnedFrozenValue,
    pub(super) teardown: Option<&'a OwnedFrozenValue>,
}

/// What every test of a file is run with.
pub(super) struct Around<'a> {
    pub(super) context: &'a Context,
    /// How long each stage may take.
    pub(super) limit: Option<Duration>,
    /// Ends the run from outside.
    pub(super) outer: &'a Stop,
}

/// Why a stage ended early.
pub(super) enum Early {
    Skipped(String),
    Failed(Box<Problem>),
}

impl Early {
    /// What an error means, which is at this place, of a script that was told to end or not.
    pub(super) fn of(error: &starlark::Error, place: ScriptError, stage: Stage, why: Option<Why>) -> Self {
        let named = |what: String| match stage {
            Stage::Load | Stage::Test => what,
            Stage::Setup | Stage::Teardown => format!("{} failed: {what}", stage.word()),
        };
        if why.is_none()
            && let Some(reason) = skipped(error)
        {
            return Self::Skipped(reason.to_owned());
        }
        if stage == Stage::Load && why.is_none() && exited(error) == Some(0) {
            return Self::Skipped("the file called exit(0)".to_owned());
        }
        let message = match (why, exited(error)) {
            (Some(Why::TimedOut(limit)), _) => named(format!("took longer than {limit:?}")),
            (Some(why), _) => why.to_string(),
            (None, Some(status)) => {
                let who = if stage == Stage::Load {
                    "the file"
                } else {
                    stage.word()
                };
                format!("{who} called exit({status})")
            }
            (None, None) => named(place.message().to_owned()),
        };
        Self::Failed(Box::new(Problem {
            stage,
            message,
            error: Some(place),
        }))
    }

    pub(super) fn outcome(self) -> Outcome {
        match self {
            Self::Skipped(reason) => Outcome::Skipped(reason),
            Self::Failed(problem) => Outcome::Failed(vec![*problem]),
        }
    }
}

/// Runs a test in a module of its own. However it ends, nothing of it is left.
pub(super) fn run(case: &Case<'_>, around: &Around<'_>) -> Outcome {
    let context = around.context;
    let mark = context.mark();
    Module::with_temp_heap(|module| {
        let before = context.callbacks.borrow_mut().enter();
        let printer = Printer(&context.session);
        let mut eval = evaluator(&module, context, &printer);
        let mut outcome = stages(&mut eval, case, around);
        let limit = Limit::begin(&context.session, around.limit, None);
        run_deferred(&mut eval, context, mark);
        if let Some(why) = limit.end() {
            context
                .session
                .message(&format!("warning: a deferred function was ended: {why}"));
            if matches!(outcome, Outcome::Passed) {
                outcome = Outcome::Failed(vec![Problem {
                    stage: Stage::Test,
                    message: "a deferred function took too long".to_owned(),
                    error: None,
                }]);
            }
        }
        context.clean_up(mark);
        context.callbacks.borrow_mut().leave(before, None);
        outcome
    })
}

fn stages(eval: &mut Evaluator<'_, '_, '_>, case: &Case<'_>, around: &Around<'_>) -> Outcome {
    let outer = Some(around.outer);
    if let Some(setup) = case.setup
        && let Err(early) = stage(eval, setup, Stage::Setup, around, outer)
    {
        return early.outcome();
    }
    let outcome = match stage(eval, case.test, Stage::Test, around, outer) {
        Ok(()) => Outcome::Passed,
        Err(early) => early.outcome(),
    };
    let Some(teardown) = case.teardown else {
        return outcome;
    };
    // It is not interrupted by the same that has interrupted the test.
    match (stage(eval, teardown, Stage::Teardown, around, None), outcome) {
        (Err(Early::Failed(problem)), Outcome::Failed(mut problems)) => {
            problems.push(*problem);
            Outcome::Failed(problems)
        }
        (Err(Early::Failed(problem)), _) => Outcome::Failed(vec![*problem]),
        (_, outcome) => outcome,
    }
}

fn stage(
    eval: &mut Evaluator<'_, '_, '_>,
    function: &OwnedFrozenValue,
    stage: Stage,
    around: &Around<'_>,
    outer: Option<&Stop>,
) -> Result<(), Early> {
    let limit = Limit::begin(&around.context.session, around.limit, outer);
    let function = eval.heap().access_owned_frozen_value(function);
    let ended = guarded(|| eval.eval_function(function, &[], &[])).map(|_| ());
    let why = limit.end();
    ended.map_err(|error| Early::of(&error, ScriptError::from_starlark(&error), stage, why))
}
