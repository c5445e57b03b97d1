//! One script, from its text to its end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::Duration;

use starlark::PrintHandler;
use starlark::environment::{Globals, Module};
use starlark::eval::Evaluator;
use starlark::values::Value;
use tokio::task::JoinHandle;

use crate::callback::kept_value;
use crate::context::{Context, Mark};
use crate::dialect;
use crate::error::{ErrorKind, ScriptError, exited};
use crate::session::Session;
use crate::stop::Why;
use crate::validate::unknown_names;

/// How deep a script's calls may go.
const CALL_STACK: usize = 2000;

/// How long a script that was told to end may take for what it has left for its end.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// The thread that evaluates a script needs a large stack, because callbacks and expressions nest.
pub(crate) const THREAD_STACK: usize = 256 * 1024 * 1024;

/// The text of a script, and where it is from.
#[derive(Debug, Clone)]
pub struct Source {
    /// What it is called in messages: a path as it was given, or a name such as `<inline>`.
    pub name: String,
    /// The file, which others are loaded from beside; `None` for text that is in none.
    pub path: Option<PathBuf>,
    /// The text.
    pub text: String,
}

/// How a script ended.
#[derive(Debug)]
pub struct Ended {
    /// The status given to `exit`, or 0.
    pub status: i32,
    /// The value of the expression that its text ends with, as `print` would write it; `None` where it ends with something else,
    /// or the value is `None`.
    pub value: Option<String>,
}

/// Runs a script on a thread of its own, with its deferred functions, and waits for its end.
///
/// Not cancel-safe: a dropped future leaves the script running. [`Stop`](crate::Stop) ends it.
///
/// # Errors
/// Why the script ended early.
pub async fn run(session: Session, source: Source) -> Result<Ended, ScriptError> {
    let (done, ended) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new()
        .name("script".into())
        .stack_size(THREAD_STACK)
        .spawn(move || {
            // Nobody waits any more when the future was dropped.
            let _ = done.send(evaluate(session, &source));
        });
    if let Err(error) = thread {
        return Err(ScriptError::unreadable(format!(
            "no thread for the script: {error}"
        )));
    }
    ended.await.unwrap_or_else(|_| {
        Err(ScriptError::unreadable(
            "the script's thread ended unexpectedly".into(),
        ))
    })
}

fn evaluate(session: Session, source: &Source) -> Result<Ended, ScriptError> {
    let context = Context::new(session);
    Module::with_temp_heap(|module| {
        let before = context.callbacks.borrow_mut().enter();
        let printer = Printer(&context.session);
        let mut eval = evaluator(&module, &context, &printer);
        let ended = evaluate_text(&mut eval, source, context.globals());
        let mut eval = evaluator(&module, &context, &printer);
        let ended = ended.map(|value| (!value.is_none()).then(|| value.to_str()));
        // What is to be done at the end may wait for hosts again, though not for long.
        let told = context.session.stop().take();
        let limit = told.map(|_| limit(&context.session));
        if let Some(why) = told {
            run_on_signal(&mut eval, &context, why);
        }
        run_deferred(&mut eval, &context, Mark::default());
        if let Some(limit) = limit {
            limit.abort();
        }
        // A script whose deferred functions were ended has not come to its end either.
        let late = context.session.stop().why().filter(|_| told.is_none());
        context.clean_up(Mark::default());
        if let Some(why) = told {
            context.session.stop().take();
            context.session.stop().stop(why);
        }
        context.callbacks.borrow_mut().leave(before, None);
        match (ended, late) {
            (Ok(_), Some(why)) => Err(ScriptError::stopped(why)),
            (ended, _) => match ended {
                Ok(value) => Ok(Ended { status: 0, value }),
                Err(error) => match exited(&error) {
                    Some(status) => Ok(Ended { status, value: None }),
                    None => Err(script_error(&context, source, &error).because_of(told)),
                },
            },
        }
    })
}

/// An evaluator as every script gets it.
pub(crate) fn evaluator<'v, 'a, 'e>(
    module: &'a Module<'v>,
    context: &'a Context,
    printer: &'a Printer<'a>,
) -> Evaluator<'v, 'a, 'e> {
    let mut eval = Evaluator::new(module);
    eval.extra = Some(context);
    eval.set_print_handler(printer);
    eval.set_loader(context);
    let stop = context.session.stop().clone();
    eval.set_check_cancelled(Box::new(move || stop.why().is_some()));
    // Fails only after the first evaluation.
    let _ = eval.set_max_callstack_size(CALL_STACK);
    eval
}

/// Evaluates the text of a script, or of a file with tests, up to its end. What it loads is looked for beside it.
pub(crate) fn evaluate_text<'v>(
    eval: &mut Evaluator<'v, '_, '_>,
    source: &Source,
    globals: &Globals,
) -> starlark::Result<Value<'v>> {
    Context::of(eval)?
        .files
        .begin(source.path.as_deref(), &source.name);
    let ast = dialect::parse(&source.name, &source.text)?;
    guarded(|| eval.eval_module(ast, globals))
}

/// Makes an error of a panic: the language's own crate panics where a value gets too large for it. What was left for the end is done
/// all the same, by an evaluator of its own.
///
/// # Errors
/// What `evaluate` fails with, and a panic.
pub(crate) fn guarded<T>(evaluate: impl FnOnce() -> starlark::Result<T>) -> starlark::Result<T> {
    catch_unwind(AssertUnwindSafe(evaluate)).unwrap_or_else(|panic| {
        let said = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no reason was given");
        let problem = anyhow::anyhow!("the language gave up, as it does when a value is too large: {said}");
        Err(problem.into())
    })
}

/// Why a script ended early, with all that is known of it.
pub(crate) fn script_error(context: &Context, source: &Source, error: &starlark::Error) -> ScriptError {
    let told = ScriptError::from_starlark(error).because_of(context.session.stop().why());
    match told.kind() {
        ErrorKind::UnknownName
            if told
                .frames()
                .last()
                .is_some_and(|frame| frame.file == source.name) =>
        {
            told.with_unknown_names(unknown_names(&source.name, &source.text, context.globals(), &[]))
        }
        _ => told,
    }
}

/// Ends what is done at the end of a script that was told to end, if it takes too long.
fn limit(session: &Session) -> JoinHandle<()> {
    let stop = session.stop().clone();
    session.runtime().spawn(async move {
        tokio::time::sleep(LAST_WORDS).await;
        stop.stop(Why::TimedOut(LAST_WORDS));
    })
}

/// Calls the last function that was given to `on_signal` for what has told the script to end.
fn run_on_signal(eval: &mut Evaluator<'_, '_, '_>, context: &Context, why: Why) {
    let handlers = context.on_signal.take();
    let Some((_, handler)) = handlers.into_iter().rev().find(|(signal, _)| *signal == why) else {
        return;
    };
    let done = kept_value(eval, handler).and_then(|function| eval.eval_function(function, &[], &[]));
    if let Err(error) = done {
        context.session.message(&format!(
            "warning: the function for a signal failed: {}",
            crate::error::message(&error)
        ));
    }
}

/// Calls what was given to `defer` after the mark, the last one first. What goes wrong in one is said, and keeps none of the
/// others.
pub(crate) fn run_deferred(eval: &mut Evaluator<'_, '_, '_>, context: &Context, since: Mark) {
    loop {
        let mut deferred = context.deferred.borrow_mut();
        let next = if deferred.len() > since.deferred {
            deferred.pop()
        } else {
            None
        };
        drop(deferred);
        let Some(callback) = next else { return };
        let done = kept_value(eval, callback).and_then(|function| eval.eval_function(function, &[], &[]));
        if let Err(error) = done {
            context.session.message(&format!(
                "warning: a deferred function failed: {}",
                crate::error::message(&error)
            ));
        }
    }
}

pub(crate) struct Printer<'a>(pub(crate) &'a Session);

impl PrintHandler for Printer<'_> {
    fn println(&self, text: &str) -> starlark::Result<()> {
        Ok(self.0.out(&format!("{text}\n"))?)
    }
}
