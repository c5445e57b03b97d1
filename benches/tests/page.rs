//! What the documents say of speed is what the file of results says.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as a test does"
)]

use std::fs;

use sternline_benches::page;
use sternline_benches::results::Results;

#[test]
fn the_page_its_plots_and_the_readme_are_made_from_the_results() {
    let results = Results::read(&Results::path()).unwrap();
    let files = page::files(&results).unwrap();
    for (path, text) in &files {
        assert!(
            fs::read_to_string(path).is_ok_and(|found| found == *text),
            "{} differs from the results: run `cargo run -p sternline-benches --bin page`",
            path.display()
        );
    }
    let stale = page::stale(&files).unwrap();
    assert!(stale.is_empty(), "nothing shows these: {stale:?}");
}

#[test]
fn the_results_are_as_the_suite_writes_them_and_of_full_sessions() {
    let results = Results::read(&Results::path()).unwrap();
    assert_eq!(
        fs::read_to_string(Results::path()).unwrap(),
        results.text().unwrap()
    );
    for work in &results.works {
        assert_eq!(work.session.mode, "full", "{}", work.name);
    }
}
