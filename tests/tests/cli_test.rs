//! `sternline test`: what it says of tests, and how it ends.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as a test does"
)]

use serde_json::Value;
use sternline_tests::cli::{Ended, Home};

const MIXED: &str = r#"
def test_good(): print("from a good one")

def test_bad():
    print("from a bad one")
    fail("not today")

def test_last(): pass
"#;

/// Runs `sternline test` on these files with these arguments.
fn test(files: &[(&str, &str)], arguments: &[&str]) -> Ended {
    let home = Home::new();
    for (name, text) in files {
        home.write(name, text);
    }
    home.run([&["test"], arguments].concat())
}

#[test]
fn the_exit_status_says_whether_all_tests_have_passed() {
    for (files, arguments, status, said) in [
        (&[("a_test.star", "def test_a(): pass\n")][..], &["."][..], 0, ""),
        (&[("a_test.star", MIXED)], &["."], 1, ""),
        (&[("a_test.star", "fail('broken')\n")], &["."], 1, ""),
        (
            &[("a.star", "def test_a(): pass\n")],
            &["."],
            1,
            "no test was found",
        ),
        (&[("a.star", "def test_a(): pass\n")], &["a.star"], 0, ""),
        (&[("a_test.star", "x = 1\n")], &["."], 1, "no test was found"),
        (&[("a_test.star", "x = 1\n")], &[".", "--allow-none"], 0, ""),
        (
            &[("a_test.star", MIXED)],
            &[".", "--run", "nothing"],
            1,
            "no test was found",
        ),
        (&[("a_test.star", MIXED)], &[".", "--run", "good"], 0, ""),
        (&[("a.txt", "")], &["a.txt"], 2, "a.txt is not a .star file"),
        (&[], &["none"], 2, "cannot read none"),
        (&[], &[], 2, "PATH"),
    ] {
        let ended = test(files, arguments);
        assert_eq!(
            ended.status, status,
            "{arguments:?} {}{}",
            ended.stdout, ended.stderr
        );
        assert!(ended.stderr.contains(said), "{arguments:?} {}", ended.stderr);
    }
}

#[test]
fn a_failure_is_shown_with_its_line_and_what_the_test_wrote() {
    let ended = test(&[("a_test.star", MIXED)], &["."]);
    for said in [
        "FAIL  a_test.star: 2 passed, 1 failed",
        "not today",
        "a_test.star:6:5",
        "from a bad one",
    ] {
        assert!(ended.stdout.contains(said), "{said}\n{}", ended.stdout);
    }
    assert!(!ended.stdout.contains("from a good one"), "{}", ended.stdout);
    assert!(
        ended
            .stdout
            .lines()
            .last()
            .unwrap()
            .starts_with("2 passed, 1 failed in 1 file"),
        "{}",
        ended.stdout
    );
}

#[test]
fn with_v_each_test_is_told_and_what_it_writes_is_seen_at_once() {
    let ended = test(&[("a_test.star", MIXED)], &[".", "-v"]);
    let lines: Vec<&str> = ended.stdout.lines().take(5).collect();
    assert_eq!((lines[0], lines[1]), ("a_test.star", "from a good one"));
    assert!(
        lines[2].starts_with("  ok    test_good (") && lines[4].starts_with("  FAIL  test_bad ("),
        "{lines:?}"
    );
}

#[test]
fn a_test_that_takes_too_long_fails_and_the_others_are_run() {
    let slow = "def test_slow():\n    for i in range(1000000000): pass\ndef test_next(): pass\n";
    let ended = test(&[("a_test.star", slow)], &[".", "--timeout", "300ms"]);
    assert_eq!(ended.status, 1);
    assert!(
        ended.stdout.contains("took longer than 300ms"),
        "{}",
        ended.stdout
    );
    assert!(ended.stdout.contains("1 passed, 1 failed"), "{}", ended.stdout);
}

#[test]
fn json_is_one_object_a_line_and_the_summary_is_the_last() {
    let ended = test(&[("a_test.star", MIXED)], &[".", "--json"]);
    let objects: Vec<Value> = ended
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let kinds: Vec<&str> = objects
        .iter()
        .map(|object| object["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["test", "test", "test", "file", "summary"]);
    assert!(
        objects
            .iter()
            .all(|object| object["schema"] == "sternline.test/1")
    );
    assert_eq!(
        (&objects[1]["test"], &objects[1]["outcome"]),
        (&"test_bad".into(), &"failed".into())
    );
    assert_eq!(objects[1]["problems"][0]["message"], "not today");
    assert_eq!(objects[1]["output"], "from a bad one\n");
    assert_eq!(
        (&objects[4]["passed"], &objects[4]["failed"]),
        (&2.into(), &1.into())
    );
}

#[test]
fn a_report_for_machines_that_build_goes_to_a_file() {
    let home = Home::new();
    home.write("a_test.star", MIXED);
    let ended = home.run(["test", ".", "--junit", "report.xml"]);
    assert_eq!(ended.status, 1);
    let xml = std::fs::read_to_string(home.path().join("report.xml")).unwrap();
    assert!(
        xml.contains(r#"tests="3" failures="1""#) && xml.contains("not today"),
        "{xml}"
    );
    let ended = home.run(["test", ".", "--run", "good", "--junit", "none/report.xml"]);
    assert_eq!(ended.status, 1);
    assert!(
        ended.stderr.contains("cannot write the report none/report.xml"),
        "{}",
        ended.stderr
    );
}
