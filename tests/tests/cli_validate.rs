//! `sternline validate`.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as a test does"
)]

use serde_json::Value;
use sternline_tests::cli::Home;

const WRONG: &str = "\
hosts = ['web-1']
client = ssh.config(host = hots)
for result in client.exce('uptime'):
    assert(result.ok)
";

#[test]
fn mistakes_are_lines_with_their_places_and_the_status_says_so() {
    let home = Home::new();
    home.write("right.star", "print('fine')\n");
    home.write("wrong.star", WRONG);
    let ended = home.run(["validate", "right.star", "wrong.star"]);
    assert_eq!(ended.status, 1, "{}", ended.stderr);
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(lines[0], "right.star: ok");
    assert!(
        ended
            .stdout
            .contains("wrong.star:2:21: ssh.config: unknown parameter \"host\" (did you mean \"hosts\"?)\n")
    );
    assert!(
        ended
            .stdout
            .contains("wrong.star:2:28: undefined: hots (did you mean hosts?)\n")
    );
    assert!(
        ended
            .stdout
            .contains("wrong.star:3:21: ssh.client has no .exce field or method (did you mean .exec?)\n")
    );
    assert_eq!(lines.len(), 4, "{}", ended.stdout);
    assert_eq!(home.run(["validate", "right.star"]).status, 0);
}

#[test]
fn nothing_is_run_and_no_other_file_is_needed() {
    let home = Home::new();
    let touched = home.path().join("touched");
    let text = format!(
        "load('./not_there.star', 'x')\nwrite_text('{}', x)\nexit(7)\n",
        touched.display()
    );
    home.write("a.star", text);
    let ended = home.run(["validate", "a.star"]);
    assert_eq!(
        (ended.status, ended.stdout.as_str()),
        (0, "a.star: ok\n"),
        "{}",
        ended.stderr
    );
    assert!(!touched.exists());
}

#[test]
fn a_file_that_cannot_be_read_gives_status_2_and_the_others_are_looked_at() {
    let home = Home::new();
    home.write("wrong.star", "x = (\n");
    home.write("bytes.star", b"x = '\xff'\n");
    let ended = home.run(["validate", "missing.star", "bytes.star", "wrong.star"]);
    assert_eq!(ended.status, 2);
    assert!(ended.stderr.contains("missing.star") && ended.stderr.contains("bytes.star"));
    assert!(ended.stdout.starts_with("wrong.star:2:"), "{}", ended.stdout);
}

#[test]
fn json_has_an_object_for_each_file() {
    let home = Home::new();
    home.write(
        "right_test.star",
        "def test_a():\n    srv = ssh.test_server()\n    srv.start()\n",
    );
    home.write("wrong.star", WRONG);
    let ended = home.run([
        "validate",
        "--json",
        "right_test.star",
        "wrong.star",
        "missing.star",
    ]);
    assert_eq!(ended.status, 2);
    let objects: Vec<Value> = ended
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let valid: Vec<bool> = objects
        .iter()
        .map(|object| object["valid"].as_bool().expect("a truth value"))
        .collect();
    assert_eq!(valid, [true, false, false]);
    assert_eq!(objects[1]["schema"], "sternline.validate/1");
    let error = &objects[1]["errors"][1];
    assert_eq!(
        (&error["line"], &error["column"], &error["width"]),
        (&2.into(), &28.into(), &4.into())
    );
    assert_eq!(error["message"], "undefined: hots (did you mean hosts?)");
}
