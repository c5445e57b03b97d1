//! How tests of scripts are run.

mod support;

use std::time::{Duration, Instant};

use sternline_script::testing::{Filter, Outcome, Stage, TestPlan, discover, run_tests, text_failures};
use sternline_script::{Stop, Why};
use support::{directory, outcomes, output, session, tests_in, tests_of};

#[tokio::test(flavor = "multi_thread")]
async fn tests_are_run_in_the_order_of_the_file_between_setup_and_teardown() {
    let report = tests_in(
        r#"
def teardown(): print("down")
def test_z(): print("z")
def helper(): print("no test")
def test_(): print("too short")
test_data = ["no function"]
test_a = lambda: print("a")
def setup(): print("up")
"#,
    )
    .await;
    assert_eq!(outcomes(&report), ["test_z: passed", "test_a: passed"]);
    assert_eq!(output(&report), "up\nz\ndown\nup\na\ndown\n");
    assert_eq!(report.files[0].cases[0].line, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_has_its_message_its_place_and_what_the_test_wrote() {
    let report = tests_in(
        r#"
def check(x):
    fail("no " + x)

def test_it():
    print("before")
    check("luck")

def test_other():
    print("other")
"#,
    )
    .await;
    assert_eq!(outcomes(&report), ["test_it: no luck", "test_other: passed"]);
    let problem = &report.files[0].cases[0].outcome.problems()[0];
    let place = problem.error.as_ref().unwrap().frames().last().unwrap();
    assert_eq!((place.line, place.text.as_str()), (3, "    fail(\"no \" + x)"));
    let text = text_failures(&report.files[0], false);
    assert!(text.contains("| before") && !text.contains("other"), "{text}");
    assert!(text.contains(":5)\n  no luck\n"), "{text}");
    assert!(text.contains(":7:5"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_test_sees_what_another_one_has_done() {
    let report = tests_in(
        r#"
seen = []
def test_a(): seen.append(1)
def test_b():
    if seen: fail("seen")
"#,
    )
    .await;
    let outcomes = outcomes(&report);
    assert!(
        outcomes[0].starts_with("test_a: ") && outcomes[0] != "test_a: passed",
        "{outcomes:?}"
    );
    assert_eq!(outcomes[1], "test_b: passed");
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_in_a_test_is_a_failure_and_so_is_a_file_that_does_not_load() {
    let directory = directory(&[
        ("a_test.star", "def test_a(): exit(0)\ndef test_b(): exit(3)\n"),
        ("b_test.star", "fail('broken')\ndef test_a(): pass\n"),
        ("c_test.star", "def test_a(:\n"),
        ("d_test.star", "exit(4)\n"),
        ("e_test.star", "def test_a(): nothing_of_this_name()\n"),
    ]);
    let report = tests_of(directory.path(), TestPlan::default()).await;
    assert_eq!(
        outcomes(&report),
        ["test_a: test called exit(0)", "test_b: test called exit(3)"]
    );
    let load: Vec<&str> = report.files[1..]
        .iter()
        .map(|file| file.load.problems()[0].message.as_str())
        .collect();
    assert_eq!((load[0], load[2]), ("broken", "the file called exit(4)"));
    assert_eq!(report.counts().failed, 6);
    for file in &report.files[1..] {
        assert!(file.cases.is_empty() && file.load.problems()[0].stage == Stage::Load);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_setup_fails_neither_the_test_nor_teardown_is_called() {
    let report = tests_in(
        r#"
def setup(): fail("no ground")
def teardown(): print("down")
def test_a(): print("a")
"#,
    )
    .await;
    assert_eq!(outcomes(&report), ["test_a: setup failed: no ground"]);
    assert_eq!(output(&report), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn teardown_is_called_after_a_failure_and_its_own_failure_counts() {
    let report = tests_in(
        r#"
def teardown():
    print("down")
    fail("stuck")
def test_a(): fail("wrong")
def test_b(): pass
"#,
    )
    .await;
    assert_eq!(
        outcomes(&report),
        [
            "test_a: wrong; teardown failed: stuck",
            "test_b: teardown failed: stuck"
        ]
    );
    assert_eq!(output(&report), "down\ndown\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_test_defers_is_called_when_it_has_ended_and_before_the_next() {
    let report = tests_in(
        r#"
defer(lambda: print("file"))
def test_a():
    defer(lambda: print("first"))
    defer(lambda: print("second"))
    fail("early")
def teardown(): print("down")
def test_b(): print("b")
"#,
    )
    .await;
    assert_eq!(outcomes(&report), ["test_a: early", "test_b: passed"]);
    assert_eq!(output(&report), "down\nsecond\nfirst\nb\ndown\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_that_takes_too_long_is_ended_and_the_next_goes_on() {
    let directory = directory(&[(
        "a_test.star",
        r#"
def test_loop():
    for i in range(1000000000):
        pass
def teardown(): print("down")
def test_next(): print("next")
"#,
    )]);
    let mut plan = TestPlan::default();
    plan.limit = Some(Duration::from_millis(200));
    let begun = Instant::now();
    let report = tests_of(directory.path(), plan).await;
    assert_eq!(
        outcomes(&report),
        ["test_loop: took longer than 200ms", "test_next: passed"]
    );
    assert_eq!(output(&report), "down\nnext\ndown\n");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_choose_tests_and_fail_fast_begins_no_more() {
    let directory = directory(&[
        (
            "a_test.star",
            "def test_one(): pass\ndef test_two(): fail('x')\ndef test_three(): pass\n",
        ),
        ("b_test.star", "def test_one(): pass\n"),
    ]);
    let mut plan = TestPlan::default();
    plan.filters = vec![Filter::new("*one"), Filter::new("three")];
    let report = tests_of(directory.path(), plan).await;
    assert_eq!(
        outcomes(&report),
        ["test_one: passed", "test_three: passed", "test_one: passed"]
    );
    let mut plan = TestPlan::default();
    plan.fail_fast = true;
    let report = tests_of(directory.path(), plan).await;
    assert_eq!(outcomes(&report), ["test_one: passed", "test_two: x"]);
    assert_eq!(report.counts().not_run, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_run_at_the_same_time_are_reported_in_order_with_their_own_output() {
    let files: Vec<(String, String)> = (0..8)
        .map(|n| {
            (
                format!("f{n}_test.star"),
                format!("def test_a():\n    for i in range(50): print({n})\n"),
            )
        })
        .collect();
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    let directory = directory(&files);
    let mut plan = TestPlan::default();
    plan.parallel = 4;
    let report = tests_of(directory.path(), plan).await;
    for (n, file) in report.files.iter().enumerate() {
        assert!(file.path.ends_with(&format!("f{n}_test.star")));
        assert_eq!(file.cases[0].output, format!("{n}\n").repeat(50));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_from_outside_ends_the_test_that_runs_and_begins_no_other() {
    let directory = directory(&[(
        "a_test.star",
        "def teardown(): print('down')\ndef test_a():\n    for i in range(1000000000): pass\ndef test_b(): pass\n",
    )]);
    let stop = Stop::default();
    let (session, _) = session(directory.path());
    let files = discover(&[directory.path().to_owned()]).unwrap();
    let stopping = stop.clone();
    let report = run_tests(session.stop(stop), files, TestPlan::default(), move |_| {
        stopping.stop(Why::Interrupted);
    })
    .await;
    let (passed, stopped) = (report.counts().passed, report.stopped);
    assert_eq!((passed, stopped), (0, Some(Why::Interrupted)));
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_and_keys_are_gone_when_their_test_has_ended_however_it_ends() {
    let report = tests_in(
        r#"
def test_a():
    server = ssh.test_server()
    server.start()
    print(server.port())
    print(ssh.test_key().path)
    fail("early")
"#,
    )
    .await;
    assert_eq!(outcomes(&report), ["test_a: early"]);
    let output = output(&report);
    let mut lines = output.lines();
    let port: u16 = lines.next().unwrap().parse().unwrap();
    let refused = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    let key = std::path::Path::new(lines.next().unwrap());
    assert!(!key.exists() && !key.parent().unwrap().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_the_file_is_the_same_in_all_of_its_tests() {
    let report = tests_in(
        r#"
server = ssh.test_server()
server.start()
def test_a(): print(server.port())
def test_b(): print(server.port())
"#,
    )
    .await;
    let output = output(&report);
    let ports: Vec<&str> = output.lines().collect();
    assert!(
        ports.len() == 2 && ports[0] == ports[1] && ports[0] != "0",
        "{ports:?}"
    );
    let port: u16 = ports[0].parse().unwrap();
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_file_writes_while_it_loads_is_its_own() {
    let report = tests_in("print('loading')\ndef test_a(): print('a')\n").await;
    assert_eq!(
        (report.files[0].output.as_str(), output(&report).as_str()),
        ("loading\n", "a\n")
    );
    assert!(matches!(report.files[0].load, Outcome::Passed));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_that_calls_skip_is_left_out_and_an_error_that_only_says_so_is_not() {
    let report = tests_in(
        r#"
def setup():
    if ready == []: skip("not ready")
ready = [1]
def teardown(): print("down")
def test_a(): skip("no docker")
def test_b(): skip()
def test_c(): fail("test skipped: or so it says")
def test_d(): print(test.try_skip("caught").error)
"#,
    )
    .await;
    let wanted = [
        "test_a: skipped: no docker",
        "test_b: skipped: ",
        "test_c: test skipped: or so it says",
        "test_d: passed",
    ];
    assert_eq!(outcomes(&report), wanted);
    let report = tests_in("skip('no network')\ndef test_a(): pass\n").await;
    assert!(matches!(&report.files[0].load, Outcome::Skipped(reason) if reason == "no network"));
    assert_eq!((report.counts().skipped, report.counts().failed), (1, 0));
    let report = tests_in("exit()\n").await;
    assert_eq!((report.counts().skipped, report.counts().failed), (1, 0));
}
