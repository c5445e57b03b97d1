//! Reports for people.

use std::fmt::Write as _;
use std::time::Duration;

use sternline::proto::text::{escape, escape_again};

use super::report::{CaseReport, Counts, FileReport, Outcome, Problem, TestReport};

/// The line for one test: `ok    test_a (12ms)`.
#[must_use]
pub fn text_case(case: &CaseReport) -> String {
    let word = match case.outcome {
        Outcome::Passed => "ok",
        Outcome::Failed(_) => "FAIL",
        Outcome::Skipped(_) => "skip",
    };
    let mut line = format!("{word:<5} {} ({})", case.name, time(case.duration));
    if let Outcome::Skipped(reason) = &case.outcome
        && !reason.is_empty()
    {
        let _ = write!(line, ": {}", escape(reason));
    }
    line
}

/// The line for one file: `FAIL  a_test.star: 3 passed, 1 failed (20ms)`.
#[must_use]
pub fn text_file(file: &FileReport) -> String {
    let counts = file.counts();
    let word = match (&file.load, counts.failed) {
        (_, failed) if failed > 0 => "FAIL",
        (Outcome::Skipped(_), _) => "skip",
        _ => "ok",
    };
    let path = escape(&file.path);
    let mut line = format!("{word:<5} {path}: {} ({})", counted(counts), time(file.duration));
    if let Outcome::Skipped(reason) = &file.load
        && !reason.is_empty()
    {
        let _ = write!(line, ": {}", escape(reason));
    }
    line
}

/// Everything that is known of the failures of one file, each with its place in the script and what the test has written. Empty
/// when nothing has failed. Colours are for a terminal that has them.
#[must_use]
pub fn text_failures(file: &FileReport, colours: bool) -> String {
    let mut text = String::new();
    if let Outcome::Failed(problems) = &file.load {
        let _ = writeln!(text, "FAIL  {}", escape(&file.path));
        describe(&mut text, problems, &file.output, colours);
    }
    for case in &file.cases {
        if let Outcome::Failed(problems) = &case.outcome {
            let _ = writeln!(text, "FAIL  {} ({}:{})", case.name, escape(&file.path), case.line);
            describe(&mut text, problems, &case.output, colours);
        }
    }
    text
}

/// The last line: how many tests ended how.
#[must_use]
pub fn text_summary(report: &TestReport) -> String {
    let mut text = counted(report.counts());
    let files = report.files.len();
    let word = if files == 1 { "file" } else { "files" };
    let _ = write!(text, " in {files} {word} ({})", time(report.duration));
    if let Some(why) = report.stopped {
        let _ = write!(text, ", {why}");
    }
    text
}

fn counted(counts: Counts) -> String {
    let mut text = format!("{} passed, {} failed", counts.passed, counts.failed);
    for (count, word) in [(counts.skipped, "skipped"), (counts.not_run, "not run")] {
        if count > 0 {
            let _ = write!(text, ", {count} {word}");
        }
    }
    text
}

fn describe(text: &mut String, problems: &[Problem], output: &str, colours: bool) {
    for problem in problems {
        for line in problem.message.lines() {
            let _ = writeln!(text, "  {}", escape_again(line));
        }
        if let Some(error) = &problem.error {
            // Its message was told, in the words of the problem.
            let told = error.message().lines().count().max(1);
            for line in error.render(colours).lines().skip(told) {
                let _ = writeln!(text, "  {line}");
            }
        }
    }
    if !output.is_empty() {
        let _ = writeln!(text, "  it wrote:");
        for line in output.lines() {
            let _ = writeln!(text, "  | {}", escape(line));
        }
    }
    text.push('\n');
}

fn time(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{}ms", time.as_millis())
    } else {
        format!("{:.1}s", time.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::{Stage, tests::example};
    use super::*;

    #[test]
    fn a_test_is_one_line_with_its_reason_when_it_was_skipped() {
        let lines: Vec<String> = example().files[0].cases.iter().map(text_case).collect();
        assert_eq!(
            lines,
            [
                "ok    test_a (12ms)",
                "FAIL  test_b (1.5s)",
                "skip  test_c (0ms): no docker"
            ]
        );
    }

    #[test]
    fn a_file_is_one_line_with_its_counts() {
        let mut report = example();
        assert_eq!(
            text_file(&report.files[0]),
            "FAIL  a_test.star: 1 passed, 1 failed, 1 skipped (1.6s)"
        );
        report.files[0].cases.clear();
        report.files[0].load = Outcome::Skipped("no network".into());
        assert_eq!(
            text_file(&report.files[0]),
            "skip  a_test.star: 0 passed, 0 failed, 1 skipped (1.6s): no network"
        );
    }

    #[test]
    fn failures_come_with_what_the_test_wrote_and_nothing_a_terminal_obeys() {
        let mut report = example();
        let text = text_failures(&report.files[0], false);
        assert_eq!(
            text,
            "FAIL  test_b (a_test.star:7)\n  it is <wrong>\n  it wrote:\n  | hello\n  | \\x1b[31m\n\n"
        );
        report.files[0].load = Outcome::Failed(vec![Problem {
            stage: Stage::Load,
            message: "cannot read the file".into(),
            error: None,
        }]);
        assert!(
            text_failures(&report.files[0], false)
                .starts_with("FAIL  a_test.star\n  cannot read the file\n\nFAIL")
        );
    }

    #[test]
    fn the_summary_counts_everything() {
        let mut report = example();
        assert_eq!(
            text_summary(&report),
            "1 passed, 1 failed, 1 skipped in 1 file (2.0s)"
        );
        report.files[0].not_run = 2;
        report.stopped = Some(crate::stop::Why::Interrupted);
        assert_eq!(
            text_summary(&report),
            "1 passed, 1 failed, 1 skipped, 2 not run in 1 file (2.0s), interrupted"
        );
    }
}
