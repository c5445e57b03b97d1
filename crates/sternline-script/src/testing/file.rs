//! One file of tests: its body once, then each of its tests.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use starlark::environment::{FrozenModule, Module};
use starlark::values::OwnedFrozenValue;
use starlark::values::function::FUNCTION_TYPE;

use super::capture::Capture;
use super::case::{Around, Case, Early, run};
use super::limit::Limit;
use super::report::{CaseReport, FileReport, Outcome, Problem, Stage};
use super::run::{Shared, TestEvent};
use crate::context::{Context, Mark};
use crate::evaluate::{Printer, Source, evaluate_text, evaluator, run_deferred, script_error};
use crate::session::Session;

/// How the names of tests begin.
const TEST: &str = "test_";

/// Runs the tests of one file, on a thread that may block.
pub(super) fn run_file(session: Session, capture: &Capture, path: &str, shared: &Arc<Shared>) -> FileReport {
    let begun = Instant::now();
    let mut report = FileReport {
        path: path.to_owned(),
        load: Outcome::Passed,
        output: String::new(),
        cases: Vec::new(),
        not_run: 0,
        duration: begun.elapsed(),
    };
    shared.tell(&TestEvent::Begun { path });
    let file = session.path(path);
    match std::fs::read_to_string(&file) {
        Ok(text) => {
            let source = Source {
                name: path.to_owned(),
                path: Some(file),
                text,
            };
            run_source(session, capture, &source, shared, &mut report);
        }
        Err(error) => {
            let message = format!("cannot read the file: {error}");
            report.load = Outcome::Failed(vec![Problem {
                stage: Stage::Load,
                message,
                error: None,
            }]);
        }
    }
    report.duration = begun.elapsed();
    if report.counts().failed > 0 {
        shared.failed.store(true, Ordering::SeqCst);
    }
    shared.tell(&TestEvent::Ended(&report));
    report
}

fn run_source(
    session: Session,
    capture: &Capture,
    source: &Source,
    shared: &Shared,
    report: &mut FileReport,
) {
    let context = Context::new(session);
    let around = Around {
        context: &context,
        limit: shared.plan.limit,
        outer: &shared.stop,
    };
    let module = load(source, &around);
    report.output = capture.take();
    match module {
        Ok(module) => {
            run_cases(&module, capture, source, shared, &around, report);
            end(&context, &around);
        }
        Err(early) => report.load = early.outcome(),
    }
    context.clean_up(Mark::default());
}

/// Runs the body, and freezes what it has defined: no test changes what another one sees.
fn load(source: &Source, around: &Around<'_>) -> Result<FrozenModule, Early> {
    let context = around.context;
    Module::with_temp_heap(|module| {
        let before = context.callbacks.borrow_mut().enter();
        let ended = {
            let printer = Printer(&context.session);
            let mut eval = evaluator(&module, context, &printer);
            let limit = Limit::begin(&context.session, around.limit, Some(around.outer));
            let ended = evaluate_text(&mut eval, source, context.globals()).map(|_| ());
            let why = limit.end();
            if ended.is_err() {
                run_deferred(&mut eval, context, Mark::default());
            }
            ended.map_err(|error| Early::of(&error, script_error(context, source, &error), Stage::Load, why))
        };
        let frozen = ended.and_then(|()| {
            module.freeze().map_err(|error| {
                let message = format!("the file's values cannot be kept: {}", error.err_msg);
                Early::Failed(Box::new(Problem {
                    stage: Stage::Load,
                    message,
                    error: None,
                }))
            })
        });
        context.callbacks.borrow_mut().leave(before, frozen.as_ref().ok());
        frozen
    })
}

fn run_cases(
    module: &FrozenModule,
    capture: &Capture,
    source: &Source,
    shared: &Shared,
    around: &Around<'_>,
    report: &mut FileReport,
) {
    let (setup, teardown) = (function(module, "setup"), function(module, "teardown"));
    for name in tests(module, shared) {
        if shared.is_over() {
            report.not_run += 1;
            continue;
        }
        let Some(test) = function(module, &name) else {
            continue;
        };
        let case = Case {
            setup: setup.as_ref(),
            test: &test,
            teardown: teardown.as_ref(),
        };
        let begun = Instant::now();
        let outcome = run(&case, around);
        let line = line_of(&source.text, &name);
        let case = CaseReport {
            name,
            line,
            outcome,
            output: capture.take(),
            duration: begun.elapsed(),
        };
        if matches!(case.outcome, Outcome::Failed(_)) {
            shared.failed.store(true, Ordering::SeqCst);
        }
        shared.tell(&TestEvent::Case {
            path: &report.path,
            case: &case,
        });
        report.cases.push(case);
    }
}

/// Calls what the body has deferred.
fn end(context: &Context, around: &Around<'_>) {
    Module::with_temp_heap(|module| {
        let before = context.callbacks.borrow_mut().enter();
        let printer = Printer(&context.session);
        let mut eval = evaluator(&module, context, &printer);
        let limit = Limit::begin(&context.session, around.limit, None);
        run_deferred(&mut eval, context, Mark::default());
        limit.end();
        context.callbacks.borrow_mut().leave(before, None);
    });
}

/// The names of the tests that are meant, in the order of the file.
fn tests(module: &FrozenModule, shared: &Shared) -> Vec<String> {
    let names = module.names().map(|name| name.as_str().to_owned());
    names
        .filter(|name| name.len() > TEST.len() && name.starts_with(TEST))
        .filter(|name| shared.plan.is_meant(name) && function(module, name).is_some())
        .collect()
}

fn function(module: &FrozenModule, name: &str) -> Option<OwnedFrozenValue> {
    let value = module.get_option(name).ok()??;
    (value.value().get_type() == FUNCTION_TYPE).then_some(value)
}

/// Where a function is defined, for reports: the last definition of the name counts, as for the script.
fn line_of(text: &str, name: &str) -> usize {
    let defines = |line: &str| {
        let rest = line.trim_start().strip_prefix("def ").map(str::trim_start);
        let rest = rest.and_then(|rest| rest.strip_prefix(name));
        rest.is_some_and(|rest| rest.trim_start().starts_with('('))
    };
    let lines = text.lines().enumerate().filter(|(_, line)| defines(line));
    lines.last().map_or(0, |(index, _)| index + 1)
}

#[cfg(test)]
mod tests {
    use super::line_of;

    #[test]
    fn a_test_is_found_by_its_last_definition() {
        let text = "def test_a():\n    pass\ndef test_ab(): pass\nif True:\n    def test_a (): pass\n";
        assert_eq!(line_of(text, "test_a"), 5);
        assert_eq!(line_of(text, "test_ab"), 3);
        assert_eq!(line_of(text, "test_b"), 0);
    }
}
