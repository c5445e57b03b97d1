//! Test servers and keys, as tests of scripts use them.
#![allow(clippy::unwrap_used, reason = "what a test does not expect ends it")]

mod support;

use std::path::Path;
use std::time::Duration;

use sternline_script::testing::TestPlan;
use support::{assert_passed, directory, outcomes, output, script, tests_in, tests_of};

/// The tests of one file of `data/`, run in a directory of their own.
async fn passes(name: &str) {
    let text = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/data")
            .join(name),
    )
    .unwrap();
    let directory = directory(&[(name, &text)]);
    let report = tests_of(directory.path(), TestPlan::default()).await;
    assert_passed(&report);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_testing_examples_of_the_page_run_as_printed() {
    passes("seed_test.star").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_and_keys_do_what_their_own_tests_say() {
    passes("server_test.star").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_servers_are_seen_by_clients_and_by_the_script() {
    passes("files_test.star").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_the_whole_file_works_in_each_of_its_tests() {
    passes("shared_test.star").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn outside_of_tests_there_is_neither() {
    for name in ["test_server", "test_key"] {
        let (ended, _) = script(&format!("ssh.{name}()\n")).await;
        let message = ended.unwrap_err().to_string();
        assert!(message.contains(&format!("undefined: {name}")), "{message}");
    }
    let (ended, output) = script("print(hasattr(ssh, 'test_server'), 'test_key' in dir(ssh))\n").await;
    ended.unwrap();
    assert_eq!(output, "False False\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_there_for_its_owner_alone() {
    let report = tests_in(
        "def test_a():\n    key = ssh.test_key()\n    print(key.path)\n    print(key.public_key)\n    print(key)\n",
    )
    .await;
    assert_passed(&report);
    let output = output(&report);
    let lines: Vec<&str> = output.lines().collect();
    assert!(
        lines[0].ends_with("/id_ed25519") && lines[1].starts_with("ssh-ed25519 AAAA"),
        "{lines:?}"
    );
    assert_eq!(lines[2], format!("SSHTestKey(path = {:?})", lines[0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_said_with_what_to_do_instead() {
    let report = tests_in(
        r#"
def test_a(): ssh.test_server().add_file("", "x")
def test_b(): ssh.test_server().add_file("/x", "x", mode="rw")
def test_c(): ssh.test_server().add_file("/x", 3)
def test_d(): ssh.test_server().handle_exec(3)
def test_e(): ssh.test_server().known_hosts_line()
def test_f(): ssh.test_server(user="")
def test_g(): ssh.test_server().authorize(3)
"#,
    )
    .await;
    let wanted = [
        "test_a: ssh.test_server.add_file: path is required",
        "test_b: ssh.test_server.add_file: mode is written as \"0644\", in octal digits",
        "test_c: ssh.test_server.add_file: content is a str or bytes, not a int",
        "test_d: ssh.test_server.handle_exec: argument must be callable: give a function of one parameter, not a int",
        "test_e: ssh.test_server.known_hosts_line: the server has no port yet; call start() before",
        "test_f: ssh.test_server: user is required",
        "test_g: ssh.test_server.authorize: a key is what ssh.test_key() returns, or the line of a .pub file, not a int",
    ];
    assert_eq!(outcomes(&report), wanted);
    let report = tests_in(
        "def test_a(): ssh.test_server().fault('nothing')\ndef test_b(): ssh.test_server().authorize('x')\n",
    )
    .await;
    let outcomes = outcomes(&report);
    assert!(
        outcomes[0].contains("refuse-auth:TIMES") && outcomes[1].contains("not a public key"),
        "{outcomes:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_that_waits_for_a_hung_handler_is_ended_and_the_next_goes_on() {
    let directory = directory(&[(
        "a_test.star",
        r#"
def client(srv):
    return ssh.config(
        hosts=["127.0.0.1"], user="u", password="p", port=srv.port(), host_key_check=False,
    )
def test_hung():
    srv = ssh.test_server(user="u", password="p")
    srv.start()
    def handler(cmd):
        for i in range(1000000000): pass
    srv.handle_exec(handler)
    client(srv).exec("x")
def test_silent():
    srv = ssh.test_server(user="u", password="p")
    srv.start()
    srv.fault("black-hole")
    client(srv).exec("x")
def test_next():
    srv = ssh.test_server(user="u", password="p")
    srv.start()
    client(srv).exec("x")
"#,
    )]);
    let mut plan = TestPlan::default();
    plan.limit = Some(Duration::from_secs(2));
    let report = tests_of(directory.path(), plan).await;
    let wanted = [
        "test_hung: took longer than 2s",
        "test_silent: took longer than 2s",
        "test_next: passed",
    ];
    assert_eq!(outcomes(&report), wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_in_a_handler_ends_the_test() {
    let report = tests_in(
        r#"
def test_a():
    srv = ssh.test_server(user="u", password="p")
    srv.start()
    srv.handle_exec(lambda cmd: exit(3))
    ssh.config(hosts=["127.0.0.1"], user="u", password="p", port=srv.port(), host_key_check=False).try_exec("x")
    print("never")
"#,
    )
    .await;
    assert_eq!(outcomes(&report), ["test_a: test called exit(3)"]);
}
