//! From the options of `sternline test` to its exit status.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use sternline::proto::text::escape;
use sternline_script::Stop;
use sternline_script::testing::{
    DiscoverError, Filter, TestPlan, TestReport, discover, json_summary, junit, run_tests, text_failures,
    text_summary,
};

use super::Args;
use super::progress::{Progress, coloured};
use crate::exit;
use crate::script::{Running, Written};
use crate::ui::{Colour, Failure, Signals, Ui};

pub(crate) async fn run(args: Args, ui: &Ui) -> Result<ExitCode, Failure> {
    let files = discover(&args.paths).map_err(|error| not_found(&error))?;
    let mut signals =
        Signals::new().map_err(|error| Failure::local(format!("cannot listen to signals: {error}")))?;
    let stop = Stop::default();
    let written = Arc::new(Written::new(&stop, ui)?);
    let session = args.script.builder(&[], &stop, &written, ui)?;
    let mut plan = TestPlan::default();
    plan.filters = args.filters.iter().map(Filter::new).collect();
    plan.limit = args.script.timeout.or(plan.limit);
    plan.parallel = args.parallel.into();
    plan.fail_fast = args.fail_fast;
    plan.live = ui.is_verbose() && !args.json && args.parallel == 1;
    let progress = Progress {
        written: written.clone(),
        json: args.json,
        verbose: ui.is_verbose(),
        parallel: args.parallel > 1,
    };
    let telling = progress.clone();
    let running = Running {
        stop: &stop,
        signals: &mut signals,
        limit: None,
    };
    let outcome = running
        .until_end(run_tests(session, files, plan, move |event| telling.tell(event)))
        .await?;
    let report = outcome.result;
    if args.json {
        progress.object(&json_summary(&report));
    } else {
        show(&report, &written);
    }
    if let Some(path) = &args.junit {
        write(path, &junit(&report))?;
    }
    if let Some(failure) = written.failed() {
        return Err(failure);
    }
    if let Some(signal) = outcome.signal {
        return Err(Failure::interrupted(signal));
    }
    status(&args, &report)
}

/// Everything about failures, and the summary.
fn show(report: &TestReport, written: &Written) {
    let colours = Colour::of_stdout().has_colours();
    if report.counts().failed > 0 {
        written.line("");
    }
    for file in &report.files {
        for line in text_failures(file, colours).lines() {
            written.line(&coloured(line));
        }
    }
    written.line(&text_summary(report));
}

fn status(args: &Args, report: &TestReport) -> Result<ExitCode, Failure> {
    let counts = report.counts();
    if counts.failed > 0 || report.stopped.is_some() {
        return Ok(ExitCode::from(exit::FAILED));
    }
    if counts.total() == 0 && !args.allow_none {
        let hint = if args.filters.is_empty() {
            "tests are functions called test_..., in files called *_test.star; --allow-none makes this no error"
        } else {
            "no test is called like --run says; --allow-none makes this no error"
        };
        return Err(Failure::local("no test was found").with_hint(hint));
    }
    Ok(ExitCode::SUCCESS)
}

fn not_found(error: &DiscoverError) -> Failure {
    Failure::usage(error.to_string())
        .with_hint("name a .star file, or a directory with files called *_test.star")
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|error| {
        Failure::local(format!(
            "cannot write the report {}: {error}",
            escape(&path.to_string_lossy())
        ))
        .with_hint("name a file that can be written with --junit")
    })
}
