//! Runs files of tests, one after another or several at a time.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;

use super::capture::Capture;
use super::file::run_file;
use super::filter::Filter;
use super::report::{CaseReport, FileReport, Outcome, Problem, Stage, TestReport};
use crate::evaluate::THREAD_STACK;
use crate::session::SessionBuilder;
use crate::stop::Stop;

/// Which tests are run, and how.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TestPlan {
    /// Tests that any of these means are run. Default: none, which means all.
    pub filters: Vec<Filter>,
    /// How long each test may take, and as long again `setup`, `teardown` and the body of the file. Default: 5 minutes.
    pub limit: Option<Duration>,
    /// How many files are run at a time. The tests of one file are always run one after another. Default: 1.
    pub parallel: usize,
    /// Whether no further test is begun once one has failed. Default: no.
    pub fail_fast: bool,
    /// Whether what tests write goes to the session's output at once, beside being kept. Default: no.
    pub live: bool,
}

impl Default for TestPlan {
    fn default() -> Self {
        Self {
            filters: Vec::new(),
            limit: Some(Duration::from_secs(300)),
            parallel: 1,
            fail_fast: false,
            live: false,
        }
    }
}

impl TestPlan {
    pub(super) fn is_meant(&self, name: &str) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| filter.matches(name))
    }
}

/// What happens during a run.
#[derive(Debug)]
#[non_exhaustive]
pub enum TestEvent<'a> {
    /// A file is begun.
    Begun {
        /// The file, as it was named.
        path: &'a str,
    },
    /// A test has ended.
    Case {
        /// Its file.
        path: &'a str,
        /// What came of it.
        case: &'a CaseReport,
    },
    /// A file has ended.
    Ended(&'a FileReport),
}

/// What all files of a run share.
pub(super) struct Shared {
    pub(super) plan: TestPlan,
    /// Ends the run from outside.
    pub(super) stop: Stop,
    pub(super) failed: AtomicBool,
    tell: Box<dyn Fn(&TestEvent<'_>) + Send + Sync>,
}

impl Shared {
    pub(super) fn tell(&self, event: &TestEvent<'_>) {
        (self.tell)(event);
    }

    /// Whether no further test is to be begun.
    pub(super) fn is_over(&self) -> bool {
        self.stop.why().is_some() || (self.plan.fail_fast && self.failed.load(Ordering::SeqCst))
    }
}

/// Runs the tests of these files. Each file has a session of its own, made like `session`, in test mode: its own variables,
/// current directory and output. Its body is run once; then each function whose name begins with `test_`, in the order of the
/// file, between `setup` and `teardown` where it has them, and with nothing left of the one before. The session's
/// [`Stop`] ends the run: the test that is going on is ended and cleaned up, no other one is begun.
///
/// Call it on the runtime. Not cancel-safe: a dropped future leaves the files that are being run to themselves.
pub async fn run_tests(
    session: SessionBuilder,
    files: Vec<PathBuf>,
    plan: TestPlan,
    tell: impl Fn(&TestEvent<'_>) + Send + Sync + 'static,
) -> TestReport {
    let begun = Instant::now();
    let slots = Arc::new(Semaphore::new(plan.parallel.max(1)));
    let stop = session.stop_of().clone();
    let shared = Arc::new(Shared {
        plan,
        stop: stop.clone(),
        failed: AtomicBool::new(false),
        tell: Box::new(tell),
    });
    let mut running = JoinSet::new();
    for (index, path) in files.iter().enumerate() {
        let (session, path) = (session.clone(), path.to_string_lossy().into_owned());
        let shared = shared.clone();
        // Here, so that files are begun in their order. It is never closed.
        let slot = slots.clone().acquire_owned().await;
        running.spawn(async move {
            let report = one(session, path, shared).await;
            drop(slot);
            (index, report)
        });
    }
    let mut reports = Vec::new();
    while let Some(ended) = running.join_next().await {
        reports.extend(ended.ok());
    }
    reports.sort_by_key(|(index, _)| *index);
    let files = reports.into_iter().map(|(_, report)| report).collect();
    TestReport {
        files,
        duration: begun.elapsed(),
        stopped: stop.why(),
    }
}

async fn one(session: SessionBuilder, path: String, shared: Arc<Shared>) -> FileReport {
    let mut report = FileReport {
        path: path.clone(),
        load: Outcome::Passed,
        output: String::new(),
        cases: Vec::new(),
        not_run: 0,
        duration: Duration::ZERO,
    };
    if shared.is_over() {
        report.not_run = 1;
        return report;
    }
    let capture = Arc::new(Capture::new(
        shared.plan.live.then(|| session.output_of().clone()),
    ));
    let session = session
        .test_mode(true)
        .stop(Stop::default())
        .output(capture.clone())
        .build(Handle::current());
    let (done, ended) = oneshot::channel();
    let thread = std::thread::Builder::new()
        .name("script".into())
        .stack_size(THREAD_STACK)
        .spawn(move || {
            // Nobody waits any more when the future was dropped.
            let _ = done.send(run_file(session, &capture, &path, &shared));
        });
    let problem = match thread {
        Err(error) => format!("no thread for the file: {error}"),
        Ok(_) => match ended.await {
            Ok(report) => return report,
            Err(_) => "the file's thread ended unexpectedly".to_owned(),
        },
    };
    report.load = Outcome::Failed(vec![Problem {
        stage: Stage::Load,
        message: problem,
        error: None,
    }]);
    report
}
