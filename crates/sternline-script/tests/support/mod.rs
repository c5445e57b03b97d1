//! Scripts and files of tests, run as the faces do.

#![allow(dead_code, reason = "each file of tests needs some of it")]
#![allow(clippy::unwrap_used, reason = "what helps a test may fail as a test does")]

use std::path::Path;
use std::sync::{Arc, Mutex};

use sternline::config::Env;
use sternline_script::testing::{Outcome, TestPlan, TestReport, discover, run_tests, text_failures};
use sternline_script::{Ended, Output, ScriptError, SessionBuilder, Source};

/// Keeps what a script writes.
#[derive(Default)]
pub(crate) struct Kept(Mutex<String>);

impl Kept {
    pub(crate) fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}

impl Output for Kept {
    fn out(&self, text: &str) {
        self.0.lock().unwrap().push_str(text);
    }

    fn message(&self, line: &str) {
        self.0.lock().unwrap().push_str(&format!("{line}\n"));
    }
}

/// A session in a directory, with nothing of this machine's environment.
pub(crate) fn session(directory: &Path) -> (SessionBuilder, Arc<Kept>) {
    let mut env = Env::default();
    env.temp_dir = directory.to_owned();
    env.home = Some(directory.to_owned());
    env.user = Some("tester".to_owned());
    let kept = Arc::new(Kept::default());
    (SessionBuilder::new(env, directory, kept.clone()), kept)
}

/// A directory with these files in it.
pub(crate) fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    directory
}

/// Runs all tests of a directory.
pub(crate) async fn tests_of(directory: &Path, plan: TestPlan) -> TestReport {
    let files = discover(&[directory.to_owned()]).unwrap();
    run_tests(session(directory).0, files, plan, |_| ()).await
}

/// Runs the tests of one file.
pub(crate) async fn tests_in(text: &str) -> TestReport {
    let directory = directory(&[("a_test.star", text)]);
    tests_of(directory.path(), TestPlan::default()).await
}

/// `name: outcome` of each test, in order; what has failed with its first message.
pub(crate) fn outcomes(report: &TestReport) -> Vec<String> {
    let cases = report.files.iter().flat_map(|file| &file.cases);
    let one = |name: &str, outcome: &Outcome| match outcome {
        Outcome::Passed => format!("{name}: passed"),
        Outcome::Skipped(reason) => format!("{name}: skipped: {reason}"),
        Outcome::Failed(problems) => {
            let messages: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
            format!("{name}: {}", messages.join("; "))
        }
    };
    cases.map(|case| one(&case.name, &case.outcome)).collect()
}

/// What all tests have written, in order.
pub(crate) fn output(report: &TestReport) -> String {
    let cases = report.files.iter().flat_map(|file| &file.cases);
    cases.map(|case| case.output.as_str()).collect()
}

/// Fails with everything that is known, unless all tests have passed.
pub(crate) fn assert_passed(report: &TestReport) {
    let failures: String = report
        .files
        .iter()
        .map(|file| text_failures(file, false))
        .collect();
    assert!(
        report.counts().failed == 0 && report.counts().passed > 0,
        "{:?}\n{failures}",
        report.counts()
    );
}

/// Runs a script that is no test.
pub(crate) async fn script(text: &str) -> (Result<Ended, ScriptError>, String) {
    let directory = tempfile::tempdir().unwrap();
    let (session, kept) = session(directory.path());
    let session = session.build(tokio::runtime::Handle::current());
    let source = Source {
        name: "script.star".to_owned(),
        path: None,
        text: text.to_owned(),
    };
    let ended = sternline_script::run(session, source).await;
    (ended, kept.text())
}
