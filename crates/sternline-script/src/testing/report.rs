//! What came of tests, as data.

use std::time::Duration;

use crate::error::ScriptError;
use crate::stop::Why;

/// What came of all files.
#[derive(Debug, Clone, Default)]
pub struct TestReport {
    /// The files, in the order in which they were named.
    pub files: Vec<FileReport>,
    /// How long all of it took.
    pub duration: Duration,
    /// Why it ended before all tests were run, if somebody wanted that.
    pub stopped: Option<Why>,
}

/// What came of one file.
#[derive(Debug, Clone)]
pub struct FileReport {
    /// The file, as it was named.
    pub path: String,
    /// What came of loading it. No test is run of a file that has failed or is skipped.
    pub load: Outcome,
    /// What loading it has written.
    pub output: String,
    /// Its tests, in the order in which the file has them.
    pub cases: Vec<CaseReport>,
    /// How many more were to be run, but for a failure with `--fail-fast` or an end from outside.
    pub not_run: usize,
    /// How long the file took.
    pub duration: Duration,
}

/// What came of one test.
#[derive(Debug, Clone)]
pub struct CaseReport {
    /// The function's name.
    pub name: String,
    /// The line of its definition, from 1; 0 where it is not known.
    pub line: usize,
    /// What came of it.
    pub outcome: Outcome,
    /// What it has written, to standard output and as messages.
    pub output: String,
    /// How long it took, with `setup`, `teardown` and all that it had deferred.
    pub duration: Duration,
}

/// How a test or the loading of a file ended.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// As it should.
    Passed,
    /// With one or more failures.
    Failed(Vec<Problem>),
    /// It was left out, for this reason, which may be empty.
    Skipped(String),
}

impl Outcome {
    /// `passed`, `failed` or `skipped`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed(_) => "failed",
            Self::Skipped(_) => "skipped",
        }
    }

    /// What went wrong.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Failed(problems) => problems,
            Self::Passed | Self::Skipped(_) => &[],
        }
    }
}

/// One thing that went wrong.
#[derive(Debug, Clone)]
pub struct Problem {
    /// When.
    pub stage: Stage,
    /// What, in one line where possible.
    pub message: String,
    /// The place in the script, where there is one.
    pub error: Option<ScriptError>,
}

/// A part of a test's run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The body of the file.
    Load,
    /// `setup`.
    Setup,
    /// The test itself.
    Test,
    /// `teardown`.
    Teardown,
}

impl Stage {
    /// `load`, `setup`, `test` or `teardown`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Setup => "setup",
            Self::Test => "test",
            Self::Teardown => "teardown",
        }
    }
}

/// How many tests ended how. A file that cannot be loaded counts as one that failed, and one that is skipped as a whole as one
/// that was skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Tests that passed.
    pub passed: usize,
    /// Tests that failed.
    pub failed: usize,
    /// Tests that were left out by themselves.
    pub skipped: usize,
    /// Tests that were not run any more.
    pub not_run: usize,
}

impl Counts {
    /// Tests that were found.
    #[must_use]
    pub fn total(&self) -> usize {
        self.passed + self.failed + self.skipped + self.not_run
    }

    fn add(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Passed => self.passed += 1,
            Outcome::Failed(_) => self.failed += 1,
            Outcome::Skipped(_) => self.skipped += 1,
        }
    }
}

impl FileReport {
    /// How many of its tests ended how.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts {
            not_run: self.not_run,
            ..Counts::default()
        };
        if !matches!(self.load, Outcome::Passed) {
            counts.add(&self.load);
        }
        for case in &self.cases {
            counts.add(&case.outcome);
        }
        counts
    }
}

impl TestReport {
    /// How many tests ended how.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut all = Counts::default();
        for file in &self.files {
            let counts = file.counts();
            all.passed += counts.passed;
            all.failed += counts.failed;
            all.skipped += counts.skipped;
            all.not_run += counts.not_run;
        }
        all
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// One file with a test of each kind.
    pub(in crate::testing) fn example() -> TestReport {
        let case = |name: &str, line, outcome, output: &str, milliseconds| CaseReport {
            name: name.into(),
            line,
            outcome,
            output: output.into(),
            duration: Duration::from_millis(milliseconds),
        };
        let problem = Problem {
            stage: Stage::Test,
            message: "it is <wrong>".into(),
            error: None,
        };
        let cases = vec![
            case("test_a", 3, Outcome::Passed, "", 12),
            case(
                "test_b",
                7,
                Outcome::Failed(vec![problem]),
                "hello\n\x1b[31m\n",
                1500,
            ),
            case("test_c", 9, Outcome::Skipped("no docker".into()), "", 0),
        ];
        let file = FileReport {
            path: "a_test.star".into(),
            load: Outcome::Passed,
            output: String::new(),
            cases,
            not_run: 0,
            duration: Duration::from_millis(1600),
        };
        TestReport {
            files: vec![file],
            duration: Duration::from_secs(2),
            stopped: None,
        }
    }

    #[test]
    fn a_file_that_does_not_load_counts_as_one_that_failed() {
        let mut report = example();
        let counts = |passed, failed, skipped, not_run| Counts {
            passed,
            failed,
            skipped,
            not_run,
        };
        assert_eq!(report.counts(), counts(1, 1, 1, 0));
        assert_eq!(report.counts().total(), 3);
        for file in &mut report.files {
            file.cases.clear();
            file.load = Outcome::Failed(Vec::new());
        }
        assert_eq!(report.counts(), counts(0, 1, 0, 0));
    }
}
