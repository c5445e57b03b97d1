//! Scripts from their text to their end.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "what a test does not expect ends it"
)]

use std::sync::{Arc, Mutex};

use sternline::config::Env;
use sternline_script::{Ended, Output, ScriptError, SessionBuilder, Source, run};

#[derive(Default)]
struct Kept {
    out: Mutex<String>,
    messages: Mutex<Vec<String>>,
}

impl Output for Kept {
    fn out(&self, text: &str) {
        self.out.lock().unwrap().push_str(text);
    }
    fn message(&self, line: &str) {
        self.messages.lock().unwrap().push(line.to_owned());
    }
}

async fn script(text: &str) -> (Result<Ended, ScriptError>, String, Vec<String>) {
    let kept = Arc::new(Kept::default());
    let session =
        SessionBuilder::new(Env::system(), "/", kept.clone()).build(tokio::runtime::Handle::current());
    let source = Source {
        name: "test.star".into(),
        path: None,
        text: text.into(),
    };
    let ended = run(session, source).await;
    let (out, messages) = (
        kept.out.lock().unwrap().clone(),
        kept.messages.lock().unwrap().clone(),
    );
    (ended, out, messages)
}

#[tokio::test]
async fn deferred_functions_run_last_first_and_the_status_of_exit_counts() {
    let (ended, out, _) = script(
        "x = []\ndef later(n):\n    def f():\n        print('deferred', n)\n    return f\n\
         for n in range(2):\n    defer(later(n))\nprint('body')\nexit(3)\nprint('never')\n",
    )
    .await;
    assert_eq!(ended.unwrap().status, 3);
    assert_eq!(out, "body\ndeferred 1\ndeferred 0\n");
}

#[tokio::test]
async fn an_error_has_its_message_and_its_place() {
    let (ended, _, _) = script("def f():\n    fail('no disk')\n\nf()\n").await;
    let error = ended.unwrap_err();
    assert_eq!(error.message(), "no disk");
    let places: Vec<_> = error
        .frames()
        .iter()
        .map(|frame| (frame.line, frame.column))
        .collect();
    assert!(places.contains(&(2, 5)) && places.contains(&(4, 1)), "{places:?}");
}

#[tokio::test]
async fn a_failing_function_fails_the_script_and_its_try_form_makes_it_a_value() {
    let (ended, out, _) = script("r = ssh.try_config(hosts=\"a\")\nprint(r.ok, bool(r), r.value)\n").await;
    ended.unwrap();
    assert_eq!(out, "False False None\n");
}
