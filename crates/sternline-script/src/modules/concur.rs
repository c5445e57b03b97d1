//! The module `concur`: several calls whose waits overlap.

use std::time::Instant;

use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::tuple::{AllocTuple, UnpackTuple};
use starlark::values::{Heap, Value};

use super::time::LengthArg;
use crate::batch::{Done, MAX_NESTED, make_calls};
use crate::error::message;
use crate::outcome::{Outcome, with_try};

/// How many calls are made at the same time, where the script does not say.
const WORKERS: usize = 64;

/// Adds the module `concur`.
pub(crate) fn register(builder: &mut GlobalsBuilder) {
    builder.namespace("concur", |builder| with_try(builder, functions));
}

/// What becomes of the others when a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnError {
    /// They are made, and the first failure is the error of the whole.
    Abort,
    /// They are made, and each has a `Result`.
    Continue,
}

struct Plan {
    workers: usize,
    deadline: Option<Instant>,
    on_error: OnError,
}

impl Plan {
    fn new(name: &str, workers: i32, timeout: Option<LengthArg>, on_error: &str) -> anyhow::Result<Self> {
        let on_error = match on_error {
            "abort" => OnError::Abort,
            "continue" => OnError::Continue,
            _ => anyhow::bail!("{name}: on_error must be \"abort\" or \"continue\", got {on_error:?}"),
        };
        let workers = match usize::try_from(workers) {
            Ok(0) => WORKERS,
            Ok(workers) => workers.min(MAX_NESTED),
            Err(_) => anyhow::bail!("{name}: workers must be non-negative, got {workers}"),
        };
        let deadline = match timeout.filter(|timeout| !timeout.is_nothing()) {
            None => None,
            Some(timeout) => {
                let length = timeout
                    .read()
                    .map_err(|error| anyhow::anyhow!("{name}: {error}"))?;
                let length = length.unsigned().filter(|length| !length.is_zero());
                let length = length
                    .ok_or_else(|| anyhow::anyhow!("{name}: timeout must be positive, got {timeout}"))?;
                Instant::now().checked_add(length)
            }
        };
        Ok(Self {
            workers,
            deadline,
            on_error,
        })
    }
}

/// Makes the calls. `what` is what one of them is called in messages.
fn run<'v>(
    eval: &mut Evaluator<'v, '_, '_>,
    name: &str,
    what: &str,
    calls: &[Vec<Value<'v>>],
    plan: &Plan,
) -> anyhow::Result<Vec<Value<'v>>> {
    let Done { values, mut failures } = make_calls(eval, calls, plan.workers, plan.deadline)?;
    if plan.on_error == OnError::Abort {
        return match failures.pop_first() {
            None => Ok(values),
            Some((index, error)) => Err(anyhow::anyhow!("{name}: {what} {index}: {}", message(&error))),
        };
    }
    let heap = eval.heap();
    let results = values.into_iter().enumerate().map(|(index, value)| {
        heap.alloc(match failures.get(&index) {
            None => Outcome::ok(value),
            Some(error) => Outcome::failed(message(error)),
        })
    });
    Ok(results.collect())
}

fn each_item<'v>(items: Value<'v>, func: Value<'v>, heap: Heap<'v>) -> anyhow::Result<Vec<Vec<Value<'v>>>> {
    let items = items.iterate(heap).map_err(starlark::Error::into_anyhow)?;
    Ok(items.map(|item| vec![func, item]).collect())
}

#[starlark_module]
fn functions(builder: &mut GlobalsBuilder) {
    /// Calls a function with each item, and returns what it returned, in the order of the items.
    ///
    /// The calls are made on one thread, and their waits overlap: while one waits for a host or for a time, the next one
    /// begins. A call goes on when those that began during its wait have ended, so calls with one long wait overlap
    /// entirely, and what a call does after its first wait comes in turn. They may change what they share; between two
    /// waits nobody else does.
    ///
    /// Args:
    ///   items: a list, tuple, set, or whatever can be gone through.
    ///   func: is called with one item.
    ///   workers: how many calls may be going on at the same time. 0 means 64; more than 128 are not.
    ///   timeout: no call is begun later than that, such as "30s"; those that have not begun fail with "timeout exceeded".
    ///     Calls that have begun end by themselves: give the commands in them a time limit of their own.
    ///   on_error: "abort" makes all calls, and fails with the first failure by the order of the items. "continue" returns
    ///     a `Result` for each item.
    fn map<'v>(
        items: Value<'v>,
        func: Value<'v>,
        #[starlark(default = 0)] workers: i32,
        timeout: Option<LengthArg>,
        #[starlark(default = "abort")] on_error: &str,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<Vec<Value<'v>>> {
        let plan = Plan::new("concur.map", workers, timeout, on_error)?;
        let calls = each_item(items, func, eval.heap())?;
        run(eval, "concur.map", "item", &calls, &plan)
    }

    /// As `map`, for functions whose values nobody needs: returns None, or a list of `Result` with on_error="continue".
    fn each<'v>(
        items: Value<'v>,
        func: Value<'v>,
        #[starlark(default = 0)] workers: i32,
        timeout: Option<LengthArg>,
        #[starlark(default = "abort")] on_error: &str,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<Value<'v>> {
        let plan = Plan::new("concur.each", workers, timeout, on_error)?;
        let calls = each_item(items, func, eval.heap())?;
        let results = run(eval, "concur.each", "item", &calls, &plan)?;
        Ok(match plan.on_error {
            OnError::Abort => Value::new_none(),
            OnError::Continue => eval.heap().alloc(results),
        })
    }

    /// Calls functions without arguments, and returns a tuple of what they returned. Their waits overlap as those of `map`.
    ///
    /// Args:
    ///   fns: the functions.
    ///   timeout: no call is begun later than that.
    ///   on_error: as for `map`.
    fn exec<'v>(
        #[starlark(args)] fns: UnpackTuple<Value<'v>>,
        #[starlark(require = named)] timeout: Option<LengthArg>,
        #[starlark(require = named, default = "abort")] on_error: &str,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<Value<'v>> {
        let plan = Plan::new("concur.exec", 0, timeout, on_error)?;
        let calls: Vec<Vec<Value<'v>>> = fns.items.into_iter().map(|function| vec![function]).collect();
        let values = run(eval, "concur.exec", "function", &calls, &plan)?;
        Ok(eval.heap().alloc(AllocTuple(values)))
    }
}

#[cfg(test)]
mod tests {
    use crate::scratch::{fails, prints, run_script};

    #[test]
    fn results_come_in_the_order_of_the_items() {
        let script = r#"
def double(x):
    time.sleep("%dms" % (20 - x))
    return x * 2
print(concur.map([1, 2, 3], double), concur.map((4,), double), concur.map([], double), concur.map(range(3), lambda x: x))
print(concur.each([1, 2], double), concur.exec(lambda: "a", lambda: 2), concur.exec())
print(concur.map(list(range(10)), double, workers = 2, timeout = "5s"))
"#;
        assert_eq!(
            prints(script),
            "[2, 4, 6] [8] [] [0, 1, 2]\nNone (\"a\", 2) ()\n[0, 2, 4, 6, 8, 10, 12, 14, 16, 18]\n"
        );
    }

    #[test]
    fn waits_overlap() {
        let script = r#"
def nap(x):
    time.sleep("300ms")
    return x
began = time.now()
concur.map(range(20), nap)
took = time.since(began)
print(took >= time.duration("300ms") and took < time.duration("2s"))
"#;
        assert_eq!(prints(script), "True\n");
    }

    #[test]
    fn no_more_are_begun_at_the_same_time_than_there_are_workers() {
        let script = r#"
state = {"now": 0, "most": 0}
def work(x):
    state["now"] += 1
    state["most"] = max(state["most"], state["now"])
    time.sleep("5ms")
    time.sleep("1ms")
    state["now"] -= 1
for workers in [1, 3]:
    state["most"] = 0
    concur.each(range(9), work, workers = workers)
    print(workers, state["most"], state["now"])
state["most"] = 0
concur.each(range(300), work, workers = 1000)
print(state["most"] <= 129)
"#;
        assert_eq!(prints(script), "1 1 0\n3 3 0\nTrue\n");
    }

    #[test]
    fn all_calls_are_made_and_the_first_failure_is_the_error() {
        let script = r#"
made = []
def work(x):
    time.sleep("1ms")
    made.append(x)
    if x % 2:
        fail("%d is odd" % x)
    return x * 10
r = concur.try_map([0, 1, 2, 3], work)
print(r.ok, r.error, sorted(made))
print([(r.ok, r.value, r.error) for r in concur.map([0, 1], work, on_error = "continue")])
print([r.ok for r in concur.each([0, 1], work, on_error = "continue")])
print(concur.try_exec(lambda: fail("boom")).error)
"#;
        assert_eq!(
            prints(script),
            "False concur.map: item 1: 1 is odd [0, 1, 2, 3]\n\
             [(True, 0, \"\"), (False, None, \"1 is odd\")]\n\
             [True, False]\n\
             concur.exec: function 0: boom\n"
        );
    }

    #[test]
    fn batches_lie_in_one_another() {
        let script = r#"
def inner(x):
    time.sleep("20ms")
    return x
def outer(x):
    return concur.map([x, x + 1], inner)
began = time.now()
print(concur.map(range(4), outer), time.since(began) < time.duration("1s"))
"#;
        assert_eq!(prints(script), "[[0, 1], [1, 2], [2, 3], [3, 4]] True\n");
    }

    #[test]
    fn after_its_time_nothing_is_begun() {
        let script = r#"
def work(x):
    time.sleep("30ms")
    return x
print([r.error for r in concur.map([1, 2], work, workers = 1, timeout = "10ms", on_error = "continue")])
"#;
        assert_eq!(prints(script), "[\"\", \"timeout exceeded\"]\n");
    }

    #[test]
    fn exit_ends_all_of_it_at_once() {
        let script = r#"
def work(x):
    if x == 2:
        exit(3)
    time.sleep("60s")
    print("not reached")
defer(lambda: print("deferred"))
concur.map(range(5), work, on_error = "continue")
"#;
        let ran = run_script(script);
        assert_eq!(ran.ended.map(|ended| ended.status).ok(), Some(3));
        assert_eq!(ran.out, "deferred\n");
    }

    #[test]
    fn wrong_options_are_said() {
        for (call, part) in [
            (
                "concur.map([1], str, on_error = \"x\")",
                "on_error must be \"abort\" or \"continue\", got \"x\"",
            ),
            (
                "concur.map([1], str, workers = -1)",
                "workers must be non-negative, got -1",
            ),
            (
                "concur.map([1], str, timeout = \"0s\")",
                "timeout must be positive, got 0s",
            ),
            (
                "concur.map([1], str, timeout = \"x\")",
                "time: invalid duration \"x\"",
            ),
            ("concur.map(1, str)", ""),
        ] {
            let error = fails(call);
            assert!(error.contains(part), "{call}: {error}");
        }
    }
}
