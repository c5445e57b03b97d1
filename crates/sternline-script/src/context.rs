//! What native functions find beside the script's values: its session, its callbacks, and those who want to call them.

use std::cell::{Cell, OnceCell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use starlark::any::ProvidesStaticType;
use starlark::environment::Globals;
use starlark::eval::Evaluator;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::batch::{Batch, MAX_NESTED};
use crate::callback::{Callback, Callbacks, Job, Jobs};
use crate::load::Files;
use crate::modules;
use crate::modules::log::LogSettings;
use crate::session::Session;
use crate::ssh::RunKeys;
use crate::stop::Why;

/// How long everything that is left for the end may take.
const CLEANING: Duration = Duration::from_secs(10);

/// Belongs to the thread that evaluates a script, and to all of its evaluators, one after another.
#[derive(ProvidesStaticType)]
pub(crate) struct Context {
    pub(crate) session: Session,
    pub(crate) callbacks: RefCell<Callbacks>,
    /// The script's file, and those that it loads.
    pub(crate) files: Files,
    globals: OnceCell<Globals>,
    /// Where others leave calls of the script's functions.
    jobs: Jobs,
    pub(crate) posted: RefCell<mpsc::UnboundedReceiver<Job>>,
    /// How many calls from outside lie on the stack.
    pub(crate) depth: Cell<usize>,
    /// The batches of calls that are being made, the innermost one last.
    pub(crate) batches: RefCell<Vec<Rc<Batch>>>,
    /// How many calls were begun on top of others that wait.
    pub(crate) nested: Cell<usize>,
    /// How the module `log` writes.
    pub(crate) log: RefCell<LogSettings>,
    /// The status given to `exit` in a function that was called from outside: it ends the script all the same.
    pub(crate) exit: Cell<Option<i32>>,
    /// What `defer` was given, the last one first to be called.
    pub(crate) deferred: RefCell<Vec<Callback>>,
    /// What `on_signal` was given, and when it is called.
    pub(crate) on_signal: RefCell<Vec<(Why, Callback)>>,
    /// The keys that tests have made.
    pub(crate) run_keys: Arc<RunKeys>,
    /// What is done when the script or the test has ended, the last one first.
    at_end: RefCell<Vec<Pin<Box<dyn Future<Output = ()> + Send>>>>,
}

/// How much was deferred and left for the end at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Mark {
    pub(crate) deferred: usize,
    at_end: usize,
}

impl Context {
    pub(crate) fn new(session: Session) -> Self {
        let (jobs, posted) = mpsc::unbounded_channel();
        Self {
            log: RefCell::new(LogSettings::new(session.debug())),
            session,
            callbacks: RefCell::default(),
            files: Files::default(),
            globals: OnceCell::new(),
            jobs: Jobs(jobs),
            posted: RefCell::new(posted),
            depth: Cell::new(0),
            batches: RefCell::default(),
            nested: Cell::new(0),
            exit: Cell::new(None),
            deferred: RefCell::default(),
            on_signal: RefCell::default(),
            run_keys: Arc::default(),
            at_end: RefCell::default(),
        }
    }

    /// What every file of this run knows from the start.
    pub(crate) fn globals(&self) -> &Globals {
        self.globals.get_or_init(|| modules::globals(&self.session))
    }

    /// Leaves work for when the script has ended, or the test that is running, however it ends: closing connections, stopping
    /// servers, removing files. It runs on the session's runtime; the last one is done first.
    pub(crate) fn at_end(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.at_end.borrow_mut().push(Box::pin(work));
    }

    /// What is deferred and left for the end later than this belongs to the test that begins now.
    pub(crate) fn mark(&self) -> Mark {
        Mark {
            deferred: self.deferred.borrow().len(),
            at_end: self.at_end.borrow().len(),
        }
    }

    /// Does what was left for the end after the mark. What is not done within 10 seconds is dropped.
    pub(crate) fn clean_up(&self, since: Mark) {
        let deadline = Instant::now() + CLEANING;
        loop {
            let mut at_end = self.at_end.borrow_mut();
            let next = if at_end.len() > since.at_end {
                at_end.pop()
            } else {
                None
            };
            drop(at_end);
            let Some(work) = next else { break };
            let _ = self
                .session
                .runtime()
                .block_on(async { timeout_at(deadline, work).await });
        }
        self.exit.set(None);
        // Who asked for these calls is gone, or does not wait for them any more.
        while self.posted.borrow_mut().try_recv().is_ok() {}
    }

    /// Where tasks leave calls of the script's functions.
    pub(crate) fn jobs(&self) -> Jobs {
        self.jobs.clone()
    }

    /// A call that may be begun while the script waits: of the innermost batch that has one.
    pub(crate) fn next_call(&self) -> Option<(Rc<Batch>, usize)> {
        if self.nested.get() >= MAX_NESTED {
            return None;
        }
        let batches = self.batches.borrow();
        batches
            .iter()
            .rev()
            .find_map(|batch| Some((Rc::clone(batch), batch.take_next()?)))
    }

    /// Of the script that is being evaluated.
    pub(crate) fn of<'a>(eval: &Evaluator<'_, 'a, '_>) -> anyhow::Result<&'a Self> {
        eval.extra
            .and_then(|extra| extra.downcast_ref::<Self>())
            .ok_or_else(|| anyhow::anyhow!("this function works only in a script of Sternline's"))
    }
}
