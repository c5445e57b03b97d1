//! `sternline repl`: Starlark typed at a terminal, and piped in.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what helps a test may fail as a test does"
)]

mod cli_support;

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use cli_support::{Shown, in_terminal, in_terminal_with};
use serde_json::{Value, json};
use sternline_tests::cli::{Ended, Home};

/// What comes of lines that are piped in.
fn piped(home: &Home, lines: &str) -> Ended {
    let mut repl = home.sternline(["repl"]);
    repl.stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut process = repl.spawn().unwrap();
    process.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    Ended::from(process.wait_with_output().unwrap())
}

fn typed(home: &Home, steps: &[Value]) -> Shown {
    in_terminal(home, &["repl"], steps.into())
}

#[test]
fn lines_from_a_pipe_are_evaluated_one_after_another_without_prompts() {
    let home = Home::new();
    let ended = piped(
        &home,
        "x = 20\ndef f(n):\n    return n * 2\n\nf(x + 1)\n.vars\nprint(\n  'a')\n",
    );
    assert!(ended.stdout.starts_with("42\nf = "), "{}", ended.stdout);
    assert!(ended.stdout.ends_with("x = 20\na\n"), "{}", ended.stdout);
    assert_eq!((ended.stderr.as_str(), ended.status), ("", 0));
    let ended = piped(&home, "fail('one')\n1 + 1\nx = [\n");
    assert_eq!(
        (ended.stdout.as_str(), ended.status),
        ("2\n", 1),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.contains("one"), "{}", ended.stderr);
    let ended = piped(&home, "defer(lambda: print('bye'))\nexit(5)\n1\n");
    assert_eq!((ended.stdout.as_str(), ended.status), ("bye\n", 5));
    assert!(!home.path().join(".local/state/sternline/history/repl").exists());
}

#[test]
fn a_person_types_edits_and_leaves() {
    let home = Home::new();
    let shown = typed(
        &home,
        &[
            json!({"wait": ">>> "}),
            json!({"type": "6 * 8\x7f7\r"}),
            json!({"wait": "\n42\r\n"}),
            json!({"wait": ">>> "}),
            json!({"type": "def f():\r"}),
            json!({"wait": "... "}),
            json!({"type": "    return 'block'\r"}),
            json!({"wait": "... "}),
            json!({"type": "\r"}),
            json!({"wait": ">>> "}),
            json!({"type": "f()\r"}),
            json!({"wait": "\"block\"\r\n"}),
            json!({"wait": ">>> "}),
            json!({"type": "[1,\r"}),
            json!({"wait": "... "}),
            // What was begun is given up.
            json!({"type": "\x03"}),
            json!({"wait": ">>> "}),
            json!({"type": "fail('still here')\r"}),
            json!({"wait": "still here"}),
            json!({"wait": ">>> "}),
            json!({"type": "\x04"}),
        ],
    );
    assert_eq!((shown.status, shown.restored), (0, true), "{}", shown.text);
}

#[test]
fn tab_completes_and_ctrl_c_interrupts_only_the_call() {
    let home = Home::new();
    let shown = typed(
        &home,
        &[
            json!({"wait": ">>> "}),
            json!({"type": "greeting = 'hello'\r"}),
            json!({"wait": ">>> "}),
            json!({"type": "greet\t.upp\t()\r"}),
            json!({"wait": "\"HELLO\"\r\n"}),
            json!({"wait": ">>> "}),
            json!({"type": "ssh.conf\t(hosts\t['a']).hosts\r"}),
            json!({"wait": "[\"a\"]\r\n"}),
            json!({"wait": ">>> "}),
            json!({"type": "for n in range(2000000000): print('b' + 'egun') if n == 0 else None\r"}),
            json!({"wait": "begun\r\n"}),
            json!({"type": "\x03"}),
            json!({"wait": "interrupted"}),
            json!({"wait": ">>> "}),
            json!({"type": "'go' + 'es on'\r"}),
            json!({"wait": "\"goes on\"\r\n"}),
            json!({"wait": ">>> "}),
            json!({"type": "exit(7)\r"}),
        ],
    );
    assert_eq!((shown.status, shown.restored), (7, true), "{}", shown.text);
}

#[test]
fn earlier_inputs_are_there_the_next_time_but_no_secrets_and_for_nobody_else() {
    let home = Home::new();
    let state = home.path().join("state");
    let variables = [("XDG_STATE_HOME", state.to_str().unwrap())];
    let first = [
        json!({"wait": ">>> "}),
        json!({"type": "'ear' + 'lier'\r"}),
        json!({"wait": "earlier"}),
        json!({"wait": ">>> "}),
        json!({"type": "password = 'hunter2-is-secret'\r"}),
        json!({"wait": ">>> "}),
        json!({"type": "\x04"}),
    ];
    assert_eq!(
        in_terminal_with(&home, &variables, &["repl"], first.as_slice().into()).status,
        0
    );
    let second = [
        json!({"wait": ">>> "}),
        json!({"type": "\x1b[A\r"}),
        json!({"wait": "\"earlier\""}),
        json!({"wait": ">>> "}),
        json!({"type": "\x04"}),
    ];
    assert_eq!(
        in_terminal_with(&home, &variables, &["repl"], second.as_slice().into()).status,
        0
    );
    let file = state.join("sternline/history/repl");
    let kept = std::fs::read_to_string(&file).unwrap();
    assert!(kept.contains("lier") && !kept.contains("hunter2"), "{kept}");
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));

    let off = [("XDG_STATE_HOME", "/nonexistent"), ("STERNLINE_HISTORY", "off")];
    let shown = in_terminal_with(&home, &off, &["repl"], second_without_history().into());
    assert!(!shown.text.contains("warning"), "{}", shown.text);
}

fn second_without_history() -> Vec<Value> {
    vec![
        json!({"wait": ">>> "}),
        json!({"type": "1 + 1\r"}),
        json!({"wait": "2\r\n"}),
        json!({"wait": ">>> "}),
        json!({"type": "\x04"}),
    ]
}

#[test]
fn a_signal_at_the_prompt_leaves_the_terminal_as_it_was() {
    let home = Home::new();
    let shown = typed(
        &home,
        &[
            json!({"wait": ">>> "}),
            json!({"type": "x = 1"}),
            json!({"signal": 15}),
        ],
    );
    assert_eq!((shown.status, shown.restored), (143, true), "{}", shown.text);
}
