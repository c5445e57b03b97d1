//! What scripts see of retries.

use std::time::Duration;

use super::*;
use crate::scratch::{fails, prints, run_script};

const FLAKY: &str = r#"
def flaky(failures, value = "done"):
    state = {"n": 0}
    def call():
        state["n"] += 1
        if state["n"] <= failures:
            return Result(ok = False, error = "not yet %d" % state["n"])
        return value
    return call
"#;

fn prints_flaky(script: &str) -> String {
    prints(&format!("{FLAKY}{script}"))
}

#[test]
fn a_function_is_called_until_it_succeeds() {
    let script = r#"
r = retry.do(flaky(2), max_attempts = 5, delay = "1ms")
print(r.ok, r.value, r.attempts, r.errors, repr(r.error), type(r), type(r.elapsed), bool(r))
r = retry.do(flaky(9), delay = "1ms")
print(r.ok, r.value, r.attempts, r.error, bool(r), len(r.errors))
r = retry.with_backoff(flaky(2), delay = "1ms", max_delay = "2ms", jitter = False)
print(r.ok, r.attempts)
print(r)
print(json.encode(retry.do(lambda: fail("boom"), max_attempts = 1)).startswith('{"attempts":1,"elapsed":'))
"#;
    assert_eq!(
        prints_flaky(script),
        "True done 3 [\"not yet 1\", \"not yet 2\"] \"\" RetryResult string True\n\
         False None 3 not yet 3 False 3\n\
         True 3\n\
         RetryResult(ok=True, value=\"done\", attempts=3)\n\
         True\n"
    );
}

#[test]
fn what_a_function_returns_says_whether_it_succeeded() {
    let script = r#"
def ok(value):
    r = retry.do(lambda: value, max_attempts = 2, delay = "1ms")
    return (r.ok, r.attempts, r.error)
print(ok(None), ok(True), ok("x"), ok(0), ok([]), ok(Result(True, value = 1)), ok(struct(ok = True)))
print(ok(False), ok(Result(False, error = "e")), ok(struct(ok = False, host = "h", stderr = "s\n", code = 2)))
print(ok([struct(ok = True), struct(ok = False, code = 2), struct(ok = False, host = "b", error = "gone")]))
print(retry.do(lambda: Result(True, value = 7)).value, retry.do(lambda: {"ok": False}).ok)
"#;
    assert_eq!(
        prints(script),
        "(True, 1, \"\") (True, 1, \"\") (True, 1, \"\") (True, 1, \"\") (True, 1, \"\") (True, 1, \"\") (True, 1, \"\")\n\
         (False, 2, \"returned False\") (False, 2, \"e\") (False, 2, \"host h: s\")\n\
         (False, 2, \"exit code 2; host b: gone\")\n\
         7 True\n"
    );
}

#[test]
fn retry_on_decides_by_the_error_or_by_what_was_returned() {
    let script = r#"
r = retry.do(flaky(2), delay = "1ms", retry_on = lambda error: "yet 1" in error)
print(r.ok, r.attempts, r.error)
state = {"n": 0}
def work():
    state["n"] += 1
    return Result(ok = True, value = "ready" if state["n"] == 3 else "not ready")
r = retry.do(work, max_attempts = 5, delay = "1ms", retry_on = lambda r: r.value == "not ready")
print(r.ok, r.value, r.attempts)
r = retry.do(lambda: "a timeout in a text", retry_on = lambda error: "timeout" in error)
print(r.ok, r.attempts)
"#;
    assert_eq!(prints_flaky(script), "False 2 not yet 2\nTrue ready 3\nTrue 1\n");
}

#[test]
fn on_retry_is_told_before_each_pause() {
    let script = r#"
r = retry.do(flaky(9), max_attempts = 3, delay = "1ms", on_retry = lambda attempt, error: print(attempt, error))
r = retry.do(flaky(1), delay = "1ms", on_retry = lambda: None)
print(r.ok)
"#;
    let ran = run_script(&format!("{FLAKY}{script}"));
    assert_eq!(ran.out, "1 not yet 1\n2 not yet 2\nTrue\n");
    assert!(
        ran.messages
            .iter()
            .any(|line| line.starts_with("warning: retry.do: on_retry failed"))
    );
}

#[test]
fn time_limits_end_it_before_a_pause_that_is_too_long() {
    let script = r#"
r = retry.do(flaky(9), delay = "60s", timeout = "50ms")
print(r.ok, r.attempts, r.error)
"#;
    assert_eq!(
        prints_flaky(script),
        "False 1 timeout exceeded; the last error was: not yet 1\n"
    );
}

#[test]
fn exit_is_no_failure_to_be_tried_again() {
    let ran = run_script("retry.do(lambda: exit(4))");
    assert_eq!(ran.ended.map(|ended| ended.status).ok(), Some(4));
}

#[test]
fn wrong_options_are_said() {
    for (call, part) in [
        (
            "retry.do(str, max_attempts = 0)",
            "max_attempts must be at least 1, got 0",
        ),
        (
            "retry.do(str, delay = \"x\")",
            "invalid delay \"x\": time: invalid duration \"x\"",
        ),
        ("retry.do(str, delay = \"-1s\")", "delay is below zero"),
        ("retry.with_backoff(str, max_delay = 3)", "max_delay"),
    ] {
        let error = fails(call);
        assert!(error.contains(part), "{call}: {error}");
    }
}

#[test]
fn pauses_double_and_jitter_stays_within_a_quarter() {
    let mut plan = Plan {
        name: "",
        max_attempts: 9,
        delay: Duration::from_millis(100),
        max_delay: Some(Duration::from_secs(1)),
        timeout: None,
        jitter: false,
    };
    let pauses: Vec<u128> = (1..7).map(|attempt| plan.pause(attempt, 0).as_millis()).collect();
    assert_eq!(pauses, [100, 200, 400, 800, 1000, 1000]);
    assert_eq!(plan.pause(usize::MAX, 0), Duration::from_secs(1));
    plan.jitter = true;
    for random in 0..200 {
        let pause = plan.pause(1, random).as_millis();
        assert!((75..=125).contains(&pause), "{pause}");
    }
}
