//! Reports for programs: one object a line.

use std::time::Duration;

use serde_json::{Value, json};

use super::report::{CaseReport, Counts, FileReport, Outcome, Problem, TestReport};

/// The name and version of the objects. It changes when a field changes its meaning or goes.
const SCHEMA: &str = "sternline.test/1";

/// The object for one test: schema, kind (`test`), file, test, line, outcome (`passed`, `failed`, `skipped`), reason (of a skipped
/// one), problems, output, duration_ms. A problem has stage, message and frames, outermost first, each with function, file,
/// line, column and text.
#[must_use]
pub fn json_case(path: &str, case: &CaseReport) -> Value {
    json!({
        "schema": SCHEMA,
        "kind": "test",
        "file": path,
        "test": case.name,
        "line": case.line,
        "outcome": case.outcome.word(),
        "reason": reason(&case.outcome),
        "problems": problems(&case.outcome),
        "output": case.output,
        "duration_ms": milliseconds(case.duration),
    })
}

/// The object for one file, which comes behind its tests: schema, kind (`file`), file, outcome (of loading it), reason, problems,
/// output, passed, failed, skipped, not_run, duration_ms.
#[must_use]
pub fn json_file(file: &FileReport) -> Value {
    let Counts {
        passed,
        failed,
        skipped,
        not_run,
    } = file.counts();
    json!({
        "schema": SCHEMA,
        "kind": "file",
        "file": file.path,
        "outcome": file.load.word(),
        "reason": reason(&file.load),
        "problems": problems(&file.load),
        "output": file.output,
        "passed": passed,
        "failed": failed,
        "skipped": skipped,
        "not_run": not_run,
        "duration_ms": milliseconds(file.duration),
    })
}

/// The last object: schema, kind (`summary`), files, passed, failed, skipped, not_run, stopped (why it ended early), duration_ms.
#[must_use]
pub fn json_summary(report: &TestReport) -> Value {
    let Counts {
        passed,
        failed,
        skipped,
        not_run,
    } = report.counts();
    json!({
        "schema": SCHEMA,
        "kind": "summary",
        "files": report.files.len(),
        "passed": passed,
        "failed": failed,
        "skipped": skipped,
        "not_run": not_run,
        "stopped": report.stopped.map(|why| why.to_string()),
        "duration_ms": milliseconds(report.duration),
    })
}

fn reason(outcome: &Outcome) -> Option<&str> {
    match outcome {
        Outcome::Skipped(reason) => Some(reason),
        Outcome::Passed | Outcome::Failed(_) => None,
    }
}

fn problems(outcome: &Outcome) -> Vec<Value> {
    outcome.problems().iter().map(problem).collect()
}

fn problem(problem: &Problem) -> Value {
    let frames = problem
        .error
        .iter()
        .flat_map(|error| error.frames())
        .filter(|frame| frame.line > 0);
    let frames: Vec<Value> = frames
        .map(|frame| {
            json!({
                "function": frame.function,
                "file": frame.file,
                "line": frame.line,
                "column": frame.column,
                "text": frame.text,
            })
        })
        .collect();
    json!({ "stage": problem.stage.word(), "message": problem.message, "frames": frames })
}

fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::example;
    use super::*;

    #[test]
    fn an_object_says_what_came_of_a_test() {
        let report = example();
        let file = &report.files[0];
        let failed = json_case(&file.path, &file.cases[1]);
        let wanted = json!({
            "schema": "sternline.test/1", "kind": "test", "file": "a_test.star", "test": "test_b", "line": 7,
            "outcome": "failed", "reason": null,
            "problems": [{ "stage": "test", "message": "it is <wrong>", "frames": [] }],
            "output": "hello\n\u{1b}[31m\n", "duration_ms": 1500.0,
        });
        assert_eq!(failed, wanted);
        assert_eq!(json_case(&file.path, &file.cases[2])["reason"], "no docker");
    }

    #[test]
    fn files_and_the_whole_are_counted() {
        let report = example();
        let file = json_file(&report.files[0]);
        assert_eq!(
            (&file["kind"], &file["outcome"], &file["failed"]),
            (&json!("file"), &json!("passed"), &json!(1))
        );
        let summary = json_summary(&report);
        assert_eq!(
            (&summary["files"], &summary["skipped"], &summary["stopped"]),
            (&json!(1), &json!(1), &Value::Null)
        );
    }
}
