//! A script that is typed line by line: each input is evaluated where those before it have left off.

mod complete;
mod guard;
mod help;
mod queue;
mod text;

use std::fmt;
use std::sync::Arc;

use starlark::environment::{Globals, GlobalsBuilder, Module};
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::Value;
use starlark::values::none::NoneType;
use tokio::sync::oneshot;

use crate::context::{Context, Mark};
use crate::error::{ScriptError, exited};
use crate::evaluate::{Printer, THREAD_STACK, evaluator, guarded, run_deferred};
use crate::session::Session;
use crate::validate::unknown_names;
use crate::wait::wait;

use queue::{Queue, Request};

pub use complete::Completion;
pub use text::{InputState, ends_block, input_state};

/// A script that goes on for as long as somebody types. It lives on a thread of its own.
pub struct Repl {
    session: Session,
    requests: Arc<Queue>,
}

/// What came of an input.
#[derive(Debug)]
#[non_exhaustive]
pub enum Reply {
    /// It was evaluated. The value of an expression, as `repr` writes it; `None` where there is none to show.
    Done(Option<String>),
    /// It ended early. What it had done until then stays done, and the next input may follow.
    Failed(ScriptError),
    /// It has called `exit` with this status.
    Exited(i32),
}

impl Repl {
    /// Begins one.
    ///
    /// # Errors
    /// When there is no thread for it.
    pub fn start(session: Session) -> Result<Self, ScriptError> {
        let requests = Arc::new(Queue::default());
        let (ours, theirs) = (session.clone(), Closing(Arc::clone(&requests)));
        std::thread::Builder::new()
            .name("script".into())
            .stack_size(THREAD_STACK)
            .spawn(move || serve(ours, &theirs.0))
            .map_err(|error| ScriptError::unreadable(format!("no thread for the script: {error}")))?;
        Ok(Self { session, requests })
    }

    /// Evaluates an input. [`Stop`](crate::Stop) ends it, and is forgotten then.
    ///
    /// Not cancel-safe: a dropped future leaves the input running.
    pub async fn eval(&self, text: impl Into<String>) -> Reply {
        self.ask(|answer| Request::Evaluate(text.into(), answer))
            .await
            .unwrap_or_else(|| {
                Reply::Failed(ScriptError::unreadable(
                    "the script's thread ended unexpectedly".into(),
                ))
            })
    }

    /// What the word that `text` ends with may become. Evaluates nothing that has an effect, and waits for an input that is being
    /// evaluated.
    pub async fn complete(&self, text: impl Into<String>) -> Completion {
        self.ask(|answer| Request::Complete(text.into(), answer))
            .await
            .unwrap_or_default()
    }

    /// The variables that inputs have set, each with its value, in order.
    pub async fn variables(&self) -> Vec<(String, String)> {
        self.ask(Request::Variables).await.unwrap_or_default()
    }

    /// Ends it: deferred functions are called, and all that it has begun is ended. What is asked of it then has no answer.
    pub async fn end(&self) {
        let _ = self.ask(Request::End).await;
    }

    /// What [`Stop`](crate::Stop) and output belong to.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        self.requests.push(request(answer));
        answered.await.ok()
    }
}

impl Drop for Repl {
    fn drop(&mut self) {
        self.requests.close();
    }
}

impl fmt::Debug for Repl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repl")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

/// However the script's thread ends, nobody waits for it any longer.
struct Closing(Arc<Queue>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// What the script's thread does until it is to end, or nobody can ask it any more.
fn serve(session: Session, requests: &Arc<Queue>) {
    let context = Context::new(session);
    let globals = with_help(context.globals());
    Module::with_temp_heap(|module| {
        let before = context.callbacks.borrow_mut().enter();
        let printer = Printer(&context.session);
        let mut eval = evaluator(&module, &context, &printer);
        let mut inputs = 0;
        let mut ended = None;
        loop {
            let asked = Arc::clone(requests);
            // Functions that others want to have called are called between inputs too.
            match wait(&mut eval, async move { asked.ready().await }) {
                Ok(true) => {}
                Ok(false) => break,
                // Told to end what is about to begin.
                Err(_) if requests.has_some() => {}
                // Told to end while it did nothing: that was meant for an input which had just ended.
                Err(_) if context.session.stop().take().is_some() => continue,
                Err(_) => break,
            }
            let Some(request) = requests.pop() else { continue };
            match request {
                Request::Evaluate(text, answer) => {
                    inputs += 1;
                    let _ = answer.send(reply(&mut eval, &context, &globals, inputs, &text));
                }
                Request::Complete(text, answer) => {
                    let _ = answer.send(complete::complete(&text, &mut eval, &globals));
                }
                Request::Variables(answer) => {
                    let names = module.names().filter_map(|name| {
                        Some((name.as_str().to_owned(), module.get(name.as_str())?.to_repr()))
                    });
                    let mut variables: Vec<_> = names.collect();
                    variables.sort_unstable();
                    let _ = answer.send(variables);
                }
                Request::End(answer) => {
                    ended = Some(answer);
                    break;
                }
            }
        }
        run_deferred(&mut eval, &context, Mark::default());
        context.clean_up(Mark::default());
        context.callbacks.borrow_mut().leave(before, None);
        if let Some(answer) = ended {
            let _ = answer.send(());
        }
    });
}

fn reply(
    eval: &mut Evaluator<'_, '_, '_>,
    context: &Context,
    globals: &Globals,
    number: usize,
    text: &str,
) -> Reply {
    let name = format!("<input {number}>");
    context.files.begin(None, &name);
    let known: Vec<String> = eval
        .module()
        .names_and_visibilities()
        .map(|(name, _)| name.as_str().to_owned())
        .collect();
    let done =
        guard::parse(&name, text, eval.module()).and_then(|ast| guarded(|| eval.eval_module(ast, globals)));
    let stopped = context.session.stop().take();
    match done {
        Ok(value) if value.is_none() => Reply::Done(None),
        Ok(value) => Reply::Done(Some(value.to_repr())),
        Err(error) => match exited(&error) {
            Some(status) => Reply::Exited(status),
            None => {
                let error = ScriptError::from_starlark(&error).because_of(stopped);
                let own = error.frames().last().is_some_and(|frame| frame.file == name);
                let names = if own {
                    unknown_names(&name, text, globals, &known)
                } else {
                    Vec::new()
                };
                Reply::Failed(error.with_unknown_names(names))
            }
        },
    }
}

/// What every script knows, and `help`.
fn with_help(globals: &Globals) -> Globals {
    let mut builder = GlobalsBuilder::new();
    builder.frozen_heap().add_reference(globals.heap());
    for (name, value) in globals.iter() {
        builder.set(name, value);
    }
    register(&mut builder);
    builder.build()
}

#[starlark_module]
fn register(builder: &mut GlobalsBuilder) {
    /// Says what is known of a value: how a function is called, and what members a module has. Only where lines are typed.
    fn help<'v>(
        #[starlark(default = starlark::values::none::NoneOr::None)] value: starlark::values::none::NoneOr<
            Value<'v>,
        >,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        let text = match value.into_option() {
            Some(value) => help::help(value, eval.heap()),
            None => "help(x) says what x is, such as help(ssh) or help(ssh.config); dir(x) lists its members"
                .to_owned(),
        };
        Context::of(eval)?.session.out(&format!("{text}\n"))?;
        Ok(NoneType)
    }
}

#[cfg(test)]
mod tests;
