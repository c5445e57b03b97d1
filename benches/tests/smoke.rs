//! The suite runs, and says what it is supposed to say. How fast anything was is not looked at.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as a test does"
)]

use std::process::Command;

use sternline_benches::results::{Results, Work};
use sternline_tests::left_out::left_out;

fn peers(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peers"));
    command.args(arguments);
    command
}

/// Runs a workload with the smallest amounts. Every peer has figures, or is not installed or not allowed here.
fn quick(only: &str) -> Vec<Work> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("results.json");
    let output = peers(&["--quick", "--no-install", "--only", only, "--json"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let works = Results::read(&file).unwrap().works;
    for work in &works {
        assert_eq!(work.session.mode, "quick");
        for row in &work.rows {
            match &row.not_run {
                Some(reason) if reason.ends_with("is not installed") => left_out(
                    &format!("{} in the benchmark", row.peer),
                    "run scripts/test without STERNLINE_TEST_PYTHON, or as root",
                ),
                Some(reason) if reason.starts_with("only root") => {
                    left_out(
                        &format!("{} in the benchmark", work.name),
                        "run scripts/test as root",
                    );
                }
                Some(reason) => panic!("{}: {}: {reason}", work.name, row.peer),
                None => has_figures(work, &row.peer),
            }
        }
    }
    works
}

fn has_figures(work: &Work, peer: &str) {
    let row = work.row(peer).unwrap();
    assert!(!row.version.is_empty(), "{}: {peer}", work.name);
    for quantity in &work.quantities {
        let values = row.of(&quantity.key);
        assert_eq!(values.len(), 1, "{}: {peer}: {}", work.name, quantity.key);
        assert!(
            values[0] >= 0.0 && (quantity.key != "time" || values[0] > 0.0),
            "{row:?}"
        );
    }
}

fn names(works: &[Work]) -> Vec<&str> {
    works.iter().map(|work| work.name.as_str()).collect()
}

#[test]
fn every_peer_runs_commands() {
    let works = quick("commands");
    assert_eq!(names(&works), ["warm-command", "connect", "long-output"]);
    assert!(works.iter().all(|work| work.rows.len() == 7));
}

#[test]
fn every_peer_runs_the_commands_of_a_guests_client() {
    let works = quick("guest");
    assert_eq!(
        names(&works),
        [
            "guest-run",
            "guest-builtin",
            "guest-subshell",
            "guest-kept",
            "guest-program",
            "guest-output"
        ]
    );
    assert!(works.iter().all(|work| work.rows.len() == 5));
}

#[test]
fn every_peer_runs_a_command_on_many_hosts() {
    let works = quick("fan-out");
    assert_eq!(names(&works), ["fan-out-200", "fan-out-1000", "fan-out-10000"]);
    assert!(works.iter().all(|work| work.rows.len() == 9));
}

#[test]
fn every_peer_moves_files_in_every_way() {
    let works = quick("files");
    assert_eq!(
        names(&works),
        [
            "file-down",
            "file-up",
            "tree-down",
            "tree-up",
            "tree-down-existing",
            "tree-up-existing",
            "file-down-50ms",
            "file-up-50ms"
        ]
    );
}

#[test]
fn every_peer_forwards_every_kind_of_traffic() {
    let works = quick("forwards");
    assert_eq!(
        names(&works),
        ["forward-down", "forward-up", "forward-short", "forward-short-100"]
    );
    assert!(works.iter().all(|work| work.rows.len() == 4));
}

#[test]
fn every_client_keeps_connections_open() {
    let works = quick("idle");
    assert_eq!(names(&works), ["idle"]);
    assert_eq!(works[0].rows.len(), 2);
}

#[test]
fn the_round_trips_of_every_peer_are_counted() {
    let works = quick("round-trips");
    assert_eq!(names(&works), ["round-trips"]);
    assert_eq!(works[0].rows.len(), 6);
    for row in works[0].rows.iter().filter(|row| row.not_run.is_none()) {
        // TCP, identification, key exchange, login, session and command: nobody can do without these.
        assert!(row.of("new")[0] >= 6.0, "{row:?}");
        assert!(row.of("open")[0] >= 1.0, "{row:?}");
    }
}

#[test]
fn every_way_of_waiting_for_output_is_measured_against_reading_it() {
    let works = quick("expect");
    assert_eq!(names(&works), ["expect"]);
    assert_eq!(works[0].rows.len(), 7);
    assert!(works[0].ratio("literal", "reading", "time").is_some());
}

#[test]
fn a_script_is_measured_against_the_library_and_its_start_against_that_of_the_program() {
    let works = quick("script");
    assert_eq!(names(&works), ["script-200", "script-start"]);
    assert!(works.iter().all(|work| work.rows.len() == 2));
    assert!(
        works[1]
            .ratio("sternline run, empty script", "sternline --version", "time")
            .is_some()
    );
}

#[test]
fn unknown_arguments_and_workloads_are_named() {
    for arguments in [&["--fast"][..], &["--only", "fan-out-7"]] {
        let output = peers(arguments).output().unwrap();
        assert!(!output.status.success());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(arguments.last().unwrap()), "{said}");
    }
}
